//! The timestamp forms of logs, and a parser for each.
//!
//! Linear, without allocations.

use super::cursor::{Clock, Cursor};
use super::written::{Date, Offset, Written};

/// A form of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `2006-01-02T15:04:05.678+02:00` and similar forms.
    Iso,
    /// `2006/01/02 15:04:05`.
    Slashed,
    /// `Jan  2 15:04:05`, also with a year.
    MonthDay,
    /// `10/Oct/2000:13:55:36 +0000`.
    AccessLog,
    /// `Sun Dec 04 04:47:44 2005`, `Wed, 10 Oct 2000 13:55:36 +0200`.
    Weekday,
    /// `02-Jan-2006 15:04:05`, `02 Jan 2006 15:04:05`.
    DayMonth,
    /// `01/02/2006 15:04:05`.
    Numeric,
    /// `17/06/09 20:10:40`.
    Short,
    /// `02.01.2006 15:04:05`.
    Dotted,
    /// `20060102T150405`, `20171223-22:15:29:606`.
    Compact,
    /// `081109 203615`.
    CompactShort,
    /// `03-17 16:13:38.811`.
    Logcat,
    /// `I0102 15:04:05.123456`.
    Klog,
    /// `audit(1136214245.123:1)`.
    Audit,
    /// Seconds, milliseconds, microseconds or nanoseconds since the epoch.
    Epoch,
    /// `15:04:05`.
    Clock,
}

/// All forms, each with an example for messages.
const KINDS: [(Kind, &str); 16] = [
    (Kind::Iso, "2006-01-02 15:04:05"),
    (Kind::Slashed, "2006/01/02 15:04:05"),
    (Kind::MonthDay, "Jan _2 15:04:05"),
    (Kind::AccessLog, "02/Jan/2006:15:04:05"),
    (Kind::Weekday, "Mon Jan _2 15:04:05 2006"),
    (Kind::DayMonth, "02-Jan-2006 15:04:05"),
    (Kind::Numeric, "01/02/2006 15:04:05"),
    (Kind::Short, "06/01/02 15:04:05"),
    (Kind::Dotted, "02.01.2006 15:04:05"),
    (Kind::Compact, "20060102T150405"),
    (Kind::CompactShort, "060102 150405"),
    (Kind::Logcat, "01-02 15:04:05"),
    (Kind::Klog, "I0102 15:04:05"),
    (Kind::Audit, "audit(1136214245.000:1)"),
    (Kind::Epoch, "1136214245"),
    (Kind::Clock, "15:04:05"),
];

impl Kind {
    /// All forms.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.into_iter().map(|(kind, _)| kind)
    }

    /// An example of the form.
    pub fn example(self) -> &'static str {
        KINDS[self as usize].1
    }
}

/// The smallest epoch number that is a time: 1990, in seconds.
const LEAST_EPOCH: u64 = 631_152_000;

/// Whether a time may start with this byte.
pub fn may_begin(byte: u8) -> bool {
    byte.is_ascii_digit() || byte.is_ascii_alphabetic()
}

/// The time at an offset of a line, with its form and its end.
pub fn any_at(line: &[u8], at: usize) -> Option<(Kind, Written, usize)> {
    let kind = likely(line, at)?;
    read(line, at, kind).map(|(written, end)| (kind, written, end))
}

/// The only form that is possible, judged by the first bytes.
fn likely(line: &[u8], at: usize) -> Option<Kind> {
    let cursor = Cursor::new(line, at);
    let first = cursor.peek()?;
    if !first.is_ascii_digit() {
        return likely_word(cursor, first);
    }
    let count = cursor.count_digits();
    let (next, after) = (cursor.peek_at(count), cursor.peek_at(count + 1));
    let is_letter = after.is_some_and(|byte| byte.is_ascii_alphabetic());
    Some(match (count, next) {
        (4, Some(b'/')) => Kind::Slashed,
        (4, Some(b'-' | b'.' | b':' | b' ')) => Kind::Iso,
        (8, Some(_)) => Kind::Compact,
        (6, Some(b' ')) => Kind::CompactShort,
        (1 | 2, Some(b':')) => Kind::Clock,
        (1 | 2, Some(b'/')) if is_letter => Kind::AccessLog,
        (1 | 2, Some(b'-' | b' ')) if is_letter => Kind::DayMonth,
        (1 | 2, Some(b'/' | b'.' | b'-')) => likely_numbers(cursor, next),
        (9.., _) => Kind::Epoch,
        _ => return None,
    })
}

