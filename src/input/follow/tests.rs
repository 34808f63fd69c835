//! When followed paths are looked at.

use super::*;

#[test]
fn looks_with_one_period_fall_together() {
    let times = [0, 24, 25, 199, 200].map(|ms| ticks(Duration::from_millis(ms)));
    assert_eq!(times, [0, 0, 1, 7, 8]);
    let next = [0, 1, 7, 8, 9].map(|tick| aligned(tick, 8));
    assert_eq!(next, [8, 8, 8, 16, 16]);
    assert_eq!([3, 4].map(|tick| aligned(tick, 1)), [4, 5]);
}
