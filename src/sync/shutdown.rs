//! Stopping is a phase, not a message: what every stage looks at, and waits on, to know whether
//! the run goes on.
//!
//! Knows no stage. A change wakes whoever waits here and runs the hooks that were left, which is
//! how queues learn of it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How a run goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Input is read, everything is sent in its time.
    Running,
    /// A stop was asked for: what was read is sent at once.
    Winding,
    /// A second stop was asked for, or the time is over.
    Now,
}

/// The state of the run at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownState {
    /// The phase.
    pub phase: Phase,
    /// Since when nothing more is read.
    pub input_ended: Option<Instant>,
}

type Hook = Box<dyn Fn() + Send + Sync>;

/// The one place where a run is told to end.
pub struct Shutdown {
    view: Mutex<ShutdownState>,
    changed: Condvar,
    hooks: Mutex<Vec<Hook>>,
}

impl Shutdown {
    /// A run that goes on.
    pub fn new() -> Self {
        let view = ShutdownState {
            phase: Phase::Running,
            input_ended: None,
        };
        Self {
            view: Mutex::new(view),
            changed: Condvar::new(),
            hooks: Mutex::default(),
        }
    }

    /// The state now.
    pub fn view(&self) -> ShutdownState {
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
        self.change(|view| view.phase = view.phase.max(phase));
    }

    /// Notes that nothing more will be read.
    pub fn end_input(&self, now: Instant) {
        self.change(|view| view.input_ended = view.input_ended.or(Some(now)));
    }

    /// Waits until `until` (for ever with None) or until the state differs from `seen`.
    pub fn wait(&self, until: Option<Instant>, seen: ShutdownState) -> ShutdownState {
        let mut view = self.lock();
        while *view == seen {
            view = match until.map(|end| end.saturating_duration_since(Instant::now())) {
                None => self
                    .changed
                    .wait(view)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => {
                    self.changed
                        .wait_timeout(view, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        *view
    }

    fn change(&self, change: impl FnOnce(&mut ShutdownState)) {
        change(&mut self.lock());
        self.changed.notify_all();
        for hook in self
            .hooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            hook();
        }
    }

    fn lock(&self) -> MutexGuard<'_, ShutdownState> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
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
    use std::time::Duration;

    #[test]
    fn phases_only_advance_and_hooks_run() {
        let (stop, runs) = (Shutdown::new(), Arc::new(AtomicUsize::new(0)));
        stop.on_change({
            let runs = Arc::clone(&runs);
            move || {
                runs.fetch_add(1, Ordering::SeqCst);
            }
        });
        stop.advance(Phase::Now);
        stop.advance(Phase::Winding);
        assert_eq!(stop.view().phase, Phase::Now);
        assert_eq!(runs.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn the_end_of_input_keeps_its_first_time() {
        let stop = Shutdown::new();
        let first = Instant::now();
        stop.end_input(first);
        stop.end_input(first + Duration::from_secs(1));
        assert_eq!(stop.view().input_ended, Some(first));
    }

    #[test]
    fn a_wait_ends_with_a_change_or_its_time() {
        let stop = Shutdown::new();
        let seen = stop.view();
        assert_eq!(stop.wait(Some(Instant::now()), seen), seen);
        std::thread::scope(|scope| {
            scope.spawn(|| stop.advance(Phase::Winding));
            assert_eq!(stop.wait(None, seen).phase, Phase::Winding);
        });
    }
}
