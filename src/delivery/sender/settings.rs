//! How requests are sent and retried, as the user set it. Knows numbers only.

use std::time::Duration;

use crate::delivery::backoff::Backoff;

/// How requests are sent and retried.
#[derive(Debug, Clone, Copy)]
pub struct SenderSettings {
    /// One request.
    pub timeout: Duration,
    /// Waits between retries.
    pub backoff: Backoff,
    /// Retries after which a request from a pipe or command is given up.
    pub max_retries: Option<u32>,
    /// Requests under way at once.
    pub connections: usize,
    /// How long to go on without progress after the end of input.
    pub flush_timeout: Duration,
    /// Whether to give up at once when retrying cannot mend it and nothing ever succeeded: right
    /// for files read to their end, which stay where they are.
    pub end_when_hopeless: bool,
    /// How long the same bad answer must have come before an entry is suspected to be the reason:
    /// [`CONVINCING`](crate::delivery::sender::CONVINCING), but for tests.
    pub convincing: Duration,
    /// The gzip level for requests that must be written again in parts.
    pub gzip_level: u8,
}
