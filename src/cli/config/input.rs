//! What is read: standard input, files, a command, one message, or nothing; and which options go
//! with which. Opens nothing.

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
    /// What a command prints.
    Command {
        /// The command and its arguments.
        command: Vec<OsString>,
        /// Whether its end is an entry.
        exit_entry: bool,
    },
    /// Files.
    Files(Files),
    /// Nothing: only what the spool holds is sent.
    Drain,
}

/// Which files are read, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Files {
    /// Their names and patterns, as given; `-` is standard input.
    pub names: Vec<PathBuf>,
    /// Whether they are followed.
    pub follow: bool,
    /// Where a file without a checkpoint begins.
    pub begin: StartAt,
    /// Whether lines carry the label `filename`.
    pub labelled: bool,
    /// Where it is kept how far they were settled.
    pub checkpoint: Option<PathBuf>,
}

pub(super) fn what_is_read(input: args::Input, tee: bool, drain: bool) -> Result<Input> {
    if drain {
        ensure!(
            input.files.is_empty() && input.command.is_empty() && input.message.is_none(),
            "--drain reads nothing: it excludes a FILE, a COMMAND and --message"
        );
        return Ok(Input::Drain);
    }
    let names = &input.files;
    if let Some(text) = input.message {
        ensure!(names.is_empty(), "--message and a FILE exclude each other");
        ensure!(
            input.command.is_empty(),
            "--message and a COMMAND exclude each other"
        );
        only_for_files(
            input.follow,
            input.from.is_some(),
            input.checkpoint.is_some(),
        )?;
        return Ok(Input::Message(text.into_vec()));
    }
    if !input.command.is_empty() {
        ensure!(names.is_empty(), "a COMMAND and a FILE exclude each other");
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
    for (given, name) in [
        (follow, "--follow"),
        (from, "--from"),
        (checkpoint, "--checkpoint"),
    ] {
        ensure!(
            !given,
            "{name} needs a FILE: only what lies on disk can be read from a place in it"
        );
    }
    Ok(())
}

fn files(input: args::Input, tee: bool) -> Result<Files> {
    let args::Input {
        files: names,
        follow,
        from,
        checkpoint,
        ..
    } = input;
    let stdin = names.iter().any(|name| name.as_os_str() == files::STDIN);
    ensure!(
        !(follow && stdin),
        "--follow: standard input has no name to be followed by; leave `-` out"
    );
    ensure!(
        checkpoint.is_none() || !stdin,
        "--checkpoint: standard input cannot be read again; leave `-` out"
    );
    ensure!(
        !(follow && tee),
        "--tee does not go with --follow: a followed file can be read by anybody, as with tail -F"
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
            "--follow: {} is compressed and will not grow; ship it without --follow",
            name.display()
        );
    }
    let at_end = from.map_or(follow, |from| from == args::From::End);
    Ok(Files {
        labelled: names.len() > 1 || patterns > 0,
        names,
        follow,
        begin: if at_end { StartAt::End } else { StartAt::Start },
        checkpoint,
    })
}

/// The label `app` where none is given: the command's name, if one is run.
pub(super) fn default_app(input: &args::Input) -> String {
    // Loki refuses U+FFFD in a label.
    let name = command::name(&input.command).replace('\u{fffd}', "?");
    if name.is_empty() {
        "default".into()
    } else {
        name
    }
}
