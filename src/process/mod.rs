//! Turns lines into entries: unwraps, joins, filters and redacts lines, and builds entries from
//! them.

pub mod clock;
pub mod decoration;
pub mod entry_builder;
pub mod entry_sender;
#[cfg(feature = "cli")]
pub mod filter;
pub mod layout;
pub mod line_envelope;
#[cfg(feature = "cli")]
pub mod line_processor;
pub mod line_time;
#[cfg(feature = "cli")]
pub mod multiline;
pub mod options;
#[cfg(feature = "cli")]
pub mod path_labels;
#[cfg(feature = "cli")]
pub mod redact;
pub mod stream_labels;
pub mod throttle;
#[cfg(feature = "cli")]
pub mod unwrap;
