//! Line fragments: what the sources hand to the entry builder.

/// A line, or a fragment of one that is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg(feature = "cli")]
pub struct LineFragment<'a> {
    /// The bytes, without the line's end.
    pub bytes: &'a [u8],
    /// Whether it starts a line; if not, it continues the fragment before it.
    pub first: bool,
    /// The offset in the input after this fragment and its line end.
    pub end: u64,
}
