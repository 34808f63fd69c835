//! Reads the level of a line, from its level field or its text.

use std::borrow::Cow;

use memchr::{memchr, memmem};

use crate::parse::ansi;
use crate::parse::fields::json::{Members, is_json, trim_to_object};
use crate::parse::fields::logfmt::{Tokens, begins_with_key, is_logfmt, may_have_token};
use crate::parse::fields::{Field, Form, Parse};
use crate::parse::level::{self, Framework, Level, LevelName};

const BOM_START: u8 = level::BOM.as_bytes()[0];

const ESC: u8 = 0x1b;

/// The level of a line, from the first source that has one: the level field of a JSON or logfmt
/// line; the text ([`level::from_text`]: a syslog priority, then a level word); a level field
/// within the text. With [`Parse::None`] no level is read.
///
/// Colour codes, a byte order mark and the prefix of a container runtime are ignored.
#[must_use]
pub fn read_level(line: &str, how: Parse) -> Option<Level> {
    if how == Parse::None {
        return None;
    }
    if memchr(ESC, line.as_bytes()).is_some() {
        return read_coloured(line, how);
    }
    read_plain(line, how)
}

/// Cold, to keep it out of the code that every line runs through.
#[cold]
fn read_coloured(line: &str, how: Parse) -> Option<Level> {
    read_plain(&ansi::strip(line), how)
}

#[inline]
fn read_plain(line: &str, how: Parse) -> Option<Level> {
    let line = match line.as_bytes() {
        [BOM_START, ..] => line.strip_prefix(level::BOM).unwrap_or(line),
        // The last byte rules out nearly all lines.
        [b'0'..=b'9', .., b'}'] if how.reads_json() => cri_json(line),
        _ => line,
    };
    if how.reads_json()
        && let Some(object) = trim_to_object(line)
    {
        if let Some(level) = json_level(object) {
            return Some(level);
        }
        if let Some(inner) = docker_line(object) {
            return text_level(&inner, how);
        }
    }
    text_level(line, how)
}

/// The level of a line that is not JSON.
fn text_level(line: &str, how: Parse) -> Option<Level> {
    if let Some(shown) = level::from_plain_text(line) {
        let logfmt = how.reads_logfmt() && begins_with_key(line) && is_logfmt(line);
        let field = if logfmt { field_level(line) } else { None };
        return field.or(Some(shown));
    }
    let field = if how.reads_logfmt() {
        field_level(line)
    } else {
        None
    };
    field.or_else(|| {
        let is_prefixed = how.reads_json() && line.ends_with('}');
        is_prefixed.then(|| prefixed_json(line)).flatten()
    })
}

/// The level in the first `key=val` token that has one. A bare number counts only if the whole line
/// consists of fields.
fn field_level(line: &str) -> Option<Level> {
    if !may_have_token(line, level::ends_level_name) {
        return None;
    }
    let mut logfmt = None;
    Tokens::new(line).find_map(|token| {
        let name = level::level_name("", token.key(line))?;
        let value = token.value(line).text();
        level::from_word(name, &value).or_else(|| {
            let number = level::from_number(&value)?;
            let logfmt = *logfmt.get_or_insert_with(|| is_logfmt(line));
            logfmt.then_some(number)
        })
    })
}

/// The level in the first level member with a valid value.
///
/// A line in braces without `=`, which therefore has no logfmt fields, is accepted even if it is
/// malformed further on (`{"level":"error","user":None}`): validating every line with `serde_json`
/// took a quarter of the time spent on levels.
fn json_level(object: &str) -> Option<Level> {
    let mut levels = LevelMembers::default();
    let mut members = Members::new(object);
    let level = loop {
        let (key, value) = members.next()?;
        let frameworks = || frameworks_of(object);
        let level = levels.read(&members.prefix, &key.text(), || value.text(), frameworks);
        if let Some(level) = level {
            break level;
        }
    };
    let is_sound = memchr(b'=', object.as_bytes()).is_none() || is_json(object);
    is_sound.then_some(level)
}

/// The framework that may have written an object, judged by its members.
fn frameworks_of(object: &str) -> Framework {
    let mut members = Members::new(object);
    let mut framework = Framework::default();
    while let Some((key, _)) = members.next() {
        if members.prefix.is_empty() {
            framework.note(&key.text());
        }
    }
    framework
}

