//! Shipments: what a batch becomes when it is sealed, and what is said of it afterwards.
//!
//! Nouns only: they hold, they do not act.

use std::sync::Arc;

use crate::entry::FilePositions;
use crate::entry::labels::Labels;

/// A sealed push request for one stream: the unit of sending and retrying, encoded exactly once.
///
/// One stream only, because Loki answers a request of several with the outcome of the last one
/// (contract, trap T1).
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
}

/// Everything that was sealed together: the unit of spooling, settling and acknowledging. All
/// lines of a file up to its mark are in this shipment or an earlier one.
#[derive(Debug, Clone)]
pub struct EncodedBatch {
    /// Rises by one from shipment to shipment.
    pub number: u64,
    /// The requests, of different streams but for those that lie more than an hour behind the
    /// others of their stream: these stand before them.
    pub requests: Vec<Request>,
    /// How far the files it came from are read with it.
    pub positions: FilePositions,
}

impl EncodedBatch {
    /// How many entries.
    pub fn entries(&self) -> usize {
        self.requests.iter().map(|request| request.entries).sum()
    }

    /// What it takes in memory, in bytes, with all that is kept of it while it waits: its ticket, its
    /// places in queues, and what an allocator adds.
    pub fn footprint(&self) -> usize {
        const KEPT: usize = 512;
        let bodies: usize = self.requests.iter().map(|request| request.body.len()).sum();
        bodies + self.requests.len() * (size_of::<Request>() + 64) + size_of::<Self>() + KEPT
    }
}
