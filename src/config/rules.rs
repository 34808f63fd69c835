//! Which options exclude each other, and which of two wins.
//!
//! Knows flags only; makes nothing of them.

use anyhow::{Result, bail, ensure};

use crate::cli::{self, Typed};
use crate::note::Loudness;

/// Of two options that exclude each other, one on the command line wins over one in the
/// environment.
pub fn overrule(typed: &mut Typed) {
    let [quiet, verbose, tee, dry_run] =
        ["quiet", "verbose", "tee", "dry_run"].map(|id| typed.on_command_line(id));
    let message = typed.on_command_line("message");
    let output = &mut typed.cli.output;
    output.quiet &= quiet || !verbose;
    output.verbose &= verbose || !quiet;
    output.tee &= tee || !dry_run;
    output.dry_run &= dry_run || !tee;
    let input = &mut typed.cli.input;
    if !input.files.is_empty() || !input.command.is_empty() {
        input.message = input.message.take().filter(|_| message);
    }
}

/// `--check` reads nothing.
pub fn check_stands_alone(cli: &cli::Cli) -> Result<()> {
    for (given, what) in [
        (!cli.input.files.is_empty(), "a FILE"),
        (!cli.input.command.is_empty(), "a COMMAND"),
        (cli.input.message.is_some(), "--message"),
        (cli.output.dry_run, "--dry-run"),
        (cli.delivery.drain, "--drain"),
    ] {
        ensure!(
            !(cli.output.check && given),
            "--check and {what} exclude each other: it reads nothing, and pushes an entry of its own"
        );
    }
    Ok(())
}

/// How much is said.
pub fn loudness(output: &cli::Output) -> Result<Loudness> {
    match (output.quiet, output.verbose) {
        (true, true) => bail!("--quiet and --verbose exclude each other"),
        (true, false) => Ok(Loudness::Quiet),
        (false, true) => Ok(Loudness::Verbose),
        (false, false) => Ok(Loudness::Normal),
    }
}
