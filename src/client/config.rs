//! The client's configuration: what a program sets, in the words of the Python client.
//!
//! Holds, with a default for everything but the address. The settings of the way to Loki stand in
//! `way`; what is right is decided in `check`. Shows no secret.

use std::fmt;
use std::time::Duration;

use crate::client::connection::{Auth, without_credentials};
use crate::http::client::TlsSettings;

/// What happens to entries for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnFull {
    /// Those that come are dropped, and counted: a caller never waits.
    #[default]
    DropNewest,
    /// The batch that has waited longest is dropped, and counted: a caller never waits. (If callers
    /// outrun even the packing of batches, what comes is dropped.)
    DropOldest,
    /// The caller waits. While Loki answers what only a person can mend (a wrong password), what
    /// comes is dropped all the same.
    Block,
}

/// How a [`Loki`](crate::Loki) client works. Every setting but the address has a default.
///
/// ```
/// use std::time::Duration;
/// use loki_push::{Auth, Config};
///
/// let config = Config::new("https://loki.example.com")
///     .app("api")
///     .environment("prod")
///     .label("host", "web-1")
///     .auth(Auth::basic("12345", "glc_secret"))
///     .flush_interval(Duration::from_millis(500));
/// assert!(!format!("{config:?}").contains("secret"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct Config {
    pub(super) endpoint: String,
    pub(super) app: String,
    pub(super) environment: Option<String>,
    pub(super) labels: Vec<(String, String)>,
    pub(super) auth: Auth,
    pub(super) tenant: Option<String>,
    pub(super) tls: TlsSettings,
    pub(super) proxy: Option<String>,
    pub(super) batch_size: usize,
    pub(super) max_batch_bytes: usize,
    pub(super) flush_interval: Duration,
    pub(super) max_message_size: usize,
    pub(super) buffer: usize,
    pub(super) on_full: OnFull,
    pub(super) gzip_level: u8,
    pub(super) timeout: Duration,
    pub(super) max_retries: Option<u32>,
    pub(super) retry_backoff: Duration,
    pub(super) max_backoff: Duration,
    pub(super) flush_timeout: Duration,
}

impl Config {
    /// Defaults for the Loki at this address: its base (`http://localhost:3100`), or the whole push
    /// address if its path ends in `/push`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            app: "default".into(),
            environment: None,
            labels: Vec::new(),
            auth: Auth::None,
            tenant: None,
            tls: TlsSettings::default(),
            proxy: None,
            batch_size: 10_000,
            max_batch_bytes: 1024 * 1024,
            flush_interval: Duration::from_secs(1),
            max_message_size: 256 * 1024,
            buffer: 32 * 1024 * 1024,
            on_full: OnFull::default(),
            gzip_level: crate::batch::defaults::GZIP_LEVEL,
            timeout: Duration::from_secs(10),
            max_retries: None,
            retry_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
            flush_timeout: Duration::from_secs(5),
        }
    }

    /// The label `app`; `default` if it is not set.
    pub fn app(mut self, name: impl Into<String>) -> Self {
        self.app = name.into();
        self
    }

    /// The label `env`; none if it is not set.
    pub fn environment(mut self, name: impl Into<String>) -> Self {
        self.environment = Some(name.into());
        self
    }

    /// A further label, the same for all entries, as `host`. What differs from entry to entry is a
    /// field: each set of labels is a stream that Loki keeps open.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// A batch leaves when it has so many entries (10,000) …
    pub fn batch_size(mut self, entries: usize) -> Self {
        self.batch_size = entries;
        self
    }

    /// … or so many bytes of lines, metadata and 64 an entry (1 MiB) …
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.max_batch_bytes = bytes;
        self
    }

    /// … or when its first entry is this old (1 s).
    pub fn flush_interval(mut self, time: Duration) -> Self {
        self.flush_interval = time.min(FOR_EVER);
        self
    }

    /// The longest entry, in bytes (256 KiB: Loki refuses more). A longer one is cut into several,
    /// each with the same fields.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// Memory for entries that wait (32 MiB): a quarter of it for those that are not packed yet,
    /// the rest for packed batches.
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes;
        self
    }

    /// What happens when the buffer is full (the newest are dropped).
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// The gzip level, from 1 to 9; 0 sends plain JSON.
    pub fn gzip_level(mut self, level: u8) -> Self {
        self.gzip_level = level;
        self
    }

    /// The longest wait for the answer to one request (10 s).
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time.min(FOR_EVER);
        self
    }

    /// A batch is given up after so many retries; without a limit it waits as long as the buffer
    /// has room.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// The wait before the first retry (1 s), doubled with each further one …
    pub fn retry_backoff(mut self, time: Duration) -> Self {
        self.retry_backoff = time.min(FOR_EVER);
        self
    }

    /// … up to this (30 s).
    pub fn max_backoff(mut self, time: Duration) -> Self {
        self.max_backoff = time.min(FOR_EVER);
        self
    }

    /// How long [`flush`](crate::Loki::flush), [`stop`](crate::Loki::stop) and dropping the client
    /// may take (5 s).
    pub fn flush_timeout(mut self, time: Duration) -> Self {
        self.flush_timeout = time.min(FOR_EVER);
        self
    }
}

/// A hundred years: for ever, and it still fits every clock, as `Duration::MAX` does not.
const FOR_EVER: Duration = Duration::from_secs(3_200_000_000);

/// Without credentials, the address's own too.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("endpoint", &without_credentials(&self.endpoint))
            .field("app", &self.app)
            .field("environment", &self.environment)
            .field("labels", &self.labels)
            .field("auth", &self.auth)
            .field("tenant", &self.tenant)
            .field("ca_certificate", &self.tls.authority.is_some())
            .field("client_certificate", &self.tls.client.is_some())
            .field("tls_skip_verify", &self.tls.skip_verify)
            .field("proxy", &self.proxy.as_deref().map(without_credentials))
            .field("batch_size", &self.batch_size)
            .field("max_batch_bytes", &self.max_batch_bytes)
            .field("flush_interval", &self.flush_interval)
            .field("max_message_size", &self.max_message_size)
            .field("buffer", &self.buffer)
            .field("on_full", &self.on_full)
            .field("gzip_level", &self.gzip_level)
            .field("timeout", &self.timeout)
            .field("max_retries", &self.max_retries)
            .field("retry_backoff", &self.retry_backoff)
            .field("max_backoff", &self.max_backoff)
            .field("flush_timeout", &self.flush_timeout)
            .finish()
    }
}

/// What is wrong with a [`Config`]: which setting, why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) setting: &'static str,
    pub(super) problem: String,
}

impl ConfigError {
    /// The setting, named as the method of [`Config`] that sets it; `endpoint` for the address,
    /// `threads` if the threads of a client could not be started.
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.problem)
    }
}

impl std::error::Error for ConfigError {}
