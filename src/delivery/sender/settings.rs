//! The settings of the sender.

use std::time::Duration;

use crate::delivery::backoff::Backoff;

/// How requests are sent and retried.
#[derive(Debug, Clone, Copy)]
pub struct SenderSettings {
    /// The timeout of a request with a small body.
    pub timeout: Duration,
    /// The waits between retries.
    pub backoff: Backoff,
    /// Number of retries after which a request from a pipe or command is given up.
    pub max_retries: Option<u32>,
    /// Maximum number of concurrent requests.
    pub connections: usize,
    /// How long to continue without progress after the end of input.
    pub flush_timeout: Duration,
    /// Whether to give up at a configuration fault if nothing ever succeeded: for files read to their
    /// end, which are not lost.
    pub end_when_hopeless: bool,
    /// How long the same bad answer must have come before an entry is suspected to be the reason:
    /// [`CONVINCING`](crate::delivery::sender::CONVINCING), but for tests.
    pub convincing: Duration,
    /// The gzip level for requests that must be written again in parts.
    pub gzip_level: u8,
}
