//! The members of a JSON object, nested ones included.
//!
//! Knows the grammar so far as to walk it. Whether a text is JSON is `serde_json`'s word.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::parse::fields::Field;
use crate::parse::fields::quoted::{QuotedText, quoted};

/// The line without white space around it, if it begins and ends as a JSON object does.
pub(super) fn braced(line: &str) -> Option<&str> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let start = line.bytes().position(|byte| !is_space(&byte))?;
    // Most lines are turned away here.
    if line.as_bytes()[start] != b'{' {
        return None;
    }
    let end = line.bytes().rposition(|byte| !is_space(&byte))?;
    (start < end && line.as_bytes()[end] == b'}').then(|| &line[start..=end])
}

/// Whether the text is one JSON value. `serde_json` skips values without recursing, so no depth of
/// nesting is too deep.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The most bytes that the joined names of nested objects may take. Without a bound a long name
/// around many members would be copied for each of them.
const PREFIX_MAX: usize = 256;

/// Walks over the members of a JSON object, nested ones included, in order of appearance.
///
/// On a text that is no JSON it ends somewhere, without harm: what it gave is then worth nothing.
pub(super) struct Members<'a> {
    text: &'a str,
    at: usize,
    /// The keys of the open objects but the outermost, each followed by `_`.
    pub(super) prefix: String,
    /// For each of them, how long `prefix` was before it.
    open: Vec<usize>,
}

impl<'a> Members<'a> {
    /// `text` begins with `{`.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 1,
            prefix: String::new(),
            open: Vec::new(),
        }
    }

    /// The key and the value of the next member that is not null.
    pub(super) fn next(&mut self) -> Option<(QuotedText<'a>, QuotedText<'a>)> {
        loop {
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    self.prefix.truncate(self.open.pop()?);
                }
                b'"' => {
                    let key = self.string()?;
                    if self.peek()? != b':' {
                        return None;
                    }
                    self.at += 1;
                    if let Some(value) = self.value(key)? {
                        return Some((key, value));
                    }
                }
                _ => return None,
            }
        }
    }

    /// The full name of the member that [`Self::next`] just gave under `key`.
    pub(super) fn name(&self, key: QuotedText<'a>) -> Cow<'a, str> {
        if self.prefix.is_empty() {
            return key.text();
        }
        let key = key.text();
        let mut name = String::with_capacity(self.prefix.len() + key.len());
        name.push_str(&self.prefix);
        name.push_str(&key);
        Cow::Owned(name)
    }

    /// The place of a member among those that may be the line's message; the least one is.
    fn message_rank(&self, key: QuotedText<'a>) -> Option<u8> {
        match (self.open.len(), self.prefix.as_str(), &*key.text()) {
            (0, _, "msg") => Some(0),
            (0, _, "message") => Some(1),
            (0, _, "log.message") | (1, "log_", "message") => Some(2),
            _ => None,
        }
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    fn string(&mut self) -> Option<QuotedText<'a>> {
        let (text, end) = quoted(self.text, self.at)?;
        self.at = end;
        Some(text)
    }

    /// The value that comes next; `Some(None)` if it was null or an object that is now open.
    #[expect(clippy::option_option, reason = "no value here, and no value any more")]
    fn value(&mut self, key: QuotedText<'a>) -> Option<Option<QuotedText<'a>>> {
        let start = {
            self.peek()?;
            self.at
        };
        match self.text.as_bytes()[start] {
            b'"' => return self.string().map(Some),
            b'{' => {
                self.at += 1;
                let empty = self.peek()? == b'}';
                // Unescaping never makes a text longer, so the raw length will do.
                if !empty && self.prefix.len() + key.raw.len() < PREFIX_MAX {
                    self.open.push(self.prefix.len());
                    self.prefix.push_str(&key.text());
                    self.prefix.push('_');
                    return Some(None);
                }
                self.at = start;
                self.skip_nested()?;
            }
            b'[' => self.skip_nested()?,
            _ => {
                let rest = &self.text.as_bytes()[start..];
                let ends = |byte: &u8| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
                self.at += rest.iter().position(ends)?;
            }
        }
        let text = &self.text[start..self.at];
        Some((text != "null").then_some(QuotedText::plain(text)))
    }

    /// Passes over the array or object that begins here.
    fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match self.text.as_bytes().get(self.at)? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(());
            }
        }
    }
}

pub(super) fn parse_json<'a>(object: &'a str, fields: &mut Vec<Field<'a>>) -> Cow<'a, str> {
    let mut message: Option<(u8, usize)> = None;
    let mut members = Members::new(object);
    while let Some((key, value)) = members.next() {
        if let Some(rank) = members.message_rank(key)
            && message.is_none_or(|(best, _)| rank < best)
        {
            message = Some((rank, fields.len()));
        }
        fields.push(Field {
            name: members.name(key),
            value: value.text(),
        });
    }
    message.map_or(Cow::Borrowed(""), |(_, index)| fields.remove(index).value)
}
