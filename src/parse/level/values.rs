//! The names of level fields, and the level that a word or number in one means.

use crate::parse::ansi;
use crate::parse::level::Level;
use crate::parse::level::words::lookup;

const ESC: u8 = 0x1b;

impl Level {
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

    /// The level of a single letter, as in glog, Ruby's logger, Tornado and `MongoDB`.
    pub(super) const fn from_letter(letter: u8) -> Option<Self> {
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

/// How the values of a level field are to be read, which depends on the field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LevelName {
    /// Level words, and numbers whose meaning depends on the framework.
    Any,
    /// Serilog's `@l`, where `verbose` is below debug; elsewhere it is a synonym for debug.
    Serilog,
    /// Syslog severities, 0 (emergency) to 7 (debug).
    Syslog,
    /// OTLP severity numbers, 1 to 24.
    Otlp,
}

/// Which framework wrote a JSON object, judged by its other members. It decides what level numbers
/// mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Framework {
    gelf: bool,
    request: bool,
    app: bool,
    time: bool,
    msg: bool,
}

impl Framework {
    /// Records a member of the outermost object.
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

/// The level of a word in a level field. Case, surrounding white space, a trailing comma and colour
/// codes are ignored. Plain numbers are handled by [`from_number`] and [`from_json_number`].
///
/// - The words `trace debug info warn error critical fatal` and their usual synonyms: `trc`,
///   `silly`, `finer` and `finest` are trace; `dbg`, `verbose`, `config` and `fine` debug; `inf`,
///   `information`, `notice`, `note`, loguru's `success` and Postgres's `log` info; `wrn` and
///   `warning` warn; `err`, `severe` and `fail` error; `crit` and `alert` critical; `ftl`, `panic`,
///   `emerg` and `emergency` fatal.
/// - slog's intermediate levels, such as `WARN+2`, which count as their base level; log15's `eror`.
/// - A single letter, as in `MongoDB`'s log, where `D1` to `D5` are debug.
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

/// The level of a value that is not a plain level word: coloured, quoted, shortened or with an
/// offset.
fn from_odd_word(name: LevelName, value: &str) -> Option<Level> {
    match value.as_bytes() {
        // Colour codes, which winston also writes into JSON. `strip` removes them all, so this
        // recurses once.
        bytes if bytes.contains(&ESC) => from_word(name, &ansi::strip(value)),
        // Single quotes, which logfmt does not treat as quotes: `level='error'`.
        [b'\'', word @ .., b'\''] => lookup(word).map(|(level, _)| level),
        // log15 shortens every level to four letters.
        b"eror" | b"EROR" => Some(Level::Error),
        // `WARN+2`: slog writes a level without a name as a named one plus a distance.
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

/// The level a user typed: a word or a number.
#[must_use]
pub fn from_value(value: &str) -> Option<Level> {
    from_word(LevelName::Any, value).or_else(|| from_number(value))
}

/// The level of a number in a logfmt line: pino's numbers or syslog severities.
#[must_use]
pub(crate) fn from_number(value: &str) -> Option<Level> {
    from_pino(value).or_else(|| from_severity(value))
}

/// The level of a number in a JSON line, read as the framework that wrote it does.
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
        // Nextcloud.
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
        // Go's slog.
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

/// The level of a pino or bunyan number: 10 (trace) to 60 (fatal), in tens.
fn from_pino(number: &str) -> Option<Level> {
    // Some programs write all numbers as floats.
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

/// How to read the values of the field `key` as levels; `None` if it is not a level field. `prefix`
/// holds the joined names of the objects around it, each followed by `_`.
///
/// Level fields are `level`, `lvl`, `severity`, `log.level`, `fields.level`, `SeverityText`,
/// `severity_text`, `levelname` (Python), `level_name` (Monolog), `record.level.name` (loguru),
/// `@level` (hclog) and `@l` (Serilog) in any case, `LogLevel` (.NET) and `logLevel`; and with
/// numbers `severityNumber` (OTLP), `severity_code`, `syslog.severity` and journald's `PRIORITY`.
///
/// `log.level` may be nested. A flat `log_level` or `loglevel` is not a level field: it is the
/// program's log setting.
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

/// Splits the joined name of a nested member into the prefix and key that [`level_name`] expects.
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

/// Whether a key may be the name of a level field, judged by its last bytes. A fast check that
/// rules out most keys.
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
