//! Ships lines to Grafana Loki, and accounts for every one.
//!
//! ```text
//!  source threads              queue              batch thread                queue                sender thread
//!  stdin ──┐                ┌─────────┐                                  ┌────────────────┐
//!  file  ──┤ line ► entry ─►│ Chunk … │─► batcher ─► Batch ─► encoder ──►│ EncodedBatch … │─► Transport ─► Outcome ─► Counters
//!  command ┘                └─────────┘                                  └────────────────┘                              │
//!                          bounded bytes                              bounded encoded bytes     summary, exit status ◄───┘
//! ```
//!
//! Entries move from left to right. A full queue makes the stage before it wait, a closed queue is the
//! end of the input, and every entry that is read ends up in exactly one count:
//! `read = delivered + refused + dropped + spooled + filtered + left`.
//!
//! # As a library
//!
//! The library is the program without its sources: a [`Loki`] that accepts entries from the threads of
//! a program. It installs no signal handler, prints nothing, and never makes a caller wait for the
//! network.
//!
//! ```
//! use loki_push::{Config, Level, Loki, Record};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = Config::new("http://localhost:3100")
//!         .app("api")
//!         .environment("prod");
//! #   let config = config.flush_timeout(std::time::Duration::from_millis(1));
//!     let loki = Loki::new(config)?;
//!     loki.info("user logged in", &[("user_id", &42), ("path", &"/login")]);
//!     loki.error("payment failed", &[("order", &"A-17")]);
//!     loki.log(Record::new(Level::Critical, "disk is full").metadata("trace_id", "0af7"));
//!     let stats = loki.stop();
//!     assert_eq!(stats.logged, stats.sent + stats.refused + stats.dropped + stats.pending);
//!     Ok(())
//! }
//! ```
//!
//! This is a complete program, and it also runs where no Loki can be reached. A test can pass its own
//! [`Transport`] in place of HTTP: see [`Loki::with_transport`]. With the feature `log`, the macros of
//! the `log` crate also log to Loki: see `loki_push::log_bridge`; with the feature `tracing`, so do the
//! events of the `tracing` crate: see `loki_push::TracingLayer`.

#[cfg(feature = "cli")]
mod app;
mod batch;
#[cfg(feature = "cli")]
mod cli;
mod client;
mod delivery;
mod entry;
mod http;
#[cfg(feature = "cli")]
mod input;
mod parse;
mod pipeline;
mod process;
mod report;
mod storage;
mod sync;

#[cfg(test)]
#[path = "../tests/support/random.rs"]
mod random;

/// The pure stages, for `benches/stages.rs`.
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench {
    pub use crate::batch::encode::Encoder;
    pub use crate::batch::{Batch, BatchLimits, Batcher};
    pub use crate::entry::Chunk;
    pub use crate::entry::json::write_escaped;
    pub use crate::entry::labels::Labels;
    pub use crate::input::line_splitter::LineSplitter;
    pub use crate::parse::fields::{Parse, parse, read_level};
    pub use crate::parse::level::from_text as level_of_text;
}

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use crate::app::start::run;
#[cfg(feature = "log")]
pub use crate::client::log as log_bridge;
#[cfg(feature = "tracing")]
pub use crate::client::tracing::TracingLayer;
pub use crate::client::{
    Auth, Config, ConfigError, Field, FlushError, Loki, OnFull, Record, SentEntry, Stats, StopGuard,
};
pub use crate::entry::request::Request;
pub use crate::http::Response;
pub use crate::http::Transport;
pub use crate::parse::level::{Level, ParseLevelError};
pub use crate::sync::own_thread::is_own_thread;
