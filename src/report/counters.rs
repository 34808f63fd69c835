//! The counters of a run: entries by outcome, requests and bytes, and the state of delivery.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::sync::flush_deadline::AttemptTiming;

/// The final outcome of entries. Entries without one at the end count as left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Confirmed by Loki.
    Delivered,
    /// Refused by Loki, for this reason.
    Refused(String),
    /// Dropped by `--on-full` or `--max-retries`, for this reason.
    Dropped(&'static str),
    /// Safe in the spool for the next run.
    Spooled,
    /// Filtered by `--include` or `--exclude`.
    #[cfg_attr(
        not(feature = "cli"),
        expect(dead_code, reason = "the library filters nothing")
    )]
    Filtered,
}

/// Entries by outcome, requests and bytes. Always `read = delivered + refused + dropped + spooled +
/// filtered + left`, where `left` is every entry without another outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries read.
    pub read: u64,
    /// Entries that Loki confirmed (with `--dry-run`: printed).
    pub delivered: u64,
    /// Entries that Loki refused.
    pub refused: u64,
    /// Entries given up by `--on-full` or `--max-retries`.
    pub dropped: u64,
    /// Entries in the spool, for the next run.
    pub spooled: u64,
    /// Entries left out by `--include` or `--exclude`.
    pub filtered: u64,
    /// Entries that got the time of arrival although `--time` asked for another.
    pub untimed: u64,
    /// Files that were not read because no time can be read in them.
    pub unreadable_times: u64,
    /// HTTP requests made.
    pub requests: u64,
    /// Requests that were retries.
    pub retries: u64,
    /// Bytes of input.
    pub bytes_read: u64,
    /// Bytes of request bodies, including retries.
    pub bytes_sent: u64,
    /// Number of refused or dropped entries for each reason.
    pub reasons: BTreeMap<String, u64>,
    /// Entries of earlier runs taken over from the spool; counted apart from all above.
    pub adopted: u64,
    /// Adopted entries that Loki confirmed.
    pub adopted_delivered: u64,
    /// Adopted entries that Loki refused.
    pub adopted_refused: u64,
}

impl Counts {
    /// Entries read, but neither confirmed, nor given up, nor spooled.
    pub fn left(&self) -> u64 {
        let known = self.delivered + self.refused + self.dropped + self.spooled + self.filtered;
        self.read.saturating_sub(known)
    }

    /// Adopted entries that are still in the spool.
    #[cfg(feature = "cli")]
    pub fn adopted_left(&self) -> u64 {
        self.adopted
            .saturating_sub(self.adopted_delivered + self.adopted_refused)
    }
}

/// Why delivery is waiting.
#[derive(Debug, Clone)]
pub struct Wait {
    /// The error, in a few words.
    #[cfg_attr(
        not(feature = "cli"),
        expect(dead_code, reason = "for the progress bar")
    )]
    pub why: String,
    /// The time of the next attempt.
    #[cfg_attr(
        not(feature = "cli"),
        expect(dead_code, reason = "for the progress bar")
    )]
    pub until: Instant,
}

/// Counters that all stages share.
#[derive(Debug, Default)]
pub struct Counters {
    counts: Mutex<Counts>,
    wait: Mutex<Option<Wait>>,
    accepted: Mutex<Option<Instant>>,
    tries: Mutex<Option<AttemptTiming>>,
    retrying: AtomicUsize,
    /// Loki's limit on the labels of a stream, once it has named one; else 0.
    label_limit: AtomicUsize,
}

impl Counters {
    /// Creates counters that are all 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds input: entries, of which some were filtered, and bytes.
    pub fn read(&self, entries: usize, filtered: usize, bytes: usize) {
        let mut counts = self.lock();
        counts.read += entries as u64;
        counts.filtered += filtered as u64;
        counts.bytes_read += bytes as u64;
    }

    /// Adds entries that got the time of arrival although `--time` asked for another.
    #[cfg(feature = "cli")]
    pub fn untimed(&self, entries: usize) {
        self.lock().untimed += entries as u64;
    }

    /// Adds a file that was not shipped because none of its lines has a readable time.
    #[cfg(feature = "cli")]
    pub fn unreadable_times(&self) {
        self.lock().unreadable_times += 1;
    }