/// The form of a date of numbers, judged by its separator and the digits of the third number.
fn likely_numbers(mut cursor: Cursor<'_>, separator: Option<u8>) -> Kind {
    let separator = separator.unwrap_or_default();
    let mut digits_after = || {
        cursor.short()?;
        cursor.skip(separator).then_some(())?;
        cursor.short()?;
        cursor.skip(separator).then_some(())?;
        Some(cursor.count_digits())
    };
    match (separator, digits_after()) {
        (b'.', _) => Kind::Dotted,
        (_, Some(2)) => Kind::Short,
        (b'-', None) => Kind::Logcat,
        _ => Kind::Numeric,
    }
}

fn likely_word(cursor: Cursor<'_>, first: u8) -> Option<Kind> {
    if matches!(first, b'I' | b'W' | b'E' | b'F' | b'D' | b'V')
        && cursor.peek_at(1).is_some_and(|byte| byte.is_ascii_digit())
    {
        return Some(Kind::Klog);
    }
    let mut word = cursor;
    if word.month().is_some() {
        return Some(Kind::MonthDay);
    }
    if word.weekday() {
        return Some(Kind::Weekday);
    }
    cursor.rest().starts_with(b"audit(").then_some(Kind::Audit)
}

/// The time in this form at an offset of a line, with its end.
pub fn read(line: &[u8], at: usize, kind: Kind) -> Option<(Written, usize)> {
    let mut cursor = Cursor::new(line, at);
    let written = match kind {
        Kind::Iso => iso(&mut cursor),
        Kind::Slashed => slashed(&mut cursor),
        Kind::MonthDay => month_first(&mut cursor, false),
        Kind::AccessLog => access_log(&mut cursor),
        Kind::Weekday => weekday(&mut cursor),
        Kind::DayMonth => day_month(&mut cursor),
        Kind::Numeric | Kind::Short | Kind::Dotted | Kind::Logcat => numbers(&mut cursor, kind),
        Kind::Compact => compact(&mut cursor),
        Kind::CompactShort => compact_short(&mut cursor),
        Kind::Klog => klog(&mut cursor),
        Kind::Audit => audit(&mut cursor),
        Kind::Epoch => epoch(&mut cursor, LEAST_EPOCH).map(Written::epoch),
        Kind::Clock => cursor
            .clock(b':')
            .or_else(|| cursor.kitchen_clock())
            .map(|clock| with(Date::Missing, clock, cursor.offset())),
    }?;
    cursor.ends().then_some((written, cursor.at))
}

fn with(date: Date, clock: Clock, offset: Offset) -> Written {
    Written {
        date,
        hour: clock.hour,
        minute: clock.minute,
        second: clock.second,
        nanos: clock.nanos,
        offset,
    }
}

/// Reads what follows a date: the time of day and an offset.
fn finish(cursor: &mut Cursor<'_>, date: Date) -> Option<Written> {
    let clock = cursor.clock(b':')?;
    Some(with(date, clock, cursor.offset()))
}

fn iso(cursor: &mut Cursor<'_>) -> Option<Written> {
    let year = cursor.year()?;
    let separator = cursor.skip_any(b"-.: ")?;
    let month = match cursor.month() {
        Some(month) => {
            cursor.skip_any(b"- .:")?;
            cursor.skip(b' ');
            month
        }
        None if separator != b' ' => {
            let month = cursor.short()?;
            cursor.skip(separator).then_some(())?;
            month
        }
        None => return None,
    };
    let day = cursor.short()?;
    let between = cursor.skip_any(b"Tt _-:,\t")?;
    if between == b',' || between == b' ' {
        cursor.skip_spaces();
    }
    let date = Date::Full(year, month, day);
    let clock = match cursor.clock(b':') {
        Some(clock) => clock,
        // IBM writes `2006-01-02-15.04.05.000678`.
        None if between == b'-' => cursor.clock(b'.')?,
        None => return None,
    };
    Some(with(date, clock, cursor.offset()))
}

