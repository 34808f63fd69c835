//! The shutdown state of a run, which every stage checks and can wait for.
//!
//! A change wakes all threads that wait here, and calls the registered hooks, which wake the queues. The
//! run loop decides when the state changes.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Input is read, and batches are sent when they are due.
    Running,
    /// A stop was requested: what was read is sent at once.
    Draining,
    /// A second stop was requested, or the time for the flush has run out.
    Aborting,
}

/// The flush at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flush {
    /// When it started.
    pub since: Instant,
    /// How long it may go without progress; after a signal, how long it may take in total.
    pub timeout: Duration,
}

/// The state of a run at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownState {
    /// The phase.
    pub phase: Phase,
    /// The final flush, once it has started.
    pub flush: Option<Flush>,
    /// Whether sources that can be read again must end.
    pub reading_over: bool,
}

impl ShutdownState {
    /// The state of a run that has not been stopped.
    pub const RUNNING: Self = Self {
        phase: Phase::Running,
        flush: None,
        reading_over: false,
    };
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// The shutdown state, shared by all threads of a run.
pub struct Shutdown {
    state: Mutex<ShutdownState>,
    changed: Condvar,
    hooks: Mutex<Vec<Hook>>,
}

impl Shutdown {
    /// Creates the state of a run that has not been stopped.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(ShutdownState::RUNNING),
            changed: Condvar::new(),
            hooks: Mutex::default(),
        }
    }

    /// The state now.
    pub fn state(&self) -> ShutdownState {
        *self.lock()
    }

    /// Runs `hook` at every change from now on, on the thread that makes it.
    pub fn on_change(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.hooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Box::new(hook));
    }

    /// Enters a later phase; an earlier one is ignored.
    pub fn advance(&self, phase: Phase) {
        self.change(|state| state.phase = state.phase.max(phase));
    }

    /// Starts the final flush. If it has started already, only its timeout changes.
    pub fn start_flush(&self, now: Instant, timeout: Duration) {
        self.change(|state| {
            let since = state.flush.map_or(now, |flush| flush.since);
            state.flush = Some(Flush { since, timeout });
        });
    }

    /// Tells sources that can be read again to end.
    #[cfg(feature = "cli")]
    pub fn stop_reading(&self) {
        self.change(|state| state.reading_over = true);
    }

    /// Waits until `until` (for ever with None) or until the state differs from `seen`.
    pub fn wait(&self, until: Option<Instant>, seen: ShutdownState) -> ShutdownState {
        let mut state = self.lock();
        while *state == seen {
            state = match until.map(|end| end.saturating_duration_since(Instant::now())) {
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    self.changed
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        *state
    }

    fn change(&self, change: impl FnOnce(&mut ShutdownState)) {
        change(&mut self.lock());
        self.changed.notify_all();
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        for hook in hooks.iter() {
            hook();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ShutdownState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn phases_only_advance_and_hooks_run() {
        let (shutdown, runs) = (Shutdown::new(), Arc::new(AtomicUsize::new(0)));
        shutdown.on_change({
            let runs = Arc::clone(&runs);
            move || {
                runs.fetch_add(1, Ordering::SeqCst);
            }
        });
        shutdown.advance(Phase::Aborting);
        shutdown.advance(Phase::Draining);
        assert_eq!(shutdown.state().phase, Phase::Aborting);
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn the_flush_keeps_its_beginning_and_gets_a_new_time() {
        let shutdown = Shutdown::new();
        let (since, second) = (Instant::now(), Duration::from_secs(1));
        shutdown.start_flush(since, second * 30);
        shutdown.start_flush(since + second, second * 5);
        let timeout = second * 5;
        assert_eq!(shutdown.state().flush, Some(Flush { since, timeout }));
    }

    #[test]
    fn a_wait_ends_with_a_change_or_its_time() {
        let shutdown = Shutdown::new();
        let seen = shutdown.state();
        assert_eq!(shutdown.wait(Some(Instant::now()), seen), seen);
        std::thread::scope(|scope| {
            scope.spawn(|| shutdown.advance(Phase::Draining));
            assert_eq!(shutdown.wait(None, seen).phase, Phase::Draining);
        });
    }
}
