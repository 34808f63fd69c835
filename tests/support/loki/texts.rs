//! Loki's refusals word for word (`pkg/validation/validate.go`, `pkg/ingester/stream.go`,
//! `pkg/chunkenc/interface.go`, `pkg/util/errors/errors.go`), and the names of streams in them.

use std::fmt::Write as _;
use std::sync::Arc;

use super::check::{Entry, Labels};
use super::time;

/// Whether the text of a 400 is one of those with which Loki refuses entries or streams.
pub fn is_refusal(text: &str) -> bool {
    let stems = [
        "couldn't parse labels: ",
        " has timestamp too ",
        "max entry size '",
        "structured metadata",
        " label names; limit ",
        " ignored, reason: '",
    ];
    stems.iter().any(|stem| text.contains(stem))
}

/// Loki's `GroupedErrors`: equal messages counted, different ones joined. (Loki's order is
/// random; here it is the order of appearance.)
pub fn grouped(errors: &[String]) -> String {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for error in errors {
        match groups.iter_mut().find(|(text, _)| text == error) {
            Some((_, count)) => *count += 1,
            None => groups.push((error, 1)),
        }
    }
    let alone = matches!(groups[..], [(_, 1)]);
    let parts: Vec<String> = groups
        .iter()
        .map(|(text, count)| {
            if alone {
                (*text).to_owned()
            } else {
                format!("{count} errors like: {text}")
            }
        })
        .collect();
    parts.join("; ")
}

/// The ingester's list: ten failures in full, then how many of how many.
pub fn ignored_text(failed: &[(Arc<Entry>, String)], total: usize, name: &str) -> String {
    let mut text = String::new();
    for (entry, why) in failed.iter().take(10) {
        let time = time::go_string(entry.time);
        _ = writeln!(
            text,
            "entry with timestamp {time} ignored, reason: '{why}',"
        );
    }
    let count = failed.len();
    text + &format!("user 'fake', total ignored: {count} out of {total} for stream: {name}")
}

/// The 413 of Loki itself, which reads one byte past its limit and no further.
pub fn too_large_text(what: &str, max: usize) -> String {
    let size = max + 1;
    format!("request body too large: {what} size too large than max ({size} vs {max})")
}

pub fn too_old_text(stream: &str, entry: i64, oldest: i64) -> String {
    format!(
        "entry for stream '{stream}' has timestamp too old: {}, \
         oldest acceptable timestamp is: {}",
        time::rfc3339(entry),
        time::rfc3339(oldest)
    )
}

pub fn too_new_text(stream: &str, entry: i64) -> String {
    let entry = time::rfc3339(entry);
    format!("entry for stream '{stream}' has timestamp too new: {entry}")
}

pub fn too_long_text(stream: &str, length: usize, max: usize) -> String {
    format!(
        "max entry size '{max}' bytes exceeded for stream '{stream}' \
         while adding an entry with length '{length}' bytes"
    )
}

pub fn no_metadata_text(stream: &str) -> String {
    format!(
        "stream '{stream}' includes structured metadata, but this feature is disallowed. Please \
         see `limits_config.allow_structured_metadata` or contact your Loki administrator to \
         enable it"
    )
}

pub fn metadata_size_text(stream: &str, size: usize, max: usize) -> String {
    format!(
        "stream '{stream}' has structured metadata too large: '{size}' bytes, limit: '{max}' \
         bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki \
         administrator to increase it"
    )
}

pub fn metadata_count_text(stream: &str, count: usize, max: usize) -> String {
    format!(
        "stream '{stream}' has too many structured metadata labels: '{count}', limit: '{max}'. \
         Please see `limits_config.max_structured_metadata_entries_count` or contact your Loki \
         administrator to increase it"
    )
}

/// An ingester's reason for one entry behind the window of its stream.
pub fn too_far_behind_text(entry: i64, oldest: i64) -> String {
    format!(
        "entry too far behind, entry timestamp is: {}, oldest acceptable timestamp is: {}",
        time::rfc3339(entry),
        time::rfc3339(oldest)
    )
}

/// The 429 of the distributor.
pub fn rate_limit_text(limit: u64, lines: usize, bytes: usize) -> String {
    format!(
        "ingestion rate limit exceeded for user fake (limit: {limit} bytes/sec) while attempting \
         to ingest '{lines}' lines totaling '{bytes}' bytes, reduce log volume or contact your \
         Loki administrator to see if the limit can be increased"
    )
}

/// The 429 of an ingester for one entry of a stream.
pub fn stream_rate_text(limit: u64, stream: &str, bytes: usize) -> String {
    format!(
        "Per stream rate limit exceeded (limit: {}/sec) while attempting to ingest for stream \
         '{stream}' totaling {}, consider splitting a stream via additional labels or contact \
         your Loki administrator to see if the limit can be increased",
        data_size(limit),
        data_size(bytes as u64)
    )
}

/// The 429 for a stream too many.
pub fn stream_limit_text(labels: &Labels) -> String {
    let name = stream_name(labels);
    format!(
        "maximum active stream limit exceeded when trying to create stream {name}, reduce the \
         number of active streams (reduce labels or reduce label values), or contact your Loki \
         administrator to see if the limit can be increased, user: 'fake'"
    )
}

/// The 500 of a request whose inner message is too large.
pub fn message_text(size: usize, max: usize) -> String {
    format!(
        "rpc error: code = ResourceExhausted desc = grpc: \
         received message larger than max ({size} vs. {max})"
    )
}

/// Go's `datasize.ByteSize`: the largest unit that divides the number.
fn data_size(bytes: u64) -> String {
    let units = [
        (60, "EB"),
        (50, "PB"),
        (40, "TB"),
        (30, "GB"),
        (20, "MB"),
        (10, "KB"),
    ];
    let whole = units
        .iter()
        .find(|(shift, _)| bytes > 0 && bytes.is_multiple_of(1 << shift));
    match whole {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

/// The labels Loki gives a stream: those sent, and the `service_name` it finds.
pub fn stored_labels(labels: &Labels) -> Labels {
    const SOURCES: [&str; 13] = [
        "service",
        "app",
        "application",
        "app_name",
        "name",
        "app_kubernetes_io_name",
        "container",
        "container_name",
        "k8s_container_name",
        "component",
        "workload",
        "job",
        "k8s_job_name",
    ];
    let mut stored = labels.clone();
    let found = SOURCES.iter().find_map(|name| labels.get(*name));
    stored
        .entry("service_name".into())
        .or_insert_with(|| found.map_or("unknown_service", String::as_str).to_owned());
    stored
}

/// `{app="api", service_name="api"}`: a stream as Loki's texts name it.
pub fn stream_name(labels: &Labels) -> String {
    let stored = stored_labels(labels);
    let pairs = stored
        .iter()
        .map(|(name, value)| format!("{name}={}", quoted(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

/// Go's `strconv.Quote`.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{b}' => out.push_str("\\v"),
            '\0'..='\u{1f}' | '\u{7f}' => _ = write!(out, "\\x{:02x}", u32::from(c)),
            c if c.is_control() => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out + "\""
}
