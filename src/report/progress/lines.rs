//! Prints progress as plain lines without control characters, for a log or a pipe.

use std::time::{Duration, Instant};

use crate::report::counters::Counts;
use crate::report::counters::Wait;
use crate::report::messages::{Message, Reporter};
use crate::report::progress::throughput::Throughput;
use crate::report::progress::{facts, message};

/// The interval between two lines.
const EVERY: Duration = Duration::from_secs(10);

/// A progress display of plain lines.
pub struct PlainProgress {
    total: Option<u64>,
    due: Instant,
    speed: Throughput,
    reporter: Reporter,
}

impl PlainProgress {
    /// Creates a display for this number of bytes, if it is known.
    pub fn start(total: Option<u64>, now: Instant, reporter: Reporter) -> Self {
        Self {
            total,
            due: now + EVERY,
            speed: Throughput::over(EVERY, now),
            reporter,
        }
    }

    /// The time of the next line.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Prints a line.
    pub fn say(&mut self, now: Instant, counts: &Counts, wait: Option<&Wait>) {
        self.due = now + EVERY;
        let line = self.line(now, counts, wait);
        self.reporter.say(&Message::Progress { line: &line });
    }

    fn line(&mut self, now: Instant, counts: &Counts, wait: Option<&Wait>) -> String {
        self.speed.see(now, counts.bytes_read);
        let facts = facts(&self.speed, self.total, counts.bytes_read);
        facts + ", " + &message(counts, wait, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::messages::Verbosity;

    #[test]
    fn a_line_tells_rate_and_time_left_where_they_are_known() {
        let began = Instant::now();
        let now = began + EVERY;
        let counts = |bytes_read| Counts {
            read: 12,
            delivered: 12,
            bytes_read,
            ..Counts::default()
        };
        let line = |total, bytes| {
            let mut lines = PlainProgress::start(total, began, Reporter::new(Verbosity::Silent));
            lines.line(now, &counts(bytes), None)
        };
        let known = line(Some(40 << 10), 10 << 10);
        assert_eq!(known, "10 KiB of 40 KiB, 1 KiB/s, 30s left, 12 lines");
        assert_eq!(line(None, 10 << 10), "10 KiB, 1 KiB/s, 12 lines");
        assert_eq!(line(Some(5), 0), "0 B of 5 B, 0 B/s, 12 lines");
        // A file that grew while it was read.
        let grown = line(Some(5), 10 << 10);
        assert_eq!(grown, "10 KiB of 5 B, 1 KiB/s, 12 lines");
    }

    #[test]
    fn the_rate_is_that_since_the_line_before() {
        let began = Instant::now();
        let mut lines = PlainProgress::start(Some(40), began, Reporter::new(Verbosity::Silent));
        let counts = |bytes_read| Counts {
            bytes_read,
            ..Counts::default()
        };
        lines.say(began + EVERY, &counts(20), None);
        assert_eq!(lines.due(), began + 2 * EVERY);
        let text = lines.line(lines.due(), &counts(30), None);
        assert!(text.starts_with("30 B of 40 B, 1 B/s, 10s left"), "{text}");
    }
}
