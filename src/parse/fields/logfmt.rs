//! The `key=val` tokens of a line, and what is left of it without them.
//!
//! Knows logfmt's grammar. Must not know what a field means.

use std::borrow::Cow;

use memchr::memchr;

use crate::parse::fields::Field;
use crate::parse::fields::quoted::{QuotedText, quoted};

/// What parts tokens: ASCII white space.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace()
}

/// A `key=val` token and where in the line it stands.
pub(super) struct Token<'a> {
    start: usize,
    end: usize,
    pub(super) key: &'a str,
    pub(super) value: QuotedText<'a>,
}

impl<'a> Token<'a> {
    pub(super) fn field(&self) -> Field<'a> {
        Field {
            name: Cow::Borrowed(self.key),
            value: self.value.text(),
        }
    }
}

/// The `key=val` tokens of a line, found by their equals signs.
///
/// Linear, for two reasons. Looking back for a key stops at any equals sign, so no byte is looked
/// back at twice. And of a quoted value that turns out to be none, no later key can open a quote
/// inside: a quote that opens stands behind `=`, a quote that was passed over stands behind `\`. So
/// no byte is searched for a closing quote twice.
pub(super) struct Tokens<'a> {
    line: &'a str,
    /// Where to look for the next equals sign.
    at: usize,
    /// Where the last token ended.
    floor: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(line: &'a str) -> Self {
        Self {
            line,
            at: 0,
            floor: 0,
        }
    }

    /// Where the key that ends at `equals` begins, if it is one.
    fn key_start(&self, equals: usize) -> Option<usize> {
        let bytes = self.line.as_bytes();
        let mut start = equals;
        while start > self.floor && is_key_byte(bytes[start - 1]) {
            start -= 1;
        }
        let begins = start < equals && (bytes[start].is_ascii_alphabetic() || bytes[start] == b'_');
        (begins && (start == 0 || is_space(bytes[start - 1]))).then_some(start)
    }

    /// The value that begins at `start`, if it is one, and where it ends.
    fn value(&self, start: usize) -> Option<(QuotedText<'a>, usize)> {
        let bytes = self.line.as_bytes();
        match bytes.get(start) {
            Some(b'"') => {
                let (value, end) = quoted(self.line, start)?;
                bytes
                    .get(end)
                    .is_none_or(|byte| is_space(*byte))
                    .then_some((value, end))
            }
            Some(b'=') => None,
            _ => {
                let length = bytes[start..].iter().position(|byte| is_space(*byte));
                let end = length.map_or(bytes.len(), |length| start + length);
                Some((QuotedText::plain(&self.line[start..end]), end))
            }
        }
    }
}

pub(super) fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

impl<'a> Tokens<'a> {
    /// The next token whose key is `wanted`, asked of the line up to its `=`. Others are passed over with as
    /// little work as possible: in a bare value nothing can be a token, so only a quoted one, which
    /// may hold what looks like tokens, needs to be read to its end.
    pub(super) fn next_ending(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Option<Token<'a>> {
        let bytes = self.line.as_bytes();
        loop {
            let equals = self.at + memchr(b'=', &bytes[self.at..])?;
            self.at = equals + 1;
            let is_wanted = wanted(&bytes[..equals]);
            if !is_wanted && bytes.get(equals + 1) != Some(&b'"') {
                continue;
            }
            let Some(start) = self.key_start(equals) else {
                continue;
            };
            let Some((value, end)) = self.value(equals + 1) else {
                continue;
            };
            self.at = end;
            self.floor = end;
            if is_wanted {
                return Some(Token {
                    start,
                    end,
                    key: &self.line[start..equals],
                    value,
                });
            }
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.next_ending(|_| true)
    }
}

pub(super) fn parse_logfmt<'a>(line: &'a str, fields: &mut Vec<Field<'a>>) -> Cow<'a, str> {
    let mut message = MessageParts::default();
    let mut end = 0;
    for token in Tokens::new(line) {
        message.push(&line[end..token.start]);
        end = token.end;
        fields.push(token.field());
    }
    if fields.is_empty() {
        return Cow::Borrowed(line);
    }
    let tail = &line[end..];
    message.push(tail);
    message.finish(tail.trim_ascii().is_empty())
}

/// The text between fields, put together: borrowed as long as it is one piece.
#[derive(Default)]
struct MessageParts<'a> {
    text: Cow<'a, str>,
    /// Whether the line's own start has gone by.
    begun: bool,
    /// The white space behind `text`, which stays if more text comes.
    gap: &'a str,
}

impl<'a> MessageParts<'a> {
    /// Adds what stood before, between or behind fields.
    fn push(&mut self, piece: &'a str) {
        // The line's own indentation stays; behind a field the white space goes.
        let piece = if self.begun {
            piece.trim_ascii_start()
        } else {
            piece
        };
        self.begun = true;
        let text = piece.trim_ascii_end();
        if text.is_empty() {
            return;
        }
        if self.text.is_empty() {
            self.text = Cow::Borrowed(text);
        } else {
            let whole = self.text.to_mut();
            whole.push_str(self.gap);
            whole.push_str(text);
        }
        self.gap = &piece[text.len()..];
    }

    /// The message; `fields_trail` says that the line ended in fields.
    fn finish(self, fields_trail: bool) -> Cow<'a, str> {
        if !fields_trail {
            return self.text;
        }
        match self.text {
            Cow::Borrowed(text) => Cow::Borrowed(without_separator(text)),
            Cow::Owned(mut text) => {
                text.truncate(without_separator(&text).len());
                Cow::Owned(text)
            }
        }
    }
}

/// A message without the lone `|` that parts it from the fields behind it.
fn without_separator(message: &str) -> &str {
    let Some(before) = message.strip_suffix('|') else {
        return message;
    };
    let text = before.trim_ascii_end();
    if text.len() < before.len() || text.is_empty() {
        text
    } else {
        message
    }
}
