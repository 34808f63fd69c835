//! The dry run: prints batches to standard output instead of sending them.
//!
//! It takes the sender's place and not the transport's, because entries are printed in the order of
//! the input across all streams.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use crate::batch::encode;
use crate::delivery::queue::DeliveryQueue;
use crate::entry::request::EncodedBatch;
use crate::parse::timestamp::format_rfc3339;
use crate::report::counters::Fate;
use crate::report::messages::{Message, Reporter};
use crate::sync::blocking_write;
use crate::sync::blocking_write::{Cut, PollableWrite};
use crate::sync::queue::Pop;
use crate::sync::shutdown::{Phase, Shutdown};

/// Prints batches, and knows whether anybody reads them.
#[derive(Debug, Default)]
pub struct StdoutSink {
    unread: AtomicBool,
}

impl StdoutSink {
    /// Whether the reader has gone; the rest is not wanted.
    pub fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    /// Prints batches until the queue ends, a second signal arrives, or the reader goes.
    pub fn run(&self, queue: &DeliveryQueue, shutdown: &Shutdown, reporter: Reporter) {
        let mut reported = false;
        let mut report = |why: &str| {
            if !std::mem::replace(&mut reported, true) {
                reporter.say(&Message::Unwritable {
                    what: "standard output",
                    why,
                });
            }
        };
        // Not through the buffer of the standard library, so that the number of bytes written is known.
        let mut out = match io::stdout().as_fd().try_clone_to_owned() {
            Ok(out) => File::from(out),
            Err(why) => return report(&why.to_string()),
        };
        loop {
            let queued = match queue.pop(None) {
                Pop::Item(queued) => queued,
                Pop::Woken if shutdown.state().phase == Phase::Aborting => break,
                Pop::Woken | Pop::TimedOut => continue,
                Pop::Ended => break,
            };
            let Err(partial) = print(&queued.batch, &mut out) else {
                queued.ack.settle_all(Fate::Delivered);
                continue;
            };
            queued.ack.settle(partial.printed, Fate::Delivered);
            // `loki-push --dry-run | head` is common, and not a loss.
            if partial.is_closed() {
                queued.ack.settle_all(Fate::Filtered);
                self.unread.store(true, Ordering::Release);
                break;
            }
            report(&format!("{:#}", partial.why));
        }
        queue.close_and_keep();
    }
}

/// A batch that was not printed completely.
struct PartialWrite {
    /// Number of entries that were printed.
    printed: usize,
    why: anyhow::Error,
}

impl PartialWrite {
    /// Whether the reader of the output has gone, such as `head`.
    fn is_closed(&self) -> bool {
        let why = self.why.downcast_ref::<io::Error>();
        why.is_some_and(|why| why.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Prints the entries of a batch in the order of the input, as `TIME {labels} line`.
fn print(batch: &EncodedBatch, out: &mut dyn PollableWrite) -> Result<(), PartialWrite> {
    let (text, ends) = render(batch).map_err(|why| PartialWrite { printed: 0, why })?;
    blocking_write::write_all(text.as_bytes(), out).map_err(|Cut { written, why }| PartialWrite {
        printed: ends.partition_point(|&end| end <= written),
        why: why.into(),
    })
}

/// Returns the printed form of a batch, and the offset at which each entry ends.
fn render(batch: &EncodedBatch) -> Result<(String, Vec<usize>)> {
    let decoded = batch.requests.iter().map(encode::open);
    let decoded: Vec<_> = decoded.collect::<Result<_>>()?;
    let requests = batch.requests.iter().zip(&decoded);
    let entries = requests
        .flat_map(|(request, decoded)| decoded.entries().map(move |entry| (request, entry)));
    let mut entries: Vec<_> = entries.zip(&batch.input_order).collect();
    entries.sort_by_key(|(_, place)| *place);
    let (mut text, mut ends) = (String::new(), Vec::with_capacity(entries.len()));
    for ((request, entry), _) in entries {
        format_rfc3339(entry.time, &mut text);
        text.push(' ');
        text.push_str(&request.labels.to_string());
        text.push(' ');
        text.push_str(entry.line);
        if !entry.metadata.is_empty() {
            text.push(' ');
            text.push_str(entry.metadata);
        }
        text.push('\n');
        ends.push(text.len());
    }
    Ok((text, ends))
}
