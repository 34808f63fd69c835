//! The public side of requests and responses, for a program's own transport; and the guard that turns
//! a panic of such a transport into a failed request.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::encode;
use crate::entry::request::Request;
use crate::http::Response;
use crate::http::Transport;

impl Request {
    /// The labels of its stream, sorted by name.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.labels.pairs().iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of one label of its stream.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name)
    }

    /// The body, as it goes to `/loki/api/v1/push`: JSON, gzipped if [`Request::is_gzip`].
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the body is gzipped (`Content-Encoding: gzip`).
    pub fn is_gzip(&self) -> bool {
        self.gzip
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// The lines of its entries, decoded from the body. Meant for tests.
    pub fn lines(&self) -> Vec<String> {
        let entries = self.decode().into_iter();
        entries.map(|entry| entry.line).collect()
    }

    /// Its entries with time and structured metadata, decoded from the body. Meant for tests.
    pub fn decode(&self) -> Vec<SentEntry> {
        // The encoder's own bodies always decode.
        let decoded = encode::open(self).ok();
        let entries = decoded.iter().flat_map(encode::DecodedRequest::entries);
        let owned = entries.map(|entry| SentEntry {
            nanoseconds: entry.time,
            line: entry.line.to_owned(),
            metadata: serde_json::from_str(entry.metadata).unwrap_or_default(),
        });
        owned.collect()
    }
}

/// One entry of a [`Request`], as Loki receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SentEntry {
    /// The timestamp, in nanoseconds since 1970 (UTC).
    pub nanoseconds: i64,
    /// The line.
    pub line: String,
    /// The structured metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Shows the body's size, not its bytes.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("labels", &self.labels)
            .field("entries", &self.entries)
            .field("body_bytes", &self.body.len())
            .field("gzip", &self.gzip)
            .finish_non_exhaustive()
    }
}

impl Response {
    /// A response with this status and an empty body. 204 means that the entries are stored.
    pub fn status(code: u16) -> Self {
        Self::Status {
            code,
            retry_after: None,
            text: String::new(),
        }
    }

    /// No response, and the reason in a few words: the request is retried.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed {
            text: text.into(),
            permanent: false,
        }
    }

    /// Sets the text of the body, which explains a refusal.
    #[must_use]
    pub fn with_text(mut self, words: impl Into<String>) -> Self {
        let (Self::Status { text, .. } | Self::Failed { text, .. }) = &mut self;
        *text = words.into();
        self
    }

    /// Sets the wait that the server asks for (`Retry-After`).
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        if let Self::Status { retry_after, .. } = &mut self {
            *retry_after = Some(wait);
        }
        self
    }
}

/// Wraps a program's own transport so that a panic counts as a failed request. Without it a panic
/// would end the sender thread, and with it all delivery.
pub struct CatchPanic(pub Arc<dyn Transport>);

impl Transport for CatchPanic {
    fn send(&self, request: &Request, timeout: Duration) -> Response {
        let pushed = panic::catch_unwind(AssertUnwindSafe(|| self.0.send(request, timeout)));
        pushed.unwrap_or_else(|panicked| {
            let said = words(&*panicked);
            Response::failed(said.map_or("the transport panicked".to_owned(), |said| {
                format!("the transport panicked: {said}")
            }))
        })
    }

    fn abort_slow(&self, later_than: Instant) {
        let _ = panic::catch_unwind(AssertUnwindSafe(|| self.0.abort_slow(later_than)));
    }
}

/// The message of a panic.
fn words(panicked: &(dyn Any + Send)) -> Option<&str> {
    let text = panicked.downcast_ref::<String>().map(String::as_str);
    text.or(panicked.downcast_ref::<&str>().copied())
}
