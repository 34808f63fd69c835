//! Command mode: starts the command, and the threads that read its output and wait for its end.

mod exit_entry;
pub mod supervisor;

use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::os::fd::AsFd;
use std::sync::{Arc, mpsc};

use anyhow::{Context, Result};

use crate::app::command::supervisor::CommandSupervisor;
use crate::app::inputs::writers_gone;
use crate::app::signals;
use crate::app::source_thread::{RunningSources, SourceContext, spawn, spawn_source};
use crate::app::{Event, NotStarted};
use crate::cli::config::Config;
use crate::input::cancel::{self, CancellableInput};
use crate::input::command::{self, ChildProcess, Exit, SpawnError, reap_orphans};
use crate::input::line_splitter::LineSplitter;
use crate::input::pipe::{Pipe, is_hung_up, read_pipes};
use crate::input::pipe_holders::pipe_holders;
use crate::parse::timestamp::InputKind;
use crate::process::clock;
use crate::process::entry_builder::EntryBuilder;
use crate::process::entry_sender::EntrySender;
use crate::process::line_processor::{LineProcessor, max_line_read};
use crate::process::line_time::LineTimes;
use crate::process::throttle::Throttle;
use crate::report::messages::{Message, Reporter};
use crate::sync::blocking_write::PollableWrite;

/// The values of the label `stream` for the two pipes.
const STREAMS: [&str; 2] = ["stdout", "stderr"];

/// Starts the threads first and then the command, which must not run without them.
pub(super) fn start(
    command: &[OsString],
    exit_entry: bool,
    config: &Config,
    context: &SourceContext,
    tell: &(impl Fn(Event) + Clone + Send + 'static),
) -> Result<RunningSources> {
    signals::restore_sigchld().context(NotStarted::Signals)?;
    let name = command::name(command);
    let senders = STREAMS.map(|_| context.sender.apart());
    let (stdout, stdout_writer) = io::pipe().context(NotStarted::Pipe)?;
    let (stderr, stderr_writer) = io::pipe().context(NotStarted::Pipe)?;
    let (handle, cancel) = cancel::new().context(NotStarted::Pipe)?;
    let waiter = spawn_waiter(tell.clone())?;
    let output = CommandOutput {
        pipes: [stdout, stderr],
        lines: STREAMS.map(|stream| line_reading(config, stream)),
        senders: senders.clone(),
        tees: if config.tee {
            [Some(Box::new(io::stdout())), Some(Box::new(io::stderr()))]
        } else {
            [None, None]
        },
        reporter: context.reporter,
        writers_gone: Arc::new(writers_gone(tell)),
        left_behind: {
            let tell = tell.clone();
            Box::new(move |holders| tell(Event::LeftBehind(holders)))
        },
    };
    spawn_source("command", tell.clone(), move || output.read(cancel))?;
    let child = match command::start(command, &stdout_writer, &stderr_writer) {
        Ok(child) => {
            // The waiter receives the command and ends with it.
            let _ = waiter.send(child.clone());
            Some(child)
        }
        Err(SpawnError { status, why }) => {
            let (command, why) = (&*command[0].to_string_lossy(), &*why.to_string());
            context.reporter.say(&Message::SpawnError { command, why });
            tell(Event::CommandEnded(Ok(Exit::not_started(status))));
            None
        }
    };
    let exit_options = exit_entry.then(|| Arc::clone(&config.shape));
    Ok(RunningSources {
        count: 1,
        cancel: vec![handle],
        command: Some(CommandSupervisor::new(name, child, senders, exit_options)),
    })
}

/// Starts the thread that receives the command, waits for it and reports its end.
fn spawn_waiter(tell: impl Fn(Event) + Send + 'static) -> Result<mpsc::Sender<ChildProcess>> {
    let (sender, started) = mpsc::channel::<ChildProcess>();
    spawn("waiter", move || {
        if let Ok(child) = started.recv() {
            tell(Event::CommandEnded(child.wait()));
            reap_orphans();
        }
    })?;
    Ok(sender)
}

/// Creates the line splitter and the line processor for one of the streams.
fn line_reading(config: &Config, stream: &str) -> (LineSplitter, LineProcessor) {
    let name = format!("the command's {stream}");
    let times = LineTimes::new(&config.shape, InputKind::Live, clock::now(), &name);
    let builder = EntryBuilder::new(&config.shape, &[("stream", stream)], None);
    let builder = builder.with_times(times).named(&name);
    let processor = LineProcessor::new(&config.gather, builder);
    let limit_rate = config.settings.limit_rate;
    let portion = limit_rate.map_or(usize::MAX, Throttle::read_size);
    let limit = max_line_read(processor.max_fragment());
    let splitter = LineSplitter::new(config.delimiter, limit).in_portions(portion);
    (splitter, processor)
}

/// The output of a command, and everything needed to ship it.
struct CommandOutput {
    pipes: [PipeReader; 2],
    lines: [(LineSplitter, LineProcessor); 2],
    senders: [EntrySender; 2],
    tees: [Option<Box<dyn PollableWrite>>; 2],
    reporter: Reporter,
    /// Called repeatedly while the buffer is full and no process writes to the pipes any more.
    writers_gone: Arc<dyn Fn() + Send + Sync>,
    /// Called at the end with the processes that still hold the pipes open.
    left_behind: Box<dyn Fn(Vec<String>) + Send>,
}

impl CommandOutput {
    /// Reads both pipes to their end, or until the run cancels it. Returns the number of pipes that
    /// could not be read.
    fn read(self, mut cancel: CancellableInput) -> u64 {
        let pipes = Arc::new(self.pipes);
        let senders = self.senders.map(|sender| {
            let (pipes, tell) = (Arc::clone(&pipes), Arc::clone(&self.writers_gone));
            sender.while_stuck(move || {
                if pipes.iter().all(is_hung_up) {
                    tell();
                }
            })
        });
        let mut tees = self.tees;
        let parts = pipes.iter().zip(self.lines).zip(&senders).zip(&mut tees);
        let parts = parts.map(|(((pipe, (splitter, processor)), sender), tee)| {
            Pipe::new(pipe, splitter, processor, sender, tee)
        });
        let mut reading: Vec<_> = parts.collect();
        read_pipes(&mut reading, &mut cancel);
        let mut unreadable = 0;
        let mut open: Vec<&dyn AsFd> = Vec::new();
        for (pipe, stream) in reading.iter().zip(STREAMS) {
            match pipe.end() {
                Some(Ok(())) => {}
                Some(Err(why)) => {
                    unreadable += 1;
                    let what = format!("the command's {stream}");
                    let (what, why) = (&*what, &*why.to_string());
                    self.reporter.say(&Message::Unreadable { what, why });
                }
                None => open.push(pipe.input()),
            }
        }
        if !open.is_empty() {
            (self.left_behind)(pipe_holders(&open));
        }
        unreadable
    }
}
