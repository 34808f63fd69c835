//! The program: starts the pipeline and the sources, runs them to their end, and reports.

pub mod check;
mod command;
pub mod input_size;
mod inputs;
mod metrics_file;
mod open_storage;
mod run_state;
mod shutdown;
pub mod signals;
mod source_thread;
pub mod start;
mod systemd;

use std::fmt;
use std::io::{self, IsTerminal};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::app::input_size::InputSize;
use crate::app::inputs::{is_finite, is_follow, reads_unseekable_input, start_sources};
use crate::app::metrics_file::MetricsFile;
use crate::app::open_storage::{open_checkpoint, open_stores, report_other_batches};
use crate::app::run_state::{RunState, StopRules};
use crate::app::shutdown::{Done, RunLoop};
use crate::app::signals::ReceivedSignal;
use crate::app::source_thread::SourceContext;
use crate::app::systemd::ServiceManager;
use crate::cli::config;
use crate::cli::config::{Config, Input, Summary};
use crate::http::client::HttpTransport;
use crate::http::tenant::TENANT_HEADER;
use crate::input::command::Exit;
use crate::pipeline::{Pipeline, PipelineParts, Sink, StageEnd};
use crate::process::options::TimeSource;
use crate::report::counters::Counters;
use crate::report::humanize::shell_word;
use crate::report::messages::{Message, Remedy, Reporter, Verbosity};
use crate::report::progress::Progress;
use crate::report::summary::RunSummary;
use crate::storage::spool::Spool;
use crate::sync::shutdown::Shutdown;

/// An event for the run loop.
enum Event {
    Signal(ReceivedSignal),
    /// A source has ended, with the number of inputs that it could not read. It has reported them.
    SourceEnded(u64),
    /// No process writes to the last input any more, but the buffer is full.
    WritersGone,
    /// Processes that still hold the command's pipes open, which is not waited for any longer.
    LeftBehind(Vec<String>),
    /// The command has ended, or cannot be waited for.
    CommandEnded(io::Result<Exit>),
    StageEnded(StageEnd),
    /// A source has panicked.
    ThreadFailed(&'static str),
}

/// An error because the system does not provide a resource now; not a usage error.
#[derive(Debug, Clone, Copy)]
enum NotStarted {
    Signals,
    Thread,
    Pipe,
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signals => {
                "cannot listen for signals (the limits on processes and open files are those of \
                 ulimit -u and -n)"
            }
            Self::Thread => {
                "cannot start a thread (the limit on processes is that of ulimit -u, of systemd's \
                 TasksMax or of the container)"
            }
            Self::Pipe => "cannot open a pipe (the limit on open files is that of ulimit -n)",
        })
    }
}

/// Runs until input has ended and the outcome of every entry is known; returns the exit status.
///
/// # Errors
/// If the run cannot start; nothing has been read then.
pub fn run(config: &Config) -> Result<u8> {
    let started = Instant::now();
    let reporter = Reporter::new(config.loudness);
    for text in &config.warnings {
        reporter.say(&Message::Warning { text });
    }
    if config.check {
        return check::run(config);
    }
    signals::survive_size_limit().context(NotStarted::Signals)?;
    let destination = match &config.connection {
        Some(connection) => Sink::Loki(Arc::new(HttpTransport::new(connection)?)),
        None => Sink::Print,
    };
    let stores = open_stores(config, reporter)?;
    let (spool, checkpoint) = (stores.spool.clone(), stores.checkpoint.clone());
    let (shutdown, counters) = (Arc::new(Shutdown::new()), Arc::new(Counters::new()));
    config.shape.stream_limit.follow(&counters);
    let (sender, events) = mpsc::channel();
    let tell = move |event| drop(sender.send(event));
    let is_command = matches!(config.input, Input::Command { .. });
    let tell_signal = tell.clone();
    signals::listen(is_command, move |signal| tell_signal(Event::Signal(signal)))
        .context(NotStarted::Signals)?;
    let rules = StopRules {
        reads_pipe: reads_unseekable_input(&config.input),
        reads_terminal: !is_command && io::stdin().is_terminal(),
        has_spool: spool.is_some(),
        linger: config.linger,
    };
    let mut settings = config.settings.clone();
    settings.delivery.end_when_hopeless = is_finite(&config.input) && !rules.reads_pipe;
    let parts = PipelineParts {
        settings,
        destination,
        stores,
        stop: Arc::clone(&shutdown),
        counters: Arc::clone(&counters),
        reporter,
        on_trouble: None,
    };
    let tell_end = tell.clone();
    let pipeline = parts
        .start(move |end| tell_end(Event::StageEnded(end)))
        .context(NotStarted::Thread)?;
    let context = SourceContext {
        sender: pipeline.intake(),
        shutdown: Arc::clone(&shutdown),
        checkpoint: checkpoint.clone(),
        reporter,
    };
    let progress = progress(config, spool.as_deref(), reporter);
    let sources = start_sources(config, context, tell)?;
    let run_loop = RunLoop {
        config,
        pipeline: &pipeline,
        spool: spool.as_deref(),
        checkpoint: checkpoint.as_deref(),
        shutdown: &shutdown,
        counters: &counters,
        reporter,
        started,
        rules,
        progress,
        metrics_file: config
            .metrics_file
            .clone()
            .map(|path| MetricsFile::new(path, Instant::now(), reporter)),
        service_manager: is_follow(&config.input)
            .then(|| ServiceManager::from_env(Instant::now()))
            .flatten(),
        sources: sources.count,
        cancel: sources.cancel,
        command: sources.command,
        state: RunState::Reading,
        longest_flush: Duration::MAX,
        done: Done::default(),
    };
    let summary = run_loop.run(&events);
    print_report(config, &summary, &pipeline, spool.as_deref(), reporter);
    if let Some(spool) = spool {
        spool.close();
    }
    Ok(summary.status())
}

