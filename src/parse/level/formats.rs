//! Log formats that mark the level with a letter, sign or number: syslog, Redis, glog, logcat and
//! others.
//!
//! Each is matched from the start of the text. Rare formats are `inline(never)` to keep them out of
//! the code that every line runs through.

use crate::parse::level::Level;
use crate::parse::level::words::lookup;

/// The level of a syslog priority such as `<11>` (RFC 5424, section 6.2.1; RFC 3164), which
/// sd-daemon uses too.
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

/// Redis: `1:M 01 Jan 2024 00:00:00.000 # Warning: …`, that is process, role, time, and a sign for
/// the level.
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

/// Erlang: `=ERROR REPORT==== 2-Jan-2024::03:04:05 ===`. OTP's own report types map to the levels
/// it logs them at.
pub(super) fn erlang(text: &[u8]) -> Option<Level> {
    let end = 1 + text[1..].iter().position(|byte| *byte == b' ')?;
    if !text[end..].starts_with(b" REPORT====") {
        return None;
    }
    match &text[1..end] {
        b"CRASH" | b"SUPERVISOR" => Some(Level::Error),
        b"PROGRESS" => Some(Level::Info),
        word => lookup(word).map(|(level, _)| level),
    }
}

/// Tornado and Jupyter: `[I 240102 03:04:05 web:2271] …`, and `[E] …`.
pub(super) fn letter_in_brackets(text: &[u8]) -> Option<Level> {
    match text {
        [
            _,
            letter @ (b'D' | b'I' | b'W' | b'E' | b'C'),
            b' ',
            b'0'..=b'9',
            ..,
        ]
        | [_, letter @ (b'D' | b'I' | b'W' | b'E'), b']', b' ', ..] => Level::from_letter(*letter),
        _ => None,
    }
}

/// Android's logcat: `05-01 10:00:00.123  123  456 W Tag: …` (threadtime) and `05-01 10:00:00.123
/// W/Tag( 123): …` (time).
#[inline(never)]
pub(super) fn logcat(text: &[u8]) -> Option<Level> {
    /// The user (in newer versions), process and thread.
    const NUMBERS: usize = 3;
    let (time, mut rest) = text.split_at_checked("05-01 10:00:00.123".len())?;
    let at = |at: usize| time[at];
    if [at(2), at(5), at(8), at(11), at(14)] != *b"- ::." {
        return None;
    }
    let mut numbers = 0;
    loop {
        rest = rest.trim_ascii_start();
        let digits = run(rest, u8::is_ascii_digit);
        if digits == 0 || numbers == NUMBERS {
            break;
        }
        numbers += 1;
        rest = &rest[digits..];
    }
    match rest {
        [letter, b' ', ..] if numbers >= 2 => android(*letter),
        [_, b'/', ..] if numbers == 0 => logcat_brief(rest),
        _ => None,
    }
}

/// Android's logcat without a time: `E/Tag( 123): …`.
pub(super) fn logcat_brief(text: &[u8]) -> Option<Level> {
    let [letter, b'/', tag @ ..] = text else {
        return None;
    };
    let open = tag.iter().position(|byte| *byte == b'(')?;
    let process = tag[open + 1..].trim_ascii_start();
    let digits = run(process, u8::is_ascii_digit);
    (digits > 0 && process[digits..].starts_with(b"):")).then(|| android(*letter))?
}

/// The level of an Android letter; Android's verbose is below debug.
fn android(letter: u8) -> Option<Level> {
    match letter {
        b'V' => Some(Level::Trace),
        b'D' | b'I' | b'W' | b'E' | b'F' => Level::from_letter(letter),
        _ => None,
    }
}

/// Ruby's logger: `E, [2024-01-02T03:04:05.678901 #1234] ERROR -- : …`.
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

/// ESXi: `In(14) hostd[1]: …`, two letters for the severity and the matching syslog priority.
#[inline(never)]
pub(super) fn esxi(text: &[u8]) -> Option<Level> {
    const SEVERITIES: [&[u8]; 8] = [b"Em", b"Al", b"Cr", b"Er", b"Wa", b"No", b"In", b"Db"];
    let (letters, rest) = text.split_at_checked(2)?;
    let severity = SEVERITIES.iter().position(|word| *word == letters)?;
    let digits = run(rest.strip_prefix(b"(")?, u8::is_ascii_digit);
    let closes = (1..=3).contains(&digits) && rest.get(1 + digits) == Some(&b')');
    let priority = rest[1..=digits]
        .iter()
        .fold(0, |number, digit| number * 10 + usize::from(digit - b'0'));
    let severity = u8::try_from(severity).ok()?;
    (closes && priority & 7 == usize::from(severity)).then(|| Level::from_syslog(severity))
}

/// glog without a time: `E0102 …`. Returns the level of the letter if `text` starts this way.
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

/// glog and klog: `E0102 15:04:05.678901       1 file.go:12] …`, in newer versions with the year
/// (`E20240102`, `E240102` in CockroachDB). Returns the level of the letter if `text` starts this
/// way.
pub(super) fn glog(text: &[u8]) -> Option<Level> {
    match text {
        [letter @ (b'I' | b'W' | b'E' | b'F'), rest @ ..] => {
            let digits = run(rest, u8::is_ascii_digit);
            let is_time = matches!(digits, 4 | 6 | 8)
                && matches!(rest[digits..], [b' ', _, _, b':', _, _, b':', ..]);
            is_time.then(|| Level::from_letter(*letter)).flatten()
        }
        _ => None,
    }
}

/// A single letter after the time: `W | etcdserver: …` (older etcd), `E! [inputs.x] …` (Telegraf),
/// `I NETWORK  [listener] …` (older `MongoDB`), `[E] …`; after the time and a colon `: I
/// core/platform/x.cc:182] …` (TensorFlow). `text` starts with the byte before the letter.
#[inline(never)]
pub(super) fn lone_letter(text: &[u8], after_colon: bool) -> Option<Level> {
    let [before, letter, rest @ ..] = text else {
        return None;
    };
    if !matches!(
        letter,
        b'T' | b'D' | b'I' | b'N' | b'W' | b'E' | b'C' | b'F'
    ) {
        return None;
    }
    let is_alone = match (before, rest) {
        (b' ', [b' ', rest @ ..]) if after_colon => {
            let file = &rest[..run(rest, |byte| !matches!(byte, b' ' | b':'))];
            let line = rest.get(file.len() + 1..).unwrap_or_default();
            let digits = run(line, u8::is_ascii_digit);
            digits > 0 && file.contains(&b'.') && line[digits..].starts_with(b"] ")
        }
        _ if after_colon => false,
        (b'[', [b']', b' ', ..]) | (b' ', [b'!', b' ', ..] | [b' ', b'|', b' ', ..]) => true,
        (b' ', [b' ', rest @ ..]) => {
            // `MongoDB`: the component is padded to eight letters and followed by the context in
            // brackets.
            let component = run(rest, |byte| byte.is_ascii_uppercase() || *byte == b'-');
            let blanks = run(&rest[component..], |byte| *byte == b' ');
            component > 0 && blanks > 0 && rest.get(component + blanks) == Some(&b'[')
        }
        _ => false,
    };
    is_alone.then(|| Level::from_letter(*letter)).flatten()
}

/// The number of leading bytes of `text` that match.
pub(super) fn run(text: &[u8], such: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| such(byte)).count()
}
