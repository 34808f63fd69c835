//! The deadline of the final flush: when the last attempts are made and when the run gives up.

use std::time::{Duration, Instant};

use crate::sync::shutdown::{Phase, ShutdownState};

/// A request is given this long after the end of input at least: in less no Loki could answer.
pub const MIN_FLUSH: Duration = Duration::from_millis(500);

/// And this long from when it is sent.
const MIN_ATTEMPT: Duration = Duration::from_millis(250);

/// How long after the time is over a run may end: the last try may begin then, and what it met is
/// written down.
pub const GRACE: Duration = Duration::from_millis(300);

/// Of the time after the end of input this part, up to the most, is kept for the last try, so that
/// a Loki that hangs does not use it up.
const LAST_TRY_SHARE: u32 = 4;

const LAST_TRY_MAX: Duration = Duration::from_secs(1);

/// Where tries fail faster than this, the last one is made when the time ends; else so many times as
/// long before as they took.
const AT_ONCE: Duration = Duration::from_millis(50);

const AHEAD: u32 = 4;

/// When sending must end: the last try is over with the time, not begun then, unless tries are over
/// at once.
#[derive(Debug, Clone, Copy)]
pub struct FlushDeadline {
    /// How long after the end of input nothing may be accepted; after a signal, the total.
    pub flush_timeout: Duration,
}

impl FlushDeadline {
    /// When to give up, or None while input goes on. `accepted` is when Loki last took something.
    pub fn ends(&self, view: ShutdownState, accepted: Option<Instant>) -> Option<Instant> {
        Some(from(view, accepted)? + self.flush_timeout)
    }

    /// When a run is over, whatever Loki does; or None while input goes on.
    pub fn over_by(&self, view: ShutdownState, accepted: Option<Instant>) -> Option<Instant> {
        Some(from(view, accepted)? + self.flush_timeout.max(MIN_FLUSH))
    }

    /// When tries that began before the end of input are broken off, so that there is time for a
    /// last one, and how long they may take at the least for that. None for others.
    pub fn breaks_off(
        &self,
        view: ShutdownState,
        accepted: Option<Instant>,
        tries: AttemptTiming,
    ) -> Option<(Instant, Instant)> {
        let until = self.answers_by(view, accepted, tries)?;
        let later_than = self.over_by(view, accepted)? + MIN_ATTEMPT;
        (Some(tries.begin) <= view.input_ended).then_some((until, later_than))
    }

    /// By when requests must be answered, or None while input goes on.
    pub fn answers_by(
        &self,
        view: ShutdownState,
        accepted: Option<Instant>,
        tries: AttemptTiming,
    ) -> Option<Instant> {
        let (from, end) = (from(view, accepted)?, self.ends(view, accepted)?);
        let kept = if tries.last {
            Duration::ZERO
        } else {
            self.kept()
        };
        let usual = (tries.begin + tries.usual * 2).min(end);
        let all_but_kept = from + self.flush_timeout.saturating_sub(kept);
        let by = all_but_kept.max(usual).max(from + MIN_FLUSH);
        Some(by.max(tries.begin + MIN_ATTEMPT))
    }

    /// How long before the end the last try begins, if the one before it took so long.
    pub fn reserve(&self, took: Duration) -> Duration {
        if took < AT_ONCE {
            return Duration::ZERO;
        }
        (took * AHEAD).min(self.kept())
    }

    fn kept(&self) -> Duration {
        (self.flush_timeout / LAST_TRY_SHARE).min(LAST_TRY_MAX)
    }
}

/// Some tries that are about to begin.
#[derive(Debug, Clone, Copy)]
pub struct AttemptTiming {
    /// When.
    pub begin: Instant,
    /// Whether they are the last.
    pub last: bool,
    /// How long the last ones took that went well.
    pub usual: Duration,
}

