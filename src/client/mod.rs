//! The library: the program without its sources, for Rust programs that log to Loki themselves.
//!
//! A facade on the pipeline. It installs no signal handler, ends no process, prints nothing, and
//! never makes a caller wait for the network unless it asks to.

mod config;
mod connection;
mod core;
mod custom_transport;
mod env;
#[cfg(feature = "log")]
pub mod log;
mod record;
mod stats;
#[cfg(feature = "tracing")]
pub mod tracing;
mod validate;

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;

use crate::entry::UNSTAMPED;
use crate::http::Transport;
use crate::http::client::HttpTransport;
use crate::parse::level::Level;

pub use crate::client::config::{Config, ConfigError, OnFull};
pub use crate::client::connection::Auth;
pub use crate::client::core::Core;
use crate::client::custom_transport::CatchPanic;
pub use crate::client::custom_transport::SentEntry;
pub use crate::client::record::{Line, Record};
pub use crate::client::stats::{FlushError, Stats};
use crate::client::validate::{ValidConfig, connection_error, validate};

/// A field of an entry: its name, and anything that can be displayed as its value.
pub type Field<'a> = (&'a str, &'a dyn fmt::Display);

/// A client of Loki. Clones share it; dropping the last one stops it.
///
/// Logging never waits for the network: an entry is copied into a buffer, and threads of the client
/// batch, compress and send it. Entries that find the buffer full, or that Loki refuses, are counted
/// in [`Loki::stats`]; nothing is printed.
///
/// # In a static
/// A `static` is never dropped, so nothing would deliver what is still buffered when `main` returns.
/// Keep a [`Loki::stop_on_drop`] guard in `main`:
///
/// ```no_run
/// use std::sync::LazyLock;
/// use loki_push::{Config, Loki};
///
/// static LOKI: LazyLock<Loki> = LazyLock::new(|| {
///     Loki::new(Config::new("http://localhost:3100")).expect("a valid configuration")
/// });
///
/// fn main() {
///     let _guard = LOKI.stop_on_drop();
///     LOKI.info("started", &[]);
/// }
/// ```
///
/// With `panic = "abort"` nothing is dropped when a thread panics: entries that are still buffered
/// then are lost.
///
/// # In async code
/// Logging does not block and can be called anywhere. [`Loki::flush`], [`Loki::stop`] and dropping the
/// last clone block the thread for up to [`Config::flush_timeout`]. Call them on a thread that may
/// block, such as with `tokio::task::spawn_blocking(move || loki.stop())`, or after the runtime has
/// shut down.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use loki_push::{Config, Loki, Request, Response, Transport};
///
/// struct Nowhere;
///
/// impl Transport for Nowhere {
///     fn send(&self, request: &Request, _timeout: Duration) -> Response {
///         assert_eq!(request.label("app"), Some("api"));
///         Response::status(204)
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
#[must_use = "dropping the last clone of a client stops it at once"]
pub struct Loki {
    core: Arc<Core>,
    _owners: Arc<Owners>,
}

/// Stops the client when the last clone is dropped.
struct Owners(Arc<Core>);

// A panic of a caller leaves the client whole: entries are copied under locks that recover.
impl UnwindSafe for Loki {}
impl RefUnwindSafe for Loki {}

/// Stops a client when it is dropped, whoever else holds the client. Made by [`Loki::stop_on_drop`].
#[must_use = "the client is stopped when the guard is dropped"]
#[derive(Debug)]
pub struct StopGuard(Loki);

impl Drop for StopGuard {
    fn drop(&mut self) {
        self.0.core.stop();
    }
}

impl Loki {
    /// A client that sends over HTTP. It opens no connection yet, so it is not an error if Loki is down.
    ///
    /// # Errors
    /// If the configuration is invalid.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a configuration is written for its client, as a rule in the call"
    )]
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let checked = validate(&config)?;
        let http =
            HttpTransport::new(&checked.connection).map_err(|error| connection_error(&error))?;
        Self::start(&config, checked, Arc::new(http))
    }

    /// A client that hands its requests to a transport of the program's own instead of HTTP: for tests,
    /// or to wrap the one that [`Config::http_transport`] makes.
    ///
    /// A transport must not log through the client it serves if that client may block. If it panics,
    /// the request counts as failed and is retried, and [`Stats::trouble`] reports it.
    ///
    /// # Errors
    /// If the configuration is invalid.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "a configuration is written for its client, as a rule in the call"
    )]
    pub fn with_transport(config: Config, push: Arc<dyn Transport>) -> Result<Self, ConfigError> {
        let checked = validate(&config)?;
        Self::start(&config, checked, Arc::new(CatchPanic(push)))
    }

    fn start(
        config: &Config,
        checked: ValidConfig,
        push: Arc<dyn Transport>,
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

    /// Logs a record: an entry with its own time, structured metadata or any level.
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

    /// Stops the client: delivers what was logged, for at most [`Config::flush_timeout`] (or half a
    /// second, if that is longer and Loki does not answer), and returns the final statistics. Entries
    /// logged later, through clones of the client or a bridge, are counted as dropped. A second stop
    /// changes nothing.
    ///
    /// Dropping the last clone does the same. `std::process::exit` drops nothing: stop before it.
    pub fn stop(&self) -> Stats {
        self.core.stop();
        self.stats()
    }

    /// Returns a guard that stops the client when it is dropped, even if clones of the client or a
    /// `static` still hold it. Bind it to a name in `main`.
    pub fn stop_on_drop(&self) -> StopGuard {
        StopGuard(self.clone())
    }

    /// Logs every panic of the program at level `fatal`, with the fields `location` and `thread`, and
    /// flushes, before the panic hook installed so far runs. Panics on the client's own threads are
    /// left out. The hook holds a clone of the client, so pair it with [`Loki::stop_on_drop`].
    pub fn log_panics(&self) {
        let loki = self.clone();
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !crate::sync::own_thread::is_own_thread() {
                let message = panic.payload_as_str().unwrap_or("panicked").to_owned();
                let mut record = Record::new(Level::Fatal, message);
                if let Some(location) = panic.location() {
                    record = record.field("location", location);
                }
                let thread = std::thread::current();
                loki.log(record.field("thread", thread.name().unwrap_or("unnamed")));
                let _ = loki.flush();
            }
            previous(panic);
        }));
    }

    /// Returns the counts of all entries so far, by outcome.
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// Returns warnings about settings that are allowed but unwise, such as credentials over plain
    /// HTTP. They are never printed. With the feature `log` they are also logged once when the client
    /// is made, and `log_bridge::init` ships them as entries.
    pub fn warnings(&self) -> &[String] {
        self.core.warnings()
    }

    /// The core that bridges hand their lines to; it keeps no client alive.
    #[cfg(any(feature = "log", feature = "tracing"))]
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

impl Config {
    /// The HTTP transport that [`Loki::new`] would use, to be wrapped in one of your own and given to
    /// [`Loki::with_transport`].
    ///
    /// # Errors
    /// If the configuration is invalid.
    pub fn http_transport(&self) -> Result<Arc<dyn Transport>, ConfigError> {
        let valid = validate(self)?;
        let http =
            HttpTransport::new(&valid.connection).map_err(|error| connection_error(&error))?;
        Ok(Arc::new(http))
    }
}

impl Drop for Owners {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Shows the URL, and the counts of entries by outcome.
impl fmt::Debug for Loki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loki")
            .field("target", &self.core.target())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
