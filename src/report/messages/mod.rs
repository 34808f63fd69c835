//! Notes: all wording on standard error, in one place.
//!
//! Knows what each message says and how loud it is. Knows nothing of why it is said.

mod text;

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use crate::report::messages::text::guessed;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Nothing, as in a library: trouble shows in its statistics.
    Silent,
    /// Only what went wrong for good.
    Quiet,
    /// Trouble that lasts, and its end.
    #[default]
    Normal,
    /// Retries and batches too.
    Verbose,
}

/// Everything the program says on its own account.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "the fields are the words of the message that stands beside them"
)]
pub enum Message<'a> {
    /// Standard input is a terminal.
    Terminal,
    /// Requests fail for a while now.
    TroubleBegan {
        target: &'a str,
        why: &'a str,
        entries: u64,
    },
    /// Requests pass again.
    TroubleEnded {
        target: &'a str,
        after: Duration,
        entries: u64,
    },
    /// An answer that only a person can mend.
    Denied {
        url: &'a str,
        status: u16,
        text: &'a str,
        remedy: &'a str,
    },
    /// No answer, for a reason that only a person can mend.
    Barred { target: &'a str, why: &'a str },
    /// The buffer is full and the policy gives entries up.
    Dropping {
        place: &'a str,
        size: u64,
        which: &'a str,
    },
    /// The buffer is full while Loki takes nothing, and files are not read on.
    HeldUp { place: &'a str, size: u64 },
    /// Loki refused entries.
    Refused {
        entries: usize,
        status: u16,
        text: &'a str,
    },
    /// One stream alone is answered badly.
    StreamTroubleBegan {
        stream: &'a str,
        url: &'a str,
        why: &'a str,
    },
    /// It passes again.
    StreamTroubleEnded { stream: &'a str, after: Duration },
    /// An entry that no request with it gets past something in front of Loki.
    BadEntry {
        url: &'a str,
        why: &'a str,
        times: u32,
        over: Duration,
        line: &'a str,
    },
    /// A line that Loki refused.
    RefusedLine { reason: &'a str, line: &'a str },
    /// Loki has no place for another stream.
    NoPlace { stream: &'a str, tried: Duration },
    /// Fields would make more streams than allowed.
    TooManyStreams { most: usize },
    /// A stream may not have so many labels.
    TooManyLabels { most: usize },
    /// A shipment was given up after `--max-retries`.
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
    /// A batch is done.
    Settled {
        number: u64,
        requests: usize,
        entries: usize,
        bytes: usize,
        took: Duration,
    },
    /// The clock was set back.
    ClockSetBack { by: Duration },
    /// A multi-line entry was closed since it was full.
    EntryFull { room: usize },
    /// The command could not be started.
    SpawnError { command: &'a str, why: &'a str },
    /// It cannot be learned how the command ended.
    Unwatched { command: &'a str, why: &'a str },
    /// The command has ended, but other processes still hold its output open.
    LeftBehind {
        command: &'a str,
        holders: &'a [String],
    },
    /// A thread of ours has failed.
    ThreadFailed { thread: &'a str },
    /// An input failed.
    Unreadable { what: &'a str, why: &'a str },
    /// A file is not read because no time can be read in its first lines.
    UnreadableTimes { what: &'a str, line: &'a str },
    /// Lines of a live input get the time of arrival, since none has one that can be read.
    Untimed { what: &'a str, line: &'a str },
    /// The times of a live input are all off by this many minutes, which another zone would explain.
    ZoneOff {
        what: &'a str,
        minutes: i64,
        zone: &'a str,
    },
    /// Loki refused entries whose times are this many minutes ahead of the clock, which another zone
    /// would explain.
    RefusedTimesOff { minutes: i64 },
    /// In which form times were found, and in how many lines.
    TimesFound {
        what: &'a str,
        form: Option<&'a str>,
        timed: u64,
        lines: u64,
    },
    /// An output failed.
    Unwritable { what: &'a str, why: &'a str },
    /// The checkpoint cannot be written.
    CheckpointFailed { what: &'a str, why: &'a str },
    /// A file was not read to its end, since a stop was asked for.
    Interrupted { what: &'a str },
    /// A followed file does not exist yet.
    Awaited { what: &'a str },
    /// A followed file does not exist any more.
    AwaitedAgain { what: &'a str },
    /// A followed pattern matches nothing yet; why, if its folder cannot be read.
    AwaitedPattern { what: &'a str, why: Option<&'a str> },
    /// A followed file was replaced by another one at its path.
    Replaced { what: &'a str },
    /// A followed file was truncated, and is read from its start.
    Truncated { what: &'a str },
    /// The file that was at this path at the end of the last run is gone.
    PredecessorGone { what: &'a str },
    /// The text of a file is not UTF-8.
    NotUtf8 { what: &'a str },
    /// Bytes of a file are lost that were not read before they were truncated or deleted.
    BytesLost { what: &'a str, bytes: u64 },
    /// A file of the spool gives no shipment.
    Spoiled {
        file: &'a str,
        why: &'a str,
        damaged: bool,
    },
    /// Entries of an earlier run are taken over.
    Adopting { entries: usize, spool: &'a str },
    /// The spool cannot be written to.
    SpoolFailing { spool: &'a str, why: &'a str },
    /// It can be written to again.
    SpoolMended { spool: &'a str },
    /// Others can change what is in the spool.
    SpoolOpenToOthers { spool: &'a str, why: &'a str },
    /// What others have put into the spool, which is left alone.
    SpoolStrangers { spool: &'a str, names: &'a str },
    /// Other batches fill the spool.
    SpoolFullOfOthers { spool: &'a str, size: u64 },
    /// What waits in the spool at the end.
    Spooled { entries: u64, spool: &'a str },
    /// What files hold at the end that the next run goes on with.
    LeftInFiles { entries: u64 },
    /// What a run leaves in the spool, since it is for another destination.
    OtherDestination {
        spool: &'a str,
        destination: &'a str,
        command: &'a str,
    },
    /// What a drain leaves in the spool, since running processes deliver it.
    SpoolInUse { spool: &'a str, processes: &'a str },
    /// The file for refused entries cannot be written to.
    DeadLetterFailing { file: &'a str, why: &'a str },
    /// Everything was delivered, and how to see it.
    Delivered { entries: u64, query: &'a str },
    /// What is missing at the end.
    Missing {
        target: &'a str,
        refused: u64,
        dropped: u64,
        left: u64,
        why: Option<&'a str>,
        remedy: Remedy,
    },
    /// A summary, on its own line and as it is.
    Summary { line: &'a str },
    /// How far a run is.
    Progress { line: &'a str },
    /// Nothing was read, since this is wrong.
    Failed { why: &'a str },
    /// A warning about the configuration.
    Warning { text: &'a str },
}

/// What would have kept entries from being left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// A Loki that is there in time.
    Reach,
    /// An end to a trouble that only a person can mend.
    Mend,
    /// More room in the spool.
    SpoolSize,
    /// Room where a dry run prints to.
    Output,
}

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

/// Words from outside, made safe for a terminal: one line, no control characters, not endless.
pub struct Sanitized<'a>(pub &'a str);

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

/// What every message begins with: in a pipe several programs write to one standard error.
pub const NAME: &str = "loki-push: ";

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

/// Says messages, as loud as it was told.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reporter {
    loudness: Verbosity,
}

impl Reporter {
    /// Says what is at least as important as `loudness` lets through.
    pub fn new(loudness: Verbosity) -> Self {
        Self { loudness }
    }

    /// Whether everything is said.
    pub fn is_verbose(self) -> bool {
        self.loudness >= Verbosity::Verbose
    }

    /// Says a message on standard error, as one write, so that lines of several threads and
    /// programs do not mix. Whether anybody listens is not our trouble.
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

/// Takes away what stands at the foot of standard error, writes, and puts it back.
type Around = dyn Fn(&mut dyn FnMut()) + Send + Sync;

/// What stands there. There is one standard error, so there is one foot.
static AROUND: RwLock<Option<Arc<Around>>> = RwLock::new(None);

/// Writes every message from now on through `around`, until the guard is dropped.
pub fn around(around: Arc<Around>) -> StatusLine {
    *AROUND.write().unwrap_or_else(PoisonError::into_inner) = Some(around);
    StatusLine(())
}

/// See [`around`].
pub struct StatusLine(());

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
