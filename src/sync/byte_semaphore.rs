//! A semaphore that counts bytes: a memory budget for things that are not all in one queue.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// A budget of bytes; clones share it.
#[derive(Clone)]
pub struct ByteSemaphore {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    freed: Condvar,
}

struct State {
    used: usize,
    capacity: usize,
    /// The smallest amount that a waiter asks for; `usize::MAX` once the waiters have been woken.
    wanted: usize,
    closed: bool,
}

impl State {
    fn has(&self, bytes: usize) -> bool {
        self.used == 0 || self.used.saturating_add(bytes) <= self.capacity
    }
}

/// The result of asking for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquire {
    /// The bytes are taken until [`ByteSemaphore::release`].
    Acquired,
    /// There is no room.
    Full,
    /// There is no room, and the semaphore is closed: none will be freed.
    Closed,
}

impl ByteSemaphore {
    /// A budget of this many bytes. While nothing is in use, one request of any size succeeds.
    pub fn new(capacity: usize) -> Self {
        let state = State {
            used: 0,
            capacity,
            wanted: usize::MAX,
            closed: false,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                freed: Condvar::new(),
            }),
        }
    }

    /// Takes bytes, waiting for them for as long as `patient` returns true. It is called again after
    /// each [`ByteSemaphore::wake_all`].
    pub fn acquire_while(&self, bytes: usize, patient: impl Fn() -> bool) -> Acquire {
        let mut state = self.lock();
        loop {
            if state.has(bytes) {
                state.used += bytes;
                return Acquire::Acquired;
            }
            if state.closed {
                return Acquire::Closed;
            }
            if !patient() {
                return Acquire::Full;
            }
            state.wanted = state.wanted.min(bytes);
            state = self
                .shared
                .freed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes bytes if they are free.
    pub fn try_acquire(&self, bytes: usize) -> bool {
        self.acquire_while(bytes, || false) == Acquire::Acquired
    }

    /// Takes bytes even if that exceeds the budget, for data that is in memory already.
    pub fn force_acquire(&self, bytes: usize) {
        self.lock().used += bytes;
    }

    /// How many bytes are in use.
    pub fn used(&self) -> usize {
        self.lock().used
    }

    /// Whether nothing is in use.
    pub fn is_empty(&self) -> bool {
        self.lock().used == 0
    }

    /// Returns bytes. Waiters are woken once there is enough for one of them.
    pub fn release(&self, bytes: usize) {
        let mut state = self.lock();
        state.used = state.used.saturating_sub(bytes);
        if state.has(state.wanted) {
            state.wanted = usize::MAX;
            self.shared.freed.notify_all();
        }
    }

    /// Changes the budget.
    pub fn resize(&self, capacity: usize) {
        self.lock().capacity = capacity;
        self.shared.freed.notify_all();
    }

    /// Wakes all waiters so that they check their conditions again.
    pub fn wake_all(&self) {
        // Under the lock, so that no waiter is between its check and its wait.
        let _state = self.lock();
        self.shared.freed.notify_all();
    }

    /// Closes the semaphore: no more bytes will be freed, so nobody waits for them.
    pub fn close(&self) {
        self.lock().closed = true;
        self.shared.freed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn room_is_bounded_but_one_thing_always_fits() {
        let room = ByteSemaphore::new(10);
        assert!(room.try_acquire(25) && !room.try_acquire(1));
        room.release(25);
        assert!(room.try_acquire(4) && room.try_acquire(6) && !room.try_acquire(1));
        room.resize(11);
        assert!(room.try_acquire(1));
        room.close();
        assert_eq!(room.acquire_while(1, || true), Acquire::Closed);
    }

    #[test]
    fn who_waits_is_freed_by_room_by_a_change_of_mind_and_by_the_end() {
        let room = ByteSemaphore::new(1);
        let patient = AtomicBool::new(true);
        let wait = || {
            let patient = &patient;
            room.acquire_while(1, || patient.load(Ordering::SeqCst))
        };
        std::thread::scope(|scope| {
            assert!(room.try_acquire(1));
            let waiting = scope.spawn(wait);
            room.release(1);
            assert_eq!(waiting.join().unwrap(), Acquire::Acquired);
            let waiting = scope.spawn(wait);
            patient.store(false, Ordering::SeqCst);
            room.wake_all();
            assert_eq!(waiting.join().unwrap(), Acquire::Full);
            patient.store(true, Ordering::SeqCst);
            let waiting = scope.spawn(wait);
            room.close();
            assert_eq!(waiting.join().unwrap(), Acquire::Closed);
        });
    }

    #[test]
    fn each_who_waits_is_woken_once_there_is_enough_for_it() {
        let room = ByteSemaphore::new(10);
        for _ in 0..200 {
            assert!(room.try_acquire(10));
            std::thread::scope(|scope| {
                let large = scope.spawn(|| room.acquire_while(7, || true));
                let small = scope.spawn(|| room.acquire_while(2, || true));
                // Not enough for either, then for the small one, then for both.
                [1, 1, 7].into_iter().for_each(|freed| room.release(freed));
                assert_eq!(small.join().unwrap(), Acquire::Acquired);
                room.release(1);
                assert_eq!(large.join().unwrap(), Acquire::Acquired);
            });
            room.release(9);
            assert!(room.is_empty());
        }
    }
}
