//! Searches the head of a line for a level word.
//!
//! Tracks what gives the line structure (times, colons, columns, brackets) and how much prose was
//! passed. Whether a word is in the position of a level is decided in
//! [`crate::parse::level::position`].

use crate::parse::level::Level;
use crate::parse::level::formats::{esxi, glog, glog_date, lone_letter};
use crate::parse::level::words::lookup;

/// The class of a byte in the search.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteClass {
    Blank,
    Letter,
    Digit,
    /// Another part of a word: `_` and every non-ASCII byte, so that no level is found in
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

/// The last token that gave the line structure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Preceding {
    /// No such token yet.
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

/// The state of the search in one line.
pub(super) struct Scanner<'a> {
    pub(super) text: &'a [u8],
    /// The byte after `text`: a line end, or a word byte if the head was cut.
    beyond: u8,
    /// Number of words of prose since the line last showed structure.
    pub(super) words: u32,
    /// The last word of prose.
    pub(super) last: &'a [u8],
    /// The structure before that word.
    pub(super) last_after: Preceding,
    pub(super) after: Preceding,
    /// Whether a square bracket is open.
    pub(super) bracket: bool,
    /// Whether the bracket contains a time.
    pub(super) bracket_time: bool,
    /// Whether the last time included its date, as only programs write it: `2024-01-02T03:04:05Z`,
    /// `2024-01-02 03:04:05`.
    pub(super) dated_time: bool,
    /// End of the last date.
    date_end: usize,
    /// Number of words in capitals since the line last showed structure: columns, not prose.
    pub(super) columns: u32,
}

/// Words that count as prose even in capitals.
const PROSE_IN_CAPITALS: [&[u8]; 41] = [
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

/// Whether a token is a numeric date: `2024-01-02`, `02/01/2024`, `24/01/02`.
fn is_date(token: &[u8]) -> bool {
    let mark = |at: usize| matches!(token[at], b'-' | b'/' | b'.');
    let digits = || token.iter().filter(|byte| byte.is_ascii_digit()).count();
    match token.len() {
        10 => (mark(4) && mark(7) || mark(2) && mark(5)) && digits() == 8,
        8 => mark(2) && mark(5) && digits() == 6,
        _ => false,
    }
}

/// Whether a text starts like `2024-01-02 03:04:05` or `2024/01/02T03:04:05`.
fn starts_with_time(text: &[u8]) -> bool {
    const SHAPE: &[u8; 19] = b"0000-00-00 00:00:00";
    let Some(head) = text.first_chunk::<{ SHAPE.len() }>() else {
        return false;
    };
    head.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        b'-' => matches!(byte, b'-' | b'/'),
        b' ' => matches!(byte, b' ' | b'T'),
        _ => byte == shape,
    })
}