/// The progress display, if there is to be one.
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
    // A read-only copy, whose errors were already reported for the original.
    let checkpoint =
        open_checkpoint(config, spool, false, Reporter::new(Verbosity::Silent)).ok()?;
    let bytes = match input_size::estimate(config, checkpoint.as_ref()) {
        InputSize::Files(bytes) => bytes,
        InputSize::Unbounded if always => None,
        InputSize::Unbounded => return None,
    };
    let now = Instant::now();
    Some(if draws {
        Progress::bar(bytes, now)
    } else {
        Progress::lines(bytes, now, reporter)
    })
}

/// Whether a bar can be drawn: standard error is a terminal, and the output of `--tee` or `--dry-run`
/// does not go to the same one.
fn can_draw(config: &Config) -> bool {
    let printed = (config.tee || config.connection.is_none()) && io::stdout().is_terminal();
    let passed_on = config.tee && matches!(config.input, Input::Command { .. });
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    io::stderr().is_terminal() && !is_dumb && !printed && !passed_on
}

fn print_report(
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
                Some(_) if spool.is_some() => Remedy::SpoolSize,
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
        print_summary(form, report, reporter);
    } else if report.status() == 0 && can_draw(config) && reads_files(config) && !config.tee {
        reporter.say(&Message::Delivered {
            entries: counts.delivered,
            query: &logcli_query(config, report),
        });
    }
}

/// Whether the input consists of files that are read to their end and delivered to Loki.
fn reads_files(config: &Config) -> bool {
    let is_finite = matches!(&config.input, Input::Files(files) if !files.follow);
    is_finite && config.connection.is_some() && config.progress != config::Progress::Never
}

/// The `logcli` command that shows what was delivered.
fn logcli_query(config: &Config, report: &RunSummary) -> String {
    let target = &config.settings.target;
    let address = match &**target {
        "http://localhost:3100" => String::new(),
        _ => format!(" --addr={target}"),
    };
    let headers = config.connection.iter().flat_map(|c| &c.headers);
    let mut tenants = headers.filter(|(name, _)| name.eq_ignore_ascii_case(TENANT_HEADER));
    let tenant = tenants.next().map_or_else(String::new, |(_, tenant)| {
        format!(" --org-id={}", shell_word(tenant))
    });
    let hours = if config.shape.time == TimeSource::Arrival {
        report.took.as_secs() / 3600 + 1
    } else {
        // Timestamps from lines may be old; this is the range of queries that Loki allows by default.
        720
    };
    format!(
        "logcli query{address}{tenant} --since={hours}h '{}'",
        config.shape.labels
    )
}

fn print_summary(form: Summary, report: &RunSummary, reporter: Reporter) {
    let line = match form {
        Summary::Text => report.text(),
        Summary::Json => report.json(),
    };
    reporter.say(&Message::Summary { line: &line });
}
