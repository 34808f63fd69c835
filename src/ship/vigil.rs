//! The vigil: how long shipping may wait for its next try, and how near its end is.
//!
//! Waits, in `stop`. Knows the phase of the run and when Loki last took something. Knows no
//! request, no answer and no text.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Delivery;
use crate::ledger::Ledger;
use crate::retry::Patience;
use crate::stop::{Phase, Stop, View};

/// The least time a request gets, however near the end is.
const LEAST_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a wait between tries ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// It is time for the next try.
    Retry,
    /// The time is over after one more try.
    LastTry,
    /// The time is over.
    Stop,
}

/// Watches the end of the run while shipping waits.
pub struct Vigil {
    stop: Arc<Stop>,
    ledger: Arc<Ledger>,
    patience: Patience,
    timeout: Duration,
    /// The phase when a wait last looked.
    phase: Phase,
}

impl Vigil {
    /// Watches from the beginning of a run.
    pub fn new(stop: Arc<Stop>, ledger: Arc<Ledger>, delivery: &Delivery) -> Self {
        Self {
            stop,
            ledger,
            patience: delivery.patience,
            timeout: delivery.timeout,
            phase: Phase::Running,
        }
    }

    /// Whether everything is to stop at once.
    pub fn is_over(&self) -> bool {
        self.stop.view().phase == Phase::Now
    }

    /// Whether a stop was asked for, and the time that it left is over.
    pub fn is_late(&self) -> bool {
        let view = self.stop.view();
        let end = self.ends(view).filter(|_| view.phase > Phase::Running);
        end.is_some_and(|end| end <= Instant::now())
    }

    /// Whether a stop was asked for since a wait last looked: what waits is tried at once.
    pub fn has_advanced(&mut self) -> bool {
        let phase = self.stop.view().phase;
        std::mem::replace(&mut self.phase, phase) < phase
    }

    /// How long a request may take now: near the end, no longer than is left.
    pub fn timeout(&self) -> Duration {
        let left = self
            .ends(self.stop.view())
            .map(|end| end - Instant::now().min(end));
        left.map_or(self.timeout, |left| {
            left.max(LEAST_TIMEOUT).min(self.timeout)
        })
    }

    /// Waits for the next try.
    pub fn wait(&mut self, due: Instant) -> Wake {
        let mut view = self.stop.view();
        loop {
            if view.phase == Phase::Now {
                return Wake::Stop;
            }
            // A stop was asked for: what waits is tried at once.
            if std::mem::replace(&mut self.phase, view.phase) < view.phase {
                return Wake::Retry;
            }
            let end = self.ends(view);
            let until = end.map_or(due, |end| end.min(due));
            if Instant::now() >= until {
                return if end.is_some_and(|end| end <= due) {
                    Wake::LastTry
                } else {
                    Wake::Retry
                };
            }
            view = self.stop.wait(Some(until), view);
        }
    }

    fn ends(&self, view: View) -> Option<Instant> {
        self.patience.ends(view, self.ledger.last_accepted())
    }
}
