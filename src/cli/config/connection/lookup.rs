//! Looks up the value of a setting on the command line, in loki-push's own environment variables and
//! in those of logcli, in this order of precedence.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use anyhow::{Result, bail};

use crate::cli::args;
use crate::cli::args::ParsedArgs;

/// The source of a value. Later ones take precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The variables of logcli, `LOKI_*`.
    Logcli,
    /// The variables of loki-push, `LOKI_PUSH_*`.
    Environment,
    /// The command line.
    CommandLine,
}

/// A value, with its source and the name of the option or variable.
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Its source.
    pub source: Origin,
    /// The name of the option or variable, for messages.
    pub name: String,
}

/// Looks up the values of options and of logcli's environment variables.
pub struct Resolver<'a> {
    /// The parsed command line, including the variables of loki-push.
    pub typed: &'a ParsedArgs,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    /// Reads a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

impl Resolver<'_> {
    /// The value of the option with this id, or else of logcli's variable.
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

    /// The value of a variable that has no option.
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

    /// A value that is text.
    pub fn text(&self, id: &str, option: Option<&String>, logcli: &str) -> Result<Option<String>> {
        let found = self.find(id, option.cloned(), Some(logcli))?;
        Ok(found.map(|given| given.value))
    }
}

/// The options that set the other half of a pair, each with logcli's variable for it.
pub type PartnerOptions = &'static [(&'static str, Option<&'static str>)];

/// Reports half a pair: as wrong usage on the command line, and as a warning in the environment, where it
/// may be meant for other programs.
pub fn half_a_pair<T, U>(
    half: &Sourced<T>,
    other: PartnerOptions,
    warnings: &mut Vec<String>,
) -> Result<Option<U>> {
    let there = &half.name;
    // If one half is a variable, the message names the other one as a variable too.
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
