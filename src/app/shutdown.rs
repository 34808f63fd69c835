//! The run loop: waits for events and performs the actions that the state machine in `run_state`
//! returns, until the run is over.

use std::io;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use crate::app::command::supervisor::CommandSupervisor;
use crate::app::metrics_file::MetricsFile;
use crate::app::run_state::{Action, RunEvent, RunState, StopRules};
use crate::app::signals::ReceivedSignal;
use crate::app::systemd::ServiceManager;
use crate::app::{Event, print_summary};
use crate::cli::config::{Config, Input, Summary};
use crate::input::cancel::CancelHandle;
use crate::input::command::Exit;
use crate::pipeline::{Pipeline, RunDeadline, Stage, StageEnd};
use crate::report::counters::Counters;
use crate::report::messages::{Message, Reporter};
use crate::report::metrics::{self, Waiting};
use crate::report::progress::Progress;
use crate::report::summary::RunSummary;
use crate::storage::checkpoint::Checkpoint;
use crate::storage::spool::Spool;
use crate::sync::shutdown::{Phase, Shutdown};

/// The run loop and everything that it acts on.
pub(super) struct RunLoop<'a> {
    pub(super) config: &'a Config,
    pub(super) pipeline: &'a Pipeline,
    pub(super) spool: Option<&'a Spool>,
    pub(super) checkpoint: Option<&'a Checkpoint>,
    pub(super) shutdown: &'a Shutdown,
    pub(super) counters: &'a Counters,
    pub(super) reporter: Reporter,
    pub(super) started: Instant,
    pub(super) rules: StopRules,
    pub(super) progress: Option<Progress>,
    pub(super) metrics_file: Option<MetricsFile>,
    pub(super) service_manager: Option<ServiceManager>,
    /// Number of sources that are still reading.
    pub(super) sources: usize,
    /// Cancels the sources.
    pub(super) cancel: Vec<CancelHandle>,
    /// The command, in command mode.
    pub(super) command: Option<CommandSupervisor>,
    pub(super) state: RunState,
    /// The longest time that the flush may take.
    pub(super) longest_flush: Duration,
    pub(super) done: Done,
}

/// What has finished so far.
#[derive(Default)]
pub(super) struct Done {
    /// Input has ended, and the stages were told.
    input: bool,
    batching: bool,
    sending: bool,
    /// Number of inputs that could not be read completely.
    unreadable: u64,
    /// A thread of ours failed.
    thread_failed: bool,
}

