//! The pipeline: queues, the batch thread and the sender thread as one object, which the program and
//! the library share.

mod flush;
mod thread;

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::batch::BatchLimits;
use crate::batch::worker::BatchWorker;
use crate::delivery::backoff::Jitter;
use crate::delivery::queue::{DeliveryQueue, OnFull};
#[cfg(feature = "cli")]
use crate::delivery::queue::{DescribePositions, SpoolBackend};
use crate::delivery::sender::{LastError, SenderParts, SenderSettings, TroubleHook};
use crate::entry::Chunk;
use crate::http::Transport;
pub use crate::pipeline::flush::SingleSender;
pub use crate::pipeline::thread::{OnDrop, Stage, StageEnd};
#[cfg(feature = "cli")]
pub use crate::process::entry_sender::EntrySender;
use crate::report::counters::Counters;
use crate::report::messages::Reporter;
use crate::storage::checkpoint::Checkpoint;
use crate::storage::dead_letter::DeadLetter;
#[cfg(feature = "cli")]
use crate::storage::spool::Spool;
use crate::sync::flush_deadline::{FlushDeadline, GRACE};
use crate::sync::queue::ByteQueue;
use crate::sync::shutdown::Shutdown;

/// Bytes of chunks that may wait for the batch thread, if sources wait when that is full.
#[cfg(feature = "cli")]
pub const CHUNKS: usize = 128 * 1024;

/// The settings of the stages.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of chunks that may wait for the batch thread.
    pub chunks: usize,
    /// Whether waiting encoded batches count towards the same budget.
    pub shares_buffer: bool,
    /// The limits of a batch.
    pub limits: BatchLimits,
    /// Whether entries have timestamps of their own.
    pub dated: bool,
    /// The gzip level, 0 for none.
    pub gzip_level: u8,
    /// Number of threads that encode in parallel.
    pub encoders: usize,
    /// Bytes of encoded batches that may wait.
    pub buffer: usize,
    /// What happens when that buffer is full.
    pub on_full: OnFull,
    /// The settings of the sender.
    pub delivery: SenderSettings,
    /// Maximum bytes of lines per second.
    #[cfg(feature = "cli")]
    pub limit_rate: Option<u64>,
    /// The name of the destination in messages.
    pub target: String,
}

/// The destination of batches.
pub enum Sink {
    /// Loki, through this transport.
    Loki(Arc<dyn Transport>),
    /// Standard output.
    #[cfg(feature = "cli")]
    Print,
}

/// The files of a run.
#[derive(Clone, Default)]
pub struct Storage {
    /// Keeps batches until their outcome is known.
    #[cfg(feature = "cli")]
    pub spool: Option<Arc<Spool>>,
    /// Records how far files have been delivered.
    pub checkpoint: Option<Arc<Checkpoint>>,
    /// Whether to look for more batches of earlier runs when all are sent (`--drain`).
    pub drain: bool,
    /// Records refused entries.
    pub dead_letter: Option<Arc<DeadLetter>>,
}

/// Everything that a pipeline is created from.
pub struct PipelineParts {
    /// The settings of the stages.
    pub settings: Settings,
    /// The destination of batches.
    pub destination: Sink,
    /// The files of the run.
    pub stores: Storage,
    /// The shutdown state of the run.
    pub stop: Arc<Shutdown>,
    /// The counters of the run.
    pub counters: Arc<Counters>,
    /// Prints messages.
    pub reporter: Reporter,
    /// Called when delivery begins to fail, and when it works again.
    pub on_trouble: Option<TroubleHook>,
}

/// A running pipeline.
pub struct Pipeline {
    chunks: ByteQueue<Chunk>,
    #[cfg(feature = "cli")]
    intake: EntrySender,
    singles: SingleSender,
    backlog: Arc<DeliveryQueue>,
    trouble: LastError,
    /// The stage that failed, if one did.
    failed: Arc<OnceLock<Stage>>,
    /// The transport, if batches go to Loki.
    push: Option<Arc<dyn Transport>>,
    counters: Arc<Counters>,
    #[cfg(feature = "cli")]
    printing: Arc<crate::delivery::stdout::StdoutSink>,
}

