//! Iterates over the members of a JSON object, including nested ones.
//!
//! Follows the grammar only as far as needed for that; `serde_json` decides whether a text is
//! valid.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use crate::parse::fields::Field;
use crate::parse::fields::quoted::{QuotedText, quoted};

/// The line without surrounding white space if it starts and ends like a JSON object.
pub(super) fn trim_to_object(line: &str) -> Option<&str> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let start = line.bytes().position(|byte| !is_space(&byte))?;
    // Most lines fail here.
    if line.as_bytes()[start] != b'{' {
        return None;
    }
    let end = line.bytes().rposition(|byte| !is_space(&byte))?;
    (start < end && line.as_bytes()[end] == b'}').then(|| &line[start..=end])
}

/// Whether the text is one JSON value. `serde_json` skips values without recursion, so any depth of
/// nesting is fine.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The names, in any case, of members that may hold the message, most likely first.
const MESSAGES: [&str; 13] = [
    "msg",
    "message",
    "event",
    "log",
    "short_message",
    "@m",
    "@mt",
    "RenderedMessage",
    "textPayload",
    "body",
    "MessageTemplate",
    "log.message",
    "fields.message",
];

/// Maximum length of the joined names of nested objects, in bytes. Without a limit a long name
/// would be copied for each of many members.
const PREFIX_MAX: usize = 256;

/// Iterates over the members of a JSON object, including nested ones, in order of appearance.
///
/// On invalid JSON it stops at some point, and the members returned so far must be discarded.
pub(super) struct Members<'a> {
    text: &'a str,
    at: usize,
    /// The keys of the open objects except the outermost, each followed by `_`.
    pub(super) prefix: String,
    /// For each of them, the length of `prefix` before it.
    open: Vec<usize>,
}

impl<'a> Members<'a> {
    /// Starts at the first member; `text` must start with `{`.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 1,
            prefix: String::new(),
            open: Vec::new(),
        }
    }

    /// Returns the key and value of the next member that is not null.
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

    /// The full name of the member that [`Self::next`] returned with `key`.
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

    /// The rank of a member as the line's message; the lowest rank wins.
    fn message_rank(&self, key: QuotedText<'a>) -> Option<usize> {
        let key = key.text();
        let is = |name: &str| name.eq_ignore_ascii_case(&key);
        match (self.open.len(), self.prefix.as_str()) {
            (0, _) => MESSAGES.iter().position(|name| is(name)),
            (1, "log_" | "fields_") if is("message") => Some(MESSAGES.len()),
            // OTLP writes this in place of a plain `body`.
            (1, "body_") if is("stringValue") => Some(MESSAGES.len()),
            _ => None,
        }
    }

    /// Skips white space and returns the next byte.
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

    /// Reads the next value; `Some(None)` if it was null or an object that is now open.
    #[expect(clippy::option_option, reason = "a skipped value differs from the end")]
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
                // Unescaping never makes a text longer, so the raw length is an upper bound.
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

    /// Skips the array or object that starts here.
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

impl QuotedText<'_> {
    /// The rank of this value as the line's message, under a name of rank `rank`: any string, and
    /// after all strings also a number under one of the first two names.
    fn rank_as_message(self, rank: usize) -> Option<usize> {
        let is_list = self.raw.starts_with(['[', '{']);
        match rank {
            _ if self.is_quoted => Some(rank),
            0 | 1 if !is_list => Some(MESSAGES.len() + 1 + rank),
            _ => None,
        }
    }
}

/// Puts the members of an object into `fields`. Returns its message, which is not among them; empty
/// if it has none.
pub(super) fn parse_json<'a>(object: &'a str, fields: &mut Vec<Field<'a>>) -> Cow<'a, str> {
    let mut message: Option<(usize, usize)> = None;
    let mut members = Members::new(object);
    while let Some((key, value)) = members.next() {
        let name = members.name(key);
        if let Some(rank) = members.message_rank(key)
            && let Some(rank) = value.rank_as_message(rank)
            && message.is_none_or(|(best, _)| rank < best)
            && !value.text().trim_ascii().is_empty()
        {
            message = Some((rank, fields.len()));
        }
        fields.push(Field {
            name,
            value: value.text(),
            duplicate: false,
        });
    }
    let Some((_, at)) = message else {
        return Cow::Borrowed("");
    };
    // Docker and others keep the line end.
    match fields.remove(at).value {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_end_matches(['\n', '\r'])),
        Cow::Owned(mut text) => {
            text.truncate(text.trim_end_matches(['\n', '\r']).len());
            Cow::Owned(text)
        }
    }
}
