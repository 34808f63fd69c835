//! The wiring: opens sources, starts the pipeline, conducts its end, reports.
//!
//! Knows every room by its door and none from inside.

pub mod check;
mod command;
pub mod input_size;
mod inputs;
mod open_storage;
mod shutdown;
pub mod signals;
mod source_thread;
pub mod start;

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::app::input_size::InputSize;
use crate::app::inputs::{ends_by_itself, has_pipe, open};
use crate::app::open_storage::{open_checkpoint, open_stores, report_other_batches};
use crate::app::shutdown::RunLoop;
use crate::app::signals::Signal;
use crate::app::source_thread::SourceContext;
use crate::cli::config;
use crate::cli::config::{Config, Input, Summary};
use crate::http::client::HttpTransport;
use crate::input::command::Exit;
use crate::pipeline::{Pipeline, PipelineParts, Sink, Stage};
use crate::report::counters::Counters;
use crate::report::messages::{Message, Remedy, Reporter, Verbosity};
use crate::report::progress::Progress;
use crate::report::summary::RunSummary;
use crate::storage::spool::Spool;
use crate::sync::queue::ByteQueue;
use crate::sync::shutdown::Shutdown;

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
    let reporter = Reporter::new(config.loudness);
    for text in &config.warnings {
        reporter.say(&Message::Warning { text });
    }
    if config.check {
        return check::run(config);
    }
    let destination = match &config.connection {
        Some(connection) => Sink::Loki(Arc::new(HttpTransport::new(connection)?)),
        None => Sink::Print,
    };
    let stores = open_stores(config, reporter)?;
    let (spool, checkpoint) = (stores.spool.clone(), stores.checkpoint.clone());
    let (stop, counters) = (Arc::new(Shutdown::new()), Arc::new(Counters::new()));
    let events = ByteQueue::new(usize::MAX);
    let tell = |events: &ByteQueue<Event>| {
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
    let plan = PipelineParts {
        settings,
        destination,
        stores,
        stop: Arc::clone(&stop),
        counters: Arc::clone(&counters),
        reporter,
    };
    let pipeline = plan.start(move |stage| through(Event::Through(stage)));
    let run = SourceContext {
        intake: pipeline.intake(),
        stop: Arc::clone(&stop),
        checkpoint: checkpoint.clone(),
        reporter,
    };
    let progress = progress(config, spool.as_deref(), reporter);
    let opened = open(config, run, tell(&events))?;
    let conductor = RunLoop {
        config,
        pipeline: &pipeline,
        spool: spool.as_deref(),
        stop: &stop,
        counters: &counters,
        checkpoint: checkpoint.as_deref(),
        has_pipe,
        reporter,
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
    say_report(config, &report, &pipeline, spool.as_deref(), reporter);
    if let Some(spool) = spool {
        spool.close();
    }
    Ok(report.status())
}

/// The progress bar, where one is shown.
fn progress(config: &Config, spool: Option<&Spool>, reporter: Reporter) -> Option<Progress> {
    let always = match config.progress {
        config::Progress::Never => return None,
        config::Progress::Always => true,
        config::Progress::Auto => false,
    };
    let draws = can_draw(config);
    let may = draws && config.loudness > Verbosity::Quiet;
    if !(always || may) {
        return None;
    }
    // One to look at: looking ahead meets the files in it. Its trouble is that of the one in use.
    let checkpoint =
        open_checkpoint(config, spool, false, Reporter::new(Verbosity::Silent)).ok()?;
    let bytes = match input_size::of(&config.input, checkpoint.as_ref()) {
        InputSize::FileReader(bytes) => bytes,
        InputSize::Open if always => None,
        InputSize::Open => return None,
    };
    let now = Instant::now();
    Some(if draws {
        Progress::bar(bytes, now)
    } else {
        Progress::lines(bytes, now, reporter)
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
    report: &RunSummary,
    pipeline: &Pipeline,
    spool: Option<&Spool>,
    reporter: Reporter,
) {
    let counts = &report.counts;
    let left = if report.left_is_safe {
        0
    } else {
        counts.left()
    };
    if report.missing() > 0 {
        reporter.say(&Message::Missing {
            target: &config.settings.target,
            refused: counts.refused + counts.adopted_refused,
            dropped: counts.dropped,
            left,
            why: pipeline.trouble().as_deref(),
            remedy: match &config.connection {
                None => Remedy::Output,
                Some(_) if spool.is_some() => Remedy::ByteSemaphore,
                Some(_) if pipeline.is_hopeless() => Remedy::Mend,
                Some(_) => Remedy::Reach,
            },
        });
    }
    let entries = (counts.spooled + counts.adopted_left()).saturating_sub(report.set_aside);
    if let Some(options) = config.spool.as_ref().filter(|_| entries > 0) {
        reporter.say(&Message::Spooled {
            entries,
            spool: &options.dir.display().to_string(),
        });
    }
    if report.left_is_safe && counts.left() > 0 {
        let entries = counts.left();
        reporter.say(&Message::LeftInFiles { entries });
    }
    if let Some(spool) = spool {
        report_other_batches(spool, config, reporter);
    }
    if let Some(form) = config.summary {
        say_summary(form, report, reporter);
    }
}

fn say_summary(form: Summary, report: &RunSummary, reporter: Reporter) {
    let line = match form {
        Summary::Text => report.text(),
        Summary::Json => report.json(),
    };
    reporter.say(&Message::Summary { line: &line });
}
