//! The contract of one push request, read without looking at any other: its headers, its
//! gzip, its JSON, its labels, its entries. Every departure is a sentence in the result.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;

use super::http::Head;
use super::json::{self, Json};

/// A label set.
pub type Labels = BTreeMap<String, String>;

/// One log entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// The labels of its stream.
    pub labels: Arc<Labels>,
    /// Nanoseconds since 1970.
    pub time: i64,
    pub line: String,
    /// Structured metadata.
    pub metadata: BTreeMap<String, String>,
}

impl Entry {
    /// Line and metadata in bytes: what Loki's rate limits count.
    pub fn size(&self) -> usize {
        self.line.len() + self.metadata_size()
    }

    /// Names and values of the metadata in bytes.
    pub fn metadata_size(&self) -> usize {
        let sizes = self.metadata.iter().map(|(k, v)| k.len() + v.len());
        sizes.sum()
    }
}

/// What the checks measure by. The defaults are Loki's; a test may move them.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest line in bytes.
    pub line: usize,
    /// Most labels of a stream.
    pub labels: usize,
    /// Longest label name in bytes.
    pub label_name: usize,
    /// Longest label value in bytes.
    pub label_value: usize,
    /// Most metadata pairs of an entry.
    pub metadata_count: usize,
    /// Largest metadata of an entry in bytes.
    pub metadata_size: usize,
    /// Largest request as protobuf, estimated as [`message_size`] does.
    pub message: usize,
    /// What `User-Agent` begins with.
    pub user_agent: &'static str,
    /// Two requests of one stream may not be under way at once.
    pub one_at_a_time: bool,
    /// Lines that failed with other times may not come back with other times.
    /// Off where a test repeats its lines.
    pub keep_times: bool,
    /// What was answered may not come again.
    pub no_repeats: bool,
    /// Entries more than an hour behind the newest stored one of their stream may not share a
    /// request with fresh ones.
    pub old_apart: bool,
    /// A request may hold no entries: `--check` asks in this way, everybody else wastes one.
    pub probes: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 262_144,
            labels: 15,
            label_name: 1024,
            label_value: 2048,
            metadata_count: 128,
            metadata_size: 65_536,
            message: 4 << 20,
            user_agent: "loki-push/",
            one_at_a_time: true,
            keep_times: true,
            no_repeats: true,
            old_apart: true,
            probes: false,
        }
    }
}

/// What a request holds, as far as it could be read, and everything that is wrong with it.
#[derive(Debug, Default)]
pub struct Checked {
    pub labels: Arc<Labels>,
    pub entries: Vec<Arc<Entry>>,
    /// Size of the body without its gzip.
    pub plain_size: usize,
    pub wrong: Vec<String>,
}

/// Loki's inner message for these entries: 46 bytes an entry were measured.
pub fn message_size<'a>(entries: impl IntoIterator<Item = &'a Arc<Entry>>) -> usize {
    entries.into_iter().map(|entry| entry.size() + 46).sum()
}

/// Checks one push request.
pub fn check(head: &Head, body: &[u8], limits: &Limits) -> Checked {
    let mut checked = Checked::default();
    check_headers(head, limits, &mut checked.wrong);
    let plain = match unpack(head, body) {
        Ok(plain) => plain,
        Err(why) => {
            checked.wrong.push(why);
            return checked;
        }
    };
    checked.plain_size = plain.len();
    let Ok(text) = std::str::from_utf8(&plain) else {
        checked.wrong.push("the JSON is not UTF-8".into());
        return checked;
    };
    match json::parse(text) {
        Ok(value) => check_document(value, limits, &mut checked),
        Err(why) => checked.wrong.push(format!("broken JSON {why}")),
    }
    checked
}

fn check_headers(head: &Head, limits: &Limits, wrong: &mut Vec<String>) {
    let mut once = |name: &str, right: &dyn Fn(&str) -> bool, rule: &str| {
        let values: Vec<&str> = head.headers.all(name).collect();
        if !matches!(values[..], [value] if right(value)) {
            wrong.push(format!("{name} is {values:?}, must be {rule}"));
        }
    };
    once(
        "Content-Type",
        &|v| v == "application/json",
        "application/json",
    );
    once(
        "User-Agent",
        &|v| v.starts_with(limits.user_agent),
        limits.user_agent,
    );
    if head.headers.get("Content-Encoding").is_some() {
        once("Content-Encoding", &|v| v == "gzip", "gzip or absent");
    }
    if head.target != head.path() {
        wrong.push(format!("the push path has a query: {}", head.target));
    }
}

