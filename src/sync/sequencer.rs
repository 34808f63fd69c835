//! A turnstile: numbered work that is done on several threads at once leaves in its order.
//!
//! Knows numbers only.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets numbered work, done on several threads at once, leave in the order of its numbers.
#[derive(Default)]
pub struct Sequencer {
    next: Mutex<u64>,
    turned: Condvar,
}

impl Sequencer {
    /// A turnstile that lets number 0 through first.
    pub fn new() -> Self {
        Self::default()
    }

    /// The right to pass as `number`. A ticket that is dropped unused passes too, so that a panic
    /// under way does not hold up the numbers behind it.
    pub fn ticket(&self, number: u64) -> Ticket<'_> {
        Ticket {
            turnstile: self,
            number,
        }
    }
}

/// See [`Sequencer::ticket`].
pub struct Ticket<'a> {
    turnstile: &'a Sequencer,
    number: u64,
}

impl Ticket<'_> {
    /// Waits for the turn of this number, runs `work`, and gives the turn on.
    pub fn pass<R>(self, work: impl FnOnce() -> R) -> R {
        drop(self.wait());
        work()
    }

    fn wait(&self) -> MutexGuard<'_, u64> {
        let next = self
            .turnstile
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.turnstile
            .turned
            .wait_while(next, |next| *next != self.number)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        *self.wait() += 1;
        self.turnstile.turned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn the_turnstile_keeps_the_order_of_numbers() {
        let (turnstile, seen) = (Sequencer::new(), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for number in (0..8).rev() {
                let (turnstile, seen) = (&turnstile, &seen);
                scope.spawn(move || {
                    let ticket = turnstile.ticket(number);
                    if number != 3 {
                        ticket.pass(|| seen.lock().unwrap().push(number));
                    }
                });
            }
        });
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 4, 5, 6, 7]);
    }
}
