//! What the queue promises, in memory and on disk.

use crate::delivery::queue::*;
use crate::entry::labels::Labels;
use crate::entry::request::Request;
use crate::entry::{FilePosition, FilePositions};
use crate::report::counters::Fate;
use crate::report::messages::Verbosity;

/// A batch of ten entries.
pub fn ten_entries(number: u64, positions: FilePositions) -> EncodedBatch {
    let request = Request {
        labels: Arc::new(Labels::new([("app", "x")])),
        body: vec![0; 100].into(),
        gzip: false,
        entries: 10,
        bytes: 100,
        largest: None,
    };
    EncodedBatch {
        number,
        requests: vec![request],
        positions,
        input_order: Vec::new(),
    }
}

fn queue(room_for: usize, on_full: OnFull) -> (DeliveryQueue, Arc<Counters>, Arc<Shutdown>) {
    let (stop, counters) = (Arc::new(Shutdown::new()), Arc::new(Counters::new()));
    let capacity = room_for * ten_entries(0, FilePositions::default()).footprint();
    let reporter = Reporter::new(Verbosity::Quiet);
    (
        DeliveryQueue::new(capacity, on_full, None, &stop, &counters, reporter),
        counters,
        stop,
    )
}

fn numbers(queue: &DeliveryQueue) -> Vec<u64> {
    queue.close();
    std::iter::from_fn(|| match queue.pop(None) {
        Pop::Item(taken) => Some(taken.batch.number),
        _ => None,
    })
    .collect()
}

#[test]
fn drop_newest_gives_up_what_comes() {
    let (queue, counters, _) = queue(2, OnFull::DropNewest);
    (0..4).for_each(|n| queue.push(ten_entries(n, FilePositions::default())));
    assert_eq!(numbers(&queue), [0, 1]);
    assert_eq!(counters.counts().dropped, 20);
}

#[test]
fn drop_oldest_never_gives_up_what_is_under_way() {
    let (queue, counters, _) = queue(2, OnFull::DropOldest);
    queue.push(ten_entries(0, FilePositions::default()));
    let Pop::Item(first) = queue.pop(None) else {
        panic!("nothing waits");
    };
    assert_eq!(first.batch.number, 0);
    (1..4).for_each(|n| queue.push(ten_entries(n, FilePositions::default())));
    assert_eq!(numbers(&queue), [3]);
    assert_eq!(counters.counts().dropped, 20);
}

#[test]
fn what_files_gave_is_never_dropped() {
    let (queue, counters, stop) = queue(1, OnFull::DropOldest);
    let mark: FilePositions = [FilePosition {
        file: 0,
        offset: 1,
        time: None,
    }]
    .into_iter()
    .collect();
    queue.push(ten_entries(0, mark.clone()));
    std::thread::scope(|scope| {
        scope.spawn(|| queue.push(ten_entries(1, mark)));
        stop.advance(Phase::Aborting);
    });
    assert_eq!(numbers(&queue), [0]);
    assert_eq!(counters.counts().dropped, 0);
}

#[test]
fn a_hopeless_answer_turns_waiting_into_dropping() {
    let (queue, counters, _) = queue(1, OnFull::Block);
    queue.push(ten_entries(0, FilePositions::default()));
    std::thread::scope(|scope| {
        scope.spawn(|| queue.push(ten_entries(1, FilePositions::default())));
        queue.set_hopeless(true);
    });
    assert_eq!(counters.counts().dropped, 10);
}

pub mod on_disk {
    use super::*;
    use crate::storage::spool::{Destination, Options, Spool};
    use serde_json::json;
    use std::path::Path;

    /// A spool of so many bytes.
    pub fn spool(dir: &Path, size: u64) -> Arc<Spool> {
        let options = Options {
            dir: dir.to_owned(),
            size,
            sync: false,
            destination: Destination::new("http://loki"),
            checkpoint: None,
            sending: None,
            drain: None,
        };
        Arc::new(Spool::open(options, Reporter::new(Verbosity::Quiet)).unwrap())
    }

    fn on_disk(
        spool: &Arc<Spool>,
        memory: usize,
        on_full: OnFull,
        describe: Option<Arc<DescribePositions>>,
    ) -> (DeliveryQueue, Arc<Counters>, Arc<Shutdown>) {
        let (stop, counters) = (Arc::new(Shutdown::new()), Arc::new(Counters::new()));
        let reporter = Reporter::new(Verbosity::Quiet);
        let disk = SpoolBackend::new(Arc::clone(spool), describe, reporter);
        let queue = DeliveryQueue::new(memory, on_full, Some(disk), &stop, &counters, reporter);
        (queue, counters, stop)
    }

    fn file_size(dir: &Path) -> u64 {
        let spool = spool(dir, 1 << 20);
        spool
            .prepare(&ten_entries(0, FilePositions::default()), Vec::new())
            .bytes()
    }

