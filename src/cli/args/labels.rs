//! Flags for labels, level, fields and time.

use clap::{Args, ValueEnum};

const HEADING: &str = "Labels, level, fields, time";

/// Where fields come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Parse {
    /// JSON lines give their members, any other line its key=val tokens.
    Auto,
    /// key=val tokens.
    Logfmt,
    /// JSON lines only.
    Json,
    /// No field and no level is read.
    None,
}

/// How an entry is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// The line as it came.
    Keep,
    /// `message | key=val key=val`.
    Line,
    /// The message, with the fields as Loki's structured metadata.
    Metadata,
}

/// What entries carry.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub struct Labels {
    /// Label `app` [default: default, or the COMMAND]
    ///
    /// In command mode it is the command's file name.
    #[arg(short, long, value_name = "NAME")]
    pub app: Option<String>,

    /// Label `env`
    #[arg(short, long, value_name = "NAME")]
    pub env: Option<String>,

    /// Label `level` where a line tells none
    ///
    /// One of trace, debug, info, warn, error, critical, fatal, or a common name for one.
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<String>,

    /// A further label (repeatable; or {a="b",c="d"})
    ///
    /// It is the same on every entry. Give each host its own, so that two do not write one stream.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,

    /// Make a label of this field (repeatable)
    ///
    /// Only for fields with few values: each label set is a stream of its own at Loki.
    #[arg(long, value_name = "NAME")]
    pub label_field: Vec<String>,

    /// How many label sets --label-field may make; past it the field stays a field
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_streams: u32,

    /// A further field on every entry (repeatable)
    #[arg(short = 'k', long, value_name = "KEY=VALUE")]
    pub field: Vec<String>,

    /// Where fields and levels are read from
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "auto",
        hide_possible_values = false
    )]
    pub parse: Parse,

    /// How an entry is laid out
    ///
    /// The message of a JSON line is its `msg`, `message` or `log.message`; beside metadata also that of a
    /// logfmt line which is nothing but fields.
    #[arg(long, value_enum, value_name = "HOW", default_value = "keep")]
    pub layout: Layout,

    /// Timestamp: arrival, prefix, or a field's name
    ///
    /// arrival: the clock. prefix: a time that begins the line. Else the field of that name. Times
    /// are RFC 3339 (without an offset it is UTC) or epoch (s, ms, µs, ns by digits). A line without a
    /// readable time gets the time of the line before.
    #[arg(long, value_name = "SOURCE", default_value = "arrival")]
    pub time: String,
}
