//! A stage: a thread of the pipeline, and what is done when it ends, however it ends.
//!
//! Knows no work and no data.

use std::thread;

/// A stage that can be through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// All is sealed, and in the spool if there is one.
    Batch,
    /// Nothing more is sent.
    Send,
}

impl Stage {
    /// Starts the stage; `ended` is called when it is through, a panic included. Nobody waits for
    /// its thread, since a request under way must not hold up the end.
    pub fn start(
        self,
        ended: impl FnOnce(Self) + Send + 'static,
        work: impl FnOnce() + Send + 'static,
    ) {
        let name = match self {
            Self::Batch => "batch",
            Self::Send => "ship",
        };
        // A program that cannot have its threads cannot work; it says so and ends.
        thread::Builder::new()
            .name(name.into())
            .spawn(move || {
                let _ended = OnDrop::new(|| ended(self));
                work();
            })
            .expect("starting a thread");
    }
}

/// Does something when it goes, whatever makes it go.
pub struct OnDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnDrop<F> {
    /// To be held until the end.
    pub fn new(done: F) -> Self {
        Self(Some(done))
    }
}

impl<F: FnOnce()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        if let Some(done) = self.0.take() {
            done();
        }
    }
}
