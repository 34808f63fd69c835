//! Statistics: what became of every entry that was logged, as a program sees it.
//!
//! Knows the ledger's counts; counts nothing itself.

use std::collections::BTreeMap;
use std::fmt;

use crate::report::humanize::counted;
use crate::report::summary::Counts;

/// What became of every entry so far. One unit, entries, and one law, that holds at every moment:
/// `logged = sent + errors + dropped + pending`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Entries logged. A message that had to be cut is as many entries as it was cut into.
    pub logged: u64,
    /// Entries that Loki confirmed.
    pub sent: u64,
    /// Entries that Loki refused for good; `reasons` says why.
    pub errors: u64,
    /// Entries given up: no room, too many retries, or logged or left after the stop.
    pub dropped: u64,
    /// Entries on their way.
    pub pending: u64,
    /// Of those, entries that were tried in vain and will be tried again.
    pub retrying: u64,
    /// Batches that were packed and handed over for sending.
    pub flushes: u64,
    /// Requests made.
    pub requests: u64,
    /// Of those, repetitions.
    pub retries: u64,
    /// Bytes of request bodies, repetitions included.
    pub bytes_sent: u64,
    /// Why entries were refused or dropped, and how many for each reason.
    pub reasons: BTreeMap<String, u64>,
    /// What keeps entries from being delivered at this moment, if something does: Loki's words, or
    /// the connection's.
    pub trouble: Option<String>,
}

impl Stats {
    /// What the ledger says. After the stop nothing is on its way any more: what was left is
    /// dropped.
    pub(super) fn new(
        counts: Counts,
        retrying: usize,
        flushes: u64,
        trouble: Option<String>,
        stopped: bool,
    ) -> Self {
        let left = counts.left();
        let mut stats = Self {
            logged: counts.read,
            sent: counts.delivered,
            errors: counts.refused,
            dropped: counts.dropped + counts.filtered + counts.spooled,
            pending: left,
            // It is noted a moment before or after the fates are.
            retrying: left.min(retrying as u64),
            flushes,
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

/// `logged 3, sent 2, errors 0, dropped 1, pending 0; buffer full: 1`.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "logged {}, sent {}, errors {}, dropped {}, pending {}",
            self.logged, self.sent, self.errors, self.dropped, self.pending
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
    /// How many entries waited when the time was over. After a stop nothing waits any more: so many
    /// it has left, which [`Stats`] counts as dropped.
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
