//! What Loki itself would say: its limits on time, size, rate and streams, which entries of a
//! request pass them, and with which text (`texts.rs`) it refuses the others. It decides only,
//! told the time; what it decided is done in `state.rs`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::check::{Entry, Labels, message_size};
use super::texts::{
    grouped, ignored_text, message_text, metadata_count_text, metadata_size_text, no_metadata_text,
    rate_limit_text, stream_limit_text, stream_name, stream_rate_text, too_far_behind_text,
    too_large_text, too_long_text, too_new_text, too_old_text,
};

/// Loki's limits. `None` (the default everywhere) is no limit; [`Rules::of_loki`] has the
/// values Loki starts with.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// What time it is for these rules, in nanoseconds; the clock's time if `None`.
    pub now: Option<i64>,
    /// `reject_old_samples_max_age`: entries older than this are refused (400, partial).
    pub max_age: Option<Duration>,
    /// `creation_grace_period`: entries further in the future are refused (400, partial).
    pub max_ahead: Option<Duration>,
    /// `max_line_size` in bytes (400, partial).
    pub max_line: Option<usize>,
    /// `max_structured_metadata_size` in bytes (400, partial).
    pub max_metadata_size: Option<usize>,
    /// `max_structured_metadata_entries_count` (400, partial).
    pub max_metadata_count: Option<usize>,
    /// `allow_structured_metadata: false` (400, partial).
    pub refuse_metadata: bool,
    /// How far an entry may be behind the newest of its stream: 1 h (400, partial).
    pub window: Option<Duration>,
    /// `ingestion_rate_mb` and its burst (429, nothing stored).
    pub rate: Option<Rate>,
    /// `per_stream_rate_limit` and its burst (429, nothing stored).
    pub stream_rate: Option<Rate>,
    /// `max_global_streams_per_user` (429, nothing stored).
    pub max_streams: Option<usize>,
    /// `grpc_server_max_recv_msg_size` (500, nothing stored, for ever).
    pub max_message: Option<usize>,
    /// `distributor.max_recv_msg_size`: bytes of the body as sent (413, nothing stored).
    pub max_body: Option<usize>,
    /// `max_decompressed_size` (413, nothing stored).
    pub max_plain_body: Option<usize>,
}

impl Rules {
    /// The limits Loki has when nobody configured any.
    pub fn of_loki() -> Self {
        let mib = 1 << 20;
        Self {
            now: None,
            max_age: Some(Duration::from_hours(168)),
            max_ahead: Some(Duration::from_mins(10)),
            max_line: Some(262_144),
            max_metadata_size: Some(65_536),
            max_metadata_count: Some(128),
            refuse_metadata: false,
            window: Some(Duration::from_hours(1)),
            rate: Some(Rate::new(4 * mib, 6 * mib)),
            stream_rate: Some(Rate::new(3 * mib, 15 * mib)),
            max_streams: Some(5_000),
            max_message: Some(4 << 20),
            max_body: Some(100 << 20),
            max_plain_body: Some(5_000 << 20),
        }
    }
}

/// A token bucket's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes a second.
    pub limit: u64,
    /// Bytes at once; a request with more never passes.
    pub burst: u64,
}

impl Rate {
    /// Bytes a second, and bytes at once.
    pub fn new(limit: u64, burst: u64) -> Self {
        Self { limit, burst }
    }
}

/// A token bucket as Go's `rate.Limiter`: full at first, and a refusal costs nothing.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn take(slot: &mut Option<Bucket>, rate: Rate, bytes: usize, at: Instant) -> bool {
        let full = Bucket {
            tokens: rate.burst as f64,
            at,
        };
        let bucket = slot.get_or_insert(full);
        let passed = at.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.tokens = (bucket.tokens + passed * rate.limit as f64).min(rate.burst as f64);
        bucket.at = at;
        let enough = bucket.tokens >= bytes as f64;
        if enough {
            bucket.tokens -= bytes as f64;
        }
        enough
    }
}

/// What the rules remember from request to request.
#[derive(Debug, Default)]
pub struct Memory {
    bucket: Option<Bucket>,
    streams: HashMap<Arc<Labels>, Stream>,
}

#[derive(Debug, Default)]
struct Stream {
    highest: Option<i64>,
    last: Option<Arc<Entry>>,
    bucket: Option<Bucket>,
}

/// A request as the rules see it.
pub struct Offered<'a> {
    pub labels: &'a Arc<Labels>,
    pub entries: &'a [Arc<Entry>],
    /// Bytes of the body as sent and without its gzip.
    pub body: usize,
    pub plain_body: usize,
    /// When it is: the clock's nanoseconds, and the steady clock.
    pub now: i64,
    pub at: Instant,
}

/// What becomes of a request.
pub struct Verdict {
    pub store: Vec<Arc<Entry>>,
    pub answer: Answer,
}

impl Verdict {
    fn nothing(status: u16, text: impl AsRef<str>) -> Self {
        Self {
            store: Vec::new(),
            answer: Answer::error(status, text),
        }
    }
}

