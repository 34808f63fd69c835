//! Finds the timestamp in the head of a line.
//!
//! Looks at [`HEAD`] bytes at most, without allocations.

use super::forms::{self, Kind};
use super::written::Written;

/// Number of bytes of a line in which a time may start.
pub const HEAD: usize = 128;

/// How many more words than in the first line may come before a time.
const MORE_WORDS: u8 = 3;

/// Names of fields that hold the time of a line, preferred first.
pub const TIME_NAMES: [&str; 10] = [
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "t",
    "@t",
    "datetime",
    "date",
    "eventTime",
    "__REALTIME_TIMESTAMP",
];

/// Where in a line its time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At the start, maybe after an opening bracket or quote.
    Start,
    /// Further in.
    Inside {
        /// The byte before it.
        before: u8,
        /// Number of words before it.
        words: u8,
    },
}

/// The form and place of the time in the lines of one input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// The form.
    pub kind: Kind,
    /// The place.
    pub place: Place,
}

/// A time that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The time as written.
    pub written: Written,
    /// The offset of its first byte.
    pub start: usize,
    /// The offset after its last one.
    pub end: usize,
}

/// The first time in the head of a line, in any form. A time of day without a date counts only if
/// no date with time follows.
pub fn find(line: &[u8]) -> Option<(Form, Found)> {
    let mut words = Words::new(line);
    let mut clock = None;
    while let Some(start) = words.next_start() {
        let Some((kind, written, end)) = forms::any_at(line, start) else {
            continue;
        };
        if !words.suits(kind, start) {
            continue;
        }
        let form = Form {
            kind,
            place: words.place(start),
        };
        let found = Found {
            written,
            start,
            end,
        };
        if kind != Kind::Clock {
            return Some((form, found));
        }
        clock = clock.or(Some((form, found)));
    }
    clock
}

/// The time in this form in a line.
pub fn find_form(line: &[u8], form: Form) -> Option<Found> {
    let at = |start: usize| {
        let (written, end) = forms::read(line, start, form.kind)?;
        Some(Found {
            written,
            start,
            end,
        })
    };
    let (before, most) = match form.place {
        Place::Start => return at(usize::from(is_opener(line.first()))),
        Place::Inside { before, words } => (before, words.saturating_add(MORE_WORDS)),
    };
    let mut words = Words::new(line);
    while let Some(start) = words.next_start() {
        if line[start - usize::from(start > 0)] != before || words.count > most {
            continue;
        }
        if words.suits(form.kind, start)
            && let Some(found) = at(start)
        {
            // Indented lines are continuations and may cite any date.
            let indented = line[0].is_ascii_whitespace() && most > MORE_WORDS;
            return (!indented).then_some(found);
        }
    }
    None
}

fn is_opener(byte: Option<&u8>) -> bool {
    matches!(byte, Some(b'[' | b'(' | b'<' | b'"'))
}

/// Iterates over the places in a line's head at which a time may start.
struct Words<'a> {
    line: &'a [u8],
    at: usize,
    /// Number of words that end before `at`.
    count: u8,
    /// Whether an opening quote was found: a request or message follows.
    is_over: bool,
}

impl<'a> Words<'a> {
    fn new(line: &'a [u8]) -> Self {
        Self {
            line: &line[..line.len().min(HEAD)],
            at: 0,
            count: 0,
            is_over: false,
        }
    }

    /// The next offset at the start of a word or after a byte that may precede a time.
    fn next_start(&mut self) -> Option<usize> {
        while let Some(&byte) = self.line.get(self.at) {
            let start = self.at;
            let before = start.checked_sub(1).map(|at| self.line[at]);
            self.at += 1;
            if self.is_over {
                return None;
            }
            match byte {
                b' ' | b'\t' => {
                    let ends_word = before.is_some_and(|byte| !matches!(byte, b' ' | b'\t'));
                    self.count = self.count.saturating_add(u8::from(ends_word));
                }
                b'"' => self.quote(start),
                byte if forms::may_begin(byte) && self.may_start(start, before) => {
                    return Some(start);
                }
                _ => {}
            }
        }
        None
    }

    /// Handles a quote: a time may directly follow an opening quote, but not be further inside. A
    /// quoted text at the start of the line is a column.
    fn quote(&mut self, start: usize) {
        let after = self.line.get(start + 1);
        if after.is_some_and(u8::is_ascii_digit) {
            return;
        }
        match memchr::memchr(b'"', &self.line[start + 1..]) {
            Some(length) if start == 0 => self.at = start + length + 2,
            _ => self.is_over = true,
        }
    }

    fn may_start(&self, start: usize, before: Option<u8>) -> bool {
        let Some(before) = before else { return true };
        match before {
            b' ' | b'\t' | b'[' | b'(' | b'<' | b'|' | b',' | b'*' | b'>' => true,
            b':' => {
                !self.line[start..].first().is_some_and(u8::is_ascii_digit)
                    || self.is_after_word(start - 1)
            }
            b'=' => {
                names_time(&self.line[..start - 1]) || self.line[start..].starts_with(b"audit(")
            }
            b'"' => match start.checked_sub(2).map(|at| self.line[at]) {
                None | Some(b',' | b'[' | b'(' | b'|' | b';') => true,
                Some(b'=') => names_time(&self.line[..start - 2]),
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether the colon at an offset ends a word and is not part of a time or an address.
    fn is_after_word(&self, colon: usize) -> bool {
        let before = self.line[..colon].iter().rev().find(|byte| **byte != b':');
        before.is_some_and(|byte| !byte.is_ascii_digit())
    }

    /// Whether a time in this form may be at this place. Forms that other text may look like are
    /// accepted only near the start.
    fn suits(&self, kind: Kind, start: usize) -> bool {
        let before = start.checked_sub(1).map(|at| self.line[at]);
        match kind {
            Kind::Epoch => {
                start == 0
                    || (start == 1 && is_opener(self.line.first()))
                    || before == Some(b'=')
                    || (before == Some(b'"') && self.line.get(start.wrapping_sub(2)) == Some(&b'='))
            }
            Kind::Clock => {
                self.count <= 2 && matches!(before, None | Some(b' ' | b'\t' | b'[' | b'('))
            }
            Kind::CompactShort | Kind::Logcat => {
                matches!(before, None | Some(b' ' | b'\t' | b'[' | b'|'))
            }
            _ => true,
        }
    }

    fn place(&self, start: usize) -> Place {
        let is_start = start == 0 || (start == 1 && is_opener(self.line.first()));
        if is_start {
            return Place::Start;
        }
        Place::Inside {
            before: self.line[start - 1],
            words: self.count,
        }
    }
}

/// Whether the key that ends the text before a `=` may have a time for a value: it names one, or it
/// begins the line.
fn names_time(text: &[u8]) -> bool {
    let is_separator = |byte: &u8| matches!(byte, b' ' | b'\t' | b',' | b'{' | b'[' | b'|');
    match text.iter().rposition(is_separator) {
        Some(before) => {
            let key = &text[before + 1..];
            let mut names = TIME_NAMES.iter();
            names.any(|name| name.as_bytes().eq_ignore_ascii_case(key))
        }
        None => !text.is_empty(),
    }
}
