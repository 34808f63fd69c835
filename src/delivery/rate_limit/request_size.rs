//! Finds out how large a request may be under a rate limit whose burst size is unknown.
//!
//! A token bucket refuses a request that is larger than itself for ever, and the refusal looks like any
//! other. The difference is time: if a request is refused, waits for as long as its bytes need, and is
//! refused again, it is either larger than the bucket, or other senders took the tokens. The former is
//! likely for a size that was never accepted, and cheap to find out, because the bucket lost no tokens
//! and a piece of the request can be sent at once. So a piece of such a request is sent at once, and if
//! that is refused, a piece of the piece after a wait. If both are refused, other senders are the
//! likelier cause: the rest of the request stays whole, and splitting is tried again only after many
//! consecutive refusals. A size that was accepted once counts as below the burst until even more
//! refusals contradict it.
//!
//! The result is kept: every later request is split to this size before it is sent. Since the burst may
//! be raised, larger requests are tried after a quiet period, which doubles when they are refused.

use std::time::Duration;

/// The divisor for a size that was never accepted, and how often it is applied. Few large steps, since
/// each costs all senders a refusal, and a limit that is too small is soon raised.
const AT_ONCE: u64 = 8;
const TIMES: u8 = 2;
/// The minimum size of pieces of a piece, in bytes: with many senders, smaller ones pass by chance.
const SMALL: u64 = 16 * 1024;
/// After splitting did not help, it is tried again only after `OFTEN` consecutive refusals. That number
/// is multiplied by `RARER` each time it fails.
const OFTEN: u32 = 24;
const RARER: u32 = 64;
/// The number of consecutive refusals after which a size that was accepted before is halved.
const OFTEN_PROVEN: u32 = 12;
/// The number of consecutive successes after which a new limit counts as confirmed: with many senders,
/// a small request passes by chance now and then.
const BELIEVED: u32 = 6;
/// How long a single entry above the limit is retried. Later entries of its size are retried until the
/// bucket had the time to hold them.
const TRIED_FOR: Duration = Duration::from_mins(1);
/// The factor by which the limit is raised.
const RAISE: u64 = 2;
/// The time until the limit is first raised, and the maximum of that time.
const QUIET: Duration = Duration::from_secs(2);
const QUIET_MAX: Duration = Duration::from_mins(8);

/// The size limit of requests.
#[derive(Clone, Debug)]
pub struct RequestSizeLimit {
    /// The limit in bytes, if there is one.
    most: Option<u64>,
    /// The largest size that was accepted, and the largest that was ever sent.
    proven: u64,
    widest: u64,
    /// Consecutive refusals although the bucket had time, and how often the size was divided for that.
    row: u32,
    divided: u8,
    /// The number of consecutive refusals until the size is divided again after that did not help.
    patience: u32,
    /// When the last request was accepted. The bucket has been filling since then.
    taken: Option<Duration>,
    /// Number of requests accepted since the limit was lowered.
    passed: u32,
    /// Whether larger requests than those accepted so far are being tried.
    trying: bool,
    /// When larger requests are tried next, and the quiet period before that.
    raise: Duration,
    quiet: Duration,
    /// The smallest entry that was given up because nothing so large passes.
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

/// A request that a rate limit refused.
#[derive(Clone, Copy, Debug)]
pub struct LimitedRequest {
    /// When the request was sent.
    pub sent: Duration,
    /// When the request, or the one it was split from, was first refused; `None` if this is the first
    /// refusal.
    pub first: Option<Duration>,
    /// Bytes of lines and metadata.
    pub bytes: u64,
    /// Whether the bucket is shared by all streams or belongs to the request's stream.
    pub shared: bool,
    /// Whether the request can be split.
    pub divisible: bool,
}

impl RequestSizeLimit {
    /// The maximum size of a request in bytes, if there is one.
    pub fn most(&self) -> Option<u64> {
        self.most
    }

    /// The size that the bucket is known to hold, if one is known.
    pub fn safe(&self) -> Option<u64> {
        if self.trying {
            Some(self.proven)
        } else {
            self.most
        }
    }

    /// Whether the limit is confirmed, or there is none.
    pub fn is_sure(&self) -> bool {
        self.most.is_none() || self.passed >= BELIEVED
    }

    /// The limit as a fraction of the largest request so far.
    pub fn part(&self) -> f64 {
        let most = self.most.unwrap_or(u64::MAX).min(self.widest.max(1));
        #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
        let part = most as f64 / self.widest.max(1) as f64;
        part
    }

    /// Records that a bucket with a `rate` in bytes per second refused a request. Returns whether its
    /// size is the cause, so that the refusal says nothing about the share.
    pub fn refused(&mut self, now: Duration, rate: f64, refused: &LimitedRequest) -> bool {
        let bytes = refused.bytes;
        self.widest = self.widest.max(bytes);
        // It was sent before the limit was known, or cannot be split.
        if self.most.is_some_and(|most| bytes > most) {
            return refused.divisible;
        }
        if self.trying && bytes > self.proven {
            // Larger requests do not pass.
            self.trying = false;
            self.most = Some(self.proven);
            self.quiet = (self.quiet * 2).min(QUIET_MAX);
            self.raise = now + self.quiet;
            return true;
        }
        if self.most.is_some() && bytes <= self.proven && self.passed < BELIEVED {
            // The requests that passed did so by chance: there are many senders.
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
            // The second time, many senders are as likely a cause: no hurry.
            return refused.divisible && self.divided == 1;
        }
        // Probably many senders: requests that were not split yet stay whole.
        self.most = None;
        if self.row >= self.patience {
            self.row = 0;
            self.divided = 0;
            self.patience = self.patience.saturating_mul(RARER);
        }
        false
    }

    /// Whether a refused request that cannot be split is larger than the bucket: the limit is confirmed,
    /// no request of this size was ever accepted, and it was retried for long. (With many senders, others
    /// may take the tokens for as long, but then no limit is confirmed.)
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

    /// Records that a request was accepted.
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

/// The seconds in which a bucket gains this many bytes.
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
