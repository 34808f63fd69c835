//! What is derived from the name of a file.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::entry::labels::MAX_VALUE;

/// The value of the label `filename`: the path, shortened to what Loki accepts in a label.
pub fn label(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\u{FFFD}', "?");
    // The end is more informative than the beginning.
    let from = text.len().saturating_sub(MAX_VALUE);
    let from = (from..=text.len())
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    text[from..].to_owned()
}

/// Whether the name ends in `.gz`.
pub fn is_gzip(name: &Path) -> bool {
    name.extension() == Some(OsStr::new("gz"))
}

/// Sorts paths by the time of the last write, oldest first. Missing files come last, to be reported.
pub fn oldest_first(paths: &mut [PathBuf]) {
    paths.sort_by_cached_key(|path| {
        let modified = fs::metadata(path).and_then(|meta| meta.modified()).ok();
        (Reverse(modified.is_some()), modified)
    });
}
