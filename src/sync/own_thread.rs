//! Marks the threads of loki-push itself, so that what they log is not shipped by the client whose
//! work they do.

use std::cell::Cell;

thread_local! {
    static IS_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Marks the current thread as one of loki-push's, for as long as it runs.
pub fn mark() {
    IS_OWN.set(true);
}

/// Returns whether the current thread belongs to a [`Loki`](crate::Loki) client.
///
/// A logger or a subscriber of your own that hands records to a client must skip those logged on
/// such a thread: each request would otherwise log records that ask for another request. The bridges
/// of the features `log` and `tracing` do so themselves.
///
/// ```
/// assert!(!loki_push::is_own_thread());
/// ```
pub fn is_own_thread() -> bool {
    // During the teardown of a thread, loki-push logs nothing on it.
    IS_OWN.try_with(Cell::get).unwrap_or(false)
}
