//! Levels: how programs write them, and where in a line they do.
//!
//! Knows level words, level numbers and the shapes of log lines. Knows nothing of how a line is
//! taken apart into fields (`fields` asks here what a field's name and value mean) and nothing of
//! labels.

mod glance;
mod head;
mod place;
mod shapes;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use text::from_text;
use words::lookup;

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
/// it.
///
/// - The words `trace debug info warn error critical fatal` and the usual others: `trc`, `silly`,
///   `finer` and `finest` are trace; `dbg`, `verbose`, `config` and `fine` debug; `inf`,
///   `information`, `notice`, `note` and Postgres's `log` info; `wrn` and `warning` warn; `err`,
///   `severe` and `fail` error; `crit` and `alert` critical; `ftl`, `panic`, `emerg` and
///   `emergency` fatal.
/// - The numbers of pino and bunyan, 10 (trace) to 60 (fatal) in tens, and of syslog, 0 (emergency)
///   to 7 (debug).
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
        word => lookup(word).map(|(level, _)| level),
    }
}

/// The names of fields that hold a level, in lower case.
const NAMES: [&str; 7] = [
    "level",
    "lvl",
    "severity",
    "log.level",
    "log_level",
    "severitytext",
    "severity_text",
];

/// Whether a field of this name holds a level: `level`, `lvl`, `severity`, `log.level` (nested in
/// JSON: `log_level`), `SeverityText` and `severity_text`, in any case.
///
/// Source: `--parse` in our manual, and Loki's own list (`pkg/validation/limits.go`, the default of
/// `log_level_fields`), which differs in case only.
#[cfg(test)]
pub fn is_level_name(name: &str) -> bool {
    is_joined_level_name("", name)
}

/// Whether `prefix` and `key`, written one behind the other, are the name of a field that holds a
/// level (`is_level_name`, in the tests, lists them).
pub(crate) fn is_joined_level_name(prefix: &str, key: &str) -> bool {
    let (prefix, key) = (prefix.as_bytes(), key.as_bytes());
    NAMES.iter().any(|name| {
        name.len() == prefix.len() + key.len() && {
            let (start, end) = name.as_bytes().split_at(prefix.len());
            start.eq_ignore_ascii_case(prefix) && end.eq_ignore_ascii_case(key)
        }
    })
}

/// Whether a level field's name may end in this byte: a quick look that turns most names away.
pub(crate) fn ends_level_name(byte: u8) -> bool {
    matches!(byte, b'l' | b'L' | b'y' | b'Y' | b't' | b'T')
}
