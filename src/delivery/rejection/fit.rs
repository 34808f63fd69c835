//! Changes entries to fit the limits that Loki named: long lines are cut, and metadata is moved into
//! the line.
//!
//! The result depends on the entry and the limits only, so that a retry sends the same.

use std::collections::HashSet;

use crate::delivery::rejection::{Reason, SentEntry};
use crate::entry::Entry;
use crate::entry::request::LargestEntry;
use crate::parse::fields::write_field;

/// The limits that Loki named in this run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NamedLimits {
    /// Bytes of a line.
    pub line: Option<usize>,
    /// Bytes of names and values in an entry's metadata.
    pub metadata: Option<usize>,
    /// Number of fields in an entry's metadata.
    pub fields: Option<usize>,
}

/// A part of an entry that was changed to fit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Part {
    /// The time, in nanoseconds since 1970.
    pub time: i64,
    /// The line.
    pub line: String,
    /// The metadata as a JSON object, or an empty string.
    pub metadata: String,
    /// Whether this is the last part of the entry.
    pub is_end: bool,
}

impl Part {
    /// A part that is a whole, unchanged entry.
    pub fn whole(entry: &Entry<'_>) -> Self {
        Self {
            time: entry.time,
            line: entry.line.to_owned(),
            metadata: entry.metadata.to_owned(),
            is_end: true,
        }
    }

    /// This part as an entry of its own.
    pub fn entry(&self) -> Entry<'_> {
        Entry {
            time: self.time,
            line: &self.line,
            metadata: &self.metadata,
        }
    }
}

impl NamedLimits {
    /// Whether Loki named any.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds limits that a later answer names, which replace earlier ones.
    pub fn update(&mut self, named: Self) {
        self.line = named.line.or(self.line);
        self.metadata = named.metadata.or(self.metadata);
        self.fields = named.fields.or(self.fields);
    }

    /// Whether all entries of a request fit, judged by the sizes of its largest one, so that the request
    /// need not be decoded.
    pub fn are_met_by(&self, largest: LargestEntry) -> bool {
        /// The shortest field in JSON: `"a":""`.
        const SHORTEST_FIELD: usize = 6;
        let most = SentEntry {
            time: 0,
            line: largest.line,
            metadata: largest.metadata,
            metadata_count: largest.metadata / SHORTEST_FIELD,
        };
        self.exceeded_by(&most).is_none()
    }

    /// The first limit, in Loki's order, that an entry exceeds.
    pub fn exceeded_by(&self, entry: &SentEntry) -> Option<Reason> {
        // To Loki, zero means no limit.
        let over = |limit: Option<usize>, size| limit.is_some_and(|most| most > 0 && size > most);
        if over(self.line, entry.line) {
            Some(Reason::LineTooLong)
        } else if over(self.metadata, entry.metadata) {
            Some(Reason::MetadataTooLarge)
        } else if over(self.fields, entry.metadata_count) {
            Some(Reason::MetadataTooMany)
        } else {
            None
        }
    }
}

/// Changes an entry to fit: metadata that exceeds a limit is moved to the end of the line, and a line
/// that is too long is cut between characters. The first part has the time of the entry, each further
/// one a nanosecond more.
pub fn fit(entry: &Entry<'_>, sent: &SentEntry, limits: &NamedLimits) -> Vec<Part> {
    let without_line = NamedLimits {
        line: None,
        ..*limits
    };
    let (line, metadata) = if without_line.exceeded_by(sent).is_some() {
        (with_fields(entry), String::new())
    } else {
        (entry.line.to_owned(), entry.metadata.to_owned())
    };
    let most = limits.line.filter(|&most| most > 0).unwrap_or(usize::MAX);
    let mut parts: Vec<Part> = Vec::new();
    let mut rest = line.as_str();
    loop {
        let (part, after) = rest.split_at(cut(rest, most));
        parts.push(Part {
            time: entry.time.saturating_add(parts.len() as i64),
            line: part.to_owned(),
            metadata: metadata.clone(),
            is_end: after.is_empty(),
        });
        if after.is_empty() {
            return parts;
        }
        rest = after;
    }
}

/// The length of the first part of a text: whole characters, at least one.
fn cut(text: &str, most: usize) -> usize {
    let first = text.chars().next().map_or(0, char::len_utf8);
    text.floor_char_boundary(most).max(first)
}

/// The line with the metadata appended as fields, as `--layout line` writes them.
fn with_fields(entry: &Entry<'_>) -> String {
    let fields: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(entry.metadata).unwrap_or_default();
    let mut line = entry.line.to_owned();
    let mut separator = if line.is_empty() { "" } else { " | " };
    for (name, value) in &fields {
        line.push_str(separator);
        write_field(&mut line, name, value.as_str().unwrap_or_default());
        separator = " ";
    }
    line
}

