//! The pipeline: queues, the batch thread and the shipping thread as one object.
//!
//! What the program and the library share. Knows no source, no signal and no command line.

mod single;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::backlog::{Backlog, Describe, Disk, OnFull};
use crate::batch::Limits;
use crate::checkpoint::Checkpoint;
use crate::deadletter::DeadLetter;
use crate::entry::Chunk;
use crate::identity::FileState;
use crate::ledger::{Fate, Ledger};
use crate::note::{Message, Note};
use crate::pack::Pack;
use crate::push::{Push, dry};
use crate::queue::{Pop, Queue};
use crate::rate::Rate;
use crate::retry::Jitter;
use crate::ship::{Delivery, Ship};
use crate::spool::Spool;
use crate::stamp::Stamper;
use crate::stop::{Phase, Stop};

/// Bytes of chunks that may wait for the batch thread where sources wait in their turn.
pub const CHUNKS: usize = 256 * 1024;

/// How the stages are set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of chunks that may wait for the batch thread.
    pub chunks: usize,
    /// When a batch closes.
    pub limits: Limits,
    /// Whether entries bring their own times.
    pub dated: bool,
    /// The gzip level, 0 for none.
    pub gzip_level: u8,
    /// Threads that may compress at once.
    pub sealers: usize,
    /// Bytes of sealed shipments that may wait.
    pub buffer: usize,
    /// What happens when they are too many.
    pub on_full: OnFull,
    /// How requests are sent.
    pub delivery: Delivery,
    /// Bytes of lines a second, at most.
    pub limit_rate: Option<u64>,
    /// The destination as messages name it.
    pub target: String,
}

/// Where shipments end.
pub enum Destination {
    /// At a Loki.
    Loki(Arc<dyn Push>),
    /// On standard output.
    Print,
}

/// What keeps entries on disk.
#[derive(Clone, Default)]
pub struct Stores {
    /// Shipments until their fate is known.
    pub spool: Option<Arc<Spool>>,
    /// How far files were settled.
    pub checkpoint: Option<Arc<Checkpoint>>,
    /// Whether to look for more orphans in the spool when all is sent.
    pub drain: bool,
    /// What Loki refused.
    pub dead_letter: Option<Arc<DeadLetter>>,
}

/// A stage that can be through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// All is sealed, and in the spool if there is one.
    Pack,
    /// Nothing more is sent.
    Ship,
}

/// Where sources hand in what they read. Clones share it.
#[derive(Clone)]
pub struct Intake {
    chunks: Queue<Chunk>,
    /// Entries handed in one by one, in the order of the queue.
    singles: Arc<AtomicU64>,
    stamper: Arc<Mutex<Stamper>>,
    rate: Option<Arc<Mutex<Rate>>>,
    stop: Arc<Stop>,
    ledger: Arc<Ledger>,
    note: Note,
    tally: Arc<AtomicU64>,
    waits: bool,
}

impl Intake {
    /// The same way in, with a tally of its own.
    pub fn apart(&self) -> Self {
        Self {
            tally: Arc::default(),
            ..self.clone()
        }
    }

    /// How many entries were read this way.
    pub fn tally(&self) -> u64 {
        self.tally.load(Ordering::Relaxed)
    }

