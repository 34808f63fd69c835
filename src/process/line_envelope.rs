//! The envelope of a line, which the unwrapper removes and the entry builder uses.

use crate::parse::level::Level;

/// The metadata of a line in its envelope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Time at which the line was written, in nanoseconds since the epoch.
    pub time: Option<i64>,
    /// Name of the stream, such as `stdout`.
    pub stream: Option<String>,
    pub level: Option<Level>,
    /// Additional fields of the line.
    pub fields: Vec<(String, String)>,
    /// Offset in the text at which the line itself starts.
    pub inner: usize,
}