/// Takes the gzip off: one member, complete, its checksum right, nothing after it.
fn unpack(head: &Head, body: &[u8]) -> Result<Vec<u8>, String> {
    if head.headers.get("Content-Encoding") != Some("gzip") {
        return Ok(body.to_vec());
    }
    let mut plain = Vec::new();
    let mut member = flate2::bufread::GzDecoder::new(body);
    if let Err(why) = member.read_to_end(&mut plain) {
        return Err(format!("broken gzip: {why}"));
    }
    match member.into_inner() {
        [] => Ok(plain),
        rest => Err(format!("{} bytes come after the gzip", rest.len())),
    }
}

fn check_document(document: Json, limits: &Limits, checked: &mut Checked) {
    let wrong = &mut checked.wrong;
    let Some([streams]) = members(document, ["streams"], "the body", wrong) else {
        return;
    };
    let streams = match streams {
        Json::Array(streams) => streams,
        other => {
            wrong.push(format!("`streams` is {}, not an array", other.kind()));
            return;
        }
    };
    let [stream] = match <[Json; 1]>::try_from(streams) {
        Ok(one) => one,
        Err(all) => {
            wrong.push(format!("{} streams in one request, not one", all.len()));
            return;
        }
    };
    let Some([labels, values]) = members(stream, ["stream", "values"], "a stream", wrong) else {
        return;
    };
    let labels = Arc::new(check_labels(labels, limits, wrong));
    checked.entries = check_values(values, &labels, limits, wrong);
    checked.labels = labels;
}

/// The members of an object that must have exactly these names, each once.
fn members<const N: usize>(
    value: Json,
    names: [&str; N],
    what: &str,
    wrong: &mut Vec<String>,
) -> Option<[Json; N]> {
    let found = match value {
        Json::Object(found) => found,
        other => {
            wrong.push(format!("{what} is {}, not an object", other.kind()));
            return None;
        }
    };
    let mut keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    if keys != names {
        wrong.push(format!("{what} has the keys {keys:?}, must have {names:?}"));
        return None;
    }
    let mut found = found;
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let values: Vec<Json> = found.into_iter().map(|(_, value)| value).collect();
    <[Json; N]>::try_from(values).ok()
}

fn check_labels(value: Json, limits: &Limits, wrong: &mut Vec<String>) -> Labels {
    let mut labels = Labels::new();
    for (name, value) in strings(value, "`stream`", wrong) {
        if !is_label_name(&name) || name.starts_with("__") {
            wrong.push(format!("label name {name:?}"));
        }
        if name.len() > limits.label_name {
            wrong.push(format!("label name of {} bytes", name.len()));
        }
        if value.is_empty() {
            wrong.push(format!("label {name:?} has an empty value"));
        }
        if value.contains('\u{fffd}') {
            wrong.push(format!("label {name:?} has U+FFFD in its value"));
        }
        if value.len() > limits.label_value {
            wrong.push(format!(
                "label {name:?} has a value of {} bytes",
                value.len()
            ));
        }
        labels.insert(name, value);
    }
    if labels.is_empty() {
        wrong.push("a stream without labels".into());
    }
    if labels.len() > limits.labels {
        wrong.push(format!("{} labels", labels.len()));
    }
    labels
}

/// `^[a-zA-Z_][a-zA-Z0-9_]*$`
fn is_label_name(name: &str) -> bool {
    let word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    word && !name.is_empty() && !name.as_bytes()[0].is_ascii_digit()
}

/// The pairs of an object whose values are all strings and whose names differ.
fn strings(value: Json, what: &str, wrong: &mut Vec<String>) -> Vec<(String, String)> {
    let found = match value {
        Json::Object(found) => found,
        other => {
            wrong.push(format!("{what} is {}, not an object", other.kind()));
            return Vec::new();
        }
    };
    let mut names = BTreeSet::new();
    let mut pairs = Vec::with_capacity(found.len());
    for (name, value) in found {
        if !names.insert(name.clone()) {
            wrong.push(format!("{what} has {name:?} twice"));
        }
        match value {
            Json::String(value) => pairs.push((name, value)),
            other => wrong.push(format!("{what}: {name:?} is {}", other.kind())),
        }
    }
    pairs
}

