//! The batch thread and its encoders: chunks come in, encoded batches go out, in order.
//!
//! The batch thread sorts entries into batches and closes them by count, cost or age. One or two
//! encoder threads compress them, so that reading and compressing overlap.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use crate::batch::encode::Encoder;
use crate::batch::{Batch, BatchLimits, Batcher};
use crate::entry::Chunk;
use crate::entry::request::EncodedBatch;
use crate::sync::byte_semaphore::ByteSemaphore;
use crate::sync::queue::{ByteQueue, Pop};
use crate::sync::sequencer::Sequencer;
use crate::sync::shutdown::{Phase, Shutdown};

/// Receives the encoded batches in the order of their numbers.
type Out = dyn Fn(EncodedBatch) + Send + Sync;

/// The amount of queued chunks, in bytes, that wakes the batch thread at once.
const MUCH: usize = 64 * 1024;

/// The step in which memory is given back, in bytes, so that waiters are not woken for each chunk.
const STEP: usize = 128 * 1024;

/// The settings of the batch thread.
pub struct BatchWorker {
    /// When a batch closes.
    pub limits: BatchLimits,
    /// Whether entries bring their own timestamps.
    pub dated: bool,
    /// The gzip level, 0 for none.
    pub gzip_level: u8,
    /// Whether batches keep the order of the input, to be printed in it.
    pub keeps_order: bool,
    /// The maximum number of encoder threads.
    pub encoders: usize,
    /// The shutdown state: once a stop is requested, no batch waits for its age.
    pub stop: Arc<Shutdown>,
}

impl BatchWorker {
    /// Batches and encodes chunks until the queue is closed and empty, and hands each encoded batch to
    /// `out`. Returns when the last one has been handed over.
    ///
    /// # Panics
    /// If an encoder did: its batch is lost.
    pub fn run(
        self,
        chunks: &ByteQueue<Chunk>,
        out: impl Fn(EncodedBatch) + Send + Sync + 'static,
    ) {
        let most = self.encoders.max(1);
        let encoders = EncoderPool {
            batches: ByteQueue::new(most),
            room: ByteSemaphore::new(self.limits.bytes.saturating_mul(most)),
            sequencer: Arc::new(Sequencer::new()),
            out: Arc::new(out),
            level: self.gzip_level,
            keeps_order: self.keeps_order,
            most,
            threads: Vec::new(),
            own: None,
        };
        self.sort(chunks, encoders);
    }

    fn sort(&self, chunks: &ByteQueue<Chunk>, mut encoders: EncoderPool) {
        let mut batcher = Batcher::new(self.limits, self.dated);
        loop {
            // A slowly filling batch takes its chunks when it is due, not one by one: waking up would
            // cost more than the lines.
            let enough = batcher.patience().min(MUCH);
            match chunks.pop_batched(batcher.due(), enough) {
                Pop::Item(chunk) => {
                    encoders.make_room(batcher.footprint() + chunk.footprint());
                    batcher.add(chunk, |batch| encoders.encode(batch));
                    // After a stop request, entries are sent at once.
                    if self.stop.state().phase >= Phase::Draining && chunks.is_empty() {
                        batcher
                            .close()
                            .into_iter()
                            .for_each(|batch| encoders.encode(batch));
                    }
                }
                // A stop or a flush: nothing waits for its age.
                Pop::TimedOut | Pop::Woken => batcher
                    .close()
                    .into_iter()
                    .for_each(|batch| encoders.encode(batch)),
                Pop::Ended => break,
            }
        }
        batcher
            .close()
            .into_iter()
            .for_each(|batch| encoders.encode(batch));
        if !encoders.finish() {
            resume_unwind(Box::new("an encoder thread failed"));
        }
    }
}

/// Encoder threads, started when there is work for them.
///
/// Their chunks and those of the open batch share a budget of as many batches as there are encoders;
/// one more would be a third of all memory, for a batch that waits. Chunks are freed as they are
/// encoded, so the next batch grows meanwhile, and the encoders never wait.
struct EncoderPool {
    batches: ByteQueue<(Batch, MemoryPermit)>,
    /// Bytes of chunks that are still to be encoded.
    room: ByteSemaphore,
    sequencer: Arc<Sequencer>,
    out: Arc<Out>,
    level: u8,
    keeps_order: bool,
    most: usize,
    threads: Vec<thread::JoinHandle<()>>,
    /// Encodes on the batch thread, where there can be no other.
    own: Option<Encoder>,
}

impl EncoderPool {
    /// Waits until this many bytes fit beside what is being encoded, or all is encoded.
    fn make_room(&self, bytes: usize) {
        self.room.acquire_while(bytes, || true);
        self.room.release(bytes);
    }

    fn encode(&mut self, batch: Batch) {
        // One thread serves a trickle; a second one starts when the first falls behind.
        if self.threads.len() < self.most && (self.threads.is_empty() || !self.room.is_empty()) {
            self.start();
        }
        let permit = MemoryPermit::take(&self.room, batch.footprint());
        if self.threads.is_empty() {
            let encoder = self
                .own
                .get_or_insert_with(|| Encoder::new(self.level).keeping_order(self.keeps_order));
            encode_and_pass(encoder, batch, permit, &self.sequencer, &*self.out);
        } else if self.batches.push((batch, permit), 1).is_err() {
            // The thread has reported its panic. The batch that it was encoding is lost, so this thread ends
            // too, and with it the run.
            resume_unwind(Box::new("an encoder thread failed"));
        }
    }

