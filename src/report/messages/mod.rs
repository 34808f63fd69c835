//! All messages on standard error, and the verbosity at which each is printed.

#[cfg(feature = "cli")]
mod text;

#[cfg(feature = "cli")]
use std::borrow::Cow;
#[cfg(feature = "cli")]
use std::fmt;
#[cfg(feature = "cli")]
use std::io::Write;
#[cfg(feature = "cli")]
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// Which messages are printed.
#[cfg_attr(
    not(feature = "cli"),
    expect(dead_code, reason = "the library prints nothing")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// None, as in the library, which reports errors in its statistics.
    Silent,
    /// Errors only (`-q`).
    Quiet,
    /// Also lasting problems and their end.
    #[default]
    Normal,
    /// Also retries, batches and requests (`-v`).
    Verbose,
}

/// A message of the program.
#[cfg_attr(
    not(feature = "cli"),
    expect(dead_code, reason = "the library prints nothing")
)]
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "the fields are the words of the message that stands beside them"
)]
pub enum Message<'a> {
    /// Standard input is a terminal.
    Terminal,
    /// Requests have been failing for a while.
    TroubleBegan {
        target: &'a str,
        why: &'a str,
        entries: u64,
    },
    /// Requests succeed again.
    TroubleEnded {
        target: &'a str,
        after: Duration,
        entries: u64,
    },
    /// A response that is a configuration fault.
    Denied {
        url: &'a str,
        status: u16,
        text: &'a str,
        remedy: &'a str,
    },
    /// No response, because of a configuration fault.
    Barred { target: &'a str, why: &'a str },
    /// The buffer is full, and entries are dropped.
    Dropping {
        place: &'a str,
        size: u64,
        which: &'a str,
    },
    /// The buffer is full during an outage, and reading of files stops.
    HeldUp { place: &'a str, size: u64 },
    /// Loki refused entries.
    Refused {
        entries: usize,
        status: u16,
        text: &'a str,
    },
    /// All requests of a stream fail while others succeed.
    StreamTroubleBegan {
        stream: &'a str,
        url: &'a str,
        why: &'a str,
    },
    /// Requests of that stream succeed again.
    StreamTroubleEnded { stream: &'a str, after: Duration },
    /// A bad entry: every request with it failed.
    BadEntry {
        url: &'a str,
        why: &'a str,
        times: u32,
        over: Duration,
        line: &'a str,
    },
    /// A line that Loki refused.
    RefusedLine { reason: &'a str, line: &'a str },
    /// Loki's limit of active streams is reached.
    NoPlace { stream: &'a str, tried: Duration },
    /// The limit of label sets (`--max-streams`) is reached.
    TooManyStreams { most: usize },
    /// A stream would have too many labels.
    TooManyLabels { most: usize },
    /// A batch was given up after `--max-retries`.
    GaveUp {
        entries: usize,
        retries: u32,
        why: &'a str,
    },
    /// A retry.
    Retry {
        status: Option<u16>,
        text: &'a str,
        wait: Duration,
    },
    /// A request was answered, or failed.
    Request {
        url: &'a str,
        entries: usize,
        bytes: usize,
        outcome: &'a str,
        took: Duration,
    },
    /// A batch is complete.
    Settled {
        number: u64,
        requests: usize,
        entries: usize,
        bytes: usize,
        took: Duration,
    },
    /// The clock was set back.
    ClockSetBack { by: Duration },
    /// A multi-line entry reached the maximum size and was closed.
    EntryFull { room: usize },
    /// The command could not be started.
    SpawnError { command: &'a str, why: &'a str },
    /// The exit status of the command is unknown.
    Unwatched { command: &'a str, why: &'a str },
    /// The command has ended, but other processes still hold its output open.
    LeftBehind {
        command: &'a str,
        holders: &'a [String],
    },
    /// A thread has failed.
    ThreadFailed { thread: &'a str },
    /// An input cannot be read.
    Unreadable { what: &'a str, why: &'a str },
    /// A file is not read because no time can be read in its first lines.
    UnreadableTimes { what: &'a str, line: &'a str },
    /// No readable time in the lines of a live input: they get the time of arrival.
    Untimed { what: &'a str, line: &'a str },
    /// The times of a live input are off by this many minutes, so the time zone is probably wrong.
    ZoneOff {
        what: &'a str,
        minutes: i64,
        zone: &'a str,
    },
    /// Loki refused entries whose times are this many minutes ahead of the clock, so the time zone is
    /// probably wrong.
    RefusedTimesOff { minutes: i64 },
    /// The form in which times were found, and the number of lines that have one.
    TimesFound {
        what: &'a str,
        form: Option<&'a str>,
        timed: u64,
        lines: u64,
    },
    /// An output cannot be written.
    Unwritable { what: &'a str, why: &'a str },
    /// The checkpoint cannot be written.
    CheckpointFailed { what: &'a str, why: &'a str },
    /// A file was not read to its end, because the run was stopped.
    Interrupted { what: &'a str },
    /// A followed file does not exist yet.
    Awaited { what: &'a str },
    /// A followed file does not exist any more.
    AwaitedAgain { what: &'a str },
    /// A followed pattern matches no file yet. If its folder cannot be read, the reason is included.
    AwaitedPattern { what: &'a str, why: Option<&'a str> },
    /// A followed file was replaced by another one at its path.
    Replaced { what: &'a str },
    /// A followed file was truncated, and is read from its start.
    Truncated { what: &'a str },
    /// The file that was at this path at the end of the last run is gone.
    PredecessorGone { what: &'a str },
    /// The text of an input is not UTF-8.
    NotUtf8 { what: &'a str },
    /// Bytes of a file are lost that were not read before they were truncated or deleted.
    BytesLost { what: &'a str, bytes: u64 },
    /// A spool file contains no valid batch.
    Spoiled {
        file: &'a str,
        why: &'a str,
        damaged: bool,
    },
    /// Entries of an earlier run that cannot be taken over.
    SpoolLeft {
        folder: &'a str,
        why: &'a str,
        in_the_way: bool,
    },
    /// Entries of an earlier run are taken over.
    Adopting { entries: usize, spool: &'a str },
    /// The spool cannot be written to.
    SpoolFailing { spool: &'a str, why: &'a str },
    /// The spool can be written to again.
    SpoolMended { spool: &'a str },
    /// Other users can change the contents of the spool directory.
    SpoolOpenToOthers { spool: &'a str, why: &'a str },
    /// Files of other users in the spool directory, which are ignored.
    SpoolStrangers { spool: &'a str, names: &'a str },
    /// Batches of other runs or for other destinations fill the spool.
    SpoolFullOfOthers { spool: &'a str, size: u64 },
    /// Entries that are in the spool at the end.
    Spooled { entries: u64, spool: &'a str },
    /// Entries that are left at the end, in files that the next run resumes.
    LeftInFiles { entries: u64 },
    /// Batches that stay in the spool because they are for another destination.
    OtherDestination {
        spool: &'a str,
        destination: &'a str,
        remedy: &'a str,
    },
    /// Batches that a drain leaves in the spool because running processes deliver them.
    SpoolInUse { spool: &'a str, processes: &'a str },
    /// The file for refused entries cannot be written to.
    DeadLetterFailing { file: &'a str, why: &'a str },
    /// Everything was delivered, with the command that shows it.
    Delivered { entries: u64, query: &'a str },
    /// Entries that were not delivered at the end.
    Missing {
        target: &'a str,
        refused: u64,
        dropped: u64,
        left: u64,
        why: Option<&'a str>,
        remedy: Remedy,
    },
    /// The summary, on a line of its own without a prefix.
    Summary { line: &'a str },
    /// A line of progress.
    Progress { line: &'a str },
    /// An error because of which nothing was read.
    Failed { why: &'a str },
    /// A warning about the configuration.
    Warning { text: &'a str },
}

/// What would have prevented entries from being left.
#[cfg_attr(
    not(feature = "cli"),
    expect(dead_code, reason = "the library prints nothing")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// A reachable Loki.
    Reach,
    /// A fix for a configuration fault.
    Mend,
    /// More room in the spool.
    SpoolSize,
    /// Space on the output of a dry run.
    Output,
}

#[cfg(feature = "cli")]
impl Message<'_> {
    fn loudness(&self) -> Verbosity {
        match self {
            Self::Retry { .. }
            | Self::RefusedLine { .. }
            | Self::Request { .. }
            | Self::Settled { .. }
            | Self::AwaitedAgain { .. }
            | Self::Replaced { .. }
            | Self::Truncated { .. }
            | Self::Adopting { .. } => Verbosity::Verbose,
            Self::TroubleBegan { .. }
            | Self::HeldUp { .. }
            | Self::TroubleEnded { .. }
            | Self::StreamTroubleBegan { .. }
            | Self::StreamTroubleEnded { .. }
            | Self::Terminal
            | Self::TooManyStreams { .. }
            | Self::TooManyLabels { .. }
            | Self::NoPlace { .. }
            | Self::ClockSetBack { .. }
            | Self::Warning { .. }
            | Self::EntryFull { .. }
            | Self::LeftBehind { .. }
            | Self::PredecessorGone { .. }
            | Self::Awaited { .. }
            | Self::AwaitedPattern { .. }
            | Self::NotUtf8 { .. }
            | Self::SpoolFailing { .. }
            | Self::SpoolMended { .. }
            | Self::Spooled { .. }
            | Self::Delivered { .. }
            | Self::LeftInFiles { .. }
            | Self::OtherDestination { .. }
            | Self::SpoolInUse { .. }
            | Self::SpoolOpenToOthers { .. }
            | Self::SpoolStrangers { .. }
            | Self::SpoolFullOfOthers { .. }
            | Self::Untimed { .. }
            | Self::ZoneOff { .. }
            | Self::RefusedTimesOff { .. }
            | Self::TimesFound { .. }
            | Self::Dropping { .. } => Verbosity::Normal,
            _ => Verbosity::Quiet,
        }
    }
}

#[cfg(feature = "cli")]
/// Text from outside, made safe for a terminal: one line, no control characters, limited in length.
pub struct Sanitized<'a>(pub &'a str);

#[cfg(feature = "cli")]
impl fmt::Display for Sanitized<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 400;
        let mut written = 0;
        for word in self.0.split_whitespace() {
            if written > MOST {
                return f.write_str(" …");
            }
            if written > 0 {
                f.write_str(" ")?;
            }
            for c in word.chars().take(MOST).filter(|c| !c.is_control()) {
                write!(f, "{c}")?;
            }
            written += word.len() + 1;
        }
        Ok(())
    }
}

#[cfg(feature = "cli")]
/// The prefix of every message, since several programs of a pipeline share standard error.
pub const NAME: &str = "loki-push: ";

#[cfg(feature = "cli")]
/// A message made safe for a terminal, whatever names are in it: control characters, and those that
/// change the direction of text, are shown by their number.
fn printable(text: &str) -> Cow<'_, str> {
    let is_unsafe = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_unsafe) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe.into()
}

/// Prints messages up to a certain verbosity.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reporter {
    loudness: Verbosity,
}

impl Reporter {
    /// Creates a reporter with this verbosity.
    pub fn new(loudness: Verbosity) -> Self {
        Self { loudness }
    }

    /// Whether all messages are printed (`-v`).
    pub fn is_verbose(self) -> bool {
        self.loudness >= Verbosity::Verbose
    }

    /// Prints nothing: the library reports errors in its statistics.
    #[cfg(not(feature = "cli"))]
    #[expect(clippy::unused_self, reason = "the signature is the program's")]
    pub fn say(self, _: &Message<'_>) {}

    /// Prints a message on standard error in a single write, so that lines of several threads and
    /// programs do not mix. Errors are ignored.
    #[cfg(feature = "cli")]
    pub fn say(self, message: &Message<'_>) {
        if message.loudness() > self.loudness {
            return;
        }
        let line = match message {
            Message::Summary { line } if line.starts_with('{') => format!("{line}\n"),
            _ => format!("{NAME}{}\n", printable(&message.to_string())),
        };
        Self::print(line.as_bytes());
    }

    /// Prints whole lines on standard error as they are, whatever the verbosity.
    #[cfg(feature = "cli")]
    pub fn print(lines: &[u8]) {
        let mut write = || {
            let _ = std::io::stderr().lock().write_all(lines);
        };
        let around = AROUND.read().unwrap_or_else(PoisonError::into_inner);
        match &*around {
            Some(around) => around(&mut write),
            None => write(),
        }
    }
}

#[cfg(feature = "cli")]
/// Clears the last line of standard error, writes, and draws it again.
type Around = dyn Fn(&mut dyn FnMut()) + Send + Sync;

#[cfg(feature = "cli")]
/// The display on that line. There is one standard error, so there is at most one display.
static AROUND: RwLock<Option<Arc<Around>>> = RwLock::new(None);

#[cfg(feature = "cli")]
/// Writes every message from now on through `around`, until the guard is dropped.
pub fn around(around: Arc<Around>) -> StatusLine {
    *AROUND.write().unwrap_or_else(PoisonError::into_inner) = Some(around);
    StatusLine(())
}

#[cfg(feature = "cli")]
/// See [`around`].
pub struct StatusLine(());

#[cfg(feature = "cli")]
impl Drop for StatusLine {
    fn drop(&mut self) {
        *AROUND.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_cannot_reach_the_terminal_raw() {
        let text = "bad\u{1b}[31m\r\n  request\n".to_owned() + &"x".repeat(5_000);
        let shown = Sanitized(&text).to_string();
        assert!(shown.starts_with("bad[31m request x"), "{shown}");
        assert!(shown.len() < 1_000 && !shown.contains('\n'));
    }

    #[test]
    fn quiet_says_only_what_is_final() {
        let retry = Message::Retry {
            status: None,
            text: "",
            wait: Duration::ZERO,
        };
        assert_eq!(retry.loudness(), Verbosity::Verbose);
        assert_eq!(Message::Terminal.loudness(), Verbosity::Normal);
        let missing = Message::Missing {
            target: "x",
            refused: 1,
            dropped: 0,
            left: 2,
            why: Some("gone"),
            remedy: Remedy::Reach,
        };
        assert_eq!(missing.loudness(), Verbosity::Quiet);
        assert!(missing.to_string().starts_with(
            "3 entries not delivered to x: 1 refused by Loki, 2 not sent (gone); check"
        ));
    }
}