/// From when the time counts.
fn from(view: ShutdownState, accepted: Option<Instant>) -> Option<Instant> {
    let ended = view.input_ended?;
    Some(match (view.phase, accepted) {
        (Phase::Running, Some(accepted)) => ended.max(accepted),
        _ => ended,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_counts_from_what_was_last_accepted_unless_a_signal_came() {
        let patience = FlushDeadline {
            flush_timeout: Duration::from_secs(30),
        };
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        let mut view = ShutdownState {
            phase: Phase::Running,
            input_ended: None,
        };
        assert_eq!(patience.ends(view, Some(later)), None);
        view.input_ended = Some(start);
        assert_eq!(
            patience.ends(view, None),
            Some(start + Duration::from_secs(30))
        );
        assert_eq!(
            patience.ends(view, Some(later)),
            Some(later + Duration::from_secs(30))
        );
        view.phase = Phase::Winding;
        assert_eq!(
            patience.ends(view, Some(later)),
            Some(start + Duration::from_secs(30))
        );
    }

    #[test]
    fn the_last_try_is_over_when_the_time_is() {
        let ended = Instant::now();
        let view = ShutdownState {
            phase: Phase::Running,
            input_ended: Some(ended),
        };
        let ms = Duration::from_millis;
        for (flush, hangs_until, last_until) in [
            (0, 500, 500),
            (500, 500, 500),
            (1_000, 750, 1_000),
            (3_000, 2_250, 3_000),
            (30_000, 29_000, 30_000),
        ] {
            let patience = FlushDeadline {
                flush_timeout: ms(flush),
            };
            let by = |last| {
                let tries = AttemptTiming {
                    begin: ended,
                    last,
                    usual: Duration::ZERO,
                };
                patience.answers_by(view, None, tries)
            };
            assert_eq!(by(false), Some(ended + ms(hangs_until)), "{flush}");
            assert_eq!(by(true), Some(ended + ms(last_until)), "{flush}");
            assert_eq!(patience.over_by(view, None), by(true));
            assert_eq!(patience.reserve(ms(10_000)), patience.kept());
            assert_eq!(patience.reserve(ms(1)), ms(0), "as late as it can be");
        }
    }

    #[test]
    fn near_the_end_a_request_gets_as_long_as_they_usually_take_if_there_is_so_much() {
        let ended = Instant::now();
        let view = ShutdownState {
            phase: Phase::Winding,
            input_ended: Some(ended),
        };
        let ms = Duration::from_millis;
        let patience = FlushDeadline {
            flush_timeout: ms(4_000),
        };
        for (begin, usual, until) in [
            (0, 100, 3_000),
            (2_950, 500, 3_950),
            (3_500, 500, 4_000),
            (3_900, 0, 4_150),
        ] {
            let tries = AttemptTiming {
                begin: ended + ms(begin),
                last: false,
                usual: ms(usual),
            };
            let by = patience.answers_by(view, Some(ended), tries);
            assert_eq!(by, Some(ended + ms(until)), "{begin}");
        }
    }

    #[test]
    fn only_what_began_before_the_end_of_input_is_broken_off_and_as_late_as_usual() {
        let began = Instant::now();
        let ms = Duration::from_millis;
        let ended = began + ms(100);
        let mut view = ShutdownState {
            phase: Phase::Running,
            input_ended: None,
        };
        let patience = FlushDeadline {
            flush_timeout: ms(4_000),
        };
        let breaks_off = |view, begin, usual| {
            let tries = AttemptTiming {
                begin,
                last: false,
                usual: ms(usual),
            };
            patience.breaks_off(view, None, tries)
        };
        assert_eq!(breaks_off(view, ended, 0), None, "input goes on");
        view.input_ended = Some(ended);
        let later_than = ended + ms(4_000) + MIN_ATTEMPT;
        for (usual, at) in [(0, 3_000), (100, 3_000), (1_900, 3_700), (9_000, 4_000)] {
            let by = breaks_off(view, began, usual);
            assert_eq!(by, Some((ended + ms(at), later_than)), "{usual}");
        }
        assert_eq!(breaks_off(view, ended + ms(1), 0), None);
    }
}
