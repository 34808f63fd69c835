//! Levels: how programs write them, and where in a line they do.
//!
//! Knows level words, level numbers and the shapes of log lines. Knows nothing of how a line is
//! taken apart into fields (`fields` asks here what a field's name and value mean) and nothing of
//! labels.

mod detect;
mod formats;
mod position;
mod prefilter;
mod scanner;
#[cfg(test)]
mod tests;
mod tool_formats;
mod words;

pub(crate) use crate::parse::level::detect::from_plain_text;
pub use crate::parse::level::detect::from_text;
use crate::parse::level::words::lookup;

use crate::parse::ansi;

/// What some programs begin a file with, and so its first line.
pub(crate) const BOM: &str = "\u{feff}";

const ESC: u8 = 0x1b;

/// How grave an entry is; the order is that of gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `trace`
    Trace,
    /// `debug`
    Debug,
    /// `info`
    Info,
    /// `warn`
    Warn,
    /// `error`
    Error,
    /// `critical`
    Critical,
    /// `fatal`
    Fatal,
}

impl Level {
    /// All levels, the least grave first.
    pub const ALL: [Self; 7] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Critical,
        Self::Fatal,
    ];

    /// The level as Loki writes it (`pkg/util/constants/levels.go`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Fatal => "fatal",
        }
    }

    /// The level of a syslog severity (RFC 5424, table 2): 0 emergency … 7 debug.
    const fn from_syslog(severity: u8) -> Self {
        match severity {
            0 => Self::Fatal,
            1 | 2 => Self::Critical,
            3 => Self::Error,
            4 => Self::Warn,
            5 | 6 => Self::Info,
            _ => Self::Debug,
        }
    }

    /// The level of a letter, as glog, Ruby's logger, Tornado and `MongoDB` write it.
    const fn from_letter(letter: u8) -> Option<Self> {
        match letter.to_ascii_uppercase() {
            b'T' => Some(Self::Trace),
            b'D' | b'V' => Some(Self::Debug),
            b'I' | b'N' => Some(Self::Info),
            b'W' => Some(Self::Warn),
            b'E' => Some(Self::Error),
            b'C' => Some(Self::Critical),
            b'F' => Some(Self::Fatal),
            _ => None,
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// The level that a level field's value means, in any case and with white space or a comma around
/// it; colours do not hide it.
///
/// - The words `trace debug info warn error critical fatal` and the usual others: `trc`, `silly`,
///   `finer` and `finest` are trace; `dbg`, `verbose`, `config` and `fine` debug; `inf`,
///   `information`, `notice`, `reporter`, loguru's `success` and Postgres's `log` info; `wrn` and
///   `warning` warn; `err`, `severe` and `fail` error; `crit` and `alert` critical; `ftl`, `panic`,
///   `emerg` and
///   `emergency` fatal.
/// - The numbers of pino and bunyan, 10 (trace) to 60 (fatal) in tens, and of syslog, 0 (emergency)
///   to 7 (debug).
/// - slog's levels between, `WARN+2`, as the one they count from; log15's `eror`.
/// - A single letter, as in `MongoDB`'s log; its `D1` to `D5` are debug.
#[must_use]
pub fn from_value(value: &str) -> Option<Level> {
    // `level=error, code=3`: the comma belongs to the sentence, not to the value.
    let value = value.trim_ascii().trim_end_matches([',', ';']);
    match value.as_bytes() {
        [digit @ b'0'..=b'7'] => Some(Level::from_syslog(digit - b'0')),
        [ten @ b'1'..=b'6', b'0'] => match ten {
            b'1' => Some(Level::Trace),
            b'2' => Some(Level::Debug),
            b'3' => Some(Level::Info),
            b'4' => Some(Level::Warn),
            b'5' => Some(Level::Error),
            _ => Some(Level::Fatal),
        },
        [b'D' | b'd', b'1'..=b'5'] => Some(Level::Debug),
        [letter] => Level::from_letter(*letter),
        word => lookup(word)
            .map(|(level, _)| level)
            .or_else(|| from_odd_value(value)),
    }
}

/// The level of a value that is no level word as it stands.
fn from_odd_value(value: &str) -> Option<Level> {
    match value.as_bytes() {
        // Colours, which winston puts into the JSON too. What is left holds none.
        bytes if bytes.contains(&ESC) => from_value(&ansi::strip(value)),
        // Quotes that are none to logfmt: `level='error'`.
        [b'\'', word @ .., b'\''] => lookup(word).map(|(level, _)| level),
        // log15 writes words of four letters.
        b"eror" | b"EROR" => Some(Level::Error),
        // Numbers of a program that has only floating ones.
        [_, b'0', b'.', b'0'] => from_value(&value[..2]),
        // `WARN+2`: a level that slog has no word for, by its distance from one that it has.
        [.., b'0'..=b'9'] => {
            let word = value.trim_end_matches(|byte: char| byte.is_ascii_digit());
            match word.strip_suffix(['+', '-'])? {
                "DEBUG" => Some(Level::Debug),
                "INFO" => Some(Level::Info),
                "WARN" => Some(Level::Warn),
                "ERROR" => Some(Level::Error),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a field of this name, not nested, holds a level.
#[cfg(test)]
pub fn is_level_name(name: &str) -> bool {
    is_joined_level_name("", name)
}

/// Whether a field holds a level that is called `key` and stands in objects whose joined names are
/// `prefix` (each with its `_`): `level`, `lvl`, `severity`, `log.level`, `SeverityText`,
/// `severity_text`, `levelname` (Python), `level_name` (Monolog), `@level` (hclog) and `@l` (Serilog) in any case, and
/// `LogLevel` (.NET).
///
/// `log.level` may be nested; a flat `log_level` is no level but a setting, as `loglevel` is: of
/// the program's log, not of this line.
///
/// Source: `--parse` in our manual, and Loki's own list (`pkg/validation/limits.go`, the default of
/// `log_level_fields`), which differs in case only.
pub(crate) fn is_joined_level_name(prefix: &str, key: &str) -> bool {
    let (prefix, key) = (prefix.as_bytes(), key.as_bytes());
    let is = |name: &[u8]| {
        let (start, end) = name.split_at(prefix.len());
        start.eq_ignore_ascii_case(prefix) && end.eq_ignore_ascii_case(key)
    };
    match prefix.len() + key.len() {
        2 => is(b"@l"),
        3 => is(b"lvl"),
        5 => is(b"level"),
        6 => is(b"@level"),
        8 => is(b"severity") || key == b"LogLevel",
        9 if prefix.is_empty() => is(b"log.level") || is(b"levelname"),
        9 => prefix.eq_ignore_ascii_case(b"log_") && key.eq_ignore_ascii_case(b"level"),
        10 => is(b"level_name"),
        12 => is(b"severitytext"),
        13 => is(b"severity_text"),
        _ => false,
    }
}

/// Whether what ends a key may end a level field's name: a quick look that turns most names away.
pub(crate) fn ends_level_name(key: &[u8]) -> bool {
    let [.., before, last] = key else {
        return false;
    };
    let before = before | 0x20;
    match last | 0x20 {
        b'l' => matches!(before, b'e' | b'v'),
        b'y' => before == b't',
        b't' => before == b'x',
        b'e' => matches!(
            key,
            [.., b'l' | b'L', _, _, _, _] | [.., b'l' | b'L', b'_', _, _, _, _]
        ),
        _ => false,
    }
}

/// The level that Serilog means by the value of `@l`: its verbose is below debug, where others have
/// it in place of debug.
pub(crate) fn from_serilog(value: &str) -> Option<Level> {
    if value.eq_ignore_ascii_case("verbose") {
        return Some(Level::Trace);
    }
    from_value(value)
}