/// Maximum number of words of prose before the message is considered to have started.
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
        let start = self.leading_time();
        self.level_from(start)
    }

    /// Consumes the date and time that most lines start with, as [`Self::number`] would in two steps.
    /// Returns the end, which is 0 if the line starts otherwise.
    fn leading_time(&mut self) -> usize {
        if !starts_with_time(self.text) {
            return 0;
        }
        self.after = Preceding::Time;
        self.dated_time = true;
        if self.text[10] == b' ' {
            self.date_end = 10;
        }
        self.number_end(19).0
    }

    fn level_from(mut self, mut at: usize) -> Option<Level> {
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
                    // A word is nearly always followed by a space.
                    at += usize::from(self.text.get(at) == Some(&b' '));
                }
                ByteClass::Digit => at = self.number(at),
                ByteClass::WordPart => at = self.end_of_word(at),
                // An apostrophe (`can't`) does not end the search, but quotes do: they contain
                // logged data.
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

    /// Consumes a token that starts with a digit, as far as it can be a time. Returns its end.
    fn number(&mut self, start: usize) -> usize {
        let text = &self.text[start..];
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (end, colons) = self.number_end(start + digits);
        let token = &self.text[start..end];
        let is_time = match colons {
            // Epoch seconds, which zap writes as `1.7000000001234e+09`.
            0 if digits == 1 => token.ends_with(b"e+09"),
            0 => digits >= 10,
            // zerolog: `3:04PM`.
            1 => token.ends_with(b"M"),
            _ => true,
        };
        if is_time {
            self.structure(Preceding::Time);
            self.bracket_time |= self.bracket;
            let after_date = self.date_end != 0 && self.date_end + 1 == start;
            self.dated_time = after_date || token.get(10) == Some(&b'T');
        } else if is_date(token) {
            self.date_end = end;
        }
        end
    }

    /// The end of a token that starts with a digit, and the number of colons in it from `start` on.
    fn number_end(&self, start: usize) -> (usize, u32) {
        let (mut end, mut colons) = (start, 0);
        for &byte in &self.text[start..] {
            match byte {
                b' ' | b'\t' | b'\n' | b'|' | b'[' | b']' | b')' | b'"' | b';' => break,
                b':' | b',' => {
                    // A colon followed by no digit ends the token (Jetty's `03:04:05:INFO:`), and so
                    // does a comma in a table, unlike the one in `05,678`.
                    if !self.byte(end + 1).is_ascii_digit() {
                        break;
                    }
                    colons += u32::from(byte == b':');
                }
                _ => {}
            }
            end += 1;
        }
        (end, colons)
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
                // `Log level: INFO` reports a setting: treat it and the rest as prose.
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

    /// The level of the word from `start` to `end`. If it is not a level, it is counted as prose or
    /// structure.
    fn word(&mut self, start: usize, end: usize) -> Option<Level> {
        let word = &self.text[start..end];
        let before = self.before(start);
        let next = self.byte(end);
        let after_blank = class(before) == ByteClass::Blank;
        match class(next) {
            ByteClass::Digit | ByteClass::WordPart => {
                // `I0102 15:04:05`; Postgres's `DEBUG1:`
                if after_blank && word.len() == 1 && self.words < MAX_WORDS {
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
                    // Apache: `[rewrite:trace3]`
                    return Some(Level::Trace);
                } else if word == b"DEBUG"
                    && matches!(next, b'1'..=b'5')
                    && self.byte(end + 1) == b':'
                {
                    return Some(Level::Debug);
                }
                self.name(after_blank);
                return None;
            }
            _ => {}
        }
        if word.len() == 2 && next == b'(' && self.words == 0 && self.is_after_time(start) {
            let level = esxi(&self.text[start..]);
            if level.is_some() {
                return level;
            }
        }
        if word.len() == 1 && self.words == 0 && self.is_after_time(start) {
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
        if after_blank && ends {
            self.prose(word);
        } else {
            self.name(after_blank);
        }
        None
    }

    /// Whether a time comes right before `start`, with or without a colon after it.
    fn is_after_time(&self, start: usize) -> bool {
        match self.after {
            Preceding::Time => true,
            Preceding::Colon => matches!(&self.text[..start], [.., b'0'..=b'9', b':', b' ']),
            _ => false,
        }
    }

    /// Counts a word of prose, unless it belongs to the time or is a column in capitals.
    fn prose(&mut self, word: &'a [u8]) {
        let neutral = match word {
            // A container runtime's `stderr F` after the time, and the zone of a time.
            b"stdout" | b"stderr" | b"P" | b"F" | b"AM" | b"PM" | b"UTC" | b"MSK" => true,
            [.., b'T'] => word.len() <= 4 && word.iter().all(u8::is_ascii_uppercase),
            _ => false,
        };
        if neutral && self.after == Preceding::Time {
            return;
        }
        let in_capitals = word.len() > 1 && word.iter().all(u8::is_ascii_uppercase);
        if in_capitals && !PROSE_IN_CAPITALS.contains(&word) && lookup(word).is_none() {
            self.columns += 1;
            return;
        }
        self.words += 1;
        self.last = word;
        self.last_after = self.after;
        self.after = Preceding::Word;
    }

    /// Records a token that is neither prose nor time: `com.foo.Bar`, `app-1`.
    fn name(&mut self, after_blank: bool) {
        if after_blank && !self.bracket {
            self.after = Preceding::Word;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_time_is_read_as_any_other() {
        let heads = [
            "2024-01-02 03:04:05",
            "2024/01/02 03:04:05",
            "2024-01-02T03:04:05",
            "2024-01-02  3:04:05",
        ];
        let ends = [
            "", ".678", ",678", ".678Z", "+02:00", " +0200", " UTC", ":INFO:", "]", "|", " |",
            ", ", ": ", ":7", "x",
        ];
        let rests = [
            "",
            " ",
            " INFO",
            " INFO ready",
            " error rate",
            "  error rate",
            " [x] WARN y",
            " a b ERROR c",
            "ERROR: z",
            " - DEBUG - w",
            " 12 E x",
            " E0102 03:04:05.678 x",
            "\nERROR",
        ];
        for head in heads {
            for line in ends
                .iter()
                .flat_map(|end| rests.map(|rest| format!("{head}{end}{rest}")))
            {
                let scanner = || Scanner::new(line.as_bytes(), false);
                assert_eq!(scanner().level(), scanner().level_from(0), "{line}");
            }
        }
    }
}
