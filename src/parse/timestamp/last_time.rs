//! The time of the line before, for lines whose time differs from it only in the fraction of the
//! second: most do, and comparing is a fifth of the work of reading.
//!
//! Pure.

use std::ops::Range;

use super::cursor::{Cursor, may_begin_zone, nanoseconds};
use super::forms::Kind;
use super::scan::Found;
use super::written::Offset;

/// The last time that was read at the start of a line.
#[derive(Debug, Clone, Default)]
pub struct LastTime {
    /// The line up to the end of its time; empty if there is none.
    text: Vec<u8>,
    /// Where in it the digits of the fraction are; empty if there are none.
    fraction: Range<usize>,
    /// The time without its fraction, in nanoseconds since the epoch.
    second: i64,
    /// Whether the time names its zone.
    pub has_zone: bool,
}

impl LastTime {
    /// Keeps what was found in a line, and the time that it is.
    pub fn keep(&mut self, line: &[u8], found: &Found, time: i64) {
        self.text.clear();
        self.text.extend_from_slice(&line[..found.end]);
        self.fraction = fraction(&self.text);
        let digits = &self.text[self.fraction.clone()];
        if nanoseconds(digits) != Some(found.written.nanos) {
            self.text.clear();
        }
        self.second = time - i64::from(found.written.nanos);
        self.has_zone = found.written.offset != Offset::Missing;
    }

    /// Forgets it: what the text means may have changed.
    pub fn forget(&mut self) {
        self.text.clear();
    }

    /// The time of a line that begins like the one before, if it is of this form and nothing after
    /// it can belong to it.
    pub fn read(&self, line: &[u8], kind: Kind) -> Option<i64> {
        let (before, rest) = self.text.split_at_checked(self.fraction.start)?;
        let (head, after) = line.split_at_checked(before.len())?;
        if before.is_empty() || head != before {
            return None;
        }
        let (fraction, after) = after.split_at_checked(self.fraction.len())?;
        let suffix = &rest[fraction.len()..];
        if !(suffix.is_empty() || after.starts_with(suffix))
            || !self.ends(Cursor::new(line, self.text.len()), kind)
        {
            return None;
        }
        Some(self.second + i64::from(nanoseconds(fraction)?))
    }

    #[inline]
    fn ends(&self, mut after: Cursor<'_>, kind: Kind) -> bool {
        let next = after.peek_at(1);
        match (after.peek(), kind) {
            (Some(b' '), Kind::Iso | Kind::Slashed) => {
                let may_belong = match next {
                    Some(b'A' | b'a' | b'P' | b'p') => {
                        after.meridiem().is_some() || after.offset() != Offset::Missing
                    }
                    Some(first @ b'B'..=b'Z') => {
                        may_begin_zone(first, after.peek_at(2)) && after.offset() != Offset::Missing
                    }
                    Some(b'+' | b'-') => after.offset() != Offset::Missing,
                    _ => false,
                };
                self.has_zone || !may_belong
            }
            // A year or a zone may follow.
            (Some(b' '), Kind::MonthDay) => {
                next.is_some_and(|byte| byte.is_ascii_lowercase()) && after.meridiem().is_none()
            }
            (None, _) | (Some(b']'), Kind::Iso | Kind::Slashed | Kind::MonthDay) => true,
            _ => false,
        }
    }
}

/// Where the digits of the fraction are in a time that has one: after `:05.` or `:05,`.
fn fraction(text: &[u8]) -> Range<usize> {
    let point = memchr::memrchr2(b'.', b',', text);
    let start = point
        .filter(|&at| at >= 3 && text[at - 3] == b':')
        .map(|at| at + 1);
    let Some(start) = start else {
        return text.len()..text.len();
    };
    let digits = text[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    start..start + digits.count()
}
