//! The crew: requests of different streams travel side by side over a few connections, where the
//! way is long enough to be worth it.
//!
//! Knows how long work took, and threads. Knows no request.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::own_thread;

/// Work that is done within this is not worth starting a thread for: one hand after the other a
/// connection still carries over 100 MB of lines a second.
const QUICK: Duration = Duration::from_millis(1);

/// Does work on several threads when it is slow, and remembers whether it was.
pub struct ParallelSend {
    slow: AtomicBool,
}

impl Default for ParallelSend {
    /// A way that nobody went yet may be long.
    fn default() -> Self {
        Self {
            slow: AtomicBool::new(true),
        }
    }
}

impl ParallelSend {
    /// Does `work` on each of `items`, on at most `hands` threads at once; gives the results in the
    /// order of the items. One item, the usual case, costs no thread, and neither do quick ones.
    pub fn side_by_side<I: Sync, R: Send>(
        &self,
        items: &[I],
        hands: usize,
        work: impl Fn(&I) -> R + Sync,
    ) -> Vec<R> {
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            if hands > 1 && items.len() - results.len() > 1 && self.slow.load(Ordering::Relaxed) {
                break;
            }
            let began = Instant::now();
            results.push(work(item));
            self.slow.store(began.elapsed() > QUICK, Ordering::Relaxed);
        }
        let rest = &items[results.len()..];
        if !rest.is_empty() {
            let began = Instant::now();
            results.extend(many_handed(rest, hands, work));
            let rounds = rest.len().div_ceil(hands) as u32;
            self.slow
                .store(began.elapsed() > QUICK * rounds, Ordering::Relaxed);
        }
        results
    }
}

fn many_handed<I: Sync, R: Send>(
    items: &[I],
    hands: usize,
    work: impl Fn(&I) -> R + Sync,
) -> Vec<R> {
    let helpers = hands.min(items.len()).saturating_sub(1);
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
        for hands in [1, 2, 7, 200] {
            assert_eq!(
                many_handed(&items, hands, |n| n * 2),
                items.iter().map(|n| n * 2).collect::<Vec<_>>()
            );
        }
        assert!(
            ParallelSend::default()
                .side_by_side(&[] as &[u8], 4, |n| *n)
                .is_empty()
        );
    }

    #[test]
    fn only_slow_work_gets_helpers() {
        let items: Vec<usize> = (0..20).collect();
        let us = std::thread::current().id();
        let by_us = |crew: &ParallelSend| {
            let results = crew.side_by_side(&items, 4, |&n| {
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
