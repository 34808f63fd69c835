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
            timeout: delivery.timeout,
            phase: Phase::Running,
            took: Duration::ZERO,
            usual: Duration::ZERO,
            last_try: false,
        }
    }

    /// Tries are about to begin.
    pub fn begin(&self) -> AttemptTiming {
        let begin = Instant::now();
        let tries = AttemptTiming {
            begin,
            last: self.last_try,
            usual: self.usual,
            until: begin,
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
        let Some(deadline) = self.deadline(self.stop.state()) else {
            return self.last_try;
        };
        let now = Instant::now();
        let hung = self.took >= MIN_FLUSH / 2;
        self.last_try && deadline.ends() <= now || hung && deadline.over_by(None) <= now
    }

    /// Whether everything is to stop at once.
    pub fn is_over(&self) -> bool {
        self.stop.state().phase == Phase::Aborting
    }

    /// Whether a stop was asked for, and what it left of time is over, or too short for one more
    /// request.
    pub fn is_late(&self) -> bool {
        let state = self.stop.state();
        let deadline = self
            .deadline(state)
            .filter(|_| state.phase > Phase::Running);
        deadline.is_some_and(|deadline| deadline.ends() <= Instant::now() + self.usual)
    }

    /// Whether a stop was asked for since a wait last looked: what waits is tried at once.
    pub fn has_advanced(&mut self) -> bool {
        let phase = self.stop.state().phase;
        std::mem::replace(&mut self.phase, phase) < phase
    }

    /// How long one more of these may take, sent together with others of so many bytes: after a
    /// signal, no longer than is left. None if none may begin any more.
    pub fn timeout(&self, tries: AttemptTiming, body: usize) -> Option<Duration> {
        let now = Instant::now();
        let mut timeout = time_for_body(self.timeout, body);
        if let Some(deadline) = self.deadline(self.stop.state()) {
            if !deadline.may_begin(tries, now) {
                return None;
            }
            if let Some(by) = deadline.answers_by(tries) {
                timeout = timeout.min(by.saturating_duration_since(now));
            }
        }
        self.counters.set_tries_until(now + timeout);
        Some(timeout)
    }

    /// Waits for the next try.
    pub fn wait(&mut self, due: Instant) -> WaitResult {
        let mut view = self.stop.state();
        loop {
            if view.phase == Phase::Aborting {
                return WaitResult::Shutdown;
            }
            // A stop was asked for: what waits is tried at once.
            if std::mem::replace(&mut self.phase, view.phase) < view.phase {
                return WaitResult::Retry;
            }
            let end = self.deadline(view).and_then(|deadline| {
                let reserve = if self.last_try {
                    Duration::ZERO
                } else {
                    deadline.reserve(self.took)
                };
                deadline.ends().checked_sub(reserve)
            });
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

    fn deadline(&self, state: ShutdownState) -> Option<FlushDeadline> {
        FlushDeadline::of(state, self.counters.last_accepted())
    }
}
