//! The level that the text of a line shows, fields aside.
//!
//! Knows how much of a line is looked at, and through what. The search itself is [`crate::parse::level::scanner`]'s,
//! the lines of a shape of their own are [`crate::parse::level::formats`]'s and
//! [`crate::parse::level::tool_formats`]'s.

use memchr::memchr;

use crate::parse::ansi;
use crate::parse::level::formats::{
    erlang, is_json_start, letter_in_brackets, logcat, priority, redis,
};
use crate::parse::level::prefilter::{HEAD, may_hold_level};
use crate::parse::level::scanner::Scanner;
use crate::parse::level::tool_formats::{capital, lower, workflow};
use crate::parse::level::{BOM, Level};

/// How many bytes are looked at to fill the head of a coloured line.
const COLOURED_HEAD: usize = 4 * HEAD;

/// The level that the text of a line shows, fields aside: a syslog priority `<n>` at its start,
/// else what its head (128 bytes, one line) holds of glog's letter, Redis's sign, a tool's way to
/// complain or a level word. Colour codes do not hide it.
///
/// A level word counts only as a whole word and only where logs put levels: in capitals before the
/// prose of the message has begun, else in brackets (`[warn]`, `<info>`, `[core:error]`), before a
/// colon (`error:`), or as a column behind the time, where a word in lower case needs more than one
/// blank to be told from prose (`2024-05-01 10:00:00 error rate is 5%`). Three words of prose end
/// the search, and so does a quote, so that neither a message nor a request line (`"GET /error`) is
/// taken for a level.
/// A line that is JSON, or begins as JSON does, has its level in a field or not at all: none is
/// guessed from it.
#[must_use]
pub fn from_text(line: &str) -> Option<Level> {
    let bytes = line.as_bytes();
    let head = &bytes[..bytes.len().min(HEAD)];
    if memchr(ESC, head).is_none() {
        return from_plain_text(line);
    }
    let coloured = &bytes[..bytes.len().min(COLOURED_HEAD)];
    let mut plain = [0; HEAD];
    let (length, rest) = uncolour(coloured, &mut plain);
    guess(&plain[..length], rest < bytes.len())
}

/// The same of a line that has no colours in its head.
#[inline]
pub(crate) fn from_plain_text(line: &str) -> Option<Level> {
    let bytes = line.as_bytes();
    let head = &bytes[..bytes.len().min(HEAD)];
    guess(head, head.len() < bytes.len())
}

const ESC: u8 = 0x1b;

/// Copies text without terminal sequences into `plain` until one of them ends; gives the lengths
/// written and read.
fn uncolour(coloured: &[u8], plain: &mut [u8; HEAD]) -> (usize, usize) {
    let (mut length, mut at) = (0, 0);
    while at < coloured.len() && length < HEAD {
        let rest = &coloured[at..];
        if rest[0] == ESC {
            // Not only colours: `tput sgr0` writes `ESC ( B ESC [ m`.
            at = ansi::sequence_end(coloured, at);
        } else {
            let text = memchr(ESC, rest).unwrap_or(rest.len());
            let text = text.min(HEAD - length);
            plain[length..length + text].copy_from_slice(&rest[..text]);
            length += text;
            at += text;
        }
    }
    (length, at)
}

fn guess(head: &[u8], cut: bool) -> Option<Level> {
    let start = head.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    let mut text = &head[start..];
    if text[0] == BOM.as_bytes()[0]
        && let Some(rest @ [_, ..]) = text.strip_prefix(BOM.as_bytes())
    {
        text = rest;
    }
    let special = match text[0] {
        b'<' => priority(text),
        b'{' if is_json_start(text) => return None,
        b'0'..=b'9' if text.get(2) == Some(&b'-') => logcat(text),
        b'0'..=b'9' => redis(text),
        b'=' => erlang(text),
        b'[' => letter_in_brackets(text),
        b'A'..=b'Z' => capital(text),
        b'd' | b'e' | b'g' | b'k' | b'l' | b'm' | b'u' | b'w' => lower(text),
        b':' => workflow(text),
        // A frame of a stack trace of Java or JavaScript shows names, no level.
        b'a' if start > 0 && matches!(text, [_, b't', b' ', b'A'..=b'Z' | b'a'..=b'z', ..]) => {
            return None;
        }
        _ => None,
    };
    // What begins with a date nearly always has a level right behind it.
    let dated = matches!(text.get(..5), Some([b'1'..=b'2', _, _, _, b'-' | b'/']));
    special.or_else(|| {
        // The search ends at a quote.
        let unquoted = || &text[..memchr(b'"', text).unwrap_or(text.len())];
        (dated || may_hold_level(unquoted()))
            .then(|| Scanner::new(text, cut).level())
            .flatten()
    })
}
