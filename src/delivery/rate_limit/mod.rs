//! The rate limiter: how long to wait under a rate limit that is shared with other senders.
//!
//! It only sees the responses to this process. Time is passed in as a [`Duration`] since some start,
//! and random numbers as values from 0 (inclusive) to 1 (exclusive), so that every decision is
//! deterministic: the tests run a thousand rate limiters in virtual time.
//!
//! # The limit
//!
//! A distributor of Loki limits a tenant with a token bucket (`golang.org/x/time/rate`):
//! `ingestion_rate_mb` refills it, `ingestion_burst_size_mb` is its size. A request that finds too
//! few tokens is refused as a whole and takes none. The refusal names the rate, but neither the burst
//! nor the number of senders that share it, and there is never a `Retry-After`.
//!
//! # The algorithm
//!
//! [`RateLimiter`] keeps a bucket of its own, which refills at *share × limit*:
//!
//! * Until a request is refused, no limit is known and nothing waits.
//! * The first refusal shows that the bucket is empty **now**, and how fast it refills. A single
//!   sender continues at 99 % of that rate and is hardly ever refused again; the remaining 1 % fills
//!   the bucket for senders that join. When it refused, the bucket may have held almost a whole
//!   request: once, the next requests are sent half a request early, and a refusal of these does not
//!   mean that there are other senders.
//! * If a request within the share is refused, other senders are taking tokens: the share shrinks by
//!   a third. An accepted request raises it by a part of its square root. So large shares shrink faster
//!   than they grow, small ones grow faster than they shrink, and the shares converge, for three
//!   senders as well as for a thousand. From the third consecutive success on, a small share also
//!   doubles: the other senders have gone, or the limit has.
//! * The wait after consecutive refusals grows exponentially, because no share is known at the start,
//!   when the cron jobs of all hosts begin at :00.
//! * Every wait has a jitter of half its length in both directions, so that senders do not
//!   synchronize: one that always comes when the bucket has just enough tokens would never be refused,
//!   and the others always. Within a share the jitter is around the exact time, so it does not add up,
//!   and it is small until other senders are noticed.
//! * No wait is longer than a bound (a minute), unless a single request takes longer at the limit, or
//!   several connections queue. With a thousand senders the bound is expensive (most attempts are
//!   refused), but it lets all of them notice soon when the limit is lifted.
//! * A share of 1 may not be all there is: several distributors each name their part of the limit, and
//!   a limit may be raised. After a quiet period the rate is raised, in growing steps while nothing is
//!   refused, until the limit is forgotten. A refusal undoes the last step and doubles the quiet
//!   period, so a long load meets few refusals.
//!
//! Responses to requests that were sent, or had their time assigned, before the last refusal was known
//! contain no news: such requests queue for the same bucket, but do not change the share.
//!
//! A bucket smaller than a request refuses it for ever; [`RequestSizeLimit`] detects that. Such a
//! refusal takes no tokens and does not change the share: the pieces are sent when their own bytes
//! are paid for, at the latest. Under a known limit, a request also takes at most a quarter of a second
//! of it, since many small requests fit a nearly empty bucket far better than a few large ones.
//!
//! # Why it is not simpler
//!
//! A plain token bucket at the named limit, halved by a refusal and creeping up again, does as well for a
//! thousand senders, but worse for one: in the simulation of the tests 30 MiB take 1.12 times the ideal
//! time (here 1.03), and 2.66 times (here 1.14) where each of three distributors names a third of the
//! limit.

mod request_size;

use std::time::Duration;

pub use crate::delivery::rate_limit::request_size::LimitedRequest;
use crate::delivery::rate_limit::request_size::RequestSizeLimit;

