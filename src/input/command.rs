//! Starts a command, passes signals on to it and waits for its end. Its output is read like any pipe.

use std::ffi::{OsStr, OsString};
use std::io::{self, PipeWriter};
use std::ops::RangeInclusive;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{self, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpgid, kill_process, wait, waitid,
};

/// The exit status for a command that was found but cannot be executed, as in shells.
const CANNOT_EXECUTE: u8 = 126;

/// The exit status for a command that does not exist.
const NOT_FOUND: u8 = 127;

/// The exit status if no process can be created, as in `env` and `timeout`.
const NO_PROCESS: u8 = 125;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The exit status as in shells: 128 + n for signal n.
    pub status: u8,
    /// Whether a signal ended it.
    pub by_signal: bool,
    /// How long the command ran.
    pub took: Duration,
}

impl Exit {
    /// The result for a command that could not be started.
    pub fn not_started(status: u8) -> Self {
        Self {
            status,
            by_signal: false,
            took: Duration::ZERO,
        }
    }

    fn new(ended: ExitStatus, took: Duration) -> Self {
        Self {
            status: shell_status(ended),
            by_signal: ended.signal().is_some(),
            took,
        }
    }
}

/// A command that could not be started.
#[derive(Debug)]
pub struct SpawnError {
    /// The exit status that shells use for it.
    pub status: u8,
    /// The reason.
    pub why: io::Error,
}

/// A running command. Clones share it.
#[derive(Debug, Clone)]
pub struct ChildProcess {
    pid: Option<Pid>,
    began: Instant,
    process: Arc<Mutex<Process>>,
}

#[derive(Debug)]
struct Process {
    child: process::Child,
    /// Whether it was reaped, so that another process may have its process id.
    is_reaped: bool,
}

/// The name of a command: its file name.
pub fn name(command: &[OsString]) -> String {
    let program = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let file = Path::new(program).file_name().unwrap_or(program);
    file.to_string_lossy().into_owned()
}

/// Starts a command. It inherits standard input, and its output goes into these pipes.
///
/// # Errors
/// If it cannot be started; the error has the exit status that shells use for it.
pub fn start(
    command: &[OsString],
    stdout: &PipeWriter,
    stderr: &PipeWriter,
) -> Result<ChildProcess, SpawnError> {
    let program = command.first().map_or(OsStr::new(""), OsString::as_os_str);
    let began = Instant::now();
    let spawn = |program: &OsStr, args: &[OsString]| {
        Command::new(program)
            .args(args)
            .stdin(Stdio::inherit())
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?)
            .spawn()
    };
    let spawned = match spawn(program, command.get(1..).unwrap_or_default()) {
        // Like execvp, run a script without `#!` with the shell.
        Err(why) if Errno::from_io_error(&why) == Some(Errno::NOEXEC) => {
            match find_in_path(program) {
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
    let child = spawned.map_err(|why| SpawnError {
        status: match Errno::from_io_error(&why) {
            Some(Errno::NOENT) => NOT_FOUND,
            Some(Errno::AGAIN | Errno::NOMEM | Errno::MFILE | Errno::NFILE) => NO_PROCESS,
            _ => CANNOT_EXECUTE,
        },
        why,
    })?;
    let pid = Pid::from_raw(child.id() as i32);
    let process = Process {
        child,
        is_reaped: false,
    };
    Ok(ChildProcess {
        pid,
        began,
        process: Arc::new(Mutex::new(process)),
    })
}

impl ChildProcess {
    /// Passes a signal on, unless the command has ended: another process may have its id then.
    pub fn forward_signal(&self, signal: i32) {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(pid), Some(signal)) = (self.pid, to_signal(signal)) else {
            return;
        };
        if !process.is_reaped {
            // A command of another user (sudo) cannot be signalled; it is only waited for.
            let _ = kill_process(pid, signal);
        }
    }

    /// Whether the terminal sends signals to the command, too. It does unless the command has a process
    /// group of its own.
    pub fn shares_terminal(&self) -> bool {
        match (self.pid, getpgid(None)) {
            (Some(pid), Ok(own)) => getpgid(Some(pid)).is_ok_and(|group| group == own),
            _ => true,
        }
    }

    /// Waits for the end without reaping, so that the process id stays in use, and then reaps under the
    /// lock that [`ChildProcess::forward_signal`] also holds.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub fn wait(&self) -> io::Result<Exit> {
        if is_first_process() {
            return self.wait_and_reap();
        }
        if let Some(pid) = self.pid {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
        }
        let took = self.began.elapsed();
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.is_reaped = true;
        Ok(Exit::new(process.child.wait()?, took))
    }

    /// The same for process 1 of a container, which becomes the parent of all orphans: they are reaped
    /// until the command ends.
    fn wait_and_reap(&self) -> io::Result<Exit> {
        loop {
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let took = self.began.elapsed();
            let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
            while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                if Some(pid) == self.pid {
                    process.is_reaped = true;
                    return Ok(Exit::new(ExitStatus::from_raw(status.as_raw()), took));
                }
            }
        }
    }
}

