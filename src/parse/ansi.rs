//! Removes terminal escape sequences from a line: ECMA-48 control sequences and xterm's operating
//! system commands.

use std::borrow::Cow;

use memchr::memchr;

const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
const ESC: u8 = 0x1b;

/// Returns the line without terminal escape sequences, borrowed if it has none.
///
/// Removed are control sequences (`ESC [ … m` and similar), operating system commands and the other
/// strings (`ESC ]`, `ESC P`, `ESC X`, `ESC ^`, `ESC _`, ended by BEL or `ESC \`), and the short
/// sequences (`ESC c`, `ESC ( B`), also when the end of the line cuts them off. In a malformed
/// sequence the well-formed part is removed and the byte that broke it stays, so that no text
/// beyond the line of a string is lost.
#[must_use]
pub fn strip(line: &str) -> Cow<'_, str> {
    let bytes = line.as_bytes();
    let Some(first) = memchr(ESC, bytes) else {
        return Cow::Borrowed(line);
    };
    let mut plain = String::with_capacity(line.len());
    // `kept` and the ends of sequences are next to an ASCII byte, hence on character boundaries.
    let mut kept = 0;
    let mut escape = Some(first);
    while let Some(start) = escape {
        plain.push_str(&line[kept..start]);
        kept = sequence_end(bytes, start);
        escape = memchr(ESC, &bytes[kept..]).map(|offset| kept + offset);
    }
    plain.push_str(&line[kept..]);
    Cow::Owned(plain)
}

/// Returns the text as a terminal shows it: without escape sequences, and with only the last state
/// of what was overwritten with carriage returns, such as a progress bar. Borrowed if it has
/// neither.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let stripped = strip(text);
    if memchr(b'\r', stripped.as_bytes()).is_none() {
        return stripped;
    }
    let last_state = |line: &str| -> String {
        let line = line.trim_end_matches('\r');
        line.rsplit('\r').next().unwrap_or(line).to_owned()
    };
    let lines: Vec<String> = stripped.split('\n').map(last_state).collect();
    Cow::Owned(lines.join("\n"))
}

/// The end of the sequence that starts with the ESC at `start` (one past its last byte).
pub(crate) fn sequence_end(bytes: &[u8], start: usize) -> usize {
    let at = start + 1;
    match bytes.get(at) {
        Some(b'[') => {
            let parameters = skip(bytes, at + 1, 0x30..=0x3f);
            let intermediates = skip(bytes, parameters, 0x20..=0x2f);
            skip_one(bytes, intermediates, 0x40..=0x7e)
        }
        Some(b']' | b'P' | b'X' | b'^' | b'_') => string_end(bytes, at + 1),
        _ => {
            let intermediates = skip(bytes, at, 0x20..=0x2f);
            skip_one(bytes, intermediates, 0x30..=0x7e)
        }
    }
}

/// The end of the string whose content starts at `at`: after BEL or `ESC \`, before anything that
/// aborts it in a terminal (another escape, CAN, SUB), and before a line end, where xterm would
/// continue but a reader of logs would lose text.
fn string_end(bytes: &[u8], at: usize) -> usize {
    let stop = |byte: &u8| matches!(*byte, BEL | CAN | SUB | ESC | b'\n');
    let Some(offset) = bytes[at..].iter().position(stop) else {
        return bytes.len();
    };
    let end = at + offset;
    match (bytes[end], bytes.get(end + 1)) {
        (ESC, Some(b'\\')) => end + 2,
        (ESC | b'\n', _) => end,
        _ => end + 1,
    }
}

fn skip(bytes: &[u8], mut at: usize, class: std::ops::RangeInclusive<u8>) -> usize {
    while bytes.get(at).is_some_and(|byte| class.contains(byte)) {
        at += 1;
    }
    at
}

fn skip_one(bytes: &[u8], at: usize, class: std::ops::RangeInclusive<u8>) -> usize {
    at + usize::from(bytes.get(at).is_some_and(|byte| class.contains(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn a_line_without_escapes_is_borrowed() {
        assert!(matches!(
            strip("plain é text"),
            Cow::Borrowed("plain é text")
        ));
        assert!(matches!(strip(""), Cow::Borrowed("")));
    }

    #[test]
    fn sequences_go_and_text_stays() {
        let cases = [
            ("\x1b[32m INFO\x1b[0m crate: msg", " INFO crate: msg"),
            ("\x1b[1;38;2;255;0;0mred\x1b[m", "red"),
            ("\x1b[38:2::1:2:3mred", "red"),
            ("a\x1b[2Kb\x1b[?25lc\x1b[ qd", "abcd"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;https://x.y/\x1b\\link\x1b]8;;\x1b\\!", "link!"),
            ("\x1bP1$r0m\x1b\\after", "after"),
            ("\x1b_apc\x1b\\after", "after"),
            ("\x1b(Btext\x1bc\x1b=\x1b>", "text"),
            ("é\x1b[31mé\x1b[0mé", "ééé"),
        ];
        for (line, plain) in cases {
            assert_eq!(strip(line), plain, "{line:?}");
        }
    }

    #[test]
    fn of_a_line_that_was_rewritten_the_last_state_is_left() {
        for (line, shown) in [
            ("10 %\r50 %\r100 %", "100 %"),
            ("\r\x1b[2K\x1b[32mdone\x1b[0m\r", "done"),
            ("a\rb\nc\r\nd", "b\nc\nd"),
            ("\r", ""),
            ("x", "x"),
        ] {
            assert_eq!(plain(line), shown, "{line:?}");
        }
    }

    #[test]
    fn a_sequence_cut_off_by_the_end_goes() {
        for cut in [
            "\x1b",
            "\x1b[",
            "\x1b[3",
            "\x1b[3;",
            "\x1b[ ",
            "\x1b(",
            "\x1b]0;ti",
            "\x1b]0;t\x1b",
        ] {
            assert_eq!(strip(&format!("text{cut}")), "text", "{cut:?}");
        }
    }

    #[test]
    fn a_broken_sequence_gives_back_what_broke_it() {
        let cases = [
            ("\x1b[31émile", "émile"),
            ("\x1bé", "é"),
            ("\x1b\x1b[1mx", "x"),
            ("\x1b[\x1b[1mx", "x"),
            ("\x1b]0;title\x1b[1mx", "x"),
            ("\x1b]0;title\nnext", "\nnext"),
            ("\x1b]0;title\x18next", "next"),
            ("\x1b[3\0x", "\0x"),
        ];
        for (line, plain) in cases {
            assert_eq!(strip(line), plain, "{line:?}");
        }
    }

    #[test]
    fn any_text_is_taken_and_nothing_is_left_to_take() {
        let alphabet = [
            '\x1b', '[', ']', '\\', 'm', '3', ';', '\x07', 'é', ' ', '(', 'x', '\0', '\n',
        ];
        let mut random = Random::new(1);
        for _ in 0..20_000 {
            let mut line = String::new();
            for _ in 0..12 {
                line.push(random.pick(&alphabet));
            }
            let plain = strip(&line);
            assert!(!plain.contains('\x1b'), "{line:?}");
            assert_eq!(strip(&plain), plain);
        }
    }
}
