//! The state machine of a run and its shutdown.
//!
//! Pure: [`StopRules::next`] receives an event and the time, and returns the next state and the actions,
//! which the run loop in `shutdown` performs.

use std::time::{Duration, Instant};

/// How long a source may take to pass on the lines it holds after it was told to end.
pub(super) const DRAIN_GRACE: Duration = Duration::from_millis(200);

/// How long the stages may take after a second signal to count the entries in memory.
pub(super) const ABORT_GRACE: Duration = Duration::from_millis(500);

/// How long they may take to write the entries to the spool, if there is one.
pub(super) const SPOOL_GRACE: Duration = Duration::from_secs(2);

/// Processes that a command leaves behind are read for at most this many times `--linger`.
const MAX_LINGERS: u32 = 12;

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunState {
    /// Input is read, and batches are sent when they are due.
    Reading,
    /// Input is still read, at most until this time.
    Draining { until: Instant },
    /// The final flush, for which `--flush-timeout` counts from this time.
    Flushing { since: Instant },
    /// The flush was given up: until this time, entries in memory are spooled or counted as left.
    Aborting { until: Instant },
    /// The run has ended.
    Done,
}

/// An event that may change the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunEvent {
    /// A first signal to stop, while no command is running.
    StopRequested,
    /// A second signal to stop.
    StopRequestedAgain,
    /// The command has ended.
    CommandEnded(StopRequests),
    /// The buffer is full, and no process writes to the pipe any more, so no more input can follow.
    WritersGone,
    /// Every source has ended, and so has the command.
    InputEnded,
    /// The deadline of the current state has passed.
    DeadlinePassed,
    /// `--flush-timeout` has passed.
    FlushTimedOut,
    /// The stages have ended, or everything is in the spool.
    PipelineFinished { input_ended: bool },
}

/// The number of signals to stop that a command received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StopRequests {
    None,
    One,
    More,
}

/// An action of the run loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Send what was read without waiting for more.
    SendNow,
    /// Let the sources read until no input has arrived for `quiet`, at most until `until`.
    LimitInput { quiet: Duration, until: Instant },
    /// Stop reading files, and stop waiting for a pipe whose `--tee` output is blocked.
    StopReading,
    /// Start the final flush, and with it `--flush-timeout`.
    StartFlush,
    /// Limit the duration of the final flush, which has not started yet.
    ShortenFlush(Duration),
    /// Close the input, so that the stages end.
    CloseInput,
    /// Tell the stages to stop.
    Abort,
}

/// The properties of a run that its shutdown depends on.
#[derive(Debug, Clone, Copy)]
pub(super) struct StopRules {
    /// Whether a pipe is read: it cannot be read again, so it is read to its end.
    pub(super) reads_pipe: bool,
    /// Whether the pipe is a terminal, whose lines are read as soon as they are typed.
    pub(super) reads_terminal: bool,
    /// Whether batches are kept in a spool.
    pub(super) has_spool: bool,
    /// The value of `--linger`.
    pub(super) linger: Duration,
}

impl RunState {
    /// The deadline of the state, if it has one.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Draining { until } | Self::Aborting { until } => Some(until),
            Self::Reading | Self::Flushing { .. } | Self::Done => None,
        }
    }
}

