//! Options of labels, level, fields and time.

use clap::Args;

use crate::parse::fields::Parse;
use crate::process::layout::Layout;

const HEADING: &str = "Labels, level, fields, time";

/// What entries carry.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields have the names of the options"
)]
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

    /// Label `host`: the name of this machine, or NAME
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub host: Option<String>,

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

    /// Make labels of the named groups that match a file's path
    ///
    /// For example '/pods/(?<namespace>[^_]+)_(?<pod>[^_]+)_'. The path is the one under which the file
    /// was first opened, so that rotation does not change the labels. Labels set by other options win.
    #[arg(long, value_name = "REGEX")]
    pub path_labels: Option<String>,

    /// Turn this field into a label (repeatable)
    ///
    /// Only for fields with few values: each label set is a stream of its own in Loki.
    #[arg(long, value_name = "NAME")]
    pub label_field: Vec<String>,

    /// Maximum label sets from --label-field and --path-labels; beyond it no label is made
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
    /// The message of a JSON line is its `msg`, `message`, `event`, `log`, `body` or the like; with
    /// `metadata`, also the `msg` of a line that is nothing but fields. Of text, the fields that end the
    /// line are moved out of it; others are copied.
    #[arg(long, value_enum, value_name = "HOW", default_value = "keep")]
    pub layout: Layout,

    /// Timestamps: arrival, auto (from the line), or a field's name [default: arrival]
    ///
    /// arrival: the clock. auto: the time in the first 128 bytes of the line, or in a JSON line the
    /// member that names one; its form is found out for each input. Else the field of that name. A
    /// line without a time of its own gets that of the line before. A file in which no time can be
    /// read is not shipped. `prefix` is another name for auto.
    #[arg(long, value_name = "SOURCE")]
    pub time: Option<String>,

    /// Form of the times, in strptime's terms; implies --time auto
    ///
    /// It is looked for in the first 128 bytes of the line, or in the field that --time names.
    /// Example: '%d/%b/%Y:%H:%M:%S %z'.
    #[arg(long, value_name = "FORMAT")]
    pub time_format: Option<String>,

    /// Time zone of times that name none: local, utc, +02:00, Europe/Berlin
    ///
    /// local is the zone in the variable TZ, or else that of /etc/localtime.
    #[arg(long, value_name = "ZONE", default_value = "local")]
    pub time_zone: String,
}
