//! What shipping promises of a Loki that is out of order, with a queue and a spool of its own.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::batch::encode::{Encoder, open};
use crate::delivery::backoff::Backoff;
use crate::delivery::queue::tests::on_disk::spool;
use crate::delivery::queue::tests::ten_entries;
use crate::delivery::queue::{OnFull, SpoolBackend};
use crate::delivery::sender::*;
use crate::entry::labels::Labels;
use crate::entry::request::{EncodedBatch, Request};
use crate::entry::{Entry, FilePositions};
use crate::http::Response;
use crate::report::counters::Counts;
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

impl Transport for NoPlace {
    fn send(&self, _: &Request, _: Duration) -> Response {
        if self.tries.fetch_add(1, Ordering::Relaxed) == 2 {
            let damaged = self.spool.unreadable();
            self.damaged_by_then.store(damaged, Ordering::Relaxed);
            self.stop.advance(Phase::Aborting);
        }
        Response::Status {
            code: 429,
            retry_after: None,
            text: "Maximum active stream limit exceeded".into(),
        }
    }
}

fn sender(
    settings: SenderSettings,
    transport: Arc<dyn Transport>,
    queue: DeliveryQueue,
    counters: &Arc<Counters>,
    shutdown: Arc<Shutdown>,
) -> SenderParts {
    SenderParts {
        settings,
        transport,
        queue: Arc::new(queue),
        counters: Arc::clone(counters),
        checkpoint: None,
        dead_letter: None,
        shutdown,
        reporter: reporter(),
        target: "loki".into(),
        last_error: LastError::default(),
        jitter: Jitter::new(1),
    }
}

#[test]
fn suspended_streams_are_not_read_from_the_spool_beyond_the_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let (spool, stop) = (spool(dir.path(), 1 << 20), Arc::new(Shutdown::new()));
    let counters = Arc::new(Counters::new());
    let disk = SpoolBackend::new(Arc::clone(&spool), None, reporter());
    let room = 2 * ten_entries(0, FilePositions::default()).footprint();
    let queue = DeliveryQueue::new(
        room,
        OnFull::Block,
        Some(disk),
        &stop,
        &counters,
        reporter(),
    );
    (0..4).for_each(|n| queue.push(ten_entries(n, FilePositions::default())));
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
        convincing: CONVINCING,
        gzip_level: 0,
    };
    let transport = Arc::clone(&push) as Arc<dyn Transport>;
    sender(delivery, transport, queue, &counters, stop).run();
    assert_eq!(push.damaged_by_then.load(Ordering::Relaxed), 0);
    assert_eq!(counters.counts().spooled, 40);
}

/// A gateway that answers 500 to what shows an attack, and passes everything else on.
#[derive(Default)]
struct Firewall {
    passed: Mutex<Vec<(String, Instant)>>,
    refused: AtomicUsize,
}

impl Transport for Firewall {
    fn send(&self, request: &Request, _: Duration) -> Response {
        let decoded = open(request).expect("a request of ours");
        let lines: Vec<String> = decoded.entries().map(|entry| entry.line.into()).collect();
        let is_bad = lines.iter().any(|line| line.contains("attack"));
        let status = |code, text: &str| Response::Status {
            code,
            retry_after: None,
            text: text.into(),
        };
        if is_bad {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return status(500, "blocked by rule 17");
        }
        let now = Instant::now();
        let lines = lines.into_iter().map(|line| (line, now));
        self.passed.lock().unwrap().extend(lines);
        status(204, "")
    }
}

fn lines_of(app: &str, lines: &[String]) -> Request {
    let entries = lines.iter().zip(1..).map(|(line, time)| Entry {
        time,
        line,
        metadata: "",
    });
    Encoder::new(0).request(&Arc::new(Labels::new([("app", app)])), entries)
}

/// Ships 20 batches of two streams through the firewall; the first holds an attack among 200
/// lines. A minute is a second. Returns the counts, and when each line passed.
fn ship_an_attack(spool: Option<&Arc<Spool>>) -> (Counts, Vec<(String, Duration)>) {
    let (stop, counters) = (Arc::new(Shutdown::new()), Arc::new(Counters::new()));
    let new_queue = |counters: &Arc<Counters>| {
        let disk = spool.map(|spool| SpoolBackend::new(Arc::clone(spool), None, reporter()));
        DeliveryQueue::new(1 << 20, OnFull::Block, disk, &stop, counters, reporter())
    };
    let queue = new_queue(&counters);
    for batch in 0..20 {
        let line = |app: &str, n: u32| match (app, batch, n) {
            ("a", 0, 77) => "attack".into(),
            _ => format!("{app} {batch} {n}"),
        };
        let requests = ["a", "b"].map(|app| {
            let lines: Vec<String> = (0..200).map(|n| line(app, n)).collect();
            lines_of(app, &lines)
        });
        queue.push(EncodedBatch {
            number: batch,
            requests: requests.into(),
            positions: FilePositions::default(),
            input_order: Vec::new(),
        });
    }
    queue.close();
    let minute = Duration::from_secs(1);
    let delivery = SenderSettings {
        timeout: minute,
        backoff: Backoff {
            base: minute / 60,
            most: minute / 2,
        },
        max_retries: None,
        connections: 4,
        flush_timeout: Duration::from_secs(30),
        end_when_hopeless: false,
        convincing: minute,
        gzip_level: 0,
    };
    let firewall = Arc::new(Firewall::default());
    let transport = Arc::clone(&firewall) as Arc<dyn Transport>;
    let began = Instant::now();
    sender(delivery, transport, queue, &counters, Arc::clone(&stop)).run();
    let passed = std::mem::take(&mut *firewall.passed.lock().unwrap());
    let passed = passed.into_iter().map(|(line, at)| (line, at - began));
    (counters.counts(), passed.collect())
}

#[test]
fn one_entry_that_a_gateway_never_lets_through_is_found_and_the_rest_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let spool = spool(dir.path(), 1 << 24);
    for spool in [None, Some(&spool)] {
        let (counts, passed) = ship_an_attack(spool);
        assert_eq!((counts.refused, counts.delivered), (1, 7_999), "{counts:?}");
        assert_eq!(passed.len(), 7_999, "each once");
        let last_of = |app: &str| {
            let of_app = passed.iter().filter(|(line, _)| line.starts_with(app));
            of_app.map(|(_, at)| *at).max().expect("some")
        };
        let minute = Duration::from_secs(1);
        assert!(last_of("a") < 5 * minute, "{:?}", last_of("a"));
        assert!(last_of("b") < minute, "{:?}", last_of("b"));
    }
}
