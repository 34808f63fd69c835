//! Parses the parts of timestamps: numbers, names of months, times of day and offsets.
//!
//! Without allocations. Each method moves the cursor only if it succeeds.

use super::written::Offset;

/// A position in a text. A copy is used to look ahead.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    text: &'a [u8],
    /// The offset of the next byte.
    pub at: usize,
}

/// A time of day.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub nanos: u32,
}

const MONTHS: [&[u8]; 12] = [
    b"january",
    b"february",
    b"march",
    b"april",
    b"may",
    b"june",
    b"july",
    b"august",
    b"september",
    b"october",
    b"november",
    b"december",
];

const WEEKDAYS: [&[u8]; 7] = [
    b"monday",
    b"tuesday",
    b"wednesday",
    b"thursday",
    b"friday",
    b"saturday",
    b"sunday",
];

/// The abbreviations of time zones that are known as such after a time. Others are only looked for
/// where nothing else can be written, as before the year of `date`.
#[rustfmt::skip]
const ABBREVIATIONS: [[u8; 5]; 54] = [
    *b"ACDT\0", *b"ACST\0", *b"ADT\0\0", *b"AEDT\0", *b"AEST\0", *b"AKDT\0", *b"AKST\0",
    *b"AST\0\0", *b"AWST\0", *b"BRT\0\0", *b"BST\0\0", *b"CAT\0\0", *b"CDT\0\0", *b"CEST\0",
    *b"CET\0\0", *b"CLST\0", *b"CLT\0\0", *b"CST\0\0", *b"EAT\0\0", *b"EDT\0\0", *b"EEST\0",
    *b"EET\0\0", *b"EST\0\0", *b"HDT\0\0", *b"HKT\0\0", *b"HST\0\0", *b"ICT\0\0", *b"IDT\0\0",
    *b"IST\0\0", *b"JST\0\0", *b"KST\0\0", *b"MDT\0\0", *b"MEST\0", *b"MET\0\0", *b"MSK\0\0",
    *b"MST\0\0", *b"MYT\0\0", *b"NDT\0\0", *b"NST\0\0", *b"NZDT\0", *b"NZST\0", *b"PDT\0\0",
    *b"PHT\0\0", *b"PKT\0\0", *b"PST\0\0", *b"SAST\0", *b"SGT\0\0", *b"SST\0\0", *b"WAT\0\0",
    *b"WEST\0", *b"WET\0\0", *b"WIB\0\0", *b"WIT\0\0", *b"WITA\0",
];

/// For each first letter of a zone's name the second letters, one bit each. They rule out most words
/// after a time, such as levels in capitals.
const BEGINNINGS: [u32; 26] = {
    let mut pairs = [0; 26];
    let mut n = 0;
    while n < ABBREVIATIONS.len() {
        let name = ABBREVIATIONS[n];
        pairs[(name[0] - b'A') as usize] |= 1 << (name[1] - b'A');
        n += 1;
    }
    pairs[(b'U' - b'A') as usize] |= 1 << (b'T' - b'A');
    pairs[(b'G' - b'A') as usize] |= 1 << (b'M' - b'A');
    pairs
};

/// Whether a zone's name may begin with these bytes.
pub fn may_begin_zone(first: u8, second: Option<u8>) -> bool {
    match second {
        Some(second @ b'A'..=b'Z') => {
            BEGINNINGS[usize::from(first - b'A')] & 1 << (second - b'A') != 0
        }
        _ => first == b'Z',
    }
}

/// The nanoseconds that the last of this many digits of a fraction stands for.
#[rustfmt::skip]
const UNITS: [u32; 10] = [
    1_000_000_000, 100_000_000, 10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1,
];

/// The digits of a fraction of a second in nanoseconds; further digits are cut.
#[expect(clippy::inline_always, reason = "a call costs as much as the work")]
#[inline(always)]
pub fn nanoseconds(digits: &[u8]) -> Option<u32> {
    let digits = &digits[..digits.len().min(9)];
    let mut number = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        (digit <= 9).then_some(())?;
        number = number * 10 + u32::from(digit);
    }
    Some(number * UNITS[digits.len()])
}

impl<'a> Cursor<'a> {
    /// Creates a cursor at an offset of a text.
    pub fn new(text: &'a [u8], at: usize) -> Self {
        Self { text, at }
    }

    /// The next byte.
    pub fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The byte `n` after the next one.
    pub fn peek_at(&self, n: usize) -> Option<u8> {
        self.text.get(self.at + n).copied()
    }

    /// The rest of the text.
    pub fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Skips one byte if it is this one.
    pub fn skip(&mut self, byte: u8) -> bool {
        let is_it = self.peek() == Some(byte);
        self.at += usize::from(is_it);
        is_it
    }

