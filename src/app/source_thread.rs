//! Reading: what the threads that read are given, and what the one that waits has of them.
//!
//! Knows no input.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};

use crate::app::Event;
use crate::app::command::supervisor::CommandSupervisor;
use crate::input::cancel::CancelHandle;
use crate::pipeline::{EntrySender, OnDrop};
use crate::report::messages::Reporter;
use crate::storage::checkpoint::Checkpoint;
use crate::sync::shutdown::Shutdown;

/// What a source is given.
pub(super) struct SourceContext {
    pub(super) intake: EntrySender,
    pub(super) stop: Arc<Shutdown>,
    pub(super) checkpoint: Option<Arc<Checkpoint>>,
    pub(super) reporter: Reporter,
}

/// What is read.
#[derive(Default)]
pub(super) struct RunningSources {
    /// How many threads read.
    pub(super) sources: usize,
    /// What they are told the end by.
    pub(super) leashes: Vec<CancelHandle>,
    /// The command that is run; it has the leashes of its own pipes.
    pub(super) command: Option<CommandSupervisor>,
}

/// Starts a thread that reads, and tells when it is through, with how many inputs it could not read.
/// Nobody waits for it: it may be held up by what it reads.
pub(super) fn spawn(
    name: &str,
    tell: impl Fn(Event) + Send + 'static,
    work: impl FnOnce() -> u64 + Send + 'static,
) -> Result<()> {
    let read = move || {
        // One that panics has said so, and has not read all: the run must end for it.
        let unreadable = Cell::new(1);
        let _ended = OnDrop::new(|| tell(Event::SourceEnded(unreadable.get())));
        unreadable.set(work());
    };
    let thread = thread::Builder::new().name(name.into()).spawn(read);
    thread.map(drop).context("cannot start a thread")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_source_ends_however_its_thread_does() {
        let ended = |work: fn() -> u64| {
            let (tell, told) = mpsc::channel();
            spawn("source", move |event| tell.send(event).unwrap(), work).unwrap();
            match told.recv() {
                Ok(Event::SourceEnded(unreadable)) => unreadable,
                _ => unreachable!("nothing else is told"),
            }
        };
        assert_eq!(ended(|| 0), 0);
        assert_eq!(ended(|| 3), 3);
        assert_eq!(ended(|| panic!("a line that was not thought of")), 1);
    }
}
