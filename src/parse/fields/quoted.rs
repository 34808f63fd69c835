//! Strings in quotes, with the escapes of JSON, which logfmt shares.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// A value as it stands in the line.
#[derive(Clone, Copy)]
pub(super) struct QuotedText<'a> {
    /// Without its quotes, and not unescaped.
    pub(super) raw: &'a str,
    /// Whether it stands in quotes.
    pub(super) is_quoted: bool,
    escaped: bool,
}

impl<'a> QuotedText<'a> {
    pub(super) fn plain(raw: &'a str) -> Self {
        Self {
            raw,
            is_quoted: false,
            escaped: false,
        }
    }

    pub(super) fn text(self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// The text in quotes at `open` (the offset of the opening quote), and the offset after the closing
/// one.
pub(super) fn quoted(line: &str, open: usize) -> Option<(QuotedText<'_>, usize)> {
    // Most strings are shorter than a vector search is worth.
    const SHORT: usize = 16;
    let bytes = line.as_bytes();
    let start = open + 1;
    let mut at = start;
    let mut escaped = false;
    loop {
        let rest = bytes.get(at..)?;
        let short = &rest[..rest.len().min(SHORT)];
        at += match short.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            Some(length) => length,
            None => short.len() + memchr2(b'"', b'\\', &rest[short.len()..])?,
        };
        if bytes[at] == b'"' {
            return Some((
                QuotedText {
                    raw: &line[start..at],
                    is_quoted: true,
                    escaped,
                },
                at + 1,
            ));
        }
        escaped = true;
        at += 2;
    }
}

/// Resolves the escapes of JSON strings and of logfmt's, which are the same and `\'`. What is no
/// escape stays as it is; half a surrogate pair becomes U+FFFD.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(backslash) = memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..backslash]);
        rest = &rest[backslash + 1..];
        let plain = match rest.as_bytes().first() {
            Some(byte @ (b'"' | b'\\' | b'/' | b'\'')) => char::from(*byte),
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'u') => {
                if let Some((decoded, length)) = unescape_unicode(&rest.as_bytes()[1..]) {
                    text.push(decoded);
                    rest = &rest[1 + length..];
                } else {
                    text.push('\\');
                }
                continue;
            }
            _ => {
                text.push('\\');
                continue;
            }
        };
        text.push(plain);
        rest = &rest[1..];
    }
    text.push_str(rest);
    text
}

/// The character of a `\u` escape, given what follows the `\u`, and the length of what was read.
fn unescape_unicode(digits: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| {
        let four = digits.get(at..at + 4)?;
        four.iter().try_fold(0_u32, |unit, digit| {
            Some(unit << 4 | char::from(*digit).to_digit(16)?)
        })
    };
    let high = unit(0)?;
    if let Some(plain) = char::from_u32(high) {
        return Some((plain, 4));
    }
    if high < 0xdc00
        && digits.get(4..6) == Some(br"\u")
        && let Some(low @ 0xdc00..=0xdfff) = unit(6)
        && let Some(pair) = char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    {
        return Some((pair, 10));
    }
    Some((char::REPLACEMENT_CHARACTER, 4))
}
