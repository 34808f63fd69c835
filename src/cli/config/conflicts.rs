//! Options that cannot be combined.

use anyhow::{Result, bail, ensure};

use crate::cli::args;
use crate::report::messages::Verbosity;

/// Checks that `--check` is alone.
pub fn check_stands_alone(cli: &args::Cli) -> Result<()> {
    for (given, what) in [
        (!cli.input.files.is_empty(), "FILE"),
        (!cli.input.command.is_empty(), "COMMAND"),
        (cli.input.message.is_some(), "--message"),
        (cli.output.dry_run, "--dry-run"),
        (cli.delivery.drains(), "--drain"),
    ] {
        ensure!(
            !(cli.output.check && given),
            "--check cannot be combined with {what}: it reads no input and pushes its own test entry"
        );
    }
    Ok(())
}

/// How much is printed on stderr.
pub fn loudness(output: &args::Output) -> Result<Verbosity> {
    match (output.quiet, output.verbose) {
        (true, true) => bail!("--quiet cannot be combined with --verbose"),
        (true, false) => Ok(Verbosity::Quiet),
        (false, true) => Ok(Verbosity::Verbose),
        (false, false) => Ok(Verbosity::Normal),
    }
}
