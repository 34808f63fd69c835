//! Supervises the command in command mode: passes on signals, and keeps its exit status.

use std::sync::Arc;
use std::time::Instant;

use crate::app::command::exit_entry::send_exit_entry;
use crate::app::run_state::StopRequests;
use crate::app::signals::ReceivedSignal;
use crate::input::command::{ChildProcess, Exit};
use crate::process::entry_sender::EntrySender;
use crate::process::options::EntryOptions;

/// The exit status if it is unknown how the command ended.
const UNKNOWN: u8 = 125;

/// A command that is running or has ended.
pub struct CommandSupervisor {
    name: String,
    /// The process; `None` if it could not be started.
    child: Option<ChildProcess>,
    /// The senders of its stdout and its stderr, for the number of lines.
    senders: [EntrySender; 2],
    /// The options for the exit entry; `None` if it was sent already, or is not wanted.
    exit_options: Option<Arc<EntryOptions>>,
    status: Option<u8>,
    exit: Option<Exit>,
    /// Whether a signal that may end it was passed on.
    was_signalled: bool,
    stop_requests: StopRequests,
}

impl CommandSupervisor {
    /// Supervises a command, or one that could not be started. `senders` are those of its stdout and
    /// stderr.
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

    /// The name of the command.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The exit status, once the command has ended.
    pub fn status(&self) -> Option<u8> {
        self.status
    }

    /// Whether the command is running.
    pub fn is_running(&self) -> bool {
        self.status.is_none()
    }

    /// Passes a signal on to the command, unless the terminal has already sent it there. Returns
    /// whether this was the second signal that requests the end.
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

    /// Records the end of the command. Returns how often the end was requested before.
    pub fn on_exit(&mut self, exit: Exit) -> StopRequests {
        self.status = Some(exit.status);
        self.exit = Some(exit);
        // Many programs do not end on SIGHUP. This command did.
        if exit.by_signal && self.was_signalled {
            self.stop_requests = self.stop_requests.max(StopRequests::One);
        }
        self.stop_requests
    }

    /// Whether the command ended after its end was requested.
    pub fn was_asked_to_end(&self) -> bool {
        self.stop_requests > StopRequests::None
    }

    /// Records that waiting for the command failed.
    pub fn on_wait_failed(&mut self) -> StopRequests {
        self.status = Some(UNKNOWN);
        self.exit_options = None;
        self.stop_requests
    }

    /// Ships the exit entry, once.
    pub fn send_exit_entry(&mut self, sender: &EntrySender, now: Instant) {
        if let (Some(exit), Some(options)) = (self.exit, self.exit_options.take()) {
            let lines = self.senders.each_ref().map(EntrySender::tally);
            send_exit_entry(&options, &self.name, exit, lines, sender, now);
        }
    }
}
