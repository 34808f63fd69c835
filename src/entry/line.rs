//! Pieces: what sources make of their input, and shaping makes entries of.
//!
//! A noun only: it holds, it does not act.

/// A line, or a part of one that is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineFragment<'a> {
    /// The bytes, without the line's end.
    pub bytes: &'a [u8],
    /// Whether a line begins with it; if not, it goes on where the piece before was cut.
    pub first: bool,
    /// The offset in the input behind this piece and its line end.
    pub end: u64,
}
