//! How large a request may be under a rate limit whose burst is not named.
//!
//! **Knows** sizes, times and which of them were refused or taken. **Must not know** waits, shares,
//! texts or clocks: it is told the time, and decides.
//!
//! A token bucket refuses what is larger than itself for ever, and the refusal looks like any
//! other. What tells them apart is that the bucket had the time to hold the request: refused, left
//! alone for as long as its bytes need, and refused again, it was either above the burst or others
//! took the tokens. The first is likely for a size that never passed, and cheap to find out: the
//! bucket lost nothing, and a piece can go at once. So a piece of a size that never passed is
//! tried at once, and a piece of that in its time; when both are refused as well, it is a crowd rather than
//! the size, what was not sent stays whole, and a piece is tried again only after many refusals in
//! a row. What passed once is below the burst until still more say otherwise.
//!
//! What was learned lasts: every later request is cut to it before it is sent. Since a burst may
//! be raised, a little more is tried after a quiet time, which doubles when that is refused.

use std::time::Duration;

/// By what a size that never passed is divided at once, and how often. In few steps, since each
/// costs every one of a crowd a refusal, and too small a ceiling is soon raised.
const AT_ONCE: u64 = 8;
const TIMES: u8 = 2;
/// Pieces of a piece are not made smaller than this: in a crowd they would slip through.
const SMALL: u64 = 16 * 1024;
/// If that did not help it is tried again after so many refusals in a row, and each time that it
/// does not help after so many times as many.
const OFTEN: u32 = 24;
const RARER: u32 = 64;
/// After so many refusals in a row a half is tried of what passed before.
const OFTEN_PROVEN: u32 = 12;
/// So many must pass below a new ceiling, unrefused, until it is believed: in a crowd a small one
/// slips through now and then.
const BELIEVED: u32 = 6;
/// How long one entry is tried that is above the ceiling by itself. The next ones of its size are
/// tried until the bucket had the time to hold them.
const TRIED_FOR: Duration = Duration::from_mins(1);
/// By what the ceiling is raised.
const RAISE: u64 = 2;
/// How long after it was learned the ceiling is first raised, and at most.
const QUIET: Duration = Duration::from_secs(2);
const QUIET_MAX: Duration = Duration::from_mins(8);

/// The largest request that is sent.
#[derive(Clone, Debug)]
pub struct RequestSizeLimit {
    /// `None`: no size was refused as such.
    most: Option<u64>,
    /// The largest that passed, and the largest that was met.
    proven: u64,
    widest: u64,
    /// Refused in a row although the bucket had time, and how often it was divided for that.
    row: u32,
    divided: u8,
    /// How many refusals in a row it takes to divide again when that did not help.
    patience: u32,
    /// When the last request was taken: then the bucket began to fill anew.
    taken: Option<Duration>,
    /// How many passed since the ceiling was lowered.
    passed: u32,
    /// More than what passed is being tried.
    trying: bool,
    /// When more is tried, and how long it was quiet for that.
    raise: Duration,
    quiet: Duration,
    /// The smallest that was given up, since nothing larger passes.
    given_up: Option<u64>,
}

impl Default for RequestSizeLimit {
    fn default() -> Self {
        Self {
            most: None,
            proven: 0,
            widest: 0,
            row: 0,
            divided: 0,
            patience: OFTEN,
            taken: None,
            passed: 0,
            trying: false,
            raise: Duration::ZERO,
            quiet: QUIET,
            given_up: None,
        }
    }
}

/// A refused request, as far as its size matters.
#[derive(Clone, Copy, Debug)]
pub struct LimitedRequest {
    /// When it was sent.
    pub sent: Duration,
    /// When it, or what it was cut from, was first refused; `None`: just now.
    pub first: Option<Duration>,
    /// Lines and metadata.
    pub bytes: u64,
    /// Whether all streams share the bucket, or it belongs to the request's own.
    pub shared: bool,
    /// Whether it can be cut.
    pub divisible: bool,
}

impl RequestSizeLimit {
    /// The largest request worth sending; `None`: any.
    pub fn most(&self) -> Option<u64> {
        self.most
    }

    /// How much the bucket is known to hold of more that it may hold; `None`: nothing is known.
    pub fn safe(&self) -> Option<u64> {
        if self.trying {
            Some(self.proven)
        } else {
            self.most
        }
    }

    /// Whether the ceiling is believed.
    pub fn is_sure(&self) -> bool {
        self.most.is_none() || self.passed >= BELIEVED
    }

    /// What part of the requests that were met the ceiling leaves.
    pub fn part(&self) -> f64 {
        let most = self.most.unwrap_or(u64::MAX).min(self.widest.max(1));
        #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        let part = most as f64 / self.widest.max(1) as f64;
        part
    }

