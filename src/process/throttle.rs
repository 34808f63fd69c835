//! Limits the rate of reading (`--limit-rate`): computes when bytes may be passed on.

use std::time::{Duration, Instant};

/// Spreads bytes evenly, at most `per_second` of them per second.
#[derive(Debug)]
pub struct Throttle {
    per_second: u64,
    free_at: Option<Instant>,
}

impl Throttle {
    /// Creates a throttle for this many bytes per second.
    pub fn new(per_second: u64) -> Self {
        Self {
            per_second: per_second.max(1),
            free_at: None,
        }
    }

    /// The time at which `bytes` that are ready now may be passed on. They are delayed by the time
    /// that they take, so that even the first burst does not exceed the rate.
    pub fn ready_at(&mut self, now: Instant, bytes: usize) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.per_second as f64);
        let ready_at = self.free_at.map_or(now, |free| free.max(now)) + takes;
        self.free_at = Some(ready_at);
        ready_at
    }

    /// The time at which more bytes may be passed on.
    pub fn free_at(&self) -> Option<Instant> {
        self.free_at
    }

    /// Maximum number of bytes to read at once, a tenth of a second's worth, so that waits stay
    /// short.
    pub fn read_size(per_second: u64) -> usize {
        usize::try_from(per_second / 10)
            .unwrap_or(usize::MAX)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_spread_from_the_first_on_and_no_credit_is_saved() {
        let start = Instant::now();
        let mut rate = Throttle::new(1_000);
        assert_eq!(
            rate.ready_at(start, 500),
            start + Duration::from_millis(500)
        );
        assert_eq!(rate.ready_at(start, 500), start + Duration::from_secs(1));
        let later = start + Duration::from_secs(60);
        assert_eq!(
            rate.ready_at(later, 100),
            later + Duration::from_millis(100)
        );
    }
}
