//! Shipments: what a batch becomes when it is sealed, and what is said of it afterwards.
//!
//! Nouns only: they hold, they do not act.

use std::sync::Arc;
use std::time::Duration;

use crate::entry::Marks;
use crate::labels::Labels;

/// A sealed push request for one stream: the unit of sending and retrying, encoded exactly once.
///
/// One stream only, because Loki answers a request of several with the outcome of the last one
/// (contract, trap T1).
#[derive(Debug, Clone)]
pub struct Request {
    /// The stream.
    pub(crate) labels: Arc<Labels>,
    /// The body as it goes over the wire.
    pub(crate) body: Box<[u8]>,
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
pub struct Shipment {
    /// Rises by one from shipment to shipment.
    pub number: u64,
    /// The requests, of different streams but for those that lie more than an hour behind the
    /// others of their stream: these stand before them.
    pub requests: Vec<Request>,
    /// How far the files it came from are read with it.
    pub marks: Marks,
}

impl Shipment {
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

/// What came back from one try to send a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The server answered.
    Status {
        /// The HTTP status.
        code: u16,
        /// What the header `Retry-After` asks for.
        retry_after: Option<Duration>,
        /// The beginning of the body, or where a redirect points.
        text: String,
    },
    /// There was no answer, or none that can be read.
    Failed {
        /// What went wrong, in a few words.
        text: String,
        /// Whether only a person can mend it, as a certificate that is not trusted.
        lasting: bool,
    },
}

/// What an answer means for the request: data, not an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Loki has it.
    Delivered,
    /// The same bytes again, later.
    Later {
        /// What is wrong.
        trouble: Trouble,
        /// What the server asked us to wait.
        after: Option<Duration>,
    },
    /// Too large as it is: its halves may pass.
    Split {
        /// What is wrong.
        trouble: Trouble,
    },
    /// Loki has spoken: it does not want this, or not all of it.
    Refused {
        /// The HTTP status.
        status: u16,
        /// Loki's words.
        text: String,
    },
}

/// Why a request did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// The HTTP status; None without an answer.
    pub status: Option<u16>,
    /// The server's words, or ours.
    pub text: String,
    /// Whether only a person can mend it (a wrong address, a missing permission).
    pub lasting: bool,
}