fn check_values(
    values: Json,
    labels: &Arc<Labels>,
    limits: &Limits,
    wrong: &mut Vec<String>,
) -> Vec<Arc<Entry>> {
    let values = match values {
        Json::Array(values) => values,
        other => {
            wrong.push(format!("`values` is {}, not an array", other.kind()));
            return Vec::new();
        }
    };
    if values.is_empty() && !limits.probes {
        wrong.push("a request without entries".into());
    }
    let mut entries: Vec<Arc<Entry>> = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        let mut told = Vec::new();
        if let Some(entry) = check_value(value, labels, limits, &mut told) {
            if let Some(last) = entries.last().filter(|last| last.time > entry.time) {
                told.push(format!("time {} comes after {}", entry.time, last.time));
            }
            entries.push(Arc::new(entry));
        }
        wrong.extend(told.iter().map(|why| format!("entry {index}: {why}")));
    }
    let size = message_size(&entries);
    if size > limits.message {
        wrong.push(format!("about {size} bytes of protobuf"));
    }
    entries
}

fn check_value(
    value: Json,
    labels: &Arc<Labels>,
    limits: &Limits,
    wrong: &mut Vec<String>,
) -> Option<Entry> {
    let mut parts = match value {
        Json::Array(parts) if (2..=3).contains(&parts.len()) => parts.into_iter(),
        Json::Array(parts) => {
            wrong.push(format!("an array of {}", parts.len()));
            return None;
        }
        other => {
            wrong.push(format!("{}, not an array", other.kind()));
            return None;
        }
    };
    let (time, line) = (parts.next()?, parts.next()?);
    let metadata = parts.next();
    let time = check_time(&time, wrong);
    let line = match line {
        Json::String(line) => line,
        other => {
            wrong.push(format!("the line is {}", other.kind()));
            return None;
        }
    };
    if line.len() > limits.line {
        wrong.push(format!("a line of {} bytes", line.len()));
    }
    let mut pairs = BTreeMap::new();
    if let Some(metadata) = metadata {
        pairs.extend(strings(metadata, "metadata", wrong));
        if pairs.is_empty() {
            wrong.push("empty metadata: leave it out".into());
        }
    }
    let entry = Entry {
        labels: Arc::clone(labels),
        time: time?,
        line,
        metadata: pairs,
    };
    check_metadata(&entry, limits, wrong);
    Some(entry)
}

fn check_time(value: &Json, wrong: &mut Vec<String>) -> Option<i64> {
    let text = match value {
        Json::String(text) => text,
        other => {
            wrong.push(format!("the time is {}, not a string", other.kind()));
            return None;
        }
    };
    let digits = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    let time = text.parse::<i64>().ok().filter(|_| digits);
    match time {
        None => wrong.push(format!("the time is {text:?}")),
        // The upper bound, 1e19, is past what 63 bits hold.
        Some(time) if time <= 100_000_000_000_000_000 => {
            wrong.push(format!("{time} is no time in nanoseconds of our days"));
        }
        Some(_) => {}
    }
    time
}

fn check_metadata(entry: &Entry, limits: &Limits, wrong: &mut Vec<String>) {
    let mut stored_as = BTreeMap::new();
    for name in entry.metadata.keys() {
        if !name.bytes().any(|b| b.is_ascii_alphanumeric()) {
            wrong.push(format!("metadata name {name:?}"));
        }
        if let Some(other) = stored_as.insert(sanitised(name), name) {
            wrong.push(format!(
                "metadata {other:?} and {name:?} are one name to Loki"
            ));
        }
    }
    if entry.metadata.len() > limits.metadata_count {
        wrong.push(format!("{} metadata pairs", entry.metadata.len()));
    }
    if entry.metadata_size() > limits.metadata_size {
        wrong.push(format!("{} bytes of metadata", entry.metadata_size()));
    }
}

/// The name under which Loki keeps a metadata pair: other characters become `_`, runs of it
/// one, a leading digit gets `key_`; `__x__` stays.
pub fn sanitised(name: &str) -> String {
    let reserved = name.len() > 4 && name.starts_with("__") && name.ends_with("__");
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => out.push(c),
            _ if out.ends_with('_') => {}
            _ => out.push('_'),
        }
    }
    if reserved {
        out = format!("_{out}_");
    }
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.insert_str(0, "key_");
    }
    out
}
