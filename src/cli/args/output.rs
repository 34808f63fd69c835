//! Options of the output, and what the program prints instead of shipping.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

/// The form of the summary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Summary {
    /// One line of text
    Text,
    /// One JSON object
    Json,
}

/// When progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// When stderr is a terminal and the input a file
    Auto,
    /// Also for pipes; as lines where stderr is not a terminal
    Always,
    /// Never
    Never,
}

/// A document that the program contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Document {
    /// The man page
    Man,
    /// The completion script for bash
    Bash,
    /// The completion script for zsh
    Zsh,
    /// The completion script for fish
    Fish,
}

impl Document {
    /// The text, as it is committed.
    pub fn text(self) -> &'static str {
        match self {
            Self::Man => include_str!("../../../man/loki-push.1"),
            Self::Bash => include_str!("../../../completions/loki-push.bash"),
            Self::Zsh => include_str!("../../../completions/_loki-push"),
            Self::Fish => include_str!("../../../completions/loki-push.fish"),
        }
    }
}

/// What is printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Pass the input through unchanged, at once
    ///
    /// stdin to stdout; in command mode stdout to stdout and stderr to stderr. With --on-full block,
    /// a full buffer also stalls the program reading this output; use drop-oldest there.
    #[arg(short, long)]
    pub tee: bool,

    /// Send nothing; print each entry as `TIME {labels} line`
    #[arg(long)]
    pub dry_run: bool,

    /// Print a summary on stderr at the end: entries by outcome
    ///
    /// One line of text, or one JSON object.
    #[arg(long, value_enum, value_name = "FORM")]
    pub summary: Option<Summary>,

    /// Write counters and gauges to this file, in Prometheus' text format
    ///
    /// Written every 15 s and at the end, by one rename, for node_exporter's textfile collector:
    /// entries by outcome, bytes, requests, retries, seconds since the last delivery, and what is
    /// waiting.
    #[arg(long, value_name = "FILE")]
    pub metrics_file: Option<PathBuf>,

    /// Show a bar with rate and time left
    ///
    /// auto: where standard error is a terminal and the input is files that are read to their end.
    /// always: also for pipes, with what was read so far; without a terminal, or if --tee writes to
    /// it, a plain line every 10 s instead.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub progress: Progress,

    /// Test the connection and explain how to fix what fails
    ///
    /// URL, TLS, credentials, tenant and clock; one entry with the labels of the run is pushed and
    /// read back. No input is read. Exit status 0 if entries reach Loki, else 1.
    #[arg(long)]
    pub check: bool,

    /// Print the man page or a completion script
    ///
    /// For example: source <(loki-push --generate bash)
    #[arg(long, value_enum, value_name = "WHAT")]
    pub generate: Option<Document>,

    /// Print errors only
    #[arg(short, long)]
    pub quiet: bool,

    /// Also print retries, batches and refused lines
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub verbose: bool,
}
