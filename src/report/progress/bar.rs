//! Draws the progress bar on the last line of the terminal.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::report::counters::Counts;
use crate::report::counters::Wait;
use crate::report::humanize::duration;
use crate::report::messages;
use crate::report::messages::StatusLine;
use crate::report::progress::throughput::Throughput;
use crate::report::progress::{facts, message};

/// The interval at which the bar is drawn.
const EVERY: Duration = Duration::from_millis(200);

/// A run that ends within this time shows no bar.
const FIRST: Duration = Duration::from_millis(300);

/// The period over which the rate is measured.
const LATELY: Duration = Duration::from_secs(5);

/// Width of the bar in columns.
const WIDTH: usize = 16;

/// The control sequence that clears the line and moves the cursor to its beginning.
const CLEAR: &str = "\r\x1b[2K";

/// A progress bar, or a spinner if the size is unknown.
pub struct Bar {
    total: Option<u64>,
    began: Instant,
    due: Instant,
    speed: Throughput,
    /// Number of times it was drawn, which turns the spinner.
    turns: usize,
    shown: Arc<Shown>,
    _foot: StatusLine,
}

impl Bar {
    /// Creates a bar for this number of bytes, or a spinner. Messages appear above it.
    pub fn start(total: Option<u64>, now: Instant) -> Self {
        let shown = Arc::new(Shown::default());
        let around = Arc::clone(&shown);
        Self {
            total,
            began: now,
            due: now + FIRST,
            speed: Throughput::over(LATELY, now),
            turns: 0,
            shown,
            _foot: messages::around(Arc::new(move |write| around.without(write))),
        }
    }

    /// The time of the next drawing.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Draws the bar.
    pub fn draw(&mut self, now: Instant, counts: &Counts, wait: Option<&Wait>) {
        self.due = now + EVERY;
        self.turns += 1;
        self.speed.see(now, counts.bytes_read);
        let text = self.text(now, counts, wait);
        self.shown.draw(fitting(&text, columns()).to_owned());
    }

    fn text(&self, now: Instant, counts: &Counts, wait: Option<&Wait>) -> String {
        let spinner = ['|', '/', '-', '\\'][self.turns % 4];
        let Some(total) = self.total else {
            let took = now.saturating_duration_since(self.began).as_secs();
            let took = Duration::from_secs(took.max(1));
            let facts = facts(&self.speed, None, counts.bytes_read);
            let message = message(counts, wait, now);
            return format!("{spinner} {facts}, {}, {message}", duration(took));
        };
        let bar = bar(counts.bytes_read, total);
        let message = message(counts, wait, now);
        // The reason for waiting takes the place of the rate when everything is read or delivery is
        // blocked.
        if wait.is_some() || counts.bytes_read >= total {
            return format!("{bar} {message}");
        }
        let facts = facts(&self.speed, Some(total), counts.bytes_read);
        format!("{bar} {facts}, {message}")
    }
}

/// Draws a bar for this share of the total.
fn bar(part: u64, total: u64) -> String {
    if part >= total {
        return format!("[{}]", "=".repeat(WIDTH));
    }
    let columns = part as f64 / total as f64 * WIDTH as f64;
    // One column is for the arrow head.
    let bar = "=".repeat((columns as usize).min(WIDTH - 1)) + ">";
    format!("[{bar:WIDTH$}]")
}

/// Cuts a text to a number of columns. Characters that are not ASCII may take two columns each.
fn fitting(text: &str, columns: usize) -> &str {
    let mut used = 0;
    let over = text.char_indices().find(|(_, char)| {
        used += if char.is_ascii() { 1 } else { 2 };
        used > columns
    });
    over.map_or(text, |(at, _)| &text[..at])
}

/// The width that a line may have on standard error, which is a terminal.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    let columns = size.map_or(0, |size| usize::from(size.ws_col));
    // A terminal without a size reports 0. Some terminals wrap at the last column.
    if columns == 0 { 79 } else { columns - 1 }
}

/// The last line of standard error, which shows the bar. Each update is a single write, whose errors
/// are ignored.
#[derive(Default)]
struct Shown(Mutex<String>);

impl Shown {
    fn draw(&self, text: String) {
        let mut shown = self.lock();
        *shown = text;
        let _ = io::stderr().write_all(format!("{CLEAR}{shown}").as_bytes());
    }

    /// Clears the bar, writes something else, and draws the bar again.
    fn without(&self, write: &mut dyn FnMut()) {
        let shown = self.lock();
        if shown.is_empty() {
            return write();
        }
        let _ = io::stderr().write_all(CLEAR.as_bytes());
        write();
        let _ = io::stderr().write_all(shown.as_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if !std::mem::take(&mut *self.shown.lock()).is_empty() {
            let _ = io::stderr().write_all(CLEAR.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fills_up_from_the_left() {
        assert_eq!(bar(0, 100), "[>               ]");
        assert_eq!(bar(50, 100), "[========>       ]");
        assert_eq!(bar(99, 100), "[===============>]");
        for (part, total) in [(100, 100), (u64::MAX, 5), (0, 0)] {
            assert_eq!(bar(part, total), "[================]");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_by_columns() {
        assert_eq!(fitting("abc", 3), "abc");
        assert_eq!(fitting("abcd", 3), "abc");
        assert_eq!(fitting("a日b", 2), "a");
        assert_eq!(fitting("a日b", 3), "a日");
        assert_eq!(fitting("", 0), "");
    }

    #[test]
    fn while_delivery_is_held_up_the_reason_has_the_room() {
        let began = Instant::now();
        let mut drawn = Bar::start(Some(40 << 10), began);
        let now = began + Duration::from_secs(10);
        let counts = |bytes_read| Counts {
            read: 12,
            delivered: 12,
            bytes_read,
            ..Counts::default()
        };
        drawn.speed.see(now, 10 << 10);
        let text = |drawn: &Bar, bytes, wait| drawn.text(now, &counts(bytes), wait);
        assert_eq!(
            text(&drawn, 10 << 10, None),
            "[====>           ] 10 KiB of 40 KiB, 1 KiB/s, 30s left, 12 lines"
        );
        assert_eq!(text(&drawn, 40 << 10, None), "[================] 12 lines");
        let wait = Wait {
            why: "503".into(),
            until: now + Duration::from_secs(2),
        };
        let held = text(&drawn, 10 << 10, Some(&wait));
        assert!(
            held.starts_with("[====>           ] waiting: 503"),
            "{held}"
        );
        drawn.total = None;
        let spinner = text(&drawn, 10 << 10, None);
        assert_eq!(spinner, "| 10 KiB, 1 KiB/s, 10s, 12 lines");
    }
}
