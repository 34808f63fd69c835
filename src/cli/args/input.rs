//! Flags for what is read.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::cli::args::values::{parse_duration, parse_size};

const HEADING: &str = "Input";

/// Where a file without a checkpoint begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// At its beginning.
    Start,
    /// At its end: only what is written from now on.
    End,
}

/// What is read.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING, next_display_order = 2)]
pub struct Input {
    /// Files to read to their end [default: stdin]
    ///
    /// `-` is standard input, which is read where no FILE is given. A name ending in `.gz` is decompressed. With -f a
    /// quoted pattern ('/var/log/app/*.log') also takes files that appear later.
    #[arg(value_name = "FILE", help_heading = HEADING, display_order = 0)]
    pub files: Vec<PathBuf>,

    /// Behind `--`: run this and ship what it prints
    ///
    /// Its stdout and stderr are read apart and get the label `stream`; its exit status becomes
    /// ours, and a closing entry tells it, with duration and line counts.
    #[arg(last = true, value_name = "COMMAND", help_heading = HEADING, display_order = 1)]
    pub command: Vec<OsString>,

    /// Follow each FILE as it grows, like tail -F
    ///
    /// By name, through rename rotation and copy-truncate; a FILE not there yet is waited for. -F is the
    /// same.
    #[arg(short = 'f', long, short_alias = 'F')]
    pub follow: bool,

    /// Where a file without a checkpoint begins [default: end with -f, else start]
    ///
    /// One that appears later, or takes the place of a followed one, is read from its start.
    #[arg(long, value_enum, value_name = "WHERE")]
    pub from: Option<From>,

    /// Remember here how far each file was settled, and go on from there next time
    ///
    /// Moved only when Loki has confirmed or refused the lines, or the spool holds them. An
    /// unterminated last line is left for next time.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,

    /// Do not ship the entry that closes a command
    ///
    /// The one that tells how it ended: exit status, duration, line counts.
    #[arg(long)]
    pub no_exit_entry: bool,

    /// Ship one entry with this text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<OsString>,

    /// Records end in NUL, not newline
    #[arg(short = '0', long)]
    pub null: bool,

    /// What matches begins an entry, other lines join it
    ///
    /// A pause of --multiline-wait, the end of input or a full entry closes it.
    #[arg(long, value_name = "REGEX")]
    pub multiline: Option<String>,

    /// How long an open multi-line entry waits for more
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub multiline_wait: Duration,

    /// Longer lines are cut into several entries
    ///
    /// No entry is larger than this as it is shipped.
    /// Loki refuses more than 256 KiB by default. Lines are cut at character boundaries; nothing
    /// is lost.
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = parse_size)]
    pub max_line_size: u64,

    /// Ship only lines that match (repeatable)
    #[arg(long, value_name = "REGEX")]
    pub include: Vec<String>,

    /// Do not ship lines that match (repeatable)
    #[arg(long, value_name = "REGEX")]
    pub exclude: Vec<String>,

    /// Remove terminal escape sequences (colours)
    #[arg(long)]
    pub strip_ansi: bool,
}
