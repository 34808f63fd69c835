//! Lines that show their level by a shape of their own: syslog's priority, Redis's sign, a letter.
//!
//! Knows these shapes, each read from the start of the text. Must not know level words elsewhere.

use super::Level;
use super::words::lookup;

/// A syslog priority (RFC 5424, section 6.2.1; RFC 3164), as sd-daemon writes one too: `<11>`.
pub(super) fn priority(text: &[u8]) -> Option<Level> {
    let end = text.iter().take(5).position(|byte| *byte == b'>')?;
    let digits = &text[1..end];
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let priority = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u16::from(digit - b'0'));
    let severity = u8::try_from(priority & 7).ok()?;
    (priority <= 191).then(|| Level::from_syslog(severity))
}

pub(super) fn is_json_start(text: &[u8]) -> bool {
    let next = text[1..].iter().find(|byte| !byte.is_ascii_whitespace());
    next.is_none_or(|byte| matches!(byte, b'"' | b'}'))
}

/// `1:M 01 Jan 2024 00:00:00.000 # Warning: …`: process, role, time, and a sign for the level.
pub(super) fn redis(text: &[u8]) -> Option<Level> {
    let colon = text
        .iter()
        .take(8)
        .position(|byte| !byte.is_ascii_digit())?;
    let sign = match text.get(colon..colon + 30)? {
        [
            b':',
            b'X' | b'C' | b'S' | b'M',
            b' ',
            time @ ..,
            b' ',
            sign,
            b' ',
        ] if time[2] == b' ' && time[6] == b' ' && time[14] == b':' && time[20] == b'.' => sign,
        _ => return None,
    };
    match sign {
        b'.' | b'-' => Some(Level::Debug),
        b'*' => Some(Level::Info),
        b'#' => Some(Level::Warn),
        _ => None,
    }
}

/// `=ERROR REPORT==== 2-Jan-2024::03:04:05 ===`
pub(super) fn erlang(text: &[u8]) -> Option<Level> {
    let end = 1 + text[1..].iter().position(|byte| *byte == b' ')?;
    text[end..]
        .starts_with(b" REPORT====")
        .then(|| lookup(&text[1..end]))?
        .map(|(level, _)| level)
}

/// `[I 240102 03:04:05 web:2271] …` of Tornado and Jupyter.
pub(super) fn tornado(text: &[u8]) -> Option<Level> {
    match text {
        [
            _,
            letter @ (b'D' | b'I' | b'W' | b'E' | b'C'),
            b' ',
            b'0'..=b'9',
            ..,
        ] => Level::from_letter(*letter),
        _ => None,
    }
}

/// `E, [2024-01-02T03:04:05.678901 #1234] ERROR -- : …`
pub(super) fn ruby(text: &[u8]) -> Option<Level> {
    match text {
        [
            letter @ (b'D' | b'I' | b'W' | b'E' | b'F'),
            b',',
            b' ',
            b'[',
            b'0'..=b'9',
            ..,
        ] => Level::from_letter(*letter),
        _ => None,
    }
}

/// `E0102 …`, glog's letter and date without a time; gives the letter's level if `text` begins so.
pub(super) fn glog_date(text: &[u8]) -> Option<Level> {
    match text {
        [letter @ (b'I' | b'W' | b'E' | b'F'), m, n, d, e, b' ', ..]
            if [m, n, d, e].iter().all(|byte| byte.is_ascii_digit()) =>
        {
            let number = |tens: u8, ones: u8| (tens - b'0') * 10 + ones - b'0';
            let date = (1..=12).contains(&number(*m, *n)) && (1..=31).contains(&number(*d, *e));
            date.then(|| Level::from_letter(*letter)).flatten()
        }
        _ => None,
    }
}

/// `E0102 15:04:05.678901       1 file.go:12] …` of glog and klog; gives the letter's level if
/// `text` begins so.
pub(super) fn glog(text: &[u8]) -> Option<Level> {
    match text {
        [letter @ (b'I' | b'W' | b'E' | b'F'), rest @ ..]
            if rest.get(..4)?.iter().all(u8::is_ascii_digit)
                && rest.get(4) == Some(&b' ')
                && rest.get(7) == Some(&b':')
                && rest.get(10) == Some(&b':') =>
        {
            Level::from_letter(*letter)
        }
        _ => None,
    }
}
