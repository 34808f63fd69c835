//! Detects the level in the free text of a line.
//!
//! Formats that can be recognized by how a line starts are in [`crate::parse::level::formats`] and
//! [`crate::parse::level::tool_formats`]; all other lines are searched for a level word by
//! [`crate::parse::level::scanner`].

use memchr::memchr;

use crate::parse::ansi;
use crate::parse::level::formats::{
    erlang, is_json_start, letter_in_brackets, logcat, priority, redis,
};
use crate::parse::level::prefilter::{HEAD, may_hold_level};
use crate::parse::level::scanner::Scanner;
use crate::parse::level::tool_formats::{starts_lowercase, starts_uppercase, workflow};
use crate::parse::level::{BOM, Level};

/// Bytes read from a coloured line to fill its head after the colour codes are removed.
const COLOURED_HEAD: usize = 4 * HEAD;

/// Detects the level in the free text of a line: from a syslog priority `<n>` at its start, else
/// from a glog letter, Redis's sign, a build tool's error format or a level word in its head (128
/// bytes, one line). Colour codes are ignored.
///
/// A level word counts only as a whole word and only where logs put levels: in capitals before the
/// prose of the message starts, in brackets (`[warn]`, `<info>`, `[core:error]`), before a colon
/// (`error:`), or as a column after the time, where a lower-case word needs more than one blank to
/// be distinguished from prose (`2024-05-01 10:00:00 error rate is 5%`). Three words of prose end
/// the search, and so does a quote, so that neither a message nor a request line (`"GET /error`) is
/// taken for a level.
///
/// A JSON line, complete or not, has its level in a field or not at all: its text is not searched.
#[must_use]
pub fn from_text(line: &str) -> Option<Level> {
    let bytes = line.as_bytes();
    let head = &bytes[..bytes.len().min(HEAD)];
    if memchr(ESC, head).is_none() {
        return from_plain_text(line);
    }
    let coloured = &bytes[..bytes.len().min(COLOURED_HEAD)];
    let mut plain = [0; HEAD];
    let (length, rest) = strip_into(coloured, &mut plain);
    detect_in_head(&plain[..length], rest < bytes.len())
}

/// Like [`from_text`], for a line whose head has no colour codes.
#[inline]
pub(crate) fn from_plain_text(line: &str) -> Option<Level> {
    let bytes = line.as_bytes();
    let head = &bytes[..bytes.len().min(HEAD)];
    detect_in_head(head, head.len() < bytes.len())
}

const ESC: u8 = 0x1b;

/// Copies text into `plain` without terminal sequences, until either is used up. Returns the number
/// of bytes written and read.
fn strip_into(coloured: &[u8], plain: &mut [u8; HEAD]) -> (usize, usize) {
    let (mut length, mut at) = (0, 0);
    while at < coloured.len() && length < HEAD {
        let rest = &coloured[at..];
        if rest[0] == ESC {
            // Other sequences occur too: `tput sgr0` writes `ESC ( B ESC [ m`.
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

fn detect_in_head(head: &[u8], cut: bool) -> Option<Level> {
    let start = head.iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    let mut text = &head[start..];
    if text[0] == BOM.as_bytes()[0]
        && let Some(rest @ [_, ..]) = text.strip_prefix(BOM.as_bytes())
    {
        text = rest;
    }
    // Lines that start with a date nearly always have a level right after it, so the prefilter
    // would not pay off.
    let dated = matches!(text.get(..5), Some([b'1'..=b'2', _, _, _, b'-' | b'/']));
    let special = match text[0] {
        _ if dated => None,
        b'<' => priority(text),
        b'{' if is_json_start(text) => return None,
        b'0'..=b'9' if text.get(2) == Some(&b'-') => logcat(text),
        b'0'..=b'9' => redis(text),
        b'=' => erlang(text),
        b'[' => letter_in_brackets(text),
        b'A'..=b'Z' => starts_uppercase(text),
        b'd' | b'e' | b'g' | b'k' | b'l' | b'm' | b'u' | b'w' => starts_lowercase(text),
        b':' => workflow(text),
        // A Java or JavaScript stack frame (`at Foo.bar`) contains names, not levels.
        b'a' if start > 0 && matches!(text, [_, b't', b' ', b'A'..=b'Z' | b'a'..=b'z', ..]) => {
            return None;
        }
        _ => None,
    };
    special.or_else(|| {
        // The scanner stops at a quote.
        let unquoted = || &text[..memchr(b'"', text).unwrap_or(text.len())];
        (dated || may_hold_level(unquoted()))
            .then(|| Scanner::new(text, cut).level())
            .flatten()
    })
}
