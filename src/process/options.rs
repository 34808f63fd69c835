//! How entries are built: the settings of the entry builder.

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

/// How entries are made of lines; the same for all sources.
#[derive(Debug, Clone)]
pub struct EntryOptions {
    /// Labels of every entry.
    pub labels: Labels,
    /// The level of entries in which none is found.
    pub level: Option<Level>,
    /// Whether levels are read.
    pub read_level: bool,
    /// Fields of every entry.
    pub fields: Vec<(String, String)>,
    /// The largest entry as shipped, in bytes.
    pub max_line: usize,
    /// Where fields come from.
    pub parse: Parse,
    /// How entries are laid out.
    pub layout: Layout,
    /// Fields that become labels.
    pub label_fields: Vec<LabelField>,
    /// How many label sets those may make.
    pub stream_limit: Arc<StreamLimit>,
    /// Where times come from.
    pub time: TimeSource,
    /// What is replaced in lines, before anything is read from them.
    #[cfg(feature = "cli")]
    pub redactor: Option<Arc<Redactor>>,
    /// Labels from a file's path.
    #[cfg(feature = "cli")]
    pub path_labels: Option<Arc<PathLabels>>,
    /// How long lines of a live input wait for the first time that can be read.
    pub hold_time: Duration,
    /// Whether it is reported in which form times were found.
    pub reports_times: bool,
}

impl EntryOptions {
    /// What is appended to every line: the fields given on the command line, unless the layout
    /// puts them elsewhere.
    pub fn suffix(&self) -> String {
        let mut suffix = String::new();
        if self.layout != Layout::Metadata {
            crate::process::layout::append_fields(&mut suffix, self.given_fields());
        }
        suffix
    }

    /// Whether fields must be read whole, not just looked for.
    pub fn needs_fields(&self) -> bool {
        self.layout != Layout::Keep
    }

    pub fn given_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Where an entry's time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeSource {
    /// The clock.
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

/// The most labels a stream may have, unless Loki is told otherwise (`max_label_names_per_series`).
pub const MAX_LABELS: usize = 15;

/// How many of a set's labels count against the limit: `service_name` does not.
pub fn counted_labels(labels: &Labels) -> usize {
    let names = labels.pairs().iter().map(|(name, _)| name);
    names.filter(|name| *name != "service_name").count()
}

/// How many label sets fields and paths may make, over all sources, and how many labels a set may
/// have. Each set is a stream that Loki keeps open, so a field of many values must not become one.
#[derive(Debug)]
pub struct StreamLimit {
    most: usize,
    counters: OnceLock<Arc<Counters>>,
    sets: Mutex<HashSet<Arc<Labels>>>,
    said: AtomicBool,
    said_labels: AtomicBool,
    reporter: Reporter,
}

impl StreamLimit {
    /// A limit of so many sets; reaching it is said once.
    pub fn new(most: usize, reporter: Reporter) -> Self {
        Self {
            most,
            counters: OnceLock::new(),
            sets: Mutex::default(),
            said: AtomicBool::new(false),
            said_labels: AtomicBool::new(false),
            reporter,
        }
    }

    /// Keeps to the limit that Loki names in this run, once it has.
    pub fn follow(&self, counters: &Arc<Counters>) {
        // A run has one set of counters.
        let _ = self.counters.set(Arc::clone(counters));
    }

    /// How many labels a stream may have.
    pub fn max_labels(&self) -> usize {
        let named = self
            .counters
            .get()
            .and_then(|counters| counters.label_limit());
        named.unwrap_or(MAX_LABELS)
    }

    /// How many labels may be added to a set.
    pub fn labels_left(&self, labels: &Labels) -> usize {
        self.max_labels().saturating_sub(counted_labels(labels))
    }

    /// Reports, once, that a label was left out because a stream may not have so many.
    pub fn report_too_many_labels(&self) {
        if !self.said_labels.swap(true, Ordering::Relaxed) {
            let most = self.max_labels();
            self.reporter.say(&Message::TooManyLabels { most });
        }
    }

    /// Whether this set may be a stream.
    pub fn admits(&self, labels: &Arc<Labels>) -> bool {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if sets.contains(labels) {
            return true;
        }
        if sets.len() < self.most {
            sets.insert(Arc::clone(labels));
            return true;
        }
        if !self.said.swap(true, Ordering::Relaxed) {
            self.reporter
                .say(&Message::TooManyStreams { most: self.most });
        }
        false
    }
}
