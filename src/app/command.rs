//! Command mode's way in: starts the command and the threads that read what it prints.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::Event;
use super::reading::{Opened, Run, spawn};
use crate::attend::Attended;
use crate::config::Config;
use crate::gather::{Gatherer, reach};
use crate::lines::Lines;
use crate::note::Message;
use crate::outlet::Outlet;
use crate::pipeline::Intake;
use crate::rate::Rate;
use crate::shape::Shaper;
use crate::signals;
use crate::source::child::{self, Exit, NotStarted};
use crate::source::leash::{self, Leash};
use crate::source::pipe;

/// Starts the command, and the threads that read what it prints.
pub(super) fn open(
    command: &[OsString],
    exit_entry: bool,
    config: &Config,
    run: &Run,
    tell: &(impl Fn(Event) + Clone + Send + 'static),
) -> Result<Opened> {
    signals::expect_children().context("cannot listen for signals")?;
    let name = child::name(command);
    let closing = exit_entry.then(|| Arc::clone(&config.shape));
    let intakes = [run.intake.apart(), run.intake.apart()];
    let attend =
        |child, leashes, intakes| Attended::new(name.clone(), child, leashes, intakes, closing);
    let (child, stdout, stderr) = match child::start(command) {
        Ok(started) => started,
        Err(NotStarted { status, why }) => {
            let why = why.to_string();
            let command = &command[0].to_string_lossy();
            run.note.say(&Message::NotStarted { command, why: &why });
            tell(Event::CommandEnded(Ok(Exit::not_started(status))));
            return Ok(Opened {
                command: Some(attend(None, Vec::new(), intakes)),
                ..Opened::default()
            });
        }
    };
    let pipes = Pipes { config, run, tell };
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
    Ok(Opened {
        sources: leashes.len(),
        command: Some(attend(Some(child), leashes, intakes)),
        ..Opened::default()
    })
}

/// What reading a command's pipes takes.
struct Pipes<'a, T> {
    config: &'a Config,
    run: &'a Run,
    tell: &'a T,
}

impl<T: Fn(Event) + Clone + Send + 'static> Pipes<'_, T> {
    /// Starts a thread that reads a pipe to its end; gives what it is told to end by.
    fn read(
        &self,
        stream: &str,
        mut pipe: impl Read + AsFd + Send + 'static,
        intake: &Intake,
        mut tee: Option<Box<dyn Outlet>>,
    ) -> Result<Leash> {
        let config = self.config;
        let (leash, mut collar) = leash::new().context("cannot open a pipe")?;
        let shaper = Shaper::new(&config.shape, &[("stream", stream)], None);
        let gatherer = Gatherer::new(&config.gather, shaper);
        let portion = config.settings.limit_rate.map_or(usize::MAX, Rate::portion);
        let limit = reach(gatherer.room());
        let lines = Lines::new(config.delimiter, limit).in_portions(portion);
        let (what, intake) = (format!("the command's {stream}"), intake.clone());
        let (note, tell) = (self.run.note, self.tell.clone());
        spawn(stream, tell, move || {
            let read = pipe::pump(&mut pipe, &mut collar, lines, gatherer, &intake, &mut tee);
            if let Err(why) = &read {
                let (what, why) = (&*what, &*why.to_string());
                note.say(&Message::Unreadable { what, why });
            }
            u64::from(read.is_err())
        })?;
        Ok(leash)
    }
}

fn boxed(out: impl Outlet + 'static) -> Box<dyn Outlet> {
    Box::new(out)
}
