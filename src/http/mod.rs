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

/// Sends requests: to Loki over HTTP, or wherever a program's own transport sends them.
pub trait Transport: Send + Sync {
    /// Sends a request once, and waits for the response for at most `timeout`.
    fn send(&self, request: &Request, timeout: Duration) -> Response;

    /// The URL that requests go to, without credentials, for messages.
    fn url(&self) -> Option<&str> {
        None
    }

    /// Whether a request may be on its way. It is not while a connection is being opened.
    fn is_sending(&self) -> bool {
        true
    }

    /// Aborts all requests in flight if one of them may take until after `deadline`, because the run
    /// ends before that. Without this the run ends while they are in flight.
    fn abort_slow(&self, deadline: Instant) {
        let _ = deadline;
    }
}

/// The result of sending a request once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response {
    /// The server responded.
    Status {
        /// The HTTP status.
        code: u16,
        /// The wait that the header `Retry-After` asks for.
        retry_after: Option<Duration>,
        /// The beginning of the body, or the target of a redirect.
        text: String,
    },
    /// No response came, or none that can be read.
    Failed {
        /// The reason, in a few words.
        text: String,
        /// Whether only a person can fix it, such as a certificate that is not trusted.
        permanent: bool,
    },
}
