//! Flags for how entries are sent.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::args::values::{parse_duration, parse_size};

/// What happens when the buffer is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnFull {
    /// The input waits.
    Block,
    /// What comes is given up.
    DropNewest,
    /// What has waited longest is given up.
    DropOldest,
}

/// How entries are sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Delivery")]
pub struct Delivery {
    /// Send a batch when it has N entries …
    ///
    /// One batch holds all streams.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub batch_size: u32,

    /// … or at this size …
    ///
    /// Counted as line + fields + 64 bytes an entry.
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_size)]
    pub batch_bytes: u64,

    /// … or at this age of its first entry
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub flush_interval: Duration,

    /// Compression; 0: plain JSON
    #[arg(long, value_name = "0..9", default_value_t = crate::batch::defaults::GZIP_LEVEL, value_parser = clap::value_parser!(u8).range(0..=9))]
    pub gzip_level: u8,

    /// Memory for batches that wait
    ///
    /// Counted as they wait, that is compressed.
    #[arg(long, value_name = "SIZE", default_value = "32MiB", value_parser = parse_size)]
    pub buffer: u64,

    /// What happens when the buffer is full
    ///
    /// `block` makes the writer wait; a service should choose drop-oldest or --spool. Files always
    /// wait, and the batch under way is never dropped.
    #[arg(long, value_enum, value_name = "POLICY", default_value = "block")]
    pub on_full: OnFull,

    /// Give a batch up after N retries [default: never]
    #[arg(long, value_name = "N")]
    pub max_retries: Option<u32>,

    /// At most so many bytes of lines a second
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub limit_rate: Option<u64>,

    /// First wait before a retry
    ///
    /// Doubled with each one, and spread by a quarter. What the server asks for (`Retry-After`) is
    /// honoured, up to 5 minutes.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub retry_backoff: Duration,

    /// Longest wait before a retry
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub max_backoff: Duration,

    /// Time for one request
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub timeout: Duration,

    /// Requests under way at once
    ///
    /// They belong to one batch and to different streams, so order within each is kept.
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
    /// at most 12 times as long.
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub linger: Duration,

    /// Keep batches here until their fate is known; the next run delivers what is left
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,

    /// The most the spool may hold
    ///
    /// Past it --on-full rules.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub spool_size: u64,

    /// fsync each batch in it, against power cuts
    #[arg(long)]
    pub spool_sync: bool,

    /// Deliver what the spool holds, then exit
    #[arg(long)]
    pub drain: bool,

    /// Keep entries that Loki refused, as JSON lines
    ///
    /// They are appended, with `time`, `labels`, `line`, `metadata` and `reason`.
    #[arg(long, value_name = "FILE")]
    pub dead_letter: Option<PathBuf>,
}
