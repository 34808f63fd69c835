//! The wiring: opens sources, starts the pipeline, conducts its end, reports.
//!
//! Knows every room by its door and none from inside.

mod command;
mod conductor;
mod inputs;
mod reading;
mod stores;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::check;
use crate::config::{self, Config, Input, Summary};
use crate::extent::{self, Extent};
use crate::ledger::Ledger;
use crate::note::{Loudness, Message, Note, Remedy};
use crate::pipeline::{Destination, Pipeline, Plan, Stage};
use crate::progress::Progress;
use crate::push::http::Http;
use crate::queue::Queue;
use crate::report::Report;
use crate::signals::{self, Signal};
use crate::source::child::Exit;
use crate::spool::Spool;
use crate::stop::Stop;
use conductor::Conductor;
use inputs::{ends_by_itself, has_pipe, open};
use reading::Run;
use stores::{open_checkpoint, open_stores};

/// What the conductor hears.
enum Event {
    Signal(Signal),
    /// A source is through; with how many inputs it could not read. It has said which.
    SourceEnded(u64),
    /// Nobody writes into the last input any more, though there is no room to read on.
    HungUp,
    /// The command has ended, or cannot be waited for.
    CommandEnded(io::Result<Exit>),
    /// A stage is through.
    Through(Stage),
}

/// Runs until input has ended and every entry has its fate; gives the exit status.
///
/// # Errors
/// If something is wrong before anything was read.
pub fn run(config: &Config) -> Result<u8> {
    let began = Instant::now();
    let note = Note::new(config.loudness);
    for text in &config.warnings {
        note.say(&Message::Warning { text });
    }
    if config.check {
        return check::run(config);
    }
    let destination = match &config.connection {
        Some(connection) => Destination::Loki(Arc::new(Http::new(connection)?)),
        None => Destination::Print,
    };
    let stores = open_stores(config, note)?;
    let (spool, checkpoint) = (stores.spool.clone(), stores.checkpoint.clone());
    let (stop, ledger) = (Arc::new(Stop::new()), Arc::new(Ledger::new()));
    let events = Queue::new(usize::MAX);
    let tell = |events: &Queue<Event>| {
        let events = events.clone();
        move |event| drop(events.push(event, 1))
    };
    signals::listen({
        let tell = tell(&events);
        move |signal| tell(Event::Signal(signal))
    })
    .context("cannot listen for signals")?;
    let through = tell(&events);
    let has_pipe = has_pipe(&config.input);
    let mut settings = config.settings.clone();
    settings.delivery.end_when_hopeless = ends_by_itself(&config.input) && !has_pipe;
    let plan = Plan {
        settings,
        destination,
        stores,
        stop: Arc::clone(&stop),
        ledger: Arc::clone(&ledger),
        note,
    };
    let pipeline = plan.start(move |stage| through(Event::Through(stage)));
    let run = Run {
        intake: pipeline.intake(),
        stop: Arc::clone(&stop),
        checkpoint: checkpoint.clone(),
        note,
    };
    let progress = progress(config, spool.as_deref(), note);
    let opened = open(config, run, tell(&events))?;
    let conductor = Conductor {
        config,
        pipeline: &pipeline,
        spool: spool.as_deref(),
        stop: &stop,
        ledger: &ledger,
        checkpoint: checkpoint.as_deref(),
        has_pipe,
        note,
        began,
        sources: opened.sources,
        leashes: opened.leashes,
        command: opened.command,
        packed: false,
        shipped: false,
        unreadable: 0,
        linger: None,
        asked: None,
        hasty: false,
        progress,
    };
    let report = conductor.conduct(&events);
    say_report(config, &report, &pipeline, spool.as_deref(), note);
    if let Some(spool) = spool {
        spool.close();
    }
    Ok(report.status())
}

/// The progress bar, where one is shown.
fn progress(config: &Config, spool: Option<&Spool>, note: Note) -> Option<Progress> {
    let always = match config.progress {
        config::Progress::Never => return None,
        config::Progress::Always => true,
        config::Progress::Auto => false,
    };
    let draws = can_draw(config);
    let may = draws && config.loudness > Loudness::Quiet;
    if !(always || may) {
        return None;
    }
    // One to look at: looking ahead meets the files in it. Its trouble is that of the one in use.
    let checkpoint = open_checkpoint(config, spool, false, Note::new(Loudness::Silent)).ok()?;
    let bytes = match extent::of(&config.input, checkpoint.as_ref()) {
        Extent::Files(bytes) => bytes,
        Extent::Open if always => None,
        Extent::Open => return None,
    };
    let now = Instant::now();
    Some(if draws {
        Progress::bar(bytes, now)
    } else {
        Progress::lines(bytes, now, note)
    })
}

/// Whether standard error is a terminal that can be drawn on, and nothing else writes there: what
/// is passed through, or printed, may go to the same one.
fn can_draw(config: &Config) -> bool {
    let printed = (config.tee || config.connection.is_none()) && io::stdout().is_terminal();
    let passed_on = config.tee && matches!(config.input, Input::Command { .. });
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !is_dumb && !printed && !passed_on
}

fn say_report(
    config: &Config,
    report: &Report,
    pipeline: &Pipeline,
    spool: Option<&Spool>,
    note: Note,
) {
    let counts = &report.counts;
    let left = if report.left_is_safe {
        0
    } else {
        counts.left()
    };
    if report.missing() > 0 {
        note.say(&Message::Missing {
            target: &config.settings.target,
            refused: counts.refused + counts.adopted_refused,
            dropped: counts.dropped,
            left,
            why: pipeline.trouble().as_deref(),
            remedy: match &config.connection {
                None => Remedy::Output,
                Some(_) if spool.is_some() => Remedy::Room,
                Some(_) if pipeline.is_hopeless() => Remedy::Mend,
                Some(_) => Remedy::Reach,
            },
        });
    }
    let entries = (counts.spooled + counts.adopted_left()).saturating_sub(report.set_aside);
    if let Some(options) = config.spool.as_ref().filter(|_| entries > 0) {
        note.say(&Message::Spooled {
            entries,
            spool: &options.dir.display().to_string(),
        });
    }
    if report.left_is_safe && counts.left() > 0 {
        let entries = counts.left();
        note.say(&Message::LeftInFiles { entries });
    }
    let told = config.input == Input::Drain || config.loudness == Loudness::Verbose;
    if let Some(spool) = spool.filter(|_| told) {
        say_elsewhere(spool, note);
    }
    if let Some(form) = config.summary {
        say_summary(form, report, note);
    }
}

/// What the spool holds that this run could not deliver, since it goes to another place.
fn say_elsewhere(spool: &Spool, note: Note) {
    let destinations = spool.elsewhere();
    if !destinations.is_empty() {
        note.say(&Message::Elsewhere {
            destination: &destinations.join("; and for "),
            spool: &spool.dir().display().to_string(),
        });
    }
}

fn say_summary(form: Summary, report: &Report, note: Note) {
    let line = match form {
        Summary::Text => report.text(),
        Summary::Json => report.json(),
    };
    note.say(&Message::Summary { line: &line });
}