    /// Starts one more thread, if there can be one: those that are there do the work, or the batch
    /// thread does.
    fn start(&mut self) {
        let (batches, sequencer) = (self.batches.clone(), Arc::clone(&self.sequencer));
        let (out, level, keeps_order) = (Arc::clone(&self.out), self.level, self.keeps_order);
        let encode = move || {
            let _guard = FailOnPanic(&batches);
            let mut encoder = Encoder::new(level).keeping_order(keeps_order);
            while let Pop::Item((batch, permit)) = batches.pop(None) {
                encode_and_pass(&mut encoder, batch, permit, &sequencer, &*out);
            }
        };
        let thread = thread::Builder::new().name("encode".into()).spawn(encode);
        self.threads.extend(thread);
    }

    /// Waits until all is encoded; whether it was.
    fn finish(&mut self) -> bool {
        self.batches.close();
        let ended = self.threads.drain(..).map(thread::JoinHandle::join);
        let failed = ended.filter(Result::is_err).count();
        failed == 0
    }
}

/// Encodes a batch, and hands it on when it is its turn.
fn encode_and_pass(
    encoder: &mut Encoder,
    batch: Batch,
    mut permit: MemoryPermit,
    sequencer: &Sequencer,
    out: &Out,
) {
    let turn = sequencer.turn(batch.number);
    let encoded = encoder.encode(batch, |freed| permit.shrink(freed));
    drop(permit);
    turn.run(|| out(encoded));
}

/// Ends the queue of an encoder that panics: nobody may wait for it.
struct FailOnPanic<'a>(&'a ByteQueue<(Batch, MemoryPermit)>);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.close_and_drain();
        }
    }
}

/// The memory of a batch that is being encoded, as far as it is not freed yet.
struct MemoryPermit {
    room: ByteSemaphore,
    bytes: usize,
    /// Bytes freed but not yet given back to the budget.
    freed: usize,
}

impl MemoryPermit {
    /// Takes the bytes even beyond the budget, since the batch is in memory already.
    fn take(room: &ByteSemaphore, bytes: usize) -> Self {
        room.force_acquire(bytes);
        Self {
            room: room.clone(),
            bytes,
            freed: 0,
        }
    }

    fn shrink(&mut self, bytes: usize) {
        self.freed += bytes;
        if self.freed >= STEP {
            let bytes = std::mem::take(&mut self.freed).min(self.bytes);
            self.bytes -= bytes;
            self.room.release(bytes);
        }
    }
}

impl Drop for MemoryPermit {
    fn drop(&mut self) {
        self.room.release(self.bytes);
    }
}

impl Drop for EncoderPool {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::encode;
    use crate::entry::labels::Labels;
    use std::sync::Mutex;
    use std::time::{Duration, Instant};

    #[test]
    fn batches_leave_in_order_whoever_encoded_them() {
        all_leave_in_order(1 << 20);
    }

    #[test]
    fn a_room_smaller_than_any_chunk_holds_nothing_up_for_good() {
        all_leave_in_order(300);
    }

    fn all_leave_in_order(bytes: usize) {
        let (chunks, seen) = (ByteQueue::new(usize::MAX), Arc::new(Mutex::new(Vec::new())));
        let labels = Arc::new(Labels::new([("app", "x")]));
        for n in 0..500_i64 {
            let mut chunk = Chunk::new(None, Instant::now());
            let stream = chunk.stream(&labels);
            // Batches of very different sizes take their encoders different times.
            for at in 0..=(n * 7919 % 100) {
                chunk.push(stream, n * 1_000 + at, 0, &["line"], "");
            }
            chunks.push(chunk, 1).ok().unwrap();
        }
        chunks.close();
        let limits = BatchLimits {
            entries: 37,
            bytes,
            age: Duration::from_secs(60),
        };
        let worker = BatchWorker {
            limits,
            dated: false,
            gzip_level: 1,
            keeps_order: false,
            encoders: 3,
            stop: Arc::new(Shutdown::new()),
        };
        worker.run(&chunks, {
            let seen = Arc::clone(&seen);
            move |batch| {
                let opened = encode::open(&batch.requests[0]).unwrap();
                seen.lock()
                    .unwrap()
                    .extend(opened.entries().map(|entry| entry.time));
            }
        });
        let seen = seen.lock().unwrap();
        assert!(seen.is_sorted());
        assert_eq!(
            seen.len(),
            (0..500).map(|n| n * 7919 % 100 + 1).sum::<usize>()
        );
    }

    #[test]
    fn a_stop_sends_what_is_there_without_waiting_for_its_time() {
        let (chunks, sealed) = (ByteQueue::new(usize::MAX), ByteQueue::new(usize::MAX));
        let mut chunk = Chunk::new(None, Instant::now());
        let stream = chunk.stream(&Arc::new(Labels::new([("app", "x")])));
        chunk.push(stream, 1, 0, &["a"], "");
        chunks.push(chunk, 1).ok().unwrap();
        let stop = Arc::new(Shutdown::new());
        stop.on_change({
            let chunks = chunks.clone();
            move || chunks.wake_all()
        });
        let limits = BatchLimits {
            entries: 10,
            bytes: 1 << 20,
            age: Duration::from_secs(3600),
        };
        let worker = BatchWorker {
            limits,
            dated: false,
            gzip_level: 0,
            keeps_order: false,
            encoders: 1,
            stop: Arc::clone(&stop),
        };
        thread::scope(|scope| {
            let (input, output) = (chunks.clone(), sealed.clone());
            scope.spawn(move || worker.run(&input, move |batch| drop(output.push(batch, 1))));
            stop.advance(Phase::Draining);
            assert!(matches!(sealed.pop(None), Pop::Item(batch) if batch.entries() == 1));
            chunks.close();
        });
    }
}
