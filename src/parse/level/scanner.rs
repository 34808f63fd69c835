//! The search for a level word in the head of a line.
//!
//! Knows what gives a line structure (times, colons, columns, brackets) and what is prose. Whether a
//! level word stands where logs put levels is [`crate::parse::level::position`]'s to say.

use crate::parse::level::Level;
use crate::parse::level::formats::{esxi, glog, glog_date, lone_letter};
use crate::parse::level::words::lookup;

/// What a byte means to the search.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteClass {
    Blank,
    Letter,
    Digit,
    /// Neither, but part of a word: `_` and all of other scripts, so that no level is seen in
    /// `error_log` or `fêteinfo`.
    WordPart,
    Quote,
    Other,
}

static CLASSES: [ByteClass; 256] = {
    let mut classes = [ByteClass::Other; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "below 256")]
        let value = byte as u8;
        classes[byte] = match value {
            b' ' | b'\t' => ByteClass::Blank,
            b'a'..=b'z' | b'A'..=b'Z' => ByteClass::Letter,
            b'0'..=b'9' => ByteClass::Digit,
            b'_' | 0x80.. => ByteClass::WordPart,
            b'"' | b'\'' | b'`' => ByteClass::Quote,
            _ => ByteClass::Other,
        };
        byte += 1;
    }
    classes
};

pub(super) fn class(byte: u8) -> ByteClass {
    CLASSES[usize::from(byte)]
}

/// What the last token that gave the line structure was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Preceding {
    /// None yet.
    Start,
    /// A time.
    Time,
    /// A token that ends in a colon.
    Colon,
    /// `|` or `-`, alone.
    Column,
    /// A name or a word.
    Word,
}

const LEVEL: &[u8] = b"level";

fn ends_in_level(text: &[u8]) -> bool {
    let tail = text.last_chunk::<{ LEVEL.len() }>();
    tail.is_some_and(|tail| tail.eq_ignore_ascii_case(LEVEL))
}

/// The search for a level word in the head of a line.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a [u8],
    /// What stands behind `text`: a line end, or more of a word if the head was cut.
    beyond: u8,
    /// The words of prose since the line last showed structure.
    pub(super) words: u32,
    /// The last of them, and what it stood behind.
    pub(super) last: &'a [u8],
    pub(super) last_after: Preceding,
    pub(super) after: Preceding,
    /// Whether a square bracket is open, and whether a time stands in it.
    pub(super) bracket: bool,
    pub(super) bracket_time: bool,
    /// Whether the last time had its date with it, as only programs write it:
    /// `2024-01-02T03:04:05Z`, `2024-01-02 03:04:05`.
    pub(super) dated_time: bool,
    /// Where the last date ended.
    date_end: usize,
    /// Words in capitals since the line last showed structure: columns, not prose.
    pub(super) columns: u32,
}

/// Words that are prose in capitals, too.
const SHOUTED: [&[u8]; 41] = [
    b"ALL",
    b"AN",
    b"AND",
    b"ANY",
    b"ARE",
    b"AT",
    b"DELETE",
    b"DROP",
    b"FOR",
    b"FROM",
    b"GET",
    b"HEAD",
    b"IF",
    b"IGNORE",
    b"IGNORING",
    b"IN",
    b"INSERT",
    b"IS",
    b"LAST",
    b"LEVEL",
    b"LOG",
    b"NO",
    b"NOT",
    b"OF",
    b"ON",
    b"OPTIONS",
    b"OR",
    b"PATCH",
    b"POST",
    b"PREVIOUS",
    b"PUT",
    b"SELECT",
    b"SET",
    b"THE",
    b"THIS",
    b"TO",
    b"UPDATE",
    b"WITH",
    b"WITHOUT",
    b"YOUR",
    b"ZERO",
];

/// Whether a token is a date in numbers: `2024-01-02`, `02/01/2024`, `24/01/02`.
fn is_date(token: &[u8]) -> bool {
    let mark = |at: usize| matches!(token[at], b'-' | b'/' | b'.');
    let digits = token.iter().filter(|byte| byte.is_ascii_digit()).count();
    match token.len() {
        10 => digits == 8 && (mark(4) && mark(7) || mark(2) && mark(5)),
        8 => digits == 6 && mark(2) && mark(5),
        _ => false,
    }
}

