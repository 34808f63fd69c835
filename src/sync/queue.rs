//! A first-in, first-out queue bounded in bytes, which hands work from one stage to the next.
//!
//! Back-pressure is a blocking push, end of input is a closed queue, and once the reader is gone every
//! push fails at once.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Both ends of a queue; clones share it.
pub struct ByteQueue<T> {
    shared: Arc<Shared<T>>,
}

/// Returns how many bytes of a shared capacity something else uses.
type UsedElsewhere = Box<dyn Fn() -> usize + Send + Sync>;

struct Shared<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    drained: Condvar,
    capacity: usize,
    /// Bytes of the capacity that are in use elsewhere.
    used_elsewhere: Option<UsedElsewhere>,
}

struct State<T> {
    items: VecDeque<(T, usize)>,
    used: usize,
    readers_waiting: usize,
    /// Those of them that sleep until their deadline, or until enough has been queued for them.
    readers_dozing: usize,
    /// The total cost that counts as enough; `usize::MAX` once they have been woken for it.
    enough: usize,
    writers_waiting: usize,
    woken: bool,
    closed: bool,
    abandoned: bool,
}

/// The result of a pop.
#[derive(Debug, PartialEq, Eq)]
pub enum Pop<T> {
    /// The oldest item.
    Item(T),
    /// The deadline passed.
    TimedOut,
    /// Someone called [`ByteQueue::wake_all`].
    Woken,
    /// The queue is closed and empty.
    Ended,
}

/// Why an item was not queued; it carries the item.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied<T> {
    /// There is no room.
    Full(T),
    /// The queue is closed, or its reader is gone.
    Gone(T),
}

impl<T> Denied<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Gone(item) => item,
        }
    }
}

impl<T> Shared<T> {
    /// The number of bytes the queue may hold now; `wanted` is what it would hold next.
    fn limit(&self, wanted: usize) -> usize {
        let own = self.capacity / 4;
        match &self.used_elsewhere {
            // A quarter of the capacity is reserved for the queue.
            Some(used_elsewhere) if wanted > own => {
                own.max(self.capacity.saturating_sub(used_elsewhere()))
            }
            _ => self.capacity,
        }
    }
}

impl<T> Clone for ByteQueue<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> ByteQueue<T> {
    /// A queue whose items may cost at most `capacity` together. An empty queue accepts one item of any
    /// cost.
    pub fn new(capacity: usize) -> Self {
        Self::with(capacity, None)
    }

    /// A queue that shares its capacity with something else: `used_elsewhere` returns how much of it
    /// that uses. A quarter is always the queue's own.
    pub fn sharing(
        capacity: usize,
        used_elsewhere: impl Fn() -> usize + Send + Sync + 'static,
    ) -> Self {
        Self::with(capacity, Some(Box::new(used_elsewhere)))
    }

