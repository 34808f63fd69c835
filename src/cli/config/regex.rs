//! The regular expressions of `--multiline`, `--include`, `--exclude`, `--redact` and `--path-labels`,
//! compiled.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use regex::bytes::{Regex, RegexSet};

use crate::cli::args;
use crate::entry::labels;
use crate::process::filter::Filter;
use crate::process::line_processor::LineOptions;
use crate::process::multiline::{EntryStart, Multiline};
use crate::process::path_labels::PathLabels;
use crate::process::redact::Redactor;
use crate::process::unwrap::{Kind, Unwrap};

/// How lines are joined and filtered.
pub fn line_options(input: &args::Input) -> Result<LineOptions> {
    let multiline = match &input.multiline {
        None => None,
        Some(pattern) => Some(multiline(pattern, input.multiline_wait)?),
    };
    let filter = Filter::new(
        set("--include", &input.include)?,
        set("--exclude", &input.exclude)?,
    );
    Ok(LineOptions::new(
        multiline,
        filter,
        input.strip_ansi,
        match input.unwrap {
            args::Unwrap::None => Unwrap::Off,
            args::Unwrap::Auto => Unwrap::Auto,
            args::Unwrap::Docker => Unwrap::Only(Kind::Docker),
            args::Unwrap::Cri => Unwrap::Only(Kind::Cri),
            args::Unwrap::Journald => Unwrap::Only(Kind::Journald),
        },
    ))
}

/// What `--redact` replaces.
pub(super) fn redactor(patterns: &[String]) -> Result<Option<Arc<Redactor>>> {
    let option = "--redact";
    let compile = |pattern: &String| {
        let regex = text_regex(option, pattern)?;
        // Some expressions match an empty text only next to a word or at an end.
        let is_empty = |text: &str| regex.find_iter(text).any(|found| found.is_empty());
        ensure!(
            !["", "a", " ", "\n", "a b"].into_iter().any(is_empty),
            "{option}: `{}` matches the empty text",
            pattern.escape_debug()
        );
        Ok(regex)
    };
    let patterns = patterns.iter().map(compile).collect::<Result<Vec<_>>>()?;
    Ok((!patterns.is_empty()).then(|| Arc::new(Redactor::new(patterns))))
}

/// The labels that `--path-labels` makes, apart from those that other options set.
pub(super) fn path_labels(pattern: &str, is_set: impl Fn(&str) -> bool) -> Result<PathLabels> {
    let option = "--path-labels";
    let regex = text_regex(option, pattern)?;
    let mut names = Vec::new();
    for name in regex.capture_names().flatten() {
        labels::check_name(name).map_err(|why| anyhow!("{option}: {why}"))?;
        if !is_set(name) {
            names.push(name.to_owned());
        }
    }
    ensure!(
        regex.capture_names().flatten().next().is_some(),
        "{option}: `{}` has no named group, such as (?<pod>[^/]+)",
        pattern.escape_debug()
    );
    Ok(PathLabels::new(regex, names))
}

fn text_regex(option: &str, pattern: &str) -> Result<regex::Regex> {
    check(option, pattern, true)?;
    regex::Regex::new(pattern).map_err(|why| too_large(option, pattern, &why))
}

fn multiline(pattern: &str, wait: Duration) -> Result<Multiline> {
    let option = "--multiline";
    let start = if pattern == "auto" {
        EntryStart::NotInTrace
    } else {
        check(option, pattern, false)?;
        let regex = Regex::new(pattern).map_err(|why| too_large(option, pattern, &why))?;
        EntryStart::Matching(regex)
    };
    Ok(Multiline { start, wait })
}

/// The patterns as one set, if there are any. An empty set would cost as much memory as a full one.
fn set(option: &str, patterns: &[String]) -> Result<Option<RegexSet>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    for pattern in patterns {
        check(option, pattern, false)?;
    }
    let set = RegexSet::new(patterns);
    set.map(Some)
        .map_err(|why| too_large(option, &patterns.join("`, `"), &why))
}

/// Reports an error in a pattern and its position on one line; the regex crate uses several.
fn check(option: &str, pattern: &str, is_text: bool) -> Result<()> {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(is_text).build();
    let (what, span) = match parser.parse(pattern) {
        Ok(_) => return Ok(()),
        Err(regex_syntax::Error::Parse(error)) => (error.kind().to_string(), *error.span()),
        Err(regex_syntax::Error::Translate(error)) => (error.kind().to_string(), *error.span()),
        Err(error) => return Err(anyhow!("{option}: `{}`: {error}", pattern.escape_debug())),
    };
    let at = pattern.get(..span.start.offset).unwrap_or(pattern);
    Err(anyhow!(
        "{option}: `{}` is not a valid regular expression: {what}, at character {}",
        pattern.escape_debug(),
        at.chars().count() + 1
    ))
}

fn too_large(option: &str, pattern: &str, why: &regex::Error) -> anyhow::Error {
    anyhow!("{option}: `{}`: {why}", pattern.escape_debug())
}
