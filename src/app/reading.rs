//! Reading: what the threads that read are given, and what the one that waits has of them.
//!
//! Knows no input.

use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};

use super::Event;
use crate::attend::Attended;
use crate::checkpoint::Checkpoint;
use crate::note::Note;
use crate::pipeline::Intake;
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

/// Starts a thread that reads, and tells how many of its inputs it could not read. Nobody waits for
/// it: it may be held up by what it reads.
pub(super) fn spawn(
    name: &str,
    tell: impl Fn(Event) + Send + 'static,
    read: impl FnOnce() -> u64 + Send + 'static,
) -> Result<()> {
    let thread = thread::Builder::new().name(name.into()).spawn(move || {
        let mut ended = Ended {
            unreadable: 1,
            tell,
        };
        ended.unreadable = read();
    });
    thread.map(drop).context("cannot start a thread")
}

/// Tells that a source is through, though it panicked.
struct Ended<T: Fn(Event)> {
    unreadable: u64,
    tell: T,
}

impl<T: Fn(Event)> Drop for Ended<T> {
    fn drop(&mut self) {
        (self.tell)(Event::SourceEnded(self.unreadable));
    }
}