impl RunLoop<'_> {
    /// Runs until the outcome of every entry is known, or the deadline has passed.
    pub(super) fn run(mut self, events: &Receiver<Event>) -> RunSummary {
        if let Some(manager) = &self.service_manager {
            manager.ready();
        }
        while self.state != RunState::Done {
            match self.next_event(events) {
                Some(event) => self.on_event(event),
                None => self.on_time(Instant::now()),
            }
            if self.is_pipeline_finished() {
                let input_ended = self.done.input;
                self.step(RunEvent::PipelineFinished { input_ended });
            }
            self.show_progress(Instant::now());
        }
        self.finish()
    }

    /// Waits for the next event. Returns `None` if a timer is due first.
    fn next_event(&self, events: &Receiver<Event>) -> Option<Event> {
        let Some(deadline) = self.next_deadline() else {
            // Cannot happen: the pipeline holds a sender as long as it runs.
            return events.recv().ok();
        };
        let left = deadline.saturating_duration_since(Instant::now());
        events.recv_timeout(left).ok()
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Signal(signal) => self.on_signal(signal),
            Event::SourceEnded(unreadable) => {
                self.done.unreadable += unreadable;
                // A source that was abandoned does not count any more.
                self.sources = self.sources.saturating_sub(1);
                self.check_input();
            }
            Event::LeftBehind(holders) => {
                if let Some(command) = self.command.as_ref().filter(|own| !own.was_asked_to_end()) {
                    let (command, holders) = (command.name(), &*holders);
                    self.reporter.say(&Message::LeftBehind { command, holders });
                }
            }
            // A running command may close its output and continue.
            Event::WritersGone if self.is_command_running() => {}
            Event::WritersGone => self.step(RunEvent::WritersGone),
            Event::CommandEnded(exit) => self.on_command_ended(exit),
            Event::StageEnded(StageEnd { stage, failed }) => {
                match stage {
                    Stage::Batch => self.done.batching = true,
                    Stage::Send => self.done.sending = true,
                }
                if failed {
                    self.on_thread_failed(stage.name());
                }
                // Only now is it known how much is in the spool.
                if let Some(flush) = self.shutdown.state().flush {
                    self.shutdown.start_flush(flush.since, self.flush_timeout());
                }
            }
            Event::ThreadFailed(thread) => self.on_thread_failed(thread),
        }
    }

    fn on_time(&mut self, now: Instant) {
        let run_deadline = self.run_deadline();
        if self.state.deadline().is_some_and(|until| until <= now) {
            self.step(RunEvent::DeadlinePassed);
        } else if let Some((_, later_than)) = run_deadline
            .and_then(|deadline| deadline.breaks_off)
            .filter(|(at, _)| *at <= now)
        {
            self.pipeline.abort_slow(later_than);
        } else if run_deadline.is_some_and(|deadline| deadline.leave <= now) {
            self.step(RunEvent::FlushTimedOut);
        }
    }

    /// As long as a command runs, signals are the command's.
    fn on_signal(&mut self, signal: ReceivedSignal) {
        if let Some(command) = self.command.as_mut().filter(|command| command.is_running()) {
            if command.on_signal(signal) {
                // The command must be able to end even if the buffer is full.
                self.pipeline.stop_blocking();
            }
        } else if signal.asks_for_end() {
            self.step(if self.shutdown.state().phase == Phase::Running {
                RunEvent::StopRequested
            } else {
                RunEvent::StopRequestedAgain
            });
        } else if signal.asks_for_summary() && self.command.is_none() {
            let form = self.config.summary.unwrap_or(Summary::Text);
            print_summary(form, &self.summary(), self.reporter);
        }
    }

    fn on_command_ended(&mut self, exit: io::Result<Exit>) {
        let Some(command) = &mut self.command else {
            return;
        };
        let requests = match exit {
            Ok(exit) => command.on_exit(exit),
            Err(why) => {
                let requests = command.on_wait_failed();
                let (command, why) = (command.name(), &*why.to_string());
                self.reporter.say(&Message::Unwatched { command, why });
                requests
            }
        };
        self.step(RunEvent::CommandEnded(requests));
        self.check_input();
    }

    fn on_thread_failed(&mut self, thread: &str) {
        self.done.thread_failed = true;
        self.reporter.say(&Message::ThreadFailed { thread });
    }

    fn check_input(&mut self) {
        if self.sources == 0 && !self.is_command_running() && !self.done.input {
            self.step(RunEvent::InputEnded);
        }
    }

    /// Passes an event to the state machine and performs its actions.
    fn step(&mut self, event: RunEvent) {
        let now = Instant::now();
        let (state, actions) = self.rules.next(self.state, event, now);
        if self.state == RunState::Reading
            && state != RunState::Reading
            && let Some(manager) = &self.service_manager
        {
            manager.stopping();
        }
        self.state = state;
        for action in actions {
            self.act(action, now);
        }
    }

    fn act(&mut self, action: Action, now: Instant) {
        match action {
            Action::SendNow => self.shutdown.advance(Phase::Draining),
            Action::LimitInput { quiet, until } => {
                for source in &self.cancel {
                    source.drain(quiet, until);
                }
            }
            Action::StopReading => self.stop_reading(),
            Action::StartFlush => self.shutdown.start_flush(now, self.flush_timeout()),
            Action::ShortenFlush(most) => self.longest_flush = most,
            Action::CloseInput => self.close_input(),
            Action::Abort => self.shutdown.advance(Phase::Aborting),
        }
    }

    /// Tells the sources to stop. One whose `--tee` output is blocked is not waited for.
    fn stop_reading(&mut self) {
        self.shutdown.stop_reading();
        if self.cancel.iter().any(CancelHandle::tee_blocked) {
            self.done.unreadable += 1;
            self.reporter.say(&Message::Unreadable {
                what: if self.command.is_some() {
                    "the last of what the command printed"
                } else {
                    "the last of standard input"
                },
                why: "whoever reads what is passed on holds it up; it is not shipped",
            });
            self.sources = 0;
            self.close_input();
        }
    }

    /// Ships the exit entry, after everything else, and closes the input of the pipeline.
    fn close_input(&mut self) {
        if let Some(command) = &mut self.command {
            command.send_exit_entry(&self.pipeline.intake(), Instant::now());
        }
        self.pipeline.close();
        self.shutdown.stop_reading();
        self.done.input = true;
    }

    fn is_command_running(&self) -> bool {
        let command = self.command.as_ref();
        command.is_some_and(CommandSupervisor::is_running)
    }

    /// Whether there is nothing more to wait for.
    fn is_pipeline_finished(&self) -> bool {
        match self.spool {
            None => self.done.sending,
            // Spooled batches are safe, so after a second signal they are not waited for.
            Some(_) => {
                let is_aborting = self.shutdown.state().phase == Phase::Aborting;
                self.done.batching && (self.done.sending || is_aborting)
            }
        }
    }

    /// How long the flush continues without progress: not as long if everything is safe on disk.
    fn flush_timeout(&self) -> Duration {
        let is_spooled = self.pipeline.is_all_spooled();
        let is_left_in_files = self.checkpoint.is_some() && !self.rules.reads_pipe;
        let is_asked = self.shutdown.state().phase > Phase::Running;
        let is_soon = if is_asked {
            is_spooled || is_left_in_files
        } else {
            is_spooled && self.command.is_some()
        };
        let timeout = if is_soon {
            self.config.safe_flush_timeout
        } else {
            self.config.settings.delivery.flush_timeout
        };
        timeout.min(self.longest_flush)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let run_deadline = self.run_deadline();
        [
            self.state.deadline(),
            run_deadline.map(|deadline| deadline.leave),
            run_deadline.and_then(|deadline| Some(deadline.breaks_off?.0)),
            self.progress.as_ref().map(Progress::due),
            self.metrics_file.as_ref().map(MetricsFile::due),
            self.service_manager.as_ref().map(ServiceManager::due),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The time at which the program exits even if stages are still busy, once the flush has begun.
    fn run_deadline(&self) -> Option<RunDeadline> {
        // A dry run waits for the reader of its output until a signal comes.
        let is_asked = self.shutdown.state().phase > Phase::Running;
        let deadline = self.pipeline.deadline(self.shutdown);
        deadline.filter(|_| self.config.connection.is_some() || is_asked)
    }

    fn show_progress(&mut self, now: Instant) {
        if let Some(progress) = &mut self.progress {
            progress.show(now, || (self.counters.counts(), self.counters.wait()));
        }
        if let Some(mut file) = self.metrics_file.take() {
            file.update(now, || self.metrics());
            self.metrics_file = Some(file);
        }
        if let Some(manager) = &mut self.service_manager {
            manager.update(now, || self.counters.counts());
        }
    }

    /// Ends the run: entries without an outcome stay in the spool, or count as left.
    fn finish(mut self) -> RunSummary {
        self.progress = None;
        // If the deadline passed before the command's pipes ended, its exit entry is still counted.
        self.close_input();
        self.pipeline.abandon();
        if let Some(mut file) = self.metrics_file.take() {
            file.write(&self.metrics());
        }
        let mut summary = self.summary();
        summary.faulty = self.pipeline.is_hopeless();
        if let Some(checkpoint) = self.checkpoint {
            summary.unsaved = checkpoint.save().is_err();
            summary.left_is_safe = !summary.unsaved && self.config.connection.is_some();
        }
        summary
    }

    fn metrics(&self) -> String {
        let last = self.counters.last_accepted().unwrap_or(self.started);
        let waiting = Waiting {
            bytes: self.pipeline.waiting_bytes(),
            since_delivery: last.elapsed(),
        };
        let app = self.config.shape.labels.get("app").unwrap_or_default();
        metrics::render(&self.summary().counts, waiting, app)
    }

    fn summary(&self) -> RunSummary {
        let mut counts = self.counters.counts();
        if self.pipeline.is_unread() {
            // The reader of a dry run, such as `head`, has seen enough.
            counts.filtered += counts.left();
        }
        let command = self.command.as_ref();
        RunSummary {
            counts,
            took: self.started.elapsed(),
            command_exit: command.and_then(CommandSupervisor::status),
            unreadable: self.done.unreadable + self.spool.map_or(0, Spool::unreadable),
            set_aside: self.spool.map_or(0, Spool::set_aside),
            left_is_safe: false,
            unsaved: false,
            faulty: false,
            thread_failed: self.done.thread_failed,
            drains: self.config.input == Input::Drain,
        }
    }
}
