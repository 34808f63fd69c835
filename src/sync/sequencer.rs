//! Restores the order of numbered work that is done on several threads at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Hands on numbered work, done on several threads at once, in the order of its numbers.
#[derive(Default)]
pub struct Sequencer {
    next: Mutex<u64>,
    turned: Condvar,
}

impl Sequencer {
    /// A sequencer whose first number is 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// A turn for the turn of `number`. Dropping it unused also uses up the turn, so that a panic does
    /// not block the numbers after it.
    pub fn turn(&self, number: u64) -> Turn<'_> {
        Turn {
            sequencer: self,
            number,
        }
    }
}

/// See [`Sequencer::turn`].
pub struct Turn<'a> {
    sequencer: &'a Sequencer,
    number: u64,
}

impl Turn<'_> {
    /// Waits for the turn of this number, runs `work`, and passes the turn on.
    pub fn run<R>(self, work: impl FnOnce() -> R) -> R {
        drop(self.wait());
        work()
    }

    fn wait(&self) -> MutexGuard<'_, u64> {
        let next = self
            .sequencer
            .next
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.sequencer
            .turned
            .wait_while(next, |next| *next != self.number)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.wait() += 1;
        self.sequencer.turned.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn the_sequencer_keeps_the_order_of_numbers() {
        let (sequencer, seen) = (Sequencer::new(), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for number in (0..8).rev() {
                let (sequencer, seen) = (&sequencer, &seen);
                scope.spawn(move || {
                    let turn = sequencer.turn(number);
                    if number != 3 {
                        turn.run(|| seen.lock().unwrap().push(number));
                    }
                });
            }
        });
        assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 4, 5, 6, 7]);
    }
}
