//! Times as they are written in logs, and as we write them.
//!
//! Knows RFC 3339 and HTTP's dates (through jiff) and epoch numbers. Knows no clock and no time zone but those
//! written down: a time without an offset is taken as UTC, because a shipper that guessed its own
//! zone would read the same file differently on two hosts.

use jiff::Timestamp;
use jiff::fmt::temporal::{DateTimeParser, DateTimePrinter};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Epoch numbers below this (March 1973 in seconds) are counters, ports or status codes, not times.
const LEAST_EPOCH: u64 = 100_000_000;

/// The time that `text` writes, all of it, in nanoseconds since the epoch.
///
/// Read are RFC 3339 (`2024-01-02T03:04:05.678+05:30`) and an epoch number in seconds,
/// milliseconds, microseconds or nanoseconds, with or without a fraction.
///
/// - In RFC 3339 a space, `t` or `_` may stand for `T`, a comma for the point, `+0530` and `+05`
///   for `+05:30`, and a space before a numeric offset; without an offset it is UTC. Digits beyond
///   nanoseconds are cut. A leap second is the second before it.
/// - The size of an epoch number tells its unit: below 10¹¹ seconds, below 10¹⁴ milliseconds, below
///   10¹⁷ microseconds, else nanoseconds, which is right for every time from 1973 to 5138. Smaller
///   numbers than 10⁸ are no times.
///
/// `None` for everything else, negative epoch numbers among it, and for times outside of what an
/// `i64` of nanoseconds holds (1677 to 2262), with some room at its ends.
#[must_use]
pub fn from_value(text: &str) -> Option<i64> {
    let text = text.trim_ascii().as_bytes();
    let (time, end) = read(text)?;
    (end == text.len()).then_some(time)
}

/// The time that begins the line, in nanoseconds since the epoch, and where it ends (the offset of
/// the first byte behind it).
///
/// The forms are those of [`from_value`]. The time may stand in square brackets; if the bracket
/// closes right behind it, the end is behind the bracket. An epoch number must be followed by white
/// space, that bracket or the end of the line; RFC 3339 must not run on into a letter or digit.
#[must_use]
pub fn prefix(line: &str) -> Option<(i64, usize)> {
    let bytes = line.as_bytes();
    let open = usize::from(bytes.first() == Some(&b'['));
    let (time, length) = read(&bytes[open..])?;
    let end = open + length;
    let closed = open == 1 && bytes.get(end) == Some(&b']');
    Some((time, end + usize::from(closed)))
}

/// The forms of a date in HTTP (RFC 9110): the usual one, that of RFC 850, and that of C's asctime.
const DATES: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// The time in an HTTP header, in nanoseconds since the epoch.
pub fn from_http_date(text: &str) -> Option<i64> {
    let read = |form| {
        jiff::fmt::strtime::parse(form, text.trim())
            .ok()?
            .to_datetime()
            .ok()
    };
    let date = DATES.into_iter().find_map(read)?;
    let time = jiff::tz::Offset::UTC.to_timestamp(date).ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Appends `ns` nanoseconds since the epoch as RFC 3339 in UTC, always with nine digits of
/// fraction: `2024-01-02T03:04:05.000000006Z`.
pub fn format_rfc3339(ns: i64, out: &mut String) {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(9));
    // Neither step can fail: jiff's range contains that of an `i64` of nanoseconds, and a `String`
    // takes every write.
    if let Ok(time) = Timestamp::from_nanosecond(i128::from(ns)) {
        let _ = PRINTER.print_timestamp(&time, out);
    }
}

/// How near to the ends of an `i64` a time may come: equal entries are moved on from it, and the
/// least number stands for no time.
const MARGIN: i64 = 1 << 40;

/// The time at the start of `text` and its length.
fn read(text: &[u8]) -> Option<(i64, usize)> {
    // `YYYY-` tells the two forms apart: no epoch number has so few digits before a dash.
    let found = if text.get(4) == Some(&b'-') {
        read_rfc3339(text)
    } else {
        read_epoch(text)
    };
    found.filter(|(time, _)| (i64::MIN + MARGIN..=i64::MAX - MARGIN).contains(time))
}

