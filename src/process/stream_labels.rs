//! Builds the label sets of a source's streams and caches them.

use crate::process::options::LabelField;
use crate::process::options::StreamLimit;
use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::entry::labels::{Labels, check_value};
use crate::parse::level::Level;
use crate::process::options::EntryOptions;

/// A label set, and the indices of the label fields used.
type FieldLabels = (Arc<Labels>, Vec<usize>);

/// The number of values over the stream limit that are remembered, so that their label sets are not
/// built anew for each line.
const MAX_REFUSED: usize = 1024;

/// The label sets of one source.
pub struct LabelSets {
    base: Labels,
    by_level: [Option<Arc<Labels>>; Level::ALL.len() + 1],
    /// Label sets with labels from fields, by level and values, with the indices of the label
    /// fields used. `None` for one that would exceed the stream limit.
    by_fields: HashMap<String, Option<FieldLabels>, RandomState>,
    /// The number of those.
    refused: usize,
    /// Buffer for the key of the current line in `by_fields`.
    key: String,
    /// The label limit that `by_fields` was built with.
    max_labels: usize,
    label_fields: Vec<LabelField>,
    limit: Arc<StreamLimit>,
}

impl LabelSets {
    /// Creates the label sets of a source whose entries have these extra labels.
    pub fn new(shape: &EntryOptions, origin: &[(&str, &str)]) -> Self {
        Self {
            base: shape.labels.with(origin.iter().copied()),
            by_level: Default::default(),
            by_fields: HashMap::default(),
            refused: 0,
            key: String::new(),
            max_labels: 0,
            // A detected level sets this label itself, with a normalized value.
            label_fields: shape
                .label_fields
                .iter()
                .filter(|field| !(shape.read_level && field.label == "level"))
                .cloned()
                .collect(),
            limit: Arc::clone(&shape.stream_limit),
        }
    }

    /// The label sets of one of several streams in the same source.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn for_stream(&self, stream: &str) -> Self {
        Self {
            base: self.base.with([("stream", stream)]),
            by_level: Default::default(),
            by_fields: HashMap::default(),
            refused: 0,
            key: String::new(),
            max_labels: 0,
            label_fields: self.label_fields.clone(),
            limit: Arc::clone(&self.limit),
        }
    }

    /// Adds labels derived from the source's path, as far as the limits allow.
    pub fn add_path_labels(&mut self, labels: &[(String, String)]) {
        // Keep one for a detected level.
        let left = self.limit.labels_left(&self.base).saturating_sub(1);
        if labels.len() > left {
            self.limit.report_too_many_labels();
        }
        let labels = labels.iter().take(left);
        let pairs = labels.map(|(name, value)| (name.as_str(), value.as_str()));
        let with = Arc::new(self.base.with(pairs));
        if *with != self.base && self.limit.allows(&with) {
            self.base = Arc::unwrap_or_clone(with);
            self.by_level = Default::default();
            self.by_fields.clear();
        }
    }

    /// The label set of entries with this level.
    pub fn for_level(&mut self, level: Option<Level>) -> &Arc<Labels> {
        let slot = &mut self.by_level[level.map_or(0, |level| 1 + level as usize)];
        slot.get_or_insert_with(|| {
            Arc::new(match level {
                Some(level) => self.base.with([("level", level.as_str())]),
                None => self.base.clone(),
            })
        })
    }

    /// The fields that may become labels.
    pub fn label_fields(&self) -> &[LabelField] {
        &self.label_fields
    }

    /// The label set of an entry with this level and these values of the label fields, in the order
    /// of [`LabelSets::label_fields`], and the indices of those that became labels. A field stays a
    /// field if Loki would not accept its value or if a label or stream limit would be exceeded.
    pub fn for_fields<'v>(
        &mut self,
        level: Option<Level>,
        values: impl Iterator<Item = Option<&'v str>> + Clone,
    ) -> (Arc<Labels>, &[usize]) {
        let by_level = Arc::clone(self.for_level(level));
        let fit = values
            .map(|value| value.filter(|value| !value.is_empty() && check_value(value).is_ok()));
        let most = self.limit.max_labels();
        if self.max_labels != most {
            self.max_labels = most;
            self.by_fields.clear();
        }
        self.key.clear();
        self.key
            .push(level.map_or('-', |level| char::from(b'a' + level as u8)));
        let mut found = false;
        for value in fit.clone() {
            found |= value.is_some();
            self.key.push_str(value.unwrap_or_default());
            // A valid label value cannot contain this character, so it separates the values.
            self.key.push(char::REPLACEMENT_CHARACTER);
        }
        if !found {
            return (by_level, &[]);
        }
        if !self.by_fields.contains_key(&self.key) {
            let set = self.make(&by_level, fit);
            self.refused += usize::from(set.is_none());
            if self.refused > MAX_REFUSED {
                self.by_fields.retain(|_, set| set.is_some());
                self.refused = 0;
            }
            self.by_fields.insert(self.key.clone(), set);
        }
        match &self.by_fields[&self.key] {
            Some((labels, chosen)) => (Arc::clone(labels), chosen),
            None => (by_level, &[]),
        }
    }

    /// Builds the label set, as far as the limits allow, and returns the indices of the fields
    /// used. `None` if it would exceed the stream limit.
    fn make<'v>(
        &self,
        by_level: &Labels,
        values: impl Iterator<Item = Option<&'v str>>,
    ) -> Option<FieldLabels> {
        let mut left = self.limit.labels_left(by_level);
        let (mut chosen, mut pairs) = (Vec::new(), Vec::new());
        for (at, (wanted, value)) in self.label_fields.iter().zip(values).enumerate() {
            let Some(value) = value else {
                continue;
            };
            let is_new = by_level.get(&wanted.label).is_none();
            if is_new && left == 0 {
                self.limit.report_too_many_labels();
                continue;
            }
            left -= usize::from(is_new);
            chosen.push(at);
            pairs.push((wanted.label.as_str(), value));
        }
        let labels = Arc::new(by_level.with(pairs));
        (chosen.is_empty() || self.limit.allows(&labels)).then_some((labels, chosen))
    }
}
