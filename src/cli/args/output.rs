//! Flags for what the program says.

use clap::{ArgAction, Args, ValueEnum};

/// How the summary is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Summary {
    /// A line.
    Text,
    /// A JSON object.
    Json,
}

/// When progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// When stderr is a terminal and the input a file.
    Auto,
    /// For pipes, too; as lines where stderr is no terminal.
    Always,
    /// Never.
    Never,
}

/// What is said.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Pass the input through unchanged, at once
    ///
    /// stdin to stdout; in command mode stdout to stdout and stderr to stderr. When the buffer is
    /// full, --on-full block holds up whoever reads along: give drop-oldest there.
    #[arg(short, long)]
    pub tee: bool,

    /// Send nothing; print each entry as `TIME {labels} line`
    #[arg(long)]
    pub dry_run: bool,

    /// Say what became of all entries, at the end on stderr
    ///
    /// The counts by fate: a line of text, or a JSON object on one line.
    #[arg(long, value_enum, value_name = "FORM")]
    pub summary: Option<Summary>,

    /// A bar with rate and time left
    ///
    /// auto: where standard error is a terminal and the input is files that are read to their end.
    /// always: for pipes, too, with what was read so far; and where there is no terminal to draw
    /// on, or what --tee passes on goes there, a plain line every 10 s in place of the bar.
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    pub progress: Progress,

    /// Test the way to Loki, and say what failed and what to do
    ///
    /// Address, TLS, credentials, tenant and clock; one entry with the labels of the run is pushed
    /// and read back. Nothing is read. Exit status 0 if entries reach Loki, else 1.
    #[arg(long)]
    pub check: bool,

    /// Say only errors
    #[arg(short, long)]
    pub quiet: bool,

    /// Say retries, batches and refused lines, too
    #[arg(short, long, action = ArgAction::SetTrue)]
    pub verbose: bool,
}