/// The longest text handed to jiff: `YYYY-MM-DDTHH:MM:SS.nnnnnnnnn+HH:MM:SS`, and some.
const CANDIDATE: usize = 48;

fn read_rfc3339(text: &[u8]) -> Option<(i64, usize)> {
    const PARSER: DateTimeParser = DateTimeParser::new();
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:dd";
    let stem = text.get(..SHAPE.len())?;
    let fits = stem.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' ' | b'_'),
        exact => byte == exact,
    });
    if !fits {
        return None;
    }

    // Written anew in the one spelling that is RFC 3339's own, and given to jiff.
    let mut candidate = Candidate::new();
    candidate.push(&stem[..10]);
    candidate.push(b"T");
    candidate.push(&stem[11..]);

    let mut end = SHAPE.len();
    if matches!(text.get(end), Some(b'.' | b',')) {
        let digits = count_digits(&text[end + 1..]);
        if digits > 0 {
            candidate.push(b".");
            candidate.push(&text[end + 1..end + 1 + digits.min(9)]);
            end += 1 + digits;
        }
    }
    if let Some(([sign, h1, h2, m1, m2], length)) = read_offset(&text[end..]) {
        candidate.push(&[sign, h1, h2, b':', m1, m2]);
        end += length;
    } else {
        end += usize::from(matches!(text.get(end), Some(b'Z' | b'z')));
        candidate.push(b"Z");
    }
    if text.get(end).is_some_and(u8::is_ascii_alphanumeric) {
        return None;
    }
    let time = PARSER.parse_timestamp(candidate.bytes()).ok()?;
    Some((i64::try_from(time.as_nanosecond()).ok()?, end))
}

/// A numeric offset at the start of `text` as sign, two digits of hours and two of minutes, and its
/// length in `text`.
fn read_offset(text: &[u8]) -> Option<([u8; 5], usize)> {
    // ` +0200` is how Ruby and Go print one. Behind a space only the long forms count:
    // ` -5` or ` +12` may be the first word of the message.
    let space = usize::from(text.first() == Some(&b' '));
    let text = &text[space..];
    let sign = *text.first().filter(|byte| matches!(byte, b'+' | b'-'))?;
    let digit = |at: usize| text.get(at).copied().filter(u8::is_ascii_digit);
    let (h1, h2) = (digit(1)?, digit(2)?);
    let colon = usize::from(text.get(3) == Some(&b':'));
    let minutes = digit(3 + colon).zip(digit(4 + colon));
    let (m1, m2, length) = match minutes {
        Some((m1, m2)) => (m1, m2, 5 + colon),
        None if space == 1 => return None,
        None => (b'0', b'0', 3),
    };
    let runs_on = text.get(length).is_some_and(u8::is_ascii_alphanumeric);
    if runs_on && space == 1 {
        return None;
    }
    Some(([sign, h1, h2, m1, m2], space + length))
}

fn read_epoch(text: &[u8]) -> Option<(i64, usize)> {
    let digits = count_digits(text);
    if digits > 19 {
        return None;
    }
    let whole = decimal(&text[..digits]);
    let unit = if whole < LEAST_EPOCH {
        return None;
    } else if whole < 100_000_000_000 {
        NANOS_PER_SECOND
    } else if whole < 100_000_000_000_000 {
        1_000_000
    } else if whole < 100_000_000_000_000_000 {
        1_000
    } else {
        1
    };
    let mut end = digits;
    let mut nanos = i64::try_from(whole).ok()?.checked_mul(unit)?;
    if text.get(end) == Some(&b'.') {
        let fraction = count_digits(&text[end + 1..]);
        if fraction == 0 {
            return None;
        }
        let mut worth = unit;
        for digit in &text[end + 1..end + 1 + fraction] {
            worth /= 10;
            nanos = nanos.checked_add(worth * i64::from(digit - b'0'))?;
        }
        end += 1 + fraction;
    }
    let ends = text
        .get(end)
        .is_none_or(|byte| byte.is_ascii_whitespace() || *byte == b']');
    ends.then_some((nanos, end))
}

