//! Signals: which ones are handled, and which of them are duplicates.
//!
//! signal-hook is used rather than ctrlc, which does not tell which signal came, does not handle
//! SIGUSR1, and handles a signal that `nohup` had ignored.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{
    SIGALRM, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH,
    SIGXFSZ,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::WithOrigin;
use signal_hook::iterator::exfiltrator::origin::Origin;
use signal_hook::low_level::siginfo::Cause;

use crate::input::command::real_time_signals;

/// Signals that are handled without a command.
const OWN: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGUSR1];

/// Further signals that are passed on to a command, in addition to the real-time signals.
const PASSED_ON: [i32; 5] = [SIGQUIT, SIGUSR2, SIGALRM, SIGWINCH, SIGCONT];

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedSignal {
    /// Its number.
    pub number: i32,
    /// Whether it came from the terminal, which sends it to every process in the foreground.
    pub is_from_terminal: bool,
}

impl ReceivedSignal {
    /// Whether it requests the end of a run.
    pub fn asks_for_end(self) -> bool {
        matches!(self.number, SIGINT | SIGTERM | SIGHUP | SIGQUIT)
    }

    /// Whether it requests the end of a command. To many programs SIGHUP means something else.
    pub fn asks_command_to_end(self) -> bool {
        self.asks_for_end() && self.number != SIGHUP
    }

    /// Whether it requests the summary so far.
    pub fn asks_for_summary(self) -> bool {
        self.number == SIGUSR1
    }
}

/// A signal that follows the same signal from the same process within this time is a duplicate.
/// `timeout` sends both within microseconds.
const REPEATED: Duration = Duration::from_millis(10);

/// The time for duplicates if one of the two signals comes from the terminal: a wrapper forwards the
/// signal that the terminal has sent to all processes.
const HANDED_ON: Duration = Duration::from_millis(50);

/// The time for duplicates of SIGHUP, which the shell sends to its jobs and the kernel sends when the
/// shell has ended. A terminal hangs up only once.
const HUNG_UP: Duration = Duration::from_secs(1);

/// Finds duplicate signals: `timeout` signals a process and then its group, which includes the
/// process; a closed terminal is signalled by both the shell and the kernel.
#[derive(Debug, Default)]
struct DuplicateFilter {
    before: Option<(i32, Option<i32>, Instant)>,
}

impl DuplicateFilter {
    /// Whether a signal repeats the one before. `sender` is `None` if the kernel sent it.
    fn is_duplicate(&mut self, signal: i32, sender: Option<i32>, now: Instant) -> bool {
        let before = self.before.replace((signal, sender, now));
        let Some((_, process, at)) = before.filter(|(number, ..)| *number == signal) else {
            return false;
        };
        let soon = match (process, sender) {
            (Some(one), Some(other)) if one == other => REPEATED,
            (Some(_), None) | (None, Some(_)) if signal == SIGHUP => HUNG_UP,
            (Some(_), None) | (None, Some(_)) => HANDED_ON,
            // Another process, or a key pressed twice.
            _ => return false,
        };
        now < at + soon
    }
}

/// Starts a thread that passes each signal to `deliver` for as long as the process lives; with
/// `for_command` also those that only a command handles. A signal that was ignored when the process
/// started (`nohup`) stays ignored.
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

/// Makes it possible to wait for children: while SIGCHLD is ignored, as it may be since the start,
/// the kernel discards their exit status.
///
/// # Errors
/// If the handler cannot be installed.
pub fn restore_sigchld() -> io::Result<()> {
    if is_ignored(SIGCHLD) {
        handle_and_forget(SIGCHLD)?;
    }
    Ok(())
}

/// Makes a write beyond the limit on file sizes (`ulimit -f`) an error like that of a full disk,
/// instead of the end of the process. A command that is started gets the signal's default back.
///
/// # Errors
/// If the handler cannot be installed.
pub fn survive_size_limit() -> io::Result<()> {
    if is_ignored(SIGXFSZ) {
        return Ok(());
    }
    handle_and_forget(SIGXFSZ)
}

/// Installs a handler that does nothing.
fn handle_and_forget(signal: i32) -> io::Result<()> {
    signal_hook::flag::register(signal, Arc::new(AtomicBool::new(false)))?;
    Ok(())
}

/// Whether the kernel sent a signal, for a key or for a terminal that hung up. (macOS reports no
/// cause, but no sender either.)
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