/// The ratio of the longest wait to the longest mean wait: the upper end of the jitter.
const JITTER_TOP: f64 = 2.0;
/// The mean wait after the first refusal, in seconds. The jitter makes it 0.5 to 1.5 times as long.
/// Meanwhile the bucket gains no more than may be sent at once after that.
const FIRST_WAIT: f64 = 0.85;
/// The minimum of that wait, as a multiple of the time that the request takes at the limit. The part
/// above 1 covers [`JITTER_ALONE`].
const FIRST_LEAST: f64 = 1.125;
/// The maximum time in seconds that a request is assumed to take at the limit. After that it is retried
/// anyway: the limit may be 0, which blocks a tenant for a while.
const OWN_MAX: f64 = 300.0;
/// How much may be sent at once after a pause, in seconds of the rate.
const SLACK: f64 = 1.0;
/// The share of a sender that seems to be alone. The rest fills the bucket, so that other senders find
/// tokens, and the sender's own jitter costs nothing.
const ALONE: f64 = 0.99;
/// The jitter around the exact time while this seems to be the only sender, as a fraction of the
/// request's own time. At most what [`FIRST_LEAST`] leaves in the bucket, so that a single sender is
/// never refused because of its jitter.
const JITTER_ALONE: f64 = 0.25;
/// How early the requests after the first wait are sent, as a fraction of a request's own time.
const EARLY: f64 = 0.5;
/// What an accepted request adds to the share, as a fraction of the share's square root.
const GAIN: f64 = 0.1;
/// The divisor of the share at a refusal, and the growth factor of the wait.
const CUT: f64 = 1.5;
/// The number of consecutive successes from which on each one also doubles the share.
const RUN: u32 = 3;
/// Only shares below this double: a sender that takes most of the limit would always be first again.
const SMALL: f64 = 0.1;
/// The time after a refusal until the rate is first raised above the known limit.
const QUIET: Duration = Duration::from_secs(15);
/// The maximum of that time, which doubles at each refusal.
const QUIET_MAX: Duration = Duration::from_mins(8);
/// The time between two raises. A full bucket of stock size, which holds 1.5 seconds' worth, can hide
/// for this long that the first step is too fast.
const WATCH: Duration = Duration::from_secs(3);
/// The first raise, as a fraction of the limit.
const STEP: f64 = 0.5;
/// A multiple of the limit: if this rate is not refused, there is no limit any more.
const FORGET: f64 = 16.0;

/// The maximum size of a request under a known limit, in seconds of the limit.
const FAIR: f64 = 0.25;
/// The minimum to which that rule reduces the size, in bytes.
const FAIR_LEAST: f64 = 16.0 * 1024.0;
/// The maximum delay of a request that nearly fills the bucket, as a fraction of its time. A full
/// bucket gains nothing more, so each such request is timed from the one before.
const TIGHT: f64 = 0.2;

/// The rate limiter of a process, in bytes per second.
///
/// Bytes are what Loki counts: lines and metadata, before compression.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    /// The longest mean wait, in seconds.
    longest: f64,
    /// The limit that the last refusal named, in bytes per second, if one is known.
    limit: Option<f64>,
    /// This sender's share of the limit; above 1 while a higher rate is probed.
    share: f64,
    /// The time, in seconds, at which all bytes sent so far are paid for at this share.
    paid: f64,
    /// What the bucket gains during the first wait beyond this sender's need, in seconds. It is ours if
    /// no other sender takes it, which the next success shows.
    saved: Option<f64>,
    /// How early requests are sent, in seconds, until a refusal or a raise. At the first refusal the
    /// bucket was not quite empty, and one more refusal tells whether it held this much.
    early: f64,
    /// Whether other senders were noticed under this limit.
    met: bool,
    /// Number of consecutive refusals, and of consecutive successes.
    refused: u32,
    accepted: u32,
    /// When the share was last lowered. Responses to requests from before that are ignored.
    lowered: Duration,
    /// When the rate is raised next, and the quiet period before that.
    raise: Duration,
    quiet: Duration,
    /// The part of `share` that is a probe above the known limit.
    raised: f64,
    request_size: RequestSizeLimit,
}

impl Default for RateLimiter {
    /// Waits one minute at most.
    fn default() -> Self {
        Self::new(Duration::from_mins(1))
    }
}

