//! What happens at random in the kill tests: faults of Loki, and moments.

use std::sync::mpsc;
use std::time::Duration;

use super::{Fault, Random};

impl Random {
    /// What Loki does to a request; mostly it takes it, or takes it and does not say so.
    pub fn fault(&mut self) -> Fault {
        match self.below(8) {
            0 => Fault::LostAnswer,
            1 => Fault::Reset,
            2 => Fault::ResetMidBody,
            3 => Fault::Status(503),
            4 => Fault::store_then(500),
            _ => Fault::Pass,
        }
    }

    /// Lets a random time go by, so that a kill hits any moment: there is nothing to wait for.
    pub fn moment(&mut self) {
        let (_sender, never) = mpsc::channel::<()>();
        let most = self.below(60_000) as u64;
        let _ = never.recv_timeout(Duration::from_micros(most));
    }
}