/// The index of the level field in `fields`, as read from this line by [`parse`](super::parse), and
/// its level.
#[must_use]
pub fn level_index(line: &str, fields: &[Field<'_>], form: Form) -> Option<(usize, Level)> {
    let mut levels = LevelMembers::default();
    // The message also shows the framework, but is not among the fields.
    let frameworks = || trim_to_object(line).map_or(Framework::default(), frameworks_of);
    fields.iter().enumerate().find_map(|(index, field)| {
        if form != Form::Json {
            let name = level::level_name("", &field.name)?;
            let number = || (form == Form::Logfmt).then(|| level::from_number(&field.value));
            let level = level::from_word(name, &field.value).or_else(|| number()?)?;
            return Some((index, level));
        }
        let (prefix, key) = match &field.name {
            // A joined name is always owned.
            Cow::Owned(name) => level::split_joined(name),
            Cow::Borrowed(name) => ("", *name),
        };
        let value = || Cow::Borrowed(&*field.value);
        let level = levels.read(prefix, key, value, frameworks)?;
        Some((index, level))
    })
}

/// The level of a parsed line, and the index of the field that it comes from, if any. The level is
/// the same as [`read_level`] returns.
#[must_use]
pub fn level_of(
    line: &str,
    how: Parse,
    form: Form,
    fields: &[Field<'_>],
) -> (Option<Level>, Option<usize>) {
    if how == Parse::None {
        return (None, None);
    }
    let field = level_index(line, fields, form).filter(|(at, _)| !fields[*at].duplicate);
    let level = match field {
        Some((_, level)) if form != Form::Text => Some(level),
        _ => read_level(line, how),
    };
    let at = field.filter(|(_, own)| {
        form != Form::Text || (level == Some(*own) && level::from_text(line).is_none())
    });
    (level, at.map(|(at, _)| at))
}

/// The JSON object in a line of a container runtime (CRI), such as `2024-05-01T10:00:00.0Z stdout F
/// {…}`; any other line is returned unchanged.
fn cri_json(line: &str) -> &str {
    /// The longest possible time: nanoseconds and an offset.
    const TIME: usize = "2024-05-01T10:00:00.000000000+00:00".len();
    let bytes = line.as_bytes();
    let Some(end) = memchr(b' ', &bytes[..bytes.len().min(TIME + 1)]) else {
        return line;
    };
    let rest = &bytes[end..];
    let stream = rest.starts_with(b" stdout ") || rest.starts_with(b" stderr ");
    match rest.get(" stdout ".len()..) {
        Some([b'F' | b'P', b' ', b'{', ..]) if stream => &line[end + " stdout F ".len()..],
        _ => line,
    }
}

/// The inner line of a Docker json-file object, which has no level of its own.
fn docker_line(object: &str) -> Option<String> {
    if !object.starts_with(r#"{"log":""#) {
        return None;
    }
    let mut members = Members::new(object);
    let (_, line) = members.next()?;
    let mut streams = 0;
    while let Some((key, _)) = members.next() {
        match (&*members.prefix, &*key.text()) {
            ("", "stream") => streams += 1,
            ("", "time") | ("attrs_", _) => {}
            _ => return None,
        }
    }
    (streams == 1 && is_json(object)).then(|| line.text().into_owned())
}

/// The level of a JSON object at the end of a text line: `web-1  | {…}`, `Jan  1 h app[1]: {…}`,
/// `@cee: {…}`.
fn prefixed_json(line: &str) -> Option<Level> {
    /// Maximum length of the text before it.
    const PREFIX: usize = 256;
    let head = &line.as_bytes()[..line.len().min(PREFIX)];
    let object = &line[memmem::find(head, b" {\"")? + 1..];
    json_level(object).filter(|_| is_json(object))
}

/// Recognizes the level members of one object, called with each member in turn.
#[derive(Default)]
struct LevelMembers {
    /// Whether the line's time is in `MongoDB`'s format: `{"t":{"$date":"…"},"s":"I",…}`. Only then
    /// is `s` the severity.
    mongodb: bool,
    frameworks: Option<Framework>,
}

impl LevelMembers {
    /// The level of the member `prefix` + `key`, if it is a level member with a valid value.
    fn read<'v>(
        &mut self,
        prefix: &str,
        key: &str,
        value: impl FnOnce() -> Cow<'v, str>,
        frameworks: impl FnOnce() -> Framework,
    ) -> Option<Level> {
        let name = if self.mongodb && prefix.is_empty() && key == "s" {
            Some(LevelName::Any)
        } else {
            level::level_name(prefix, key)
        };
        if let Some(name) = name {
            let value = value();
            return level::from_word(name, &value).or_else(|| {
                let number = value.trim_ascii();
                level::from_json_number(name, number, || {
                    *self.frameworks.get_or_insert_with(frameworks)
                })
            });
        }
        self.mongodb |=
            (prefix == "t_" && key == "$date") || (prefix.is_empty() && key == "t_$date");
        None
    }
}