/// Merges the parts of changed entries with the other entries of a request, by time. Loki would take
/// a part that equals another entry in time and text for a duplicate, so it gets the next free
/// nanosecond.
pub fn merge(others: Vec<Part>, changed: Vec<Part>) -> Vec<Part> {
    let key = |part: &Part| (part.time, part.line.clone(), part.metadata.clone());
    let mut used: HashSet<_> = others.iter().map(key).collect();
    let mut all = others;
    for mut part in changed {
        while !used.insert(key(&part)) {
            part.time = part.time.saturating_add(1);
        }
        all.push(part);
    }
    all.sort_by_key(|part| part.time);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(entry: &Entry<'_>) -> SentEntry {
        SentEntry::of(entry)
    }

    fn fitted(line: &str, metadata: &str, limits: NamedLimits) -> Vec<Part> {
        let entry = Entry {
            time: 70,
            line,
            metadata,
        };
        fit(&entry, &sent(&entry), &limits)
    }

    fn lines(parts: &[Part]) -> Vec<&str> {
        parts.iter().map(|part| part.line.as_str()).collect()
    }

    fn limits(line: usize, metadata: usize, fields: usize) -> NamedLimits {
        NamedLimits {
            line: Some(line),
            metadata: Some(metadata),
            fields: Some(fields),
        }
    }

    #[test]
    fn a_long_line_is_cut_between_characters_a_nanosecond_each() {
        let parts = fitted("abéédef", "", limits(3, 0, 0));
        assert_eq!(lines(&parts), ["ab", "é", "éd", "ef"]);
        let times: Vec<_> = parts.iter().map(|part| (part.time, part.is_end)).collect();
        assert_eq!(times, [(70, false), (71, false), (72, false), (73, true)]);
        assert_eq!(lines(&fitted("abc", "", limits(3, 0, 0))), ["abc"]);
        assert_eq!(lines(&fitted("", "", limits(3, 0, 0))), [""]);
        assert_eq!(lines(&fitted("éé", "", limits(1, 0, 0))), ["é", "é"]);
    }

    #[test]
    fn requests_of_small_entries_need_not_be_decoded() {
        let largest = |line, metadata| LargestEntry { line, metadata };
        assert!(limits(9, 0, 0).are_met_by(largest(9, 1_000)));
        assert!(!limits(9, 0, 0).are_met_by(largest(10, 0)));
        assert!(limits(0, 20, 0).are_met_by(largest(99, 20)));
        assert!(!limits(0, 20, 0).are_met_by(largest(0, 21)));
        assert!(limits(0, 0, 3).are_met_by(largest(0, 23)));
        // As many fields as its bytes can hold: whether it has them is not known.
        assert!(!limits(0, 0, 3).are_met_by(largest(0, r#"{"a":"","b":"","c":"","d":""}"#.len())));
    }

    #[test]
    fn metadata_beyond_a_limit_goes_to_the_end_of_the_line() {
        let metadata = r#"{"a":"1","b":"x y"}"#;
        let parts = fitted("m", metadata, limits(0, 0, 1));
        assert_eq!(lines(&parts), ["m | a=1 b=\"x y\""]);
        assert_eq!(parts[0].metadata, "");
        assert_eq!(
            lines(&fitted("", metadata, limits(0, 5, 0))),
            ["a=1 b=\"x y\""]
        );
        let parts = fitted("m", metadata, limits(9, 6, 2));
        assert_eq!(lines(&parts), ["m"], "it fits");
        assert_eq!(parts[0].metadata, metadata);
        let parts = fitted("m", metadata, limits(9, 5, 0));
        assert_eq!(
            lines(&parts),
            ["m | a=1 b", "=\"x y\""],
            "and then it is cut"
        );
    }

    #[test]
    fn each_part_keeps_the_metadata_that_fits() {
        let parts = fitted("abcd", r#"{"a":"1"}"#, limits(2, 9, 9));
        assert!(parts.iter().all(|part| part.metadata == r#"{"a":"1"}"#));
    }

    #[test]
    fn equal_parts_stay_apart() {
        let limits = limits(2, 0, 0);
        let part = |time, line: &str| {
            let entry = Entry {
                time,
                line,
                metadata: "",
            };
            fit(&entry, &sent(&entry), &limits)
        };
        let changed = [part(70, "xxxx"), part(71, "xxxx")].concat();
        let all = merge(part(71, "xx"), changed);
        let times: Vec<_> = all.iter().map(|part| part.time).collect();
        assert_eq!(times, [70, 71, 72, 73, 74]);
        assert_eq!(all.iter().filter(|part| part.is_end).count(), 3);
    }
}
