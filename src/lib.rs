//! Ships lines to Grafana Loki, and accounts for every one.
//!
//! ```text
//!  source threads            queue          batch thread            queue          ship thread
//!  ──────────────            ─────          ────────────            ─────          ───────────
//!  stdin ─┐                ┌────────┐                             ┌──────────┐
//!  file ──┤ line ─ shape ─►│ chunk… │─► batcher ─ batch ─ seal ──►│ shipment…│─► push ─ outcome ─► ledger
//!  child ─┘                └────────┘                             └──────────┘                       │
//!                        bounded bytes                       bounded sealed bytes    exit status ◄───┘
//! ```
//!
//! Everything moves left to right. Pressure is a blocking push, the end is a closed queue, and
//! every entry that was read gets exactly one fate:
//! `read = delivered + refused + dropped + spooled + filtered + left`.
//!
//! # As a library
//!
//! The library is the program without its sources: a [`Loki`] that takes entries from a program's
//! own threads. It installs no signal handler, prints nothing, and never lets a caller wait for the
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
//! That is all of a program that logs; it runs the same where no Loki is. A test hands in its own
//! [`Transport`] in place of HTTP: see [`Loki::with_transport`]. With the feature `log`, the macros of
//! the `log` crate log to Loki as well: see `loki_push::log_bridge`.

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
