//! The bridge from the `log` crate: records that a program logs with its macros go to Loki.
//!
//! On its own:
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let loki = loki_push::log_bridge::init(loki_push::Config::new("http://localhost:3100"))?;
//!     log::info!(user_id = 42; "user logged in");
//!     loki.stop(); // delivers what is still buffered; dropping `loki` does the same
//!     Ok(())
//! }
//! ```
//!
//! The entry is `user logged in | user_id=42 target=api module=api line=4`, its level a label. Records
//! logged on the client's own threads are left out: each request would otherwise log the next one.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use ::log::kv::{self, Key, Value, VisitSource};
use ::log::{LevelFilter, Log, Metadata, SetLoggerError};

use crate::client::{Config, ConfigError, Core, Line, Loki};
use crate::entry::UNSTAMPED;
use crate::parse::level::Level;
use crate::sync::own_thread::is_own_thread;

/// Hands the records of the `log` crate to a client. Made by [`Loki::logger`](crate::Loki::logger).
///
/// Each entry has the record's key-values as fields, followed by `target`, `module` and `line`. It
/// does not keep the client alive: once that is stopped, records are counted as dropped.
///
/// ```
/// # use std::{sync::{Arc, Mutex}, time::Duration};
/// # use loki_push::{Config, Loki, Request, Response, Transport};
/// # #[derive(Default)]
/// # struct Kept(Mutex<Vec<String>>);
/// # impl Transport for Kept {
/// #     fn send(&self, request: &Request, _: Duration) -> Response {
/// #         self.0.lock().unwrap().extend(request.lines());
/// #         Response::status(204)
/// #     }
/// # }
/// # let kept = Arc::new(Kept::default());
/// # let config = Config::new("http://localhost:3100");
/// let loki = Loki::with_transport(config, kept.clone())?;
/// loki.logger().install(log::LevelFilter::Info)?;
///
/// log::info!(target: "shop", order = 7; "paid");
/// log::debug!("not for Loki");
/// loki.flush()?;
/// # let lines = kept.0.lock().unwrap();
/// # assert_eq!(lines.len(), 1);
/// assert!(lines[0].starts_with("paid | order=7 target=shop module="));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Logger {
    core: Arc<Core>,
    level: LevelFilter,
}

impl Loki {
    /// A bridge from the `log` crate to this client. It does not keep the client alive.
    pub fn logger(&self) -> Logger {
        Logger {
            core: Arc::clone(self.core()),
            level: LevelFilter::Trace,
        }
    }
}

impl Logger {
    /// Takes records of this level and above only; all of them without this.
    #[must_use]
    pub fn with_level(mut self, level: LevelFilter) -> Self {
        self.level = level;
        self
    }

    /// Makes it the program's logger, for records of this level and above.
    ///
    /// # Errors
    /// If the program has a logger already.
    pub fn install(self, level: LevelFilter) -> Result<(), SetLoggerError> {
        ::log::set_boxed_logger(Box::new(self.with_level(level)))?;
        ::log::set_max_level(level);
        Ok(())
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").finish_non_exhaustive()
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.level && !is_own_thread()
    }

    fn log(&self, record: &::log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = match record.args().as_str() {
            Some(text) => text.to_owned(),
            None => record.args().to_string(),
        };
        let mut line = Line::new(message);
        // A key-value that fails to show itself is left out; the rest of the record is kept.
        let _ = record.key_values().visit(&mut Fields(&mut line));
        line.field("target", &record.target());
        if let Some(module) = record.module_path() {
            line.field("module", &module);
        }
        if let Some(number) = record.line() {
            line.field("line", &number);
        }
        self.core.enter(record.level().into(), &line, "", UNSTAMPED);
    }

    /// Waits as [`Loki::flush`](crate::Loki::flush) does; what still waits then shows in the
    /// client's statistics.
    fn flush(&self) {
        let _ = self.core.flush();
    }
}

/// Makes a client and installs its bridge as the program's logger, for records of level `info` and
/// above. Keep the client that is returned until the program ends: dropping it delivers what is
/// buffered, and stops. `let _ = init(…)` stops it at once; bind it to a name.
///
/// Warnings about the configuration ([`Loki::warnings`]) become entries, since no other logger could
/// report them.
///
/// # Errors
/// If the configuration is invalid, or the program has a logger already.
pub fn init(config: Config) -> Result<Loki, InitError> {
    let loki = Loki::new(config).map_err(InitError::Config)?;
    loki.logger()
        .install(LevelFilter::Info)
        .map_err(InitError::Installed)?;
    for warning in loki.warnings() {
        loki.warn(warning, &[("target", &"loki_push")]);
    }
    Ok(loki)
}

/// The error of [`init`].
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// The configuration is invalid.
    Config(ConfigError),
    /// The program has a logger already.
    Installed(SetLoggerError),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Installed(error) => error.fmt(f),
        }
    }
}

impl Error for InitError {}

/// Writes key-values as fields.
struct Fields<'a>(&'a mut Line);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.0.field(key.as_str(), &value);
        Ok(())
    }
}

impl From<::log::Level> for Level {
    fn from(level: ::log::Level) -> Self {
        match level {
            ::log::Level::Error => Self::Error,
            ::log::Level::Warn => Self::Warn,
            ::log::Level::Info => Self::Info,
            ::log::Level::Debug => Self::Debug,
            ::log::Level::Trace => Self::Trace,
        }
    }
}
