//! The regular expressions of `--multiline`, `--include` and `--exclude`, compiled.

use std::time::Duration;

use anyhow::{Result, anyhow};
use regex::bytes::{Regex, RegexSet};

use crate::cli::args;
use crate::process::filter::Filter;
use crate::process::line_processor::LineOptions;
use crate::process::multiline::Multiline;

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
    Ok(LineOptions::new(multiline, filter))
}

fn multiline(pattern: &str, wait: Duration) -> Result<Multiline> {
    let option = "--multiline";
    check(option, pattern)?;
    let begins = Regex::new(pattern).map_err(|why| too_large(option, pattern, &why))?;
    Ok(Multiline { begins, wait })
}

/// The patterns as one set, if there are any. An empty set would cost as much memory as a full one.
fn set(option: &str, patterns: &[String]) -> Result<Option<RegexSet>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    for pattern in patterns {
        check(option, pattern)?;
    }
    let set = RegexSet::new(patterns);
    set.map(Some)
        .map_err(|why| too_large(option, &patterns.join("`, `"), &why))
}

/// Reports an error in a pattern and its position on one line; the regex crate uses several.
fn check(option: &str, pattern: &str) -> Result<()> {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
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
