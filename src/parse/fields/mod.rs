//! The fields of a line: `key=val` tokens (logfmt) and the members of a one-object JSON line; and
//! how fields are written.
//!
//! Knows the two grammars, our own written form (`message | key=val key=val`) and what Loki does to
//! names. Knows no labels, streams or entries: which field becomes what is decided elsewhere.
//! Whether a text is JSON is `serde_json`'s word; the walk over its members then need not judge.
//!
//! Every function here is total (any text, any depth of nesting; nothing recurses) and linear in
//! the length of the line.

mod json;
mod level_field;
mod logfmt;
mod loki_names;
mod quoted;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;
#[cfg(test)]
use std::ops::ControlFlow;

use crate::parse::fields::json::{Members, braced, is_json, parse_json};
pub use crate::parse::fields::level_field::{level_field, level_index, read_level};
use crate::parse::fields::logfmt::{Tokens, parse_logfmt};
pub use crate::parse::fields::loki_names::{label_name, metadata_name};
use crate::parse::fields::quoted::QuotedText;
pub use crate::parse::fields::write::write_field;
#[cfg(test)]
use crate::parse::fields::write::write_line;

/// Where fields come from (`--parse`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parse {
    /// A line that is one JSON object gives its members, any other line its `key=val` tokens.
    #[default]
    Auto,
    /// Every line gives its `key=val` tokens, a JSON line too.
    Logfmt,
    /// A line that is one JSON object gives its members; other lines have no fields.
    Json,
    /// No line has fields.
    None,
}

impl Parse {
    fn reads_json(self) -> bool {
        matches!(self, Self::Auto | Self::Json)
    }

    fn reads_logfmt(self) -> bool {
        matches!(self, Self::Auto | Self::Logfmt)
    }
}

/// One field of a line, borrowed from it where nothing had to be unescaped or joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The key; for a member of a nested object the keys on the way to it, joined by `_`.
    pub name: Cow<'a, str>,
    /// The value; of a JSON array or number the JSON text exactly as it stood in the line.
    pub value: Cow<'a, str>,
}

/// What is left of a line beside its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The line without its fields; of a JSON line the member `msg`, `message` or `log.message`,
    /// and empty if it has none of them.
    pub message: Cow<'a, str>,
    /// Whether the line was read as a JSON object.
    pub json: bool,
}

/// Reads a line's fields into `fields`, in order of appearance, and gives what is left of it.
///
/// `fields` is emptied first, so that one vector serves all lines of a chunk. Of fields with equal
/// names all are kept: who must choose takes the last, as JSON parsers do.
///
/// **JSON.** A line that is, but for white space around it, exactly one JSON object gives its
/// members. Nested objects are joined by `_`; arrays, numbers and empty objects are given as their
/// JSON text, `null` is left out. An object nested so deep that the joined names would pass 256
/// bytes is given as its JSON text, which keeps the cost linear. A lone surrogate (`\ud800`)
/// becomes U+FFFD. The message is the first there is of `msg`, `message` and `log.message` (flat, or
/// nested as `log` → `message`), if it is no object.
///
/// **logfmt.** A field is `key=value` with a key `[A-Za-z_][A-Za-z0-9_.-]*` that begins the line or
/// follows white space. The value is quoted (`"`, with the escapes of JSON; anything else behind a
/// backslash stands for itself, backslash and all) or bare, up to white space; `key=` has an
/// empty value. Where go-logfmt refuses a line we read on: a bare value may hold `"` and `=`
/// (`token=YWJj==`), but not begin with `=` (`a==b` is a comparison). A quote that is never closed,
/// or closed right before more text, makes no field.
///
/// All other text is the message: what stood between fields keeps its white space, what is beside
/// them loses it. The ` | ` before trailing fields, which the layout `line` puts there, goes.
pub fn parse<'a>(line: &'a str, how: Parse, fields: &mut Vec<Field<'a>>) -> Parsed<'a> {
    fields.clear();
    if how.reads_json()
        && let Some(object) = braced(line)
        && is_json(object)
    {
        let message = parse_json(object, fields);
        return Parsed {
            message,
            json: true,
        };
    }
    let message = if how.reads_logfmt() {
        parse_logfmt(line, fields)
    } else {
        Cow::Borrowed(line)
    };
    Parsed {
        message,
        json: false,
    }
}

/// Shows `visit` the fields of a line in order of appearance, the message member of a JSON line
/// among them, until it breaks: what [`field`] and [`level_field`] are measured against.
#[cfg(test)]
pub fn scan<'a, B>(
    line: &'a str,
    how: Parse,
    mut visit: impl FnMut(Field<'a>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    if how.reads_json()
        && let Some(object) = braced(line)
        && is_json(object)
    {
        let mut members = Members::new(object);
        while let Some((key, value)) = members.next() {
            visit(Field {
                name: members.name(key),
                value: value.text(),
            })?;
        }
    } else if how.reads_logfmt() {
        for token in Tokens::new(line) {
            visit(token.field())?;
        }
    }
    ControlFlow::Continue(())
}

/// The value of the first field called `name`, found without building the others.
///
/// A member of a nested JSON object is called by its joined name, as [`parse`] gives it.
#[must_use]
pub fn field<'a>(line: &'a str, how: Parse, name: &str) -> Option<Cow<'a, str>> {
    let last = name.as_bytes().last().copied();
    first(
        line,
        how,
        is_json,
        |key| key.last().copied() == last,
        |prefix, key, value| {
            let rest = name.strip_prefix(prefix)?;
            (rest == key.text()).then(|| value.text())
        },
    )
}

/// What `pick` makes of the first field for which it makes something, given the joined names of
/// the objects around it (each with its `_`), its key and its value. `ending` says of the
/// line up to the end of a name whether `pick` may take it.
///
/// JSON members are read before it is known that the line is JSON, and only of a find is it asked
/// whether its object `is_sound`: most lines are thus decided by one short walk.
fn first<'a, T>(
    line: &'a str,
    how: Parse,
    is_sound: impl Fn(&str) -> bool,
    ending: impl Fn(&[u8]) -> bool,
    mut pick: impl FnMut(&str, QuotedText<'a>, QuotedText<'a>) -> Option<T>,
) -> Option<T> {
    let object = if how.reads_json() { braced(line) } else { None };
    if let Some(object) = object {
        let mut members = Members::new(object);
        while let Some((key, value)) = members.next() {
            if let Some(found) = pick(&members.prefix, key, value) {
                if is_sound(object) {
                    return Some(found);
                }
                break;
            }
        }
    }
    if !how.reads_logfmt() {
        return None;
    }
    let mut tokens = Tokens::new(line);
    let found = loop {
        let token = tokens.next_ending(&ending)?;
        if let Some(found) = pick("", QuotedText::plain(token.key), token.value) {
            break found;
        }
    };
    // A string in a JSON line may hold `key=val`: that is no field of the line.
    match object {
        Some(object) if is_json(object) => None,
        _ => Some(found),
    }
}
