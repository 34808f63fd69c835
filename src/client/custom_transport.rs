//! What a program's own transport sees: the public side of requests and answers; and what becomes
//! of one that panics.
//!
//! Knows how the nouns of `shipment` look from outside. Sends nothing.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::encode;
use crate::entry::request::Request;
use crate::http::Answer;
use crate::http::Push;

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

    /// How many entries it holds.
    pub fn entries(&self) -> usize {
        self.entries
    }

    /// The lines of its entries, read back from the body: made for tests.
    pub fn lines(&self) -> Vec<String> {
        // A body that we wrote can be read; one that cannot has no lines.
        let opened = encode::open(self).ok();
        let entries = opened.iter().flat_map(encode::DecodedRequest::entries);
        entries.map(|entry| entry.line.to_owned()).collect()
    }
}

impl Answer {
    /// An answer of this status, without words. 200 and 204 mean that the entries are stored.
    pub fn status(code: u16) -> Self {
        Self::Status {
            code,
            retry_after: None,
            text: String::new(),
        }
    }

    /// No answer, and why in a few words: the request will be sent again.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed {
            text: text.into(),
            lasting: false,
        }
    }

    /// With the body's text, which says what was refused.
    #[must_use]
    pub fn with_text(mut self, words: impl Into<String>) -> Self {
        let (Self::Status { text, .. } | Self::Failed { text, .. }) = &mut self;
        *text = words.into();
        self
    }

    /// With a wait that the server asked for (`Retry-After`).
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        if let Self::Status { retry_after, .. } = &mut self {
            *retry_after = Some(wait);
        }
        self
    }
}

/// A program's own transport, whose panics are failures: else one would end the thread that ships,
/// and with it all delivery, unseen.
pub struct CatchPanic(pub Arc<dyn Push>);

impl Push for CatchPanic {
    fn push(&self, request: &Request, timeout: Duration) -> Answer {
        // What it keeps of its own is its own to keep whole.
        let pushed = panic::catch_unwind(AssertUnwindSafe(|| self.0.push(request, timeout)));
        pushed.unwrap_or_else(|panicked| {
            let said = words(&*panicked);
            Answer::failed(said.map_or("the transport panicked".to_owned(), |said| {
                format!("the transport panicked: {said}")
            }))
        })
    }

    fn break_off(&self, later_than: Instant) {
        let _ = panic::catch_unwind(AssertUnwindSafe(|| self.0.break_off(later_than)));
    }
}

/// What a panic says.
fn words(panicked: &(dyn Any + Send)) -> Option<&str> {
    let text = panicked.downcast_ref::<String>().map(String::as_str);
    text.or(panicked.downcast_ref::<&str>().copied())
}
