//! The bridge from the `log` crate: what a program logs with its macros goes to Loki.
//!
//! Knows how a `log` record becomes an entry, and which records must not: those of this crate and
//! of its HTTP stack, or each request would log the next one.
//!
//! Standing alone:
//!
//! ```no_run
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let _loki = loki_push::log::init(loki_push::Config::new("http://localhost:3100").app("api"))?;
//!     log::info!(user_id = 42; "user logged in");
//!     Ok(()) // `_loki` is dropped here, which delivers what is still buffered
//! }
//! ```
//!
//! The entry is `user logged in | user_id=42 target=api module=api line=4`, its level a label.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use ::log::kv::{self, Key, Value, VisitSource};
use ::log::{LevelFilter, Log, Metadata, SetLoggerError};

use crate::client::{Config, ConfigError, Core, Line, Loki};
use crate::entry::UNSTAMPED;
use crate::parse::level::Level;

/// Crates whose records are not taken: a request that logs would ask for another request.
const OWN: [&str; 8] = [
    "loki_push",
    "ureq",
    "ureq_proto",
    "rustls",
    "rustls_native_certs",
    "rustls_platform_verifier",
    "webpki",
    "webpki_roots",
];

/// Takes the records of the `log` crate to a client. Made by
/// [`Loki::logger`](crate::Loki::logger).
///
/// Each entry has the record's key-values as fields, and behind them `target`, `module` and `line`.
/// It does not keep the client alive: once that is stopped, records are counted as dropped.
///
/// ```
/// # use std::{sync::{Arc, Mutex}, time::Duration};
/// # use loki_push::{Answer, Config, Loki, Push, Request};
/// # #[derive(Default)]
/// # struct Kept(Mutex<Vec<String>>);
/// # impl Push for Kept {
/// #     fn push(&self, request: &Request, _: Duration) -> Answer {
/// #         self.0.lock().unwrap().extend(request.lines());
/// #         Answer::status(204)
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
}

impl Loki {
    /// A bridge from the `log` crate to this client. It does not keep the client alive.
    pub fn logger(&self) -> Logger {
        Logger::new(Arc::clone(self.core()))
    }
}

impl Logger {
    fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Makes it the program's logger, for records of this level and above.
    ///
    /// # Errors
    /// If the program has a logger already.
    pub fn install(self, level: LevelFilter) -> Result<(), SetLoggerError> {
        ::log::set_boxed_logger(Box::new(self))?;
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
        !is_own(metadata.target())
    }

    fn log(&self, record: &::log::Record<'_>) {
        if !self.enabled(record.metadata()) || record.module_path().is_some_and(is_own) {
            return;
        }
        let message = match record.args().as_str() {
            Some(text) => text.to_owned(),
            None => record.args().to_string(),
        };
        let mut line = Line::new(message);
        // What a source fails to show is left out; the rest of the record is still worth having.
        let _ = record.key_values().visit(&mut Fields(&mut line));
        line.field("target", &record.target());
        if let Some(module) = record.module_path() {
            line.field("module", &module);
        }
        if let Some(number) = record.line() {
            line.field("line", &number);
        }
        self.core.enter(level(record.level()), &line, "", UNSTAMPED);
    }

    /// Waits as [`Loki::flush`](crate::Loki::flush) does; what still waits then shows in the
    /// client's statistics.
    fn flush(&self) {
        let _ = self.core.flush();
    }
}

/// Makes a client and installs its bridge as the program's logger, for records of level `info` and
/// above (`log::set_max_level` changes that). The client that is given back is to be kept until the
/// program ends: dropping it delivers what is buffered, and stops.
///
/// What is allowed but not wise in the configuration ([`Loki::warnings`]) becomes an entry: no other
/// logger is there to say it.
///
/// # Errors
/// If the configuration is wrong, or the program has a logger already.
pub fn init(config: Config) -> Result<Loki, InitError> {
    let loki = Loki::new(config).map_err(InitError::Config)?;
    loki.logger()
        .install(LevelFilter::Info)
        .map_err(InitError::Installed)?;
    // Not by the macros: the bridge takes no records of this crate.
    for warning in loki.warnings() {
        loki.warn(warning, &[("target", &"loki_push")]);
    }
    Ok(loki)
}

/// Why [`init`] failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum InitError {
    /// The configuration is wrong.
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

/// Whether a target or module is this crate's or its HTTP stack's.
fn is_own(path: &str) -> bool {
    let root = path.split_once("::").map_or(path, |(root, _)| root);
    OWN.contains(&root)
}

fn level(level: ::log::Level) -> Level {
    match level {
        ::log::Level::Error => Level::Error,
        ::log::Level::Warn => Level::Warn,
        ::log::Level::Info => Level::Info,
        ::log::Level::Debug => Level::Debug,
        ::log::Level::Trace => Level::Trace,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_records_are_told_apart_by_crate_not_by_prefix() {
        assert!(is_own("ureq::unversioned::transport"));
        assert!(is_own("rustls"));
        assert!(!is_own("rustls_of_mine::x") && !is_own("api::ureq"));
    }
}
