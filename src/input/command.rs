//! A child: a command that is run, signalled and waited for.
//!
//! Knows how a command is started, what its end means as an exit status, and that a signal must
//! never reach a stranger who got its process number. Knows nothing of what it prints: its pipes
//! are read like any other.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// The exit status when a command was found but cannot be executed, as shells have it.
const CANNOT_EXECUTE: u8 = 126;

/// The exit status when there is no such command.
const NOT_FOUND: u8 = 127;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its status as shells tell it: 128 + n for signal n.
    pub status: u8,
    /// Whether a signal ended it.
    pub by_signal: bool,
    /// How long it ran.
    pub took: Duration,
}

impl Exit {
    /// That of a command that could not be started.
    pub fn not_started(status: u8) -> Self {
        Self {
            status,
            by_signal: false,
            took: Duration::ZERO,
        }
    }
}

/// A command that could not be started.
#[derive(Debug)]
pub struct SpawnError {
    /// The status that shells give for it.
    pub status: u8,
    /// Why.
    pub why: io::Error,
}

/// A command that runs. Clones share it.
#[derive(Debug, Clone)]
pub struct ChildProcess {
    pid: Option<Pid>,
    began: Instant,
    process: Arc<Mutex<Process>>,
}

#[derive(Debug)]
struct Process {
    child: process::Child,
    is_gone: bool,
}

/// The name of a command: that of its file.
pub fn name(command: &[OsString]) -> String {
    let program = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let file = Path::new(program).file_name().unwrap_or(program);
    file.to_string_lossy().into_owned()
}

/// Starts a command. Its standard input is ours; what it prints comes through the pipes.
///
/// # Errors
/// With the status that stands for it.
pub fn start(
    command: &[OsString],
) -> Result<(ChildProcess, Option<ChildStdout>, Option<ChildStderr>), SpawnError> {
    let program = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let began = Instant::now();
    let spawn = |program: &OsStr, args: &[OsString]| {
        Command::new(program)
            .args(args)
            .stdin(Stdio::inherit())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
    };
    let spawned = match spawn(program, command.get(1..).unwrap_or_default()) {
        // A script without `#!` is run by the shell, as execvp has it and everybody expects.
        Err(why) if why.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            match find(program) {
                Some(script) => {
                    let mut args = vec![script];
                    args.extend_from_slice(command.get(1..).unwrap_or_default());
                    spawn(OsStr::new("/bin/sh"), &args)
                }
                None => Err(why),
            }
        }
        spawned => spawned,
    };
    let mut child = spawned.map_err(|why| SpawnError {
        status: match why.kind() {
            io::ErrorKind::NotFound => NOT_FOUND,
            _ => CANNOT_EXECUTE,
        },
        why,
    })?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let pid = Pid::from_raw(child.id() as i32);
    let process = Process {
        child,
        is_gone: false,
    };
    let process = Arc::new(Mutex::new(process));
    let child = ChildProcess {
        pid,
        began,
        process,
    };
    Ok((child, stdout, stderr))
}

impl ChildProcess {
    /// Passes a signal on, unless the command has ended.
    pub fn pass_on(&self, signal: i32) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(pid), Some(signal)) = (self.pid, Signal::from_named_raw(signal)) else {
            return;
        };
        if !process.is_gone {
            // A command of another user (sudo) may not be signalled by us; it is waited for.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits for the end on a thread of its own, and tells it.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn watch(&self, tell: impl FnOnce(io::Result<Exit>) + Send + 'static) -> io::Result<()> {
        let child = self.clone();
        thread::Builder::new()
            .name("child".into())
            .spawn(move || tell(child.wait()))?;
        Ok(())
    }

    /// Waits in two steps: for the end, which leaves the process number taken, and then, under the
    /// lock that [`ChildProcess::pass_on`] holds too, for what gives it back.
    fn wait(&self) -> io::Result<Exit> {
        if let Some(pid) = self.pid {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        }
        let took = self.began.elapsed();
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.is_gone = true;
        let ended = process.child.wait()?;
        Ok(Exit {
            status: status(ended),
            by_signal: ended.signal().is_some(),
            took,
        })
    }
}

/// The exit status that stands for how a process ended.
fn status(ended: ExitStatus) -> u8 {
    let status = ended.code().or(ended.signal().map(|n| 128 + n));
    status.map_or(u8::MAX, |status| status as u8)
}

/// Where `execvp` finds a program.
fn find(program: &OsStr) -> Option<OsString> {
    if program.as_encoded_bytes().contains(&b'/') {
        return Some(program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| {
            rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file()
        })
        .map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn run(command: &[&str], signal: Option<i32>) -> Exit {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let (child, ..) = start(&command).unwrap();
        let (tell, told) = mpsc::channel();
        child.watch(move |exit| tell.send(exit).unwrap()).unwrap();
        if let Some(signal) = signal {
            child.pass_on(signal);
        }
        let exit = told.recv().unwrap().unwrap();
        // Nobody is there any more; nobody else must be met.
        child.pass_on(15);
        exit
    }

    #[test]
    fn the_status_is_that_of_shells() {
        assert_eq!(run(&["sh", "-c", "exit 7"], None).status, 7);
        let killed = run(&["sh", "-c", "kill -9 $$"], None);
        assert_eq!((killed.status, killed.by_signal), (137, true));
        let passed_on = run(&["sleep", "600"], Some(15));
        assert_eq!((passed_on.status, passed_on.by_signal), (143, true));
    }

    #[test]
    fn what_cannot_be_started_has_its_status() {
        let status = |program: &str| start(&[program.into()]).unwrap_err().status;
        assert_eq!(status("/no/such/command"), 127);
        assert_eq!(status("no-such-command-anywhere"), 127);
        assert_eq!(status("/etc/passwd"), 126);
        assert_eq!(status("/"), 126);
        assert_eq!(status(""), 127);
    }

    #[test]
    fn a_command_is_named_after_its_file() {
        for (program, expected) in [("/usr/bin/backup.sh", "backup.sh"), ("x", "x"), ("/", "/")] {
            assert_eq!(name(&[program.into(), "arg".into()]), expected);
        }
    }
}