    /// Skips one byte if it is one of these.
    pub fn skip_any(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| bytes.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    /// Skips one to three spaces.
    pub fn skip_spaces(&mut self) -> bool {
        let count = (0..3)
            .take_while(|&n| self.peek_at(n) == Some(b' '))
            .count();
        self.at += count;
        count > 0
    }

    /// Whether no letter or digit follows: a time must not be the start of a word.
    pub fn ends(&self) -> bool {
        !self.peek().is_some_and(|byte| byte.is_ascii_alphanumeric())
    }

    /// Number of digits that follow, up to 20.
    pub fn count_digits(&self) -> usize {
        let rest = self.rest().iter().take(20);
        rest.take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// A number of `count` digits; more digits may follow.
    pub fn digits(&mut self, count: usize) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + count)?;
        let mut number = 0;
        for digit in digits {
            let digit = digit.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number = number * 10 + u32::from(digit);
        }
        self.at += count;
        Some(number)
    }

    /// A number of two digits.
    pub fn two(&mut self) -> Option<u8> {
        self.digits(2).map(|number| number as u8)
    }

    /// A number of one or two digits, with no digit after it.
    pub fn short(&mut self) -> Option<u8> {
        let digit = |n: usize| {
            let digit = self.peek_at(n)?.wrapping_sub(b'0');
            (digit <= 9).then_some(digit)
        };
        let (number, count) = match (digit(0)?, digit(1)) {
            (number, None) => (number, 1),
            (tens, Some(ones)) if digit(2).is_none() => (tens * 10 + ones, 2),
            _ => return None,
        };
        self.at += count;
        Some(number)
    }

    /// A year of four digits, with no digit after it.
    pub fn year(&mut self) -> Option<i16> {
        let mut cursor = *self;
        let year = cursor.digits(4)? as i16;
        if cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *self = cursor;
        Some(year)
    }

    /// The English name of a month, whole or its first three letters: 1 to 12.
    pub fn month(&mut self) -> Option<u8> {
        self.name(&MONTHS).map(|index| index as u8 + 1)
    }

    /// The English name of a day of the week, whole or its first three letters.
    pub fn weekday(&mut self) -> bool {
        self.name(&WEEKDAYS).is_some()
    }

    fn name(&mut self, names: &[&[u8]]) -> Option<usize> {
        let head = self.text.get(self.at..self.at + 3)?;
        // Mostly it is a number.
        head[0].is_ascii_alphabetic().then_some(())?;
        let index = names
            .iter()
            .position(|name| name[..3].eq_ignore_ascii_case(head))?;
        let length = self.count_letters();
        let whole = names[index];
        let word = &self.text[self.at..self.at + length];
        if length == 3 || whole.eq_ignore_ascii_case(word) {
            self.at += length;
            return Some(index);
        }
        None
    }

    fn count_letters(&self) -> usize {
        let rest = self.rest().iter().take(10);
        rest.take_while(|byte| byte.is_ascii_alphabetic()).count()
    }

    /// A time of day with seconds, `9:04:05.678` or `09:04:05 PM`, with `separator` between its
    /// numbers.
    pub fn clock(&mut self, separator: u8) -> Option<Clock> {
        let mut cursor = *self;
        let hour = cursor.short()?;
        (cursor.skip(separator)).then_some(())?;
        let minute = cursor.two()?;
        (cursor.skip(separator)).then_some(())?;
        let clock = cursor.clock_rest(hour, minute)?;
        *self = cursor;
        Some(clock)
    }

    /// A time of day in twelve hours without seconds: `3:04PM`.
    pub fn kitchen_clock(&mut self) -> Option<Clock> {
        let mut cursor = *self;
        let hour = cursor.short()?;
        cursor.skip(b':').then_some(())?;
        let minute = cursor.two()?;
        let is_pm = cursor.meridiem()?;
        ((1..=12).contains(&hour) && minute <= 59).then_some(())?;
        *self = cursor;
        Some(Clock {
            hour: hour % 12 + 12 * u8::from(is_pm),
            minute,
            second: 0,
            nanos: 0,
        })
    }

    /// A time of day whose numbers are not padded, with milliseconds: `22:16:1:7`.
    pub fn unpadded_clock(&mut self) -> Option<Clock> {
        let mut cursor = *self;
        let hour = cursor.short()?;
        cursor.skip(b':').then_some(())?;
        let minute = cursor.short()?;
        cursor.skip(b':').then_some(())?;
        let second = cursor.short()?;
        cursor.skip(b':').then_some(())?;
        let millis = match cursor.count_digits() {
            count @ 1..=3 => cursor.digits(count)?,
            _ => return None,
        };
        (hour <= 23 && minute <= 59 && second <= 60).then_some(())?;
        *self = cursor;
        Some(Clock {
            hour,
            minute,
            second,
            nanos: millis * 1_000_000,
        })
    }

    /// The rest of a time of day: seconds, fraction, and AM or PM.
    pub fn clock_rest(&mut self, hour: u8, minute: u8) -> Option<Clock> {
        let mut cursor = *self;
        let second = cursor.two()?;
        let nanos = cursor.fraction();
        let hour = match cursor.meridiem() {
            None if hour <= 23 => hour,
            Some(is_pm) if (1..=12).contains(&hour) => hour % 12 + 12 * u8::from(is_pm),
            _ => return None,
        };
        if minute > 59 || second > 60 || cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *self = cursor;
        Some(Clock {
            hour,
            minute,
            second,
            nanos,
        })
    }

