//! What shipping promises of a Loki that is out of order, with a backlog and a spool of its own.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::delivery::backoff::Backoff;
use crate::delivery::queue::tests::on_disk::spool;
use crate::delivery::queue::tests::shipment;
use crate::delivery::queue::{OnFull, SpoolBackend};
use crate::delivery::sender::*;
use crate::entry::FilePositions;
use crate::entry::request::Request;
use crate::http::Answer;
use crate::report::messages::Verbosity;
use crate::storage::spool::Spool;
use crate::sync::shutdown::Phase;

fn reporter() -> Reporter {
    Reporter::new(Verbosity::Silent)
}

/// A Loki that has no place for the stream, and ends the run at the third try.
struct NoPlace {
    stop: Arc<Shutdown>,
    spool: Arc<Spool>,
    tries: AtomicUsize,
    damaged_by_then: AtomicU64,
}

impl Push for NoPlace {
    fn push(&self, _: &Request, _: Duration) -> Answer {
        if self.tries.fetch_add(1, Ordering::Relaxed) == 2 {
            let damaged = self.spool.unreadable();
            self.damaged_by_then.store(damaged, Ordering::Relaxed);
            self.stop.advance(Phase::Aborting);
        }
        Answer::Status {
            code: 429,
            retry_after: None,
            text: "Maximum active stream limit exceeded".into(),
        }
    }
}

#[test]
fn suspended_streams_are_not_read_from_the_spool_beyond_the_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, stop) = (spool(dir.path(), 1 << 20), Arc::new(Shutdown::new()));
    let counters = Arc::new(Counters::new());
    let disk = SpoolBackend::new(Arc::clone(&spool), None, reporter());
    let room = 2 * shipment(0, FilePositions::default()).footprint();
    let backlog = DeliveryQueue::new(
        room,
        OnFull::Block,
        Some(disk),
        &stop,
        &counters,
        reporter(),
    );
    (0..4).for_each(|n| backlog.push(shipment(n, FilePositions::default())));
    // The third is on disk only: whether it is read back shows.
    let folder = std::fs::read_dir(dir.path()).unwrap().next().unwrap();
    let third = folder.unwrap().path().join("00000000000000000002.batch");
    let mut bytes = std::fs::read(&third).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&third, bytes).unwrap();

    let push = Arc::new(NoPlace {
        stop: Arc::clone(&stop),
        spool: Arc::clone(&spool),
        tries: AtomicUsize::new(0),
        damaged_by_then: AtomicU64::new(0),
    });
    let wait = Duration::from_millis(20);
    let delivery = SenderSettings {
        timeout: wait,
        backoff: Backoff {
            base: wait,
            most: wait,
        },
        max_retries: None,
        connections: 1,
        flush_timeout: wait,
        end_when_hopeless: false,
        gzip_level: 0,
    };
    SenderParts {
        delivery,
        push: Arc::clone(&push) as Arc<dyn Push>,
        backlog: Arc::new(backlog),
        counters: Arc::clone(&counters),
        checkpoint: None,
        dead_letter: None,
        stop,
        reporter: reporter(),
        target: "loki".into(),
        trouble: LastError::default(),
        jitter: Jitter::new(1),
    }
    .run();
    assert_eq!(push.damaged_by_then.load(Ordering::Relaxed), 0);
    assert_eq!(counters.counts().spooled, 40);
}
