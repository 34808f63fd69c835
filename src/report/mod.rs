//! What a run reports: messages, progress, counters, the summary and the exit status.

pub mod counters;
pub mod humanize;
pub mod messages;
#[cfg(feature = "cli")]
pub mod metrics;
#[cfg(feature = "cli")]
pub mod progress;
#[cfg(feature = "cli")]
pub mod summary;
