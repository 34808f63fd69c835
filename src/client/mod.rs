//! The client: the program without its sources, for Rust programs that log to Loki themselves.
//!
//! A facade on the pipeline. Installs no signal handler, ends no process, prints nothing, and never
//! lets a caller wait for the network.

mod config;
mod connection;
mod core;
mod custom_transport;
#[cfg(feature = "log")]
pub mod log;
mod record;
mod stats;
mod validate;

use std::fmt;
use std::sync::Arc;

use crate::entry::UNSTAMPED;
use crate::http::Push;
use crate::http::client::HttpTransport;
use crate::parse::level::Level;

pub use crate::client::config::{Config, ConfigError, OnFull};
pub use crate::client::connection::Auth;
pub use crate::client::core::Core;
use crate::client::custom_transport::CatchPanic;
pub use crate::client::record::{Line, Record};
pub use crate::client::stats::{FlushError, Stats};
use crate::client::validate::{ValidConfig, check, of_connection};

/// A field of an entry: its name, and whatever can be shown as its value.
pub type Field<'a> = (&'a str, &'a dyn fmt::Display);

/// A client of Loki. Clones share it; when the last one is dropped, it is stopped.
///
/// Logging never waits for the network: an entry is copied into a buffer, and threads of the client
/// batch, compress and send it. What finds no room there, or is refused, is counted in
/// [`Loki::stats`]; nothing is printed.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use loki_push::{Answer, Config, Loki, Push, Request};
///
/// struct Nowhere;
///
/// impl Push for Nowhere {
///     fn push(&self, request: &Request, _timeout: Duration) -> Answer {
///         assert_eq!(request.label("app"), Some("api"));
///         Answer::status(204)
///     }
/// }
///
/// let config = Config::new("http://localhost:3100").app("api");
/// let loki = Loki::with_transport(config, Arc::new(Nowhere))?;
/// loki.warn("disk is filling", &[("mount", &"/var"), ("free_bytes", &51_200)]);
/// loki.flush()?;
/// assert_eq!(loki.stats().sent, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Loki {
    core: Arc<Core>,
    _owners: Arc<Owners>,
}

/// Stops the client when the last clone goes.
struct Owners(Arc<Core>);

impl Loki {
    /// A client that sends over HTTP. Opens no connection yet: a Loki that is away is no error.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a configuration is written for its client, as a rule in the call"
    )]
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let checked = check(&config)?;
        let http =
            HttpTransport::new(&checked.connection).map_err(|error| of_connection(&error))?;
        Self::start(&config, checked, Arc::new(http))
    }

    /// A client that hands its requests to a transport of the program's own, in place of HTTP: for
    /// tests, or for another way to Loki.
    ///
    /// A transport must not log through the client it serves, if that one may block. One that
    /// panics has failed: what it was to send is sent again, and [`Stats::trouble`] says so.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a configuration is written for its client, as a rule in the call"
    )]
    pub fn with_transport(config: Config, push: Arc<dyn Push>) -> Result<Self, ConfigError> {
        let checked = check(&config)?;
        Self::start(&config, checked, Arc::new(CatchPanic(push)))
    }

    fn start(
        config: &Config,
        checked: ValidConfig,
        push: Arc<dyn Push>,
    ) -> Result<Self, ConfigError> {
        let core = Core::start(config, checked, push).map_err(|why| ConfigError {
            setting: "threads",
            problem: format!("cannot start a thread: {why}"),
        })?;
        let core = Arc::new(core);
        #[cfg(feature = "log")]
        for warning in core.warnings() {
            ::log::warn!(target: "loki_push", "{warning}");
        }
        Ok(Self {
            _owners: Arc::new(Owners(Arc::clone(&core))),
            core,
        })
    }

    /// Logs at level `debug`; see [`Loki::info`].
    pub fn debug(&self, message: &str, fields: &[Field<'_>]) {
        self.write(Level::Debug, message, fields);
    }

    /// Logs at level `info`. The entry is `message | name=value name=value`; its labels are those
    /// of the client and the level.
    ///
    /// ```no_run
    /// # let loki = loki_push::Loki::new(loki_push::Config::new("http://localhost:3100"))?;
    /// loki.info("started", &[]);
    /// loki.info("user logged in", &[("user_id", &42), ("path", &"/login")]);
    /// # Ok::<(), loki_push::ConfigError>(())
    /// ```
    pub fn info(&self, message: &str, fields: &[Field<'_>]) {
        self.write(Level::Info, message, fields);
    }

    /// Logs at level `warn`; see [`Loki::info`].
    pub fn warn(&self, message: &str, fields: &[Field<'_>]) {
        self.write(Level::Warn, message, fields);
    }

    /// Logs at level `error`; see [`Loki::info`].
    pub fn error(&self, message: &str, fields: &[Field<'_>]) {
        self.write(Level::Error, message, fields);
    }

    /// Logs an entry with everything it can have.
    pub fn log(&self, mut record: Record) {
        let metadata = record.take_metadata();
        let time = record.nanoseconds();
        self.core.enter(record.level, &record.line, &metadata, time);
    }

    /// Sends what was logged before this call at once, and waits until each entry of it is sent,
    /// refused or dropped, at most for [`Config::flush_timeout`].
    ///
    /// # Errors
    /// If entries still wait then; they stay in the buffer. After a stop, if that one left some.
    pub fn flush(&self) -> Result<(), FlushError> {
        self.core.flush()
    }

    /// Ends the client: delivers what was logged, at most for [`Config::flush_timeout`] (half a second,
    /// if that is less and Loki hangs), and gives the final statistics. What is logged later, through
    /// clones of the client or a bridge, is counted as dropped. A second stop changes nothing.
    ///
    /// Dropping the last clone does the same. `std::process::exit` drops nothing: stop before it.
    pub fn stop(&self) -> Stats {
        self.core.stop();
        self.stats()
    }

    /// What became of every entry so far.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// What is allowed but not wise in the configuration, as credentials over plain http. With the
    /// feature `log` it is also logged once, when the client is made (by `log::init`, which has no
    /// other logger, as an entry of its own); it is never printed.
    pub fn warnings(&self) -> &[String] {
        self.core.warnings()
    }

    /// What a bridge hands its lines to.
    #[cfg(feature = "log")]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    fn write(&self, level: Level, message: &str, fields: &[Field<'_>]) {
        let mut line = Line::with_room(message, fields.len());
        for (name, value) in fields {
            line.field(name, value);
        }
        self.core.enter(level, &line, "", UNSTAMPED);
    }
}

impl Drop for Owners {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Where it sends to, and what became of the entries.
impl fmt::Debug for Loki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loki")
            .field("target", &self.core.target())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
