//! The threads that read: what they are given, and what the run loop knows of them.

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
    pub(super) sender: EntrySender,
    pub(super) shutdown: Arc<Shutdown>,
    pub(super) checkpoint: Option<Arc<Checkpoint>>,
    pub(super) reporter: Reporter,
}

/// What is read.
#[derive(Default)]
pub(super) struct RunningSources {
    /// How many threads read.
    pub(super) count: usize,
    /// What they are told the end by.
    pub(super) cancel: Vec<CancelHandle>,
    /// The command that is run.
    pub(super) command: Option<CommandSupervisor>,
}

/// Starts a thread that reads, and tells when it ends, with how many inputs it could not read.
/// Nobody waits for it: it may be held up by what it reads.
pub(super) fn spawn_source(
    name: &'static str,
    tell: impl Fn(Event) + Send + 'static,
    work: impl FnOnce() -> u64 + Send + 'static,
) -> Result<()> {
    spawn(name, move || {
        let unreadable = Cell::new(0);
        let _ended = OnDrop::new(|| {
            // One that panics has not read all: the run must end for it.
            if thread::panicking() {
                tell(Event::ThreadFailed(name));
            }
            tell(Event::SourceEnded(unreadable.get()));
        });
        unreadable.set(work());
    })
}

/// Starts a thread that a run needs.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.into()).spawn(work);
    let thread = thread.with_context(|| format!("cannot start the {name} thread"));
    thread.map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_source_ends_however_its_thread_does() {
        let ended = |work: fn() -> u64| {
            let (tell, told) = mpsc::channel();
            spawn_source("source", move |event| tell.send(event).unwrap(), work).unwrap();
            match told.recv() {
                Ok(Event::SourceEnded(unreadable)) => (unreadable, None),
                Ok(Event::ThreadFailed(name)) => match told.recv() {
                    Ok(Event::SourceEnded(unreadable)) => (unreadable, Some(name)),
                    _ => unreachable!("its end is told"),
                },
                _ => unreachable!("nothing else is told"),
            }
        };
        assert_eq!(ended(|| 0), (0, None));
        assert_eq!(ended(|| 3), (3, None));
        let failed = ended(|| panic!("a line that was not thought of"));
        assert_eq!(failed, (0, Some("source")));
    }
}
