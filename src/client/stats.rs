//! The statistics of a client: all entries by outcome.

use std::collections::BTreeMap;
use std::fmt;

use crate::report::counters::Counts;
use crate::report::humanize::counted;

/// The counts of all entries so far, by outcome. `logged = sent + refused + dropped + pending` holds at
/// every moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries logged. A message that was cut counts as one entry per part.
    pub logged: u64,
    /// Entries that Loki confirmed.
    pub sent: u64,
    /// Entries that Loki refused; `reasons` tells why.
    pub refused: u64,
    /// Entries dropped: no room, too many retries, not delivered before the stop, or logged after it.
    pub dropped: u64,
    /// Entries that are buffered or being sent.
    pub pending: u64,
    /// Pending entries that failed to be sent and will be retried.
    pub retrying: u64,
    /// Batches passed on to the sender.
    pub batches: u64,
    /// Requests made.
    pub requests: u64,
    /// Requests that were retries.
    pub retries: u64,
    /// Bytes of request bodies, including retries.
    pub bytes_sent: u64,
    /// Number of refused or dropped entries for each reason.
    pub reasons: BTreeMap<String, u64>,
    /// The current delivery error, if delivery is failing: Loki's message, or that of the connection.
    pub trouble: Option<String>,
}

impl Stats {
    /// Derives the statistics from the counters. After the stop, entries that are left count as dropped.
    pub(super) fn new(
        counts: Counts,
        retrying: usize,
        batches: u64,
        trouble: Option<String>,
        stopped: bool,
    ) -> Self {
        let left = counts.left();
        let mut stats = Self {
            logged: counts.read,
            sent: counts.delivered,
            refused: counts.refused,
            dropped: counts.dropped + counts.filtered + counts.spooled,
            pending: left,
            // It is updated a moment before or after the outcomes are counted.
            retrying: left.min(retrying as u64),
            batches,
            requests: counts.requests,
            retries: counts.retries,
            bytes_sent: counts.bytes_sent,
            reasons: counts.reasons,
            trouble,
        };
        if stopped && left > 0 {
            stats.dropped += left;
            (stats.pending, stats.retrying) = (0, 0);
            *stats.reasons.entry("left at the stop".into()).or_default() += left;
        }
        stats
    }
}

/// `logged 3, sent 2, refused 0, dropped 1, pending 0; buffer full: 1`.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "logged {}, sent {}, refused {}, dropped {}, pending {}",
            self.logged, self.sent, self.refused, self.dropped, self.pending
        )?;
        for (reason, entries) in &self.reasons {
            write!(f, "; {reason}: {entries}")?;
        }
        Ok(())
    }
}

/// Why a [`flush`](crate::Loki::flush) failed: entries still wait, or a stop has left some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlushError {
    pub(super) pending: u64,
    pub(super) target: String,
    pub(super) trouble: Option<String>,
    pub(super) stopped: bool,
}

impl FlushError {
    /// Number of entries that were still waiting. After a stop, the number of entries that it left, which
    /// [`Stats`] counts as dropped.
    pub fn pending(&self) -> u64 {
        self.pending
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stopped {
            let entries = counted(self.pending, "entry was", "entries were");
            write!(
                f,
                "{entries} left at the stop, not delivered to {}",
                self.target
            )?;
        } else {
            let entries = counted(self.pending, "entry waits", "entries wait");
            write!(f, "{entries} for {}", self.target)?;
        }
        match &self.trouble {
            Some(trouble) => write!(f, ": {trouble}"),
            None => f.write_str("; give flush_timeout more time"),
        }
    }
}

impl std::error::Error for FlushError {}