    /// A bucket that gives `rate` bytes a second refused a request. Whether its size is to blame,
    /// so that it says nothing of the share.
    pub fn refused(&mut self, now: Duration, rate: f64, refused: &LimitedRequest) -> bool {
        let bytes = refused.bytes;
        self.widest = self.widest.max(bytes);
        // It travelled beside the one that told, or cannot be cut.
        if self.most.is_some_and(|most| bytes > most) {
            return refused.divisible;
        }
        if self.trying && bytes > self.proven {
            // More is not to be had.
            self.trying = false;
            self.most = Some(self.proven);
            self.quiet = (self.quiet * 2).min(QUIET_MAX);
            self.raise = now + self.quiet;
            return true;
        }
        if self.most.is_some() && bytes <= self.proven && self.passed < BELIEVED {
            // What slipped through was one of a crowd.
            self.most = None;
            self.divided = TIMES;
            self.row = 0;
            return false;
        }
        let since = refused
            .first
            .map(|first| first.max(self.taken.filter(|_| refused.shared).unwrap_or_default()));
        let gained = |since| refused.sent.saturating_sub(since).as_secs_f64();
        if since.is_none_or(|since| gained(since) < need(bytes, rate)) {
            return false;
        }
        self.row += 1;
        if bytes <= self.proven {
            if self.row.is_multiple_of(OFTEN_PROVEN) {
                self.lower(now, bytes / 2);
            }
            return false;
        }
        if self.divided == 0 || self.divided < TIMES && bytes >= AT_ONCE * SMALL {
            self.divided += 1;
            self.row = 0;
            self.lower(now, bytes / AT_ONCE);
            // The second time a crowd is as likely: no hurry.
            return refused.divisible && self.divided == 1;
        }
        // A crowd, it seems: what was not cut yet stays whole.
        self.most = None;
        if self.row >= self.patience {
            self.row = 0;
            self.divided = 0;
            self.patience = self.patience.saturating_mul(RARER);
        }
        false
    }

    /// Whether a refused request that cannot be cut is above what a bucket with this `rate` holds:
    /// the ceiling is believed, nothing of this size ever passed, and it was tried for long. In a
    /// crowd others may take the tokens for as long; there no ceiling is believed.
    pub fn never_takes(&mut self, now: Duration, rate: f64, refused: &LimitedRequest) -> bool {
        let bytes = refused.bytes;
        let above = self.most.is_some_and(|most| bytes > most) && bytes > self.proven;
        let Some(first) = refused.first else {
            return false;
        };
        let known = self.given_up.is_some_and(|least| bytes >= least);
        let tried = now.saturating_sub(first);
        let long = if known { Duration::ZERO } else { TRIED_FOR };
        let had_time = tried.as_secs_f64() >= need(bytes, rate) && tried >= long;
        let never = !refused.divisible && above && self.is_sure() && had_time;
        if never {
            self.given_up = Some(self.given_up.map_or(bytes, |least| least.min(bytes)));
        }
        never
    }

    /// A request that was sent at `sent` was taken.
    pub fn taken(&mut self, now: Duration, bytes: u64) {
        self.taken = Some(now);
        self.row = 0;
        self.passed = self.passed.saturating_add(1);
        if self.most.is_some() && self.passed >= BELIEVED {
            (self.divided, self.patience) = (0, OFTEN);
        }
        self.widest = self.widest.max(bytes);
        if bytes > self.proven {
            self.proven = bytes;
            self.trying = false;
        }
        self.given_up = self.given_up.filter(|&least| bytes < least);
        let at_it = |&most: &u64| now >= self.raise && bytes > most / 2 && self.passed >= BELIEVED;
        let Some(most) = self.most.filter(at_it) else {
            return;
        };
        let more = most.saturating_mul(RAISE);
        self.raise = now + self.quiet;
        self.trying = true;
        self.most = (more < self.widest).then_some(more);
    }

    fn lower(&mut self, now: Duration, most: u64) {
        self.most = Some(most.max(1));
        self.passed = 0;
        self.proven = self.proven.min(most);
        self.raise = now + self.quiet;
    }
}

