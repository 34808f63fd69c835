//! The deadline of the final flush: when the last attempts are made and when the run gives up.

use std::time::{Duration, Instant};

use crate::sync::shutdown::{Flush, Phase, ShutdownState};

/// The minimum time for requests after the end of input: no Loki could answer faster.
pub const MIN_FLUSH: Duration = Duration::from_millis(500);

/// The minimum time for a request, from when it is sent.
const MIN_ATTEMPT: Duration = Duration::from_millis(250);

/// How long after the deadline a run may take to exit: the last attempt may begin at the deadline, and
/// its result is still recorded.
pub const GRACE: Duration = Duration::from_millis(300);

/// The divisor that gives the share of the flush timeout reserved for the last attempt, so that a
/// hanging Loki does not use it up.
const LAST_TRY_SHARE: u32 = 4;

const LAST_TRY_MAX: Duration = Duration::from_secs(1);

/// If attempts fail faster than this, the last one begins at the deadline. Slower ones need time to
/// complete: then the last one begins earlier, by `AHEAD` times the duration of the one before it.
const AT_ONCE: Duration = Duration::from_millis(50);

const AHEAD: u32 = 4;

/// The deadline of the final flush.
///
/// Without a signal, the flush is given up after a time without progress; a request that was sent before
/// then keeps its own timeout. After a signal, the time is a total: the last attempt must end by then,
/// or begin by then if attempts end at once.
#[derive(Debug, Clone, Copy)]
pub struct FlushDeadline {
    from: Instant,
    timeout: Duration,
    is_total: bool,
}

impl FlushDeadline {
    /// The deadline, or None if no flush has started. `progress` is when a request last succeeded.
    pub fn of(state: ShutdownState, progress: Option<Instant>) -> Option<Self> {
        let Flush { since, timeout } = state.flush?;
        let is_total = state.phase > Phase::Running;
        let progress = progress.filter(|_| !is_total);
        Some(Self {
            from: progress.map_or(since, |progress| progress.max(since)),
            timeout,
            is_total,
        })
    }

    /// When to give up.
    pub fn ends(&self) -> Instant {
        self.from + self.timeout
    }

    /// When the run ends, whatever Loki does.
    pub fn over_by(&self, under_way: Option<AttemptTiming>) -> Instant {
        let over = self.from + self.timeout.max(MIN_FLUSH);
        match under_way {
            Some(attempt) if !self.is_total => over.max(attempt.until),
            _ => over,
        }
    }

    /// When attempts that began before the flush are aborted, so that there is time for a last one, and the
    /// minimum duration that they are given. None for attempts that began during the flush.
    pub fn breaks_off(
        &self,
        flush_since: Instant,
        attempt: AttemptTiming,
    ) -> Option<(Instant, Instant)> {
        let at = self.answers_by(attempt)?;
        let later_than = self.over_by(None) + MIN_ATTEMPT;
        (attempt.begin <= flush_since).then_some((at, later_than))
    }

    /// The time by which requests must be answered, if their own timeout is not earlier.
    pub fn answers_by(&self, attempt: AttemptTiming) -> Option<Instant> {
        if !self.is_total {
            return None;
        }
        let kept = if attempt.last {
            Duration::ZERO
        } else {
            self.kept()
        };
        let usual = (attempt.begin + attempt.usual * 2).min(self.ends());
        let all_but_kept = self.from + self.timeout.saturating_sub(kept);
        let by = all_but_kept.max(usual).max(self.from + MIN_FLUSH);
        Some(by.max(attempt.begin + MIN_ATTEMPT))
    }

    /// Whether one more request of an attempt may begin.
    pub fn may_begin(&self, attempt: AttemptTiming, now: Instant) -> bool {
        let until = self.ends().max(attempt.begin + MIN_ATTEMPT);
        now < self.answers_by(attempt).unwrap_or(until)
    }

    /// How long before the end the last attempt begins, if the one before it took this long.
    pub fn reserve(&self, took: Duration) -> Duration {
        // Without a signal a request may take longer than the flush timeout.
        if took < AT_ONCE || !self.is_total {
            return Duration::ZERO;
        }
        (took * AHEAD).min(self.kept())
    }

    fn kept(&self) -> Duration {
        (self.timeout / LAST_TRY_SHARE).min(LAST_TRY_MAX)
    }
}

/// The requests of one round, which are about to begin.
#[derive(Debug, Clone, Copy)]
pub struct AttemptTiming {
    /// When the round begins.
    pub begin: Instant,
    /// Whether the round is the last.
    pub last: bool,
    /// The duration of the last successful round.
    pub usual: Duration,
    /// When the requests that have begun will have reached their own timeouts.
    pub until: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A flush of this many milliseconds.
    fn state(phase: Phase, since: Instant, timeout: u64) -> ShutdownState {
        ShutdownState {
            phase,
            flush: Some(Flush {
                since,
                timeout: ms(timeout),
            }),
            ..ShutdownState::RUNNING
        }
    }

