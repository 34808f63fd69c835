//! Waits between attempts, and keeps the deadline of the final flush.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::delivery::sender::SenderSettings;
use crate::http::time_for_body;
use crate::report::counters::Counters;
use crate::sync::flush_deadline::{AttemptTiming, FlushDeadline, MIN_FLUSH};
use crate::sync::shutdown::{Phase, Shutdown, ShutdownState};

/// Why a wait between attempts ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitResult {
    /// The next attempt is due.
    Retry,
    /// The deadline is near: there is time for one more attempt.
    LastTry,
    /// The deadline has passed.
    Shutdown,
}

/// The timer of the sender thread.
pub struct RetryTimer {
    stop: Arc<Shutdown>,
    counters: Arc<Counters>,
    timeout: Duration,
    /// The phase of the run at the last wait.
    phase: Phase,
    /// How long the last attempts took, and the last successful ones.
    took: Duration,
    usual: Duration,
    /// Whether the deadline is near and this is the last attempt.
    last_try: bool,
}

impl RetryTimer {
    /// Creates a timer at the start of a run.
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

    /// Called before a round of attempts.
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

    /// Called after a round of attempts.
    pub fn ended(&mut self, tries: AttemptTiming, went_well: bool) {
        self.counters.set_tries(None);
        self.took = tries.begin.elapsed();
        if went_well {
            self.usual = self.took;
        }
        // A success extends the deadline.
        self.last_try &= self.counters.last_accepted() <= Some(tries.begin);
    }

    /// Marks the next attempts as the last ones.
    pub fn set_last_try(&mut self) {
        self.last_try = true;
    }

    /// Whether these are the last attempts.
    pub fn is_last_try(&self) -> bool {
        self.last_try
    }

    /// Whether there is no time for another attempt: after the last one, unless it failed quickly,
    /// and after one that hung until the deadline.
    pub fn is_through(&self) -> bool {
        let Some(deadline) = self.deadline(self.stop.state()) else {
            return self.last_try;
        };
        let now = Instant::now();
        let hung = self.took >= MIN_FLUSH / 2;
        self.last_try && deadline.ends() <= now || hung && deadline.over_by(None) <= now
    }

    /// Whether a second signal has asked to stop at once.
    pub fn is_over(&self) -> bool {
        self.stop.state().phase == Phase::Aborting
    }

    /// Whether a stop was requested and the time that remains is too short for another request.
    pub fn is_late(&self) -> bool {
        let state = self.stop.state();
        let deadline = self
            .deadline(state)
            .filter(|_| state.phase > Phase::Running);
        deadline.is_some_and(|deadline| deadline.ends() <= Instant::now() + self.usual)
    }

    /// Whether a stop was requested since the last wait: waiting requests are then sent at once.
    pub fn has_advanced(&mut self) -> bool {
        let phase = self.stop.state().phase;
        std::mem::replace(&mut self.phase, phase) < phase
    }

    /// The timeout for another request, if `body` bytes are sent in total: after a signal no longer
    /// than the time that remains. Returns `None` if none may be started any more.
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

    /// Waits for the next attempt.
    pub fn wait(&mut self, due: Instant) -> WaitResult {
        let mut view = self.stop.state();
        loop {
            if view.phase == Phase::Aborting {
                return WaitResult::Shutdown;
            }
            // A stop was requested: waiting requests are sent at once.
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
