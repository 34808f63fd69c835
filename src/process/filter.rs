//! Selects the entries to ship (`--include`, `--exclude`).

use regex::bytes::RegexSet;

/// A filter that passes text matching any of the `include` patterns, if there are any, and none of
/// the `exclude` patterns.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    include: Option<RegexSet>,
    exclude: Option<RegexSet>,
}

impl Filter {
    /// Creates a filter. A set that is `None` has no effect.
    pub fn new(include: Option<RegexSet>, exclude: Option<RegexSet>) -> Self {
        Self { include, exclude }
    }

    /// Whether everything passes.
    pub fn is_open(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// Whether this text passes.
    pub fn passes(&self, text: &[u8]) -> bool {
        self.include.as_ref().is_none_or(|set| set.is_match(text))
            && !self.exclude.as_ref().is_some_and(|set| set.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(include: &[&str], exclude: &[&str], texts: &[&str]) -> Vec<String> {
        let set =
            |patterns: &[&str]| (!patterns.is_empty()).then(|| RegexSet::new(patterns).unwrap());
        let filter = Filter::new(set(include), set(exclude));
        let passing = texts.iter().filter(|text| filter.passes(text.as_bytes()));
        passing.map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn one_include_is_enough_and_one_exclude_too() {
        let texts = ["GET /", "GET /health", "POST /", "x"];
        assert_eq!(passing(&["GET", "POST"], &[], &texts), texts[..3]);
        assert_eq!(
            passing(&[], &["health", "^x$"], &texts),
            ["GET /", "POST /"]
        );
        assert_eq!(passing(&["GET"], &["health"], &texts), ["GET /"]);
        assert_eq!(passing(&[], &[], &texts), texts);
        assert!(Filter::default().is_open());
    }

    #[test]
    fn text_that_is_no_utf8_is_judged_too() {
        let filter = Filter::new(Some(RegexSet::new(["b$"]).unwrap()), None);
        assert!(filter.passes(b"a\xff b") && !filter.passes(b"b\xff"));
    }
}
