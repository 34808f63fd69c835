//! Speed: how fast bytes came lately, and how long the rest will take.
//!
//! Numbers only; told the time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes a second over the last while.
pub struct Throughput {
    over: Duration,
    /// When so many bytes had come: the last one before that while, and those in it.
    seen: VecDeque<(Instant, u64)>,
}

impl Throughput {
    /// Over the last so long, from now on.
    pub fn over(over: Duration, now: Instant) -> Self {
        let seen = VecDeque::from([(now, 0)]);
        Self { over, seen }
    }

    /// So many bytes have come until now.
    pub fn see(&mut self, now: Instant, bytes: u64) {
        self.seen.push_back((now, bytes));
        while self.seen.len() > 2 && now.saturating_duration_since(self.seen[1].0) >= self.over {
            self.seen.pop_front();
        }
    }

    /// Bytes a second.
    pub fn rate(&self) -> f64 {
        let (Some(first), Some(last)) = (self.seen.front(), self.seen.back()) else {
            return 0.0;
        };
        let took = last.0.saturating_duration_since(first.0).as_secs_f64();
        last.1.saturating_sub(first.1) as f64 / took.max(0.001)
    }

    /// How long so many more take, in whole seconds; of what stands still nobody knows when it ends.
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
        // Seldom told, it is that since the last time.
        speed.see(at(115), 2_000);
        assert_eq!(speed.rate() as u64, 10);
    }
}
