//! Options of batching, retries and the spool.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::delivery::queue::OnFull;
use crate::parse::units::{parse_bool, parse_duration, parse_size};

/// What `--drain` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainArg {
    /// No drain: the variable's `false`.
    Off,
    /// Deliver the batches for this destination.
    Own,
    /// Deliver those for another URL too.
    All,
}

/// Reads the value of `--drain`; a switch is for the variable.
fn parse_drain(text: &str) -> Result<DrainArg, String> {
    match (text, parse_bool(text)) {
        ("all", _) => Ok(DrainArg::All),
        (_, Some(true)) => Ok(DrainArg::Own),
        (_, Some(false)) => Ok(DrainArg::Off),
        (_, None) => Err("write --drain or --drain=all".into()),
    }
}

impl Delivery {
    /// Whether `--drain` is given.
    pub fn drains(&self) -> bool {
        matches!(self.drain, Some(DrainArg::Own | DrainArg::All))
    }
}

/// How entries are sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
pub struct Delivery {
    /// Send a batch at N entries
    ///
    /// A batch holds entries of all streams.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: u32,

    /// Send a batch at this size
    ///
    /// Size is line + fields + 64 bytes per entry.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    pub batch_bytes: u64,

    /// Send a batch when its oldest entry is this old
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub flush_interval: Duration,

    /// Compression level; 0 sends plain JSON
    #[arg(long, value_name = "0..9", default_value_t = crate::batch::encode::GZIP_LEVEL, value_parser = clap::value_parser!(u8).range(0..=9))]
    pub gzip_level: u8,

    /// Memory for batches waiting to be sent (measured compressed)
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = parse_size)]
    pub buffer: u64,

    /// What to do when the buffer is full
    ///
    /// `block` stalls the writer; services should use drop-oldest or --spool. Files always wait, and
    /// the batch being sent is never dropped.
    #[arg(long, value_enum, value_name = "POLICY", default_value = "block")]
    pub on_full: OnFull,

    /// Give up on a batch after N retries [default: keep trying]
    #[arg(long, value_name = "N")]
    pub max_retries: Option<u32>,

    /// Maximum bytes of log lines per second
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub limit_rate: Option<u64>,

    /// First wait before a retry
    ///
    /// Doubles with each retry, ±25% jitter. `Retry-After` is honoured, up to 5 minutes.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub retry_backoff: Duration,

    /// Longest wait before a retry
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub max_backoff: Duration,

    /// Give up on a request after this time
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub timeout: Duration,

    /// Concurrent requests
    ///
    /// They belong to one batch and to different streams, so the order within each stream is kept.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub connections: u16,

    /// At the end, give up after this time without progress [default: 30s, 5s where all is safe]
    ///
    /// The time counts from the end of input, or from when Loki last took something; a request
    /// under way has until --timeout. After a signal it is the total, and one last attempt is over
    /// by then. The default is 5s where nothing can be lost: for a command whose output is in the
    /// spool, and after a signal if everything is in the spool or in files with a checkpoint.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub flush_timeout: Option<Duration>,

    /// How long to keep reading a pipe after a signal
    ///
    /// A pipe that a command leaves open behind it is read until it has been silent for this long,
    /// at most 12 times as long. A named pipe that is a FILE ends when no program has had it open for
    /// writing for this long; with -f it never ends.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub linger: Duration,

    /// Keep batches in this folder until Loki has them
    ///
    /// A batch stays here until Loki has confirmed or refused it; the next run delivers the rest.
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,

    /// Maximum size of the spool
    ///
    /// Beyond it, --on-full applies.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub spool_size: u64,

    /// fsync every spooled batch (survives a power failure)
    #[arg(long)]
    pub spool_sync: bool,

    /// Deliver what the spool holds for this destination, then exit
    ///
    /// With `--drain=all` also what was meant for another URL, but never for another tenant or user.
    /// The status is 1 if something is left or was refused; entries for other destinations, and those
    /// that a running process holds, are named and do not count.
    #[arg(
        long,
        value_name = "all",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_parser = parse_drain
    )]
    pub drain: Option<DrainArg>,

    /// Append refused entries to this file, as JSON lines
    ///
    /// Each has `time`, `labels`, `line`, `metadata` and `reason`.
    #[arg(long, value_name = "FILE")]
    pub dead_letter: Option<PathBuf>,
}
