//! Labels: the name-value pairs that identify a stream in Loki, and Loki's rules for them.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::entry::json::write_escaped;

/// The longest label name Loki accepts, in bytes (`max_label_name_length`).
pub const MAX_NAME: usize = 1024;
/// The longest label value Loki accepts, in bytes (`max_label_value_length`).
pub const MAX_VALUE: usize = 2048;

/// An immutable set of labels, sorted by name, with its JSON object prepared.
///
/// Two sets are equal exactly when Loki would see one stream.
#[derive(Clone, Eq)]
pub struct Labels {
    pairs: Vec<(String, String)>,
    json: String,
}

impl Labels {
    /// Makes a label set. A later pair replaces an earlier one of the same name, and empty values are
    /// dropped, as Loki drops them.
    pub fn new<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let mut set = BTreeMap::new();
        for (name, value) in pairs {
            set.insert(name.into(), value.into());
        }
        Self::of(set)
    }

    fn of(mut set: BTreeMap<String, String>) -> Self {
        set.retain(|_, value| !value.is_empty());
        let mut json = Vec::new();
        for (name, value) in &set {
            json.extend_from_slice(if json.is_empty() { b"{\"" } else { b",\"" });
            write_escaped(&mut json, name);
            json.extend_from_slice(b"\":\"");
            write_escaped(&mut json, value);
            json.push(b'"');
        }
        json.extend_from_slice(if json.is_empty() { b"{}" } else { b"}" });
        Self {
            pairs: set.into_iter().collect(),
            json: String::from_utf8_lossy(&json).into_owned(),
        }
    }

    /// Returns this set with more labels; they replace labels of the same name.
    #[must_use]
    pub fn with<'a>(&'a self, more: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let own = self
            .pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        Self::new(own.chain(more))
    }

    /// The value of a label, if the set has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_str())
    }

    /// The pairs, sorted by name.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The set as a JSON object, the `stream` member of a push request.
    pub fn json(&self) -> &str {
        &self.json
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.json.hash(state);
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Writes the set as a LogQL selector: `{app="api",env="prod"}`.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (n, (name, value)) in self.pairs.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

/// Checks a label name that a user gave against Loki's rule, `[a-zA-Z_][a-zA-Z0-9_]*` (Loki parses the
/// name as part of a `PromQL` selector). Names with a leading `__` are reserved by Loki.
///
/// # Errors
/// A message that says what is wrong.
pub fn check_name(name: &str) -> Result<(), String> {
    let mut bytes = name.bytes();
    let first = bytes.next().ok_or("a label name is missing before `=`")?;
    if !(first.is_ascii_alphabetic() || first == b'_')
        || !bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
    {
        let start = if first.is_ascii_digit() { "_" } else { "" };
        let valid = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let valid = format!("{start}{valid}");
        let hint = check_name(&valid).map_or(String::new(), |()| format!(" ({valid}?)"));
        return Err(format!(
            "`{}` is not a valid label name: use letters, digits and `_`, and do not start with a \
             digit{hint}",
            name.escape_debug()
        ));
    }
    if name.starts_with("__") {
        return Err(format!(
            "`{name}`: label names starting with `__` are reserved by Loki"
        ));
    }
    if name.len() > MAX_NAME {
        return Err(format!(
            "the label name is {} bytes long; Loki accepts at most {MAX_NAME}",
            name.len()
        ));
    }
    Ok(())
}

/// Checks a label value. Loki rejects a whole request for U+FFFD in one (its lexer takes it for invalid
/// UTF-8), and drops a stream for a value over 2048 bytes.
///
/// # Errors
/// A message that says what is wrong.
pub fn check_value(value: &str) -> Result<(), String> {
    if value.contains('\u{FFFD}') {
        return Err("the value contains invalid UTF-8 (or U+FFFD), which Loki refuses".into());
    }
    if value.len() > MAX_VALUE {
        return Err(format!(
            "the label value is {} bytes long; Loki accepts at most {MAX_VALUE}",
            value.len()
        ));
    }
    Ok(())
}

/// Parses the value of `--label`: `KEY=VALUE`, or a selector `{a="b", c="d"}`.
///
/// # Errors
/// A message for the user.
pub fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let pairs = match text.trim().strip_prefix('{') {
        Some(rest) => parse_selector(rest)?,
        None => {
            let (name, value) = text.split_once('=').ok_or_else(|| {
                format!("`{}` has no `=`; a label is KEY=VALUE", text.escape_debug())
            })?;
            vec![(name.trim().to_owned(), value.to_owned())]
        }
    };
    for (name, value) in &pairs {
        check_name(name)?;
        check_value(value).map_err(|why| format!("label `{name}`: {why}"))?;
    }
    Ok(pairs)
}