impl StopRules {
    /// The next state, and the actions of the transition.
    pub(super) fn next(
        &self,
        state: RunState,
        event: RunEvent,
        now: Instant,
    ) -> (RunState, Vec<Action>) {
        use Action::{CloseInput, SendNow, StartFlush, StopReading};
        use RunEvent as On;
        use RunState::{Aborting, Done, Draining, Flushing, Reading};

        let flushing = Flushing { since: now };
        match (state, event) {
            (Reading, On::StopRequested) if self.reads_pipe => {
                let linger = if self.reads_terminal {
                    Duration::ZERO
                } else {
                    self.linger
                };
                Self::drain(linger, now + linger, vec![SendNow])
            }
            // The reading of files may be blocked by a full buffer; that wait is part of the flush.
            (Reading, On::StopRequested) => {
                Self::drain(self.linger, now + self.linger, vec![SendNow, StartFlush])
            }
            (Reading, On::CommandEnded(requests)) => match requests {
                StopRequests::None => {
                    let quiet = self.linger.max(DRAIN_GRACE);
                    Self::drain(quiet, now + quiet * MAX_LINGERS, Vec::new())
                }
                // The processes it left behind received the signal too.
                StopRequests::One => {
                    let most = self.linger.max(DRAIN_GRACE);
                    Self::drain(DRAIN_GRACE, now + most, vec![SendNow])
                }
                StopRequests::More => {
                    let short = Action::ShortenFlush(ABORT_GRACE);
                    Self::drain(Duration::ZERO, now, vec![SendNow, short])
                }
            },
            // A signal ends the wait for processes that the command left behind.
            (Draining { .. }, On::StopRequested) => Self::drain(Duration::ZERO, now, vec![SendNow]),
            (Flushing { .. }, On::StopRequested) => {
                (state, vec![SendNow, Self::end_input_now(now)])
            }
            (Reading | Draining { .. } | Flushing { .. }, On::StopRequestedAgain) => {
                self.abort(now, vec![Self::end_input_now(now)])
            }
            (Reading | Draining { .. }, On::WritersGone) => (flushing, vec![StartFlush]),
            (Reading | Draining { .. }, On::InputEnded) => (flushing, vec![CloseInput, StartFlush]),
            (Flushing { .. } | Aborting { .. }, On::InputEnded) => (state, vec![CloseInput]),
            (Draining { .. }, On::DeadlinePassed) => (flushing, vec![StopReading, StartFlush]),
            // Entries that are not in the spool yet are written there.
            (Draining { .. } | Flushing { .. }, On::FlushTimedOut) if self.has_spool => {
                self.abort(now, Vec::new())
            }
            (Draining { .. } | Flushing { .. }, On::FlushTimedOut)
            | (Aborting { .. }, On::DeadlinePassed) => (Done, Vec::new()),
            (Reading, On::PipelineFinished { .. }) if !self.reads_pipe => (Done, Vec::new()),
            (Flushing { .. } | Aborting { .. }, On::PipelineFinished { input_ended: true }) => {
                (Done, Vec::new())
            }
            _ => (state, Vec::new()),
        }
    }

    fn drain(quiet: Duration, until: Instant, mut actions: Vec<Action>) -> (RunState, Vec<Action>) {
        actions.push(Action::LimitInput { quiet, until });
        let until = until + DRAIN_GRACE;
        (RunState::Draining { until }, actions)
    }

    fn abort(&self, now: Instant, mut actions: Vec<Action>) -> (RunState, Vec<Action>) {
        actions.push(Action::Abort);
        let grace = if self.has_spool {
            SPOOL_GRACE
        } else {
            ABORT_GRACE
        };
        (RunState::Aborting { until: now + grace }, actions)
    }

