//! What stood around a line: the noun that the unwrapper makes and the entry builder uses.

use crate::parse::level::Level;

/// What an envelope says of its line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// When the line was written.
    pub time: Option<i64>,
    /// The stream it was written to.
    pub stream: Option<String>,
    /// How severe it is.
    pub level: Option<Level>,
    /// Fields of the line.
    pub fields: Vec<(String, String)>,
    /// Where in the text the line itself begins.
    pub inner: usize,
}
