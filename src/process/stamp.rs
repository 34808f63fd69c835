//! Stamps: the clock's time for entries that bring none of their own.
//!
//! Told the time; decides what each entry gets. Knows no entry and no clock.

/// How far the clock may fall back before it is followed, in nanoseconds. Below this, stamps go on
/// rising by one nanosecond each until the clock has caught up.
const SET_BACK: i64 = 1_000_000_000;

/// Hands out strictly rising times.
///
/// Loki stores one entry for equal (stream, time, text), so two honest equal lines in one
/// nanosecond would lose one (contract, trap T10).
#[derive(Debug, Default)]
pub struct MonotonicStamper {
    last: i64,
}

/// Consecutive stamps, a nanosecond apart.
#[derive(Debug, PartialEq, Eq)]
pub struct StampRange {
    /// The first; the others follow by one each.
    pub first: i64,
    /// By how much the clock was set back, in nanoseconds, when it was followed.
    pub set_back: Option<i64>,
}

impl MonotonicStamper {
    /// A stamper that has given nothing out.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reserves `count` stamps from `now` (nanoseconds since the epoch) on, all later than any
    /// given before, unless the clock was set back by more than a second.
    pub fn take(&mut self, now: i64, count: usize) -> StampRange {
        let behind = self.last - now;
        let set_back = (behind > SET_BACK).then_some(behind);
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
