//! Configuration: what was typed and what the environment holds become what the stages need.
//!
//! Every rule between flags and every default that is not a flag's own stands in this folder, by
//! topic; here they become one. No clap type leaves it, no thread starts in it; files are only read
//! for secrets and certificates.

mod connection;
mod entry;
mod input;
mod overrule;
mod patterns;
mod rules;
mod sending;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, ensure};

use crate::cli::{self, Typed};
use crate::gather::Gather;
use crate::note::{Loudness, Note};
use crate::pipeline::Settings;
use crate::push::http::Connection;
use crate::shape::{Shape, TimeSource};
use crate::spool;
pub use input::Input;

/// What is said at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// A line.
    Text,
    /// A JSON object.
    Json,
}

/// When a progress bar is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// When standard error is a terminal, and the input a file.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Everything a run needs to know.
#[derive(Debug)]
pub struct Config {
    /// What is read.
    pub input: Input,
    /// The byte that ends a line.
    pub delimiter: u8,
    /// How lines are joined and filtered.
    pub gather: Gather,
    /// How lines become entries.
    pub shape: Arc<Shape>,
    /// How the stages are set.
    pub settings: Settings,
    /// The way to Loki; None for a dry run.
    pub connection: Option<Connection>,
    /// Where shipments are kept until their fate is known.
    pub spool: Option<spool::Options>,
    /// Where refused entries are kept.
    pub dead_letter: Option<PathBuf>,
    /// How long a pipe is still read after a stop was asked for.
    pub linger: Duration,
    /// Whether input is passed through.
    pub tee: bool,
    /// Whether the way to Loki is tested, and nothing read.
    pub check: bool,
    /// When a progress bar is shown.
    pub progress: Progress,
    /// What is said at the end.
    pub summary: Option<Summary>,
    /// How much is said.
    pub loudness: Loudness,
    /// What is to be said before the start.
    pub warnings: Vec<String>,
}

impl Config {
    /// Checks what was typed and works it out. `env` looks up an environment variable.
    ///
    /// # Errors
    /// What is wrong, naming the option, in words for the person who typed it.
    pub fn new(typed: Typed, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let from_environment = typed.from_environment();
        Self::work_out(typed, env).map_err(|error| by_variable(error, &from_environment))
    }

    fn work_out(mut typed: Typed, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let mut warnings = Vec::new();
        overrule::settle(&mut typed);
        let loudness = rules::loudness(&typed.cli.output)?;
        let sending = sending::delivery(&typed.cli.delivery)?;
        rules::check_stands_alone(&typed.cli)?;
        let (target, connection, destination) = if typed.cli.output.dry_run {
            // What is wrong with its options is told, though it needs no connection, nor any file
            // of it, which may lie on another machine.
            connection::resolve(&typed, env, &|_| Ok(b"unread".to_vec()), &mut Vec::new())?;
            (String::from("standard output"), None, None)
        } else {
            let read = |file: &Path| std::fs::read(file);
            let found = connection::resolve(&typed, env, &read, &mut warnings)?;
            (found.shown, Some(found.connection), Some(found.destination))
        };
        let cli = typed.cli;
        ensure!(
            !(cli.output.tee && cli.output.dry_run),
            "--tee and --dry-run both write to standard output: choose one"
        );
        let spool = sending::spool(&cli.delivery, &cli.input, destination)?;
        let shape = entry::shape(
            &cli.labels,
            input::default_app(&cli.input),
            cli.input.strip_ansi,
            cli.input.max_line_size,
            Note::new(loudness),
        )?;
        warnings.extend(entry::too_many_labels(&shape));
        let gather = patterns::gather(&cli.input)?;
        let dated = shape.time != TimeSource::Arrival;
        let settings = sending::settings(&cli, sending, target, dated)?;
        let cli::Cli {
            input,
            delivery,
            output,
            ..
        } = cli;
        Ok(Self {
            delimiter: if input.null { 0 } else { b'\n' },
            input: input::what_is_read(input, output.tee, delivery.drain)?,
            gather,
            shape: Arc::new(shape),
            settings,
            connection,
            spool,
            dead_letter: delivery.dead_letter,
            linger: delivery.linger,
            tee: output.tee,
            check: output.check,
            progress: match output.progress {
                cli::Progress::Auto => Progress::Auto,
                cli::Progress::Always => Progress::Always,
                cli::Progress::Never => Progress::Never,
            },
            summary: output.summary.map(|form| match form {
                cli::Summary::Text => Summary::Text,
                cli::Summary::Json => Summary::Json,
            }),
            loudness,
            warnings,
        })
    }
}

/// What is wrong with an option that was given by its variable names that, too.
fn by_variable(error: Error, from_environment: &[String]) -> Error {
    let text = format!("{error:#}");
    let Some(behind) = text.strip_prefix("--") else {
        return error;
    };
    let end = behind.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let long = &behind[..end.unwrap_or(behind.len())];
    if from_environment.iter().any(|given| given == long) {
        return error.context(cli::env_name(long));
    }
    error
}
