//! Options of the input.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::input::open_file::StartAt;
use crate::parse::units::{parse_duration, parse_size};

const HEADING: &str = "Input";

/// What is taken off each line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Unwrap {
    /// Nothing.
    None,
    /// Whatever the first lines have.
    Auto,
    /// Docker's json-file log.
    Docker,
    /// The log of Kubernetes' container runtimes.
    Cri,
    /// `journalctl -o json`.
    Journald,
}

/// What is read.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING, next_display_order = 2)]
pub struct Input {
    /// Files to ship, each to its end [default: stdin]
    ///
    /// `-` is standard input, as is no FILE at all. A name ending in `.gz` is decompressed. With -f
    /// a quoted pattern ('/var/log/app/*.log') also takes files that appear later.
    #[arg(value_name = "FILE", help_heading = HEADING, display_order = 0)]
    pub files: Vec<PathBuf>,

    /// After `--`: run this command and ship its output
    ///
    /// stdout and stderr are read separately and labelled `stream`; loki-push exits with the
    /// command's status, and a final entry records it with duration and line counts.
    #[arg(last = true, value_name = "COMMAND", help_heading = HEADING, display_order = 1)]
    pub command: Vec<OsString>,

    /// Follow each FILE as it grows, like tail -F
    ///
    /// Follows by name, across rename and copytruncate rotation, and waits for a FILE that does not
    /// exist yet. Same as -F.
    #[arg(short = 'f', long, short_alias = 'F')]
    pub follow: bool,

    /// Where to start in a file that has no checkpoint [default: end with -f, else start]
    ///
    /// Files that appear later, or replace a followed file, are read from the start.
    #[arg(long, value_enum, value_name = "WHERE")]
    pub from: Option<StartAt>,

    /// Record progress in this file, and resume from there
    ///
    /// It records how far each input file has been delivered. It advances only once Loki has
    /// confirmed or refused the lines, or the spool holds them. An unterminated last line is left for
    /// the next run.
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,

    /// Leave out files that match (repeatable)
    ///
    /// A pattern without `/` is compared with the file's name, any other one with its whole path.
    #[arg(long, value_name = "PATTERN")]
    pub exclude_path: Vec<String>,

    /// Do not ship the final entry that records how the command ended
    #[arg(long)]
    pub no_exit_entry: bool,

    /// Ship one entry with this text
    #[arg(short, long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<OsString>,

    /// Records are separated by NUL instead of newline
    #[arg(short = '0', long)]
    pub null: bool,

    /// A matching line starts an entry; others are appended
    ///
    /// auto: lines that begin with white space, and the other continuation lines of stack traces (Java,
    /// Kotlin, Python, Go, JavaScript, PHP, Ruby, .NET, Rust), are appended. A pause of --multiline-wait,
    /// the end of input or a full entry closes it.
    #[arg(long, value_name = "REGEX")]
    pub multiline: Option<String>,

    /// Close a multi-line entry after this pause
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub multiline_wait: Duration,

    /// Take off what a container runtime or journald puts around each line
    ///
    /// Its time becomes the entry's time (unless --time is used), its stream the label `stream`, and
    /// the parts of a line are joined. auto decides by the first lines of each input, and also takes
    /// off a prefix before JSON.
    #[arg(long, value_enum, value_name = "ENVELOPE", default_value = "none")]
    pub unwrap: Unwrap,

    /// Cut longer lines into several entries
    ///
    /// No shipped entry is larger than this. Loki refuses more than 256 KiB by default. Lines are
    /// cut at character boundaries; nothing is lost.
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = parse_size)]
    pub max_line_size: u64,

    /// Ship only lines that match (repeatable)
    #[arg(long, value_name = "REGEX")]
    pub include: Vec<String>,

    /// Do not ship lines that match (repeatable)
    #[arg(long, value_name = "REGEX")]
    pub exclude: Vec<String>,

    /// Replace what matches by [redacted] (repeatable)
    ///
    /// In everything that is shipped, spooled, written to the dead letter file or printed by --dry-run.
    /// --tee passes its input on unchanged. A pattern that matches the empty text is an error.
    #[arg(long, value_name = "REGEX")]
    pub redact: Vec<String>,

    /// Remove terminal escape sequences (colours)
    ///
    /// Of a line that was rewritten with carriage returns, as progress bars are, the last state is
    /// shipped.
    #[arg(long)]
    pub strip_ansi: bool,
}
