//! How long to wait under a rate limit that is shared with others.
//!
//! **Knows** only the answers given to this one process. **Must not know** HTTP, texts, queues,
//! clocks or where randomness comes from: it is told the time, as a [`Duration`] since some
//! start, and handed random numbers from 0 (included) to 1 (excluded). Every decision is
//! deterministic, and the tests run a thousand of these in virtual time.
//!
//! # The limit
//!
//! A distributor of Loki meters a tenant with a token bucket (`golang.org/x/time/rate`):
//! `ingestion_rate_mb` refills it, `ingestion_burst_size_mb` is its size, and a request that
//! finds too few tokens is refused whole and takes none. The refusal names the rate, not the
//! burst, nor how many others share it, and there is never a `Retry-After`.
//!
//! # The answer to it
//!
//! [`RateLimiter`] keeps a bucket of its own that refills at *share × limit*:
//!
//! * No refusal, no limit known, no waits.
//! * The first refusal shows that the bucket is empty **now** and how fast it refills. One
//!   shipper alone sends at 99 % of that from there on and is hardly refused again; the rest
//!   fills the bucket up for those who come. It held up to a request's worth as it refused: once,
//!   what follows goes half a request early, and a refusal of that is no news of others.
//! * A refusal of a request that kept to the share means that others take tokens: the share
//!   shrinks by a third. An accepted one raises it by a part of its square root, so large shares
//!   shrink faster than they grow and small ones grow faster than they shrink: the shares even
//!   out, for three shippers as for a thousand. From the third accepted one in a row on, a
//!   small share doubles as well: the others have gone, or the limit has.
//! * The wait after refusals in a row grows as a backoff does, because at the start, when all
//!   the hosts' jobs fire at :00, no share is known.
//! * Every wait has a jitter of half of it both ways, so that nobody keeps in step: one who
//!   comes exactly when the bucket has filled up for the next request would never be refused,
//!   and the others always. While a share is kept the jitter is around the exact time, so it
//!   does not add up, and it is small until others were met.
//! * No wait is longer than a bound (a minute), except where one request's bytes need more at
//!   the limit, or several connections queue. The bound is dear when a thousand share a limit
//!   (most tries are refused) and is what lets all of them notice soon when it is lifted.
//! * A share of 1 does not prove that 1 is all there is: with several distributors each names
//!   its part of the limit, and a limit may be raised. After a quiet time the pace is raised,
//!   by ever more while nothing is refused, until the limit is forgotten. A refusal takes one
//!   step back and doubles the quiet time, so a long load meets a few of them.
//!
//! Answers to requests that were sent, or had their time assigned, before the last refusal was
//! known tell nothing new: they queue for the same bucket but do not change the share.
//!
//! A burst smaller than the request, which refuses it for ever, is found out by [`RequestSizeLimit`]. Such a
//! refusal says nothing of the share and costs no tokens: what is cut goes when its own bytes are
//! paid for, at the latest. Under a known limit a request also takes no more than a quarter of a
//! second of it: many small ones meet a tight bucket far better than few that fill it up.

mod request_size;

use std::time::Duration;

pub use crate::delivery::rate_limit::request_size::LimitedRequest;
use crate::delivery::rate_limit::request_size::RequestSizeLimit;