impl Rules {
    /// Judges a request in the order Loki does: size, entries, rate, inner message, stream,
    /// window. A later error hides an earlier one.
    pub fn judge(&self, offered: &Offered<'_>, memory: &mut Memory) -> Verdict {
        if let Some(verdict) = self.too_large(offered) {
            return verdict;
        }
        let name = stream_name(offered.labels);
        let (valid, errors) = self.validate(offered, &name);
        let refused = (!errors.is_empty()).then(|| Answer::error(400, grouped(&errors)));
        let passed = |store| Verdict {
            store,
            answer: refused.clone().unwrap_or(Answer::new(204)),
        };
        if valid.is_empty() {
            return passed(valid);
        }
        let bytes = valid.iter().map(|entry| entry.size()).sum();
        if let Some(rate) = self.rate
            && !Bucket::take(&mut memory.bucket, rate, bytes, offered.at)
        {
            let text = rate_limit_text(rate.limit, valid.len(), bytes);
            return Verdict::nothing(429, text);
        }
        let message = message_size(&valid);
        if let Some(max) = self.max_message.filter(|max| message > *max) {
            return Verdict::nothing(500, message_text(message, max));
        }
        let known = memory.streams.contains_key(offered.labels);
        if self
            .max_streams
            .is_some_and(|max| !known && memory.streams.len() >= max)
        {
            return Verdict::nothing(429, stream_limit_text(offered.labels));
        }
        let stream = memory
            .streams
            .entry(Arc::clone(offered.labels))
            .or_default();
        match self.ingest(valid, stream, &name, offered.at) {
            Ok(store) => passed(store),
            Err(verdict) => verdict,
        }
    }

    fn too_large(&self, offered: &Offered<'_>) -> Option<Verdict> {
        if let Some(max) = self.max_body.filter(|max| offered.body > *max) {
            return Some(Verdict::nothing(413, too_large_text("message", max)));
        }
        let max = self
            .max_plain_body
            .filter(|max| offered.plain_body > *max)?;
        Some(Verdict::nothing(
            413,
            too_large_text("decompressed message", max),
        ))
    }

    /// The distributor's part: entry by entry, each bad one with its message.
    fn validate(&self, offered: &Offered<'_>, name: &str) -> (Vec<Arc<Entry>>, Vec<String>) {
        let mut valid = Vec::with_capacity(offered.entries.len());
        let mut errors = Vec::new();
        let now = self.now.unwrap_or(offered.now);
        for entry in offered.entries {
            match self.refuse(entry, now, name) {
                Some(text) => errors.push(text),
                None => valid.push(Arc::clone(entry)),
            }
        }
        (valid, errors)
    }

    fn refuse(&self, entry: &Entry, now: i64, name: &str) -> Option<String> {
        let oldest = self.max_age.map(|age| now.saturating_sub(nanos(age)));
        if let Some(oldest) = oldest.filter(|oldest| entry.time < *oldest) {
            return Some(too_old_text(name, entry.time, oldest));
        }
        let newest = self.max_ahead.map(|ahead| now.saturating_add(nanos(ahead)));
        if newest.is_some_and(|newest| entry.time > newest) {
            return Some(too_new_text(name, entry.time));
        }
        let length = entry.line.len();
        if let Some(max) = self.max_line.filter(|max| length > *max) {
            return Some(too_long_text(name, length, max));
        }
        if entry.metadata.is_empty() {
            return None;
        }
        if self.refuse_metadata {
            return Some(no_metadata_text(name));
        }
        let size = entry.metadata_size();
        if let Some(max) = self.max_metadata_size.filter(|max| size > *max) {
            return Some(metadata_size_text(name, size, max));
        }
        let count = entry.metadata.len();
        let max = self.max_metadata_count.filter(|max| count > *max)?;
        Some(metadata_count_text(name, count, max))
    }

    /// The ingester's part: the window behind the stream's newest entry, then the stream's
    /// rate, which takes all of the request or nothing.
    fn ingest(
        &self,
        entries: Vec<Arc<Entry>>,
        stream: &mut Stream,
        name: &str,
        at: Instant,
    ) -> Result<Vec<Arc<Entry>>, Verdict> {
        let total = entries.len();
        let (mut highest, mut last) = (stream.highest, stream.last.clone());
        let mut store = Vec::with_capacity(total);
        let mut failed: Vec<(Arc<Entry>, String)> = Vec::new();
        for entry in entries {
            if last.as_ref() == Some(&entry) {
                continue;
            }
            let oldest = self
                .window
                .and_then(|window| Some(highest?.saturating_sub(nanos(window))));
            if let Some(oldest) = oldest.filter(|oldest| entry.time < *oldest) {
                failed.push((Arc::clone(&entry), too_far_behind_text(entry.time, oldest)));
                continue;
            }
            highest = highest.max(Some(entry.time));
            last = Some(Arc::clone(&entry));
            store.push(entry);
        }
        let bytes = store.iter().map(|entry| entry.size()).sum();
        if let Some(rate) = self.stream_rate
            && !Bucket::take(&mut stream.bucket, rate, bytes, at)
        {
            let failed: Vec<_> = store
                .into_iter()
                .map(|entry| {
                    let text = stream_rate_text(rate.limit, name, entry.size());
                    (entry, text)
                })
                .collect();
            return Err(Verdict::nothing(429, ignored_text(&failed, total, name)));
        }
        (stream.highest, stream.last) = (highest, last);
        if failed.is_empty() {
            return Ok(store);
        }
        Err(Verdict {
            store,
            answer: Answer::error(400, ignored_text(&failed, total, name)),
        })
    }
}

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
