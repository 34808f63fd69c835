//! A process under way: written to, signalled, waited for. Every wait has a deadline that ends
//! in a full report.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use super::finished::Finished;
use super::pipes::{self, Output, Shared, collect, feed, watch_memory};
use super::run::DEADLINE;

/// What a report shows besides the process.
pub type Viewer = Arc<dyn Fn() -> String + Send + Sync>;

/// A process under way. Dropped, it is killed.
pub struct Running {
    pub pid: u32,
    shown: String,
    shared: Arc<Shared>,
    feed: Option<Sender<Vec<u8>>>,
    started: Instant,
    deadline: Duration,
    viewer: Option<Viewer>,
}

impl Running {
    /// Starts a command that has pipes on stdout and stderr.
    pub(super) fn start(
        mut command: Command,
        shown: String,
        deadline: Duration,
        viewer: Option<Viewer>,
    ) -> Self {
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{shown}: {error}"),
        };
        let pid = child.id();
        let shared = Arc::new(Shared::default());
        collect(child.stdout.take(), &shared, |seen| &mut seen.stdout);
        collect(child.stderr.take(), &shared, |seen| &mut seen.stderr);
        let feed = child.stdin.take().map(|pipe| feed(pipe, &shared));
        let waiting = Arc::clone(&shared);
        thread::spawn(move || {
            let status = child.wait().expect("the child can be waited for");
            waiting.change(|seen| seen.status = Some((status, Instant::now())));
        });
        Self {
            pid,
            shown,
            shared,
            feed,
            started: Instant::now(),
            deadline,
            viewer,
        }
    }

    /// Watches the most memory it takes, from now on.
    pub(super) fn watch_memory(&self) {
        let (pid, shared) = (self.pid, Arc::clone(&self.shared));
        thread::spawn(move || watch_memory(pid, &shared));
    }

    /// Puts bytes on their way to stdin; never blocks.
    pub fn write(&self, bytes: impl Into<Vec<u8>>) {
        let feed = self.feed.as_ref().expect("an open stdin");
        // A closed stdin shows in the report.
        _ = feed.send(bytes.into());
    }

    /// Ends stdin after what was written.
    pub fn close_stdin(&mut self) {
        self.feed = None;
    }

    /// Waits until the pipe on stdin took so many bytes.
    pub fn wait_for_fed(&self, bytes: usize) {
        self.wait_for(&format!("{bytes} bytes fed"), |seen| seen.fed >= bytes);
    }

    /// How many bytes the pipe on stdin took so far.
    pub fn fed(&self) -> usize {
        self.shared.lock().fed
    }

    /// Waits until stderr holds this text.
    pub fn wait_for_stderr(&self, text: &str) {
        self.wait_for(&format!("{text:?} on stderr"), |seen| {
            contains(&seen.stderr.bytes, text)
        });
    }

    /// Asks with SIGUSR1 until an answer holds this text; gives how many answers did not. Input is
    /// passed on before it is counted.
    pub fn ask_until(&self, text: &str) -> usize {
        for before in self.stderr().lines().count().. {
            self.signal("USR1");
            self.wait_for("another line on stderr", |seen| {
                memchr::memchr_iter(b'\n', &seen.stderr.bytes).count() > before
            });
            if self.stderr().contains(text) {
                return before;
            }
        }
        unreachable!("it asks on")
    }

    /// Waits until stdout holds this text.
    pub fn wait_for_stdout(&self, text: &str) {
        self.wait_for(&format!("{text:?} on stdout"), |seen| {
            contains(&seen.stdout.bytes, text)
        });
    }

    /// What stderr held so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.shared.lock().stderr.bytes).into_owned()
    }

    /// What stdout held so far.
    pub fn stdout(&self) -> Vec<u8> {
        self.shared.lock().stdout.bytes.clone()
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.shared.lock().status.is_none()
    }

    /// The most memory it took so far, in KiB, where the kernel tells.
    pub fn peak_kib(&self) -> Option<u64> {
        let peak = pipes::peak_kib(self.pid);
        self.shared
            .change(|seen| seen.peak_kib = seen.peak_kib.max(peak));
        peak
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) {
        let sent = self.is_running() && kill(name, &self.pid.to_string());
        assert!(sent, "SIG{name} was not sent\n{}", self.report());
    }

    /// Waits until no signal is pending: another one of the same kind would be lost in it.
    pub fn wait_for_receipt(&self) {
        let is_pending = || {
            let status = fs::read_to_string(format!("/proc/{}/status", self.pid));
            let pending = status.unwrap_or_default();
            let pending = pending
                .lines()
                .filter_map(|line| line.strip_prefix("ShdPnd:"));
            pending
                .flat_map(|mask| mask.trim().bytes())
                .any(|digit| digit != b'0')
        };
        while self.is_running() && is_pending() {
            thread::yield_now();
        }
    }

    /// Sends a signal to the whole group; see [`LokiPush::own_group`].
    pub fn signal_group(&self, name: &str) {
        let sent = kill(name, &format!("-{}", self.pid));
        assert!(sent, "SIG{name} was not sent\n{}", self.report());
    }

    /// Kills it and waits for its end: what a power cut leaves.
    pub fn kill(self) -> Finished {
        self.signal("KILL");
        self.wait()
    }

    /// Waits for its end, and for that of its output. A pipe on stdin that is still open is
    /// closed first.
    pub fn wait(mut self) -> Finished {
        self.close_stdin();
        self.wait_to_end()
    }

    /// Waits for its end with stdin left open.
    pub fn wait_to_end(self) -> Finished {
        self.wait_for("its end", |seen| {
            seen.status.is_some() && seen.stdout.ended && seen.stderr.ended
        });
        let report = self.report();
        let mut seen = self.shared.lock();
        let (status, ended) = seen.status.expect("it ended");
        let signal = status.signal();
        let code = status.code();
        let stderr = String::from_utf8_lossy(&seen.stderr.bytes).into_owned();
        Finished {
            status: code.unwrap_or_else(|| 128 + signal.unwrap_or_default()),
            signal,
            stdout: std::mem::take(&mut seen.stdout.bytes),
            stderr,
            elapsed: ended - self.started,
            peak_kib: seen.peak_kib,
            fed: seen.fed,
            stdin_refused: seen.stdin_refused,
            report,
        }
    }

    /// Waits until it is so, or kills the process and panics with everything.
    fn wait_for(&self, what: &str, so: impl FnMut(&Output) -> bool) {
        if self.shared.wait(self.started + self.deadline, so) {
            return;
        }
        let report = self.report();
        self.end();
        panic!("waited {:?} for {what}\n{report}", self.deadline);
    }

    fn end(&self) {
        if self.is_running() {
            kill("KILL", &self.pid.to_string());
            let soon = Instant::now() + DEADLINE;
            self.shared.wait(soon, |seen| seen.status.is_some());
        }
    }

    /// Everything there is to know, for a message.
    pub fn report(&self) -> String {
        let seen = self.shared.lock();
        let mut text = format!("command: {}\n", self.shown);
        _ = match &seen.status {
            Some((status, _)) => writeln!(text, "ended: {status}"),
            None => writeln!(text, "still running as {}", self.pid),
        };
        if seen.fed > 0 || seen.stdin_refused {
            let end = if seen.stdin_refused {
                ", then it was closed"
            } else {
                ""
            };
            _ = writeln!(text, "stdin: {} bytes taken{end}", seen.fed);
        }
        _ = writeln!(text, "stdout: {}", trimmed(&seen.stdout.bytes));
        _ = writeln!(text, "stderr: {}", trimmed(&seen.stderr.bytes));
        drop(seen);
        if let Some(viewer) = &self.viewer {
            text.push_str(&viewer());
        }
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The shell's `kill`: a way to send a signal without `unsafe` and without a crate.
fn kill(signal: &str, to: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", "kill -s \"$0\" -- \"$1\"", signal, to]);
    command.stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn contains(bytes: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(bytes).contains(text)
}

/// Bytes for a report: their beginning and their end.
fn trimmed(bytes: &[u8]) -> String {
    const KEPT: usize = 4_000;
    let text = String::from_utf8_lossy(bytes);
    if text.is_empty() {
        return "nothing".into();
    }
    let count = text.chars().count();
    if count <= 2 * KEPT {
        return format!("{} bytes\n{}", bytes.len(), text.trim_end());
    }
    let start: String = text.chars().take(KEPT).collect();
    let end: String = text.chars().skip(count - KEPT).collect();
    format!("{} bytes\n{start}\n[...]\n{}", bytes.len(), end.trim_end())
}
