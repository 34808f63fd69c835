//! Lines that show their level by a shape of their own: syslog's priority, Redis's sign, a letter.
//!
//! Knows these shapes, each read from the start of the text. Must not know level words elsewhere.
//! Those that few lines come to are kept out of the code that all lines go through.

use crate::parse::level::Level;
use crate::parse::level::words::lookup;

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

/// `=ERROR REPORT==== 2-Jan-2024::03:04:05 ===`; of OTP's own reports, the level it logs them at.
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

/// `[I 240102 03:04:05 web:2271] …` of Tornado and Jupyter, and `[E] …`.
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

/// Android's log: `05-01 10:00:00.123  123  456 W Tag: …` (threadtime) and
/// `05-01 10:00:00.123 W/Tag( 123): …` (time).
#[inline(never)]
pub(super) fn logcat(text: &[u8]) -> Option<Level> {
    /// Process and thread, and in newer ones the user before them.
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

/// `E/Tag( 123): …`
pub(super) fn logcat_brief(text: &[u8]) -> Option<Level> {
    let [letter, b'/', tag @ ..] = text else {
        return None;
    };
    let open = tag.iter().position(|byte| *byte == b'(')?;
    let process = tag[open + 1..].trim_ascii_start();
    let digits = run(process, u8::is_ascii_digit);
    (digits > 0 && process[digits..].starts_with(b"):")).then(|| android(*letter))?
}

/// The level of a letter of Android, whose verbose is below debug.
fn android(letter: u8) -> Option<Level> {
    match letter {
        b'V' => Some(Level::Trace),
        b'D' | b'I' | b'W' | b'E' | b'F' => Level::from_letter(letter),
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

/// `In(14) hostd[1]: …` of ESXi, two letters of the severity and the priority it belongs to.
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

/// `E0102 15:04:05.678901       1 file.go:12] …` of glog and klog, or newer with the year before
/// (`E20240102`, `E240102` of CockroachDB); gives the letter's level if `text` begins so.
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

/// A letter alone behind the time: `W | etcdserver: …` of older etcd, `E! [inputs.x] …` of
/// Telegraf, `I NETWORK  [listener] …` of older `MongoDB`, `[E] …`; behind the time and a colon
/// `: I core/platform/x.cc:182] …` of TensorFlow. `text` begins with the byte before it.
#[inline(never)]
pub(super) fn lone_letter(text: &[u8], behind_colon: bool) -> Option<Level> {
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
        (b' ', [b' ', rest @ ..]) if behind_colon => {
            let file = &rest[..run(rest, |byte| !matches!(byte, b' ' | b':'))];
            let line = rest.get(file.len() + 1..).unwrap_or_default();
            let digits = run(line, u8::is_ascii_digit);
            digits > 0 && file.contains(&b'.') && line[digits..].starts_with(b"] ")
        }
        _ if behind_colon => false,
        (b'[', [b']', b' ', ..]) | (b' ', [b'!', b' ', ..] | [b' ', b'|', b' ', ..]) => true,
        (b' ', [b' ', rest @ ..]) => {
            // The component is padded to eight letters, then comes the context in brackets.
            let component = run(rest, |byte| byte.is_ascii_uppercase() || *byte == b'-');
            let blanks = run(&rest[component..], |byte| *byte == b' ');
            component > 0 && blanks > 0 && rest.get(component + blanks) == Some(&b'[')
        }
        _ => false,
    };
    is_alone.then(|| Level::from_letter(*letter)).flatten()
}

/// How many bytes `text` begins with that are such.
pub(super) fn run(text: &[u8], such: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| such(byte)).count()
}
