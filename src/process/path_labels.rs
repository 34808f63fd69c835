//! Derives labels from a file's path (`--path-labels`).

use std::path::Path;

use regex::Regex;

use crate::entry::labels::check_value;

/// Derives labels from the named groups of a pattern that is matched against a path.
#[derive(Debug, Clone)]
pub struct PathLabels {
    pattern: Regex,
    /// The groups that become labels, without those whose label is set by an option.
    names: Vec<String>,
}

impl PathLabels {
    pub fn new(pattern: Regex, names: Vec<String>) -> Self {
        Self { pattern, names }
    }

    /// The labels of a file, by the path under which it was first opened.
    pub fn of(&self, path: &Path) -> Vec<(String, String)> {
        let path = path.to_string_lossy();
        let Some(found) = self.pattern.captures(&path) else {
            return Vec::new();
        };
        let labels = self.names.iter().filter_map(|name| {
            let value = found.name(name)?.as_str();
            let fits = !value.is_empty() && check_value(value).is_ok();
            fits.then(|| (name.clone(), value.to_owned()))
        });
        labels.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_groups_that_match_are_labels() {
        let pattern =
            r"/pods/(?<namespace>[^_]+)_(?<pod>[^_]+)_[^/]+/(?<container>[^/]+)/(?<empty>)";
        let names = ["namespace", "container", "empty"].map(str::to_owned);
        let labels = PathLabels::new(Regex::new(pattern).unwrap(), names.to_vec());
        let of = |path: &str| labels.of(Path::new(path));
        let expected = [("namespace", "shop"), ("container", "api")];
        assert_eq!(
            of("/var/log/pods/shop_web-1_u-i-d/api/0.log"),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(of("/var/log/syslog"), []);
        assert_eq!(
            of("/pods/shop_web_x/\u{fffd}/0.log"),
            [("namespace".to_owned(), "shop".to_owned())]
        );
    }
}
