//! Lines that show their level by a shape of their own: syslog's priority, Redis's sign, a letter,
//! the first words of a tool's complaint.
//!
//! Knows these shapes, each read from the start of the text. Must not know level words elsewhere.
//! Those that few lines come to are kept out of the code that all lines go through.

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

/// Lines in which tools complain, told by how they begin, in capitals: `E: Unable to …` of apt,
/// `Error response from daemon: …`, `CMake Warning at …`, `E/Tag( 123): …`, Ruby's.
#[inline(never)]
pub(super) fn capital(text: &[u8]) -> Option<Level> {
    match text {
        [b'E' | b'W', b':', b' ', ..] => Level::from_letter(text[0]),
        [_, b',', ..] => ruby(text),
        [_, b'/', ..] => logcat_brief(text),
        [b'E', b'r', b'r', b'o', b'r', rest @ ..] => {
            let from_server = rest.starts_with(b" from server") && rest.contains(&b':');
            (from_server || rest.starts_with(b" response from daemon:")).then_some(Level::Error)
        }
        [b'C', b'M', b'a', b'k', b'e', b' ', rest @ ..] => {
            match &rest[..run(rest, u8::is_ascii_alphabetic)] {
                b"Error" => Some(Level::Error),
                b"Warning" | b"Deprecation" => Some(Level::Warn),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The same in lower case: `make: *** [x] Error 1`, `dpkg: error processing …`, `e: file:///…` of
/// kotlinc, `error Command failed` of yarn, `log4j:WARN …`.
#[inline(never)]
pub(super) fn lower(text: &[u8]) -> Option<Level> {
    let starts = |start: &[u8]| text.starts_with(start);
    match text[0] {
        b'e' if starts(b"e: /") || starts(b"e: file:") => Some(Level::Error),
        b'w' if starts(b"w: /") || starts(b"w: file:") => Some(Level::Warn),
        b'e' if starts(b"error ") && is_yarn(&text[6..]) => Some(Level::Error),
        b'w' if starts(b"warning ") && is_yarn(&text[8..]) => Some(Level::Warn),
        b'd' if starts(b"dpkg: error ") => Some(Level::Error),
        b'l' if starts(b"log4j:") => {
            let word = &text[b"log4j:".len()..];
            lookup(&word[..run(word, u8::is_ascii_uppercase)]).map(|(level, _)| level)
        }
        b'm' if starts(b"make") => {
            let rest = &text[b"make".len()..];
            let depth = |byte: &u8| matches!(byte, b'[' | b']' | b'0'..=b'9');
            let depth = run(rest, depth);
            rest[depth..].starts_with(b": *** ").then_some(Level::Error)
        }
        _ => None,
    }
}

/// Whether what stands behind `error ` is what yarn says: a sentence that begins with a capital, or
/// a package (`x@1.2.3`, `package.json: …`). Prose goes on in lower case.
fn is_yarn(text: &[u8]) -> bool {
    let (word, rest) = text.split_at(run(text, |byte| *byte != b' '));
    !rest.is_empty()
        && (word.first().is_some_and(u8::is_ascii_uppercase)
            || word.contains(&b'@')
            || word == b"package.json:")
}

/// `::error file=x.js,line=1::…` of GitHub's workflows.
#[inline(never)]
pub(super) fn workflow(text: &[u8]) -> Option<Level> {
    let word = text.strip_prefix(b"::")?;
    let (word, rest) = word.split_at(run(word, u8::is_ascii_lowercase));
    let closes = matches!(rest, [b' ' | b':', ..]) && rest.windows(2).any(|pair| pair == b"::");
    match word {
        b"error" | b"warning" | b"notice" | b"debug" if closes => {
            lookup(word).map(|(level, _)| level)
        }
        _ => None,
    }
}

/// `E, [2024-01-02T03:04:05.678901 #1234] ERROR -- : …`
fn ruby(text: &[u8]) -> Option<Level> {
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

/// `E0102 15:04:05.678901       1 file.go:12] …` of glog and klog, or newer with the year before
/// (`E20240102`); gives the letter's level if `text` begins so.
pub(super) fn glog(text: &[u8]) -> Option<Level> {
    match text {
        [letter @ (b'I' | b'W' | b'E' | b'F'), rest @ ..] => {
            let digits = run(rest, u8::is_ascii_digit);
            let is_time = matches!(digits, 4 | 8)
                && matches!(rest[digits..], [b' ', _, _, b':', _, _, b':', ..]);
            is_time.then(|| Level::from_letter(*letter)).flatten()
        }
        _ => None,
    }
}

/// A letter alone behind the time: `W | etcdserver: …` of older etcd, `E! [inputs.x] …` of
/// Telegraf, `I NETWORK  [listener] …` of older `MongoDB`, `[E] …`. `text` begins with the byte
/// before it.
#[inline(never)]
pub(super) fn lone_letter(text: &[u8]) -> Option<Level> {
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
fn run(text: &[u8], such: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| such(byte)).count()
}
