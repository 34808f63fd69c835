//! The label sets of one source, each made once.

use crate::process::options::LabelField;
use crate::process::options::StreamLimit;
use std::collections::HashMap;
use std::sync::Arc;

use crate::entry::labels::{Labels, check_value};
use crate::parse::level::Level;
use crate::process::options::EntryOptions;

/// The label sets of one source.
pub struct LabelSets {
    base: Labels,
    by_level: [Option<Arc<Labels>>; Level::ALL.len() + 1],
    /// The sets that fields made, and which of the label fields are in each, by level and values.
    by_fields: HashMap<String, (Arc<Labels>, Vec<usize>)>,
    /// The key of the last line in `by_fields`.
    key: String,
    /// The limit on labels under which `by_fields` was made.
    max_labels: usize,
    label_fields: Vec<LabelField>,
    limit: Arc<StreamLimit>,
}

impl LabelSets {
    /// The sets of a source whose entries carry these extra labels.
    pub fn new(shape: &EntryOptions, origin: &[(&str, &str)]) -> Self {
        Self {
            base: shape.labels.with(origin.iter().copied()),
            by_level: Default::default(),
            by_fields: HashMap::new(),
            key: String::new(),
            max_labels: 0,
            // The level that is read is the label, in its one spelling.
            label_fields: shape
                .label_fields
                .iter()
                .filter(|field| !(shape.read_level && field.label == "level"))
                .cloned()
                .collect(),
            limit: Arc::clone(&shape.stream_limit),
        }
    }

    /// The sets of one of several streams in the same source.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn of_stream(&self, stream: &str) -> Self {
        Self {
            base: self.base.with([("stream", stream)]),
            by_level: Default::default(),
            by_fields: HashMap::new(),
            key: String::new(),
            max_labels: 0,
            label_fields: self.label_fields.clone(),
            limit: Arc::clone(&self.limit),
        }
    }

    /// Adds the labels that the source's path gives, as far as the limits allow.
    pub fn add_path_labels(&mut self, labels: &[(String, String)]) {
        // A level that is found is one label more.
        let left = self.limit.labels_left(&self.base).saturating_sub(1);
        if labels.len() > left {
            self.limit.report_too_many_labels();
        }
        let labels = labels.iter().take(left);
        let pairs = labels.map(|(name, value)| (name.as_str(), value.as_str()));
        let with = Arc::new(self.base.with(pairs));
        if *with != self.base && self.limit.admits(&with) {
            self.base = Arc::unwrap_or_clone(with);
            self.by_level = Default::default();
            self.by_fields.clear();
        }
    }

    /// The stream of entries of this level.
    pub fn of_level(&mut self, level: Option<Level>) -> &Arc<Labels> {
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

    /// The stream of an entry of this level whose label fields have these values, in the order of
    /// [`LabelSets::label_fields`], and which of them became labels. A field stays a field if Loki would
    /// not accept its value, or if it would make one label or one stream too many.
    pub fn of_values<'v>(
        &mut self,
        level: Option<Level>,
        values: impl Iterator<Item = Option<&'v str>> + Clone,
    ) -> (Arc<Labels>, &[usize]) {
        let by_level = Arc::clone(self.of_level(level));
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
            // No label value that passed the check holds this character: it parts the values.
            self.key.push(char::REPLACEMENT_CHARACTER);
        }
        if !found {
            return (by_level, &[]);
        }
        if !self.by_fields.contains_key(&self.key) {
            let Some(set) = self.make(&by_level, fit) else {
                return (by_level, &[]);
            };
            self.by_fields.insert(self.key.clone(), set);
        }
        let (labels, chosen) = &self.by_fields[&self.key];
        (Arc::clone(labels), chosen)
    }

    /// The set with labels of these values, as far as they may be made, and which of them were.
    fn make<'v>(
        &self,
        by_level: &Labels,
        values: impl Iterator<Item = Option<&'v str>>,
    ) -> Option<(Arc<Labels>, Vec<usize>)> {
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
        (chosen.is_empty() || self.limit.admits(&labels)).then_some((labels, chosen))
    }
}
