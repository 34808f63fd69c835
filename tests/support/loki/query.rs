//! The reading side: `query_range` with an equality selector, and `labels`, answered in Loki's
//! JSON from the entries that were stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::check::{Entry, Labels, sanitised};
use super::http::Head;
use super::texts::stored_labels;

const SECOND: i64 = 1_000_000_000;
const MOST: usize = 5_000;

/// `GET /loki/api/v1/query_range`
pub fn query_range(head: &Head, entries: &[Arc<Entry>], now: i64) -> Answer {
    match Query::read(head, now) {
        Ok(query) => query.answer(entries),
        Err(why) => Answer::new(400)
            .header("Content-Type", "text/plain; charset=utf-8")
            .body(why),
    }
}

/// `GET /loki/api/v1/labels`; the `data` key is absent when there are none.
pub fn labels(entries: &[Arc<Entry>]) -> Answer {
    let all = entries.iter().flat_map(|e| stored_labels(&e.labels));
    let mut names: Vec<String> = all.map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    let mut document = json!({"status": "success"});
    if !names.is_empty() {
        document["data"] = json!(names);
    }
    Answer::json(document.to_string())
}

struct Query {
    selector: Vec<(String, String)>,
    start: i64,
    end: i64,
    limit: usize,
    forward: bool,
    categorize: bool,
}

impl Query {
    fn read(head: &Head, now: i64) -> Result<Self, String> {
        let mut parameters = BTreeMap::new();
        for pair in head.query().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.insert(decoded(name)?, decoded(value)?);
        }
        let get = |name: &str| parameters.get(name).map(String::as_str);
        let end = get("end").map_or(Ok(now), read_time)?;
        let limit = get("limit").map_or(Ok(100), str::parse);
        let limit = limit.map_err(|_| "limit must be a positive value".to_owned())?;
        if limit > MOST {
            return Err(format!(
                "max entries limit per query exceeded, limit > \
                 max_entries_limit_per_query ({limit} > {MOST})"
            ));
        }
        let forward = match get("direction").unwrap_or("backward") {
            d if d.eq_ignore_ascii_case("forward") => true,
            d if d.eq_ignore_ascii_case("backward") => false,
            d => return Err(format!("invalid direction '{d}'")),
        };
        let flags = head.headers.get("X-Loki-Response-Encoding-Flags");
        Ok(Self {
            selector: read_selector(get("query").unwrap_or_default())?,
            start: get("start").map_or(Ok(end - 3_600 * SECOND), read_time)?,
            end,
            limit,
            forward,
            categorize: flags.is_some_and(|flags| flags.split(',').any(is_categorize)),
        })
    }

    fn answer(&self, entries: &[Arc<Entry>]) -> Answer {
        let mut found: Vec<&Arc<Entry>> = entries.iter().filter(|e| self.takes(e)).collect();
        found.sort_by_key(|entry| entry.time);
        if !self.forward {
            found.reverse();
        }
        found.truncate(self.limit);
        let mut streams: Vec<(Labels, Vec<Value>)> = Vec::new();
        for entry in found {
            let mut labels = stored_labels(&entry.labels);
            let metadata = stored_metadata(entry, &labels);
            let mut value = vec![json!(entry.time.to_string()), json!(entry.line)];
            if self.categorize {
                value.push(json!({ "structuredMetadata": metadata }));
            } else {
                labels.extend(metadata);
            }
            match streams.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, values)) => values.push(Value::Array(value)),
                None => streams.push((labels, vec![Value::Array(value)])),
            }
        }
        let result = streams.into_iter();
        let result = result.map(|(stream, values)| json!({"stream": stream, "values": values}));
        let mut data = Map::new();
        data.insert("resultType".into(), json!("streams"));
        if self.categorize {
            data.insert("encodingFlags".into(), json!(["categorize-labels"]));
        }
        data.insert("result".into(), result.collect());
        data.insert("stats".into(), json!({}));
        Answer::json(json!({"status": "success", "data": data}).to_string())
    }

    fn takes(&self, entry: &Entry) -> bool {
        let labels = stored_labels(&entry.labels);
        let matches = |(name, value): &(String, String)| labels.get(name) == Some(value);
        (self.start..self.end).contains(&entry.time) && self.selector.iter().all(matches)
    }
}

fn is_categorize(flag: &str) -> bool {
    flag.trim() == "categorize-labels"
}

/// The metadata as Loki gives it back: names sanitised, empty values gone, names that are
/// labels too renamed, and the level it detected (here from labels and metadata only).
fn stored_metadata(entry: &Entry, labels: &Labels) -> Labels {
    let mut stored = Labels::new();
    for (name, value) in entry.metadata.iter().filter(|(_, value)| !value.is_empty()) {
        let mut name = sanitised(name);
        if labels.contains_key(&name) {
            name.push_str("_extracted");
        }
        stored.insert(name, value.clone());
    }
    let level = labels.get("level").or_else(|| entry.metadata.get("level"));
    let level = level.map_or("unknown", String::as_str).to_owned();
    stored.entry("detected_level".into()).or_insert(level);
    stored
}

/// `{a="b", c="d"}`
fn read_selector(text: &str) -> Result<Vec<(String, String)>, String> {
    let wrong = || format!("parse error : the stand-in knows {{name=\"value\"}} only: {text}");
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let mut rest = inner.ok_or_else(wrong)?.trim();
    let mut pairs = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(wrong)?;
        let after = after.trim_start().strip_prefix('"').ok_or_else(wrong)?;
        let (value, after) = read_quoted(after).ok_or_else(wrong)?;
        pairs.push((name.trim().to_owned(), value));
        rest = after.trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',').ok_or_else(wrong)?.trim_start();
        }
    }
    if pairs.iter().all(|(_, value)| value.is_empty()) {
        return Err(
            "parse error : queries require at least one regexp or equality matcher \
                    that does not have an empty-compatible value"
                .into(),
        );
    }
    Ok(pairs)
}

/// The string up to its closing quote, and what follows.
fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                c @ ('"' | '\\') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

/// A number of up to ten digits is seconds, a longer one nanoseconds, one with a point seconds.
fn read_time(text: &str) -> Result<i64, String> {
    let wrong = |_| format!("could not parse {text:?} as a time");
    if let Some((whole, fraction)) = text.split_once('.') {
        let nanos = format!("{fraction:0<9.9}");
        let nanos = nanos.parse::<i64>().map_err(wrong)?;
        return Ok(whole.parse::<i64>().map_err(wrong)? * SECOND + nanos);
    }
    let number: i64 = text.parse().map_err(wrong)?;
    Ok(match text.len() {
        0..=10 => number * SECOND,
        _ => number,
    })
}

/// Takes off the encoding of a query string.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || format!("invalid URL escape in {text:?}");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (hex, after) = rest.split_at_checked(2).ok_or_else(wrong)?;
                let hex = std::str::from_utf8(hex).map_err(|_| wrong())?;
                bytes.push(u8::from_str_radix(hex, 16).map_err(|_| wrong())?);
                rest = after;
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}
