//! The level of a line, from its level field or else its text.
//!
//! Knows which field holds a level, `MongoDB`'s odd one too, and what a container runtime writes
//! before it. What its value means is [`level`]'s.

use std::borrow::Cow;

use memchr::memchr;

use crate::parse::ansi;
use crate::parse::fields::{Field, Parse, first, is_json};
use crate::parse::level;
use crate::parse::level::Level;

const BOM_START: u8 = level::BOM.as_bytes()[0];

const ESC: u8 = 0x1b;

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
    let level = read_field(line, how);
    if level.is_some() {
        return level;
    }
    if memchr(ESC, line.as_bytes()).is_some() {
        return read_coloured(line, how).or_else(|| level::from_text(line));
    }
    level::from_plain_text(line)
}

/// The level that the first level field with a readable value gives.
///
/// Level fields are those of [`level::is_joined_level_name`]; in a line of `MongoDB`'s JSON log also `s`.
/// Neither colours nor a byte order mark hide them, nor what a container runtime puts before JSON.
///
/// A line in braces that has no `=`, and so no other field, gives the level among its members even if
/// what follows makes it no JSON (`{"level":"error","user":None}`): to ask `serde_json` of each line
/// took a quarter of the time that levels cost.
#[must_use]
pub fn level_field(line: &str, how: Parse) -> Option<Level> {
    let level = read_field(line, how);
    if level.is_some() || memchr(ESC, line.as_bytes()).is_none() {
        return level;
    }
    read_coloured(line, how)
}

/// Apart, so that what every line goes through is in one piece.
#[cold]
fn read_coloured(line: &str, how: Parse) -> Option<Level> {
    read_field(&ansi::strip(line), how)
}

#[inline]
fn read_field(line: &str, how: Parse) -> Option<Level> {
    let line = match line.as_bytes() {
        [BOM_START, ..] => line.strip_prefix(level::BOM).unwrap_or(line),
        // The last byte turns nearly all away.
        [b'0'..=b'9', .., b'}'] if how.reads_json() => cri_json(line),
        _ => line,
    };
    let mut levels = LevelFields::default();
    let is_sound = |object: &str| memchr(b'=', object.as_bytes()).is_none() || is_json(object);
    first(
        line,
        how,
        is_sound,
        level::ends_level_name,
        |prefix, key, value| levels.read(prefix, &key.text(), || value.text()),
    )
}

/// Which of `fields`, as [`parse`](crate::parse::fields::parse) gave them, is the line's level field, and its level: the same
/// as [`level_field`] finds.
#[must_use]
pub fn level_index(fields: &[Field<'_>]) -> Option<(usize, Level)> {
    let mut levels = LevelFields::default();
    fields.iter().enumerate().find_map(|(index, field)| {
        let (prefix, key) = match &field.name {
            // An owned name was joined: only of a nested object is `log_level` the level.
            Cow::Owned(name) if name.as_bytes().get(3) == Some(&b'_') => name.split_at(4),
            name => ("", &**name),
        };
        let level = levels.read(prefix, key, || Cow::Borrowed(&field.value))?;
        Some((index, level))
    })
}

/// The object in a line that ends as one, if a container runtime (CRI) wrote it down:
/// `2024-05-01T10:00:00.0Z stdout F {…}`. Any other line as it is.
fn cri_json(line: &str) -> &str {
    /// The longest time there is: nanoseconds and an offset.
    const TIME: usize = "2024-05-01T10:00:00.000000000+00:00".len();
    let bytes = line.as_bytes();
    let Some(end) = memchr(b' ', &bytes[..bytes.len().min(TIME + 1)]) else {
        return line;
    };
    match &bytes[end..] {
        [
            b' ',
            b's',
            b't',
            b'd',
            b'o',
            b'u',
            b't',
            b' ',
            b'F' | b'P',
            b' ',
            b'{',
            ..,
        ]
        | [
            b' ',
            b's',
            b't',
            b'd',
            b'e',
            b'r',
            b'r',
            b' ',
            b'F' | b'P',
            b' ',
            b'{',
            ..,
        ] => &line[end + " stdout F ".len()..],
        _ => line,
    }
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
            let read = if key.starts_with('@') {
                level::from_serilog
            } else {
                level::from_value
            };
            return read(&value());
        }
        self.mongodb |=
            (prefix == "t_" && key == "$date") || (prefix.is_empty() && key == "t_$date");
        None
    }
}
