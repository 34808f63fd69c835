//! Retrying: how long to wait before the same bytes go out again, when to give up, and when to
//! speak of trouble.
//!
//! Told the time and handed its random numbers; decides, does not wait. Knows no socket.

use std::time::{Duration, Instant};

use crate::stop::{Phase, View};

/// The longest wait a server can ask for with `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// A failure that stood for this long is worth a line, even if it is the first.
const WORTH_SAYING: Duration = Duration::from_secs(2);

/// A rate limit is met in passing when much is sent; one that lets nothing pass for this long is
/// worth a line.
const LIMIT_WORTH_SAYING: Duration = Duration::from_secs(15);

/// A request is given this long after the end of input at least: in less no Loki could answer.
pub const LEAST: Duration = Duration::from_millis(500);

/// And this long from when it is sent.
const CHANCE: Duration = Duration::from_millis(250);

/// How long after the time is over a run may end: the last try may begin then, and what it met is
/// written down.
pub const GRACE: Duration = Duration::from_millis(300);

/// Of the time after the end of input this part, up to the most, is kept for the last try, so that
/// a Loki that hangs does not use it up.
const KEPT: u32 = 4;
const KEPT_MOST: Duration = Duration::from_secs(1);

/// Where tries fail faster than this, the last one is made when the time ends; else so many times as
/// long before as they took.
const AT_ONCE: Duration = Duration::from_millis(50);
const AHEAD: u32 = 4;

/// How a failed try looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// A rate limit: the next try is timed to meet it.
    Limit,
    /// It passes with time.
    Passing,
    /// Only a person can mend it.
    Lasting,
}

/// Exponential waits: the base, doubled with each attempt, up to the most, each 75–125 % of that
/// so that many hosts do not come back at the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The first wait.
    pub base: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Backoff {
    /// The wait after failed attempt number `attempt` (0 is the first). `asked` is the server's
    /// `Retry-After`, of which 0 asks for nothing: a server that always says so is not run down.
    /// `slow` goes straight to the longest wait, for trouble that only a person can
    /// mend. `random` lies between 0 and 1.
    pub fn wait(&self, attempt: u32, asked: Option<Duration>, slow: bool, random: f64) -> Duration {
        let jitter = 0.75 + random / 2.0;
        if let Some(asked) = asked.filter(|asked| !asked.is_zero()) {
            // Not before it was asked for, and not all at once after it.
            return asked.min(MAX_RETRY_AFTER).mul_f64(1.0 + random / 4.0);
        }
        let doubled = self
            .base
            .saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
        let wait = if slow {
            self.most
        } else {
            doubled.min(self.most)
        };
        wait.mul_f64(jitter)
    }
}

/// When sending must end: the last try is over with the time, not begun then, unless tries are over
/// at once.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long after the end of input nothing may be accepted; after a signal, the total.
    pub flush_timeout: Duration,
}

/// Some tries that are about to begin.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// When.
    pub begin: Instant,
    /// Whether they are the last.
    pub last: bool,
    /// How long the last ones took that went well.
    pub usual: Duration,
}

impl Patience {
    /// When to give up, or None while input goes on. `accepted` is when Loki last took something.
    pub fn ends(&self, view: View, accepted: Option<Instant>) -> Option<Instant> {
        Some(from(view, accepted)? + self.flush_timeout)
    }

    /// When a run is over, whatever Loki does; or None while input goes on.
    pub fn over_by(&self, view: View, accepted: Option<Instant>) -> Option<Instant> {
        Some(from(view, accepted)? + self.flush_timeout.max(LEAST))
    }

    /// When tries that began before the end of input are broken off, so that there is time for a
    /// last one, and how long they may take at the least for that. None for others.
    pub fn breaks_off(
        &self,
        view: View,
        accepted: Option<Instant>,
        tries: Tries,
    ) -> Option<(Instant, Instant)> {
        let until = self.answers_by(view, accepted, tries)?;
        let later_than = self.over_by(view, accepted)? + CHANCE;
        (Some(tries.begin) <= view.input_ended).then_some((until, later_than))
    }