impl RateLimiter {
    /// Creates a rate limiter that knows no limit yet and waits for `longest` at most.
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
            request_size: RequestSizeLimit::default(),
        }
    }

    /// The maximum size of a request in bytes, if there is one. Larger requests must be split first,
    /// and the total of parallel requests must not exceed it either.
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
        [fair, self.request_size.most()].into_iter().flatten().min()
    }

    /// The size of the pieces, all alike, into which a request of this size is split.
    #[must_use]
    pub fn piece_of(&self, bytes: u64) -> u64 {
        let pieces = bytes.div_ceil(self.most().unwrap_or(u64::MAX));
        bytes.div_ceil(pieces.max(1))
    }

    /// Whether to split a request completely. If not, only the first piece of [`Self::most`] is split
    /// off, since it is not known yet whether smaller requests pass.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        self.request_size.is_sure()
    }

    /// The wait before a new request of `bytes`; zero as long as no limit is known.
    ///
    /// The call reserves tokens: parallel requests each call it and get times one after another.
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
        // Tokens saved during a pause: a second's worth, one request, or what the bucket may hold.
        let slack = self
            .request_size
            .safe()
            .map_or(SLACK, |most| bytes_at(limit, most).min(SLACK));
        self.paid = self.paid.max(now - cost.max(slack)) + cost;
        // Around the exact time, so that the jitter does not add up.
        seconds(self.paid + self.jitter(cost, random) - now)
    }

    /// Records a refusal that names `limit`, in bytes per second. Returns the wait until the request, or
    /// its first piece of [`Self::most`] bytes, is sent again.
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
        let for_its_size = self.request_size.refused(now, rate, refused);
        if for_its_size && self.limit.is_some() {
            self.limit = Some(rate);
            let next = self.next_of(refused);
            // The refusal took no tokens.
            let wait = bytes_at(rate, next) * random;
            self.paid = now.as_secs_f64() + wait;
            (self.saved, self.early) = (None, 0.0);
            return seconds(wait);
        }
        let early = std::mem::take(&mut self.early);
        if early > 0.0 && sent >= self.lowered {
            // The bucket did not hold as much as assumed.
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
            // Requests that have their time already still come at the old rate, the last of them
            // delayed by up to half its cost.
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
                // A smaller share would not lengthen the wait any more, but take long to grow again.
                let least = bytes_at(rate, bytes) / self.longest;
                self.share = (self.share / CUT).max(least.min(ALONE));
                backoff = self.backoff();
            }
            self.raised = 0.0;
            self.saved = None;
            self.raise = now + self.quiet;
        }
        // The bucket is empty now, whatever was assumed before.
        let now = now.as_secs_f64();
        let cost = self.cost(rate, bytes);
        self.paid = self.paid.max(now);
        if !news {
            self.paid += cost;
            return seconds(self.paid + self.jitter(cost, random) - now);
        }
        // For a single sender the bucket holds two requests after `least`; the second one covers later
        // jitter. Until other senders are noticed the jitter is small, so a part is enough, and a short
        // load ends earlier.
        let least = if known { 2.0 } else { FIRST_LEAST } * bytes_at(rate, bytes);
        let wait = (cost.max(backoff) * (0.5 + random)).max(least);
        if !known {
            self.saved = Some(wait - least);
            // Requests sent during the wait were already in flight when there was no limit yet.
            self.lowered = seconds(now + 0.5 * wait);
        }
        self.paid += wait;
        seconds(self.paid - now)
    }

    /// Whether a refused request that cannot be split is larger than the bucket, which refills at
    /// `limit`, so that it would be refused for ever.
    pub fn never_takes(&mut self, now: Duration, limit: u64, refused: &LimitedRequest) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52")]
        let rate = limit.max(1) as f64;
        self.request_size.never_takes(now, rate, refused)
    }

    /// Records that a request of `bytes` that was sent at `sent` was accepted.
    ///
    /// Must also be called while no limit is known, and for retried requests; of parallel requests,
    /// the accepted ones must be recorded before the refused ones.
    pub fn accepted(&mut self, now: Duration, sent: Duration, bytes: u64) {
        self.refused = 0;
        self.request_size.taken(now, bytes);
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
            // In proportion to the size, so that senders of small requests gain no advantage.
            let gain = GAIN * self.request_size.part();
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

    /// The number of bytes of a refused request that are sent next.
    fn next_of(&self, refused: &LimitedRequest) -> u64 {
        if refused.divisible {
            self.piece_of(refused.bytes)
        } else {
            refused.bytes
        }
    }

    /// Whether this many bytes may nearly fill the bucket.
    fn is_tight(&self, bytes: u64) -> bool {
        self.request_size
            .safe()
            .is_some_and(|most| bytes > most / 2)
    }

    /// The seconds that `bytes` take at this sender's share of the limit, within bounds.
    fn cost(&self, limit: f64, bytes: u64) -> f64 {
        let own = bytes_at(limit, bytes);
        (own / self.share).min(self.longest.max(own))
    }

    /// The deviation from the exact time, in seconds.
    fn jitter(&self, cost: f64, random: f64) -> f64 {
        let part = if self.met { 1.0 } else { JITTER_ALONE };
        cost * part * (random - 0.5)
    }

    /// The mean wait in seconds after another consecutive refusal, regardless of the size.
    fn backoff(&mut self) -> f64 {
        let times = i32::try_from(self.refused).unwrap_or(i32::MAX);
        self.refused = self.refused.saturating_add(1);
        (FIRST_WAIT * CUT.powi(times)).min(self.longest)
    }
}

/// The seconds that `bytes` take at the limit, at most [`OWN_MAX`].
fn bytes_at(limit: f64, bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
    let bytes = bytes as f64;
    (bytes / limit).min(OWN_MAX)
}

/// Converts seconds to a duration; negative values become zero.
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
