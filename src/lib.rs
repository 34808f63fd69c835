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
//!     assert_eq!(stats.logged, stats.sent + stats.errors + stats.dropped + stats.pending);
//!     Ok(())
//! }
//! ```
//!
//! That is all of a program that logs; it runs the same where no Loki is. A test hands in its own
//! [`Push`] in place of HTTP: see [`Loki::with_transport`]. With the feature `log`, the macros of
//! the `log` crate log to Loki as well: see `loki_push::log`.

mod address;
mod ansi;
mod app;
mod attend;
mod backlog;
mod batch;
mod check;
mod checkpoint;
pub mod cli;
mod client;
mod config;
mod deadletter;
mod entry;
mod extent;
mod fields;
mod filter;
mod gather;
mod identity;
mod labels;
mod ledger;
mod level;
mod lock;
#[cfg(feature = "log")]
pub mod log;
mod multiline;
mod note;
mod outcome;
mod pace;
mod pack;
mod pipeline;
mod progress;
mod push;
mod queue;
mod rate;
mod refusal;
mod report;
mod retry;
mod room;
mod seal;
mod settlement;
mod shape;
mod ship;
mod shipment;
mod signals;
mod source;
mod spool;
mod stamp;
mod stop;
mod time;

/// The pure stages, for `benches/stages.rs`.
#[cfg(feature = "bench")]
#[doc(hidden)]
pub mod bench {
    pub use crate::batch::{Batch, Batcher, Limits};
    pub use crate::entry::Chunk;
    pub use crate::fields::{Parse, parse, read_level};
    pub use crate::labels::Labels;
    pub use crate::level::from_text as level_of_text;
    pub use crate::seal::{Sealer, write_escaped};
    pub use crate::source::lines::Lines;
}

use std::ffi::OsString;

pub use client::{Auth, Config, ConfigError, Field, FlushError, Loki, OnFull, Record, Stats};
pub use level::Level;
pub use push::Push;
pub use shipment::{Answer, Request};

use note::{Loudness, Message, Note};

/// The exit status of wrong usage or configuration; nothing was read.
const USAGE: u8 = 2;

/// The same in command mode, where the low ones are the command's: as `env` and `timeout` have it.
const USAGE_OF_RUNNER: u8 = 125;

/// Runs the program: reads the command line and the environment, ships what comes, and gives the
/// exit status. Keeps no global state but the signal handlers, so it may be called again.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let usage = if names_command(&args) {
        USAGE_OF_RUNNER
    } else {
        USAGE
    };
    let typed = match cli::Typed::parse(args) {
        Ok(typed) => typed,
        Err(error) => {
            // Whether anybody reads the help is not our trouble.
            let _ = error.print();
            return if error.use_stderr() { usage } else { 0 };
        }
    };
    let result = config::Config::new(typed, &|name| std::env::var_os(name))
        .and_then(|config| app::run(&config));
    result.unwrap_or_else(|error| {
        let text = format!("{error:#}");
        Note::new(Loudness::Quiet).say(&Message::Failed { why: &text });
        usage
    })
}

/// Whether something stands behind a `--`: in words that may not be understood otherwise, the only
/// sign of command mode.
fn names_command(args: &[OsString]) -> bool {
    let behind = args.iter().skip_while(|arg| *arg != "--");
    behind.count() > 1
}
