//! Pushing: one request, one answer.
//!
//! The trait is all the shipping thread knows of a destination. Knows nothing of retrying, of
//! queues or of counters.

#[cfg(feature = "cli")]
pub mod dry;
pub mod http;

use std::time::{Duration, Instant};

use crate::shipment::{Answer, Request};

/// Somewhere requests go: Loki over HTTP, or a test's own.
pub trait Push: Send + Sync {
    /// Sends a request once and waits for the answer, at most for `timeout`.
    fn push(&self, request: &Request, timeout: Duration) -> Answer;

    /// If a request under way may take until after `later_than`, lets all that are fail now: the run
    /// ends before that. Without it they take what they take, and the run ends without them.
    fn break_off(&self, later_than: Instant) {
        let _ = later_than;
    }
}
