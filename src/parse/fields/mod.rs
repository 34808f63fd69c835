//! The fields of a line: the `key=val` tokens of text (logfmt) and the members of a JSON object; and
//! how fields are written.
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

use memchr::memchr;

use crate::parse::fields::json::{Members, is_json, parse_json, trim_to_object};
pub use crate::parse::fields::level_field::{level_of, read_level};
use crate::parse::fields::logfmt::{Tokens, may_have_token, parse_logfmt};
pub use crate::parse::fields::loki_names::{label_name, metadata_name};
use crate::parse::fields::quoted::QuotedText;
pub use crate::parse::fields::write::write_field;
#[cfg(test)]
use crate::parse::fields::write::write_line;

/// Where fields come from (`--parse`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Parse {
    /// Members of JSON lines, key=val tokens of all others
    #[default]
    Auto,
    /// key=val tokens, also of JSON lines
    Logfmt,
    /// Members of JSON lines only
    Json,
    /// Do not parse fields or levels
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
    /// The key; for a member of a nested object, the joined keys of the objects around it and its
    /// own.
    pub name: Cow<'a, str>,
    /// The value; of a JSON array or number the JSON text exactly as it stood in the line.
    pub value: Cow<'a, str>,
    /// Whether a text line has the key twice. Which one is meant nobody knows: both stay in the
    /// message, and neither is laid out or made a label.
    pub twin: bool,
}

/// How a line was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As one JSON object.
    Json,
    /// As nothing but `key=val` tokens.
    Logfmt,
    /// As text, which may have `key=val` tokens in it.
    Text,
}

/// A line apart from its fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The text without the fields that end it; of a JSON line the member that holds the message.
    /// Empty if there is none.
    pub message: Cow<'a, str>,
    /// How the line was read.
    pub form: Form,
}

