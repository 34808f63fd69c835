//! Options of the entry builder, and the limit on streams.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::entry::labels::Labels;
use crate::parse::fields::Parse;
use crate::parse::level::Level;
use crate::parse::timestamp::TimeOptions;
use crate::process::layout::Layout;
#[cfg(feature = "cli")]
use crate::process::path_labels::PathLabels;
#[cfg(feature = "cli")]
use crate::process::redact::Redactor;
use crate::report::counters::Counters;
use crate::report::messages::{Message, Reporter};

/// Options for building entries, shared by all sources.
#[derive(Debug, Clone)]
pub struct EntryOptions {
    /// Labels added to every entry.
    pub labels: Labels,
    /// Level of entries in which none is detected.
    pub level: Option<Level>,
    /// Whether to detect levels.
    pub read_level: bool,
    /// Fields added to every entry.
    pub fields: Vec<(String, String)>,
    /// Maximum size of an entry, in bytes.
    pub max_line: usize,
    /// How fields are parsed.
    pub parse: Parse,
    /// How fields are rendered.
    pub layout: Layout,
    /// Fields that become labels.
    pub label_fields: Vec<LabelField>,
    /// The limit on streams created by label fields.
    pub stream_limit: Arc<StreamLimit>,
    /// Source of timestamps.
    pub time: TimeSource,
    /// Whether the time in a line's envelope takes the place of that of arrival: unless somebody
    /// asked for that.
    pub uses_envelope_time: bool,
    /// Replaces secrets in lines before anything is read from them.
    #[cfg(feature = "cli")]
    pub redactor: Option<Arc<Redactor>>,
    /// Derives labels from a file's path.
    #[cfg(feature = "cli")]
    pub path_labels: Option<Arc<PathLabels>>,
    /// Maximum time that lines of a live input are held until the first one with a time.
    pub hold_time: Duration,
    /// Whether to report the detected timestamp formats.
    pub reports_times: bool,
}

impl EntryOptions {
    /// A text that is shipped beside the lines, such as a file's path, without its secrets.
    #[cfg(feature = "cli")]
    pub fn redacted(&self, text: &str) -> String {
        match &self.redactor {
            Some(redactor) => redactor.redact(text).into_owned(),
            None => text.to_owned(),
        }
    }

    /// The text appended to every line: the `--field` options, unless the layout writes them
    /// elsewhere.
    pub fn suffix(&self) -> String {
        let mut suffix = String::new();
        if self.layout != Layout::Metadata {
            crate::process::layout::append_fields(&mut suffix, self.option_fields());
        }
        suffix
    }

    /// Whether all fields must be parsed, instead of only looked up.
    pub fn needs_fields(&self) -> bool {
        self.layout != Layout::Keep
    }

    /// The fields set by `--field`.
    pub fn option_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// The source of an entry's timestamp.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeSource {
    /// The clock, when the line is read.
    Arrival,
    /// The text of the line.
    Line(Arc<TimeOptions>),
    /// The field of this name.
    Field(String, Arc<TimeOptions>),
}

/// A field of the line that becomes a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelField {
    /// The field's name.
    pub field: String,
    /// The label's name.
    pub label: String,
}

/// Default maximum number of labels per stream (Loki's `max_label_names_per_series`).
pub const MAX_LABELS: usize = 15;

/// The number of labels that count against the limit, which excludes `service_name`.
pub fn counted_labels(labels: &Labels) -> usize {
    let names = labels.pairs().iter().map(|(name, _)| name);
    names.filter(|name| *name != "service_name").count()
}

/// Limits the number of streams created by fields and paths over all sources, and the number of
/// labels per stream. Loki keeps every stream open, so a field with many values must not become a
/// label.
#[derive(Debug)]
pub struct StreamLimit {
    most: usize,
    counters: OnceLock<Arc<Counters>>,
    sets: Mutex<HashSet<Arc<Labels>>>,
    warned: AtomicBool,
    warned_labels: AtomicBool,
    reporter: Reporter,
}

impl StreamLimit {
    /// Creates a limit of `most` streams. Reaching it is reported once.
    pub fn new(most: usize, reporter: Reporter) -> Self {
        Self {
            most,
            counters: OnceLock::new(),
            sets: Mutex::default(),
            warned: AtomicBool::new(false),
            warned_labels: AtomicBool::new(false),
            reporter,
        }
    }

    /// Applies the label limit that Loki reports during this run.
    pub fn follow(&self, counters: &Arc<Counters>) {
        // A run has only one set of counters.
        let _ = self.counters.set(Arc::clone(counters));
    }

    /// Maximum number of labels per stream.
    pub fn max_labels(&self) -> usize {
        let named = self
            .counters
            .get()
            .and_then(|counters| counters.label_limit());
        named.unwrap_or(MAX_LABELS)
    }

    /// Number of labels that may be added to this set.
    pub fn labels_left(&self, labels: &Labels) -> usize {
        self.max_labels().saturating_sub(counted_labels(labels))
    }

    /// Reports, once, that a label was omitted because of the label limit.
    pub fn report_too_many_labels(&self) {
        if !self.warned_labels.swap(true, Ordering::Relaxed) {
            let most = self.max_labels();
            self.reporter.say(&Message::TooManyLabels { most });
        }
    }

    /// Whether this label set may become a stream, which then counts against the limit.
    pub fn allows(&self, labels: &Arc<Labels>) -> bool {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if sets.contains(labels) {
            return true;
        }
        if sets.len() < self.most {
            sets.insert(Arc::clone(labels));
            return true;
        }
        if !self.warned.swap(true, Ordering::Relaxed) {
            self.reporter
                .say(&Message::TooManyStreams { most: self.most });
        }
        false
    }
}