fn slashed(cursor: &mut Cursor<'_>) -> Option<Written> {
    let year = cursor.year()?;
    cursor.skip(b'/').then_some(())?;
    let month = cursor.short()?;
    cursor.skip(b'/').then_some(())?;
    let day = cursor.short()?;
    between(cursor)?;
    finish(cursor, Date::Full(year, month, day))
}

/// Skips what may separate a date from a time of day.
fn between(cursor: &mut Cursor<'_>) -> Option<()> {
    let byte = cursor.skip_any(b" T-:,_")?;
    if matches!(byte, b' ' | b',') {
        cursor.skip_spaces();
        // As Gin does.
        if cursor.rest().starts_with(b"- ") {
            cursor.at += 2;
        }
    }
    Some(())
}

/// The year after a time of day, which must be a separate word.
fn year_after(cursor: &mut Cursor<'_>) -> Option<i16> {
    let mut after = *cursor;
    after.skip_spaces().then_some(())?;
    let year = after.year()?;
    let is_word = matches!(
        after.peek(),
        None | Some(b' ' | b'\t' | b']' | b')' | b',' | b'|' | b'"')
    );
    (is_word && (1970..=2199).contains(&year)).then_some(())?;
    *cursor = after;
    Some(year)
}

fn dated(year: Option<i16>, month: u8, day: u8) -> Date {
    match year {
        Some(year) => Date::Full(year, month, day),
        None => Date::MonthDay(month, day),
    }
}

/// `Jan  2 15:04:05`, `Jan 02 2006 15:04:05`, `Jan 2, 2006 3:04:05 PM`, `Jan  2 15:04:05 CET 2006`.
fn month_first(cursor: &mut Cursor<'_>, after_weekday: bool) -> Option<Written> {
    let month = cursor.month()?;
    (cursor.skip_spaces() || cursor.skip(b'-')).then_some(())?;
    let day = cursor.short()?;
    let comma = cursor.skip(b',');
    (cursor.skip_spaces() || comma || cursor.skip(b'-')).then_some(())?;
    let mut year = None;
    if cursor.count_digits() == 4 {
        year = Some(cursor.year()?);
        between(cursor)?;
        if cursor.rest().starts_with(b"at ") {
            cursor.at += 3;
        }
    }
    let clock = cursor.clock(b':')?;
    let mut offset = cursor.offset();
    if year.is_none() {
        if offset == Offset::Missing {
            // Only a zone can be between a time of day and a year.
            let mut zoned = *cursor;
            let zone = zoned.skip_spaces().then(|| zoned.zone_name(true)).flatten();
            let year = year_after(&mut zoned);
            if let (Some(zone), Some(year)) = (zone, year) {
                *cursor = zoned;
                return Some(with(dated(Some(year), month, day), clock, zone));
            }
        }
        year = year_after(cursor);
        if year.is_some() && offset == Offset::Missing && after_weekday {
            offset = cursor.offset();
        }
    }
    Some(with(dated(year, month, day), clock, offset))
}

fn weekday(cursor: &mut Cursor<'_>) -> Option<Written> {
    cursor.weekday().then_some(())?;
    let comma = cursor.skip(b',');
    (cursor.skip_spaces() || comma).then_some(())?;
    if cursor.peek()?.is_ascii_digit() {
        day_month(cursor)
    } else {
        month_first(cursor, true)
    }
}

fn access_log(cursor: &mut Cursor<'_>) -> Option<Written> {
    let day = cursor.short()?;
    cursor.skip(b'/').then_some(())?;
    let month = cursor.month()?;
    cursor.skip(b'/').then_some(())?;
    let year = cursor.year()?;
    between(cursor)?;
    finish(cursor, Date::Full(year, month, day))
}