/// Reads a line's fields into `fields`, in order of appearance, and returns its message.
///
/// `fields` is emptied first, so that one vector serves all lines of a chunk.
///
/// **JSON.** A line that is, but for white space around it, exactly one JSON object gives its
/// members. Nested objects are joined by `_`; arrays, numbers and empty objects are given as their
/// JSON text, `null` is left out. An object nested so deep that the joined names would pass 256
/// bytes is given as its JSON text, which keeps the cost linear. A lone surrogate (`\ud800`)
/// becomes U+FFFD. The message is the first non-blank string there is of the members that usually
/// hold one (`msg`, `message`, `event`, `log`, …).
///
/// **Text.** A field is `key=value` with a key `[A-Za-z_][A-Za-z0-9_.-]*` of at most 64 bytes that
/// begins the line or follows white space, outside of quotes and brackets that close. The value is
/// quoted (`"`, with the escapes of JSON; anything else after a backslash stands for itself,
/// backslash and all) or bare, up to white space and without a `,` or `;` at its end; `key=` has an
/// empty value. Where go-logfmt refuses a line we read on: a bare value may hold `"` and `=`
/// (`token=YWJj==`), but not begin with `=` (`a==b` is a comparison). A quote that is never closed,
/// or closed right before more text, makes no field.
///
/// The fields that end the line are taken out of it, with the ` | ` before them, which the layout
/// `line` puts there. Those before other text are copied: the message keeps its text.
pub fn parse<'a>(line: &'a str, how: Parse, fields: &mut Vec<Field<'a>>) -> Parsed<'a> {
    fields.clear();
    if how.reads_json()
        && let Some(object) = trim_to_object(line)
        && is_json(object)
    {
        let message = parse_json(object, fields);
        let form = Form::Json;
        return Parsed { message, form };
    }
    if !how.reads_logfmt() {
        let (message, form) = (Cow::Borrowed(line), Form::Text);
        return Parsed { message, form };
    }
    let (message, is_logfmt) = parse_logfmt(line, fields);
    let form = if is_logfmt { Form::Logfmt } else { Form::Text };
    Parsed { message, form }
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
        && let Some(object) = trim_to_object(line)
        && is_json(object)
    {
        let mut members = Members::new(object);
        while let Some((key, value)) = members.next() {
            visit(Field {
                name: members.name(key),
                value: value.text(),
                twin: false,
            })?;
        }
    } else if how.reads_logfmt() {
        for token in Tokens::new(line) {
            visit(Field {
                name: Cow::Borrowed(token.key(line)),
                value: token.value(line).text(),
                twin: false,
            })?;
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
    find_first(
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

/// The member of a JSON line that names its time, by the place of its name among `names`, which
/// count in any case and in this order; after them `t.$date`. Its place and its value. The walk ends
/// at a member whose place is `enough` or before.
#[must_use]
pub fn json_time<'a>(
    line: &'a str,
    names: &[&str],
    enough: usize,
) -> Option<(usize, Cow<'a, str>)> {
    let object = trim_to_object(line)?;
    let mut best: Option<(usize, QuotedText<'a>)> = None;
    let mut members = Members::new(object);
    while let Some((key, value)) = members.next() {
        let name = key.text();
        let place = match members.prefix.as_str() {
            "" => names.iter().position(|own| own.eq_ignore_ascii_case(&name)),
            "t_" if name == "$date" => Some(names.len()),
            _ => None,
        };
        let Some(place) = place else { continue };
        if best.is_none_or(|(known, _)| place < known) {
            best = Some((place, value));
            if place <= enough {
                break;
            }
        }
    }
    let (place, value) = best?;
    is_json(object).then(|| (place, value.text()))
}

/// The values of the fields with these names, found without building the others. Of members with
/// one name the last counts; of a name that a text line has twice, none.
///
/// Of a line in braces that has no `=`, and so no other field, the members count even if what follows
/// makes it no JSON: to ask `serde_json` of each line costs more than all else here.
#[must_use]
pub fn find_all<'a, 'n>(
    line: &'a str,
    how: Parse,
    names: &(impl Iterator<Item = &'n str> + Clone),
) -> Vec<Option<Cow<'a, str>>> {
    let mut found: Vec<Option<Cow<'a, str>>> = names.clone().map(|_| None).collect();
    if how.reads_json()
        && let Some(object) = trim_to_object(line)
    {
        let mut members = Members::new(object);
        while let Some((key, value)) = members.next() {
            for (name, place) in names.clone().zip(&mut found) {
                let is_it = |rest: &str| rest == key.text();
                if name
                    .strip_prefix(members.prefix.as_str())
                    .is_some_and(is_it)
                {
                    *place = Some(value.text());
                }
            }
        }
        if memchr(b'=', object.as_bytes()).is_none() || is_json(object) {
            return found;
        }
        found.fill(None);
    }
    if how.reads_logfmt() {
        let mut times = vec![0; found.len()];
        for token in Tokens::new(line) {
            let key = token.key(line);
            for (at, _) in names.clone().enumerate().filter(|(_, name)| *name == key) {
                times[at] += 1;
                found[at] = (times[at] == 1).then(|| token.value(line).text());
            }
        }
    }
    found
}

/// What `pick` makes of the first field for which it makes something, given the joined names of
/// the objects around it (each with its `_`), its key and its value. `ending` says of the
/// line up to the end of a name whether `pick` may accept it.
///
/// JSON members are read before it is known that the line is JSON, and only of a find is it asked
/// whether its object `is_sound`: most lines are thus decided by one short walk.
fn find_first<'a, T>(
    line: &'a str,
    how: Parse,
    is_sound: impl Fn(&str) -> bool,
    ending: impl Fn(&[u8]) -> bool,
    mut pick: impl FnMut(&str, QuotedText<'a>, QuotedText<'a>) -> Option<T>,
) -> Option<T> {
    let object = if how.reads_json() {
        trim_to_object(line)
    } else {
        None
    };
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
    if !how.reads_logfmt() || !may_have_token(line, ending) {
        return None;
    }
    let found = Tokens::new(line).find_map(|token| {
        let key = QuotedText::plain(token.key(line));
        pick("", key, token.value(line))
    })?;
    // A string in a JSON line may hold `key=val`: that is no field of the line.
    match object {
        Some(object) if is_json(object) => None,
        _ => Some(found),
    }
}
