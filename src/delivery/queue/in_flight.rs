//! In-flight batches: their acknowledgements, which can be revoked when the run ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::delivery::queue::ack::{Ack, WeakAck};

/// The acknowledgements that were handed out. They are watched, not held.
#[derive(Default)]
pub struct InFlightAcks(Mutex<State>);

#[derive(Default)]
struct State {
    acks: Vec<WeakAck>,
    over: bool,
}

impl InFlightAcks {
    /// Notes that an acknowledgement is about to be handed out. Returns false if none may be any more.
    pub fn hand_out(&self, ack: &Ack) -> bool {
        let mut state = self.lock();
        if !state.over {
            state.acks.retain(WeakAck::is_held);
            state.acks.push(ack.downgrade());
        }
        !state.over
    }

    /// The bytes of memory in use for them.
    pub fn memory(&self) -> usize {
        self.lock().acks.iter().map(WeakAck::memory).sum()
    }

    /// Revokes all acknowledgements, and hands none out from now on.
    pub fn revoke_all(&self) {
        let mut state = self.lock();
        state.over = true;
        state.acks.drain(..).for_each(|ack| ack.revoke());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
