//! Queues, budgets and shutdown state shared between threads. All waiting is in this room.

#[cfg(feature = "cli")]
pub mod blocking_write;
pub mod byte_semaphore;
pub mod flush_deadline;
pub mod own_thread;
pub mod queue;
pub mod sequencer;
pub mod shutdown;
