//! Randomness for tests that try many ways: numbers, faults of Loki, and moments.

use std::sync::mpsc;
use std::time::Duration;

use super::Fault;

/// Steele and Vigna's SplitMix64: one seed, one sequence.
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

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
