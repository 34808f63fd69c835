//! Exponential backoff with jitter between attempts.

use std::time::Duration;

/// The longest wait a server can ask for with `Retry-After`.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(5);

/// Exponential waits: the base, doubled with each attempt, up to the most, each 75–125 % of that
/// so that many hosts do not come back at the same moment.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// The first wait.
    pub base: Duration,
    /// The longest wait.
    pub most: Duration,
}

impl Backoff {
    /// The wait after failed attempt number `attempt` (0 is the first). `asked` is the server's
    /// `Retry-After`; 0 is ignored, so that a server which always sends it is not overloaded. `slow`
    /// selects the longest wait at once, for errors that only a person can fix. `random` is between 0
    /// and 1.
    pub fn wait(&self, attempt: u32, asked: Option<Duration>, slow: bool, random: f64) -> Duration {
        let jitter = 0.75 + random / 2.0;
        if let Some(asked) = asked.filter(|asked| !asked.is_zero()) {
            // Not before it was asked for, and not all at once after it.
            return asked.min(MAX_RETRY_AFTER).mul_f64(1.0 + random / 4.0);
        }
        let doubled = self
            .base
            .saturating_mul(1_u32.checked_shl(attempt).unwrap_or(u32::MAX));
        let wait = if slow {
            self.most
        } else {
            doubled.min(self.most)
        };
        wait.mul_f64(jitter)
    }
}

/// A small source of random numbers for jitter; nothing here needs good ones.
#[derive(Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// Seeded, for example from the clock and the process.
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// The next number, from 0 up to 1.
    pub fn next(&mut self) -> f64 {
        // Steele and Vigna's SplitMix64: one line, and any seed will do.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(1),
        most: Duration::from_secs(30),
    };

    #[test]
    fn waits_double_up_to_the_most() {
        let waits: Vec<_> = (0..8)
            .map(|n| BACKOFF.wait(n, None, false, 0.5).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(BACKOFF.wait(u32::MAX, None, false, 0.5).as_secs(), 30);
        assert_eq!(BACKOFF.wait(0, None, true, 0.5).as_secs(), 30);
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        let mut jitter = Jitter::new(42);
        for _ in 0..1_000 {
            let wait = BACKOFF.wait(1, None, false, jitter.next()).as_secs_f64();
            assert!((1.5..=2.5).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn retry_after_is_honoured_up_to_five_minutes() {
        let wait = |asked, random| BACKOFF.wait(3, Some(Duration::from_secs(asked)), false, random);
        assert_eq!(wait(7, 0.0).as_secs(), 7);
        assert!(wait(7, 0.99) >= Duration::from_secs(7) && wait(7, 0.99).as_secs() < 9);
        assert_eq!(wait(9_999, 0.0).as_secs(), 300);
    }

    #[test]
    fn a_retry_after_of_nothing_does_not_make_it_hammer() {
        let wait = |attempt| {
            BACKOFF
                .wait(attempt, Some(Duration::ZERO), false, 0.5)
                .as_secs()
        };
        assert_eq!([wait(0), wait(3)], [1, 8]);
    }
}