    /// By when requests must be answered, or None while input goes on.
    pub fn answers_by(
        &self,
        view: View,
        accepted: Option<Instant>,
        tries: Tries,
    ) -> Option<Instant> {
        let (from, end) = (from(view, accepted)?, self.ends(view, accepted)?);
        let kept = if tries.last {
            Duration::ZERO
        } else {
            self.kept()
        };
        let usual = (tries.begin + tries.usual * 2).min(end);
        let all_but_kept = from + self.flush_timeout.saturating_sub(kept);
        let by = all_but_kept.max(usual).max(from + LEAST);
        Some(by.max(tries.begin + CHANCE))
    }

    /// How long before the end the last try begins, if the one before it took so long.
    pub fn reserve(&self, took: Duration) -> Duration {
        if took < AT_ONCE {
            return Duration::ZERO;
        }
        (took * AHEAD).min(self.kept())
    }

    fn kept(&self) -> Duration {
        (self.flush_timeout / KEPT).min(KEPT_MOST)
    }
}

/// From when the time counts.
fn from(view: View, accepted: Option<Instant>) -> Option<Instant> {
    let ended = view.input_ended?;
    Some(match (view.phase, accepted) {
        (Phase::Running, Some(accepted)) => ended.max(accepted),
        _ => ended,
    })
}

/// A spell of trouble: said once when it begins to last and once when it ends, never a line a
/// retry.
#[derive(Debug, Default)]
pub struct Spell {
    since: Option<Instant>,
    failures: u32,
    said: bool,
    /// Whether it was said that only a person can mend it.
    said_lasting: bool,
}

impl Spell {
    /// No trouble yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a failed try that began at `began`; tells whether this is the moment to say so. One
    /// failure that the next try mends is no news, unless it cannot mend itself or took long
    /// already.
    pub fn failed(&mut self, began: Instant, now: Instant, severity: Severity) -> bool {
        let stood = now.duration_since(*self.since.get_or_insert(began));
        let worth_saying = match severity {
            Severity::Limit => stood >= LIMIT_WORTH_SAYING,
            Severity::Passing => {
                self.failures += 1;
                self.failures > 1 || stood >= WORTH_SAYING
            }
            Severity::Lasting => true,
        };
        // That it will not pass by itself is news, whatever it began with.
        let is_lasting = severity == Severity::Lasting;
        let is_news = !self.said || is_lasting && !self.said_lasting;
        let say = worth_saying && is_news;
        self.said |= say;
        self.said_lasting |= say && is_lasting;
        say
    }

    /// Notes that a request passed; gives how long the spell had lasted if it had been spoken of.
    pub fn ended(&mut self, now: Instant) -> Option<Duration> {
        let ended = std::mem::take(self);
        ended
            .since
            .filter(|_| ended.said)
            .map(|since| now.duration_since(since))
    }
}