/// `02-Jan-2006 15:04:05`, `02 Jan 2006 15:04:05`, `02 Jan 15:04:05`, `02-Jan-06 15:04:05`.
fn day_month(cursor: &mut Cursor<'_>) -> Option<Written> {
    let day = cursor.short()?;
    let separator = cursor.skip_any(b"- ")?;
    let month = cursor.month()?;
    cursor.skip(b',');
    let mut year = None;
    let mut dated_cursor = *cursor;
    if dated_cursor.skip(separator) {
        year = match dated_cursor.count_digits() {
            4 => dated_cursor.year(),
            2 if dated_cursor.peek_at(2) == Some(b' ') => dated_cursor.two().map(century),
            _ => None,
        };
    }
    if year.is_some() {
        *cursor = dated_cursor;
    }
    if year.is_some() && cursor.rest().starts_with(b"::") {
        cursor.at += 2;
    } else {
        between(cursor)?;
    }
    let clock = cursor.clock(b':')?;
    let offset = cursor.offset();
    let year = year.or_else(|| year_after(cursor));
    Some(with(dated(year, month, day), clock, offset))
}

/// The year for its last two digits.
pub fn century(year: u8) -> i16 {
    let year = i16::from(year);
    if year < 70 { 2000 + year } else { 1900 + year }
}

/// Dates of numbers with two digits, and maybe a year with four.
fn numbers(cursor: &mut Cursor<'_>, kind: Kind) -> Option<Written> {
    let first = cursor.short()?;
    let separator = cursor.skip_any(b"/.-")?;
    let second = cursor.short()?;
    let mut date = match separator {
        // Android.
        b'-' => Date::MonthDay(first, second),
        _ => Date::Unordered(first, second, None),
    };
    let mut third = *cursor;
    if third.skip(separator) {
        match third.count_digits() {
            4 => {
                let year = third.year()?;
                date = match separator {
                    b'.' => Date::Full(year, second, first),
                    _ => Date::Unordered(first, second, Some(year)),
                };
                *cursor = third;
            }
            2 if third.peek_at(2) != Some(b':') => {
                let year = third.two()?;
                date = match separator {
                    b'.' => Date::Full(century(year), second, first),
                    _ => Date::Short(first, second, year),
                };
                *cursor = third;
            }
            _ => {}
        }
    }
    // Keep the forms distinct, so that a line in another form does not match.
    let is_kind = match (kind, date) {
        (Kind::Short, Date::Short(..))
        | (Kind::Logcat, Date::MonthDay(..))
        | (Kind::Numeric, Date::Unordered(..)) => true,
        (Kind::Dotted, _) => separator == b'.',
        _ => false,
    };
    is_kind.then_some(())?;
    // Only Snort and Suricata have a dash here, and they write the month first.
    if let (b'/', Some(b'-'), Date::Unordered(month, day, year)) = (separator, cursor.peek(), date)
    {
        date = dated(year, month, day);
    }
    between(cursor)?;
    finish(cursor, date)
}

/// `20060102T150405Z`, `20060102 15:04:05`, `20171223-22:15:29:606`.
fn compact(cursor: &mut Cursor<'_>) -> Option<Written> {
    let year = cursor.digits(4)? as i16;
    let (month, day) = (cursor.two()?, cursor.two()?);
    let between = cursor.skip_any(b"T -_:.")?;
    let date = Date::Full(year, month, day);
    if cursor.count_digits() == 6 {
        let (hour, minute) = (cursor.two()?, cursor.two()?);
        let clock = cursor.clock_rest(hour, minute)?;
        return Some(with(date, clock, cursor.offset()));
    }
    if between == b'-'
        && let Some(clock) = cursor.unpadded_clock()
    {
        return Some(with(date, clock, Offset::Missing));
    }
    finish(cursor, date)
}