/// More words of prose than this, and the message has begun.
const MAX_WORDS: u32 = 2;

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8], cut: bool) -> Self {
        Self {
            text,
            beyond: if cut { b'_' } else { b'\n' },
            words: 0,
            last: b"",
            last_after: Preceding::Start,
            after: Preceding::Start,
            bracket: false,
            bracket_time: false,
            dated_time: false,
            date_end: 0,
            columns: 0,
        }
    }

    pub(super) fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(self.beyond)
    }

    /// The byte before `at`; the start of the line counts as a blank.
    pub(super) fn before(&self, at: usize) -> u8 {
        if at == 0 { b' ' } else { self.text[at - 1] }
    }

    pub(super) fn level(mut self) -> Option<Level> {
        let mut at = 0;
        while let Some(byte) = self.text.get(at) {
            match class(*byte) {
                ByteClass::Blank => at += 1,
                ByteClass::Letter => {
                    let end = self.end_of(at, ByteClass::Letter);
                    if let Some(level) = self.word(at, end) {
                        return Some(level);
                    }
                    if self.words > MAX_WORDS {
                        return None;
                    }
                    at = self.end_of_word(end);
                    // What follows a word nearly always.
                    at += usize::from(self.text.get(at) == Some(&b' '));
                }
                ByteClass::Digit => at = self.number(at),
                ByteClass::WordPart => at = self.end_of_word(at),
                // Of an apostrophe (`can't`) the text goes on; in quotes stands what was logged.
                ByteClass::Quote
                    if *byte == b'\'' && class(self.before(at)) == ByteClass::Letter =>
                {
                    at += 1;
                }
                ByteClass::Quote => return None,
                ByteClass::Other if *byte == b'\n' => return None,
                ByteClass::Other => {
                    self.punctuation(at, *byte);
                    at += 1;
                }
            }
        }
        None
    }

    fn end_of(&self, start: usize, of: ByteClass) -> usize {
        let rest = self.text[start..].iter();
        start + rest.take_while(|byte| class(**byte) == of).count()
    }

    fn end_of_word(&self, start: usize) -> usize {
        let part = |byte: &&u8| {
            matches!(
                class(**byte),
                ByteClass::Letter | ByteClass::Digit | ByteClass::WordPart
            )
        };
        start + self.text[start..].iter().take_while(part).count()
    }

    /// Takes a token that begins with a digit, as far as it can be a time; gives its end.
    fn number(&mut self, start: usize) -> usize {
        let digits = self.end_of(start, ByteClass::Digit) - start;
        let mut colons = 0;
        let mut end = start + digits;
        while let Some(byte) = self.text.get(end) {
            match class(*byte) {
                ByteClass::Letter | ByteClass::Digit | ByteClass::WordPart => {}
                ByteClass::Blank => break,
                _ => match byte {
                    b'\n' | b'|' | b'[' | b']' | b')' | b'"' | b';' => break,
                    b':' | b',' => {
                        // `03:04:05:INFO:` of Jetty, and the colon that ends a token; the comma of
                        // a table, not the one of `05,678`.
                        if !self.byte(end + 1).is_ascii_digit() {
                            break;
                        }
                        colons += u32::from(*byte == b':');
                    }
                    _ => {}
                },
            }
            end += 1;
        }
        let token = &self.text[start..end];
        let is_time = match colons {
            // Epoch seconds, or what zap makes of them: `1.7000000001234e+09`.
            0 if digits == 1 => token.ends_with(b"e+09"),
            0 => digits >= 10,
            // `3:04PM` of zerolog.
            1 => token.ends_with(b"M"),
            _ => true,
        };
        if is_time {
            self.structure(Preceding::Time);
            self.bracket_time |= self.bracket;
            let behind_date = self.date_end != 0 && self.date_end + 1 == start;
            self.dated_time = behind_date || token.get(10) == Some(&b'T');
        } else if is_date(token) {
            self.date_end = end;
        }
        end
    }

    fn punctuation(&mut self, at: usize, byte: u8) {
        let blank_next =
            matches!(class(self.byte(at + 1)), ByteClass::Blank) || self.byte(at + 1) == b'\n';
        match byte {
            b'[' => {
                self.bracket = true;
                self.bracket_time = false;
            }
            b']' => {
                self.bracket = false;
                if self.bracket_time {
                    self.structure(Preceding::Time);
                }
            }
            b':' if blank_next && !self.bracket => {
                let setting = self.words > 0 && ends_in_level(&self.text[..at]);
                self.structure(Preceding::Colon);
                // `Log level: INFO` says what is logged, and is prose as is what follows.
                if setting {
                    self.words = MAX_WORDS + 1;
                    self.last = &self.text[at - LEVEL.len()..at];
                }
            }
            b'|' if !self.bracket => self.structure(Preceding::Column),
            b'-' if blank_next
                && !self.bracket
                && matches!(self.before(at), b' ' | b'\t' | b'-') =>
            {
                self.structure(Preceding::Column);
            }
            _ => {}
        }
    }

    fn structure(&mut self, after: Preceding) {
        self.after = after;
        self.words = 0;
        self.columns = 0;
    }

    /// The level that the letters from `start` to `end` show; if they show none, they are counted.
    fn word(&mut self, start: usize, end: usize) -> Option<Level> {
        let word = &self.text[start..end];
        let before = self.before(start);
        let next = self.byte(end);
        let stands_free = class(before) == ByteClass::Blank;
        match class(next) {
            ByteClass::Digit | ByteClass::WordPart => {
                // `I0102 15:04:05`; Postgres's `DEBUG1:`
                if stands_free && word.len() == 1 && self.words < MAX_WORDS {
                    let begins =
                        self.words == 0 && matches!(self.after, Preceding::Start | Preceding::Time);
                    let text = &self.text[start..];
                    let short = || begins.then(|| glog_date(text)).flatten();
                    if let Some(level) = glog(text).or_else(short) {
                        return Some(level);
                    }
                } else if word == b"trace"
                    && self.bracket
                    && before == b':'
                    && self.byte(end + 1) == b']'
                {
                    // `[rewrite:trace3]` of Apache
                    return Some(Level::Trace);
                } else if word == b"DEBUG"
                    && matches!(next, b'1'..=b'5')
                    && self.byte(end + 1) == b':'
                {
                    return Some(Level::Debug);
                }
                self.name(stands_free);
                return None;
            }
            _ => {}
        }
        if word.len() == 2 && next == b'(' && self.words == 0 && self.is_behind_time(start) {
            let level = esxi(&self.text[start..]);
            if level.is_some() {
                return level;
            }
        }
        if word.len() == 1 && self.words == 0 && self.is_behind_time(start) {
            let level = lone_letter(&self.text[start - 1..], self.after == Preceding::Colon);
            if level.is_some() {
                return level;
            }
        }
        if let Some((level, usage)) = lookup(word)
            && self.is_level(start, end, level, usage)
        {
            return Some(level);
        }
        if self.bracket {
            return None;
        }
        let ends = matches!(
            next,
            b' ' | b'\t' | b'\n' | b',' | b'.' | b';' | b'!' | b'?'
        );
        if stands_free && ends {
            self.prose(word);
        } else {
            self.name(stands_free);
        }
        None
    }

    /// Whether a time stands before `start`, with a colon behind it or not.
    fn is_behind_time(&self, start: usize) -> bool {
        match self.after {
            Preceding::Time => true,
            Preceding::Colon => matches!(&self.text[..start], [.., b'0'..=b'9', b':', b' ']),
            _ => false,
        }
    }

    /// Counts a word of prose.
    fn prose(&mut self, word: &'a [u8]) {
        let neutral = match word {
            // A container runtime's `stderr F` behind the time, and the zone of a time.
            b"stdout" | b"stderr" | b"P" | b"F" | b"AM" | b"PM" | b"UTC" | b"MSK" => true,
            [.., b'T'] => word.len() <= 4 && word.iter().all(u8::is_ascii_uppercase),
            _ => false,
        };
        if neutral && self.after == Preceding::Time {
            return;
        }
        let shouted = word.len() > 1 && word.iter().all(u8::is_ascii_uppercase);
        if shouted && !SHOUTED.contains(&word) && lookup(word).is_none() {
            self.columns += 1;
            return;
        }
        self.words += 1;
        self.last = word;
        self.last_after = self.after;
        self.after = Preceding::Word;
    }

    /// Notes a token that is neither prose nor time: `com.foo.Bar`, `app-1`.
    fn name(&mut self, stands_free: bool) {
        if stands_free && !self.bracket {
            self.after = Preceding::Word;
        }
    }
}