/// Parses `a="b", c="d"}`, the rest of a selector after its opening brace.
fn parse_selector(text: &str) -> Result<Vec<(String, String)>, String> {
    let malformed = || {
        format!(
            "`{{{}` is not a valid label set; write {{a=\"b\",c=\"d\"}}",
            text.escape_debug()
        )
    };
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.starts_with('}') {
        let (name, after) = rest.split_once('=').ok_or_else(malformed)?;
        // LogQL's quoted values are JSON strings, and serde_json stops after the first one.
        let mut values = serde_json::Deserializer::from_str(after).into_iter::<String>();
        let value = values.next().and_then(Result::ok).ok_or_else(malformed)?;
        let behind = after[values.byte_offset()..].trim_start();
        pairs.push((name.trim().to_owned(), value));
        rest = match behind.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if behind.starts_with('}') => behind,
            None => return Err(malformed()),
        };
    }
    if rest.trim_end() == "}" {
        Ok(pairs)
    } else {
        Err(malformed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    #[test]
    fn a_set_is_sorted_and_the_later_pair_wins() {
        let labels = Labels::new([
            ("env", "dev"),
            ("app", "api"),
            ("env", "prod"),
            ("empty", ""),
        ]);
        assert_eq!(labels.json(), r#"{"app":"api","env":"prod"}"#);
        assert_eq!(labels.to_string(), r#"{app="api",env="prod"}"#);
        assert_eq!(labels.with([("level", "info")]).get("level"), Some("info"));
        assert_eq!(labels, Labels::new([("app", "api"), ("env", "prod")]));
    }

    #[test]
    fn both_forms_of_the_label_option_are_read() {
        assert_eq!(parse("a=b"), Ok(pairs(&[("a", "b")])));
        assert_eq!(parse("a=b=c d"), Ok(pairs(&[("a", "b=c d")])));
        assert_eq!(parse("a="), Ok(pairs(&[("a", "")])));
        assert_eq!(
            parse(r#"{a="b", c = "d\"e,}",}"#),
            Ok(pairs(&[("a", "b"), ("c", "d\"e,}")]))
        );
        assert_eq!(parse("{}"), Ok(Vec::new()));
    }

    #[test]
    fn what_loki_would_refuse_is_refused_here() {
        for bad in [
            "",
            "=b",
            "noequals",
            "1a=b",
            "a-b=c",
            "a.b=c",
            "a:b=c",
            "ä=b",
            "__name=b",
            "\"a\"=b",
            "{a=b}",
            "{a=\"b\"",
            "{a=\"b\"} x",
            "{a=\"b\" c=\"d\"}",
            "{=\"b\"}",
        ] {
            assert!(parse(bad).is_err(), "{bad:?} was taken");
        }
        for (bad, end) in [
            ("my-host=x", "with a digit (my_host?)"),
            ("1a=b", "with a digit (_1a?)"),
            // Loki reserves what begins with two of them.
            ("--a=b", "with a digit"),
        ] {
            let error = parse(bad).unwrap_err();
            assert!(error.ends_with(end), "{error}");
        }
        assert!(parse("a=x\u{FFFD}").is_err());
        assert!(parse(&format!("a={}", "x".repeat(2049))).is_err());
        assert!(parse(&format!("a={}", "x".repeat(2048))).is_ok());
    }
}