/// `081109 203615`, `060516 22:38:46`, `060516  6:38:46`.
fn compact_short(cursor: &mut Cursor<'_>) -> Option<Written> {
    let (year, month, day) = (cursor.two()?, cursor.two()?, cursor.two()?);
    cursor.skip_spaces().then_some(())?;
    let date = Date::Full(century(year), month, day);
    if cursor.count_digits() == 6 {
        let (hour, minute) = (cursor.two()?, cursor.two()?);
        let clock = cursor.clock_rest(hour, minute)?;
        return Some(with(date, clock, Offset::Missing));
    }
    let clock = cursor.clock(b':')?;
    Some(with(date, clock, Offset::Missing))
}

/// `I0102 15:04:05.123456` and, of newer versions, `I20060102 15:04:05.123456`.
fn klog(cursor: &mut Cursor<'_>) -> Option<Written> {
    cursor.at += 1;
    let year = match cursor.count_digits() {
        4 => None,
        8 => Some(cursor.digits(4)? as i16),
        _ => return None,
    };
    let (month, day) = (cursor.two()?, cursor.two()?);
    cursor.skip_spaces().then_some(())?;
    let clock = cursor.clock(b':')?;
    Some(with(dated(year, month, day), clock, Offset::Missing))
}

fn audit(cursor: &mut Cursor<'_>) -> Option<Written> {
    cursor.rest().starts_with(b"audit(").then_some(())?;
    cursor.at += 6;
    let mut whole = *cursor;
    let digits = whole.count_digits();
    whole.at += digits;
    // It has a fraction, and its number follows after a colon.
    let mut end = whole;
    end.skip(b'.').then_some(())?;
    end.at += end.count_digits();
    (end.peek() == Some(b':')).then_some(())?;
    let ns = epoch_number(cursor, LEAST_EPOCH)?;
    Some(Written::epoch(ns))
}

/// An epoch number that is a separate word, of at least `least` in its unit.
pub fn epoch(cursor: &mut Cursor<'_>, least: u64) -> Option<i64> {
    let mut whole = *cursor;
    let mut ns = epoch_number(cursor, least)?;
    // Webmin's `1690466804.217960.0` is the second, a process and a counter.
    if cursor.skip(b'.') {
        let counter = cursor.count_digits();
        (counter > 0 && whole.count_digits() == 10).then_some(())?;
        cursor.at += counter;
        ns = i64::from(whole.digits(10)?) * 1_000_000_000;
    }
    let ends = matches!(
        cursor.peek(),
        None | Some(b' ' | b'\t' | b'\r' | b'\n' | b']' | b')' | b',' | b'|' | b'"' | b'}')
    ) || cursor.rest().starts_with(b": ");
    ends.then_some(ns)
}

/// Reads an epoch number, whose size shows its unit: below 10¹¹ seconds, below 10¹⁴ milliseconds, below
/// 10¹⁷ microseconds, else nanoseconds, which is right for every time from 1973 to 5138.
pub fn epoch_number(cursor: &mut Cursor<'_>, least: u64) -> Option<i64> {
    let count = cursor.count_digits();
    if count > 19 {
        return None;
    }
    let number = |digits: &[u8]| {
        let digits = digits.iter().map(|digit| u64::from(digit - b'0'));
        digits.fold(0, |number, digit| number * 10 + digit)
    };
    let whole = number(&cursor.rest()[..count]);
    let unit: i64 = match whole {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    (whole >= least).then_some(())?;
    let mut ns = i64::try_from(whole).ok()?.checked_mul(unit)?;
    let mut end = *cursor;
    end.at += count;
    if end.skip(b'.') {
        let fraction = end.rest().iter().take_while(|byte| byte.is_ascii_digit());
        let mut worth = unit;
        let mut digits = 0;
        for digit in fraction {
            worth /= 10;
            ns = ns.checked_add(worth * i64::from(digit - b'0'))?;
            digits += 1;
        }
        (digits > 0).then_some(())?;
        end.at += digits;
    }
    *cursor = end;
    Some(ns)
}
