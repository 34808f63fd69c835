//! The rate a user allows: when bytes that were read may go on.
//!
//! Told the time; decides, does not wait.

use std::time::{Duration, Instant};

/// Spreads bytes over time, `--limit-rate` a second at most.
#[derive(Debug)]
pub struct Throttle {
    per_second: u64,
    free_at: Option<Instant>,
}

impl Throttle {
    /// A rate in bytes a second.
    pub fn new(per_second: u64) -> Self {
        Self {
            per_second: per_second.max(1),
            free_at: None,
        }
    }

    /// When `bytes` that are ready now may go on: each byte takes its time first, so that no burst
    /// is above the rate, not even the first.
    pub fn due(&mut self, now: Instant, bytes: usize) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.per_second as f64);
        let due = self.free_at.map_or(now, |free| free.max(now)) + takes;
        self.free_at = Some(due);
        due
    }

    /// When more bytes may go on.
    pub fn free_at(&self) -> Option<Instant> {
        self.free_at
    }

    /// How much to read at once so that the wait for it stays short: a tenth of a second's worth.
    pub fn portion(per_second: u64) -> usize {
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
        assert_eq!(rate.due(start, 500), start + Duration::from_millis(500));
        assert_eq!(rate.due(start, 500), start + Duration::from_secs(1));
        let later = start + Duration::from_secs(60);
        assert_eq!(rate.due(later, 100), later + Duration::from_millis(100));
    }
}
