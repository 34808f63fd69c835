//! What a run does about the command that it runs: which signals are passed on, and what is known
//! of its end. Decides, but does not wait.

use std::sync::Arc;
use std::time::Instant;

use crate::app::command::exit_entry::send_exit_entry;
use crate::app::run_state::StopRequests;
use crate::app::signals::ReceivedSignal;
use crate::input::command::{ChildProcess, Exit};
use crate::process::entry_sender::EntrySender;
use crate::process::options::EntryOptions;

/// The exit status when it cannot be told how the command ended.
const UNKNOWN: u8 = 125;

/// A command under way, or ended.
pub struct CommandSupervisor {
    name: String,
    /// None if it could not be started.
    child: Option<ChildProcess>,
    /// The senders of its stdout and its stderr, for the number of lines.
    senders: [EntrySender; 2],
    /// How the exit entry is made; None if none is shipped, or it was.
    exit_options: Option<Arc<EntryOptions>>,
    status: Option<u8>,
    exit: Option<Exit>,
    /// Whether a signal came that may end it.
    was_signalled: bool,
    stop_requests: StopRequests,
}

impl CommandSupervisor {
    /// A command that was started, or not. `senders` are those of its stdout and its stderr.
    pub fn new(
        name: String,
        child: Option<ChildProcess>,
        senders: [EntrySender; 2],
        exit_options: Option<Arc<EntryOptions>>,
    ) -> Self {
        Self {
            name,
            child,
            senders,
            exit_options,
            status: None,
            exit: None,
            was_signalled: false,
            stop_requests: StopRequests::None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its exit status, once it has ended.
    pub fn status(&self) -> Option<u8> {
        self.status
    }

    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.status.is_none()
    }

    /// A signal came while it runs: it is the command's, unless the terminal has already sent it
    /// there. Returns whether this was the second one that asks for an end.
    pub fn on_signal(&mut self, signal: ReceivedSignal) -> bool {
        if let Some(child) = &self.child
            && !(signal.is_from_terminal && child.shares_terminal())
        {
            child.forward_signal(signal.number);
        }
        self.was_signalled |= signal.asks_for_end();
        if !signal.asks_command_to_end() {
            return false;
        }
        self.stop_requests = match self.stop_requests {
            StopRequests::None => StopRequests::One,
            StopRequests::One | StopRequests::More => StopRequests::More,
        };
        self.stop_requests == StopRequests::More
    }

    /// It has ended. Returns how often it was asked to.
    pub fn on_exit(&mut self, exit: Exit) -> StopRequests {
        self.status = Some(exit.status);
        self.exit = Some(exit);
        // A SIGHUP means something else to many; one that ended the command did not.
        if exit.by_signal && self.was_signalled {
            self.stop_requests = self.stop_requests.max(StopRequests::One);
        }
        self.stop_requests
    }

    /// Whether it ended after it had been asked to.
    pub fn was_asked_to_end(&self) -> bool {
        self.stop_requests > StopRequests::None
    }

    /// It has ended, or not: nobody knows how.
    pub fn on_wait_failed(&mut self) -> StopRequests {
        self.status = Some(UNKNOWN);
        self.exit_options = None;
        self.stop_requests
    }

    /// Hands the exit entry in, once.
    pub fn send_exit_entry(&mut self, sender: &EntrySender, now: Instant) {
        if let (Some(exit), Some(options)) = (self.exit, self.exit_options.take()) {
            let lines = self.senders.each_ref().map(EntrySender::tally);
            send_exit_entry(&options, &self.name, exit, lines, sender, now);
        }
    }
}
