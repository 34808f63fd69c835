//! Records: entries as a program logs them, formatted as `message | key=val key=val`.

use std::fmt::{self, Write as _};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::entry::UNSTAMPED;
use crate::parse::fields;
use crate::parse::level::Level;
use crate::process::layout::render_metadata;

/// An entry with everything it can have, for [`Loki::log`](crate::Loki::log).
///
/// ```
/// use loki_push::{Level, Record};
///
/// let record = Record::new(Level::Critical, "disk is full")
///     .field("mount", "/var")
///     .field("free_bytes", 0)
///     .metadata("trace_id", "0af7651916cd43dd");
/// ```
#[derive(Debug, Clone)]
#[must_use = "a record is given to `Loki::log`"]
pub struct Record {
    pub(super) level: Level,
    pub(super) line: Line,
    metadata: Vec<(String, String)>,
    time: Option<SystemTime>,
}

impl Record {
    /// An entry with a level and a message, that gets its time when it is logged.
    pub fn new(level: Level, message: impl Into<String>) -> Self {
        Self {
            level,
            line: Line::new(message.into()),
            metadata: Vec::new(),
            time: None,
        }
    }

    /// Adds a field, which is written after the message: `message | name=value`.
    pub fn field(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.line.field(name, &value);
        self
    }

    /// Adds the field `error`: the messages of the error and its sources, joined by `: `.
    pub fn error(self, error: &dyn std::error::Error) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.field("error", text)
    }

    /// Adds structured metadata, which is stored next to the line, for values to search for, such as a
    /// trace ID. (Loki enables it by default since version 3.) A name or value that Loki would not
    /// accept there is written as a field.
    pub fn metadata(mut self, name: impl Into<String>, value: impl fmt::Display) -> Self {
        self.metadata.push((name.into(), value.to_string()));
        self
    }

    /// Sets the timestamp. Loki refuses an entry that is too old: by default, more than an hour older
    /// than the newest of its stream.
    pub fn timestamp(mut self, time: SystemTime) -> Self {
        self.time = Some(time);
        self
    }

    /// The timestamp in nanoseconds, or [`UNSTAMPED`].
    pub(super) fn nanoseconds(&self) -> i64 {
        let Some(time) = self.time else {
            return UNSTAMPED;
        };
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    }

    /// The metadata as a JSON object, or an empty string. Unsuitable pairs become fields.
    pub(super) fn take_metadata(&mut self) -> String {
        if self.metadata.is_empty() {
            return String::new();
        }
        let metadata = std::mem::take(&mut self.metadata);
        let pairs = metadata
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let rendered = render_metadata(pairs);
        self.line.append(&rendered.suffix);
        rendered.metadata
    }
}

/// A line that is being built: the message, and the fields so far.
#[derive(Debug, Clone)]
pub struct Line {
    text: String,
    /// The length of the message.
    message: usize,
    value: String,
}

impl Line {
    /// Creates a line without fields.
    pub fn new(message: String) -> Self {
        Self {
            message: message.len(),
            text: message,
            value: String::new(),
        }
    }

    /// Creates a line with capacity for this many fields.
    pub fn with_room(message: &str, fields: usize) -> Self {
        let mut text = String::with_capacity(message.len() + 32 * fields);
        text.push_str(message);
        Self::new(text)
    }

    /// Appends a field.
    pub fn field(&mut self, name: &str, value: &dyn fmt::Display) {
        self.value.clear();
        // A value whose formatting fails is written up to there.
        let _ = write!(self.value, "{value}");
        self.part();
        fields::write_field(&mut self.text, name, &self.value);
    }

    /// Appends rendered fields, including the ` | ` before them.
    fn append(&mut self, tail: &str) {
        if let Some(tail) = tail.strip_prefix(" | ") {
            self.part();
            self.text.push_str(tail);
        }
    }

    fn part(&mut self) {
        if self.text.len() > self.message {
            self.text.push(' ');
        } else if self.message > 0 {
            self.text.push_str(" | ");
        }
    }

    /// Passes the line to `take`. If it is longer than the limit, it is cut at character boundaries into
    /// several lines with the same fields.
    pub fn in_pieces(&self, most: usize, mut take: impl FnMut(&str)) {
        if self.text.len() <= most {
            return take(&self.text);
        }
        let (message, tail) = self.text.split_at(self.message);
        // Fields that would take most of an entry are cut like the message.
        let (mut rest, tail) = if tail.len() > most / 2 {
            (self.text.as_str(), "")
        } else {
            (message, tail)
        };
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.floor_char_boundary(most - tail.len()));
            take(&[piece, tail].concat());
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(line: &Line, most: usize) -> Vec<String> {
        let mut pieces = Vec::new();
        line.in_pieces(most, |piece| pieces.push(piece.to_owned()));
        pieces
    }

    #[test]
    fn fields_stand_behind_the_message_and_cannot_break_out() {
        let mut line = Line::new("user logged in".into());
        line.field("user_id", &42);
        line.field("note", &"a | b=\"c\"\nd");
        let text = r#"user logged in | user_id=42 note="a | b=\"c\"\nd""#;
        assert_eq!(pieces(&line, 1000), [text]);
        let mut bare = Line::new(String::new());
        bare.field("a", &1);
        bare.field("b", &"");
        assert_eq!(pieces(&bare, 1000), ["a=1 b=\"\""]);
    }

    #[test]
    fn a_long_message_is_cut_and_keeps_its_fields() {
        let mut line = Line::new("äöü".repeat(20));
        line.field("k", &"v");
        let cut = pieces(&line, 65);
        assert!(cut.iter().all(|piece| piece.len() <= 65), "{cut:?}");
        assert!(cut.iter().all(|piece| piece.ends_with(" | k=v")));
        let messages: String = cut.iter().map(|p| &p[..p.len() - 6]).collect();
        assert_eq!(messages, "äöü".repeat(20));

        let mut long_field = Line::new("short".into());
        long_field.field("k", &"x".repeat(100));
        assert_eq!(
            pieces(&long_field, 64).concat(),
            format!("short | k={}", "x".repeat(100))
        );
    }

    #[test]
    fn metadata_that_loki_would_not_take_is_a_field() {
        let mut record = Record::new(Level::Info, "m")
            .field("a", 1)
            .metadata("trace_id", "7f")
            .metadata("empty", "");
        assert_eq!(record.take_metadata(), r#"{"trace_id":"7f"}"#);
        assert_eq!(pieces(&record.line, 100), ["m | a=1 empty=\"\""]);
    }
}
