//! How entries are built: the settings of the entry builder.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::entry::labels::Labels;
use crate::parse::fields::Parse;
use crate::parse::level::Level;
use crate::process::layout::Layout;
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
    /// Whether escape sequences are removed.
    pub strip_ansi: bool,
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
        self.layout != Layout::Keep || !self.label_fields.is_empty()
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
    /// A time that begins the line.
    Prefix,
    /// The field of this name.
    Field(String),
}

/// A field of the line that becomes a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelField {
    /// The field's name.
    pub field: String,
    /// The label's name.
    pub label: String,
}

/// How many label sets fields may make, over all sources. Each set is a stream that Loki keeps
/// open, so a field of many values must not become one.
#[derive(Debug)]
pub struct StreamLimit {
    most: usize,
    sets: Mutex<HashSet<Arc<Labels>>>,
    said: AtomicBool,
    reporter: Reporter,
}

impl StreamLimit {
    /// A limit of so many sets; reaching it is said once.
    pub fn new(most: usize, reporter: Reporter) -> Self {
        Self {
            most,
            sets: Mutex::default(),
            said: AtomicBool::new(false),
            reporter,
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
