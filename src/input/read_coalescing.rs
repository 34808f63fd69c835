//! Decides when to pause between reads. A program that writes each line separately would wake us for
//! every line, thousands of times per second; after a short pause one read returns all of them.
//!
//! The caller passes the size of each read and how long it waited.

use std::time::Duration;

/// The usual pause, which the end of input ends. It is not noticeable: a batch is sent after a second.
const DELAY: Duration = Duration::from_millis(28);

/// The pause while there is little input. A wake-up costs as much as reading dozens of lines: at 100
/// lines/s, half the wake-ups are half the cost.
const LONG_REST: Duration = Duration::from_millis(40);

/// A read below this size is little input: three times as much would still not be a `LARGE_READ`.
const LITTLE: usize = 8 * 1024;

/// A read that waited longer means that lines arrive slowly, and a pause saves nothing.
const SLOW: Duration = Duration::from_millis(30);

/// Number of reads in quick succession after which to pause.
const MIN_STREAK: u32 = 8;

/// The maximum of that number, which pauses that saved nothing increase.
const LONG_STREAK: u32 = 4096;

/// A larger read was worth its wake-up, so a pause saves nothing.
const LARGE_READ: usize = 60 * 1024;

/// The pipe size required for input that arrives during a pause, even at eight times the rate of
/// `LARGE_READ`.
const ROOM: usize = 8 * LARGE_READ;

/// Decides on pauses from the reads so far.
#[derive(Debug)]
pub struct ReadCoalescer {
    /// Number of quick small reads in a row.
    streak: u32,
    /// Number of them after which to pause.
    needed: u32,
    rested: bool,
    /// Whether the pipe is large enough, once that was checked.
    roomy: Option<bool>,
}

impl Default for ReadCoalescer {
    fn default() -> Self {
        Self {
            streak: 0,
            needed: MIN_STREAK,
            rested: false,
            roomy: None,
        }
    }
}

impl ReadCoalescer {
    /// The pause after a read of `bytes` that waited for `waited`, if any. `room` enlarges the pipe and
    /// returns its size; it is called once, before the first pause.
    pub fn after(
        &mut self,
        bytes: usize,
        waited: Duration,
        room: impl FnOnce() -> usize,
    ) -> Option<Duration> {
        let rested = std::mem::take(&mut self.rested);
        if waited > SLOW {
            self.streak = 0;
            self.needed = MIN_STREAK;
            return None;
        }
        if bytes > LARGE_READ {
            self.streak = 0;
            // The burst is over, or the writer had to wait for us: require more reads next time.
            if rested {
                self.needed = (self.needed * 2).min(LONG_STREAK);
            }
            return None;
        }
        self.streak = self.streak.saturating_add(1);
        if self.streak < self.needed || !*self.roomy.get_or_insert_with(|| room() >= ROOM) {
            return None;
        }
        self.rested = true;
        // The size of reads before the first pause does not predict how much comes during one.
        let comes_little = rested && bytes < LITTLE;
        Some(if comes_little { LONG_REST } else { DELAY })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_micros(50);

    fn rests(
        calm: &mut ReadCoalescer,
        reads: usize,
        bytes: usize,
        waited: Duration,
        room: usize,
    ) -> usize {
        (0..reads)
            .filter(|_| calm.after(bytes, waited, || room).is_some())
            .count()
    }

    #[test]
    fn many_small_reads_are_calmed() {
        let mut calm = ReadCoalescer::default();
        assert_eq!(
            rests(&mut calm, MIN_STREAK as usize - 1, 100, SOON, 1 << 20),
            0
        );
        assert_eq!(rests(&mut calm, 5, 20_000, SOON, 1 << 20), 5);
    }

    #[test]
    fn slow_lines_full_reads_and_what_is_no_pipe_are_not() {
        for (bytes, waited, room) in [
            (100, SLOW * 2, 1 << 20),
            (64 << 10, SOON, 1 << 20),
            (100, SOON, 1 << 16),
            (100, SOON, 0),
        ] {
            assert_eq!(
                rests(&mut ReadCoalescer::default(), 100, bytes, waited, room),
                0
            );
        }
    }

    #[test]
    fn the_less_comes_the_longer_it_rests() {
        let mut calm = ReadCoalescer::default();
        assert_eq!(
            rests(&mut calm, MIN_STREAK as usize - 1, 100, SOON, 1 << 20),
            0
        );
        assert_eq!(calm.after(100, SOON, || 1 << 20), Some(DELAY));
        assert_eq!(calm.after(100, SOON, || 0), Some(LONG_REST));
        assert_eq!(calm.after(20_000, SOON, || 0), Some(DELAY));
    }

    #[test]
    fn a_rest_that_was_wrong_is_taken_less_often() {
        let mut calm = ReadCoalescer::default();
        assert_eq!(rests(&mut calm, 8, 100, SOON, 1 << 20), 1);
        assert_eq!(rests(&mut calm, 3, 64 << 10, SOON, 1 << 20), 0);
        assert_eq!(rests(&mut calm, 15, 100, SOON, 1 << 20), 0);
        assert_eq!(rests(&mut calm, 1, 100, SOON, 1 << 20), 1);
    }

    #[test]
    fn a_rest_that_brought_nothing_is_the_last() {
        let mut calm = ReadCoalescer::default();
        assert_eq!(rests(&mut calm, 10, 100, SOON, 1 << 20), 3);
        assert_eq!(rests(&mut calm, 1, 100, SLOW * 2, 1 << 20), 0);
        assert_eq!(rests(&mut calm, 7, 100, SOON, 1 << 20), 0);
    }
}
