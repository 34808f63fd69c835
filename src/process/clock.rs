//! Timestamps for entries without a time of their own, from the system clock.

use std::sync::{Arc, Mutex, PoisonError};
#[cfg(feature = "cli")]
use std::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

#[cfg(feature = "cli")]
use crate::entry::Chunk;
#[cfg(feature = "cli")]
use crate::report::messages::Message;
use crate::report::messages::Reporter;

/// A source of strictly increasing timestamps; clones share it.
#[derive(Clone)]
pub struct Clock {
    stamper: Arc<Mutex<MonotonicStamper>>,
    #[cfg_attr(
        not(feature = "cli"),
        expect(dead_code, reason = "the library prints nothing")
    )]
    reporter: Reporter,
}

impl Clock {
    /// Creates a clock, which reports when the system clock is set back.
    pub fn new(reporter: Reporter) -> Self {
        Self {
            stamper: Arc::new(Mutex::new(MonotonicStamper::new())),
            reporter,
        }
    }

    /// Sets the timestamps of all entries of a chunk that have none.
    #[cfg(feature = "cli")]
    pub fn stamp(&self, chunk: &mut Chunk) {
        let count = chunk.unstamped();
        if count == 0 {
            return;
        }
        let stamps = self.take(now(), count);
        if let Some(by) = stamps.set_back {
            self.reporter.say(&Message::ClockSetBack {
                by: Duration::from_nanos(by as u64),
            });
        }
        let mut next = stamps.first;
        chunk.stamp(|| {
            next += 1;
            next - 1
        });
    }

    /// Returns the timestamp of one entry that was read at `now`.
    pub fn one(&self, now: i64) -> i64 {
        self.take(now, 1).first
    }

    fn take(&self, now: i64, count: usize) -> StampRange {
        let mut stamper = self.stamper.lock().unwrap_or_else(PoisonError::into_inner);
        stamper.take(now, count)
    }
}

/// Returns the current time in nanoseconds since the epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_nanos() as i64
}

/// How far the system clock may be set back before timestamps follow it, in nanoseconds. Below this
/// they increase by one nanosecond each until the clock has caught up.
const SET_BACK: i64 = 1_000_000_000;

/// Assigns strictly increasing timestamps, given the current time.
///
/// Loki merges entries of a stream with the same time and text (`pkg/chunkenc/unordered.go`), so
/// equal lines within one nanosecond would be lost.
#[derive(Debug, Default)]
pub struct MonotonicStamper {
    last: i64,
}

/// Consecutive timestamps, one nanosecond apart.
#[derive(Debug, PartialEq, Eq)]
pub struct StampRange {
    /// The first timestamp.
    pub first: i64,
    /// How far the clock was set back, in nanoseconds, if this range follows it.
    pub set_back: Option<i64>,
}

impl MonotonicStamper {
    pub fn new() -> Self {
        Self::default()
    }

    /// Reserves `count` timestamps starting at `now` (nanoseconds since the epoch). They are later
    /// than all previous ones, unless the clock was set back by more than a second.
    pub fn take(&mut self, now: i64, count: usize) -> StampRange {
        let slipped = self.last - now;
        let set_back = (slipped > SET_BACK).then_some(slipped);
        let first = if set_back.is_some() {
            now
        } else {
            now.max(self.last + 1)
        };
        self.last = first + count as i64 - 1;
        StampRange { first, set_back }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_rise_strictly_even_when_the_clock_stands_or_slips() {
        let mut stamper = MonotonicStamper::new();
        assert_eq!(
            stamper.take(1_000, 3),
            StampRange {
                first: 1_000,
                set_back: None
            }
        );
        assert_eq!(
            stamper.take(1_000, 1),
            StampRange {
                first: 1_003,
                set_back: None
            }
        );
        assert_eq!(
            stamper.take(500, 2),
            StampRange {
                first: 1_004,
                set_back: None
            }
        );
        assert_eq!(
            stamper.take(9_000, 1),
            StampRange {
                first: 9_000,
                set_back: None
            }
        );
    }

    #[test]
    fn a_clock_set_back_by_more_than_a_second_is_followed_and_told() {
        let mut stamper = MonotonicStamper::new();
        let hour = 3_600_000_000_000;
        stamper.take(2 * hour, 1);
        assert_eq!(
            stamper.take(hour, 2),
            StampRange {
                first: hour,
                set_back: Some(hour)
            }
        );
        assert_eq!(
            stamper.take(hour, 1),
            StampRange {
                first: hour + 2,
                set_back: None
            }
        );
    }
}
