//! Command mode's way in: starts the command and the threads that read what it prints.

pub mod supervisor;

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::app::Event;
use crate::app::command::supervisor::CommandSupervisor;
use crate::app::signals;
use crate::app::source_thread::{RunningSources, SourceContext, spawn};
use crate::cli::config::Config;
use crate::input::cancel;
use crate::input::cancel::CancelHandle;
use crate::input::command;
use crate::input::command::{Exit, SpawnError};
use crate::input::line_splitter::LineSplitter;
use crate::input::pipe;
use crate::process::entry_builder::EntryBuilder;
use crate::process::entry_sender::EntrySender;
use crate::process::line_processor::{LineProcessor, reach};
use crate::process::throttle::Throttle;
use crate::report::messages::Message;
use crate::sync::blocking_write::PollableWrite;

/// Starts the command, and the threads that read what it prints.
pub(super) fn open(
    command: &[OsString],
    exit_entry: bool,
    config: &Config,
    run: &SourceContext,
    tell: &(impl Fn(Event) + Clone + Send + 'static),
) -> Result<RunningSources> {
    signals::expect_children().context("cannot listen for signals")?;
    let name = command::name(command);
    let closing = exit_entry.then(|| Arc::clone(&config.shape));
    let intakes = [run.intake.apart(), run.intake.apart()];
    let attend = |child, leashes, intakes| {
        CommandSupervisor::new(name.clone(), child, leashes, intakes, closing)
    };
    let (child, stdout, stderr) = match command::start(command) {
        Ok(started) => started,
        Err(SpawnError { status, why }) => {
            let why = why.to_string();
            let command = &command[0].to_string_lossy();
            run.reporter
                .say(&Message::SpawnError { command, why: &why });
            tell(Event::CommandEnded(Ok(Exit::not_started(status))));
            return Ok(RunningSources {
                command: Some(attend(None, Vec::new(), intakes)),
                ..RunningSources::default()
            });
        }
    };
    let pipes = CommandPipes { config, run, tell };
    let mut leashes = Vec::new();
    if let Some(pipe) = stdout {
        let tee = config.tee.then(|| boxed(io::stdout()));
        leashes.push(pipes.read("stdout", pipe, &intakes[0], tee)?);
    }
    if let Some(pipe) = stderr {
        let tee = config.tee.then(|| boxed(io::stderr()));
        leashes.push(pipes.read("stderr", pipe, &intakes[1], tee)?);
    }
    let tell = tell.clone();
    child
        .watch(move |exit| tell(Event::CommandEnded(exit)))
        .context("cannot start a thread")?;
    Ok(RunningSources {
        sources: leashes.len(),
        command: Some(attend(Some(child), leashes, intakes)),
        ..RunningSources::default()
    })
}

/// What reading a command's pipes takes.
struct CommandPipes<'a, T> {
    config: &'a Config,
    run: &'a SourceContext,
    tell: &'a T,
}

impl<T: Fn(Event) + Clone + Send + 'static> CommandPipes<'_, T> {
    /// Starts a thread that reads a pipe to its end; gives what it is told to end by.
    fn read(
        &self,
        stream: &str,
        mut pipe: impl Read + AsFd + Send + 'static,
        intake: &EntrySender,
        mut tee: Option<Box<dyn PollableWrite>>,
    ) -> Result<CancelHandle> {
        let config = self.config;
        let (leash, mut collar) = cancel::new().context("cannot open a pipe")?;
        let shaper = EntryBuilder::new(&config.shape, &[("stream", stream)], None);
        let gatherer = LineProcessor::new(&config.gather, shaper);
        let portion = config
            .settings
            .limit_rate
            .map_or(usize::MAX, Throttle::portion);
        let limit = reach(gatherer.room());
        let lines = LineSplitter::new(config.delimiter, limit).in_portions(portion);
        let (what, intake) = (format!("the command's {stream}"), intake.clone());
        let (reporter, tell) = (self.run.reporter, self.tell.clone());
        spawn(stream, tell, move || {
            let read = pipe::pump(&mut pipe, &mut collar, lines, gatherer, &intake, &mut tee);
            if let Err(why) = &read {
                let (what, why) = (&*what, &*why.to_string());
                reporter.say(&Message::Unreadable { what, why });
            }
            u64::from(read.is_err())
        })?;
        Ok(leash)
    }
}

fn boxed(out: impl PollableWrite + 'static) -> Box<dyn PollableWrite> {
    Box::new(out)
}