/// The longest mean wait times this is the longest wait: the upper end of the jitter.
const JITTER_TOP: f64 = 2.0;
/// The wait after the first refusal in seconds, half to one and a half of it: what the bucket gains in
/// that is not more than may be sent at once then.
const FIRST_WAIT: f64 = 0.85;
/// And how many times the request's own time at least: what is above 1 covers [`JITTER_ALONE`].
const FIRST_LEAST: f64 = 1.125;
/// A request that needs longer than these seconds at the limit alone is tried all the same: the
/// limit may be 0, which blocks a tenant for a while.
const OWN_MAX: f64 = 300.0;
/// What may be sent at once after a pause, in seconds of the pace.
const SLACK: f64 = 1.0;
/// The share of one that seems to be alone: what it leaves fills the bucket up, so that others
/// who come find tokens, and its own jitter costs nothing.
const ALONE: f64 = 0.99;
/// The jitter around the exact time, as a part of the request's own, as long as no others were met:
/// half of it both ways is no more than [`FIRST_LEAST`] leaves in the bucket, so that one alone is not
/// refused for its own jitter, and ends on time.
const JITTER_ALONE: f64 = 0.25;
/// How much of its own time the request goes too early that follows the first wait.
const EARLY: f64 = 0.5;
/// What an accepted request adds to the share, as a part of its square root.
const GAIN: f64 = 0.1;
/// What a refusal divides the share by, and by what the wait grows with each one in a row.
const CUT: f64 = 1.5;
/// From so many accepted requests in a row on, each also doubles the share.
const RUN: u32 = 3;
/// Shares above this do not double: who takes most of the limit would always be back first.
const SMALL: f64 = 0.1;
/// How long after a refusal the pace is first raised above the known limit.
const QUIET: Duration = Duration::from_secs(15);
/// The longest such time.
const QUIET_MAX: Duration = Duration::from_mins(8);
/// How long a raised pace is watched before the next step: a full bucket of stock size, one and
/// a half seconds' worth, hides for so long that the first step is too fast.
const WATCH: Duration = Duration::from_secs(3);
/// By how much of the limit the pace is raised first.
const STEP: f64 = 0.5;
/// A pace so many times the limit goes unrefused: there is no limit any more.
const FORGET: f64 = 16.0;

/// What a request takes of a known limit at most, in seconds.
const FAIR: f64 = 0.25;
/// Requests are not made smaller than this for that.
const FAIR_LEAST: f64 = 16.0 * 1024.0;
/// How much later than the exact time a request goes that nearly fills the bucket, as a part of
/// its time: a bucket that is full does not save up, so each one counts from the one before.
const TIGHT: f64 = 0.2;

/// One process's pace under a rate limit in bytes a second.
///
/// Bytes are what Loki counts: lines and metadata, before compression.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    /// The longest mean wait, in seconds.
    longest: f64,
    /// What the last refusal named, in bytes a second; `None`: none is known.
    limit: Option<f64>,
    /// The part of the limit that is ours; above 1 while more is tried.
    share: f64,
    /// Up to when, in seconds, the bytes handed out are paid for at our share.
    paid: f64,
    /// What the bucket gains in the first wait beyond what we need, in seconds: ours if nobody
    /// else takes it, which an acceptance will show.
    saved: Option<f64>,
    /// How much too early everything goes, in seconds, until a refusal or a raised pace: as the first
    /// one was refused the bucket was not quite empty, and one more tells whether it held so much.
    early: f64,
    /// Whether others were met under this limit.
    met: bool,
    /// Refused, and accepted, in a row.
    refused: u32,
    accepted: u32,
    /// When the share was last lowered: older requests' answers are no news.
    lowered: Duration,
    /// When the pace is raised next, and how long it was quiet for that.
    raise: Duration,
    quiet: Duration,
    /// The share was raised above what is known to be good.
    raised: f64,
    ceiling: RequestSizeLimit,
}

impl Default for RateLimiter {
    /// One minute at most.
    fn default() -> Self {
        Self::new(Duration::from_mins(1))
    }
}