    /// Adds an attempt to send a request with a body of `bytes`.
    pub fn tried(&self, bytes: usize, again: bool) {
        let mut counts = self.lock();
        counts.requests += 1;
        counts.retries += u64::from(again);
        counts.bytes_sent += bytes as u64;
    }

    /// Sets the limit on the labels of a stream that Loki has named.
    pub fn set_label_limit(&self, limit: usize) {
        self.label_limit.store(limit, Ordering::Relaxed);
    }

    /// The limit on the labels of a stream that Loki has named, if it has.
    #[cfg(feature = "cli")]
    pub fn label_limit(&self) -> Option<usize> {
        Some(self.label_limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    /// Sets why delivery is waiting.
    pub fn waits(&self, wait: Wait) {
        *self.wait.lock().unwrap_or_else(PoisonError::into_inner) = Some(wait);
    }

    /// Why delivery is waiting, if it is.
    #[cfg(feature = "cli")]
    pub fn wait(&self) -> Option<Wait> {
        let wait = self.wait.lock().unwrap_or_else(PoisonError::into_inner);
        wait.clone()
    }

    /// Records that a request succeeded.
    pub fn accepted(&self, now: Instant) {
        *self.wait.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    /// The time at which a request last succeeded.
    pub fn last_accepted(&self) -> Option<Instant> {
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the attempts in flight.
    pub fn set_tries(&self, tries: Option<AttemptTiming>) {
        *self.tries.lock().unwrap_or_else(PoisonError::into_inner) = tries;
    }

    /// Records that one of them has started, which may take until this time.
    pub fn set_tries_until(&self, until: Instant) {
        let mut tries = self.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tries) = tries.as_mut() {
            tries.until = tries.until.max(until);
        }
    }

    /// The attempts in flight.
    pub fn tries(&self) -> Option<AttemptTiming> {
        *self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the number of entries that failed to be sent and will be retried.
    pub fn set_retrying(&self, entries: usize) {
        self.retrying.store(entries, Ordering::Relaxed);
    }

    /// The number of entries that failed to be sent and will be retried.
    pub fn retrying(&self) -> usize {
        self.retrying.load(Ordering::Relaxed)
    }

    /// Counts entries by outcome; `adopted` ones come from an earlier run.
    pub fn settle(&self, entries: usize, fate: Fate, adopted: bool) {
        let entries = entries as u64;
        let mut counts = self.lock();
        let count = match (&fate, adopted) {
            (Fate::Delivered, false) => &mut counts.delivered,
            (Fate::Delivered, true) => &mut counts.adopted_delivered,
            (Fate::Refused(_), false) => &mut counts.refused,
            (Fate::Refused(_), true) => &mut counts.adopted_refused,
            (Fate::Dropped(_), _) => &mut counts.dropped,
            (Fate::Spooled, _) => &mut counts.spooled,
            (Fate::Filtered, _) => &mut counts.filtered,
        };
        *count += entries;
        let reason = match fate {
            Fate::Refused(reason) => reason,
            Fate::Dropped(reason) => reason.to_owned(),
            _ => return,
        };
        *counts.reasons.entry(reason).or_default() += entries;
    }

    /// Adds entries taken over from an earlier run.
    pub fn adopted(&self, entries: usize) {
        self.lock().adopted += entries as u64;
    }

    /// The current counts.
    pub fn counts(&self) -> Counts {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fate_is_counted_once_and_adopted_ones_apart() {
        let counters = Counters::new();
        counters.read(10, 1, 99);
        counters.adopted(5);
        counters.settle(4, Fate::Delivered, false);
        counters.settle(2, Fate::Refused("too old".into()), false);
        counters.settle(1, Fate::Dropped("buffer full"), false);
        counters.settle(3, Fate::Delivered, true);
        counters.settle(1, Fate::Refused("too old".into()), true);
        let counts = counters.counts();
        assert_eq!((counts.left(), counts.adopted_left()), (2, 1));
        assert_eq!(counts.reasons.get("too old"), Some(&3));
        assert_eq!(counts.reasons.get("buffer full"), Some(&1));
    }
}
