//! Turns lines into entries: unwraps, joins, filters and redacts lines, and builds entries from
//! them.

pub mod clock;
#[cfg(feature = "cli")]
pub mod decoration;
#[cfg(feature = "cli")]
pub mod entry_builder;
#[cfg(feature = "cli")]
pub mod entry_sender;
#[cfg(feature = "cli")]
pub mod filter;
pub mod layout;
#[cfg(feature = "cli")]
pub mod line_envelope;
#[cfg(feature = "cli")]
pub mod line_processor;
#[cfg(feature = "cli")]
pub mod line_time;
#[cfg(feature = "cli")]
pub mod multiline;
#[cfg(feature = "cli")]
pub mod options;
#[cfg(feature = "cli")]
pub mod path_labels;
#[cfg(feature = "cli")]
pub mod redact;
#[cfg(feature = "cli")]
pub mod stream_labels;
#[cfg(feature = "cli")]
pub mod throttle;
#[cfg(feature = "cli")]
pub mod unwrap;
