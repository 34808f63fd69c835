//! Encoded batches and the push requests they consist of.

use std::sync::Arc;

use crate::entry::FilePositions;
use crate::entry::labels::Labels;

/// An encoded push request for one stream: the unit of sending and retrying, encoded exactly once.
///
/// It holds one stream only, because Loki answers a request of several streams with the outcome of the
/// last one (`pkg/ingester/instance.go`).
#[derive(Clone)]
pub struct Request {
    /// The stream.
    pub(crate) labels: Arc<Labels>,
    /// The body as it goes over the wire.
    pub(crate) body: Arc<[u8]>,
    /// Whether the body is gzipped.
    pub(crate) gzip: bool,
    /// How many entries it holds.
    pub(crate) entries: usize,
    /// Bytes of lines and metadata, as Loki counts them against its rate limits.
    pub(crate) bytes: usize,
    /// Its largest entry, if it was not read from a file.
    pub(crate) largest: Option<LargestEntry>,
}

/// The most bytes that an entry of a request has of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LargestEntry {
    /// Bytes of a line.
    pub line: usize,
    /// Bytes of metadata as JSON.
    pub metadata: usize,
}

/// An encoded batch: the unit of spooling and acknowledging. All lines of a file up to its position are
/// in this batch or an earlier one.
#[derive(Debug, Clone)]
pub struct EncodedBatch {
    /// Increases by one from batch to batch.
    pub number: u64,
    /// The requests, each of a different stream, except that entries more than an hour behind the others
    /// of their stream are in a request of their own, which comes first.
    pub requests: Vec<Request>,
    /// The positions of the files that are reached with this batch.
    pub positions: FilePositions,
    /// Where in the input each entry was, in the order of the requests. Only kept to be printed.
    #[cfg_attr(
        not(feature = "cli"),
        expect(dead_code, reason = "for the program to print")
    )]
    pub input_order: Vec<(u32, u32)>,
}

impl EncodedBatch {
    /// How many entries.
    pub fn entries(&self) -> usize {
        self.requests.iter().map(|request| request.entries).sum()
    }

    /// The memory of the batch while it waits, in bytes, including its acknowledgement, its queue entries
    /// and the allocator's overhead.
    pub fn footprint(&self) -> usize {
        const KEPT: usize = 512;
        let bodies: usize = self.requests.iter().map(|request| request.body.len()).sum();
        bodies + self.requests.len() * (size_of::<Request>() + 64) + size_of::<Self>() + KEPT
    }
}
