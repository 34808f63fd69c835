//! The batch thread and its sealers: chunks come in, sealed shipments go out, in order.
//!
//! The batch thread sorts entries into batches and closes them by count, cost or age; one or two
//! sealing threads compress them, so that reading and compressing overlap. Knows nothing of
//! sources, HTTP, files, counters or retrying.

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

/// Where shipments go; called in the order of their numbers.
type Out = dyn Fn(EncodedBatch) + Send + Sync;

/// So much, in bytes of chunks, is taken in whenever it is there.
const MUCH: usize = 64 * 1024;

/// Memory is given back in steps of so many bytes: whoever waits for it is not woken for each chunk.
const STEP: usize = 128 * 1024;

/// What the room needs.
pub struct BatchWorker {
    /// When a batch closes.
    pub limits: BatchLimits,
    /// Whether entries bring their own times.
    pub dated: bool,
    /// The gzip level, 0 for none.
    pub gzip_level: u8,
    /// How many threads may seal at once.
    pub sealers: usize,
    /// How the run goes on: from the first stop on, nothing waits for its time.
    pub stop: Arc<Shutdown>,
}

impl BatchWorker {
    /// Sorts and seals what comes out of `chunks` until that is closed and empty, and hands each
    /// shipment to `out`. Returns when the last one has been taken.
    ///
    /// # Panics
    /// If an encoder did: its batch is lost.
    pub fn run(
        self,
        chunks: &ByteQueue<Chunk>,
        out: impl Fn(EncodedBatch) + Send + Sync + 'static,
    ) {
        let most = self.sealers.max(1);
        let sealers = EncoderPool {
            batches: ByteQueue::new(most),
            room: ByteSemaphore::new(self.limits.bytes.saturating_mul(most)),
            turnstile: Arc::new(Sequencer::new()),
            out: Arc::new(out),
            level: self.gzip_level,
            most,
            threads: Vec::new(),
            own: None,
        };
        self.sort(chunks, sealers);
    }

    fn sort(&self, chunks: &ByteQueue<Chunk>, mut sealers: EncoderPool) {
        let mut batcher = Batcher::new(self.limits, self.dated);
        loop {
            // A batch that fills slowly is filled when it is due, not at every line: the wake-ups
            // would cost more than the lines.
            let enough = batcher.patience().min(MUCH);
            match chunks.pop_enough(batcher.due(), enough) {
                Pop::Item(chunk) => {
                    sealers.make_room(batcher.footprint() + chunk.footprint());
                    batcher.add(chunk, |batch| sealers.seal(batch));
                    // Once a stop was asked for, what was read is sent at once.
                    if self.stop.state().phase >= Phase::Draining && chunks.is_empty() {
                        batcher
                            .close()
                            .into_iter()
                            .for_each(|batch| sealers.seal(batch));
                    }
                }
                // A kick is a stop or a flush: nothing waits for its time.
                Pop::TimedOut | Pop::Kicked => batcher
                    .close()
                    .into_iter()
                    .for_each(|batch| sealers.seal(batch)),
                Pop::Ended => break,
            }
        }
        batcher
            .close()
            .into_iter()
            .for_each(|batch| sealers.seal(batch));
        if !sealers.finish() {
            resume_unwind(Box::new("an encoder thread failed"));
        }
    }
}

/// Threads that seal, started when there is work for them.
///
/// What they have of chunks shares a room with the batch that is open: as many batches as there are
/// sealers, or a third of all memory would be for one that waits. Chunks are given back as they are
/// sealed, so that the next batch grows while the sealers are at work, and these wait for nothing.
struct EncoderPool {
    batches: ByteQueue<(Batch, MemoryPermit)>,
    /// Bytes of chunks that are to be sealed.
    room: ByteSemaphore,
    turnstile: Arc<Sequencer>,
    out: Arc<Out>,
    level: u8,
    most: usize,
    threads: Vec<thread::JoinHandle<()>>,
    /// Encodes on the batch thread, where there can be no other.
    own: Option<Encoder>,
}

impl EncoderPool {
    /// Waits until there is room for so much that is not to be sealed yet, or all is sealed.
    fn make_room(&self, bytes: usize) {
        self.room.enter_while(bytes, || true);
        self.room.release(bytes);
    }

    fn seal(&mut self, batch: Batch) {
        // A trickle is served by one thread; a second one starts when the first falls behind.
        if self.threads.len() < self.most && (self.threads.is_empty() || !self.room.is_empty()) {
            self.start();
        }
        let place = MemoryPermit::take(&self.room, batch.footprint());
        if self.threads.is_empty() {
            let encoder = self.own.get_or_insert_with(|| Encoder::new(self.level));
            encode_and_pass(encoder, batch, place, &self.turnstile, &*self.out);
        } else if self.batches.push((batch, place), 1).is_err() {
            // It has said so. What it had in hand is lost: the run must end for that.
            resume_unwind(Box::new("an encoder thread failed"));
        }
    }

    /// Starts one more thread, if there can be one: those that are there do the work, or the batch
    /// thread does.
    fn start(&mut self) {
        let (batches, turnstile) = (self.batches.clone(), Arc::clone(&self.turnstile));
        let (out, level) = (Arc::clone(&self.out), self.level);
        let encode = move || {
            let _guard = FailOnPanic(&batches);
            let mut encoder = Encoder::new(level);
            while let Pop::Item((batch, place)) = batches.pop(None) {
                encode_and_pass(&mut encoder, batch, place, &turnstile, &*out);
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
    mut place: MemoryPermit,
    turnstile: &Sequencer,
    out: &Out,
) {
    let ticket = turnstile.ticket(batch.number);
    let encoded = encoder.seal(batch, |freed| place.shrink(freed));
    drop(place);
    ticket.pass(|| out(encoded));
}

/// Ends the queue of an encoder that panics: nobody may wait for it.
struct FailOnPanic<'a>(&'a ByteQueue<(Batch, MemoryPermit)>);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.abandon();
        }
    }
}

/// The room of a batch that is to be sealed, as far as it is not given back.
struct MemoryPermit {
    room: ByteSemaphore,
    bytes: usize,
    /// Freed, but not given back.
    freed: usize,
}

impl MemoryPermit {
    /// Takes it, whether it is there or not: what is in the batch is in memory.
    fn take(room: &ByteSemaphore, bytes: usize) -> Self {
        room.occupy(bytes);
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
    fn shipments_leave_in_order_whoever_sealed_them() {
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
            // Batches of very different sizes take their sealers different times.
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
        let pack = BatchWorker {
            limits,
            dated: false,
            gzip_level: 1,
            sealers: 3,
            stop: Arc::new(Shutdown::new()),
        };
        pack.run(&chunks, {
            let seen = Arc::clone(&seen);
            move |shipment| {
                let opened = encode::open(&shipment.requests[0]).unwrap();
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
            move || chunks.kick()
        });
        let limits = BatchLimits {
            entries: 10,
            bytes: 1 << 20,
            age: Duration::from_secs(3600),
        };
        let pack = BatchWorker {
            limits,
            dated: false,
            gzip_level: 0,
            sealers: 1,
            stop: Arc::clone(&stop),
        };
        thread::scope(|scope| {
            let (input, output) = (chunks.clone(), sealed.clone());
            scope.spawn(move || pack.run(&input, move |shipment| drop(output.push(shipment, 1))));
            stop.advance(Phase::Draining);
            assert!(matches!(sealed.pop(None), Pop::Item(shipment) if shipment.entries() == 1));
            chunks.close();
        });
    }
}