impl PipelineParts {
    /// Starts the stages. `ended` is called when a stage ends, even by a panic.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(self, ended: impl Fn(StageEnd) + Clone + Send + 'static) -> io::Result<Pipeline> {
        let backlog = self.backlog();
        let chunks = if self.settings.shares_buffer {
            let encoded = backlog.memory();
            ByteQueue::sharing(self.settings.chunks, move || encoded.used())
        } else {
            ByteQueue::new(self.settings.chunks)
        };
        self.stop.on_change({
            let chunks = chunks.clone();
            move || chunks.wake_all()
        });
        let pipeline = Pipeline {
            singles: SingleSender::new(chunks.clone(), &self.counters, self.reporter),
            #[cfg(feature = "cli")]
            intake: EntrySender::new(
                chunks.clone(),
                self.settings.limit_rate,
                &self.stop,
                &self.counters,
                self.reporter,
            ),
            chunks,
            backlog,
            trouble: LastError::new(self.on_trouble.clone()),
            failed: Arc::default(),
            push: match &self.destination {
                Sink::Loki(push) => Some(Arc::clone(push)),
                #[cfg(feature = "cli")]
                Sink::Print => None,
            },
            counters: Arc::clone(&self.counters),
            #[cfg(feature = "cli")]
            printing: Arc::default(),
        };
        let ended = {
            let (chunks, failed) = (pipeline.chunks.clone(), Arc::clone(&pipeline.failed));
            move |end: StageEnd| {
                if end.failed {
                    // After a stage has ended, nothing must wait for its work.
                    let _ = failed.set(end.stage);
                    chunks.close_and_drain();
                }
                ended(end);
            }
        };
        self.start_batching(&pipeline, ended.clone())?;
        let chunks = pipeline.chunks.clone();
        let started = self.start_sending(&pipeline, ended);
        started.inspect_err(|_| chunks.close())?;
        Ok(pipeline)
    }

    /// The delivery queue, whose batches leave the spool when a checkpoint that covers them is on disk.
    fn backlog(&self) -> Arc<DeliveryQueue> {
        let (stores, settings) = (&self.stores, &self.settings);
        #[cfg(not(feature = "cli"))]
        let disk = None;
        #[cfg(feature = "cli")]
        let disk = stores.spool.clone().map(|spool| {
            let describe = stores.checkpoint.clone().map(describe);
            SpoolBackend::new(spool, describe, self.reporter)
        });
        let backlog = DeliveryQueue::new(
            settings.buffer,
            settings.on_full,
            disk,
            &self.stop,
            &self.counters,
            self.reporter,
        );
        let backlog = Arc::new(backlog.draining(stores.drain));
        #[cfg(feature = "cli")]
        if let Some(checkpoint) = &stores.checkpoint {
            let (before, after) = (Arc::clone(&backlog), Arc::clone(&backlog));
            let failed = Arc::clone(&backlog);
            checkpoint.on_saved(
                move || before.settled_count(),
                move |count| after.checkpointed(count),
                move || failed.make_room_for_checkpoint(),
            );
            let checkpoint = Arc::downgrade(checkpoint);
            backlog.save_checkpoint_with(Arc::new(move || {
                let checkpoint = checkpoint.upgrade();
                checkpoint.is_some_and(|checkpoint| checkpoint.save().is_ok())
            }));
        }
        backlog
    }

    fn start_batching(
        &self,
        pipeline: &Pipeline,
        ended: impl FnOnce(StageEnd) + Send + 'static,
    ) -> io::Result<()> {
        let worker = BatchWorker {
            limits: self.settings.limits,
            dated: self.settings.dated,
            gzip_level: self.settings.gzip_level,
            #[cfg(feature = "cli")]
            keeps_order: matches!(self.destination, Sink::Print),
            #[cfg(not(feature = "cli"))]
            keeps_order: false,
            encoders: self.settings.encoders,
            stop: Arc::clone(&self.stop),
        };
        let (chunks, backlog) = (pipeline.chunks.clone(), Arc::clone(&pipeline.backlog));
        Stage::Batch.start(ended, move || {
            // The stage is both the last reader and the last writer.
            let _guard = OnDrop::new(|| {
                chunks.close_and_drain();
                backlog.close();
            });
            let out = Arc::clone(&backlog);
            worker.run(&chunks, move |batch| out.push(batch));
        })
    }

    fn start_sending(
        self,
        pipeline: &Pipeline,
        ended: impl FnOnce(StageEnd) + Send + 'static,
    ) -> io::Result<()> {
        let (backlog, trouble) = (Arc::clone(&pipeline.backlog), pipeline.trouble.clone());
        #[cfg(feature = "cli")]
        let printing = Arc::clone(&pipeline.printing);
        Stage::Send.start(ended, move || match self.destination {
            #[cfg(feature = "cli")]
            Sink::Print => printing.run(&backlog, &self.stop, self.reporter),
            Sink::Loki(push) => SenderParts {
                settings: self.settings.delivery,
                transport: push,
                queue: backlog,
                counters: self.counters,
                checkpoint: self.stores.checkpoint,
                dead_letter: self.stores.dead_letter,
                shutdown: self.stop,
                reporter: self.reporter,
                target: self.settings.target,
                last_error: trouble,
                jitter: Jitter::new(seed()),
            }
            .run(),
        })
    }
}

