//! Conflicts between the command line and the environment: the command line wins.
//!
//! A variable may be set for all runs of a machine. Where it does not fit the command line, or the
//! input, it is ignored. Conflicts among options, and among variables, are usage errors.

use crate::cli::args::{Cli, ParsedArgs};
use crate::input::{file_names, files};
use crate::parse::fields::Parse;

/// Ignores variables that do not fit the command line.
pub(super) fn drop_conflicting_env(typed: &mut ParsedArgs) {
    let [
        quiet,
        verbose,
        tee,
        dry_run,
        check,
        spool,
        drain,
        message,
        parse,
    ] = [
        "quiet", "verbose", "tee", "dry_run", "check", "spool", "drain", "message", "parse",
    ]
    .map(|id| typed.on_command_line(id));
    let [follow, from, checkpoint, label_field, time] =
        ["follow", "from", "checkpoint", "label_field", "time"].map(|id| typed.on_command_line(id));
    let Cli {
        input,
        labels,
        delivery,
        output,
        ..
    } = &mut typed.cli;

    output.quiet &= quiet || !verbose;
    output.verbose &= verbose || !quiet;
    output.tee &= tee || !(dry_run || follow);
    output.dry_run &= dry_run || !(tee || check);
    // `LOKI_PUSH_DRY_RUN=1 script` must send nothing, and keep nothing.
    if output.dry_run && !(dry_run && spool) && !drain {
        delivery.spool = None;
    }

    let reads = !input.files.is_empty() || !input.command.is_empty();
    output.check &= check || !(reads || message || drain);
    if !drain && (reads || message || output.check || output.dry_run) {
        delivery.drain = None;
    }
    if reads || output.check || delivery.drains() {
        input.message = input.message.take().filter(|_| message);
    }

    let stdin = input
        .files
        .iter()
        .any(|name| name.as_os_str() == files::STDIN);
    let only_stdin = input
        .files
        .iter()
        .all(|name| name.as_os_str() == files::STDIN);
    let files = input.message.is_none() && input.command.is_empty() && !only_stdin;
    let grows = !stdin && !output.tee && !input.files.iter().any(|name| file_names::is_gzip(name));
    input.follow &= follow || (files && grows);
    input.from = input.from.take().filter(|_| from || files);
    input.checkpoint = input
        .checkpoint
        .take()
        .filter(|_| checkpoint || (files && !stdin));

    let is_field = |time: &str| !["arrival", "auto", "prefix"].contains(&time);
    let reads_time_field = labels.time.as_deref().is_some_and(is_field);
    if labels.parse == Parse::None && !parse && (label_field || time && reads_time_field) {
        labels.parse = Parse::Auto;
    }
    if labels.parse == Parse::None && parse {
        if !label_field {
            labels.label_field.clear();
        }
        if !time && reads_time_field {
            labels.time = None;
        }
    }
}
