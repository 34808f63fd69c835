//! Where a value comes from: the command line, our environment or logcli's, and which wins.
//!
//! Knows how each is called. Knows nothing of what the values mean.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use anyhow::{Result, bail};

use crate::cli::args;
use crate::cli::args::ParsedArgs;

/// Where a value comes from; a later one wins over an earlier one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// logcli's `LOKI_*`.
    Logcli,
    /// Our `LOKI_PUSH_*`.
    Environment,
    /// The command line.
    CommandLine,
}

/// A value, where it comes from, and what the person who gave it calls it.
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub source: Origin,
    /// What messages call it.
    pub name: String,
}

/// Looks values up: an option's, or that of logcli's environment variable.
pub struct Resolver<'a> {
    /// What was typed, our environment included.
    pub typed: &'a ParsedArgs,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    /// Reads a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

impl Resolver<'_> {
    /// A value: `option`, whose id this is, or that of logcli's variable.
    pub fn find<T: From<String>>(
        &self,
        id: &str,
        option: Option<T>,
        logcli: Option<&str>,
    ) -> Result<Option<Sourced<T>>> {
        if let Some(value) = option {
            let long = id.replace('_', "-");
            let (source, name) = if self.typed.on_command_line(id) {
                (Origin::CommandLine, format!("--{long}"))
            } else {
                (Origin::Environment, args::env_name(&long))
            };
            return Ok(Some(Sourced {
                value,
                source,
                name,
            }));
        }
        match logcli {
            Some(name) => self.variable(name, Origin::Logcli),
            None => Ok(None),
        }
    }

    /// The value of a variable that is not an option's own.
    pub fn variable<T: From<String>>(
        &self,
        name: &str,
        source: Origin,
    ) -> Result<Option<Sourced<T>>> {
        let Some(value) = (self.env)(name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let Ok(value) = value.into_string() else {
            bail!("{name} is not valid UTF-8");
        };
        Ok(Some(Sourced {
            value: value.into(),
            source,
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
pub type PartnerOptions = &'static [(&'static str, Option<&'static str>)];

/// Half a pair is wrong usage on the command line; in the environment it may be meant for others.
pub fn half_a_pair<T, U>(
    half: &Sourced<T>,
    other: PartnerOptions,
    warnings: &mut Vec<String>,
) -> Result<Option<U>> {
    let there = &half.name;
    // What is missing is called as what is there.
    let names = other
        .iter()
        .filter_map(|(long, logcli)| match half.source {
            Origin::CommandLine => Some(format!("--{long}")),
            Origin::Environment => Some(args::env_name(long)),
            Origin::Logcli => logcli.map(str::to_owned),
        })
        .collect::<Vec<_>>();
    let missing = names.join(" or ");
    if half.source == Origin::CommandLine {
        bail!("{there} requires {missing}");
    }
    warnings.push(format!("{there} is set but {missing} is not: ignoring it"));
    Ok(None)
}