impl Pipeline {
    /// A sender for single entries, as the library has them.
    pub fn singles(&self) -> SingleSender {
        self.singles.clone()
    }

    /// A sender for the entries of a source. Each source has its own.
    #[cfg(feature = "cli")]
    pub fn intake(&self) -> EntrySender {
        self.intake.clone()
    }

    /// Closes the input: the remaining entries are batched, encoded and sent.
    pub fn close(&self) {
        self.chunks.close();
    }

    /// Aborts requests in flight that may take until after `later_than`, each once. A connection that
    /// is being opened cannot be aborted.
    pub fn abort_slow(&self, later_than: Instant) {
        self.counters.set_tries(None);
        if let Some(push) = &self.push {
            push.abort_slow(later_than);
        }
    }

    /// The deadline of the run. Returns `None` until the final flush has begun.
    pub fn deadline(&self, shutdown: &Shutdown) -> Option<RunDeadline> {
        let state = shutdown.state();
        let since = state.flush?.since;
        let deadline = FlushDeadline::of(state, self.counters.last_accepted())?;
        let attempt = self.counters.tries();
        let is_sending = self.push.as_ref().is_some_and(|push| push.is_sending());
        Some(RunDeadline {
            breaks_off: attempt.and_then(|attempt| deadline.breaks_off(since, attempt)),
            leave: deadline.over_by(attempt.filter(|_| is_sending)) + GRACE,
        })
    }

    /// Ends delivery after the deadline: entries without an outcome stay in the spool, or count as left
    /// if there is none, even if stages are still busy.
    pub fn abandon(&self) {
        self.backlog.close_and_keep();
    }

    /// Whether everything that is not delivered yet is safe in the spool.
    #[cfg(feature = "cli")]
    pub fn is_all_spooled(&self) -> bool {
        self.backlog.is_all_spooled()
    }

    /// From now on, a full buffer drops new entries instead of blocking the writer.
    #[cfg(feature = "cli")]
    pub fn stop_blocking(&self) {
        self.backlog.stop_blocking();
    }

    /// Whether the last response was a configuration fault, which retrying cannot fix.
    #[cfg(feature = "cli")]
    pub fn is_hopeless(&self) -> bool {
        self.backlog.is_hopeless()
    }

    /// The size of all batches that wait, in memory and in the spool.
    #[cfg(feature = "cli")]
    pub fn waiting_bytes(&self) -> u64 {
        self.backlog.waiting_bytes()
    }

    /// Whether the reader of standard output has gone.
    #[cfg(feature = "cli")]
    pub fn is_unread(&self) -> bool {
        self.printing.is_unread()
    }

    /// The current delivery error, if there is one.
    pub fn trouble(&self) -> Option<String> {
        let failed = self.failed.get();
        let failed = failed.map(|stage| format!("the {} thread has failed", stage.name()));
        failed.or_else(|| self.trouble.get())
    }

    /// Whether a stage has failed, so that its entries are lost and nothing more is delivered.
    pub fn has_failed(&self) -> bool {
        self.failed.get().is_some()
    }
}

/// Describes file positions for the spool: each file as the checkpoint records it, with the offset.
#[cfg(feature = "cli")]
fn describe(checkpoint: Arc<Checkpoint>) -> Arc<DescribePositions> {
    Arc::new(move |positions| {
        let described = positions.iter().filter_map(|mark| {
            let mut record = checkpoint.describe(mark.file)?;
            record.offset = mark.offset;
            record.times.last = mark.time.or(record.times.last);
            Some(record.to_json())
        });
        described.collect()
    })
}

/// A seed for jitter that differs between processes.
fn seed() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos() as u64;
    now ^ u64::from(std::process::id()).rotate_left(32)
}

/// The deadline of a run. See [`crate::sync::flush_deadline::FlushDeadline`].
#[derive(Debug, Clone, Copy)]
pub struct RunDeadline {
    /// When requests from before the flush are aborted, and which: see [`Pipeline::abort_slow`].
    pub breaks_off: Option<(Instant, Instant)>,
    /// When the program exits even if stages are busy.
    pub leave: Instant,
}
