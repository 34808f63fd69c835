//! The configuration of a run, resolved from the command line and the environment.
//!
//! This folder holds, by topic, every rule between options and every default that is not an option's
//! own. It starts no thread, and reads files only for secrets and certificates.

mod conflicts;
mod connection;
mod delivery;
pub mod forgotten_dashes;
mod input;
mod labels;
mod precedence;
mod regex;
#[cfg(test)]
mod tests;
mod time_zone;
mod typos;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Error, Result, ensure};

use crate::cli::args;
use crate::cli::args::ParsedArgs;
pub use crate::cli::args::{Progress, Summary};
pub use crate::cli::config::input::Input;
use crate::http::client::HttpSettings;
use crate::pipeline::Settings;
use crate::process::line_processor::LineOptions;
use crate::process::options::{EntryOptions, TimeSource};
use crate::process::unwrap::Unwrap;
use crate::report::messages::{Reporter, Verbosity};
use crate::storage::spool;

/// Everything a run needs to know.
#[derive(Debug)]
pub struct Config {
    /// The input.
    pub input: Input,
    /// The byte that ends a line.
    pub delimiter: u8,
    /// How lines are joined and filtered.
    pub gather: LineOptions,
    /// How lines become entries.
    pub shape: Arc<EntryOptions>,
    /// The settings of the stages.
    pub settings: Settings,
    /// The connection to Loki; None for a dry run.
    pub connection: Option<HttpSettings>,
    /// Where batches are kept until Loki has confirmed or refused them.
    pub spool: Option<spool::Options>,
    /// The file that keeps refused entries.
    pub dead_letter: Option<PathBuf>,
    /// How long a pipe is still read after a signal.
    pub linger: Duration,
    /// How long the flush continues without progress if everything is safe.
    pub safe_flush_timeout: Duration,
    /// Whether input is passed through.
    pub tee: bool,
    /// Whether only the connection to Loki is tested.
    pub check: bool,
    /// When a progress bar is shown.
    pub progress: Progress,
    /// The form of the summary at the end.
    pub summary: Option<Summary>,
    /// The file for metrics in Prometheus' text format.
    pub metrics_file: Option<PathBuf>,
    /// How much is printed on stderr.
    pub loudness: Verbosity,
    /// Warnings to print before the start.
    pub warnings: Vec<String>,
}

impl Config {
    /// Checks the options and resolves them. `env` looks up an environment variable.
    ///
    /// # Errors
    /// A message for the user that names the option.
    pub fn new(typed: ParsedArgs, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let from_environment = typed.set_in_environment();
        Self::resolve(typed, env).map_err(|error| attribute_to_env(error, &from_environment))
    }

    fn resolve(mut typed: ParsedArgs, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let mut warnings = typos::warnings(&typed.cli);
        precedence::drop_conflicting_env(&mut typed);
        let loudness = conflicts::loudness(&typed.cli.output)?;
        let sending = delivery::delivery(&typed.cli.delivery)?;
        let safe_flush_timeout = delivery::safe_flush_timeout(&typed.cli.delivery);
        conflicts::check_stands_alone(&typed.cli)?;
        let (target, connection, destination) = if typed.cli.output.dry_run {
            // Errors in these options are reported, though a dry run needs no connection, and its
            // files may be on another machine.
            connection::resolve(&typed, env, &|_| Ok(b"unread".to_vec()), &mut Vec::new())?;
            (String::from("standard output"), None, None)
        } else {
            let mut found =
                connection::resolve(&typed, env, &connection::read_file, &mut warnings)?;
            found.connection.tls.reporter = Reporter::new(loudness);
            (found.shown, Some(found.connection), Some(found.destination))
        };
        let cli = typed.cli;
        ensure!(
            !(cli.output.tee && cli.output.dry_run),
            "--tee cannot be combined with --dry-run: both write to standard output"
        );
        let spool = delivery::spool(&cli.delivery, &cli.input, destination)?;
        let shape = labels::entry_options(
            &cli.labels,
            input::default_app(&cli.input),
            regex::redactor(&cli.input.redact)?,
            cli.input.max_line_size,
            &cli.delivery,
            cli.output.dry_run,
            Reporter::new(loudness),
        )?;
        warnings.extend(labels::label_count_warning(&shape));
        let gather = regex::line_options(&cli.input)?;
        let dated = shape.time != TimeSource::Arrival || gather.unwrap != Unwrap::Off;
        let settings = delivery::settings(&cli, sending, target, dated)?;
        let args::Cli {
            input,
            delivery,
            output,
            ..
        } = cli;
        Ok(Self {
            delimiter: if input.null { 0 } else { b'\n' },
            input: input::resolve_input(input, output.tee, delivery.drains())?,
            gather,
            shape: Arc::new(shape),
            settings,
            connection,
            spool,
            dead_letter: delivery.dead_letter,
            linger: delivery.linger,
            safe_flush_timeout,
            tee: output.tee,
            check: output.check,
            progress: output.progress,
            summary: output.summary,
            metrics_file: output.metrics_file,
            loudness,
            warnings,
        })
    }
}

/// Adds the variable's name to an error about an option that was set in the environment.
fn attribute_to_env(error: Error, from_environment: &[String]) -> Error {
    let text = format!("{error:#}");
    let Some(rest) = text.strip_prefix("--") else {
        return error;
    };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let long = &rest[..end.unwrap_or(rest.len())];
    if from_environment.iter().any(|given| given == long) {
        return error.context(args::env_name(long));
    }
    error
}
