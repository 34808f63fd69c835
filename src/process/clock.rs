//! Stamps from the clock, shared by all that hand something in.
//!
//! Asks the clock, and says when it was set back. That stamps rise is the stamper's affair.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::entry::Chunk;
use crate::process::stamp::{MonotonicStamper, StampRange};
use crate::report::messages::{Message, Reporter};

/// Gives stamps; clones share it.
#[derive(Clone)]
pub struct Clock {
    stamper: Arc<Mutex<MonotonicStamper>>,
    reporter: Reporter,
}

impl Clock {
    /// Gave no stamp yet.
    pub fn new(reporter: Reporter) -> Self {
        Self {
            stamper: Arc::new(Mutex::new(MonotonicStamper::new())),
            reporter,
        }
    }

    /// Stamps the entries of a chunk that have no time of their own.
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

    /// A stamp for one entry that came at `now`.
    pub fn one(&self, now: i64) -> i64 {
        self.take(now, 1).first
    }

    fn take(&self, now: i64, count: usize) -> StampRange {
        let mut stamper = self.stamper.lock().unwrap_or_else(PoisonError::into_inner);
        stamper.take(now, count)
    }
}

/// What the clock says, in nanoseconds since the epoch.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_nanos() as i64
}
