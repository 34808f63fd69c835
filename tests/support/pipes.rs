//! The threads around a running process: they collect its output as it comes, so that no pipe
//! ever fills, feed its stdin, watch its memory, and tell whoever waits.

use std::io::{ErrorKind, Read, Write};
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What is known of a process, told to whoever waits.
#[derive(Default)]
pub struct Shared {
    seen: Mutex<Output>,
    changed: Condvar,
}

#[derive(Default)]
pub struct Output {
    pub stdout: Pipe,
    pub stderr: Pipe,
    /// How it ended, and when.
    pub status: Option<(ExitStatus, Instant)>,
    /// Bytes the pipe on stdin took so far.
    pub fed: usize,
    /// The process closed its stdin before the end.
    pub stdin_refused: bool,
    /// The most memory it took, in KiB.
    pub peak_kib: Option<u64>,
}

#[derive(Default)]
pub struct Pipe {
    pub bytes: Vec<u8>,
    pub ended: bool,
}

impl Shared {
    /// What is known now.
    pub fn lock(&self) -> MutexGuard<'_, Output> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something, and tells who waits.
    pub fn change(&self, change: impl FnOnce(&mut Output)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until it is so; gives whether it was before the deadline.
    pub fn wait(&self, deadline: Instant, mut so: impl FnMut(&Output) -> bool) -> bool {
        let mut seen = self.lock();
        loop {
            if so(&seen) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Collects what comes out of a pipe until its end.
pub fn collect(
    pipe: Option<impl Read + Send + 'static>,
    shared: &Arc<Shared>,
    slot: fn(&mut Output) -> &mut Pipe,
) {
    let shared = Arc::clone(shared);
    let mut pipe = pipe.expect("the pipe was asked for");
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match pipe.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(n) => shared.change(|seen| slot(seen).bytes.extend_from_slice(&buffer[..n])),
            }
        }
        shared.change(|seen| slot(seen).ended = true);
    });
}

/// Writes to stdin in a thread of its own, so that a full pipe never stops the test; page by
/// page, because a longer write to a full pipe says nothing until all of it is taken.
pub fn feed(mut pipe: impl Write + Send + 'static, shared: &Arc<Shared>) -> Sender<Vec<u8>> {
    let (sender, pieces): (_, Receiver<Vec<u8>>) = channel();
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        for piece in pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                match pipe.write(&rest[..rest.len().min(4096)]) {
                    Ok(n) => {
                        rest = &rest[n..];
                        shared.change(|seen| seen.fed += n);
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => return shared.change(|seen| seen.stdin_refused = true),
                }
            }
        }
    });
    sender
}

/// The most memory a running process took so far, in KiB, where the kernel tells.
pub fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    peak.split_whitespace().next()?.parse().ok()
}

/// Notes the peak of memory until the process ends. The last hundredth of a second may be
/// missed.
pub fn watch_memory(pid: u32, shared: &Shared) {
    loop {
        let peak = peak_kib(pid);
        let mut seen = shared.lock();
        seen.peak_kib = seen.peak_kib.max(peak);
        drop(seen);
        let soon = Instant::now() + Duration::from_millis(10);
        if shared.wait(soon, |seen| seen.status.is_some()) {
            return;
        }
    }
}
