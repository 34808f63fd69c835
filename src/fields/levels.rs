//! The level of a line, from its level field or else its text.
//!
//! Knows which field holds a level, `MongoDB`'s odd one too. What its value means is [`level`]'s.

use std::borrow::Cow;

use memchr::memchr;

use super::{Field, Parse, first};
use crate::ansi;
use crate::level::{self, Level};

/// The level of a line: from a level field, else from the text by [`level::from_text`] (a syslog
/// priority, then a level word). With [`Parse::None`] no level is read.
///
/// This is the entry point for callers who want nothing else of the line. A field in a line with
/// colour codes is found too.
#[must_use]
pub fn read_level(line: &str, how: Parse) -> Option<Level> {
    if how == Parse::None {
        return None;
    }
    level_field(line, how).or_else(|| level::from_text(line))
}

/// The level that the first level field with a readable value gives.
///
/// Level fields are those of [`level::is_joined_level_name`]; in a line of `MongoDB`'s JSON log also `s`.
#[must_use]
pub fn level_field(line: &str, how: Parse) -> Option<Level> {
    let read = |line| {
        let mut levels = LevelFields::default();
        first(line, how, level::ends_level_name, |prefix, key, value| {
            levels.read(prefix, &key.text(), || value.text())
        })
    };
    let level = read(line);
    if level.is_some() || memchr(0x1b, line.as_bytes()).is_none() {
        return level;
    }
    read(&ansi::strip(line))
}

/// Which of `fields`, as [`parse`](super::parse) gave them, is the line's level field, and its level: the same
/// as [`level_field`] finds.
#[must_use]
pub fn level_index(fields: &[Field<'_>]) -> Option<(usize, Level)> {
    let mut levels = LevelFields::default();
    fields.iter().enumerate().find_map(|(index, field)| {
        let level = levels.read("", &field.name, || Cow::Borrowed(&field.value))?;
        Some((index, level))
    })
}

/// Tells level fields from others while the fields of one line go by.
#[derive(Default)]
struct LevelFields {
    /// Whether the line's time is written as `MongoDB` does: `{"t":{"$date":"…"},"s":"I",…}`. Only
    /// there is `s` the severity.
    mongodb: bool,
}

impl LevelFields {
    /// The level, if the field called `prefix` + `key` is one that holds a level.
    fn read<'v>(
        &mut self,
        prefix: &str,
        key: &str,
        value: impl FnOnce() -> Cow<'v, str>,
    ) -> Option<Level> {
        let is_severity = self.mongodb && prefix.is_empty() && key == "s";
        if is_severity || level::is_joined_level_name(prefix, key) {
            return level::from_value(&value());
        }
        self.mongodb |=
            (prefix == "t_" && key == "$date") || (prefix.is_empty() && key == "t_$date");
        None
    }
}
