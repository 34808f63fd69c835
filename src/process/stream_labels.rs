//! Which stream an entry belongs to: the label sets of one source, made once each.
//!
//! Knows levels and label fields, and the limit on how many sets these may make. Knows nothing of
//! lines.

use crate::process::options::LabelField;
use crate::process::options::StreamLimit;
use std::collections::HashMap;
use std::sync::Arc;

use crate::entry::labels::{Labels, check_value};
use crate::parse::fields::Field;
use crate::parse::level::Level;
use crate::process::options::EntryOptions;

/// The label sets of one source.
pub struct LabelSets {
    base: Labels,
    by_level: [Option<Arc<Labels>>; Level::ALL.len() + 1],
    by_fields: HashMap<(Option<Level>, String), Arc<Labels>>,
    label_fields: Vec<LabelField>,
    limit: Arc<StreamLimit>,
}

impl LabelSets {
    /// The sets of a source whose entries carry these further labels.
    pub fn new(shape: &EntryOptions, origin: &[(&str, &str)]) -> Self {
        Self {
            base: shape.labels.with(origin.iter().copied()),
            by_level: Default::default(),
            by_fields: HashMap::new(),
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

    /// The stream of an entry of this level with these fields. Fields that became labels are
    /// marked as used; one whose value Loki would not take as a label, or that would make one
    /// stream too many, stays a field.
    pub fn of_fields(
        &mut self,
        level: Option<Level>,
        fields: &[Field<'_>],
        used: &mut [bool],
    ) -> Arc<Labels> {
        let by_level = Arc::clone(self.of_level(level));
        let mut left = self.limit.labels_left(&by_level);
        let mut key = String::new();
        let mut chosen = Vec::new();
        for wanted in &self.label_fields {
            let is_wanted = |field: &Field<'_>| field.name == wanted.field && !field.twin;
            let found = fields.iter().rposition(is_wanted);
            let fit = found.filter(|&at| {
                !fields[at].value.is_empty() && check_value(&fields[at].value).is_ok()
            });
            if let Some(at) = fit {
                if left == 0 && by_level.get(&wanted.label).is_none() {
                    self.limit.report_too_many_labels();
                } else {
                    left -= usize::from(by_level.get(&wanted.label).is_none());
                    chosen.push((at, wanted));
                    key.push_str(&fields[at].value);
                }
            }
            // No label value that passed the check holds this character: it parts the values.
            key.push(char::REPLACEMENT_CHARACTER);
        }
        if chosen.is_empty() {
            return by_level;
        }
        let key = (level, key);
        let labels = match self.by_fields.get(&key) {
            Some(known) => Arc::clone(known),
            None => {
                let pairs = chosen
                    .iter()
                    .map(|&(at, wanted)| (wanted.label.as_str(), fields[at].value.as_ref()));
                let labels = Arc::new(by_level.with(pairs));
                if !self.limit.admits(&labels) {
                    return by_level;
                }
                self.by_fields.insert(key, Arc::clone(&labels));
                labels
            }
        };
        chosen.iter().for_each(|&(at, _)| used[at] = true);
        labels
    }
}
