//! The vigil: how long shipping may wait for its next try, and how near its end is.
//!
//! Waits, in `stop`. Knows the phase of the run and when Loki last took something. Knows no
//! request, no answer and no text.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::delivery::sender::SenderSettings;
use crate::http::time_for_body;
use crate::report::counters::Counters;
use crate::sync::flush_deadline::{AttemptTiming, FlushDeadline, MIN_FLUSH};
use crate::sync::shutdown::{Phase, Shutdown, ShutdownState};

/// Why a wait between tries ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitResult {
    /// It is time for the next try.
    Retry,
    /// The time is over after one more try, for which some is left.
    LastTry,
    /// The time is over.
    Shutdown,
}

/// Watches the end of the run while shipping waits.
pub struct RetryTimer {
    stop: Arc<Shutdown>,
    counters: Arc<Counters>,
    patience: FlushDeadline,
    timeout: Duration,
    /// The phase when a wait last looked.
    phase: Phase,
    /// How long the last tries took, and the last ones that went well.
    took: Duration,
    usual: Duration,
    /// Whether the time is over, and what is under way is tried once more.
    last_try: bool,
}

impl RetryTimer {
    /// Watches from the beginning of a run.
    pub fn new(stop: Arc<Shutdown>, counters: Arc<Counters>, delivery: &SenderSettings) -> Self {
        Self {
            stop,
            counters,
            patience: delivery.patience,
            timeout: delivery.timeout,
            phase: Phase::Running,
            took: Duration::ZERO,
            usual: Duration::ZERO,
            last_try: false,
        }
    }

    /// Tries are about to begin.
    pub fn begin(&self) -> AttemptTiming {
        let tries = AttemptTiming {
            begin: Instant::now(),
            last: self.last_try,
            usual: self.usual,
        };
        self.counters.set_tries(Some(tries));
        tries
    }

    /// They are over.
    pub fn ended(&mut self, tries: AttemptTiming, went_well: bool) {
        self.counters.set_tries(None);
        self.took = tries.begin.elapsed();
        if went_well {
            self.usual = self.took;
        }
        // There is time again.
        self.last_try &= self.counters.last_accepted() <= Some(tries.begin);
    }

    /// Notes that what is tried now is tried for the last time.
    pub fn set_last_try(&mut self) {
        self.last_try = true;
    }

    /// Whether what is tried now is tried for the last time.
    pub fn is_last_try(&self) -> bool {
        self.last_try
    }

    /// Whether no time is left for another try: after the last one, and after one that hung until
    /// the run must be over. A last one that failed at once after others that hung leaves some.
    pub fn is_through(&self) -> bool {
        let (view, accepted) = (self.stop.view(), self.counters.last_accepted());
        let now = Instant::now();
        let is_past = |end: Option<Instant>| end.is_none_or(|end| end <= now);
        let hung = self.took >= MIN_FLUSH / 2;
        self.last_try && is_past(self.patience.ends(view, accepted))
            || hung
                && self
                    .patience
                    .over_by(view, accepted)
                    .is_some_and(|end| end <= now)
    }

    /// Whether everything is to stop at once.
    pub fn is_over(&self) -> bool {
        self.stop.view().phase == Phase::Now
    }

    /// Whether a stop was asked for, and what it left of time is over, or too short for one more
    /// request.
    pub fn is_late(&self) -> bool {
        let view = self.stop.view();
        let end = self.ends(view).filter(|_| view.phase > Phase::Running);
        end.is_some_and(|end| end <= Instant::now() + self.usual)
    }

    /// Whether a stop was asked for since a wait last looked: what waits is tried at once.
    pub fn has_advanced(&mut self) -> bool {
        let phase = self.stop.view().phase;
        std::mem::replace(&mut self.phase, phase) < phase
    }

    /// How long a request with a body of this size may take: near the end, no longer than is left.
    /// None if nothing is.
    pub fn timeout(&self, tries: AttemptTiming, body: usize) -> Option<Duration> {
        let accepted = self.counters.last_accepted();
        let by = self.patience.answers_by(self.stop.view(), accepted, tries);
        let timeout = time_for_body(self.timeout, body);
        let left = by.map_or(timeout, |by| {
            by.saturating_duration_since(Instant::now()).min(timeout)
        });
        (!left.is_zero()).then_some(left)
    }

    /// Waits for the next try.
    pub fn wait(&mut self, due: Instant) -> WaitResult {
        let mut view = self.stop.view();
        loop {
            if view.phase == Phase::Now {
                return WaitResult::Shutdown;
            }
            // A stop was asked for: what waits is tried at once.
            if std::mem::replace(&mut self.phase, view.phase) < view.phase {
                return WaitResult::Retry;
            }
            let end = self.ends(view);
            let end = if self.last_try {
                end
            } else {
                end.and_then(|end| end.checked_sub(self.patience.reserve(self.took)))
            };
            let until = end.map_or(due, |end| end.min(due));
            if Instant::now() >= until {
                return if end.is_some_and(|end| end <= due) {
                    WaitResult::LastTry
                } else {
                    WaitResult::Retry
                };
            }
            view = self.stop.wait(Some(until), view);
        }
    }

    fn ends(&self, view: ShutdownState) -> Option<Instant> {
        self.patience.ends(view, self.counters.last_accepted())
    }
}