/// A small source of random numbers for jitter; nothing here needs good ones.
#[derive(Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// Seeded, for example from the clock and the process.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number, from 0 up to 1.
    pub fn next(&mut self) -> f64 {
        // Steele and Vigna's SplitMix64: one line, and any seed will do.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(1),
        most: Duration::from_secs(30),
    };

    #[test]
    fn what_only_a_person_can_mend_is_said_whatever_it_began_with() {
        let (mut spell, now) = (Spell::new(), Instant::now());
        let mut said = |severity| spell.failed(now, now, severity);
        assert!(!said(Severity::Passing) && said(Severity::Passing));
        assert!(!said(Severity::Passing));
        assert!(said(Severity::Lasting) && !said(Severity::Lasting));
        assert!(!said(Severity::Passing));
    }

    #[test]
    fn waits_double_up_to_the_most() {
        let waits: Vec<_> = (0..8)
            .map(|n| BACKOFF.wait(n, None, false, 0.5).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(BACKOFF.wait(u32::MAX, None, false, 0.5).as_secs(), 30);
        assert_eq!(BACKOFF.wait(0, None, true, 0.5).as_secs(), 30);
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        let mut jitter = Jitter::new(42);
        for _ in 0..1_000 {
            let wait = BACKOFF.wait(1, None, false, jitter.next()).as_secs_f64();
            assert!((1.5..=2.5).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn retry_after_is_honoured_up_to_five_minutes() {
        let wait = |asked, random| BACKOFF.wait(3, Some(Duration::from_secs(asked)), false, random);
        assert_eq!(wait(7, 0.0).as_secs(), 7);
        assert!(wait(7, 0.99) >= Duration::from_secs(7) && wait(7, 0.99).as_secs() < 9);
        assert_eq!(wait(9_999, 0.0).as_secs(), 300);
    }

    #[test]
    fn a_retry_after_of_nothing_does_not_make_it_hammer() {
        let wait = |attempt| {
            BACKOFF
                .wait(attempt, Some(Duration::ZERO), false, 0.5)
                .as_secs()
        };
        assert_eq!([wait(0), wait(3)], [1, 8]);
    }

    #[test]
    fn the_end_counts_from_what_was_last_accepted_unless_a_signal_came() {
        let patience = Patience {
            flush_timeout: Duration::from_secs(30),
        };
        let start = Instant::now();
        let later = start + Duration::from_secs(5);
        let mut view = View {
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
        let view = View {
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
            let patience = Patience {
                flush_timeout: ms(flush),
            };
            let by = |last| {
                let tries = Tries {
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
        let view = View {
            phase: Phase::Winding,
            input_ended: Some(ended),
        };
        let ms = Duration::from_millis;
        let patience = Patience {
            flush_timeout: ms(4_000),
        };
        for (begin, usual, until) in [
            (0, 100, 3_000),
            (2_950, 500, 3_950),
            (3_500, 500, 4_000),
            (3_900, 0, 4_150),
        ] {
            let tries = Tries {
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
        let mut view = View {
            phase: Phase::Running,
            input_ended: None,
        };
        let patience = Patience {
            flush_timeout: ms(4_000),
        };
        let breaks_off = |view, begin, usual| {
            let tries = Tries {
                begin,
                last: false,
                usual: ms(usual),
            };
            patience.breaks_off(view, None, tries)
        };
        assert_eq!(breaks_off(view, ended, 0), None, "input goes on");
        view.input_ended = Some(ended);
        let later_than = ended + ms(4_000) + CHANCE;
        for (usual, at) in [(0, 3_000), (100, 3_000), (1_900, 3_700), (9_000, 4_000)] {
            let by = breaks_off(view, began, usual);
            assert_eq!(by, Some((ended + ms(at), later_than)), "{usual}");
        }
        assert_eq!(breaks_off(view, ended + ms(1), 0), None);
    }

    #[test]
    fn only_trouble_that_lasts_is_said_and_once() {
        let now = Instant::now();
        let mut spell = Spell::new();
        assert!(!spell.failed(now, now, Severity::Passing));
        assert_eq!(spell.ended(now), None);

        assert!(!spell.failed(now, now, Severity::Passing));
        assert!(spell.failed(now, now, Severity::Passing));
        assert!(!spell.failed(now, now, Severity::Passing));
        let later = now + Duration::from_secs(9);
        assert_eq!(spell.ended(later), Some(Duration::from_secs(9)));

        let long = now + WORTH_SAYING;
        assert!(spell.failed(now, long, Severity::Passing), "it took long");
        assert!(Spell::new().failed(now, now, Severity::Lasting));
    }

    #[test]
    fn a_rate_limit_is_no_news_until_nothing_passes_for_long() {
        let now = Instant::now();
        let mut spell = Spell::new();
        for seconds in [0, 1, 5, 14] {
            assert!(!spell.failed(now, now + Duration::from_secs(seconds), Severity::Limit));
        }
        assert!(spell.failed(now, now + LIMIT_WORTH_SAYING, Severity::Limit));
    }
}
