//! Levels of whole lines, fields included.

mod lines;
mod programs;

use crate::parse::fields::{Parse, read_level};
use crate::parse::level::tests::lines::*;
use crate::parse::level::tests::programs::PROGRAMS;
use crate::parse::level::words::WORDS;
use crate::parse::level::*;
use crate::random::Random;

/// What a caller sees: the field first, then the priority, then the text.
fn read(line: &str) -> Option<Level> {
    read_level(line, Parse::Auto)
}

fn is_level_name(name: &str) -> bool {
    level_name("", name).is_some()
}

fn all() -> impl Iterator<Item = &'static (Level, &'static str)> {
    LINES.iter().chain(PROGRAMS)
}

#[test]
fn real_lines_have_the_level_they_show() {
    assert!(LINES.len() + PROGRAMS.len() >= 400);
    let wrong: Vec<_> = all()
        .filter(|(level, line)| read(line) != Some(*level))
        .collect();
    let wrong: Vec<_> = wrong
        .iter()
        .map(|(level, line)| (level, read(line), line))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn lines_without_a_level_have_none() {
    assert!(NONE.len() >= 100);
    let wrong: Vec<_> = NONE
        .iter()
        .filter_map(|line| Some((read(line)?, line)))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn colour_codes_hide_nothing() {
    for (level, line) in all() {
        // Every word coloured on its own, as far as the line has no fields.
        if line.contains('=') || line.starts_with('{') {
            continue;
        }
        let words = line
            .split(' ')
            .map(|word| format!("\x1b[1;31m{word}\x1b[0m"));
        let coloured = words.collect::<Vec<_>>().join(" ");
        assert_eq!(read(&coloured), Some(*level), "{coloured:?}");
    }
    for line in NONE {
        let coloured = format!("\x1b[1;31m{line}\x1b[0m");
        assert_eq!(from_text(&coloured), from_text(line), "{coloured:?}");
    }
}

#[test]
fn all_words_and_their_cases() {
    for (word, level, _) in WORDS {
        assert_eq!(from_value(word), Some(*level), "{word}");
        assert_eq!(from_value(&word.to_uppercase()), Some(*level), "{word}");
        assert_eq!(from_value(&format!(" {word},")), Some(*level), "{word}");
        assert_eq!(from_value(&format!("{word}x")), None, "{word}");
    }
    for level in Level::ALL {
        assert_eq!(from_value(level.as_str()), Some(level));
        assert_eq!(
            from_value(level.as_str())
                .map(|level| level.to_string())
                .as_deref(),
            Some(level.as_str())
        );
    }
    assert!(Level::ALL.is_sorted());
}

#[test]
fn numbers_and_letters() {
    let cases = [
        ("10", T),
        ("20", D),
        ("30", I),
        ("40", W),
        ("50", E),
        ("60", F),
        ("0", F),
        ("1", C),
        ("2", C),
        ("3", E),
        ("4", W),
        ("5", I),
        ("6", I),
        ("7", D),
        ("T", T),
        ("d", D),
        ("V", D),
        ("I", I),
        ("W", W),
        ("e", E),
        ("C", C),
        ("F", F),
        ("D3", D),
        ("50.0", E),
        ("WARN+2", W),
        ("ERROR+4", E),
        ("DEBUG-4", D),
        ("INFO+12", I),
        ("eror", E),
        ("'error'", E),
        ("\x1b[32minfo\x1b[39m", I),
        (" \x1b[31mERROR\x1b(B\x1b[m,", E),
    ];
    for (value, level) in cases {
        assert_eq!(from_value(value), Some(level), "{value}");
    }
    for value in [
        "", " ", "8", "9", "00", "70", "35", "100", "-1", "30.1", "35.0", "D6", "x", "é", "\0",
        "ERROR!", "banana+2", "WARN+", "+2", "2+2", "\x1b", "\x1b[31m", "é.0", "'", "''", "'x'",
        "'error", "error'",
    ] {
        assert_eq!(from_value(value), None, "{value}");
    }
}

#[test]
fn names_of_level_fields() {
    // Loki's list: pkg/validation/limits.go
    let loki = [
        "level",
        "LEVEL",
        "Level",
        "log.level",
        "severity",
        "SEVERITY",
        "Severity",
        "SeverityText",
        "lvl",
        "LVL",
        "Lvl",
        "severity_text",
        "Severity_Text",
        "SEVERITY_TEXT",
    ];
    for name in loki.into_iter().chain([
        "Log.Level",
        "levelname",
        "@l",
        "@level",
        "LogLevel",
        "level_name",
    ]) {
        assert!(is_level_name(name), "{name}");
    }
    for name in [
        "",
        "levels",
        "xlevel",
        "leve",
        "log-level",
        "log_level",
        "loglevel",
        "severity_number",
        "level ",
    ] {
        assert!(!is_level_name(name), "{name}");
    }
    let is_joined = |prefix, key| level_name(prefix, key).is_some();
    assert!(is_joined("log_", "level"));
    assert!(is_joined("Severity_", "text"));
    assert!(!is_joined("a_", "LogLevel"));
    assert!(!is_joined("log_", "levels"));
}

#[test]
fn only_the_head_of_a_line_is_searched() {
    let numbers = "1234 ".repeat(40);
    assert_eq!(from_text(&format!("{} ERROR x", &numbers[..100])), Some(E));
    assert_eq!(from_text(&format!("{} ERROR x", &numbers[..130])), None);
    // A word that the end of the head cuts is no whole word.
    for length in 100..140 {
        let line = format!("{}{}", &numbers[..length / 5 * 5], "INFOMERCIAL x");
        assert_eq!(from_text(&line), None, "{line}");
    }
    assert_eq!(from_text("first line\nERROR: second"), None);
}

#[test]
fn any_text_is_taken() {
    let alphabet = [
        "ERROR",
        "info",
        "Warn",
        "fatal",
        " ",
        "  ",
        "[",
        "]",
        "<",
        ">",
        "(",
        ")",
        ":",
        "|",
        "-",
        "=",
        "\"",
        "'",
        "{",
        "}",
        "\x1b[31m",
        "\x1b[",
        "\x1b",
        "\0",
        "\n",
        "é",
        "\u{fffd}",
        "1",
        "03:04:05",
        "I0102",
        "1:M 01 Jan 2024 00:00:00.000 # x",
        "E, [2",
        "/",
        ".",
        ",",
        "*",
        "_",
        "PHP",
        "npm",
        "error ",
        "warning ",
        "log4j:",
        "make",
        "::error",
        "CMake ",
        "Error",
    ];
    let mut random = Random::new(1);
    for _ in 0..50_000 {
        let mut line = String::new();
        for _ in 0..10 {
            line.push_str(random.pick(&alphabet));
        }
        let _ = (from_text(&line), from_value(&line), read(&line));
    }
}
