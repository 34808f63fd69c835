//! Patterns: `--multiline`, `--include` and `--exclude`, compiled and, if wrong, explained.

use std::time::Duration;

use anyhow::{Result, anyhow};
use regex::bytes::{Regex, RegexSet};

use crate::cli::args;
use crate::process::filter::Filter;
use crate::process::line_processor::LineOptions;
use crate::process::multiline::Multiline;

/// How lines are joined and filtered.
pub fn gather(input: &args::Input) -> Result<LineOptions> {
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
    let begins = Regex::new(pattern).map_err(|why| too_much(option, pattern, &why))?;
    Ok(Multiline { begins, wait })
}

/// The patterns as one, if there are any: to compile none costs as much memory as to compile some.
fn set(option: &str, patterns: &[String]) -> Result<Option<RegexSet>> {
    if patterns.is_empty() {
        return Ok(None);
    }
    for pattern in patterns {
        check(option, pattern)?;
    }
    let set = RegexSet::new(patterns);
    set.map(Some)
        .map_err(|why| too_much(option, &patterns.join("`, `"), &why))
}

/// Says what is wrong with a pattern, and where. The regex crate draws that over several lines.
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
        "{option}: `{}` is no pattern: {what}, at character {}",
        pattern.escape_debug(),
        at.chars().count() + 1
    ))
}

fn too_much(option: &str, pattern: &str, why: &regex::Error) -> anyhow::Error {
    anyhow!("{option}: `{}`: {why}", pattern.escape_debug())
}
