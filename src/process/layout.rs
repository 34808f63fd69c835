//! Renders the fields of a line, into its text or into structured metadata, within Loki's limits.

use std::borrow::Cow;

use crate::entry::json::write_escaped;
use crate::parse::fields;
#[cfg(feature = "cli")]
use crate::parse::fields::Field;

/// Maximum number of structured metadata fields per entry (Loki's
/// `max_structured_metadata_entries_count`).
const MAX_METADATA: usize = 128;
/// Maximum size of an entry's structured metadata in bytes (Loki's `max_structured_metadata_size`).
const MAX_METADATA_BYTES: usize = 64 * 1024;

/// How an entry is rendered.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// The line unchanged
    Keep,
    /// `message | key=val key=val`
    Line,
    /// The message, with the fields as structured metadata
    Metadata,
}

/// The fields of an entry, rendered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Text to append to the message.
    pub suffix: String,
    /// Structured metadata as a JSON object; empty if there is none.
    pub metadata: String,
}

/// Renders fields in the given layout; `None` if the line is kept unchanged.
#[cfg(feature = "cli")]
pub fn render_fields<'a>(
    layout: Layout,
    fields: impl Iterator<Item = (&'a str, &'a str)>,
) -> Option<Rendered> {
    let mut rendered = Rendered::default();
    match layout {
        Layout::Keep => return None,
        Layout::Line => append_fields(&mut rendered.suffix, fields),
        Layout::Metadata => rendered = render_metadata(fields),
    }
    Some(rendered)
}

/// Renders fields as structured metadata. Those that are not suitable become text.
pub fn render_metadata<'a>(fields: impl Iterator<Item = (&'a str, &'a str)>) -> Rendered {
    let (metadata, rest) = write_metadata(fields);
    let mut suffix = String::new();
    append_fields(&mut suffix, rest.into_iter());
    Rendered { suffix, metadata }
}

/// Removes the message of a logfmt line from its fields and returns it: `msg`, or else `message`,
/// as in JSON lines. Empty if there is none, or if it `is_taken` as a label.
#[cfg(feature = "cli")]
pub fn take_message<'a>(
    fields: &mut Vec<Field<'a>>,
    is_taken: impl Fn(&str) -> bool,
) -> Cow<'a, str> {
    let found = ["msg", "message"].into_iter().find_map(|name| {
        let at = fields.iter().position(|field| field.name == name)?;
        (!is_taken(name)).then_some(at)
    });
    found.map_or(Cow::Borrowed(""), |at| fields.remove(at).value)
}

/// Appends ` | key=val key=val`, or nothing if there are no fields.
pub fn append_fields<'a>(out: &mut String, fields: impl Iterator<Item = (&'a str, &'a str)>) {
    let mut separator = " | ";
    for (name, value) in fields {
        out.push_str(separator);
        fields::write_field(out, name, value);
        separator = " ";
    }
}

/// Writes the metadata object. Returns it with the fields that Loki would reject or lose there:
/// names it cannot sanitize (Loki's distributor answers 500 to the whole request), empty values,
/// fields above its limits, and all but the last of equal names.
fn write_metadata<'a>(
    fields: impl Iterator<Item = (&'a str, &'a str)>,
) -> (String, Vec<(&'a str, &'a str)>) {
    let (mut rest, mut bytes) = (Vec::new(), 0);
    let mut safe: Vec<Named<'a>> = Vec::new();
    for (name, value) in fields {
        let Some(safe_name) = fields::metadata_name(name).filter(|_| !value.is_empty()) else {
            rest.push((name, value));
            continue;
        };
        // Loki keeps one of several equal names; use the last, as in JSON.
        if let Some(duplicate) = safe.iter_mut().find(|known| known.safe == safe_name) {
            bytes = bytes + value.len() - duplicate.value.len();
            rest.push((duplicate.name, duplicate.value));
            (duplicate.name, duplicate.value) = (name, value);
            continue;
        }
        let size = safe_name.len() + value.len();
        if safe.len() == MAX_METADATA || bytes + size > MAX_METADATA_BYTES {
            rest.push((name, value));
            continue;
        }
        bytes += size;
        safe.push(Named {
            safe: safe_name,
            name,
            value,
        });
    }
    if safe.is_empty() {
        return (String::new(), rest);
    }
    let mut json = Vec::with_capacity(bytes + 6 * safe.len() + 2);
    for (n, field) in safe.iter().enumerate() {
        json.extend_from_slice(if n == 0 { b"{\"" } else { b",\"" });
        write_escaped(&mut json, &field.safe);
        json.extend_from_slice(b"\":\"");
        write_escaped(&mut json, field.value);
        json.push(b'"');
    }
    json.push(b'}');
    // Escaped text is always valid UTF-8.
    (String::from_utf8(json).unwrap_or_default(), rest)
}

/// A field with its sanitized name.
struct Named<'a> {
    safe: Cow<'a, str>,
    name: &'a str,
    value: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(fields: &[(&str, &str)]) -> (String, String) {
        let rendered = render_fields(Layout::Metadata, fields.iter().copied()).unwrap();
        (rendered.metadata, rendered.suffix)
    }

    #[test]
    fn metadata_names_are_made_safe_and_what_is_not_stays_in_the_line() {
        let (json, suffix) = metadata(&[("a.b", "1\"2"), ("é", "x"), ("_", "y"), ("e", "")]);
        assert_eq!(json, r#"{"a_b":"1\"2"}"#);
        assert_eq!(suffix, " | __=x _=y e=\"\"");
    }

    #[test]
    fn of_equal_sanitized_names_the_last_wins_and_the_others_stay() {
        let (json, suffix) = metadata(&[("a.b", "1"), ("c", "2"), ("a_b", "22"), ("a.b", "3")]);
        assert_eq!(json, r#"{"a_b":"3","c":"2"}"#);
        assert_eq!(suffix, " | a.b=1 a_b=22");
    }

    #[test]
    fn lokis_limits_are_kept_and_nothing_is_lost() {
        let names: Vec<String> = (0..200).map(|n| format!("k{n}")).collect();
        let fields: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
        let (json, suffix) = metadata(&fields);
        let object: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(object.as_object().unwrap().len(), 128);
        assert_eq!(suffix.matches("=v").count(), 72);
        let large = "x".repeat(70_000);
        let (json, suffix) = metadata(&[("large", &large), ("small", "y")]);
        assert_eq!(json, r#"{"small":"y"}"#);
        assert!(suffix.len() > 70_000);
    }
}
