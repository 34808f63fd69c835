//! What is under way: tickets in the hands of whoever ships, which may be taken back.
//!
//! Looks at tickets without holding them. Knows nothing of what waits.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::delivery::queue::ack::{Ack, WeakAck};

/// Tickets that were handed out.
#[derive(Default)]
pub struct InFlightAcks(Mutex<State>);

#[derive(Default)]
struct State {
    stubs: Vec<WeakAck>,
    over: bool,
}

impl InFlightAcks {
    /// Notes that a ticket is about to be handed out. False if none may be any more.
    pub fn hand_out(&self, ticket: &Ack) -> bool {
        let mut state = self.lock();
        if !state.over {
            state.stubs.retain(WeakAck::is_held);
            state.stubs.push(ticket.downgrade());
        }
        !state.over
    }

    /// Bytes of memory that is in use for what is under way.
    pub fn memory(&self) -> usize {
        self.lock().stubs.iter().map(WeakAck::memory).sum()
    }

    /// Takes all tickets back, and hands none out from now on.
    pub fn revoke_all(&self) {
        let mut state = self.lock();
        state.over = true;
        state.stubs.drain(..).for_each(|ack| ack.revoke());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
