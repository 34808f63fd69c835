//! Reading: what the threads that read are given, and what the one that waits has of them.
//!
//! Knows no input.

use std::cell::Cell;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};

use super::Event;
use crate::attend::Attended;
use crate::checkpoint::Checkpoint;
use crate::note::Note;
use crate::pipeline::{AtEnd, Intake};
use crate::source::leash::Leash;
use crate::stop::Stop;

/// What a source is given.
pub(super) struct Run {
    pub(super) intake: Intake,
    pub(super) stop: Arc<Stop>,
    pub(super) checkpoint: Option<Arc<Checkpoint>>,
    pub(super) note: Note,
}

/// What is read.
#[derive(Default)]
pub(super) struct Opened {
    /// How many threads read.
    pub(super) sources: usize,
    /// What they are told the end by.
    pub(super) leashes: Vec<Leash>,
    /// The command that is run; it has the leashes of its own pipes.
    pub(super) command: Option<Attended>,
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
        let _ended = AtEnd::new(|| tell(Event::SourceEnded(unreadable.get())));
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
