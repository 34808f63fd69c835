//! Error and warning formats of build tools and other programs, recognized by how the line starts:
//! `make: *** …`, `CMake Error at …`, `E: Unable to …`.
//!
//! Few lines get here, so the code is kept out of the path of all other lines.

use crate::parse::level::Level;
use crate::parse::level::formats::{logcat_brief, ruby, run};
use crate::parse::level::words::lookup;

/// Formats that start with a capital: `E: Unable to …` (apt), `Error response from daemon: …`
/// (Docker), `CMake Warning at …`, `E/Tag( 123): …` (logcat), Ruby's logger, `E [02/Jan/2024:…`
/// (CUPS), `EROR[01-02|…` (log15), `OpenJDK 64-Bit Server VM warning: …`.
#[inline(never)]
pub(super) fn starts_uppercase(text: &[u8]) -> Option<Level> {
    match text {
        [b'E' | b'W', b':', b' ', ..] => Level::from_letter(text[0]),
        [
            letter @ (b'D' | b'I' | b'N' | b'W' | b'E' | b'C'),
            b' ',
            b'[',
            a,
            b,
            b'/',
            ..,
        ] if a.is_ascii_digit() && b.is_ascii_digit() => Level::from_letter(*letter),
        [b'E', b'R', b'O', b'R', b'[', b'0'..=b'9', ..] => Some(Level::Error),
        [b'D', b'B', b'U', b'G', b'[', b'0'..=b'9', ..] => Some(Level::Debug),
        [b'O', b'p', b'e', b'n', b'J', ..] | [b'J', b'a', b'v', b'a', b' ', b'H', ..] => {
            let mut words = text.windows(VM_WARNING.len());
            words
                .any(|words| words == VM_WARNING)
                .then_some(Level::Warn)
        }
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

const VM_WARNING: &[u8] = b" VM warning: ";

/// Formats that start with a lower-case letter: `make: *** [x] Error 1`, `dpkg: error processing
/// …`, `e: file:///…` (kotlinc), `error Command failed` (yarn), `log4j:WARN …`, `kern  :warn  : …`
/// (`dmesg -x`).
#[inline(never)]
pub(super) fn starts_lowercase(text: &[u8]) -> Option<Level> {
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
        b'k' | b'u' | b'd' if starts(b"kern  :") || starts(b"user  :") || starts(b"daemon:") => {
            let (level, rest) = text[b"kern  :".len()..].split_at_checked(b"notice".len())?;
            let word = lookup(level.trim_ascii_end()).filter(|_| rest.starts_with(b": "));
            word.map(|(level, _)| level)
        }
        b'g' | b'm' if starts(b"make") || starts(b"gmake") => {
            let rest = text.strip_prefix(b"g").unwrap_or(text);
            let rest = &rest[b"make".len()..];
            let depth = |byte: &u8| matches!(byte, b'[' | b']' | b'0'..=b'9');
            let depth = run(rest, depth);
            rest[depth..].starts_with(b": *** ").then_some(Level::Error)
        }
        _ => None,
    }
}

/// Whether the text after `error ` looks like yarn's: a sentence that starts with a capital, or a
/// package (`x@1.2.3`, `package.json: …`). Prose would continue in lower case.
fn is_yarn(text: &[u8]) -> bool {
    let (word, rest) = text.split_at(run(text, |byte| *byte != b' '));
    !rest.is_empty()
        && (word.first().is_some_and(u8::is_ascii_uppercase)
            || word.contains(&b'@')
            || word == b"package.json:")
}

/// GitHub workflow commands: `::error file=x.js,line=1::…`.
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
