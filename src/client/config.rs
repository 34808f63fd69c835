//! The configuration of a client: a builder with a default for everything but the URL. It holds
//! what was set; `validate` checks it. `Debug` shows no secret.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::client::connection::{Auth, without_credentials};
use crate::delivery::sender::TroubleHook;
use crate::http::client::TlsSettings;

/// What happens to entries when the buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnFull {
    /// New entries are dropped and counted: a caller never waits.
    #[default]
    DropNewest,
    /// The oldest waiting batch is dropped and counted: a caller never waits. (If callers log faster
    /// than batches can be encoded, new entries are dropped instead.)
    DropOldest,
    /// The caller waits for room. While delivery fails for a reason that needs manual action, such as
    /// a wrong password, new entries are dropped instead.
    Block,
}

/// The settings of a [`Loki`](crate::Loki) client. Every setting but the URL has a default.
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
    pub(super) headers: Vec<(String, String)>,
    pub(super) on_trouble: Option<TroubleHook>,
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
    /// Default settings for the Loki at this URL: its base (`http://localhost:3100`), or the full push
    /// URL if its path ends in `/push`.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            app: "default".into(),
            environment: None,
            labels: Vec::new(),
            auth: Auth::None,
            tenant: None,
            headers: Vec::new(),
            on_trouble: None,
            tls: TlsSettings::default(),
            proxy: None,
            batch_size: 10_000,
            max_batch_bytes: 1024 * 1024,
            flush_interval: Duration::from_secs(1),
            max_message_size: 256 * 1024,
            buffer: 32 * 1024 * 1024,
            on_full: OnFull::default(),
            gzip_level: crate::batch::encode::GZIP_LEVEL,
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

    /// An extra label for all entries, such as `host`. Use a field for anything that differs from
    /// entry to entry: Loki keeps a stream open for each set of labels.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Sends a batch at this many entries (default 10,000).
    pub fn batch_size(mut self, entries: usize) -> Self {
        self.batch_size = entries;
        self
    }

    /// Sends a batch at this size in bytes, counted as line, metadata and 64 bytes per entry (default
    /// 1 MiB).
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.max_batch_bytes = bytes;
        self
    }

    /// Sends a batch when its oldest entry is this old (default 1 s).
    pub fn flush_interval(mut self, time: Duration) -> Self {
        self.flush_interval = time.min(FOREVER);
        self
    }

    /// The largest entry, in bytes (default 256 KiB, Loki's own default limit). A longer one is cut
    /// into several, each with the same fields.
    pub fn max_message_size(mut self, bytes: usize) -> Self {
        self.max_message_size = bytes;
        self
    }

    /// Memory for waiting entries, in bytes (default 32 MiB), whether they are still to be encoded or
    /// already compressed. At least a quarter of it is always open to new entries.
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.buffer = bytes;
        self
    }

    /// What happens when the buffer is full (default: new entries are dropped).
    pub fn on_full(mut self, on_full: OnFull) -> Self {
        self.on_full = on_full;
        self
    }

    /// The gzip level, from 1 (fast) to 9 (small); 0 sends plain JSON.
    pub fn gzip_level(mut self, level: u8) -> Self {
        self.gzip_level = level;
        self
    }

    /// How long one request may take (default 10 s).
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time.min(FOREVER);
        self
    }

    /// Gives up on a batch after this many retries. Without a limit it is retried for as long as the
    /// buffer has room.
    pub fn max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries);
        self
    }

    /// The wait before the first retry (default 1 s); it doubles with each retry.
    pub fn retry_backoff(mut self, time: Duration) -> Self {
        self.retry_backoff = time.min(FOREVER);
        self
    }

    /// The longest wait between retries (default 30 s).
    pub fn max_backoff(mut self, time: Duration) -> Self {
        self.max_backoff = time.min(FOREVER);
        self
    }

    /// How long [`flush`](crate::Loki::flush), [`stop`](crate::Loki::stop) and dropping the last clone
    /// of the client may take (default 5 s).
    pub fn flush_timeout(mut self, time: Duration) -> Self {
        self.flush_timeout = time.min(FOREVER);
        self
    }

    /// Credentials; none by default.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// The tenant of a multi-tenant Loki (`X-Scope-OrgID`).
    pub fn tenant(mut self, id: impl Into<String>) -> Self {
        self.tenant = Some(id.into());
        self
    }

    /// CA certificates to trust instead of the system's, in PEM. A self-signed server certificate can
    /// be given here directly.
    ///
    /// ```no_run
    /// # use loki_push::Config;
    /// let config = Config::new("https://loki.internal:3100")
    ///     .ca_certificate(std::fs::read("/etc/ssl/corp-ca.pem")?);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn ca_certificate(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.authority = Some(pem.into());
        self
    }

    /// A client certificate, followed by any intermediate certificates, and its private key, both in
    /// PEM.
    pub fn client_certificate(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.tls.client = Some((certificate.into(), key.into()));
        self
    }

    /// Skips verification of the server's certificate. Only for tests: anyone on the network path can
    /// then read what is sent.
    pub fn tls_skip_verify(mut self, skip: bool) -> Self {
        self.tls.skip_verify = skip;
        self
    }

    /// The proxy for all requests (`http://user:password@host:port`, https or socks5). Defaults to
    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` of the environment. Loopback addresses are never
    /// proxied.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Some(url.into());
        self
    }

    /// An extra header for every request. It replaces a header of the same name that the client would
    /// send. Headers of the body, such as `Content-Type`, cannot be set.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Calls `hook` when delivery runs into trouble, with a description of it, and with `None` when
    /// entries are delivered again. It runs on a thread of the client and must not block.
    pub fn on_trouble(mut self, hook: impl Fn(Option<&str>) + Send + Sync + 'static) -> Self {
        self.on_trouble = Some(Arc::new(hook));
        self
    }
}

/// A hundred years: in effect for ever, and unlike `Duration::MAX` it can be added to any instant.
const FOREVER: Duration = Duration::from_secs(3_200_000_000);

/// Shows no credentials, not even those in the URL.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("endpoint", &without_credentials(&self.endpoint))
            .field("app", &self.app)
            .field("environment", &self.environment)
            .field("labels", &self.labels)
            .field("auth", &self.auth)
            .field("tenant", &self.tenant)
            .field(
                "headers",
                &self
                    .headers
                    .iter()
                    .map(|(name, _)| name)
                    .collect::<Vec<_>>(),
            )
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
            .finish_non_exhaustive()
    }
}

/// An invalid [`Config`]: names the setting, the problem and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    pub(super) setting: &'static str,
    pub(super) problem: String,
}

impl ConfigError {
    /// The setting, named after the method of [`Config`] that sets it; `endpoint` for the URL,
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