    /// The fraction of a second in nanoseconds; zero if there is none.
    fn fraction(&mut self) -> u32 {
        let Some(separator @ (b'.' | b',' | b':')) = self.peek() else {
            return 0;
        };
        let after = Self::new(self.text, self.at + 1);
        let count = after.count_digits();
        if count == 0 {
            return 0;
        }
        if separator == b':' {
            // `22:15:29:606` has milliseconds; `12:00:00:8` has a number after a colon.
            let goes_on = matches!(after.peek_at(3), Some(b':' | b'.'));
            if count != 3 || goes_on {
                return 0;
            }
        }
        self.at += 1 + count;
        nanoseconds(&after.rest()[..count]).unwrap_or_default()
    }

    /// `AM` or `PM` after a clock; true for the second half of the day.
    pub fn meridiem(&mut self) -> Option<bool> {
        let rest = self.rest();
        // Java writes a narrow no-break space.
        let space = if rest.starts_with(b"\xe2\x80\xaf") {
            3
        } else {
            usize::from(rest.first() == Some(&b' '))
        };
        let is_pm = match rest.get(space)? {
            b'A' | b'a' => false,
            b'P' | b'p' => true,
            _ => return None,
        };
        let is_m = matches!(rest.get(space + 1)?, b'M' | b'm');
        let runs_on = rest.get(space + 2).is_some_and(u8::is_ascii_alphanumeric);
        if !is_m || runs_on {
            return None;
        }
        self.at += space + 2;
        Some(is_pm)
    }

    /// The offset or zone after a time, if there is one: `Z`, `+02:00`, ` +0200`, ` UTC`, ` CEST`.
    pub fn offset(&mut self) -> Offset {
        if matches!(self.peek(), Some(b'Z' | b'z')) {
            let mut after = *self;
            after.at += 1;
            if after.ends() {
                *self = after;
                return Offset::Seconds(0);
            }
            return Offset::Missing;
        }
        let mut cursor = *self;
        let spaced = cursor.skip(b' ');
        if let Some(seconds) = cursor.signed_offset(spaced) {
            *self = cursor;
            return Offset::Seconds(seconds);
        }
        match cursor.zone_name(false) {
            Some(offset) => {
                *self = cursor;
                offset
            }
            None => Offset::Missing,
        }
    }

    /// `+hh:mm`, `+hhmm` or `+hh`. After a space the short form counts only before ` [`, as
    /// Postgres writes it: ` -5` or ` +12` may be the first word of the message.
    fn signed_offset(&mut self, spaced: bool) -> Option<i32> {
        let mut cursor = *self;
        let sign = match cursor.skip_any(b"+-")? {
            b'-' => -1,
            _ => 1,
        };
        let hours = cursor.two()?;
        let mut minutes = cursor;
        minutes.skip(b':');
        let minutes = match minutes.two() {
            Some(number) => {
                cursor = minutes;
                number
            }
            None if spaced && !cursor.rest().starts_with(b" [") => return None,
            None => 0,
        };
        // `-1234x` after a space is a word.
        if hours > 23 || minutes > 59 || (spaced && !cursor.ends()) {
            return None;
        }
        *self = cursor;
        Some(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60))
    }

    /// `+h` or `+h:mm`, which only follows `UTC` or `GMT`.
    fn short_offset(&mut self) -> Option<i32> {
        let mut cursor = *self;
        let sign = match cursor.skip_any(b"+-")? {
            b'-' => -1,
            _ => 1,
        };
        let hours = cursor.short()?;
        let minutes = if cursor.skip(b':') { cursor.two()? } else { 0 };
        (minutes <= 59).then_some(())?;
        *self = cursor;
        Some(sign * (i32::from(hours) * 3600 + i32::from(minutes) * 60))
    }

    /// The name of a zone: `UTC`, `GMT+0200` or an abbreviation; any word of capitals if `any`.
    pub fn zone_name(&mut self, any: bool) -> Option<Offset> {
        let first = self.peek().filter(u8::is_ascii_uppercase)?;
        (any || may_begin_zone(first, self.peek_at(1))).then_some(())?;
        let mut cursor = *self;
        let length = cursor.count_letters();
        let word = &cursor.rest()[..length];
        cursor.at += length;
        if matches!(word, b"UTC" | b"GMT" | b"Z") {
            let mut after = cursor;
            let offset = after.signed_offset(false).or_else(|| after.short_offset());
            if let Some(seconds) = offset.filter(|_| after.ends()) {
                *self = after;
                return Some(Offset::Seconds(seconds));
            }
            cursor.ends().then_some(())?;
            *self = cursor;
            return Some(Offset::Seconds(0));
        }
        let mut name = [0; 5];
        name.get_mut(..length)?.copy_from_slice(word);
        let is_known = ABBREVIATIONS.contains(&name)
            || (any && length >= 3 && word.iter().all(u8::is_ascii_uppercase));
        (is_known && cursor.ends()).then_some(())?;
        *self = cursor;
        Some(Offset::Abbreviation(name))
    }
}
