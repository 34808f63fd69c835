//! The threads that read the inputs.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};

use crate::app::command::supervisor::CommandSupervisor;
use crate::app::{Event, NotStarted};
use crate::input::cancel::CancelHandle;
use crate::pipeline::{EntrySender, OnDrop};
use crate::report::messages::Reporter;
use crate::storage::checkpoint::Checkpoint;
use crate::sync::shutdown::Shutdown;

/// Everything that a source needs from the run.
pub(super) struct SourceContext {
    pub(super) sender: EntrySender,
    pub(super) shutdown: Arc<Shutdown>,
    pub(super) checkpoint: Option<Arc<Checkpoint>>,
    pub(super) reporter: Reporter,
}

/// The sources of a run.
#[derive(Default)]
pub(super) struct RunningSources {
    /// Number of threads.
    pub(super) count: usize,
    /// Cancels the sources that wait for input.
    pub(super) cancel: Vec<CancelHandle>,
    /// The command, in command mode.
    pub(super) command: Option<CommandSupervisor>,
}

/// Starts a thread that reads, and reports its end with the number of inputs that it could not read.
/// The thread is never joined, since its input may block for ever.
pub(super) fn spawn_source(
    name: &'static str,
    tell: impl Fn(Event) + Send + 'static,
    work: impl FnOnce() -> u64 + Send + 'static,
) -> Result<()> {
    spawn(name, move || {
        let unreadable = Cell::new(0);
        let _ended = OnDrop::new(|| {
            // A source that panics has not read everything: the run must end.
            if thread::panicking() {
                tell(Event::ThreadFailed(name));
            }
            tell(Event::SourceEnded(unreadable.get()));
        });
        unreadable.set(work());
    })
}

/// Starts a thread.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.into()).spawn(work);
    thread.context(NotStarted::Thread)?;
    Ok(())
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
