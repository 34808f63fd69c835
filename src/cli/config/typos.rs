//! Values that are valid but unlikely to be meant: warnings about them.

use crate::cli::args::Cli;
use crate::entry::labels;

/// A warning for each likely typo in labels and the message.
pub(super) fn warnings(cli: &Cli) -> Vec<String> {
    let mut warnings = Vec::new();
    let labels = &cli.labels;
    let own = [("app", &labels.app), ("env", &labels.env)];
    for (name, value) in own
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)))
    {
        warnings.extend(quotes(&format!("--{name}"), value));
    }
    for text in &labels.label {
        for (name, value) in labels::parse(text).unwrap_or_default() {
            let option = format!("--label {name}");
            if value.is_empty() {
                warnings.push(format!(
                    "{option} has no value: Loki ignores a label without one"
                ));
            }
            // Inside of {a="b"} quotes and commas are meant.
            if !text.trim_start().starts_with('{') {
                warnings.extend(quotes(&option, &value));
                warnings.extend(two_labels(&option, &value));
            }
        }
    }
    if cli
        .input
        .message
        .as_ref()
        .is_some_and(|text| text.is_empty())
    {
        warnings.push("--message is empty: shipping an empty entry".into());
    }
    warnings
}

fn quotes(option: &str, value: &str) -> Option<String> {
    let quoted = ['"', '\'']
        .iter()
        .any(|&quote| value.len() > 1 && value.starts_with(quote) && value.ends_with(quote));
    let shown = value.escape_debug();
    quoted.then(|| format!("{option}: the quotes are part of the value `{shown}`"))
}

/// `a=b,c=d` is one label with a strange value.
fn two_labels(option: &str, value: &str) -> Option<String> {
    let mut others = value.split(',').skip(1);
    let looks_like_label = others.any(|part| {
        let name = part.split_once('=').map(|(name, _)| name.trim());
        name.is_some_and(|name| labels::check_name(name).is_ok())
    });
    let shown = value.escape_debug();
    looks_like_label.then(|| {
        format!(
            "{option}: the value is `{shown}`; for several labels repeat --label, or write \
             {{a=\"b\",c=\"d\"}}"
        )
    })
}