    fn end_input_now(now: Instant) -> Action {
        Action::LimitInput {
            quiet: Duration::ZERO,
            until: now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_secs(5);

    const PIPE: StopRules = StopRules {
        reads_pipe: true,
        reads_terminal: false,
        has_spool: false,
        linger: LINGER,
    };
    const FILES: StopRules = StopRules {
        reads_pipe: false,
        ..PIPE
    };
    const SPOOLED: StopRules = StopRules {
        has_spool: true,
        ..PIPE
    };

    /// Every event, in the order of the columns of the tables below.
    const EVENTS: [RunEvent; 11] = [
        RunEvent::StopRequested,
        RunEvent::StopRequestedAgain,
        RunEvent::CommandEnded(StopRequests::None),
        RunEvent::CommandEnded(StopRequests::One),
        RunEvent::CommandEnded(StopRequests::More),
        RunEvent::WritersGone,
        RunEvent::InputEnded,
        RunEvent::DeadlinePassed,
        RunEvent::FlushTimedOut,
        RunEvent::PipelineFinished { input_ended: false },
        RunEvent::PipelineFinished { input_ended: true },
    ];

    /// One transition as text: the state with its time in milliseconds from now, and the actions.
    fn shown(rules: StopRules, state: RunState, event: RunEvent, now: Instant) -> String {
        let ms = |time: Instant| time.saturating_duration_since(now).as_millis();
        let (next, actions) = rules.next(state, event, now);
        let mut text = if next == state {
            "same".to_owned()
        } else {
            match next {
                RunState::Reading => "reading".into(),
                RunState::Draining { until } => format!("draining {}", ms(until)),
                RunState::Flushing { since } => format!("flushing {}", ms(since)),
                RunState::Aborting { until } => format!("aborting {}", ms(until)),
                RunState::Done => "done".into(),
            }
        };
        for action in actions {
            text += match action {
                Action::SendNow => " send".into(),
                Action::LimitInput { quiet, until } => {
                    format!(" limit {} {}", quiet.as_millis(), ms(until))
                }
                Action::StopReading => " stop".into(),
                Action::StartFlush => " flush".into(),
                Action::ShortenFlush(time) => format!(" shorten {}", time.as_millis()),
                Action::CloseInput => " close".into(),
                Action::Abort => " abort".to_owned(),
            }
            .as_str();
        }
        text
    }

    #[track_caller]
    fn assert_row(rules: StopRules, state: impl Fn(Instant) -> RunState, expected: [&str; 11]) {
        let now = Instant::now();
        for (event, expected) in EVENTS.into_iter().zip(expected) {
            let state = state(now);
            let found = shown(rules, state, event, now);
            assert_eq!(found, expected, "{state:?} on {event:?}");
        }
    }

    #[test]
    fn a_pipe_that_is_read() {
        assert_row(
            PIPE,
            |_| RunState::Reading,
            [
                "draining 5200 send limit 5000 5000",
                "aborting 500 limit 0 0 abort",
                "draining 60200 limit 5000 60000",
                "draining 5200 send limit 200 5000",
                "draining 200 send shorten 500 limit 0 0",
                "flushing 0 flush",
                "flushing 0 close flush",
                "same",
                "same",
                // Whatever became of the stages, it is read to its end.
                "same",
                "same",
            ],
        );
    }

    #[test]
    fn files_that_are_read() {
        assert_row(
            FILES,
            |_| RunState::Reading,
            [
                "draining 5200 send flush limit 5000 5000",
                "aborting 500 limit 0 0 abort",
                "draining 60200 limit 5000 60000",
                "draining 5200 send limit 200 5000",
                "draining 200 send shorten 500 limit 0 0",
                "flushing 0 flush",
                "flushing 0 close flush",
                "same",
                "same",
                "done",
                "done",
            ],
        );
    }

    #[test]
    fn a_pipe_that_is_drained() {
        let later = |now| RunState::Draining {
            until: now + LINGER,
        };
        assert_row(
            PIPE,
            later,
            [
                "draining 200 send limit 0 0",
                "aborting 500 limit 0 0 abort",
                "same",
                "same",
                "same",
                "flushing 0 flush",
                "flushing 0 close flush",
                "flushing 0 stop flush",
                "done",
                "same",
                "same",
            ],
        );
    }

    #[test]
    fn what_was_read_is_flushed() {
        let earlier = |now: Instant| RunState::Flushing {
            since: now.checked_sub(LINGER).unwrap(),
        };
        let row = [
            "same send limit 0 0",
            "aborting 500 limit 0 0 abort",
            "same",
            "same",
            "same",
            "same",
            "same close",
            "same",
            "done",
            "same",
            "done",
        ];
        assert_row(PIPE, earlier, row);
        assert_row(FILES, earlier, row);
        let mut spooled = row;
        spooled[1] = "aborting 2000 limit 0 0 abort";
        spooled[8] = "aborting 2000 abort";
        assert_row(SPOOLED, earlier, spooled);
    }

    #[test]
    fn the_flush_is_given_up() {
        let later = |now| RunState::Aborting {
            until: now + ABORT_GRACE,
        };
        let mut row = ["same"; 11];
        row[6] = "same close";
        row[7] = "done";
        row[10] = "done";
        for rules in [PIPE, FILES, SPOOLED] {
            assert_row(rules, later, row);
        }
    }

    #[test]
    fn what_is_done_stays_done() {
        for rules in [PIPE, FILES, SPOOLED] {
            assert_row(rules, |_| RunState::Done, ["same"; 11]);
        }
    }

    #[test]
    fn zero_linger_still_reads_what_the_pipe_holds() {
        let now = Instant::now();
        let terminal = StopRules {
            reads_terminal: true,
            ..PIPE
        };
        let found = shown(terminal, RunState::Reading, RunEvent::StopRequested, now);
        assert_eq!(found, "draining 200 send limit 0 0");
        let hasty = StopRules {
            linger: Duration::ZERO,
            ..PIPE
        };
        let ended = RunEvent::CommandEnded(StopRequests::None);
        let found = shown(hasty, RunState::Reading, ended, now);
        assert_eq!(found, "draining 2600 limit 200 2400");
    }

    #[test]
    fn only_two_states_end_by_themselves() {
        let now = Instant::now();
        let (since, until) = (now, now);
        for (state, deadline) in [
            (RunState::Reading, None),
            (RunState::Draining { until }, Some(now)),
            (RunState::Flushing { since }, None),
            (RunState::Aborting { until }, Some(now)),
            (RunState::Done, None),
        ] {
            assert_eq!(state.deadline(), deadline);
        }
    }
}