/// Reaps the orphans that process 1 of a container still has after its command has ended. Does nothing
/// in any other process.
pub fn reap_orphans() {
    while is_first_process() {
        match wait(WaitOptions::empty()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Whether this is process 1, of a container or of the system.
fn is_first_process() -> bool {
    process::id() == 1
}

/// The numbers of the real-time signals, on systems that have them.
pub fn real_time_signals() -> RangeInclusive<i32> {
    #[cfg(target_os = "linux")]
    let numbers = libc::SIGRTMIN()..=libc::SIGRTMAX();
    #[cfg(not(target_os = "linux"))]
    let numbers = 1..=0;
    numbers
}

/// The signal with this number, if it can be sent to a command.
fn to_signal(number: i32) -> Option<Signal> {
    let is_real_time = |number: &i32| real_time_signals().contains(number);
    Signal::from_named_raw(number).or_else(|| {
        let number = Some(number).filter(is_real_time)?;
        // SAFETY: every number from SIGRTMIN to SIGRTMAX is a signal that the system's library
        // leaves to programs; rustix has no checked constructor for them.
        #[allow(unsafe_code, reason = "the argument stands above")]
        Some(unsafe { Signal::from_raw_unchecked(number) })
    })
}

/// Converts the status of a process to an exit status as in shells.
fn shell_status(ended: ExitStatus) -> u8 {
    let status = ended.code().or(ended.signal().map(|n| 128 + n));
    status.map_or(u8::MAX, |status| status as u8)
}

/// The path at which `execvp` finds a program.
pub fn find_in_path(program: &OsStr) -> Option<OsString> {
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

    fn started(command: &[&str]) -> Result<ChildProcess, SpawnError> {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let (_reader, writer) = io::pipe().unwrap();
        start(&command, &writer, &writer)
    }

    fn run(command: &[&str], signal: Option<i32>) -> Exit {
        let child = started(command).unwrap();
        if let Some(signal) = signal {
            child.forward_signal(signal);
        }
        let exit = child.wait().unwrap();
        // Nobody is there any more; nobody else must be met.
        child.forward_signal(15);
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
        let status = |program: &str| started(&[program]).unwrap_err().status;
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

    #[test]
    fn only_what_the_system_leaves_to_programs_is_a_signal() {
        let real_time = real_time_signals();
        for number in (-1..=100).filter(|number| !real_time.contains(number)) {
            let is_named = Signal::from_named_raw(number).is_some();
            assert_eq!(to_signal(number).is_some(), is_named, "{number}");
        }
        assert!(real_time.clone().all(|number| to_signal(number).is_some()));
        assert!(!cfg!(target_os = "linux") || real_time.count() > 20);
    }
}
