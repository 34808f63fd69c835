//! The progress bar at the foot of the terminal.
//!
//! The one user of indicatif. Knows how a bar looks and how often it may be drawn. Knows nothing of
//! what is read or sent; it is told the time.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use super::message;
use crate::ledger::Wait;
use crate::note::{self, Foot};
use crate::report::Counts;

/// How often it is drawn. Position and message are drawn one by one: ten times a second in all.
const EVERY: Duration = Duration::from_millis(200);

/// Runs that end sooner show nothing.
const FIRST: Duration = Duration::from_millis(300);

/// With a known size.
const BAR: &str = "{bar:16} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left, {wide_msg}";

/// When all is read, or delivery is held up: what is waited for needs the room.
const WAITING: &str = "{bar:16} {wide_msg}";

/// Without a known size.
const SPINNER: &str = "{spinner} {binary_bytes}, {binary_bytes_per_sec}, {elapsed}, {wide_msg}";

/// A bar that is drawn when its time has come.
pub struct Bar {
    drawn: ProgressBar,
    styles: [ProgressStyle; 2],
    due: Instant,
    _foot: Foot,
}

impl Bar {
    /// A bar for so many bytes, or a spinner. Messages are written above it.
    pub fn start(total: Option<u64>, now: Instant) -> Self {
        let target = ProgressDrawTarget::term_like(Box::new(Terminal::default()));
        let drawn = ProgressBar::with_draw_target(total, target);
        let templates = match total {
            Some(_) => [BAR, WAITING],
            None => [SPINNER, SPINNER],
        };
        let styles = templates.map(|template| {
            let style = ProgressStyle::with_template(template);
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            style.progress_chars("=> ")
        });
        let around = drawn.clone();
        let foot = note::around(Arc::new(move |write| around.suspend(write)));
        Self {
            drawn,
            styles,
            due: now + FIRST,
            _foot: foot,
        }
    }

    /// When it is to be drawn next.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Draws it.
    pub fn draw(&mut self, now: Instant, counts: &Counts, wait: Option<&Wait>) {
        self.due = now + EVERY;
        // What a file grew by while it was read is no more than all of it.
        let most = self.drawn.length().unwrap_or(u64::MAX);
        let waits = wait.is_some() || counts.bytes_read >= most;
        self.drawn
            .set_style(self.styles[usize::from(waits)].clone());
        self.drawn.set_position(counts.bytes_read.min(most));
        self.drawn.set_message(message(counts, wait, now));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
    }
}

/// Standard error, which is a terminal. What makes up one picture is written at once.
#[derive(Debug, Default)]
struct Terminal(Mutex<String>);

impl Terminal {
    fn add(&self, text: &str) {
        let mut picture = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        picture.push_str(text);
    }

    fn moved(&self, n: usize, way: char) {
        if n > 0 {
            self.add(&format!("\x1b[{n}{way}"));
        }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        let size = rustix::termios::tcgetwinsize(io::stderr());
        let columns = size.map_or(0, |size| size.ws_col);
        // A terminal without a size says 0.
        if columns == 0 { 80 } else { columns }
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'D');
        Ok(())
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.add(s);
        self.add("\r\n");
        Ok(())
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.add(s);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut picture = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::mem::take(&mut *picture);
        // Whether anybody looks is not our trouble.
        let _ = io::stderr().lock().write_all(text.as_bytes());
        Ok(())
    }
}
