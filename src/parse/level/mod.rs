//! Log levels: the [`Level`] type. What a level field's name and value mean is in `values`, and
//! detection in free text in `detect`; only the program reads levels.

#[cfg(feature = "cli")]
mod detect;
#[cfg(feature = "cli")]
mod formats;
#[cfg(feature = "cli")]
mod position;
#[cfg(feature = "cli")]
mod prefilter;
#[cfg(feature = "cli")]
mod scanner;
#[cfg(all(test, feature = "cli"))]
mod tests;
#[cfg(feature = "cli")]
mod tool_formats;
#[cfg(feature = "cli")]
mod values;
mod words;

#[cfg(feature = "cli")]
pub(crate) use crate::parse::level::detect::from_plain_text;
#[cfg(feature = "cli")]
pub use crate::parse::level::detect::from_text;
#[cfg(feature = "cli")]
pub use crate::parse::level::values::*;
use crate::parse::level::words::lookup;

/// The UTF-8 byte order mark, which some programs write at the start of a file.
#[cfg(feature = "cli")]
pub(crate) const BOM: &str = "\u{feff}";

/// The severity of an entry, ordered from least to most severe.
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
    /// All levels, least severe first.
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

/// The error for a text that is not a level name.
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
