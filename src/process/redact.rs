//! Replaces secrets in lines before anything else is read from them or shipped (`--redact`).

use std::borrow::Cow;

use regex::Regex;

/// The replacement for a match.
const REDACTED: &str = "[redacted]";

/// Replaces all matches of its patterns.
#[derive(Debug, Clone)]
pub struct Redactor(Vec<Regex>);

impl Redactor {
    /// Creates a redactor. No pattern may match the empty text.
    pub fn new(patterns: Vec<Regex>) -> Self {
        Self(patterns)
    }

    /// Returns the text with all matches replaced, one pattern after another; borrowed if none
    /// matches.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut redacted = Cow::Borrowed(text);
        for pattern in &self.0 {
            if let Some(replaced) = replace(pattern, &redacted) {
                redacted = Cow::Owned(replaced);
            }
        }
        redacted
    }
}

fn replace(pattern: &Regex, text: &str) -> Option<String> {
    let mut redacted = String::new();
    let mut kept = 0;
    // A pattern with look-around assertions such as `\b` may still have empty matches.
    for found in pattern.find_iter(text).filter(|found| !found.is_empty()) {
        redacted.push_str(&text[kept..found.start()]);
        redacted.push_str(REDACTED);
        kept = found.end();
    }
    (kept > 0).then(|| redacted + &text[kept..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redact(patterns: &[&str], text: &str) -> String {
        let patterns = patterns.iter().map(|pattern| Regex::new(pattern).unwrap());
        Redactor::new(patterns.collect()).redact(text).into_owned()
    }

    #[test]
    fn every_match_of_every_pattern_is_replaced() {
        let cases = [
            (&["[0-9]+"][..], "a 12 b 3", "a [redacted] b [redacted]"),
            (
                &["s3cret", "é+"],
                "é s3cret s3cret",
                "[redacted] [redacted] [redacted]",
            ),
            (&["x"], "", ""),
            (&["x"], "abc", "abc"),
            (&[r"\b"], "a b", "a b"),
            (&["(?i)token=[^ ]+"], "TOKEN=ab c", "[redacted] c"),
        ];
        for (patterns, text, expected) in cases {
            assert_eq!(redact(patterns, text), expected, "{patterns:?}");
        }
        let pattern = Regex::new("x").unwrap();
        assert!(matches!(
            Redactor::new(vec![pattern]).redact("abc"),
            Cow::Borrowed("abc")
        ));
    }
}