    fn attempt(begin: Instant, last: bool, usual: u64) -> AttemptTiming {
        AttemptTiming {
            begin,
            last,
            usual: ms(usual),
            until: begin + ms(10_000),
        }
    }

    #[test]
    fn the_end_counts_from_the_last_progress_unless_a_signal_came() {
        let start = Instant::now();
        let later = start + ms(5_000);
        let ends = |state, progress| FlushDeadline::of(state, progress).map(|by| by.ends());
        assert_eq!(ends(ShutdownState::RUNNING, Some(later)), None);
        let running = state(Phase::Running, start, 30_000);
        assert_eq!(ends(running, None), Some(start + ms(30_000)));
        assert_eq!(ends(running, Some(later)), Some(later + ms(30_000)));
        let earlier = start.checked_sub(ms(1));
        assert_eq!(ends(running, earlier), Some(start + ms(30_000)));
        let asked = state(Phase::Draining, start, 30_000);
        assert_eq!(ends(asked, Some(later)), Some(start + ms(30_000)));
    }

    #[test]
    fn without_a_signal_a_request_under_way_has_until_its_own_timeout() {
        let start = Instant::now();
        let by = FlushDeadline::of(state(Phase::Running, start, 5_000), None).unwrap();
        let under_way = attempt(start + ms(4_000), false, 0);
        assert_eq!(by.answers_by(under_way), None);
        assert_eq!(by.breaks_off(start, attempt(start, false, 0)), None);
        assert_eq!(by.over_by(Some(under_way)), start + ms(14_000));
        assert_eq!(by.over_by(None), start + ms(5_000));
        // None begins when the time is over, but the first of a round that began just then.
        assert!(by.may_begin(under_way, start + ms(4_999)));
        assert!(!by.may_begin(under_way, start + ms(5_000)));
        let last = attempt(start + ms(5_000), true, 0);
        assert!(by.may_begin(last, start + ms(5_010)));
        assert!(!by.may_begin(last, start + ms(5_000) + MIN_ATTEMPT));
        assert_eq!(by.reserve(ms(10_000)), ms(0));
    }

    #[test]
    fn after_a_signal_the_last_attempt_is_over_when_the_time_is() {
        let ended = Instant::now();
        for (flush, hangs_until, last_until) in [
            (0, 500, 500),
            (500, 500, 500),
            (1_000, 750, 1_000),
            (3_000, 2_250, 3_000),
            (30_000, 29_000, 30_000),
        ] {
            let by = FlushDeadline::of(state(Phase::Draining, ended, flush), None).unwrap();
            let answers_by = |last| by.answers_by(attempt(ended, last, 0));
            assert_eq!(answers_by(false), Some(ended + ms(hangs_until)), "{flush}");
            assert_eq!(answers_by(true), Some(ended + ms(last_until)), "{flush}");
            let under_way = attempt(ended, true, 0);
            assert_eq!(Some(by.over_by(Some(under_way))), answers_by(true));
            assert_eq!(by.reserve(ms(10_000)), by.kept());
            assert_eq!(by.reserve(ms(1)), ms(0), "as late as it can be");
        }
    }

    #[test]
    fn near_the_deadline_a_request_gets_the_usual_time() {
        let ended = Instant::now();
        let by = FlushDeadline::of(state(Phase::Draining, ended, 4_000), Some(ended)).unwrap();
        for (begin, usual, until) in [
            (0, 100, 3_000),
            (2_950, 500, 3_950),
            (3_500, 500, 4_000),
            (3_900, 0, 4_150),
        ] {
            let answers_by = by.answers_by(attempt(ended + ms(begin), false, usual));
            assert_eq!(answers_by, Some(ended + ms(until)), "{begin}");
        }
    }

    #[test]
    fn only_requests_from_before_the_end_of_input_are_aborted() {
        let began = Instant::now();
        let ended = began + ms(100);
        let by = FlushDeadline::of(state(Phase::Draining, ended, 4_000), None).unwrap();
        let later_than = ended + ms(4_000) + MIN_ATTEMPT;
        for (usual, at) in [(0, 3_000), (100, 3_000), (1_900, 3_700), (9_000, 4_000)] {
            let breaks_off = by.breaks_off(ended, attempt(began, false, usual));
            assert_eq!(breaks_off, Some((ended + ms(at), later_than)), "{usual}");
        }
        assert_eq!(by.breaks_off(ended, attempt(ended + ms(1), false, 0)), None);
    }
}
