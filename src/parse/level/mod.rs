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
#[non_exhaustive]
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
    pub(crate) const fn from_syslog(severity: u8) -> Self {
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

/// Parses a level name in any case, such as `warn` or `WARNING`.
impl std::str::FromStr for Level {
    type Err = ParseLevelError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        lookup(text.trim_ascii().as_bytes())
            .map(|(level, _)| level)
            .ok_or(ParseLevelError(()))
    }
}

/// The text is not the name of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseLevelError(());

impl std::fmt::Display for ParseLevelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a level: use trace, debug, info, warn, error, critical or fatal")
    }
}

impl std::error::Error for ParseLevelError {}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the name of a level field says of its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LevelName {
    /// Words, and numbers of which the framework must be known.
    Any,
    /// Serilog's `@l`, whose verbose is below debug, where others have it in place of debug.
    Serilog,
    /// Syslog's severities, 0 (emergency) to 7 (debug).
    Syslog,
    /// OTLP's numbers, 1 to 24.
    Otlp,
}

/// What the other members of a JSON object say of the framework that wrote it, and so of its
/// numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Framework {
    gelf: bool,
    request: bool,
    app: bool,
    time: bool,
    msg: bool,
}

impl Framework {
    /// Notes a member of the outermost object.
    pub(crate) fn note(&mut self, key: &str) {
        match key {
            "short_message" => self.gelf = true,
            "reqId" => self.request = true,
            "app" => self.app = true,
            "time" => self.time = true,
            "msg" => self.msg = true,
            _ => {}
        }
    }
}

/// The level that a word in a level field means, in any case and with white space or a comma around
/// it; colours do not hide it. A number in tens is a word, too: it is a level to whoever writes it.
///
/// - The words `trace debug info warn error critical fatal` and the usual others: `trc`, `silly`,
///   `finer` and `finest` are trace; `dbg`, `verbose`, `config` and `fine` debug; `inf`,
///   `information`, `notice`, `note`, loguru's `success` and Postgres's `log` info; `wrn` and
///   `warning` warn; `err`, `severe` and `fail` error; `crit` and `alert` critical; `ftl`, `panic`,
///   `emerg` and
///   `emergency` fatal.
/// - slog's levels between, `WARN+2`, as the one they count from; log15's `eror`.
/// - A single letter, as in `MongoDB`'s log; its `D1` to `D5` are debug.
#[must_use]
pub(crate) fn from_word(name: LevelName, value: &str) -> Option<Level> {
    if name == LevelName::Serilog && value.eq_ignore_ascii_case("verbose") {
        return Some(Level::Trace);
    }
    // `level=error, code=3`: the comma belongs to the sentence, not to the value.
    let value = value.trim_ascii().trim_end_matches([',', ';']);
    match value.as_bytes() {
        [b'D' | b'd', b'1'..=b'5'] => Some(Level::Debug),
        [letter] => Level::from_letter(*letter),
        word => lookup(word)
            .map(|(level, _)| level)
            .or_else(|| from_odd_word(name, value)),
    }
}

