//! The threads of the pipeline, and the report of their end.

use std::io;
use std::thread;

use crate::sync::own_thread;

/// A stage of the pipeline, with a thread that it requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Groups entries into batches, encodes them, and stores them if there is a spool.
    Batch,
    /// Sends batches.
    Send,
}

/// The event that a stage has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageEnd {
    /// The stage.
    pub stage: Stage,
    /// Whether it panicked, so that its work is not complete.
    pub failed: bool,
}

impl Stage {
    /// The name of the thread.
    pub fn name(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Send => "send",
        }
    }

    /// Starts the stage; `ended` is called when it ends, even by a panic. The thread is never joined,
    /// since a request in flight must not delay the exit.
    ///
    /// # Errors
    /// If the thread cannot be started.
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

/// Calls a function when it is dropped, even by a panic.
pub struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    /// Creates the guard. The function is called when it goes out of scope.
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
