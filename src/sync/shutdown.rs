//! How a run is told to end: a state that every stage looks at, and can wait on.
//!
//! A change wakes whoever waits here and runs the hooks that were left, which is how queues learn
//! of it. When the state changes is decided elsewhere.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Input is read, and everything is sent in its time.
    Running,
    /// A stop was requested: what was read is sent at once.
    Draining,
    /// A second stop was requested, or the time is over.
    Aborting,
}

/// The flush at the end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flush {
    /// Since when its time counts.
    pub since: Instant,
    /// How long nothing may happen until it is given up; after a signal, how long it takes in all.
    pub timeout: Duration,
}

/// The state of a run at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownState {
    /// The phase.
    pub phase: Phase,
    /// The flush at the end, once its time counts.
    pub flush: Option<Flush>,
    /// Whether sources that can be read again must end.
    pub reading_over: bool,
}

impl ShutdownState {
    /// A run that goes on.
    pub const RUNNING: Self = Self {
        phase: Phase::Running,
        flush: None,
        reading_over: false,
    };
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// The one place where a run is told to end.
pub struct Shutdown {
    state: Mutex<ShutdownState>,
    changed: Condvar,
    hooks: Mutex<Vec<Hook>>,
}

impl Shutdown {
    /// A run that goes on.
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

    /// Goes on to a later phase; an earlier one changes nothing.
    pub fn advance(&self, phase: Phase) {
        self.change(|state| state.phase = state.phase.max(phase));
    }

    /// Starts the clock of the flush. A clock that runs already is not set back, but gets the new
    /// time.
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
