//! Options of labels, level, fields and time.

use clap::Args;

use crate::parse::fields::Parse;
use crate::process::layout::Layout;

const HEADING: &str = "Labels, level, fields, time";

/// What entries carry.
#[derive(Debug, Args)]
#[command(next_help_heading = HEADING)]
pub struct Labels {
    /// Label `app` [default: default, or the COMMAND]
    ///
    /// In command mode the default is the command's file name.
    #[arg(short, long, value_name = "NAME")]
    pub app: Option<String>,

    /// Label `env`
    #[arg(short, long, value_name = "NAME")]
    pub env: Option<String>,

    /// `level` label for lines without a recognizable level
    ///
    /// One of trace, debug, info, warn, error, critical, fatal, or a common name for one.
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<String>,

    /// Extra label for every entry (repeatable)
    ///
    /// Several at once: {a="b",c="d"}. Give each host its own label so that no two hosts write to the same stream.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub label: Vec<String>,

    /// Turn this field into a label (repeatable)
    ///
    /// Only for fields with few values: each label set is a stream of its own in Loki.
    #[arg(long, value_name = "NAME")]
    pub label_field: Vec<String>,

    /// Maximum label sets from --label-field; beyond it a field stays a field
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_streams: u32,

    /// Extra field on every entry (repeatable)
    #[arg(short = 'k', long, value_name = "KEY=VALUE")]
    pub field: Vec<String>,

    /// How to find fields and levels
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value = "auto",
        hide_possible_values = false
    )]
    pub parse: Parse,

    /// Entry format
    ///
    /// The message of a JSON line is its `msg`, `message` or `log.message`; with `metadata`, also the
    /// `msg` of a pure logfmt line.
    #[arg(long, value_enum, value_name = "HOW", default_value = "keep")]
    pub layout: Layout,

    /// Timestamp: arrival, prefix, or a field's name
    ///
    /// arrival: the clock. prefix: a timestamp at the start of the line. Anything else is taken as a
    /// field name. Times are RFC 3339 (UTC without an offset) or epoch (s, ms, µs, ns by digits). A
    /// line without a readable time gets the time of the line before.
    #[arg(long, value_name = "SOURCE", default_value = "arrival")]
    pub time: String,
}
