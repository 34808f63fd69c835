//! The transport trait, through which the sender sends requests, and the HTTP client behind it.

pub mod abort;
pub mod client;
pub mod credentials;
pub mod dns;
pub mod error;
pub mod exchange;
pub mod proxy;
pub mod response;
pub mod setting_names;
pub mod settings;
pub mod system_roots;
pub mod tcp;
pub mod tenant;
pub mod tls;
pub mod tls_connector;
pub mod tls_reload;
pub mod url;
pub mod x509;

use std::time::{Duration, Instant};

use crate::entry::request::Request;

/// The minimum bandwidth in bytes per second that timeouts assume.
const SLOWEST_LINK: u64 = 8 * 1024;

/// The timeout for a request with a body of this size, which is longer for large bodies. The bytes
/// written so far are no measure of progress, since the kernel buffers megabytes.
pub fn time_for_body(timeout: Duration, body: usize) -> Duration {
    timeout.saturating_add(Duration::from_millis(body as u64 * 1000 / SLOWEST_LINK))
}

/// Somewhere requests go: Loki over HTTP, or a test's own.
pub trait Push: Send + Sync {
    /// Sends a request once and waits for the answer, at most for `timeout`.
    fn push(&self, request: &Request, timeout: Duration) -> Answer;

    /// The URL that requests go to, without credentials, if there is one: messages name it.
    fn url(&self) -> Option<&str> {
        None
    }

    /// Whether a request may be on its way. While a connection is being opened none is.
    fn is_sending(&self) -> bool {
        true
    }

    /// If a request under way may take until after `later_than`, lets all that are fail now: the run
    /// ends before that. Without it they take what they take, and the run ends without them.
    fn break_off(&self, later_than: Instant) {
        let _ = later_than;
    }
}

/// What came back from one try to send a request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// The server answered.
    Status {
        /// The HTTP status.
        code: u16,
        /// What the header `Retry-After` asks for.
        retry_after: Option<Duration>,
        /// The beginning of the body, or where a redirect points.
        text: String,
    },
    /// There was no answer, or none that can be read.
    Failed {
        /// What went wrong, in a few words.
        text: String,
        /// Whether only a person can mend it, as a certificate that is not trusted.
        lasting: bool,
    },
}
