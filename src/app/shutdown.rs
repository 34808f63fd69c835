//! The conductor: hears what happens and brings a run to its end.
//!
//! Decides when input is over, when to hurry and when to leave; acts only through the stop, the
//! pipeline and the ledger. Knows no room from inside.

use crate::app::command::supervisor::CommandSupervisor;
use crate::app::inputs::ends_by_itself;
use crate::app::signals::{Signal, StopSignal};
use crate::app::{Event, say_summary};
use crate::cli::config::{Config, Input, Summary};
use crate::input::cancel::CancelHandle;
use crate::input::command::Exit;
use crate::pipeline::{Pipeline, RunDeadline, Stage};
use crate::report::counters::Counters;
use crate::report::messages::{Message, Reporter};
use crate::report::progress::Progress;
use crate::report::summary::RunSummary;
use crate::storage::checkpoint::Checkpoint;
use crate::storage::spool::Spool;
use crate::sync::queue::{ByteQueue, Pop};
use crate::sync::shutdown::{Phase, Shutdown};
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

/// How long the stages have to put what is in memory into the spool after a second signal.
const SPOOLING: Duration = Duration::from_secs(2);

/// How long they have without one.
const HASTE: Duration = Duration::from_millis(500);

/// How long a source has to hand in what it still holds when it is told that it is over.
const BREATH: Duration = Duration::from_millis(200);

/// Brings a run to its end.
pub(super) struct RunLoop<'a> {
    pub(super) config: &'a Config,
    pub(super) pipeline: &'a Pipeline,
    pub(super) spool: Option<&'a Spool>,
    pub(super) stop: &'a Shutdown,
    pub(super) counters: &'a Counters,
    pub(super) checkpoint: Option<&'a Checkpoint>,
    /// Whether something is read that must be read to its end, whatever becomes of it.
    pub(super) has_pipe: bool,
    pub(super) reporter: Reporter,
    pub(super) began: Instant,
    /// How many sources still read.
    pub(super) sources: usize,
    /// What they are told the end by.
    pub(super) leashes: Vec<CancelHandle>,
    /// The command that is run.
    pub(super) command: Option<CommandSupervisor>,
    /// Which stages are through.
    pub(super) packed: bool,
    pub(super) shipped: bool,
    pub(super) unreadable: u64,
    /// Until when a pipe is still read after a stop was asked for.
    pub(super) linger: Option<Instant>,
    /// When a stop was asked for, where the time of the flush counts from then.
    pub(super) asked: Option<Instant>,
    /// Whether a second signal asked to stop now, and a source has a breath to hand in what it holds.
    pub(super) hasty: bool,
    pub(super) progress: Option<Progress>,
}

