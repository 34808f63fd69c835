//! Delivering encoded batches: the queue, the sender, retries, and what responses mean.

pub mod backoff;
pub mod completion;
#[cfg(feature = "cli")]
pub mod dry;
pub mod outcome;
pub mod queue;
pub mod rate_limit;
pub mod rejection;
pub mod sender;
#[cfg(feature = "cli")]
pub mod stdout;