impl RateLimiter {
    /// A pace without a limit, whose waits will be `longest` at most.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self {
            longest: longest.as_secs_f64() / JITTER_TOP,
            limit: None,
            share: ALONE,
            paid: 0.0,
            saved: None,
            early: 0.0,
            met: false,
            refused: 0,
            accepted: 0,
            lowered: Duration::ZERO,
            raise: Duration::ZERO,
            quiet: QUIET,
            raised: 0.0,
            ceiling: RequestSizeLimit::default(),
        }
    }

    /// The bytes of the largest request that is worth sending, if there is such a bound: larger
    /// ones are to be cut first, and the sum of those that go side by side is to keep to it too.
    #[must_use]
    pub fn most(&self) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float is cast to the nearest there is"
        )]
        let fair = self
            .limit
            .map(|limit| (limit * FAIR).max(FAIR_LEAST) as u64);
        [fair, self.ceiling.most()].into_iter().flatten().min()
    }

    /// The bytes of the pieces in which a request of so many is sent: even ones.
    #[must_use]
    pub fn piece_of(&self, bytes: u64) -> u64 {
        let pieces = bytes.div_ceil(self.most().unwrap_or(u64::MAX));
        bytes.div_ceil(pieces.max(1))
    }

    /// Whether all of a request is to be cut to [`Self::most`], or only its first piece, since it is
    /// not known yet that this helps.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.ceiling.is_sure()
    }

    /// The wait before a new request of `bytes`; zero as long as no limit is known.
    ///
    /// It takes a place: requests that go side by side each ask and get times one after another.
    pub fn before_next(&mut self, now: Duration, bytes: u64, random: f64) -> Duration {
        let Some(limit) = self.limit else {
            return Duration::ZERO;
        };
        let now = now.as_secs_f64();
        let cost = self.cost(limit, bytes);
        if self.is_tight(bytes) {
            self.paid = self.paid.max(now - cost) + cost * (1.0 + TIGHT * random);
            return seconds(self.paid - now);
        }
        // What a pause saved up: a second's worth, or one request, or what the bucket may hold.
        let slack = self
            .ceiling
            .safe()
            .map_or(SLACK, |most| bytes_at(limit, most).min(SLACK));
        self.paid = self.paid.max(now - cost.max(slack)) + cost;
        // Around the exact time, so that the jitter does not add up.
        seconds(self.paid + self.jitter(cost, random) - now)
    }

    /// A request got a refusal that names `limit`, in bytes a second. Returns the wait before it,
    /// or what [`Self::most`] leaves of it, is tried again.
    pub fn limited(
        &mut self,
        now: Duration,
        limit: u64,
        refused: &LimitedRequest,
        random: f64,
    ) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
        let rate = limit.max(1) as f64;
        let sent = refused.sent;
        let for_its_size = self.ceiling.refused(now, rate, refused);
        if for_its_size && self.limit.is_some() {
            self.limit = Some(rate);
            let next = self.next_of(refused);
            // Nothing was taken: the bucket holds what it held, and what it gained since.
            let wait = bytes_at(rate, next) * random;
            self.paid = now.as_secs_f64() + wait;
            (self.saved, self.early) = (None, 0.0);
            return seconds(wait);
        }
        let early = std::mem::take(&mut self.early);
        if early > 0.0 && sent >= self.lowered {
            // So much it did not hold.
            self.limit = Some(rate);
            self.paid += early;
            self.lowered = now.max(seconds(self.paid));
            return self.lowered.saturating_sub(now);
        }
        let news = self.limit.is_none() || sent >= self.lowered;
        let known = self.limit.replace(rate).is_some();
        let bytes = self.next_of(refused);
        let mut backoff = 0.0;
        if news {
            // Places given away before this still come at the old pace, the last one with half
            // its cost of jitter.
            let given = self.paid + 0.5 * self.cost(rate, bytes);
            self.lowered = now.max(seconds(given));
            self.accepted = 0;
            if !known {
                self.share = ALONE;
                self.met = false;
                self.quiet = QUIET;
                backoff = self.backoff();
            } else if self.raised > 0.0 {
                self.share -= self.raised;
                self.quiet = (self.quiet * 2).min(QUIET_MAX);
            } else if self.share > ALONE {
                self.share = (self.share / CUT).max(ALONE);
            } else {
                self.met = true;
                // Below the least the longest wait is in use anyway, and the way up is long.
                let least = bytes_at(rate, bytes) / self.longest;
                self.share = (self.share / CUT).max(least.min(ALONE));
                backoff = self.backoff();
            }
            self.raised = 0.0;
            self.saved = None;
            self.raise = now + self.quiet;
        }
        // The bucket is empty now, whatever we thought.
        let now = now.as_secs_f64();
        let cost = self.cost(rate, bytes);
        self.paid = self.paid.max(now);
        if !news {
            self.paid += cost;
            return seconds(self.paid + self.jitter(cost, random) - now);
        }
        // Alone, it holds two of these after `least`; the second covers the jitter to come. As long as
        // no others were met that is small and a part will do, and a short load is over earlier.
        let least = if known { 2.0 } else { FIRST_LEAST } * bytes_at(rate, bytes);
        let wait = (cost.max(backoff) * (0.5 + random)).max(least);
        if !known {
            self.saved = Some(wait - least);
            // What is sent in the wait was on its way: there was no limit to ask for a place.
            self.lowered = seconds(now + 0.5 * wait);
        }
        self.paid += wait;
        seconds(self.paid - now)
    }

    /// Whether a refused request is larger than what a bucket that refills at `limit` can hold, and
    /// cannot be cut: it would be refused for ever.
    pub fn never_takes(&mut self, now: Duration, limit: u64, refused: &LimitedRequest) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
        let rate = limit.max(1) as f64;
        self.ceiling.never_takes(now, rate, refused)
    }

    /// A request of `bytes` that was sent at `sent` was accepted.
    ///
    /// Also to be told while no limit is known, and of retried requests; of those that went side
    /// by side before what was refused of them.
    pub fn accepted(&mut self, now: Duration, sent: Duration, bytes: u64) {
        self.refused = 0;
        self.ceiling.taken(now, bytes);
        if self.limit.is_none() || sent < self.lowered {
            return;
        }
        self.accepted += 1;
        if let Some((saved, limit)) = self.saved.take().zip(self.limit) {
            self.early = EARLY * bytes_at(limit, bytes);
            self.paid -= saved + self.early;
        }
        if self.share < ALONE {
            if self.accepted >= RUN && self.share < SMALL {
                self.share *= 2.0;
            }
            // By the bytes: who sends small ones does not gain on who sends large ones.
            let gain = GAIN * self.ceiling.part();
            self.share = (self.share + gain * self.share.sqrt()).min(ALONE);
            self.raise = now + self.quiet;
        } else if now >= self.raise {
            self.early = 0.0;
            self.raised = (self.raised * 2.0).max(STEP);
            self.raise = now + WATCH;
            self.share += self.raised;
            if self.share > FORGET {
                self.limit = None;
                self.raised = 0.0;
            }
        }
    }

    /// The bytes that go next of a refused request.
    fn next_of(&self, refused: &LimitedRequest) -> u64 {
        if refused.divisible {
            self.piece_of(refused.bytes)
        } else {
            refused.bytes
        }
    }

    /// Whether so many bytes may nearly fill the bucket.
    fn is_tight(&self, bytes: u64) -> bool {
        self.ceiling.safe().is_some_and(|most| bytes > most / 2)
    }

    /// The seconds that `bytes` take at our share of the limit, within bounds.
    fn cost(&self, limit: f64, bytes: u64) -> f64 {
        let own = bytes_at(limit, bytes);
        (own / self.share).min(self.longest.max(own))
    }

    /// How much later than the exact time a request goes, or earlier.
    fn jitter(&self, cost: f64, random: f64) -> f64 {
        let part = if self.met { 1.0 } else { JITTER_ALONE };
        cost * part * (random - 0.5)
    }

    /// The mean wait in seconds that one more refusal in a row asks for, whatever the size.
    fn backoff(&mut self) -> f64 {
        let times = i32::try_from(self.refused).unwrap_or(i32::MAX);
        self.refused = self.refused.saturating_add(1);
        (FIRST_WAIT * CUT.powi(times)).min(self.longest)
    }
}

/// The seconds that `bytes` take at the limit, [`OWN_MAX`] at most.
fn bytes_at(limit: f64, bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let bytes = bytes as f64;
    (bytes / limit).min(OWN_MAX)
}

/// At least zero, at most what a `Duration` holds.
fn seconds(wait: f64) -> Duration {
    Duration::try_from_secs_f64(wait.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a simulation of seconds and mebibytes"
)]
mod tests;