/// The seconds in which a bucket gains so much.
fn need(bytes: u64, rate: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let bytes = bytes as f64;
    bytes / rate
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 1000.0;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn refused(sent: u64, first: Option<u64>, bytes: u64) -> LimitedRequest {
        LimitedRequest {
            sent: at(sent),
            first: first.map(at),
            bytes,
            shared: true,
            divisible: true,
        }
    }

    #[test]
    fn a_size_is_to_blame_when_the_bucket_had_time_to_hold_it() {
        let mut ceiling = RequestSizeLimit::default();
        assert!(!ceiling.refused(at(0), RATE, &refused(0, None, 8_000)));
        assert!(!ceiling.refused(at(7), RATE, &refused(7, Some(0), 8_000)));
        assert_eq!(ceiling.most(), None);
        assert!(ceiling.refused(at(8), RATE, &refused(8, Some(0), 8_000)));
        assert_eq!(ceiling.most(), Some(1_000));
        // One that was sent beside it tells the same.
        assert!(ceiling.refused(at(8), RATE, &refused(8, Some(0), 8_000)));
        ceiling.taken(at(9), 1_000);
        assert_eq!(ceiling.most(), Some(1_000));
    }

    #[test]
    fn what_others_of_ours_took_since_is_no_fault_of_the_size() {
        let mut ceiling = RequestSizeLimit::default();
        ceiling.taken(at(5), 1_000);
        assert!(!ceiling.refused(at(8), RATE, &refused(8, Some(0), 8_000)));
        let own = LimitedRequest {
            shared: false,
            ..refused(8, Some(0), 8_000)
        };
        assert!(ceiling.refused(at(8), RATE, &own), "a bucket of its own");
    }

    #[test]
    fn what_passed_once_is_halved_only_after_many_refusals_in_a_row() {
        let mut ceiling = RequestSizeLimit::default();
        ceiling.taken(at(0), 8_000);
        for n in 1..OFTEN_PROVEN {
            let n = u64::from(n) * 10;
            assert!(!ceiling.refused(at(n), RATE, &refused(n, Some(0), 8_000)));
        }
        assert_eq!(ceiling.most(), None);
        assert!(!ceiling.refused(at(200), RATE, &refused(200, Some(0), 8_000)));
        assert_eq!(ceiling.most(), Some(4_000));
    }

    #[test]
    fn in_a_crowd_the_size_is_blamed_a_few_times_only() {
        let mut ceiling = RequestSizeLimit::default();
        let blamed = |ceiling: &mut RequestSizeLimit, n: u64| {
            let bytes = ceiling.most().unwrap_or(1 << 20);
            ceiling.refused(at(n * 2_000), RATE, &refused(n * 2_000, Some(0), bytes))
        };
        assert!(blamed(&mut ceiling, 2));
        assert_eq!(ceiling.most(), Some(128 * 1024));
        assert!(!blamed(&mut ceiling, 3), "no hurry");
        assert_eq!(ceiling.most(), Some(SMALL));
        for n in 4..4 + u64::from(OFTEN) {
            assert!(!blamed(&mut ceiling, n));
            assert_eq!(ceiling.most(), None, "what is left stays whole");
        }
        assert!(blamed(&mut ceiling, 100), "once more in the end");
    }

    #[test]
    fn an_indivisible_request_lowers_the_size_limit_once() {
        let mut ceiling = RequestSizeLimit::default();
        for n in 1..100 {
            let whole = LimitedRequest {
                divisible: false,
                ..refused(n * 10, Some(0), 8_000)
            };
            assert!(!ceiling.refused(at(n * 10), RATE, &whole));
            assert_eq!(ceiling.most(), Some(1_000));
        }
    }

    #[test]
    fn an_entry_above_the_learned_size_is_retried_for_a_minute() {
        let mut ceiling = RequestSizeLimit::default();
        let whole = |sent: u64, first: u64| LimitedRequest {
            divisible: false,
            ..refused(sent, Some(first), 8_000)
        };
        // Nothing is known of its size: others may take the tokens.
        assert!(!ceiling.never_takes(at(500), RATE, &whole(500, 0)));
        ceiling.lower(at(500), 4_000);
        assert!(!ceiling.never_takes(at(500), RATE, &whole(500, 0)));
        for _ in 0..BELIEVED {
            ceiling.taken(at(501), 1_000);
        }
        assert!(!ceiling.never_takes(at(559), RATE, &whole(559, 500)));
        let cut = refused(560, Some(500), 8_000);
        assert!(!ceiling.never_takes(at(560), RATE, &cut));
        assert!(ceiling.never_takes(at(560), RATE, &whole(560, 500)));
        assert!(!ceiling.never_takes(at(567), RATE, &whole(567, 560)));
        assert!(ceiling.never_takes(at(568), RATE, &whole(568, 560)));
        // It was raised.
        ceiling.taken(at(600), 9_000);
        assert!(!ceiling.never_takes(at(700), RATE, &whole(700, 600)));
    }

    #[test]
    fn larger_requests_are_retried_after_a_time_that_doubles() {
        let mut ceiling = RequestSizeLimit::default();
        ceiling.lower(at(0), 4_000);
        ceiling.widest = 64_000;
        for _ in 0..BELIEVED {
            ceiling.taken(at(1), 4_000);
        }
        ceiling.taken(at(2), 4_000);
        assert_eq!(ceiling.most(), Some(8_000));
        assert!(ceiling.refused(at(3), RATE, &refused(3, None, 8_000)));
        assert_eq!(ceiling.most(), Some(4_000), "what is known to pass");
        ceiling.taken(at(6), 4_000);
        assert_eq!(ceiling.most(), Some(4_000));
        ceiling.taken(at(7), 1_000);
        assert_eq!(ceiling.most(), Some(4_000), "not tried itself");
        ceiling.taken(at(8), 4_000);
        assert_eq!((ceiling.most(), ceiling.safe()), (Some(8_000), Some(4_000)));
    }
}
