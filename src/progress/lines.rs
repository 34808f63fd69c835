//! Progress as lines of text, for a log or a pipe: no control character, at a calm rate.
//!
//! Knows what stands in such a line. Told the time.

use std::time::{Duration, Instant};

use super::message;
use crate::ledger::Wait;
use crate::note::{Message, Note};
use crate::report::{Counts, duration, size};

/// How often one is said.
const EVERY: Duration = Duration::from_secs(10);

/// Lines that are said when their time has come.
pub struct Lines {
    total: Option<u64>,
    last: (Instant, u64),
    note: Note,
}

impl Lines {
    /// For so many bytes, where that is known.
    pub fn start(total: Option<u64>, now: Instant, note: Note) -> Self {
        Self {
            total,
            last: (now, 0),
            note,
        }
    }

    /// When the next one is to be said.
    pub fn due(&self) -> Instant {
        self.last.0 + EVERY
    }

    /// Says one.
    pub fn say(&mut self, now: Instant, counts: &Counts, wait: Option<&Wait>) {
        let line = self.line(now, counts, wait);
        self.last = (now, counts.bytes_read);
        self.note.say(&Message::Progress { line: &line });
    }

    fn line(&self, now: Instant, counts: &Counts, wait: Option<&Wait>) -> String {
        let mut text = size(counts.bytes_read);
        if let Some(total) = self.total {
            text = text + " of " + &size(total);
        }
        let (at, before) = self.last;
        let took = now.saturating_duration_since(at).as_secs_f64();
        let rate = counts.bytes_read.saturating_sub(before) as f64 / took.max(0.001);
        text = text + ", " + &size(rate as u64) + "/s";
        let rest = self
            .total
            .map(|total| total.saturating_sub(counts.bytes_read));
        // Of what stands still nobody knows when it ends.
        if let Some(rest) = rest.filter(|&rest| rest > 0 && rate >= 1.0) {
            let left = Duration::from_secs((rest as f64 / rate).ceil() as u64);
            text = text + ", " + &duration(left) + " left";
        }
        text + ", " + &message(counts, wait, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Loudness;

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
            let lines = Lines::start(total, began, Note::new(Loudness::Silent));
            lines.line(now, &counts(bytes), None)
        };
        let known = line(Some(40 << 10), 10 << 10);
        assert_eq!(known, "10 KiB of 40 KiB, 1 KiB/s, 30s left, 12 lines");
        assert_eq!(line(None, 10 << 10), "10 KiB, 1 KiB/s, 12 lines");
        assert_eq!(line(Some(5), 0), "0 B of 5 B, 0 B/s, 12 lines");
        // It grew while it was read.
        let grown = line(Some(5), 10 << 10);
        assert_eq!(grown, "10 KiB of 5 B, 1 KiB/s, 12 lines");
    }

    #[test]
    fn the_rate_is_that_since_the_line_before() {
        let began = Instant::now();
        let mut lines = Lines::start(Some(40), began, Note::new(Loudness::Silent));
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
