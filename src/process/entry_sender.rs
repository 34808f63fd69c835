//! The way in: sources hand in chunks of what they read.
//!
//! Stamps, counts, and waits for the rate the user allows and for room. Knows no source, and
//! nothing of what becomes of a chunk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::entry::Chunk;
use crate::process::clock::Clock;
use crate::process::throttle::Throttle;
use crate::report::counters::Counters;
use crate::report::messages::Reporter;
use crate::sync::queue::{ByteQueue, Denied};
use crate::sync::shutdown::{Phase, Shutdown};

/// Where sources hand in what they read. Clones share it.
#[derive(Clone)]
pub struct EntrySender {
    chunks: ByteQueue<Chunk>,
    clock: Clock,
    counters: Arc<Counters>,
    rate: Option<Arc<Mutex<Throttle>>>,
    stop: Arc<Shutdown>,
    reporter: Reporter,
    tally: Arc<AtomicU64>,
    waits: bool,
    stuck: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// How often a source that waits for room is asked what became of its input meanwhile.
const BLOCKED_POLL: Duration = Duration::from_millis(250);

impl EntrySender {
    /// The way into a queue, for at most `rate` bytes of lines a second.
    pub fn new(
        chunks: ByteQueue<Chunk>,
        rate: Option<u64>,
        stop: &Arc<Shutdown>,
        counters: &Arc<Counters>,
        reporter: Reporter,
    ) -> Self {
        Self {
            chunks,
            clock: Clock::new(reporter),
            counters: Arc::clone(counters),
            rate: rate.map(|rate| Arc::new(Mutex::new(Throttle::new(rate)))),
            stop: Arc::clone(stop),
            reporter,
            tally: Arc::default(),
            waits: true,
            stuck: None,
        }
    }

    /// The same way in, with a tally of its own.
    pub fn apart(&self) -> Self {
        Self {
            tally: Arc::default(),
            ..self.clone()
        }
    }

    /// How many lines were read this way, whatever entries they became.
    pub fn tally(&self) -> u64 {
        self.tally.load(Ordering::Relaxed)
    }

    /// Notes so many lines for the tally.
    pub fn count_lines(&self, lines: u64) {
        self.tally.fetch_add(lines, Ordering::Relaxed);
    }

    /// The same way in, for what comes last: it waits for no room, so that the end does not hang
    /// on a Loki that takes nothing.
    pub fn without_waiting(&self) -> Self {
        Self {
            waits: false,
            ..self.clone()
        }
    }

    /// Whether something may be handed in now: there is room, and the rate that the user allows is
    /// not used up. For a sender that does not wait.
    pub fn has_room(&self, now: Instant) -> bool {
        self.chunks.has_room() && self.rate_due().is_none_or(|due| due <= now)
    }

    /// Waits until something may be handed in, at most until `until`.
    pub fn wait_for_room(&self, until: Instant) {
        match self.rate_due() {
            Some(due) if due > Instant::now() => {
                self.stop.wait(Some(due.min(until)), self.stop.state());
            }
            _ => self.chunks.wait_for_room(until),
        }
    }

    fn rate_due(&self) -> Option<Instant> {
        let rate = self.rate.as_ref()?;
        rate.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .free_at()
    }

    /// The same way in, for a source whose input may end while it waits for room: it runs `stuck`
    /// now and then while it does. That must not hand anything in.
    pub fn while_stuck(&self, stuck: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            stuck: Some(Arc::new(stuck)),
            ..self.clone()
        }
    }

    /// Prints the messages of sources.
    pub fn reporter(&self) -> Reporter {
        self.reporter
    }

    /// Hands a chunk in: stamps it, counts it, and waits for room. `filtered` entries and `bytes`
    /// of input were read with it. When nobody takes it any more, its entries are left.
    pub fn push(&self, mut chunk: Chunk, filtered: usize, bytes: usize) {
        self.clock.stamp(&mut chunk);
        let read = chunk.len() + filtered;
        self.counters.read(read, filtered, bytes);
        self.slow_down(chunk.bytes());
        let cost = chunk.footprint();
        let _ = match &self.stuck {
            _ if !self.waits => self.chunks.push_over(chunk, cost),
            None => self.chunks.push(chunk, cost),
            Some(stuck) => {
                let began = Instant::now();
                let pushed = self
                    .chunks
                    .push_polling(chunk, cost, Some(BLOCKED_POLL), || {
                        // To wait a little is the usual thing.
                        if began.elapsed() >= BLOCKED_POLL {
                            stuck();
                        }
                        true
                    });
                pushed.map_err(Denied::into_inner)
            }
        };
    }

    /// Counts entries that get the time of arrival although another one was asked for.
    pub fn count_untimed(&self, entries: usize) {
        if entries > 0 {
            self.counters.untimed(entries);
        }
    }

    /// Notes that a file was not read because no time can be read in it.
    pub fn count_unreadable_times(&self) {
        self.counters.unreadable_times();
    }

    /// Counts input that gave no entry to hand in.
    pub fn count(&self, filtered: usize, bytes: usize) {
        if filtered + bytes > 0 {
            self.counters.read(filtered, filtered, bytes);
        }
    }

    /// Waits for the rate the user allows; not once a stop was asked for.
    fn slow_down(&self, bytes: usize) {
        let Some(rate) = &self.rate else { return };
        let due = rate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ready_at(Instant::now(), bytes);
        if !self.waits {
            return;
        }
        let mut view = self.stop.state();
        while view.phase == Phase::Running && Instant::now() < due {
            view = self.stop.wait(Some(due), view);
        }
    }
}
