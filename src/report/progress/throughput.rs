//! The recent rate of input, and an estimate of the time left.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes per second over a recent period.
pub struct Throughput {
    over: Duration,
    /// Total bytes at points in time: those within the period, and the last one before it.
    seen: VecDeque<(Instant, u64)>,
}

impl Throughput {
    /// Starts measuring over periods of this length.
    pub fn over(over: Duration, now: Instant) -> Self {
        let seen = VecDeque::from([(now, 0)]);
        Self { over, seen }
    }

    /// Records the total number of bytes so far.
    pub fn see(&mut self, now: Instant, bytes: u64) {
        self.seen.push_back((now, bytes));
        while self.seen.len() > 2 && now.saturating_duration_since(self.seen[1].0) >= self.over {
            self.seen.pop_front();
        }
    }

    /// The rate in bytes per second.
    pub fn rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.seen.front(), self.seen.back()) else {
            return 0.0;
        };
        let took = last.0.saturating_duration_since(first.0).as_secs_f64();
        last.1.saturating_sub(first.1) as f64 / took.max(0.001)
    }

    /// Estimates how long this many more bytes take, in whole seconds. Returns `None` at a rate of 0.
    pub fn left(&self, rest: u64) -> Option<Duration> {
        let rate = self.rate();
        let known = rest > 0 && rate >= 1.0;
        known.then(|| Duration::from_secs((rest as f64 / rate).ceil() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_that_of_the_last_while() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut speed = Throughput::over(Duration::from_secs(5), began);
        assert_eq!((speed.rate() as u64, speed.left(1)), (0, None));
        for second in 1..=10 {
            speed.see(at(second), second * 100);
        }
        assert_eq!(speed.rate() as u64, 100);
        assert_eq!(speed.left(250), Some(Duration::from_secs(3)));
        assert_eq!(speed.left(0), None);
        for second in 11..=15 {
            speed.see(at(second), 1_000);
        }
        assert_eq!((speed.rate() as u64, speed.left(250)), (0, None));
        // With long gaps between the records, the rate since the last one counts.
        speed.see(at(115), 2_000);
        assert_eq!(speed.rate() as u64, 10);
    }
}
