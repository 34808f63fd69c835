//! The fields of a line: the `key=val` tokens of text (logfmt), or the members of a JSON object.

use std::borrow::Cow;
#[cfg(test)]
use std::ops::ControlFlow;

use memchr::{memchr, memrchr_iter};

use crate::parse::fields::json::{Members, is_json, parse_json, trim_to_object};
use crate::parse::fields::logfmt::{Tokens, may_have_token, parse_logfmt};
use crate::parse::fields::quoted::QuotedText;

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
    pub(super) fn reads_json(self) -> bool {
        matches!(self, Self::Auto | Self::Json)
    }

    pub(super) fn reads_logfmt(self) -> bool {
        matches!(self, Self::Auto | Self::Logfmt)
    }
}

/// One field of a line, borrowed from the line unless it had to be unescaped or joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The key. For a member of a nested object it is joined with the keys of the objects around
    /// it.
    pub name: Cow<'a, str>,
    /// The value. JSON arrays and numbers keep their exact text.
    pub value: Cow<'a, str>,
    /// Whether a text line contains the key more than once. As it is unclear which one is meant,
    /// all of them stay in the message and none becomes metadata or a label.
    pub duplicate: bool,
}

/// The format in which a line was parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON object.
    Json,
    /// Only `key=val` tokens.
    Logfmt,
    /// Text, which may contain `key=val` tokens.
    Text,
}

/// The message and format of a parsed line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The text without its trailing fields; in a JSON line the value of its message member. Empty
    /// if there is none.
    pub message: Cow<'a, str>,
    /// The line's format.
    pub form: Form,
}

/// Parses a line: puts its fields into `fields`, in order of appearance, and returns its message.
///
/// `fields` is cleared first, so that one vector serves all lines of a chunk.
///
/// **JSON.** A line that is exactly one JSON object, apart from white space around it, yields its
/// members. The names of nested objects are joined with `_`; arrays, numbers and empty objects keep
/// their JSON text; `null` is omitted. An object nested so deep that the joined names would exceed
/// 256 bytes also keeps its JSON text, so that the cost stays linear. A lone surrogate (`\ud800`)
/// becomes U+FFFD. The message is the first non-blank string among the members that usually hold
/// one (`msg`, `message`, `event`, `log`, …).
///
/// **Text.** A field is `key=value` with a key `[A-Za-z_][A-Za-z0-9_.-]*` of at most 64 bytes at
/// the start of the line or after white space, outside of closed quotes and brackets. The value is
/// quoted (`"`, with JSON's escapes; any other backslash is kept literally) or bare, up to white
/// space and without a trailing `,` or `;`; `key=` has an empty value. Some lines that go-logfmt
/// rejects are accepted: a bare value may contain `"` and `=` (`token=YWJj==`), but not start with
/// `=` (`a==b` is a comparison). A quote that is never closed, or closed right before more text, is
/// not a field.
///
/// Trailing fields are removed from the message, together with the ` | ` before them that `--layout
/// line` writes. Fields before other text also stay in the message.
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

/// Calls `visit` with each field of a line in order of appearance, including the message member of
/// a JSON line, until it breaks. The reference that tests compare [`field`] and [`read_level`]
/// with.
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
                duplicate: false,
            })?;
        }
    } else if how.reads_logfmt() {
        for token in Tokens::new(line) {
            visit(Field {
                name: Cow::Borrowed(token.key(line)),
                value: token.value(line).text(),
                duplicate: false,
            })?;
        }
    }
    ControlFlow::Continue(())
}

/// The value of the first field called `name`, found without building the others.
///
/// A member of a nested JSON object has its joined name, as in [`parse`].
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

/// Finds the timestamp member of a JSON line. Returns its index in `names` and what `read` makes of
/// its value.
///
/// Names match in any case, and earlier ones are preferred; `t.$date` counts as the last one. A
/// member whose value cannot be `read` is passed over. The search stops at a member whose index is
/// at most `enough`.
#[must_use]
pub fn json_time<T>(
    line: &str,
    names: &[&str],
    enough: usize,
    read: impl Fn(&str) -> Option<T>,
) -> Option<(usize, T)> {
    let object = trim_to_object(line)?;
    let mut best: Option<(usize, T)> = None;
    let mut members = Members::new(object);
    while let Some((key, value)) = members.next() {
        let name = key.text();
        let place = match members.prefix.as_str() {
            "" => names.iter().position(|own| own.eq_ignore_ascii_case(&name)),
            "t_" if name == "$date" => Some(names.len()),
            _ => None,
        };
        let Some(place) = place else { continue };
        if best.as_ref().is_none_or(|(known, _)| place < *known)
            && let Some(time) = read(&value.text())
        {
            best = Some((place, time));
            if place <= enough {
                break;
            }
        }
    }
    best.filter(|_| is_json(object))
}

/// The values of the fields with these names, found without building the others. The last of
/// several JSON members with the same name counts; a name that a text line contains more than once
/// has no value.
///
/// A line in braces without `=`, which therefore has no logfmt fields, is read as JSON even if it
/// is malformed further on: validating every line with `serde_json` costs more than everything else
/// here.
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
    if how.reads_logfmt()
        && let Some(last) = last_candidate(line, names)
    {
        let mut repeated = Vec::new();
        for token in Tokens::new(line) {
            let key = token.key(line);
            for (at, _) in names.clone().enumerate().filter(|(_, name)| *name == key) {
                if found[at].take().is_some() {
                    repeated.push(at);
                } else if !repeated.contains(&at) {
                    found[at] = Some(token.value(line).text());
                }
            }
            if token.equals >= last {
                break;
            }
        }
    }
    found
}

/// The offset of the last `=` that may end one of these keys. The tokens after it are not needed, and
/// without it none is.
fn last_candidate<'n>(
    line: &str,
    names: &(impl Iterator<Item = &'n str> + Clone),
) -> Option<usize> {
    let bytes = line.as_bytes();
    let ends_name = |equals: &usize| {
        let before = &bytes[..*equals];
        names.clone().any(|name| before.ends_with(name.as_bytes()))
    };
    memrchr_iter(b'=', bytes).find(ends_name)
}

/// Returns the first result of `pick`, which is called with the joined names of the objects around
/// a field (each followed by `_`), its key and its value. `ending` is a fast check whether the line
/// up to the end of a key may be of interest.
///
/// JSON members are read before the line is known to be valid JSON, and `is_sound` is called only
/// after a match, so that most lines need just one short pass.
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
    // A `key=val` in a string of a JSON line is not a field of the line.
    match object {
        Some(object) if is_json(object) => None,
        _ => Some(found),
    }
}
