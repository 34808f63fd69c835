//! The inputs of a run: opens what was asked for, on threads that read.
//!
//! Knows which source serves which input. Knows nothing of how a run ends.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::app::source_thread::{RunningSources, SourceContext, spawn};
use crate::app::{Event, command};
use crate::cli::config::{Config, Input};
use crate::entry::line::LineFragment;
use crate::input::cancel;
use crate::input::follow::Follower;
use crate::input::open_file::StartAt;
use crate::input::{SourceOptions, files};
use crate::process::entry_builder::EntryBuilder;
use crate::process::line_processor::LineProcessor;
use crate::process::throttle::Throttle;
use crate::sync::blocking_write::PollableWrite;

/// Whether something is read that cannot be read again: while it is open the program never exits.
pub(super) fn has_pipe(input: &Input) -> bool {
    let is_pipe = |path: &PathBuf| {
        path.as_os_str() == files::STDIN
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
    run: SourceContext,
    tell: impl Fn(Event) + Clone + Send + 'static,
) -> Result<RunningSources> {
    let tee = config.tee;
    let (leash, collar) = cancel::new().context("cannot open a pipe")?;
    match &config.input {
        Input::Message(text) => {
            let shaper = EntryBuilder::new(&config.shape, &[], None);
            let mut gatherer = LineProcessor::new(&config.gather, shaper);
            let text = text.clone();
            spawn("message", tell, move || {
                let piece = LineFragment {
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
            let given = vec![PathBuf::from(files::STDIN)];
            let files = files::FileReader::new(setting(config, run, StartAt::Start, false), collar);
            let files = files.on_hang_up(hung_up(&tell));
            spawn("stdin", tell, move || read_files(files, &given, tee))?;
        }
        Input::Files(given) => {
            let setting = setting(config, run, given.begin, given.labelled);
            let names = given.names.clone();
            if given.follow {
                let follow = Follower::new(setting, &names);
                spawn("follow", tell, move || follow.run())?;
            } else {
                let files = files::FileReader::new(setting, collar).on_hang_up(hung_up(&tell));
                spawn("files", tell, move || read_files(files, &names, tee))?;
            }
        }
        Input::Command {
            command,
            exit_entry,
        } => return command::open(command, *exit_entry, config, &run, &tell),
    }
    Ok(RunningSources {
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
fn read_files(files: files::FileReader, names: &[PathBuf], tee: bool) -> u64 {
    let tee = tee.then(|| Box::new(io::stdout()) as Box<dyn PollableWrite>);
    files.with_tee(tee).read(names)
}

fn setting(config: &Config, run: SourceContext, begin: StartAt, labelled: bool) -> SourceOptions {
    let SourceContext {
        intake,
        stop,
        checkpoint,
        reporter,
    } = run;
    SourceOptions {
        gather: config.gather.clone(),
        shape: Arc::clone(&config.shape),
        delimiter: config.delimiter,
        portion: config
            .settings
            .limit_rate
            .map_or(usize::MAX, Throttle::portion),
        labelled,
        begin,
        checkpoint,
        intake,
        stop,
        reporter,
    }
}
