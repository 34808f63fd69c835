//! Reading: what the threads that read are given, and what the one that waits has of them.
//!
//! Knows no input.

use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};

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

/// Starts a thread that reads. Nobody waits for it: it may be held up by what it reads.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let thread = thread::Builder::new().name(name.into()).spawn(work);
    thread.map(drop).context("cannot start a thread")
}
