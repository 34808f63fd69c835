//! Configuration: what was typed and what the environment holds become what the stages need.
//!
//! Every rule between flags and every default that is not a flag's own stands in this folder, by
//! topic; here they become one. No clap type leaves it, no thread starts in it; files are only read
//! for secrets and certificates.

mod conflicts;
mod connection;
mod delivery;
mod input;
mod labels;
mod precedence;
mod regex;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, ensure};

use crate::cli::args;
use crate::cli::args::ParsedArgs;
pub use crate::cli::config::input::Input;
use crate::http::client::HttpSettings;
use crate::pipeline::Settings;
use crate::process::line_processor::LineOptions;
use crate::process::options::{EntryOptions, TimeSource};
use crate::report::messages::{Reporter, Verbosity};
use crate::storage::spool;

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
    pub gather: LineOptions,
    /// How lines become entries.
    pub shape: Arc<EntryOptions>,
    /// How the stages are set.
    pub settings: Settings,
    /// The way to Loki; None for a dry run.
    pub connection: Option<HttpSettings>,
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
    pub loudness: Verbosity,
    /// What is to be said before the start.
    pub warnings: Vec<String>,
}

impl Config {
    /// Checks what was typed and works it out. `env` looks up an environment variable.
    ///
    /// # Errors
    /// What is wrong, naming the option, in words for the person who typed it.
    pub fn new(typed: ParsedArgs, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let from_environment = typed.from_environment();
        Self::work_out(typed, env).map_err(|error| by_variable(error, &from_environment))
    }

    fn work_out(mut typed: ParsedArgs, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let mut warnings = Vec::new();
        crate::cli::config::precedence::settle(&mut typed);
        let loudness = crate::cli::config::conflicts::loudness(&typed.cli.output)?;
        let sending = crate::cli::config::delivery::delivery(&typed.cli.delivery)?;
        crate::cli::config::conflicts::check_stands_alone(&typed.cli)?;
        let (target, connection, destination) = if typed.cli.output.dry_run {
            // What is wrong with its options is told, though it needs no connection, nor any file
            // of it, which may lie on another machine.
            crate::cli::config::connection::resolve(
                &typed,
                env,
                &|_| Ok(b"unread".to_vec()),
                &mut Vec::new(),
            )?;
            (String::from("standard output"), None, None)
        } else {
            let read = |file: &Path| std::fs::read(file);
            let found = crate::cli::config::connection::resolve(&typed, env, &read, &mut warnings)?;
            (found.shown, Some(found.connection), Some(found.destination))
        };
        let cli = typed.cli;
        ensure!(
            !(cli.output.tee && cli.output.dry_run),
            "--tee and --dry-run both write to standard output: choose one"
        );
        let spool = crate::cli::config::delivery::spool(&cli.delivery, &cli.input, destination)?;
        let shape = crate::cli::config::labels::shape(
            &cli.labels,
            crate::cli::config::input::default_app(&cli.input),
            cli.input.strip_ansi,
            cli.input.max_line_size,
            Reporter::new(loudness),
        )?;
        warnings.extend(crate::cli::config::labels::too_many_labels(&shape));
        let gather = crate::cli::config::regex::gather(&cli.input)?;
        let dated = shape.time != TimeSource::Arrival;
        let settings = crate::cli::config::delivery::settings(&cli, sending, target, dated)?;
        let args::Cli {
            input,
            delivery,
            output,
            ..
        } = cli;
        Ok(Self {
            delimiter: if input.null { 0 } else { b'\n' },
            input: crate::cli::config::input::what_is_read(input, output.tee, delivery.drains())?,
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
                args::Progress::Auto => Progress::Auto,
                args::Progress::Always => Progress::Always,
                args::Progress::Never => Progress::Never,
            },
            summary: output.summary.map(|form| match form {
                args::Summary::Text => Summary::Text,
                args::Summary::Json => Summary::Json,
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
        return error.context(args::env_name(long));
    }
    error
}
