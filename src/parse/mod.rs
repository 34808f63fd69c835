//! Parsing of a line: timestamp, fields, level, colour codes and stack traces. Pure functions.

#[cfg(feature = "cli")]
pub mod ansi;
pub mod fields;
pub mod level;
#[cfg(feature = "cli")]
pub mod stack_trace;
pub mod timestamp;
pub mod units;
