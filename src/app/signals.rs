//! Signals: which ones are listened for, and which of them are one wish sent twice.
//!
//! signal-hook stands here in place of ctrlc, which cannot say which signal came, knows no SIGUSR1,
//! and takes a signal back that `nohup` had ignored.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::exfiltrator::origin::Origin;
use signal_hook::low_level::siginfo::Cause;

use crate::input::command::real_time_signals;

/// What is listened for where no command runs.
const OWN: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1];

/// What is listened for beside these to be passed on to a command. The real-time signals are, too.
const PASSED_ON: [i32; 5] = [SIGQUIT, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT];

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedSignal {
    /// Which.
    pub number: i32,
    /// Whether it came from the terminal, which sends it to every process in the foreground.
    pub is_from_terminal: bool,
}

impl ReceivedSignal {
    /// Whether it asks for the end of a run.
    pub fn asks_for_end(self) -> bool {
        matches!(self.number, SIGINT | SIGTERM | SIGHUP | SIGQUIT)
    }

    /// Whether it asks a command to end. SIGHUP means something else to many.
    pub fn asks_command_to_end(self) -> bool {
        self.asks_for_end() && self.number != SIGHUP
    }

    /// Whether it asks for the summary so far.
    pub fn asks_for_summary(self) -> bool {
        self.number == SIGUSR1
    }
}

/// How soon after a signal the same one from the same process is no second wish. `timeout` needs
/// microseconds.
const REPEATED: Duration = Duration::from_millis(10);

/// How soon after a key was pressed the same signal from a process is no second wish, or the other
/// way round: a wrapper hands on what the terminal gave to all.
const HANDED_ON: Duration = Duration::from_millis(50);

/// The same of a line that went down, which it does but once: the shell tells its jobs, the kernel
/// tells them when the shell is gone.
const HUNG_UP: Duration = Duration::from_secs(1);

/// Finds signals that are one wish sent twice: `timeout` signals a process and then its group, in
/// which the process is once more; a shell and the kernel both tell of a terminal that is closed.
#[derive(Debug, Default)]
struct DuplicateFilter {
    before: Option<(i32, Option<i32>, Instant)>,
}

impl DuplicateFilter {
    /// Whether a signal, of the kernel or of a process, is the one before once more.
    fn is_duplicate(&mut self, signal: i32, sender: Option<i32>, now: Instant) -> bool {
        let before = self.before.replace((signal, sender, now));
        let Some((_, process, at)) = before.filter(|(number, ..)| *number == signal) else {
            return false;
        };
        let soon = match (process, sender) {
            (Some(one), Some(other)) if one == other => REPEATED,
            (Some(_), None) | (None, Some(_)) if signal == SIGHUP => HUNG_UP,
            (Some(_), None) | (None, Some(_)) => HANDED_ON,
            // Somebody else's wish, or a key pressed twice.
            _ => return false,
        };
        now < at + soon
    }
}

/// Hands each signal to `deliver`, on a thread of its own, for as long as the process lives; with
/// `for_command` also those that are only a command's business. A signal that was ignored when the
/// process started (`nohup`) stays ignored.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn listen(
    for_command: bool,
    deliver: impl Fn(ReceivedSignal) + Send + 'static,
) -> io::Result<()> {
    let passed_on = PASSED_ON.into_iter().chain(real_time_signals());
    let wanted = OWN.into_iter().chain(passed_on.filter(|_| for_command));
    let wanted = wanted.filter(|&signal| !is_ignored(signal));
    let mut signals = SignalsInfo::<WithOrigin>::new(wanted)?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut duplicates = DuplicateFilter::default();
            for origin in signals.forever() {
                let sender = origin.process.map(|process| process.pid);
                let signal = ReceivedSignal {
                    number: origin.signal,
                    is_from_terminal: is_from_terminal(&origin),
                };
                if !signal.asks_for_end()
                    || !duplicates.is_duplicate(origin.signal, sender, Instant::now())
                {
                    deliver(signal);
                }
            }
        })?;
    Ok(())
}

/// Lets children be waited for. A process that was started with SIGCHLD ignored is never told how
/// they end; one that handles it is, whatever it does about it.
///
/// # Errors
/// If the handler cannot be installed.
pub fn restore_sigchld() -> io::Result<()> {
    if is_ignored(SIGCHLD) {
        signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
    }
    Ok(())
}

/// Whether nobody sent a signal: the kernel did, for a key or a line that went down. (macOS tells
/// no cause, but does not make up a sender.)
fn is_from_terminal(origin: &Origin) -> bool {
    match origin.cause {
        Cause::Kernel => true,
        Cause::Unknown => origin.process.is_none(),
        _ => false,
    }
}

/// Whether the process was started with this signal ignored.
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: with a null new action, sigaction changes nothing and only writes the present one
    // into `action`, which is valid for writes of that type and, zeroed, is initialised whatever
    // the call does; a signal number that does not exist makes it return -1. No handler runs and
    // no other thread is concerned. There is no safe way to ask: std and rustix have none.
    #[allow(unsafe_code, reason = "the argument stands above")]
    let (status, action) = unsafe {
        let status = libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        (status, action.assume_init())
    };
    status == 0 && action.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wish_sent_twice_is_one() {
        let (mut duplicates, start) = (DuplicateFilter::default(), Instant::now());
        assert!(!duplicates.is_duplicate(SIGTERM, Some(7), start));
        assert!(
            duplicates.is_duplicate(SIGTERM, Some(7), start),
            "timeout's"
        );
        let soon = start + REPEATED;
        assert!(
            !duplicates.is_duplicate(SIGTERM, Some(7), soon),
            "a script's second"
        );
        assert!(
            !duplicates.is_duplicate(SIGINT, Some(7), soon),
            "another wish"
        );
        assert!(
            !duplicates.is_duplicate(SIGINT, Some(8), soon),
            "somebody else's"
        );
        assert!(
            !duplicates.is_duplicate(SIGINT, Some(8), soon + REPEATED),
            "impatience"
        );
        let later = soon + HANDED_ON + REPEATED;
        assert!(
            !duplicates.is_duplicate(SIGINT, None, later),
            "the terminal's"
        );
        assert!(
            !duplicates.is_duplicate(SIGINT, None, later),
            "a key pressed twice"
        );
        assert!(
            duplicates.is_duplicate(SIGINT, Some(8), later + REPEATED),
            "handed on"
        );
        assert!(
            !duplicates.is_duplicate(SIGHUP, Some(7), later),
            "the shell's"
        );
        assert!(
            duplicates.is_duplicate(SIGHUP, None, later + HUNG_UP / 2),
            "its end"
        );
    }
}
