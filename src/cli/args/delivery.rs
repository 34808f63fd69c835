//! Flags for how entries are sent.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::args::values::{parse_duration, parse_size, parse_switch};

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
    match (text, parse_switch(text)) {
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

    /// After the end of input, give up when nothing was accepted for this long
    ///
    /// After a signal it is the total. One last try is made when it ends; where Loki hangs, so
    /// that it is over by then. A request is given half a second at least.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub flush_timeout: Duration,

    /// How long a pipe is still read after a stop was asked for
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

    /// Keep entries that Loki refused, as JSON lines
    ///
    /// They are appended, with `time`, `labels`, `line`, `metadata` and `reason`.
    #[arg(long, value_name = "FILE")]
    pub dead_letter: Option<PathBuf>,
}
