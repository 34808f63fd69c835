//! Partial rejection: finds the entries that a 400 from Loki refuses, from the text of the answer
//! and from Loki's rules.
//!
//! The wording and the order of the checks are those of Loki's `pkg/validation/validate.go`,
//! `pkg/distributor/validator.go`, `pkg/distributor/distributor.go`, `pkg/ingester/stream.go`,
//! `pkg/chunkenc/interface.go` and `pkg/util/errors/errors.go`. Of an entry only its time and its
//! sizes are looked at.
//!
//! A 400 for a push is usually partial: the good entries are stored, and the answer does not list
//! all the others. For a request of **one stream** the text still says enough:
//!
//! * The *distributor* checks each entry in this order and reports the first that fails: too
//!   old, too new, line too long, metadata disallowed, too large, too many. Equal messages are
//!   grouped (`30 errors like: …`) and joined by `; ` in random order. Times in them are cut to
//!   the second, so the message for the second of the limit itself is ambiguous on its own;
//!   its count decides, because age is a threshold: the refused are the oldest of that second.
//! * The *ingester* then processes the remaining entries in order, and refuses an entry older than
//!   `max(newest so far) − max_chunk_age/2`. It lists the first ten with full times, followed by
//!   `total ignored: X out of Y`. Accepted entries of the same request move the limit, so
//!   it is `max(newest before, newest of the entries above) − window`. In an ascending request
//!   this never affects an earlier entry: the refused are the oldest X of the Y.
//! * An ingester's answer **replaces** the distributor's. If Y is below the number of entries sent,
//!   the distributor refused the difference without telling. These entries are found by Loki's
//!   default rules and the time of the request, and by proof: in an ascending request, an entry
//!   older than the first listed one cannot have reached the ingester, or it would be listed first.
//!
//! # Where this can be wrong
//!
//! [`RejectedEntries::exact`] is set when every count and every listed time agrees with the result.
//! Otherwise the result is a best guess with Loki's count (the oldest entries), because
//!
//! * the text was cut before its counts ([`Context::cut`]): the rules alone decide, and the
//!   entries in the very second of a limit count as refused;
//! * the stream was sharded (`__stream_shard__`, `__time_shard__`): the answer is about one
//!   shard; entries past its limit count as refused, although other shards may have stored them;
//! * the unlisted refusals fit neither the default limits (7 days, 10 minutes, 256 KiB, 64 KiB,
//!   128) nor the proof: the tenant has other limits, and the oldest entries are assumed.
//!
//! And `exact` can be `true` for a wrong answer when
//!
//! * unlisted refusals for two reasons happen to add up to the count that the defaults give;
//! * Loki's replicas differ: the answer is one ingester's, a quorum may have stored the entry;
//! * the request was sent before and its answer was lost: an entry that is now refused as too far
//!   behind may have been stored then (the caller knows that it retried);
//! * an out-of-order request has equal times, one accepted and a later one refused.

pub mod fit;
mod infer;
mod limits;
mod loki_messages;
mod loki_words;
mod matching;
mod rules;
#[cfg(test)]
mod tests;

use crate::delivery::rejection::fit::NamedLimits;
pub use crate::delivery::rejection::limits::{Limit, label_limit, limit, too_large};
use crate::delivery::rejection::loki_messages::{
    Rule, distributor_answer, ingester_answer, labels_refused,
};
pub use crate::delivery::rejection::loki_words::{is_from_loki, is_lokis_outage};
use crate::delivery::rejection::matching::Verdict;
use crate::entry::Entry;

/// Nanoseconds in a second.
const SECOND: i64 = 1_000_000_000;
/// `reject_old_samples_max_age`, Loki's default, in nanoseconds (`pkg/validation/limits.go`).
const MAX_AGE: i64 = 7 * 24 * 3600 * SECOND;
/// `creation_grace_period`, Loki's default, in nanoseconds.
const GRACE: i64 = 10 * 60 * SECOND;
/// `max_line_size`, Loki's default, in bytes; a line of exactly this length is accepted.
const MAX_LINE: usize = 256 << 10;
/// `max_structured_metadata_size`, Loki's default, in bytes of names and values.
const MAX_METADATA: usize = 64 << 10;
/// `max_structured_metadata_entries_count`, Loki's default.
const MAX_METADATA_COUNT: usize = 128;
/// `max_chunk_age` / 2, Loki's default, in seconds: how far an entry may lie behind the newest.
const WINDOW: i64 = 3600;
/// How far our clock and Loki's may differ before a fit to the default limits is only a guess.
const SKEW: i64 = 5 * 60 * SECOND;

/// The properties of a sent entry that Loki's rules depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentEntry {
    /// Its time, in nanoseconds since 1970.
    pub time: i64,
    /// The length of its line in bytes.
    pub line: usize,
    /// The bytes of its metadata's names and values, without a field named `detected_level`,
    /// which Loki does not count (`pkg/util/entry_size.go`).
    pub metadata: usize,
    /// The number of its metadata fields, `detected_level` included.
    pub metadata_count: usize,
}