fn count_digits(text: &[u8]) -> usize {
    text.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The number of at most 19 digits: fits a `u64`.
fn decimal(digits: &[u8]) -> u64 {
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// A short text built on the stack.
struct Candidate {
    bytes: [u8; CANDIDATE],
    length: usize,
}

impl Candidate {
    fn new() -> Self {
        Self {
            bytes: [0; CANDIDATE],
            length: 0,
        }
    }

    fn push(&mut self, part: &[u8]) {
        let end = self.length + part.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(part);
            self.length = end;
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-01-02T03:04:05Z
    const T: i64 = 1_704_164_645_000_000_000;

    fn rfc3339(ns: i64) -> String {
        let mut out = String::new();
        format_rfc3339(ns, &mut out);
        out
    }

    #[test]
    fn rfc3339_in_all_its_spellings() {
        let cases = [
            ("2024-01-02T03:04:05Z", T),
            ("2024-01-02t03:04:05z", T),
            ("2024-01-02 03:04:05Z", T),
            ("2024-01-02_03:04:05Z", T),
            ("2024-01-02T03:04:05", T),
            ("2024-01-02 03:04:05", T),
            ("2024-01-02T08:34:05+05:30", T),
            ("2024-01-02T08:34:05+0530", T),
            ("2024-01-02T08:04:05+05", T),
            ("2024-01-01T22:04:05-05:00", T),
            ("2024-01-02T03:04:05-00:00", T),
            ("2024-01-02 05:04:05 +0200", T),
            ("2024-01-02 05:04:05.5 +02:00", T + 500_000_000),
            ("2024-01-02T03:04:05.6Z", T + 600_000_000),
            ("2024-01-02 03:04:05,678", T + 678_000_000),
            ("2024-01-02T03:04:05.000000006Z", T + 6),
            ("2024-01-02T03:04:05.0000000069999Z", T + 6),
            ("  2024-01-02T03:04:05Z\t", T),
            ("1970-01-01T00:00:00Z", 0),
            ("1969-12-31T23:59:59.999999999Z", -1),
        ];
        for (text, ns) in cases {
            assert_eq!(from_value(text), Some(ns), "{text}");
        }
    }

    #[test]
    fn a_leap_second_is_the_second_before_it() {
        let leap = from_value("2016-12-31T23:59:60Z").map(rfc3339);
        assert_eq!(leap.as_deref(), Some("2016-12-31T23:59:59.000000000Z"));
        let leap = from_value("2016-12-31 23:59:60.5").map(rfc3339);
        assert!(leap.is_some_and(|time| time.starts_with("2016-12-31T23:59:59")));
    }

    #[test]
    fn the_ends_of_the_range() {
        assert!(from_value("2262-04-11T23:28:57Z").is_some());
        assert_eq!(from_value("2262-04-11T23:28:58Z"), None);
        assert_eq!(from_value("2262-04-11T23:47:16.854775807Z"), None);
        assert_eq!(from_value("2262-04-11T23:47:16.854775808Z"), None);
        assert_eq!(from_value("2263-01-01T00:00:00Z"), None);
        assert!(from_value("1677-09-21T00:31:03Z").is_some());
        assert_eq!(from_value("1677-09-21T00:12:43.145224192Z"), None);
        assert_eq!(from_value("1677-09-21T00:12:43.145224191Z"), None);
        assert_eq!(from_value("0000-01-01T00:00:00Z"), None);
        assert_eq!(from_value("9999-12-31T23:59:59Z"), None);
        let latest = i64::MAX - MARGIN;
        assert_eq!(from_value(&latest.to_string()), Some(latest));
        assert_eq!(from_value(&(latest + 1).to_string()), None);
        assert_eq!(from_value("9223372036854775807"), None);
        assert_eq!(from_value("9223372036854775808"), None);
        assert_eq!(from_value("9223370000"), Some(9_223_370_000_000_000_000));
        assert_eq!(from_value("9223372037"), None);
    }

    #[test]
    fn what_is_no_time() {
        let cases = [
            "",
            "x",
            "-",
            "2024",
            "2024-01-02",
            "2024-01-02T03:04",
            "2024-13-02T03:04:05Z",
            "2024-02-30T03:04:05Z",
            "2024-01-02T24:04:05Z",
            "2024-01-02T03:04:61Z",
            "2024-01-02T03:04:05+25:61",
            "2024-01-02T03:04:05Zulu",
            "2024-01-02T03:04:05.Z",
            "2024-01-02T03:04:05Z[Europe/Berlin]",
            "2024-01-02T03:04:05 UTC",
            "2024/01/02 03:04:05",
            "-1700000000",
            "+1700000000",
            "1700000000.",
            "1700000000s",
            "1.7e9",
            "200",
            "99999999",
            "17000000000000000000000",
            "٢٠٢٤-٠١-٠٢T٠٣:٠٤:٠٥Z",
            "2024-01-02é03:04:05Z",
        ];
        for text in cases {
            assert_eq!(from_value(text), None, "{text}");
        }
    }

    #[test]
    fn epoch_numbers_by_size() {
        let cases = [
            ("1704164645", T),
            ("1704164645000", T),
            ("1704164645000000", T),
            ("1704164645000000000", T),
            ("1704164645.123", T + 123_000_000),
            ("1704164645.123456789", T + 123_456_789),
            ("1704164645.1234567899", T + 123_456_789),
            ("1704164645123.4", T + 123_400_000),
            ("1704164645123456.7", T + 123_456_700),
            ("1704164645123456789.9", T + 123_456_789),
            ("100000000", 100_000_000_000_000_000),
        ];
        for (text, ns) in cases {
            assert_eq!(from_value(text), Some(ns), "{text}");
        }
    }

    #[test]
    fn a_time_that_begins_the_line() {
        let cases = [
            ("2024-01-02T03:04:05Z hello", 20),
            ("2024-01-02 03:04:05,000 - name - INFO", 23),
            ("2024-01-02T03:04:05Z", 20),
            ("2024-01-02T03:04:05Z: hello", 20),
            ("2024-01-02T03:04:05Z|INFO|x", 20),
            ("[2024-01-02T03:04:05Z] hello", 22),
            ("[2024-01-02T03:04:05Z INFO  x] hello", 21),
            ("[2024-01-02 03:04:05,000] INFO", 25),
            ("2024-01-02 03:04:05 UTC [1] LOG:  x", 19),
            ("2024-01-02 05:04:05 +0200 x", 25),
            ("2024-01-02 03:04:05 -5 degrees", 19),
            ("2024-01-02 03:04:05 +12 points", 19),
            ("2024-01-02 03:04:05 -1234x", 19),
            ("2024-01-02T03:04:05. Then", 19),
            ("1704164645 hello", 10),
            ("1704164645.000 hello", 14),
            ("1704164645000\thello", 13),
            ("1704164645", 10),
            ("[1704164645] SERVICE ALERT", 12),
        ];
        for (line, end) in cases {
            assert_eq!(prefix(line), Some((T, end)), "{line}");
        }
        let none = [
            "",
            "[",
            "hello",
            " 2024-01-02T03:04:05Z",
            "1704164645: x",
            "1704164645x",
            "200 OK",
            "2024-01-02T03:04:05Zebra",
            "[é",
            "2024-01-02é",
        ];
        for line in none {
            assert_eq!(prefix(line), None, "{line}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(rfc3339(T + 6), "2024-01-02T03:04:05.000000006Z");
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(i64::MAX), "2262-04-11T23:47:16.854775807Z");
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..2_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let ns = state.cast_signed();
            assert_eq!(from_value(&rfc3339(ns)), Some(ns));
        }
    }

    #[test]
    fn any_text_is_taken() {
        let alphabet = [
            '2', '0', '1', '-', ':', 'T', ' ', '.', ',', '+', 'Z', '[', ']', 'é', '\0', '9',
        ];
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % bound as u64).expect("below a usize")
        };
        for _ in 0..20_000 {
            let mut line: Vec<char> = "[2024-01-02T03:04:05.123456789+05:30] x".chars().collect();
            for _ in 0..3 {
                let at = random(line.len());
                line[at] = alphabet[random(alphabet.len())];
            }
            line.truncate(random(line.len() + 1));
            let line: String = line.into_iter().collect();
            let _ = from_value(&line);
            if let Some((_, end)) = prefix(&line) {
                assert!(line.is_char_boundary(end));
            }
        }
    }
}
