//! The inputs of a run: opens what was asked for, on threads that read.
//!
//! Knows which source serves which input. Knows nothing of how a run ends.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};

use super::reading::{Opened, Run, spawn};
use super::{Event, command};
use crate::config::{Config, Input};
use crate::gather::Gatherer;
use crate::outlet::Outlet;
use crate::piece::Piece;
use crate::rate::Rate;
use crate::shape::Shaper;
use crate::source::follow::Follow;
use crate::source::leash;
use crate::source::opened::Begin;
use crate::source::{Setting, file};

/// Whether something is read that cannot be read again: while it is open the program never exits.
pub(super) fn has_pipe(input: &Input) -> bool {
    let is_pipe = |path: &PathBuf| {
        path.as_os_str() == file::STDIN
            || fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
    };
    match input {
        Input::Stdin | Input::Command { .. } => true,
        Input::Message(_) | Input::Drain => false,
        Input::Files(files) => !files.follow && files.names.iter().any(is_pipe),
    }
}

/// Whether the input is files read to their end, which stay where they are.
pub(super) fn ends_by_itself(input: &Input) -> bool {
    matches!(input, Input::Files(files) if !files.follow)
}

/// Starts the threads that read.
pub(super) fn open(
    config: &Config,
    run: Run,
    tell: impl Fn(Event) + Clone + Send + 'static,
) -> Result<Opened> {
    let tee = config.tee;
    let (leash, collar) = leash::new().context("cannot open a pipe")?;
    match &config.input {
        Input::Message(text) => {
            let shaper = Shaper::new(&config.shape, &[], None);
            let mut gatherer = Gatherer::new(&config.gather, shaper);
            let text = text.clone();
            spawn("message", tell, move || {
                let piece = Piece {
                    bytes: &text,
                    first: true,
                    end: text.len() as u64,
                };
                gatherer.line(piece, Instant::now());
                gatherer.end();
                gatherer.hand_in(&run.intake, text.len());
                0
            })?;
        }
        Input::Drain => tell(Event::SourceEnded(0)),
        Input::Stdin => {
            let given = vec![PathBuf::from(file::STDIN)];
            let files = file::Files::new(setting(config, run, Begin::Start, false), collar);
            let files = files.on_hang_up(hung_up(&tell));
            spawn("stdin", tell, move || read_files(files, &given, tee))?;
        }
        Input::Files(given) => {
            let setting = setting(config, run, given.begin, given.labelled);
            let names = given.names.clone();
            if given.follow {
                let follow = Follow::new(setting, &names);
                spawn("follow", tell, move || follow.run())?;
            } else {
                let files = file::Files::new(setting, collar).on_hang_up(hung_up(&tell));
                spawn("files", tell, move || read_files(files, &names, tee))?;
            }
        }
        Input::Command {
            command,
            exit_entry,
        } => return command::open(command, *exit_entry, config, &run, &tell),
    }
    Ok(Opened {
        sources: 1,
        leashes: vec![leash],
        command: None,
    })
}

fn hung_up(tell: &(impl Fn(Event) + Clone + Send + 'static)) -> impl Fn() + Send + Sync + 'static {
    let tell = Mutex::new(tell.clone());
    move || tell.lock().unwrap_or_else(PoisonError::into_inner)(Event::HungUp)
}

/// Reads files, to their end; gives how many could not be read.
fn read_files(files: file::Files, names: &[PathBuf], tee: bool) -> u64 {
    let tee = tee.then(|| Box::new(io::stdout()) as Box<dyn Outlet>);
    files.with_tee(tee).read(names)
}

fn setting(config: &Config, run: Run, begin: Begin, labelled: bool) -> Setting {
    let Run {
        intake,
        stop,
        checkpoint,
        note,
    } = run;
    Setting {
        gather: config.gather.clone(),
        shape: Arc::clone(&config.shape),
        delimiter: config.delimiter,
        portion: config.settings.limit_rate.map_or(usize::MAX, Rate::portion),
        labelled,
        begin,
        checkpoint,
        intake,
        stop,
        note,
    }
}
