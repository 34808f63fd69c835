//! How large the body of a request may be for the connection to Loki. Pure.
//!
//! A gateway rejects larger ones with a 413; on a slow link they time out. Either way the size is found
//! by halving, and remembered for the batches that follow.

use std::time::Duration;

/// A timeout of a request of at most this size is not due to its size, so it is not split.
pub const SMALL: usize = 16 * 1024;

/// The number of quick requests in a row after which a limit that was found by timeouts is doubled.
const QUICK: u32 = 8;

/// The size found so far.
#[derive(Debug, Default)]
pub struct BodyLimit {
    /// The largest body that a gateway may accept.
    refused: Option<usize>,
    /// The largest body that a slow link may carry in time.
    slow: Option<usize>,
    quick: u32,
}

impl BodyLimit {
    /// The size that bodies may have, in bytes.
    pub fn max(&self) -> Option<usize> {
        self.refused.into_iter().chain(self.slow).min()
    }

    /// Records that a body was too large (413), and that half of it has this size.
    pub fn too_large(&mut self, half: usize) {
        self.refused = Some(self.refused.map_or(half, |own| own.min(half)));
    }

    /// Records that a body of this size timed out. Returns whether that may be due to its size.
    pub fn timed_out(&mut self, size: usize) -> bool {
        self.quick = 0;
        if size <= SMALL {
            return false;
        }
        let half = (size / 2).max(SMALL);
        self.slow = Some(self.slow.map_or(half, |own| own.min(half)));
        true
    }

    /// Records that a body of this size was answered in time.
    pub fn answered(&mut self, size: usize, took: Duration, timeout: Duration) {
        let Some(slow) = self.slow.filter(|slow| size > slow / 2) else {
            return;
        };
        self.quick = if took < timeout / 4 {
            self.quick + 1
        } else {
            0
        };
        if self.quick >= QUICK {
            self.quick = 0;
            self.slow = slow.checked_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    #[test]
    fn the_size_is_halved_and_remembered() {
        let mut limit = BodyLimit::default();
        assert_eq!(limit.max(), None);
        limit.too_large(50_000);
        limit.too_large(150_000);
        assert_eq!(limit.max(), Some(50_000));
        assert!(limit.timed_out(40_000));
        assert_eq!(limit.max(), Some(20_000));
        assert!(limit.timed_out(20_000));
        assert_eq!(limit.max(), Some(SMALL));
        assert!(!limit.timed_out(SMALL), "that is not its size");
    }

    #[test]
    fn requests_grow_again_on_a_faster_link_but_not_after_a_413() {
        let mut limit = BodyLimit::default();
        limit.too_large(100_000);
        assert!(limit.timed_out(80_000));
        let answer = |limit: &mut BodyLimit, size, seconds| {
            for _ in 0..QUICK {
                limit.answered(size, Duration::from_secs(seconds), TIMEOUT);
            }
        };
        answer(&mut limit, 39_000, 5);
        answer(&mut limit, 1_000, 1);
        assert_eq!(
            limit.max(),
            Some(40_000),
            "neither slow nor small ones tell"
        );
        answer(&mut limit, 39_000, 1);
        assert_eq!(limit.max(), Some(80_000));
        answer(&mut limit, 79_000, 1);
        answer(&mut limit, 100_000, 1);
        assert_eq!(limit.max(), Some(100_000), "what the gateway takes");
    }
}
