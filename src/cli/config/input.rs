//! The input of a run: standard input, files, a command, one message, or nothing.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use anyhow::{Result, anyhow, ensure};

use crate::cli::args;
use crate::input::open_file::StartAt;
use crate::input::{command, file_names, files, glob};

/// What is read.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// One entry with this text.
    Message(Vec<u8>),
    /// The output of a command.
    Command {
        /// The command and its arguments.
        command: Vec<OsString>,
        /// Whether an exit entry is shipped.
        exit_entry: bool,
    },
    /// Files.
    Files(Files),
    /// Nothing: only the spool is delivered.
    Drain,
}

/// Which files are read, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Files {
    /// Names and patterns, as on the command line; `-` is standard input.
    pub names: Vec<PathBuf>,
    /// Whether they are followed.
    pub follow: bool,
    /// The files that are left out.
    pub excluded: glob::Excluded,
    /// Where to start in a file without a checkpoint.
    pub begin: StartAt,
    /// Whether entries get the label `filename`.
    pub labelled: bool,
    /// The file that records how far each has been delivered.
    pub checkpoint: Option<PathBuf>,
}

/// What a run reads, from the options that say so.
pub(super) fn resolve_input(input: args::Input, tee: bool, drain: bool) -> Result<Input> {
    if drain {
        ensure!(
            input.files.is_empty() && input.command.is_empty() && input.message.is_none(),
            "--drain cannot be combined with FILE, COMMAND or --message: it reads no input"
        );
        return Ok(Input::Drain);
    }
    let names = &input.files;
    if let Some(text) = input.message {
        ensure!(names.is_empty(), "--message cannot be combined with FILE");
        ensure!(
            input.command.is_empty(),
            "--message cannot be combined with COMMAND"
        );
        only_for_files(
            input.follow,
            input.from.is_some(),
            input.checkpoint.is_some(),
        )?;
        return Ok(Input::Message(text.into_vec()));
    }
    if !input.command.is_empty() {
        ensure!(names.is_empty(), "COMMAND cannot be combined with FILE");
        only_for_files(
            input.follow,
            input.from.is_some(),
            input.checkpoint.is_some(),
        )?;
        return Ok(Input::Command {
            command: input.command,
            exit_entry: !input.no_exit_entry,
        });
    }
    if names.iter().all(|name| name.as_os_str() == files::STDIN) {
        only_for_files(
            input.follow,
            input.from.is_some(),
            input.checkpoint.is_some(),
        )?;
        return Ok(Input::Stdin);
    }
    files(input, tee).map(Input::Files)
}

fn only_for_files(follow: bool, from: bool, checkpoint: bool) -> Result<()> {
    for (given, name, what) in [
        (follow, "--follow", "followed"),
        (from, "--from", "read from their end"),
        (checkpoint, "--checkpoint", "resumed"),
    ] {
        ensure!(
            !given,
            "{name} requires a FILE (standard input and commands cannot be {what})"
        );
    }
    Ok(())
}

fn files(input: args::Input, tee: bool) -> Result<Files> {
    let args::Input {
        files: names,
        follow,
        from,
        exclude_path,
        checkpoint,
        ..
    } = input;
    let stdin = names.iter().any(|name| name.as_os_str() == files::STDIN);
    ensure!(
        !(follow && stdin),
        "--follow cannot be combined with `-`: standard input cannot be followed"
    );
    ensure!(
        checkpoint.is_none() || !stdin,
        "--checkpoint cannot be combined with `-`: standard input cannot be read again"
    );
    ensure!(
        !(follow && tee),
        "--tee cannot be used with --follow; use tail -F to watch the file"
    );
    let mut patterns = 0;
    for name in &names {
        ensure!(
            checkpoint.as_ref() != Some(name),
            "--checkpoint: {} cannot be the FILE that is read",
            name.display()
        );
        if glob::is_pattern(name) {
            patterns += 1;
            glob::check(name).map_err(|why| anyhow!("the pattern {}: {why}", name.display()))?;
        }
        ensure!(
            !follow || patterns > 0 || !file_names::is_gzip(name),
            "--follow: {} is compressed and will not grow; read it without --follow",
            name.display()
        );
    }
    let default = if follow { StartAt::End } else { StartAt::Start };
    Ok(Files {
        labelled: names.len() > 1 || patterns > 0,
        names,
        follow,
        excluded: glob::Excluded::new(&exclude_path)
            .map_err(|why| anyhow!("--exclude-path: {why}"))?,
        begin: from.unwrap_or(default),
        checkpoint,
    })
}

/// The default of the label `app`: the command's name, if one is run.
pub(super) fn default_app(input: &args::Input) -> String {
    // Loki refuses U+FFFD in a label.
    let name = command::name(&input.command).replace('\u{fffd}', "?");
    if name.is_empty() {
        "default".into()
    } else {
        name
    }
}
