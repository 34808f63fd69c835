//! Turns field names into names that Loki accepts for structured metadata and labels.

use std::borrow::Cow;

#[cfg(feature = "cli")]
use crate::parse::fields::write::is_key_byte;

/// Sanitizes a name for structured metadata as Loki itself does. `None` for a name that would make
/// Loki answer the whole request with 500.
///
/// Each character outside of `[A-Za-z0-9]` becomes `_`, and consecutive ones become a single `_`; a
/// leading digit is prefixed with `key_`; in `__x__` the outer underscores stay. Loki rejects an
/// empty name, or one that would consist only of underscores, together with the rest of its
/// request. If two names become equal, Loki keeps one of the values.
///
/// Source: Loki's `vendor/github.com/prometheus/otlptranslator`, `label_namer.go` (`Build`) and
/// `strconv.go` (`sanitizeLabelName`), as called in `pkg/distributor/distributor.go`.
#[must_use]
pub fn metadata_name(name: &str) -> Option<Cow<'_, str>> {
    if !name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let inner = name
        .strip_prefix("__")
        .and_then(|rest| rest.strip_suffix("__"));
    let body = inner.unwrap_or(name);
    let digit = inner.is_none() && name.starts_with(|c: char| c.is_ascii_digit());
    let bytes = body.as_bytes();
    let clean = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if !digit && bytes.iter().all(clean) && !bytes.windows(2).any(|pair| pair == b"__") {
        return Some(Cow::Borrowed(name));
    }

    let mut safe = String::with_capacity(name.len() + 4);
    safe.push_str(if inner.is_some() { "__" } else { "" });
    safe.push_str(if digit { "key_" } else { "" });
    let mut underscore = false;
    for c in body.chars() {
        if c.is_ascii_alphanumeric() {
            safe.push(c);
            underscore = false;
        } else if !underscore {
            safe.push('_');
            underscore = true;
        }
    }
    safe.push_str(if inner.is_some() { "__" } else { "" });
    Some(Cow::Owned(safe))
}

/// Maximum length of a label name in bytes (Loki's `max_label_name_length`).
#[cfg(feature = "cli")]
const LABEL_NAME_MAX: usize = 1024;

/// Turns a field name into a label name: dots and dashes become `_`. `None` if Loki would not
/// accept it (`^[a-zA-Z_][a-zA-Z0-9_]*$`, at most 1024 bytes) or it starts with `__`, which is
/// reserved for Loki's internal labels.
///
/// Source: Loki's `pkg/logql/syntax/parser.go` (labels are parsed as a Prometheus metric) and
/// `pkg/validation/limits.go`.
#[must_use]
#[cfg(feature = "cli")]
pub fn label_name(name: &str) -> Option<Cow<'_, str>> {
    let starts =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.' | '-'));
    if !starts || name.len() > LABEL_NAME_MAX || !name.bytes().all(is_key_byte) {
        return None;
    }
    let label = if name.contains(['.', '-']) {
        Cow::Owned(name.replace(['.', '-'], "_"))
    } else {
        Cow::Borrowed(name)
    };
    (!label.starts_with("__")).then_some(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn metadata_names_are_made_safe_as_loki_does() {
        let cases = [
            ("user_id", Some("user_id")),
            ("http.method", Some("http_method")),
            ("a__b", Some("a_b")),
            ("a._-b", Some("a_b")),
            ("_a", Some("_a")),
            ("_a_", Some("_a_")),
            ("__a", Some("_a")),
            ("a__", Some("a_")),
            ("__a__", Some("__a__")),
            ("__a.b__", Some("__a_b__")),
            ("__9__", Some("__9__")),
            ("9lives", Some("key_9lives")),
            ("9", Some("key_9")),
            ("9.a", Some("key_9_a")),
            ("日本a", Some("_a")),
            ("é1", Some("_1")),
            ("", None),
            ("_", None),
            ("____", None),
            ("__é__", None),
            (".", None),
            ("é", None),
            ("日本", None),
        ];
        for (name, safe) in cases {
            assert_eq!(metadata_name(name).as_deref(), safe, "{name}");
        }
        assert!(matches!(
            metadata_name("user_id"),
            Some(Cow::Borrowed("user_id"))
        ));
        let mut random = Random::new(0x2545_f491_4f6c_dd1d);
        for _ in 0..4_000 {
            let name = random.text(&["a", "9", "_", "__", ".", "é", "Z", "\""], 6);
            let Some(safe) = metadata_name(&name) else {
                assert!(
                    !name.contains(|c: char| c.is_ascii_alphanumeric()),
                    "{name}"
                );
                continue;
            };
            // Loki would not change it again, and can parse it.
            assert_eq!(metadata_name(&safe).as_deref(), Some(&*safe), "{name}");
            assert!(
                safe.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                    && !safe.as_bytes()[0].is_ascii_digit()
            );
        }
    }

    #[test]
    fn label_names() {
        let cases = [
            ("app", Some("app")),
            ("_a", Some("_a")),
            ("a__b", Some("a__b")),
            ("http.status-code", Some("http_status_code")),
            (".a", Some("_a")),
            ("__a", None),
            ("_.a", None),
            ("9a", None),
            ("", None),
            ("a b", None),
            ("a:b", None),
            ("a\"b", None),
            ("é", None),
        ];
        for (name, label) in cases {
            assert_eq!(label_name(name).as_deref(), label, "{name}");
        }
        assert!(label_name(&"a".repeat(1024)).is_some());
        assert!(label_name(&"a".repeat(1025)).is_none());
    }
}
