//! Where a value comes from: the command line, our environment or logcli's, and which wins.
//!
//! Knows how each is called. Knows nothing of what the values mean.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use anyhow::{Result, bail};

use crate::cli::{self, Typed};

/// Where a value comes from; a later one wins over an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// logcli's `LOKI_*`.
    Logcli,
    /// Our `LOKI_PUSH_*`.
    Environment,
    /// The command line.
    CommandLine,
}

/// A value, where it comes from, and what the person who gave it calls it.
pub struct Given<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub source: Source,
    /// What messages call it.
    pub name: String,
}

/// Looks values up: an option's, or that of logcli's environment variable.
pub struct Lookup<'a> {
    /// What was typed, our environment included.
    pub typed: &'a Typed,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    /// Reads a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

impl Lookup<'_> {
    /// A value: `option`, whose id this is, or that of logcli's variable.
    pub fn find<T: From<String>>(
        &self,
        id: &str,
        option: Option<T>,
        logcli: Option<&str>,
    ) -> Result<Option<Given<T>>> {
        if let Some(value) = option {
            let long = id.replace('_', "-");
            let (source, name) = if self.typed.on_command_line(id) {
                (Source::CommandLine, format!("--{long}"))
            } else {
                (Source::Environment, cli::env_name(&long))
            };
            return Ok(Some(Given {
                value,
                source,
                name,
            }));
        }
        let Some(name) = logcli else { return Ok(None) };
        let Some(value) = (self.env)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let Ok(value) = value.into_string() else {
            bail!("{name} is no UTF-8 text");
        };
        Ok(Some(Given {
            value: value.into(),
            source: Source::Logcli,
            name: name.to_owned(),
        }))
    }

    /// A text.
    pub fn text(&self, id: &str, option: Option<&String>, logcli: &str) -> Result<Option<String>> {
        let found = self.find(id, option.cloned(), Some(logcli))?;
        Ok(found.map(|given| given.value))
    }
}

/// The options that could give the other half of a pair, each with logcli's variable for it.
pub type Other = &'static [(&'static str, Option<&'static str>)];

/// Half a pair is wrong usage on the command line; in the environment it may be meant for others.
pub fn half_a_pair<T, U>(
    half: &Given<T>,
    other: Other,
    warnings: &mut Vec<String>,
) -> Result<Option<U>> {
    let there = &half.name;
    // What is missing is called as what is there.
    let names = other
        .iter()
        .filter_map(|(long, logcli)| match half.source {
            Source::CommandLine => Some(format!("--{long}")),
            Source::Environment => Some(cli::env_name(long)),
            Source::Logcli => logcli.map(str::to_owned),
        })
        .collect::<Vec<_>>();
    let missing = names.join(" or ");
    if half.source == Source::CommandLine {
        bail!("{there} is given without {missing}; it takes both");
    }
    warnings.push(format!(
        "{there} is set, but its other half ({missing}) is not: it is left out"
    ));
    Ok(None)
}