    /// The same way in, for what comes last: it waits for no room, so that the end does not hang
    /// on a Loki that takes nothing.
    pub fn at_last(&self) -> Self {
        Self {
            waits: false,
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
        self.stamp(&mut chunk);
        let read = chunk.len() + filtered;
        self.tally.fetch_add(read as u64, Ordering::Relaxed);
        self.ledger.read(read, filtered, bytes);
        if self.waits {
            self.slow_down(chunk.bytes());
        }
        let cost = chunk.footprint();
        let _ = if self.waits {
            self.chunks.push(chunk, cost)
        } else {
            self.chunks.push_over(chunk, cost)
        };
    }

    /// Counts input that gave no entry to hand in.
    pub fn count(&self, filtered: usize, bytes: usize) {
        if filtered + bytes > 0 {
            self.tally.fetch_add(filtered as u64, Ordering::Relaxed);
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

    fn stamp(&self, chunk: &mut Chunk) {
        let count = chunk.unstamped();
        if count == 0 {
            return;
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let stamps = self
            .stamper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(now as i64, count);
        if let Some(by) = stamps.set_back {
            self.note.say(&Message::ClockSetBack {
                by: Duration::from_nanos(by as u64),
            });
        }
        let mut next = stamps.first;
        chunk.stamp(|| {
            next += 1;
            next - 1
        });
    }
}

/// A running pipeline.
pub struct Pipeline {
    chunks: Queue<Chunk>,
    intake: Intake,
    backlog: Arc<Backlog>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl Pipeline {
    /// Starts the stages. `ended` is called when each is through, whatever ended it.
    pub fn start(
        settings: Settings,
        destination: Destination,
        stores: Stores,
        stop: &Arc<Stop>,
        ledger: &Arc<Ledger>,
        note: Note,
        ended: impl Fn(Stage) + Clone + Send + 'static,
    ) -> Self {
        let chunks = Queue::new(settings.chunks);
        stop.on_change({
            let chunks = chunks.clone();
            move || chunks.kick()
        });
        let Stores {
            spool,
            checkpoint,
            drain,
            dead_letter,
        } = stores;
        let describe = checkpoint.clone().map(describe);
        let disk = spool.map(|spool| Disk::new(spool, describe));
        let (buffer, on_full) = (settings.buffer, settings.on_full);
        let backlog = Backlog::new(buffer, on_full, disk, stop, ledger, note);
        let backlog = Arc::new(backlog.draining(drain));
        if let Some(checkpoint) = &checkpoint {
            let (before, after) = (Arc::clone(&backlog), Arc::clone(&backlog));
            checkpoint.on_saved(
                move || before.settled_count(),
                move |count| after.checkpointed(count),
            );
        }
        let trouble = Arc::new(Mutex::new(None));
        let intake = Intake {
            chunks: chunks.clone(),
            singles: Arc::default(),
            stamper: Arc::new(Mutex::new(Stamper::new())),
            rate: settings
                .limit_rate
                .map(|rate| Arc::new(Mutex::new(Rate::new(rate)))),
            stop: Arc::clone(stop),
            ledger: Arc::clone(ledger),
            note,
            tally: Arc::default(),
            waits: true,
        };
        let pack = Pack {
            limits: settings.limits,
            dated: settings.dated,
            gzip_level: settings.gzip_level,
            sealers: settings.sealers,
            stop: Arc::clone(stop),
        };
        spawn("batch", {
            let (chunks, backlog) = (chunks.clone(), Arc::clone(&backlog));
            let ended = ended.clone();
            move || {
                let _ended = Ended(Some(|| ended(Stage::Pack)));
                let _guard = Guard {
                    chunks: &chunks,
                    backlog: &backlog,
                };
                let out = Arc::clone(&backlog);
                pack.run(&chunks, move |shipment| out.put(shipment));
            }
        });
        spawn("ship", {
            let (stop, ledger) = (Arc::clone(stop), Arc::clone(ledger));
            let backlog = Arc::clone(&backlog);
            let trouble = Arc::clone(&trouble);
            move || {
                let _ended = Ended(Some(|| ended(Stage::Ship)));
                match destination {
                    Destination::Print => print(&backlog, &stop, note),
                    Destination::Loki(push) => {
                        let Settings {
                            delivery, target, ..
                        } = settings;
                        let jitter = Jitter::new(seed());
                        let ship = Ship {
                            delivery,
                            push,
                            backlog,
                            ledger,
                            checkpoint,
                            dead_letter,
                            stop,
                            note,
                            target,
                            trouble,
                            jitter,
                        };
                        ship.run();
                    }
                }
            }
        });
        Self {
            chunks,
            intake,
            backlog,
            trouble,
        }
    }

    /// Where sources hand in what they read.
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// Nothing more comes: what is there is batched, sealed and sent.
    pub fn close(&self) {
        self.chunks.close();
    }

    /// The time is over: what is not settled stays in the spool, or is left if there is none,
    /// whatever the stages still do.
    pub fn abandon(&self) {
        self.backlog.abandon();
    }

    /// Whether retrying could not mend the last answer.
    pub fn is_hopeless(&self) -> bool {
        self.backlog.is_hopeless()
    }

    /// The trouble that was on last, if it still is.
    pub fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// How marks are written down in the spool: as the checkpoint knows their files, with the offset
/// of the mark.
fn describe(checkpoint: Arc<Checkpoint>) -> Arc<Describe> {
    Arc::new(move |marks| {
        let described = marks.iter().filter_map(|mark| {
            let state = checkpoint.describe(mark.file)?;
            Some(
                FileState {
                    offset: mark.offset,
                    ..state
                }
                .to_json(),
            )
        });
        described.collect()
    })
}

/// Starts a stage. It ends by itself when its queue does; nobody waits for its thread, since a
/// request under way must not hold up the end.
fn spawn(name: &str, work: impl FnOnce() + Send + 'static) {
    // A program that cannot have its threads cannot work; it says so and ends.
    thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .expect("starting a thread");
}

/// Prints what comes, in place of shipping it, until a second signal.
fn print(backlog: &Backlog, stop: &Stop, note: Note) {
    let mut out = std::io::stdout();
    let (mut closed, mut said) = (false, false);
    loop {
        let taken = match backlog.take(None) {
            Pop::Item(taken) => taken,
            Pop::Kicked if stop.view().phase == Phase::Now => break,
            Pop::Kicked | Pop::TimedOut => continue,
            Pop::Ended => break,
        };
        match dry::print(&taken.shipment, &mut out) {
            Ok(()) => taken.ticket.settle_all(Fate::Delivered),
            // `loki-push --dry-run | head` is a good way to look, and no loss.
            Err(error) if closed || dry::is_closed(&error) => {
                closed = true;
                taken.ticket.settle_all(Fate::Filtered);
            }
            Err(error) if !std::mem::replace(&mut said, true) => note.say(&Message::Unwritable {
                what: "standard output",
                why: &format!("{error:#}"),
            }),
            Err(_) => {}
        }
    }
    backlog.abandon();
}

/// Some number that differs from process to process, for jitter.
fn seed() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as u64;
    now ^ u64::from(std::process::id()).rotate_left(32)
}

/// Ends the line on both sides when the batch thread ends, however it ends.
struct Guard<'a> {
    chunks: &'a Queue<Chunk>,
    backlog: &'a Backlog,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.chunks.abandon();
        self.backlog.close();
    }
}

struct Ended<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for Ended<F> {
    fn drop(&mut self) {
        if let Some(ended) = self.0.take() {
            ended();
        }
    }
}

/// The deadline by which a run must be over, given when input ended. See [`crate::retry::Patience`].
pub fn over_by(delivery: &Delivery, stop: &Stop, ledger: &Ledger) -> Option<Instant> {
    delivery.patience.ends(stop.view(), ledger.last_accepted())
}
