//! Starts the sources: the threads that read the inputs of a run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::app::source_thread::{RunningSources, SourceContext, spawn_source};
use crate::app::{Event, NotStarted, command};
use crate::cli::config::{Config, Input};
use crate::entry::line::LineFragment;
use crate::input::SourceOptions;
use crate::input::cancel;
use crate::input::files::{FileReader, STDIN};
use crate::input::follow::Follower;
use crate::input::glob::Excluded;
use crate::input::open_file::StartAt;
use crate::input::own_files::OwnFiles;
use crate::process::entry_builder::EntryBuilder;
use crate::process::line_processor::LineProcessor;
use crate::process::throttle::Throttle;
use crate::storage::dead_letter;
use crate::sync::blocking_write::PollableWrite;

/// Whether an input is a pipe or the like, which cannot be read again: the program never exits while
/// it is open.
pub(super) fn reads_unseekable_input(input: &Input) -> bool {
    match input {
        Input::Stdin | Input::Command { .. } => true,
        Input::Message(_) | Input::Drain => false,
        Input::Files(files) => files.names.iter().any(is_pipe),
    }
}

/// Whether a FILE is standard input, a named pipe, a terminal or the like.
fn is_pipe(path: &PathBuf) -> bool {
    path.as_os_str() == STDIN
        || fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Whether all inputs are files that are read to their end.
pub(super) fn is_finite(input: &Input) -> bool {
    matches!(input, Input::Files(files) if !files.follow)
}

/// Whether the inputs are followed files.
pub(super) fn is_follow(input: &Input) -> bool {
    matches!(input, Input::Files(files) if files.follow)
}

/// Starts the sources.
pub(super) fn start_sources(
    config: &Config,
    context: SourceContext,
    tell: impl Fn(Event) + Clone + Send + 'static,
) -> Result<RunningSources> {
    let tee = config.tee;
    let (handle, cancel) = cancel::new().context(NotStarted::Pipe)?;
    match &config.input {
        Input::Message(text) => {
            let builder = EntryBuilder::new(&config.shape, &[], None).named("--message");
            let mut processor = LineProcessor::new(&config.gather, builder);
            let text = text.clone();
            spawn_source("message", tell, move || {
                let line = LineFragment {
                    bytes: &text,
                    first: true,
                    end: text.len() as u64,
                };
                processor.push(line, Instant::now());
                processor.end();
                processor.flush(&context.sender, text.len());
                0
            })?;
        }
        Input::Drain => tell(Event::SourceEnded(0)),
        Input::Stdin => {
            let given = vec![PathBuf::from(STDIN)];
            let files = FileReader::new(
                source_options(config, context, StartAt::Start, false),
                cancel,
            );
            let files = files.on_hang_up(writers_gone(&tell));
            spawn_source("stdin", tell, move || read_files(files, &given, tee))?;
        }
        Input::Files(given) => {
            let options = source_options(config, context, given.begin, given.labelled);
            let names = given.names.clone();
            let (pipes, files): (Vec<_>, Vec<_>) = if given.follow {
                names.into_iter().partition(is_pipe)
            } else {
                (names, Vec::new())
            };
            let count = usize::from(!pipes.is_empty()) + usize::from(!files.is_empty());
            if !files.is_empty() {
                let follow = Follower::new(options.clone(), &files, Instant::now());
                spawn_source("follow", tell.clone(), move || follow.run())?;
            }
            if !pipes.is_empty() {
                let reader = FileReader::new(options, cancel)
                    .on_hang_up(writers_gone(&tell))
                    .with_next_writer((!given.follow).then_some(config.linger));
                spawn_source("files", tell, move || read_files(reader, &pipes, tee))?;
            }
            return Ok(RunningSources {
                count,
                cancel: vec![handle],
                command: None,
            });
        }
        Input::Command {
            command,
            exit_entry,
        } => return command::start(command, *exit_entry, config, &context, &tell),
    }
    Ok(RunningSources {
        count: 1,
        cancel: vec![handle],
        command: None,
    })
}

/// Returns a function that reports that no process writes to the input any more, although the buffer
/// is full.
pub(super) fn writers_gone(
    tell: &(impl Fn(Event) + Clone + Send + 'static),
) -> impl Fn() + Send + Sync + 'static {
    let tell = Mutex::new(tell.clone());
    move || tell.lock().unwrap_or_else(PoisonError::into_inner)(Event::WritersGone)
}

/// Reads files to their end; returns the number of files that could not be read.
fn read_files(files: FileReader, names: &[PathBuf], tee: bool) -> u64 {
    let tee = tee.then(|| Box::new(io::stdout()) as Box<dyn PollableWrite>);
    files.with_tee(tee).read(names)
}

fn source_options(
    config: &Config,
    context: SourceContext,
    begin: StartAt,
    labelled: bool,
) -> SourceOptions {
    let SourceContext {
        sender,
        shutdown,
        checkpoint,
        reporter,
    } = context;
    SourceOptions {
        gather: config.gather.clone(),
        shape: Arc::clone(&config.shape),
        delimiter: config.delimiter,
        portion: config
            .settings
            .limit_rate
            .map_or(usize::MAX, Throttle::read_size),
        labelled,
        begin,
        checkpoint,
        intake: sender,
        excluded: match &config.input {
            Input::Files(files) => files.excluded.clone(),
            _ => Excluded::default(),
        },
        own: own_files(config),
        stop: shutdown,
        reporter,
    }
}

/// The files that this process writes, except for those of the checkpoint.
pub(super) fn own_files(config: &Config) -> OwnFiles {
    let dead_letter = config.dead_letter.clone();
    let dead_letter = dead_letter.filter(|path| path != Path::new(dead_letter::STDERR));
    let files = dead_letter.into_iter().collect();
    let spool = config.spool.iter();
    let folders = spool.flat_map(|spool| std::iter::once(&spool.dir).chain(&spool.sending));
    let metrics = config.metrics_file.clone();
    OwnFiles::new(files, metrics, folders.cloned().collect())
}
