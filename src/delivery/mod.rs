//! Delivering encoded batches: the queue, the sender, retries, and what responses mean.

pub mod backoff;
pub mod completion;
pub mod outcome;
pub mod queue;
pub mod rate_limit;
pub mod rejection;
pub mod sender;
#[cfg(feature = "cli")]
pub mod stdout;