    fn with(capacity: usize, used_elsewhere: Option<UsedElsewhere>) -> Self {
        let state = State {
            items: VecDeque::new(),
            used: 0,
            readers_waiting: 0,
            readers_dozing: 0,
            enough: usize::MAX,
            writers_waiting: 0,
            woken: false,
            closed: false,
            abandoned: false,
        };
        let (filled, drained) = (Condvar::new(), Condvar::new());
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                filled,
                drained,
                capacity,
                used_elsewhere,
            }),
        }
    }

    /// Adds an item, waiting for room if necessary.
    ///
    /// # Errors
    /// Returns the item if the queue is closed or its reader is gone.
    pub fn push(&self, item: T, cost: usize) -> Result<(), T> {
        self.push_while(item, cost, || true)
            .map_err(Denied::into_inner)
    }

    /// Adds an item at once, whether or not there is room for it.
    ///
    /// # Errors
    /// Returns the item if the queue is closed or its reader is gone.
    #[cfg(feature = "cli")]
    pub fn push_over(&self, item: T, cost: usize) -> Result<(), T> {
        let mut state = self.lock();
        if state.closed || state.abandoned {
            return Err(item);
        }
        self.put(&mut state, item, cost);
        Ok(())
    }

    /// Adds an item, waiting for room for as long as `patient` returns true. It is called again after
    /// each [`ByteQueue::wake_all`].
    ///
    /// # Errors
    /// Returns the item.
    pub fn push_while(
        &self,
        item: T,
        cost: usize,
        patient: impl Fn() -> bool,
    ) -> Result<(), Denied<T>> {
        self.push_polling(item, cost, None, patient)
    }

    /// Like [`ByteQueue::push_while`], but also calls `patient` at every interval of `glance`. It runs
    /// under the queue's lock.
    ///
    /// # Errors
    /// Returns the item.
    pub fn push_polling(
        &self,
        item: T,
        cost: usize,
        glance: Option<Duration>,
        patient: impl Fn() -> bool,
    ) -> Result<(), Denied<T>> {
        match self.room(cost, glance, patient) {
            Ok(mut state) => {
                self.put(&mut state, item, cost);
                Ok(())
            }
            Err(Denied::Full(())) => Err(Denied::Full(item)),
            Err(Denied::Gone(())) => Err(Denied::Gone(item)),
        }
    }

    /// Extends the newest queued item or appends a new one, waiting for room like
    /// [`ByteQueue::push_while`]. `add` is given the newest item, and returns a new one if it did not
    /// extend it. It runs under the queue's lock, so additions are ordered.
    ///
    /// # Errors
    /// If there was no room, or the reader is gone; then `add` was not called.
    pub fn push_or_merge(
        &self,
        cost: usize,
        patient: impl Fn() -> bool,
        add: impl FnOnce(Option<&mut T>) -> Option<T>,
    ) -> Result<(), Denied<()>> {
        let mut state = self.room(cost, None, patient)?;
        match add(state.items.back_mut().map(|(item, _)| item)) {
            Some(item) => self.put(&mut state, item, cost),
            None => {
                if let Some((_, newest)) = state.items.back_mut() {
                    *newest += cost;
                }
                state.used += cost;
                self.wake(&mut state, false);
            }
        }
        Ok(())
    }

    /// Whether the queue is not full, or its reader is gone.
    #[cfg(feature = "cli")]
    pub fn has_room(&self) -> bool {
        let state = self.lock();
        state.used < self.shared.capacity || state.closed || state.abandoned
    }

    /// Waits until [`ByteQueue::has_room`] or `until`.
    #[cfg(feature = "cli")]
    pub fn wait_for_room(&self, until: Instant) {
        let mut state = self.lock();
        while state.used >= self.shared.capacity && !state.closed && !state.abandoned {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if state.readers_dozing > 0 {
                self.shared.filled.notify_all();
            }
            state.writers_waiting += 1;
            state = wait(&self.shared.drained, state, Some(left));
            state.writers_waiting -= 1;
        }
        if state.closed {
            self.shared.filled.notify_all();
        }
    }

    /// Waits until there is room for `cost`, and returns the locked state.
    fn room(
        &self,
        cost: usize,
        glance: Option<Duration>,
        patient: impl Fn() -> bool,
    ) -> Result<MutexGuard<'_, State<T>>, Denied<()>> {
        let mut state = self.lock();
        let mut waited = false;
        loop {
            if state.abandoned || state.closed && !waited {
                return Err(Denied::Gone(()));
            }
            // A writer that was waiting when the queue was closed came before the close.
            if state.closed
                || state.used == 0
                || state.used + cost <= self.shared.limit(state.used + cost)
            {
                return Ok(state);
            }
            if state.readers_dozing > 0 {
                self.shared.filled.notify_all();
            }
            if !patient() {
                return Err(Denied::Full(()));
            }
            waited = true;
            state.writers_waiting += 1;
            state = wait(&self.shared.drained, state, glance);
            state.writers_waiting -= 1;
            if state.closed {
                // The reader must not end before the last waiting writer has pushed or given up.
                self.shared.filled.notify_all();
            }
        }
    }

    fn put(&self, state: &mut State<T>, item: T, cost: usize) {
        state.used += cost;
        state.items.push_back((item, cost));
        self.wake(state, true);
    }

    /// Wakes a reader after an addition: at once for a new item if one waits for any item, and when the
    /// total reaches `enough` if one waits for that.
    fn wake(&self, state: &mut State<T>, is_item: bool) {
        let is_enough = state.readers_dozing > 0 && state.used >= state.enough;
        if is_enough {
            state.enough = usize::MAX;
        }
        if is_enough || is_item && state.readers_waiting > state.readers_dozing {
            self.shared.filled.notify_one();
        }
    }

    /// Removes the oldest item and frees its room, waiting until `until`, or without limit for None.
    pub fn pop(&self, until: Option<Instant>) -> Pop<T> {
        self.pop_batched(until, 0)
    }

    /// Removes the oldest item and frees its room. On an empty queue it sleeps until `until` even if
    /// items arrive, unless they cost `enough` together or a writer waits for room, so that a reader of
    /// many small items is woken once for all of them. Without `until` the first item wakes it.
    pub fn pop_batched(&self, until: Option<Instant>, enough: usize) -> Pop<T> {
        let mut state = self.lock();
        loop {
            if let Some((item, cost)) = state.items.pop_front() {
                state.used = state.used.saturating_sub(cost);
                if state.writers_waiting > 0 {
                    self.shared.drained.notify_all();
                }
                return Pop::Item(item);
            }
            if state.closed && state.writers_waiting == 0 {
                return Pop::Ended;
            }
            if std::mem::take(&mut state.woken) {
                return Pop::Woken;
            }
            let patience = match until.map(|end| end.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return Pop::TimedOut,
                patience => patience,
            };
            state.readers_waiting += 1;
            let dozes = usize::from(enough > 0 && patience.is_some());
            state.readers_dozing += dozes;
            state.enough = enough;
            state = wait(&self.shared.filled, state, patience);
            state.readers_dozing -= dozes;
            state.readers_waiting -= 1;
        }
    }

    /// Removes the oldest item for which `may_go` returns true, and frees its room.
    pub fn take_first(&self, may_go: impl Fn(&T) -> bool) -> Option<T> {
        let mut state = self.lock();
        let at = state.items.iter().position(|(item, _)| may_go(item))?;
        let (item, freed) = state.items.remove(at)?;
        state.used = state.used.saturating_sub(freed);
        Some(item)
    }

    /// Runs `change` on every queued item.
    pub fn each(&self, mut change: impl FnMut(&mut T)) {
        for (item, _) in &mut self.lock().items {
            change(item);
        }
    }

    /// Wakes all waiters so that they check their conditions again. A busy reader notices at its next
    /// wait.
    pub fn wake_all(&self) {
        self.lock().woken = true;
        self.shared.filled.notify_all();
        self.shared.drained.notify_all();
    }

    /// Closes the queue to new items. Items inside, and those of writers already waiting, can still be
    /// popped.
    pub fn close(&self) {
        self.lock().closed = true;
        self.shared.filled.notify_all();
        self.shared.drained.notify_all();
    }

    /// Closes the queue for good because its reader is gone, and returns the items left inside. All
    /// pushes fail from now on.
    pub fn close_and_drain(&self) -> Vec<T> {
        let mut state = self.lock();
        state.abandoned = true;
        state.used = 0;
        let items = state.items.drain(..).map(|(item, _)| item).collect();
        self.shared.drained.notify_all();
        items
    }

    /// The number of queued items.
    pub fn len(&self) -> usize {
        self.lock().items.len()
    }

    /// Whether the queue is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // No code here panics while holding the lock, so even a poisoned one guards valid state.
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits on a condition, for at most `left`.
fn wait<'a, T>(
    condition: &Condvar,
    state: MutexGuard<'a, State<T>>,
    left: Option<Duration>,
) -> MutexGuard<'a, State<T>> {
    match left {
        None => condition
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner),
        Some(left) => {
            let woken = condition.wait_timeout(state, left);
            woken.unwrap_or_else(PoisonError::into_inner).0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn items_come_out_in_order_and_then_the_end() {
        let queue = ByteQueue::new(10);
        queue.push('a', 1).unwrap();
        queue.push('b', 1).unwrap();
        queue.close();
        assert_eq!(queue.push('c', 1), Err('c'));
        assert_eq!(queue.pop(None), Pop::Item('a'));
        assert_eq!(queue.pop(None), Pop::Item('b'));
        assert_eq!(queue.pop(None), Pop::Ended);
    }

    #[test]
    fn an_empty_queue_takes_one_item_of_any_cost_and_a_full_one_none() {
        let queue = ByteQueue::new(4);
        queue.push('a', 9).unwrap();
        assert_eq!(queue.push_while('b', 1, || false), Err(Denied::Full('b')));
        assert_eq!(queue.pop(None), Pop::Item('a'));
        assert_eq!(queue.push_while('b', 4, || false), Ok(()));
    }

    #[test]
    fn a_waiting_writer_looks_around() {
        let (queue, looks) = (ByteQueue::new(1), std::cell::Cell::new(0));
        queue.push(1, 1).expect("room");
        let glance = Some(Duration::from_millis(1));
        let denied = queue.push_polling(2, 1, glance, || {
            looks.set(looks.get() + 1);
            looks.get() < 3
        });
        assert_eq!((denied, looks.get()), (Err(Denied::Full(2)), 3));
    }

    #[test]
    fn what_comes_last_waits_for_no_room() {
        let queue = ByteQueue::new(1);
        queue.push(1, 1).unwrap();
        assert_eq!(queue.push_over(2, 9), Ok(()));
        queue.close();
        assert_eq!(queue.push_over(3, 1), Err(3));
        assert_eq!(
            (queue.pop(None), queue.pop(None)),
            (Pop::Item(1), Pop::Item(2))
        );
    }

    #[test]
    fn a_full_queue_holds_the_writer_until_the_reader_takes() {
        let queue = ByteQueue::new(1);
        queue.push(1, 1).unwrap();
        let writer = thread::spawn({
            let queue = queue.clone();
            move || queue.push(2, 1)
        });
        assert_eq!(queue.pop(None), Pop::Item(1));
        assert_eq!(queue.pop(None), Pop::Item(2));
        assert_eq!(writer.join().unwrap(), Ok(()));
    }

    #[test]
    fn what_waits_to_get_in_when_the_queue_is_closed_gets_in() {
        for _ in 0..200 {
            let queue = ByteQueue::new(1);
            queue.push(0, 1).unwrap();
            thread::scope(|scope| {
                let writers: Vec<_> = (1..4)
                    .map(|n| {
                        let queue = queue.clone();
                        scope.spawn(move || queue.push(n, 1).is_ok())
                    })
                    .collect();
                let reader = scope.spawn(|| {
                    let items = std::iter::from_fn(|| match queue.pop(None) {
                        Pop::Item(item) => Some(item),
                        _ => None,
                    });
                    items.count()
                });
                queue.close();
                let taken = writers.into_iter();
                let taken = taken.map(|writer| usize::from(writer.join().unwrap()));
                let taken: usize = taken.sum();
                assert_eq!(reader.join().unwrap(), 1 + taken);
            });
        }
    }

    #[test]
    fn a_waiting_writer_is_freed_by_a_change_of_mind_or_a_gone_reader() {
        let queue = ByteQueue::new(1);
        queue.push(1, 1).unwrap();
        let patient = Arc::new(AtomicBool::new(true));
        let writer = thread::spawn({
            let (queue, patient) = (queue.clone(), Arc::clone(&patient));
            move || queue.push_while(2, 1, || patient.load(Ordering::SeqCst))
        });
        patient.store(false, Ordering::SeqCst);
        while !writer.is_finished() {
            queue.wake_all();
        }
        assert_eq!(writer.join().unwrap(), Err(Denied::Full(2)));
        assert_eq!(queue.close_and_drain(), vec![1]);
        assert_eq!(queue.push(3, 1), Err(3));
    }

    #[test]
    fn the_oldest_that_may_go_is_taken_out_of_its_turn() {
        let queue = ByteQueue::new(6);
        for n in 1..=3 {
            queue.push(n, 2).unwrap();
        }
        assert_eq!(queue.take_first(|n| *n != 1), Some(2));
        assert_eq!(queue.take_first(|n| *n > 3), None);
        assert_eq!(queue.push_while(4, 2, || false), Ok(()));
        queue.each(|n| *n *= 10);
        assert_eq!(queue.pop(None), Pop::Item(10));
    }

    #[test]
    fn a_reader_is_woken_by_time_and_by_a_kick() {
        let queue: ByteQueue<u8> = ByteQueue::new(1);
        assert_eq!(queue.pop(Some(Instant::now())), Pop::TimedOut);
        let reader = thread::spawn({
            let queue = queue.clone();
            move || queue.pop(None)
        });
        queue.wake_all();
        assert_eq!(reader.join().unwrap(), Pop::Woken);
    }

    #[test]
    fn small_additions_share_an_item_within_the_bound() {
        let queue: ByteQueue<Vec<u8>> = ByteQueue::new(3);
        let add = |byte: u8| {
            queue.push_or_merge(
                1,
                || false,
                |newest| match newest.filter(|newest| newest.len() < 2) {
                    Some(newest) => {
                        newest.push(byte);
                        None
                    }
                    None => Some(vec![byte]),
                },
            )
        };
        assert!([add(1), add(2), add(3)].iter().all(Result::is_ok));
        assert_eq!(add(4), Err(Denied::Full(())));
        assert_eq!(queue.pop(None), Pop::Item(vec![1, 2]));
        assert_eq!(add(5), Ok(()));
        assert_eq!(queue.pop(None), Pop::Item(vec![3, 5]));
        queue.close();
        assert_eq!(add(6), Err(Denied::Gone(())));
    }

    #[test]
    fn what_is_enough_wakes_a_dozing_reader() {
        let queue: ByteQueue<u64> = ByteQueue::new(100);
        let late = Some(Instant::now() + Duration::from_secs(600));
        thread::scope(|scope| {
            let queue = &queue;
            let reader = scope.spawn(move || {
                let first = queue.pop_batched(late, 10);
                (first, queue.pop(None), queue.pop(None))
            });
            queue.push(1, 4).expect("a reader");
            assert!(queue.push_or_merge(5, || true, |_| None).is_ok());
            queue.push(2, 1).expect("a reader");
            queue.push(3, 1).expect("a reader");
            let all = (Pop::Item(1), Pop::Item(2), Pop::Item(3));
            assert_eq!(reader.join().expect("a reader"), all);
        });
    }

    #[test]
    fn a_writer_without_room_wakes_a_dozing_reader() {
        let queue: ByteQueue<u64> = ByteQueue::new(10);
        thread::scope(|scope| {
            let queue = &queue;
            let late = Some(Instant::now() + Duration::from_secs(600));
            let reader = scope.spawn(move || (queue.pop_batched(late, 1_000), queue.pop(None)));
            queue.push(1, 8).expect("a reader");
            queue.push(2, 8).expect("a reader");
            let both = (Pop::Item(1), Pop::Item(2));
            assert_eq!(reader.join().expect("a reader"), both);
        });
    }
}
