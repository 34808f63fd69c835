//! Checks entries against the distributor's limits: those that an answer states, and Loki's defaults
//! for the others.

use crate::delivery::rejection::loki_messages::{Group, Rule};
use crate::delivery::rejection::{
    Context, GRACE, MAX_AGE, MAX_LINE, MAX_METADATA, MAX_METADATA_COUNT, Reason, SentEntry, start,
};

/// The distributor's limits.
pub(super) struct LokiLimits {
    /// Entries before this time are too old (ns).
    pub(super) oldest: Option<i64>,
    /// Entries after this time are too new (ns).
    pub(super) newest: Option<i64>,
    pub(super) line: usize,
    pub(super) metadata: usize,
    pub(super) fields: usize,
    pub(super) disallowed: bool,
}

impl LokiLimits {
    pub(super) fn stated(groups: &[Group], hints: &Context) -> Self {
        let mut limits = Self {
            oldest: hints.now.map(|now| now.saturating_sub(MAX_AGE)),
            newest: hints.now.map(|now| now.saturating_add(GRACE)),
            line: MAX_LINE,
            metadata: MAX_METADATA,
            fields: MAX_METADATA_COUNT,
            disallowed: false,
        };
        let mut refused_from: Option<i64> = None;
        for group in groups {
            match group.rule {
                // The limit is somewhere in this second: all entries in it count as refused.
                Rule::Old { limit, .. } => limits.oldest = Some(start(limit + 1)),
                Rule::New { second } => {
                    refused_from = Some(refused_from.map_or(second, |first| first.min(second)));
                }
                Rule::Line { limit, .. } => limits.line = limit,
                Rule::Large { limit, .. } => limits.metadata = limit,
                Rule::Many { limit, .. } => limits.fields = limit,
                Rule::Disallowed => limits.disallowed = true,
            }
        }
        if let Some(first) = refused_from {
            let proven = start(first) - 1;
            limits.newest = Some(limits.newest.map_or(proven, |newest| newest.min(proven)));
        }
        limits
    }

    /// The first rule that an entry breaks, in Loki's order (`ValidateEntry`).
    pub(super) fn refuse(&self, entry: &SentEntry) -> Option<Reason> {
        if self.is_old(entry.time) {
            Some(Reason::TooOld)
        } else if self.is_new(entry.time) {
            Some(Reason::TooNew)
        } else {
            self.refuse_size(entry)
        }
    }

    pub(super) fn is_old(&self, time: i64) -> bool {
        self.oldest.is_some_and(|oldest| time < oldest)
    }

    pub(super) fn is_new(&self, time: i64) -> bool {
        self.newest.is_some_and(|newest| time > newest)
    }

    pub(super) fn refuse_size(&self, entry: &SentEntry) -> Option<Reason> {
        let over = |limit: usize, value: usize| limit != 0 && value > limit;
        if over(self.line, entry.line) {
            Some(Reason::LineTooLong)
        } else if entry.metadata_count == 0 {
            None
        } else if self.disallowed {
            Some(Reason::MetadataDisallowed)
        } else if over(self.metadata, entry.metadata) {
            Some(Reason::MetadataTooLarge)
        } else if over(self.fields, entry.metadata_count) {
            Some(Reason::MetadataTooMany)
        } else {
            None
        }
    }
}
