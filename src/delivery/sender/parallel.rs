//! Sends requests of different streams in parallel over a few connections, if they take long enough
//! to be worth a thread.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::own_thread;

/// Work that takes less than this is not worth a thread: even one after another, such requests carry
/// more than 100 MB of lines per second.
const QUICK: Duration = Duration::from_millis(1);

/// Runs work on several threads if the work before it was slow.
pub struct ParallelSend {
    slow: AtomicBool,
}

impl Default for ParallelSend {
    /// Starts in parallel, since a connection that was never used may be slow.
    fn default() -> Self {
        Self {
            slow: AtomicBool::new(true),
        }
    }
}

impl ParallelSend {
    /// Runs `work` on each of `items`, on at most `max_threads` threads at once. Returns the results in the
    /// order of the items. A single item, the usual case, needs no thread, and neither do quick ones.
    pub fn run<I: Sync, R: Send>(
        &self,
        items: &[I],
        max_threads: usize,
        work: impl Fn(&I) -> R + Sync,
    ) -> Vec<R> {
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            if max_threads > 1
                && items.len() - results.len() > 1
                && self.slow.load(Ordering::Relaxed)
            {
                break;
            }
            let began = Instant::now();
            results.push(work(item));
            self.slow.store(began.elapsed() > QUICK, Ordering::Relaxed);
        }
        let rest = &items[results.len()..];
        if !rest.is_empty() {
            let began = Instant::now();
            results.extend(run_on_threads(rest, max_threads, work));
            let rounds = rest.len().div_ceil(max_threads) as u32;
            self.slow
                .store(began.elapsed() > QUICK * rounds, Ordering::Relaxed);
        }
        results
    }
}

fn run_on_threads<I: Sync, R: Send>(
    items: &[I],
    max_threads: usize,
    work: impl Fn(&I) -> R + Sync,
) -> Vec<R> {
    let helpers = max_threads.min(items.len()).saturating_sub(1);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    let hand = &|| {
        while let Some((at, item)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            items.get(at).map(|item| (at, item))
        } {
            let result = work(item);
            done.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((at, result));
        }
    };
    thread::scope(|scope| {
        for _ in 0..helpers {
            // Where no more threads can be started, those that exist do the work.
            let helper = || {
                own_thread::mark();
                hand();
            };
            if thread::Builder::new().spawn_scoped(scope, helper).is_err() {
                break;
            }
        }
        hand();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<usize> = (0..100).collect();
        for max_threads in [1, 2, 7, 200] {
            assert_eq!(
                run_on_threads(&items, max_threads, |n| n * 2),
                items.iter().map(|n| n * 2).collect::<Vec<_>>()
            );
        }
        assert!(
            ParallelSend::default()
                .run(&[] as &[u8], 4, |n| *n)
                .is_empty()
        );
    }

    #[test]
    fn only_slow_work_gets_helpers() {
        let items: Vec<usize> = (0..20).collect();
        let us = std::thread::current().id();
        let by_us = |parallel: &ParallelSend| {
            let results = parallel.run(&items, 4, |&n| {
                let began = Instant::now();
                while began.elapsed() <= QUICK * 2 {
                    std::thread::yield_now();
                }
                (n, std::thread::current().id() == us)
            });
            assert!(results.iter().map(|(n, _)| n).eq(&items));
            results.iter().filter(|(_, by_us)| *by_us).count()
        };
        assert!(
            by_us(&ParallelSend::default()) < 20,
            "the first told that it is slow"
        );
    }
}
