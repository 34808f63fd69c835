//! Flags for what is read.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::values::{parse_duration, parse_size};

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
    /// Files to read to their end, then exit; `-` is standard input
    ///
    /// Without one, standard input is read. A name ending in `.gz` is decompressed. With -f a
    /// quoted pattern ('/var/log/app/*.log') also takes files that appear later.
    #[arg(value_name = "FILE", help_heading = HEADING, display_order = 0)]
    pub files: Vec<PathBuf>,

    /// Behind `--`: run this command and ship what it prints
    ///
    /// Its stdout and stderr are read apart and get the label `stream`; its exit status becomes
    /// ours, and a closing entry tells it, with duration and line counts.
    #[arg(last = true, value_name = "COMMAND", help_heading = HEADING, display_order = 1)]
    pub command: Vec<OsString>,

    /// Keep following each FILE by name as it grows, like tail -F
    ///
    /// Through rename rotation and copy-truncate; a FILE not there yet is waited for. -F is the
    /// same.
    #[arg(short = 'f', long, short_alias = 'F')]
    pub follow: bool,

    /// Where a file without a checkpoint begins [default: end with -f, else start]
    #[arg(long, value_enum, value_name = "WHERE")]
    pub from: Option<From>,

    /// Remember here how far each file was settled, and go on from there next time
    ///
    /// Moved only when Loki has confirmed or refused the lines, or the spool holds them. An
    /// unterminated last line is left for next time.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,

    /// In command mode, do not ship the closing entry
    #[arg(long)]
    pub no_exit_entry: bool,

    /// Ship one entry with this text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<OsString>,

    /// Records end in NUL, not newline
    #[arg(short = '0', long)]
    pub null: bool,

    /// A line that matches begins an entry; others join the entry before
    ///
    /// A pause of --multiline-wait, the end of input or a full entry closes it.
    #[arg(long, value_name = "REGEX")]
    pub multiline: Option<String>,

    /// How long an open multi-line entry waits for more
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub multiline_wait: Duration,

    /// The largest entry as shipped; longer lines are cut into several entries
    ///
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

    /// Remove terminal escape sequences (colours) from lines
    #[arg(long)]
    pub strip_ansi: bool,
}
