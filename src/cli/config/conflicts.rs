//! Which options exclude each other.
//!
//! Knows flags only; makes nothing of them.

use anyhow::{Result, bail, ensure};

use crate::cli::args;
use crate::report::messages::Verbosity;

/// `--check` reads nothing.
pub fn check_stands_alone(cli: &args::Cli) -> Result<()> {
    for (given, what) in [
        (!cli.input.files.is_empty(), "a FILE"),
        (!cli.input.command.is_empty(), "a COMMAND"),
        (cli.input.message.is_some(), "--message"),
        (cli.output.dry_run, "--dry-run"),
        (cli.delivery.drains(), "--drain"),
    ] {
        ensure!(
            !(cli.output.check && given),
            "--check and {what} exclude each other: it reads nothing, and pushes an entry of its own"
        );
    }
    Ok(())
}

/// How much is said.
pub fn loudness(output: &args::Output) -> Result<Verbosity> {
    match (output.quiet, output.verbose) {
        (true, true) => bail!("--quiet and --verbose exclude each other"),
        (true, false) => Ok(Verbosity::Quiet),
        (false, true) => Ok(Verbosity::Verbose),
        (false, false) => Ok(Verbosity::Normal),
    }
}