/// The level of a value that is no level word as it stands.
fn from_odd_word(name: LevelName, value: &str) -> Option<Level> {
    match value.as_bytes() {
        // Colours, which winston puts into the JSON too. What is left holds none.
        bytes if bytes.contains(&ESC) => from_word(name, &ansi::strip(value)),
        // Quotes that are none to logfmt: `level='error'`.
        [b'\'', word @ .., b'\''] => lookup(word).map(|(level, _)| level),
        // log15 writes words of four letters.
        b"eror" | b"EROR" => Some(Level::Error),
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

/// The level that a person means: a word or a number.
#[must_use]
pub fn from_value(value: &str) -> Option<Level> {
    from_word(LevelName::Any, value).or_else(|| from_number(value))
}

/// The level of a number in a logfmt line: of pino or of syslog.
#[must_use]
pub(crate) fn from_number(value: &str) -> Option<Level> {
    from_pino(value).or_else(|| from_severity(value))
}

/// The level of a number in a JSON line, by the framework that wrote it.
pub(crate) fn from_json_number(
    name: LevelName,
    number: &str,
    framework: impl FnOnce() -> Framework,
) -> Option<Level> {
    match name {
        LevelName::Syslog => return from_severity(number),
        LevelName::Otlp => return from_otlp(number),
        LevelName::Any | LevelName::Serilog => {}
    }
    if let Some(level) = from_pino(number) {
        return Some(level);
    }
    if !matches!(number.as_bytes(), [b'0'..=b'8'] | b"-4") {
        return None;
    }
    match (framework(), number) {
        (Framework { gelf: true, .. }, _) => from_severity(number),
        // Nextcloud's.
        (
            Framework {
                request: true,
                app: true,
                ..
            },
            _,
        ) => match number {
            "0" => Some(Level::Debug),
            "1" => Some(Level::Info),
            "2" => Some(Level::Warn),
            "3" => Some(Level::Error),
            "4" => Some(Level::Fatal),
            _ => None,
        },
        // The numbers of Go's slog.
        (
            Framework {
                time: true,
                msg: true,
                ..
            },
            _,
        ) => match number {
            "-4" => Some(Level::Debug),
            "0" => Some(Level::Info),
            "4" => Some(Level::Warn),
            "8" => Some(Level::Error),
            _ => None,
        },
        _ => None,
    }
}

/// The level of pino's and bunyan's numbers, 10 (trace) to 60 (fatal) in tens.
fn from_pino(number: &str) -> Option<Level> {
    // Some programs have only floating numbers.
    match number.strip_suffix(".0").unwrap_or(number) {
        "10" => Some(Level::Trace),
        "20" => Some(Level::Debug),
        "30" => Some(Level::Info),
        "40" => Some(Level::Warn),
        "50" => Some(Level::Error),
        "60" => Some(Level::Fatal),
        _ => None,
    }
}

fn from_severity(number: &str) -> Option<Level> {
    match number.as_bytes() {
        [digit @ b'0'..=b'7'] => Some(Level::from_syslog(digit - b'0')),
        _ => None,
    }
}

fn from_otlp(number: &str) -> Option<Level> {
    match number.parse() {
        Ok(1..=4) => Some(Level::Trace),
        Ok(5..=8) => Some(Level::Debug),
        Ok(9..=12) => Some(Level::Info),
        Ok(13..=16) => Some(Level::Warn),
        Ok(17..=20) => Some(Level::Error),
        Ok(21..=24) => Some(Level::Fatal),
        _ => None,
    }
}

/// Whether a field holds a level that is called `key` and stands in objects whose joined names are
/// `prefix` (each with its `_`), and what it says of the values: `level`, `lvl`, `severity`,
/// `log.level`, `fields.level`, `SeverityText`, `severity_text`, `levelname` (Python), `level_name`
/// (Monolog), `record.level.name` (loguru), `@level` (hclog) and `@l` (Serilog) in any case,
/// `LogLevel` (.NET) and `logLevel`; and with numbers `severityNumber` (OTLP), `severity_code`,
/// `syslog.severity` and journald's `PRIORITY`.
///
/// `log.level` may be nested; a flat `log_level` is no level but a setting, as `loglevel` is: of
/// the program's log, not of this line.
pub(crate) fn level_name(prefix: &str, key: &str) -> Option<LevelName> {
    let (whole, nested) = (prefix.is_empty(), prefix.as_bytes());
    let is = |name: &str| {
        name.split_at_checked(prefix.len())
            .is_some_and(|(start, end)| {
                start.eq_ignore_ascii_case(prefix) && end.eq_ignore_ascii_case(key)
            })
    };
    let below = |object: &str, name: &str| {
        nested.eq_ignore_ascii_case(object.as_bytes()) && key.eq_ignore_ascii_case(name)
    };
    let any = match prefix.len() + key.len() {
        2 if is("@l") => return Some(LevelName::Serilog),
        3 => is("lvl"),
        5 => is("level"),
        6 => is("@level"),
        8 if key == "PRIORITY" => return Some(LevelName::Syslog),
        8 => is("severity") || matches!(key, "LogLevel" | "logLevel"),
        9 if whole => is("log.level") || is("levelname"),
        9 => below("log_", "level"),
        10 => is("level_name"),
        12 if whole => is("severitytext") || is("fields.level"),
        12 => is("severitytext") || below("fields_", "level"),
        13 if is("severity_code") => return Some(LevelName::Syslog),
        13 => is("severity_text"),
        14 if is("severitynumber") => return Some(LevelName::Otlp),
        15 if (whole && is("syslog.severity")) || below("syslog_", "severity") => {
            return Some(LevelName::Syslog);
        }
        17 if whole => is("record.level.name"),
        17 => below("record_level_", "name"),
        _ => false,
    };
    any.then_some(LevelName::Any)
}

/// The name of a member of a nested object, split as [`level_name`] expects it.
pub(crate) fn split_joined(name: &str) -> (&str, &str) {
    const OBJECTS: [&str; 4] = ["log_", "fields_", "syslog_", "record_level_"];
    let objects = OBJECTS
        .iter()
        .filter_map(|object| name.split_at_checked(object.len()));
    let mut split = objects
        .zip(OBJECTS)
        .filter(|((start, _), object)| start.eq_ignore_ascii_case(object));
    split.next().map_or(("", name), |(split, _)| split)
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
            [.., b'l' | b'L', _, _, _, _] | [.., b'l' | b'L', b'_' | b'.', _, _, _, _]
        ),
        _ => false,
    }
}
