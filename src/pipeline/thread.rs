//! The threads of the pipeline, and what is done when one ends, however it ends.

use std::io;
use std::thread;

use crate::sync::own_thread;

/// A thread that the pipeline cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Sorts entries into batches and has them encoded, and stored if there is a spool.
    Batch,
    /// Sends them.
    Send,
}

/// The end of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageEnd {
    /// Which one ended.
    pub stage: Stage,
    /// Whether it panicked: then it has not done all of its work.
    pub failed: bool,
}

impl Stage {
    /// The name of its thread.
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Send => "send",
        }
    }

    /// Starts the stage; `ended` is called when it ends, also by a panic. Nobody waits for its
    /// thread, since a request under way must not hold up the end.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(
        self,
        ended: impl FnOnce(StageEnd) + Send + 'static,
        work: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let thread = move || {
            own_thread::mark();
            let _ended = OnDrop::new(|| {
                ended(StageEnd {
                    stage: self,
                    failed: thread::panicking(),
                });
            });
            work();
        };
        thread::Builder::new()
            .name(self.name().into())
            .spawn(thread)
            .map(drop)
    }
}

/// Does something when it is dropped, whatever drops it.
pub struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    /// To be held until the end.
    pub fn new(action: F) -> Self {
        Self(Some(action))
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(action) = self.0.take() {
            action();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_stage_tells_whether_it_did_its_work() {
        let end = |work: fn()| {
            let (tell, told) = mpsc::channel();
            let ended = move |end| tell.send(end).unwrap();
            Stage::Batch.start(ended, work).unwrap();
            told.recv().unwrap()
        };
        let stage = Stage::Batch;
        let done = StageEnd {
            stage,
            failed: false,
        };
        assert_eq!(end(|| {}), done);
        let failed = StageEnd {
            stage,
            failed: true,
        };
        assert_eq!(end(|| panic!("a batch that was not thought of")), failed);
    }
}
