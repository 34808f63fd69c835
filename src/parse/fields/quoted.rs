//! Quoted strings with JSON's escapes, which logfmt shares.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// A value as written in the line, quoted or not.
#[derive(Clone, Copy)]
pub(super) struct QuotedText<'a> {
    /// The text without its quotes, still escaped.
    pub(super) raw: &'a str,
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

    /// The unescaped text.
    pub(super) fn text(self) -> Cow<'a, str> {
        if self.escaped {
            Cow::Owned(unescape(self.raw))
        } else {
            Cow::Borrowed(self.raw)
        }
    }
}

/// The quoted text whose opening quote is at `open`, and the offset after its closing quote.
pub(super) fn quoted(line: &str, open: usize) -> Option<(QuotedText<'_>, usize)> {
    // Most strings are too short for a vectorized search to pay off.
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

/// Resolves JSON's escapes, and `\'` for logfmt. Invalid escapes are kept as they are; half a
/// surrogate pair becomes U+FFFD.
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

/// The character of a `\u` escape and the length that was read, given the text after the `\u`.
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