impl RunLoop<'_> {
    pub(super) fn conduct(mut self, events: &ByteQueue<Event>) -> RunSummary {
        let mut end = None;
        loop {
            match events.pop(self.next_deadline(end)) {
                Pop::Item(Event::Signal(Signal::Summary)) => {
                    let report = self.report();
                    say_summary(
                        self.config.summary.unwrap_or(Summary::Text),
                        &report,
                        self.reporter,
                    );
                }
                Pop::Item(Event::Signal(Signal::Shutdown(signal))) => self.signal(signal, &mut end),
                Pop::Item(Event::SourceEnded(unreadable)) => {
                    self.unreadable += unreadable;
                    // After the linger they are not counted any more.
                    self.sources = self.sources.saturating_sub(1);
                    self.end_if_over(&mut end);
                    if self.hasty && !self.is_reading() {
                        self.stop_now(Instant::now(), &mut end);
                    }
                }
                // Nobody is held up by us any more, so the time of the flush runs.
                Pop::Item(Event::HungUp) => self.stop.end_input(Instant::now()),
                Pop::Item(Event::CommandEnded(exit)) => self.command_ended(exit, &mut end),
                Pop::Item(Event::Through(Stage::Batch)) => self.packed = true,
                Pop::Item(Event::Through(Stage::Send)) => self.shipped = true,
                Pop::Kicked | Pop::Ended => break,
                Pop::TimedOut => {
                    let now = Instant::now();
                    if self.linger.take_if(|until| *until <= now).is_some() {
                        self.linger_over(now);
                        if self.hasty {
                            self.stop_now(now, &mut end);
                        }
                    } else if self.command.as_mut().is_some_and(|own| own.leave(now)) {
                        self.command_left(now, &mut end);
                    } else if let Some((_, later_than)) =
                        self.breaks_off().filter(|(at, _)| *at <= now)
                    {
                        self.pipeline.break_off(later_than);
                    } else if self.over_by(end).is_some_and(|over| over <= now) {
                        if !self.is_hurried() || self.stop.view().phase == Phase::Now {
                            break;
                        }
                        self.stop_now(now, &mut end);
                    }
                }
            }
            if self.is_over() {
                break;
            }
            if let Some(progress) = &mut self.progress {
                progress.show(Instant::now(), || {
                    (self.counters.counts(), self.counters.wait())
                });
            }
        }
        self.progress = None;
        // If the time was over before the command's pipes were, its last word is still counted.
        self.close_command();
        // What is not settled by now stays in the spool, or is left.
        self.pipeline.abandon();
        let mut report = self.report();
        report.faulty = self.pipeline.is_hopeless();
        if let Some(checkpoint) = self.checkpoint {
            report.unsaved = checkpoint.save().is_err();
            // The next run would go on there, and end there just so.
            let in_vain = ends_by_itself(&self.config.input)
                && self.pipeline.is_hopeless()
                && self.counters.last_accepted().is_none();
            report.left_is_safe = !report.unsaved && !in_vain && self.config.connection.is_some();
        }
        report
    }

    /// Whether the stages have done what they can.
    fn is_over(&self) -> bool {
        // While input is a pipe the program never exits before that pipe ends.
        if self.is_reading() && self.has_pipe && self.is_patient() {
            return false;
        }
        match self.spool {
            None => self.shipped,
            // In the spool it is safe, and a second signal wants to be quick.
            Some(_) => self.packed && (self.shipped || self.stop.view().phase == Phase::Now),
        }
    }

    fn is_patient(&self) -> bool {
        self.stop.view().phase == Phase::Running
    }

    /// Whether more may come: from a source, or from a command that runs.
    fn is_reading(&self) -> bool {
        self.sources > 0 || self.command.as_ref().is_some_and(|own| !own.is_over())
    }

    /// The first signal asks for an end, the second for one now. As long as a command runs they
    /// are the command's.
    fn signal(&mut self, signal: StopSignal, end: &mut Option<Instant>) {
        let now = Instant::now();
        if let Some(command) = self.command.as_mut().filter(|own| !own.is_over()) {
            command.signal(signal, now);
            return;
        }
        match self.stop.view().phase {
            Phase::Running => {
                self.stop.advance(Phase::Winding);
                // What is typed into a terminal has been read when the line was ended.
                let linger = if self.command.is_some() || io::stdin().is_terminal() {
                    Duration::ZERO
                } else if self.has_pipe {
                    self.config.linger
                } else {
                    // What is there of files may be held up by a full buffer: that is part of the
                    // flush, and counts from now.
                    self.asked = Some(now);
                    let flush = self.config.settings.delivery.patience.flush_timeout;
                    self.config.linger.min(flush)
                };
                for leash in &self.leashes {
                    leash.pull(linger, now + linger);
                }
                if self.sources > 0 {
                    self.linger = Some(now + linger + BREATH);
                }
            }
            // What a pipe still holds back, as a line without its end, is handed in first.
            Phase::Winding if self.sources > 0 && !self.leashes.is_empty() && !self.hasty => {
                self.hasty = true;
                for leash in &self.leashes {
                    leash.pull(Duration::ZERO, now);
                }
                self.linger = Some(now + BREATH);
            }
            Phase::Winding | Phase::Now => self.stop_now(now, end),
        }
    }

    fn stop_now(&mut self, now: Instant, end: &mut Option<Instant>) {
        self.close_command();
        if self.stop.view().phase < Phase::Now {
            *end = Some(now + self.spool.map_or(HASTE, |_| SPOOLING));
        }
        self.stop.advance(Phase::Now);
        self.end_input();
    }

    /// The command has ended: what is left in its pipes is read, and that is all.
    fn command_ended(&mut self, exit: io::Result<Exit>, end: &mut Option<Instant>) {
        let Some(command) = self.command.as_mut() else {
            return;
        };
        let now = Instant::now();
        // What is in a pipe needs a moment to be read, whatever was configured.
        let linger = self.config.linger.max(BREATH);
        match exit {
            Ok(exit) => command.ended(exit, linger, now),
            Err(why) => {
                command.lost(linger, now);
                let (command, why) = (command.name(), why.to_string());
                self.reporter
                    .say(&Message::Unwatched { command, why: &why });
            }
        }
        if command.was_stopped() {
            self.stop.advance(Phase::Winding);
        }
        self.linger = Some(now + BREATH);
        self.end_if_over(end);
    }

    /// The command does not end; we do.
    fn command_left(&mut self, now: Instant, end: &mut Option<Instant>) {
        if let Some(command) = &self.command {
            let command = command.name();
            self.reporter.say(&Message::LeftRunning { command });
        }
        self.stop_now(now, end);
    }

    /// A pipe had its time. That of a command which has ended only starts the clock of the flush:
    /// it ends by itself, however slowly Loki takes what is in it.
    fn linger_over(&mut self, now: Instant) {
        if self.command.is_some() {
            self.stop.end_input(now);
        } else {
            if self.leashes.iter().any(CancelHandle::holds) {
                self.unreadable += 1;
                self.reporter.say(&Message::Unreadable {
                    what: "the last of standard input",
                    why: "whoever reads what is passed on holds it up; it is not shipped",
                });
            }
            self.sources = 0;
            self.end_input();
        }
    }

    fn end_if_over(&mut self, end: &mut Option<Instant>) {
        if !self.is_reading() {
            self.close_command();
            self.end_input();
            if self.is_hurried() {
                *end = Some(Instant::now() + HASTE);
            }
        }
    }

    /// Whether a command was told to end at once, and did.
    fn is_hurried(&self) -> bool {
        self.command
            .as_ref()
            .is_some_and(CommandSupervisor::is_hurried)
    }

    /// Ships the closing entry, behind everything else.
    fn close_command(&mut self) {
        if let Some(command) = &mut self.command {
            command.close(&self.pipeline.intake(), Instant::now());
        }
    }

    fn end_input(&mut self) {
        self.linger = None;
        self.pipeline.close();
        self.stop.end_input(self.asked.unwrap_or_else(Instant::now));
    }

    fn next_deadline(&self, end: Option<Instant>) -> Option<Instant> {
        let command = self.command.as_ref().and_then(CommandSupervisor::due);
        let draw = self.progress.as_ref().map(Progress::due);
        let breaks_off = self.breaks_off().map(|(at, _)| at);
        [self.linger, command, breaks_off, self.over_by(end), draw]
            .into_iter()
            .flatten()
            .min()
    }

    fn ending(&self) -> Option<RunDeadline> {
        RunDeadline::of(&self.config.settings.delivery, self.stop, self.counters)
    }

    /// When requests that began before the end of input are broken off, and which.
    fn breaks_off(&self) -> Option<(Instant, Instant)> {
        self.ending()?.breaks_off
    }

    /// When the program leaves whatever the stages do.
    fn over_by(&self, end: Option<Instant>) -> Option<Instant> {
        let over = self.ending().map(|ending| ending.leave);
        // A dry run waits for whoever reads what it prints, until somebody asks for an end.
        let over = over.filter(|_| self.config.connection.is_some() || !self.is_patient());
        [end, over].into_iter().flatten().min()
    }

    fn report(&self) -> RunSummary {
        let mut counts = self.counters.counts();
        if self.pipeline.is_unread() {
            // Whoever looked at a dry run has seen enough.
            counts.filtered += counts.left();
        }
        RunSummary {
            counts,
            took: self.began.elapsed(),
            command_exit: self.command.as_ref().and_then(CommandSupervisor::status),
            unreadable: self.unreadable + self.spool.map_or(0, Spool::unreadable),
            set_aside: self.spool.map_or(0, Spool::set_aside),
            left_is_safe: false,
            unsaved: false,
            faulty: false,
            drains: self.config.input == Input::Drain,
        }
    }
}