    fn next(queue: &DeliveryQueue) -> Option<QueuedBatch> {
        match queue.pop(Some(Instant::now())) {
            Pop::Item(taken) => Some(taken),
            _ => None,
        }
    }

    #[test]
    fn what_memory_cannot_hold_is_read_back_in_its_turn() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), 1 << 20);
        let (queue, counters, _) = on_disk(&spool, 1, OnFull::Block, None);
        (0..5).for_each(|n| queue.push(ten_entries(n, FilePositions::default())));
        for n in 0..5 {
            let taken = next(&queue).unwrap();
            assert_eq!(taken.batch.number, n);
            assert_eq!(taken.batch.requests[0].body.len(), 100);
            taken.ack.settle(4, Fate::Delivered);
            assert!(spool.used() > 0);
            taken.ack.settle(6, Fate::Refused("x".into()));
        }
        assert_eq!(spool.used(), 0);
        let counts = counters.counts();
        assert_eq!((counts.delivered, counts.refused), (20, 30));
    }

    #[test]
    fn what_is_not_settled_stays_and_goes_first_in_the_next_run() {
        let dir = tempfile::tempdir().unwrap();
        let first = spool(dir.path(), 1 << 20);
        let (queue, counters, _) = on_disk(&first, 1 << 20, OnFull::Block, None);
        (0..3).for_each(|n| queue.push(ten_entries(n, FilePositions::default())));
        next(&queue).unwrap().ack.settle_all(Fate::Delivered);
        let held = next(&queue).unwrap();
        held.ack.settle(3, Fate::Delivered);
        queue.close_and_keep();
        queue.push(ten_entries(3, FilePositions::default()));
        held.ack.settle_all(Fate::Delivered);
        let counts = counters.counts();
        assert_eq!(
            (counts.delivered, counts.spooled),
            (13, 27),
            "nothing has two fates"
        );
        drop((held, queue));
        drop(first);

        let second = spool(dir.path(), 1 << 20);
        let (queue, counters, _) = on_disk(&second, 1 << 20, OnFull::Block, None);
        queue.push(ten_entries(9, FilePositions::default()));
        for number in [1, 2, 3, 9] {
            let taken = next(&queue).unwrap();
            assert_eq!(taken.batch.number, number);
            assert_eq!(taken.ack.is_adopted(), number != 9);
            taken.ack.settle_all(Fate::Delivered);
        }
        let counts = counters.counts();
        assert_eq!((counts.adopted, counts.adopted_delivered), (30, 30));
        assert_eq!((counts.delivered, second.used()), (10, 0));
    }

    #[test]
    fn past_its_size_the_policy_rules() {
        for (on_full, kept) in [(OnFull::DropNewest, [0, 1]), (OnFull::DropOldest, [2, 3])] {
            let dir = tempfile::tempdir().unwrap();
            let spool = spool(dir.path(), 2 * file_size(dir.path()));
            let (queue, counters, _) = on_disk(&spool, 1 << 20, on_full, None);
            (0..4).for_each(|n| queue.push(ten_entries(n, FilePositions::default())));
            assert!(spool.used() <= spool.size());
            assert_eq!(numbers(&queue), kept);
            let counts = counters.counts();
            assert_eq!(counts.reasons.get("spool full"), Some(&20));
            assert_eq!((counts.dropped, counts.spooled), (20, 20));
        }
    }

    #[test]
    fn what_is_adopted_or_comes_from_a_file_is_never_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let size = 2 * file_size(dir.path());
        let first = spool(dir.path(), size);
        let (queue, ..) = on_disk(&first, 1 << 20, OnFull::Block, None);
        queue.push(ten_entries(0, FilePositions::default()));
        drop((queue, first));
        let spool = spool(dir.path(), size);
        let (queue, counters, stop) = on_disk(&spool, 1 << 20, OnFull::DropOldest, None);
        let mark: FilePositions = [FilePosition {
            file: 0,
            offset: 1,
            time: None,
        }]
        .into_iter()
        .collect();
        queue.push(ten_entries(1, mark.clone()));
        queue.push(ten_entries(2, FilePositions::default()));
        std::thread::scope(|scope| {
            scope.spawn(|| queue.push(ten_entries(3, mark)));
            stop.advance(Phase::Aborting);
        });
        let counts = counters.counts();
        assert_eq!((counts.dropped, counts.adopted_left()), (10, 10));
        queue.close_and_keep();
        assert_eq!(counters.counts().spooled, 10);
    }

    #[test]
    fn a_writer_waits_for_room_until_something_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), file_size(dir.path()));
        let (queue, counters, _) = on_disk(&spool, 1 << 20, OnFull::Block, None);
        queue.push(ten_entries(0, FilePositions::default()));
        std::thread::scope(|scope| {
            scope.spawn(|| queue.push(ten_entries(1, FilePositions::default())));
            for _ in 0..2 {
                let Pop::Item(taken) = queue.pop(None) else {
                    panic!("nothing comes");
                };
                taken.ack.settle_all(Fate::Delivered);
            }
        });
        assert_eq!(counters.counts().delivered, 20);
    }

    #[test]
    fn positions_hold_a_settled_batch_until_the_checkpoint_is_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), 1 << 20);
        let describe =
            |positions: &FilePositions| positions.iter().map(|mark| json!(mark.offset)).collect();
        let describe: Arc<DescribePositions> = Arc::new(describe);
        let (queue, ..) = on_disk(&spool, 1, OnFull::Block, Some(describe));
        for n in 0..3 {
            let positions: FilePositions = [FilePosition {
                file: 0,
                offset: n,
                time: None,
            }]
            .into_iter()
            .collect();
            queue.push(ten_entries(n, positions.clone()));
            let taken = next(&queue).unwrap();
            assert_eq!(
                taken.batch.positions, positions,
                "though it was on disk only"
            );
            taken.ack.settle_all(Fate::Delivered);
            if n == 1 {
                assert_eq!(queue.settled_count(), 1);
            }
            drop(taken);
        }
        let all = spool.used();
        queue.checkpointed(2);
        assert_eq!(spool.used(), all / 3);
        queue.checkpointed(queue.settled_count());
        assert_eq!(spool.used(), 0);
    }

    #[test]
    fn a_disk_that_fails_leaves_memory() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), 1 << 20);
        let room = 2 * ten_entries(0, FilePositions::default()).footprint();
        let (queue, counters, _) = on_disk(&spool, room, OnFull::DropNewest, None);
        (0..2).for_each(|n| queue.push(ten_entries(n, FilePositions::default())));
        spool.close();
        (2..5).for_each(|n| queue.push(ten_entries(n, FilePositions::default())));
        assert_eq!(
            counters.counts().dropped,
            10,
            "copies make room, then it is full"
        );
        let mut taken = Vec::new();
        while let Some(next) = next(&queue) {
            next.ack.settle_all(Fate::Delivered);
            taken.push(next.batch.number);
        }
        assert_eq!(taken, [0, 1, 2, 3]);
        assert_eq!(counters.counts().delivered, 40);
    }

    #[test]
    fn what_is_being_read_back_when_the_run_ends_stays_in_the_spool() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), 1 << 20);
        let (queue, counters, _) = on_disk(&spool, 1, OnFull::Block, None);
        queue.push(ten_entries(0, FilePositions::default()));
        let first = next(&queue).unwrap();
        queue.push(ten_entries(1, FilePositions::default()));
        // The run ends between handing it out and reading it.
        let Pop::Item(item) = queue.queue.pop(None) else {
            panic!("nothing waits");
        };
        assert!(queue.unsettled.hand_out(&item.ack));
        queue.close_and_keep();
        assert_eq!(counters.counts().spooled, 20);
        assert!(queue.read_back(item).is_none());
        drop(first);
        assert_eq!(counters.counts().spooled, 20, "nothing has two fates");
    }

    #[test]
    fn a_batch_settled_while_it_is_stored_late_leaves_the_spool() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), 1 << 20);
        let (queue, ..) = on_disk(&spool, 1 << 20, OnFull::Block, None);
        let batch = ten_entries(0, FilePositions::default());
        let unsettled = UnsettledBatch {
            remaining: 10,
            number: Some(0),
            ..UnsettledBatch::default()
        };
        let ack = Ack::new(&queue.unsettled, unsettled);
        queue.unsettled.store_later(&batch, &ack);
        let mut ack = Some(ack);
        let all_stored = queue.unsettled.store(|batch| {
            // Loki answers before the write has ended.
            let ack = ack.take().expect("a single batch");
            ack.settle_all(Fate::Delivered);
            drop(ack);
            let disk = queue.resources.disk.as_ref().unwrap();
            let prepared = disk.prepare(batch);
            assert!(disk.room.try_acquire(prepared.bytes() as usize));
            disk.spool.store(prepared, batch).ok()
        });
        assert!(all_stored && queue.is_all_spooled());
        assert_eq!(queue.waiting_bytes(), 0);
        queue.close_and_keep();
        assert_eq!(spool.recover().len(), 0);
    }

    #[test]
    fn held_requests_do_not_raise_the_memory_limit() {
        let dir = tempfile::tempdir().unwrap();
        let spool = spool(dir.path(), 1 << 20);
        let room = 2 * ten_entries(0, FilePositions::default()).footprint();
        let (queue, ..) = on_disk(&spool, room, OnFull::Block, None);
        (0..4).for_each(|n| queue.push(ten_entries(n, FilePositions::default())));
        let mut held = Vec::new();
        while !queue.in_flight_memory_full() {
            held.push(next(&queue).unwrap());
        }
        assert_eq!(held.len(), 2);
        held.remove(0).ack.settle_all(Fate::Delivered);
        assert!(!queue.in_flight_memory_full());
    }
}
