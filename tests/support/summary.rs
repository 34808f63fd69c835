//! The summary the program writes with `--summary json`, and the law its figures obey.

use std::collections::BTreeMap;

use serde_json::Value;

/// The figures of a run, in entries unless named otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub read: u64,
    pub delivered: u64,
    pub refused: u64,
    pub dropped: u64,
    pub spooled: u64,
    pub filtered: u64,
    pub left: u64,
    pub untimed: u64,
    pub adopted: u64,
    pub adopted_delivered: u64,
    pub adopted_refused: u64,
    pub adopted_left: u64,
    pub requests: u64,
    pub retries: u64,
    pub bytes_read: u64,
    pub bytes_sent: u64,
    pub seconds: f64,
    /// Why entries were refused, dropped or left.
    pub reasons: BTreeMap<String, u64>,
    pub command_exit: Option<i64>,
}

/// Panics unless every entry read got exactly one fate, and every adopted one too.
pub fn assert_law(summary: &Summary) {
    let s = summary;
    let fates = s.delivered + s.refused + s.dropped + s.spooled + s.filtered + s.left;
    assert_eq!(
        s.read, fates,
        "read is not delivered + refused + dropped + spooled + filtered + left: {s:#?}"
    );
    let adopted = s.adopted_delivered + s.adopted_refused + s.adopted_left;
    assert_eq!(
        s.adopted, adopted,
        "adopted is not the sum of its fates: {s:#?}"
    );
}

impl Summary {
    /// Reads a summary's line: all keys known, those always there there, the law kept.
    /// `None` if the line is no summary.
    pub fn read(line: &str) -> Option<Self> {
        let Ok(Value::Object(members)) = serde_json::from_str(line.trim()) else {
            return None;
        };
        if !members.contains_key("read") {
            return None;
        }
        let mut reader = Reader { line, members };
        let summary = Self {
            read: reader.count("read"),
            delivered: reader.count("delivered"),
            refused: reader.count("refused"),
            dropped: reader.count("dropped"),
            spooled: reader.count("spooled"),
            filtered: reader.count("filtered"),
            left: reader.count("left"),
            untimed: reader.count("untimed"),
            adopted: reader.count_if("adopted"),
            adopted_delivered: reader.count_if("adopted_delivered"),
            adopted_refused: reader.count_if("adopted_refused"),
            adopted_left: reader.count_if("adopted_left"),
            requests: reader.count("requests"),
            retries: reader.count("retries"),
            bytes_read: reader.count("bytes_read"),
            bytes_sent: reader.count("bytes_sent"),
            seconds: reader.take("seconds").as_f64().expect("seconds"),
            reasons: reader.reasons(),
            command_exit: reader
                .members
                .remove("command_exit")
                .and_then(|v| v.as_i64()),
        };
        let unknown = &reader.members;
        assert!(unknown.is_empty(), "unknown keys {unknown:?} in {line}");
        assert_law(&summary);
        Some(summary)
    }
}

struct Reader<'a> {
    line: &'a str,
    members: serde_json::Map<String, Value>,
}

impl Reader<'_> {
    fn take(&mut self, key: &str) -> Value {
        let value = self.members.remove(key);
        value.unwrap_or_else(|| panic!("no {key:?} in the summary {}", self.line))
    }

    fn count(&mut self, key: &str) -> u64 {
        let value = self.take(key);
        let count = value.as_u64();
        count.unwrap_or_else(|| panic!("{key:?} is {value}, not a count"))
    }

    fn count_if(&mut self, key: &str) -> u64 {
        if self.members.contains_key(key) {
            self.count(key)
        } else {
            0
        }
    }

    fn reasons(&mut self) -> BTreeMap<String, u64> {
        let value = self.take("reasons");
        let Some(reasons) = value.as_object() else {
            panic!("`reasons` is {value}, not an object");
        };
        let count = |v: &Value| v.as_u64().unwrap_or_else(|| panic!("reasons: {value}"));
        let pairs = reasons.iter().map(|(why, n)| (why.clone(), count(n)));
        pairs.collect()
    }
}
