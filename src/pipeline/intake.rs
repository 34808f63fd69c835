//! The way in: sources hand in chunks of what they read.
//!
//! Stamps, counts, and waits for the rate the user allows and for room. Knows no source, and
//! nothing of what becomes of a chunk.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::clock::Clock;
use crate::entry::Chunk;
use crate::ledger::Ledger;
use crate::note::Note;
use crate::queue::{Denied, Queue};
use crate::rate::Rate;
use crate::stop::{Phase, Stop};

/// Where sources hand in what they read. Clones share it.
#[derive(Clone)]
pub struct Intake {
    pub(super) chunks: Queue<Chunk>,
    /// Entries handed in one by one, in the order of the queue.
    pub(super) singles: Arc<AtomicU64>,
    pub(super) clock: Clock,
    pub(super) ledger: Arc<Ledger>,
    rate: Option<Arc<Mutex<Rate>>>,
    stop: Arc<Stop>,
    note: Note,
    tally: Arc<AtomicU64>,
    waits: bool,
    stuck: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// How often a source that waits for room is asked what became of its input meanwhile.
const GLANCE: Duration = Duration::from_millis(250);

impl Intake {
    /// The way into a queue, for at most `rate` bytes of lines a second.
    pub(super) fn new(
        chunks: Queue<Chunk>,
        rate: Option<u64>,
        stop: &Arc<Stop>,
        ledger: &Arc<Ledger>,
        note: Note,
    ) -> Self {
        Self {
            chunks,
            singles: Arc::default(),
            clock: Clock::new(note),
            ledger: Arc::clone(ledger),
            rate: rate.map(|rate| Arc::new(Mutex::new(Rate::new(rate)))),
            stop: Arc::clone(stop),
            note,
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
    pub fn at_last(&self) -> Self {
        Self {
            waits: false,
            ..self.clone()
        }
    }

    /// The same way in, for a source whose input may end while it waits for room: it runs `stuck`
    /// now and then while it does. That must not hand anything in.
    pub fn while_stuck(&self, stuck: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            stuck: Some(Arc::new(stuck)),
            ..self.clone()
        }
    }

    /// Says what sources have to say.
    pub fn note(&self) -> Note {
        self.note
    }

    /// Hands a chunk in: stamps it, counts it, and waits for room. `filtered` entries and `bytes`
    /// of input were read with it. When nobody takes it any more, its entries are left.
    pub fn push(&self, mut chunk: Chunk, filtered: usize, bytes: usize) {
        self.clock.stamp(&mut chunk);
        let read = chunk.len() + filtered;
        self.ledger.read(read, filtered, bytes);
        if self.waits {
            self.slow_down(chunk.bytes());
        }
        let cost = chunk.footprint();
        let _ = match &self.stuck {
            _ if !self.waits => self.chunks.push_over(chunk, cost),
            None => self.chunks.push(chunk, cost),
            Some(stuck) => {
                let began = Instant::now();
                let pushed = self.chunks.push_looking(chunk, cost, Some(GLANCE), || {
                    // To wait a little is the usual thing.
                    if began.elapsed() >= GLANCE {
                        stuck();
                    }
                    true
                });
                pushed.map_err(Denied::into_inner)
            }
        };
    }

    /// Counts input that gave no entry to hand in.
    pub fn count(&self, filtered: usize, bytes: usize) {
        if filtered + bytes > 0 {
            self.ledger.read(filtered, filtered, bytes);
        }
    }

    /// Waits for the rate the user allows; not once a stop was asked for.
    fn slow_down(&self, bytes: usize) {
        let Some(rate) = &self.rate else { return };
        let due = rate
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .due(Instant::now(), bytes);
        let mut view = self.stop.view();
        while view.phase == Phase::Running && Instant::now() < due {
            view = self.stop.wait(Some(due), view);
        }
    }
}