impl SentEntry {
    /// Measures an entry.
    pub fn of(entry: &Entry<'_>) -> Self {
        let mut sent = Self {
            time: entry.time,
            line: entry.line.len(),
            metadata: 0,
            metadata_count: 0,
        };
        if entry.metadata.is_empty() {
            return sent;
        }
        let object: Option<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_str(entry.metadata).ok();
        for (name, value) in object.into_iter().flatten() {
            sent.metadata_count += 1;
            // Loki does not count the level it would add itself (`pkg/util/entry_size.go`).
            if name != "detected_level" {
                sent.metadata += name.len() + value.as_str().map_or(0, str::len);
            }
        }
        sent
    }
}

/// Why Loki refused an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Older than `reject_old_samples_max_age` (7 days).
    TooOld,
    /// Further in the future than `creation_grace_period` (10 minutes).
    TooNew,
    /// More than half of `max_chunk_age` (1 hour) behind the newest of its stream.
    TooFarBehind,
    /// Longer than `max_line_size` (256 KiB).
    LineTooLong,
    /// More bytes of metadata than `max_structured_metadata_size` (64 KiB).
    MetadataTooLarge,
    /// More fields of metadata than `max_structured_metadata_entries_count` (128).
    MetadataTooMany,
    /// Structured metadata is off for this tenant (`allow_structured_metadata`).
    MetadataDisallowed,
    /// Above `per_stream_rate_limit`, with sharding off.
    StreamRate,
    /// The tenant has reached its limit of active streams. Set by the caller, after a 429.
    StreamLimit,
    /// The stream's labels: too many, too long, or a required one is missing.
    Labels,
    /// Any other reason; the text of the answer names it.
    Other,
}

impl Reason {
    /// Whether Loki refused the entry for its timestamp.
    pub fn is_about_time(self) -> bool {
        matches!(self, Self::TooOld | Self::TooNew | Self::TooFarBehind)
    }

    /// The name of this reason in the summary's `reasons`. Names never change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too old",
            Self::TooNew => "too new",
            Self::TooFarBehind => "too far behind",
            Self::LineTooLong => "line too long",
            Self::MetadataTooLarge => "metadata too large",
            Self::MetadataTooMany => "metadata too many",
            Self::MetadataDisallowed => "metadata disallowed",
            Self::StreamRate => "stream rate",
            Self::StreamLimit => "stream limit",
            Self::Labels => "labels",
            Self::Other => "other",
        }
    }
}

/// What else is known about the request and its answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// When Loki decided, in nanoseconds since 1970: the time at which the request was sent, or the
    /// answer's `Date`. Without it, unlisted entries refused for their age are found by proof only.
    pub now: Option<i64>,
    /// The newest time that is known to have been accepted in this stream before this request. It
    /// narrows the limit where the text was cut; other senders may have sent newer entries.
    pub newest_before: Option<i64>,
    /// Whether the text is only the beginning of the answer.
    pub cut: bool,
}

/// The refused entries of one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectedEntries {
    /// Index in the request and reason, in ascending order of the index, each index once.
    pub refused: Vec<(usize, Reason)>,
    /// Whether Loki's counts and listed times confirm this result.
    pub exact: bool,
}

/// Finds the entries of a single-stream request that the text of a 400 refuses.
///
/// Returns `None` if the text states no rule that is known here (bad JSON, bad labels, a proxy's
/// page). Which entries were stored is unknown then, and the whole request counts as refused.
#[must_use]
pub fn read(text: &str, entries: &[SentEntry], hints: &Context) -> Option<RejectedEntries> {
    let text = text.trim_end_matches(['\r', '\n']);
    let mut verdict = Verdict::new(entries.len());
    if let Some(answer) = ingester_answer(text, hints.cut) {
        verdict.by_ingester(&answer, entries, hints);
    } else if labels_refused(text) {
        verdict.all(Reason::Labels);
    } else {
        let groups = distributor_answer(text, hints.cut)?;
        if hints.cut {
            verdict.by_rules(&groups, entries, hints);
        } else {
            verdict.by_groups(groups, entries);
        }
    }
    Some(verdict.finish())
}

/// The limits that a refusal names.
pub fn named_limits(text: &str) -> NamedLimits {
    let mut limits = NamedLimits::default();
    let text = text.trim_end_matches(['\r', '\n']);
    for group in distributor_answer(text, true).unwrap_or_default() {
        match group.rule {
            Rule::Line { limit, .. } => limits.line = Some(limit),
            Rule::Large { limit, .. } => limits.metadata = Some(limit),
            Rule::Many { limit, .. } => limits.fields = Some(limit),
            Rule::Old { .. } | Rule::New { .. } | Rule::Disallowed => {}
        }
    }
    limits
}

/// The first nanosecond of a second.
fn start(second: i64) -> i64 {
    second.saturating_mul(SECOND)
}
