//! Shows the progress of a run from its counters: as a bar on the last line of a terminal, or as plain
//! lines of text at intervals.

mod bar;
mod lines;
mod throughput;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::report::counters::Counts;
use crate::report::counters::Wait;
use crate::report::humanize::{counted, duration, grouped, size};
use crate::report::messages::{Reporter, Sanitized};
use crate::report::progress::bar::Bar;
use crate::report::progress::lines::PlainProgress;
use crate::report::progress::throughput::Throughput;

/// A progress display.
pub enum Progress {
    /// A bar on the terminal's last line.
    Bar(Box<Bar>),
    /// Plain lines, without control characters.
    PlainProgress(PlainProgress),
}

impl Progress {
    /// Creates a bar for this number of bytes, or a spinner. Messages appear above it.
    pub fn bar(total: Option<u64>, now: Instant) -> Self {
        Self::Bar(Box::new(Bar::start(total, now)))
    }

    /// Creates a display of plain lines.
    pub fn lines(total: Option<u64>, now: Instant, reporter: Reporter) -> Self {
        Self::PlainProgress(PlainProgress::start(total, now, reporter))
    }

    /// The time of the next update.
    pub fn due(&self) -> Instant {
        match self {
            Self::Bar(bar) => bar.due(),
            Self::PlainProgress(lines) => lines.due(),
        }
    }

    /// Updates the display if that is due. `look` returns the counts and why delivery is waiting.
    pub fn show(&mut self, now: Instant, look: impl FnOnce() -> (Counts, Option<Wait>)) {
        if now < self.due() {
            return;
        }
        let (counts, wait) = look();
        match self {
            Self::Bar(bar) => bar.draw(now, &counts, wait.as_ref()),
            Self::PlainProgress(lines) => lines.say(now, &counts, wait.as_ref()),
        }
    }
}

/// Bytes read, rate, and time left.
fn facts(speed: &Throughput, total: Option<u64>, bytes: u64) -> String {
    let mut text = size(bytes);
    if let Some(total) = total {
        text = text + " of " + &size(total);
    }
    text = text + ", " + &size(speed.rate() as u64) + "/s";
    let rest = total.map(|total| total.saturating_sub(bytes));
    if let Some(left) = rest.and_then(|rest| speed.left(rest)) {
        text = text + ", " + &duration(left) + " left";
    }
    text
}

/// Lines read and unconfirmed, and what delivery is waiting for.
fn message(counts: &Counts, wait: Option<&Wait>, now: Instant) -> String {
    let left = counts.left() + counts.adopted_left();
    let mut text = counted(counts.read, "line", "lines");
    if left > 0 {
        let _ = write!(text, ", {} unconfirmed", grouped(left));
    }
    match wait {
        Some(wait) if wait.until > now => {
            let seconds = (wait.until - now).as_secs() + 1;
            let next = duration(Duration::from_secs(seconds));
            let why = Sanitized(&wait.why);
            format!("waiting: {why}, next try in {next} ({text})")
        }
        Some(wait) => format!("retrying: {} ({text})", Sanitized(&wait.why)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_tells_what_is_waited_for() {
        let counts = Counts {
            read: 12,
            delivered: 10,
            ..Counts::default()
        };
        let now = Instant::now();
        assert_eq!(message(&counts, None, now), "12 lines, 2 unconfirmed");
        let wait = Wait {
            why: "503 busy\n".into(),
            until: now + Duration::from_millis(3_100),
        };
        assert_eq!(
            message(&counts, Some(&wait), now),
            "waiting: 503 busy, next try in 4s (12 lines, 2 unconfirmed)"
        );
        let late = now + Duration::from_secs(5);
        assert!(message(&counts, Some(&wait), late).starts_with("retrying: 503"));
    }
}
