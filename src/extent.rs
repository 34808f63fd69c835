//! How much there is to read, where that is known before.
//!
//! Knows the file system. Reads nothing.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fs::{FileType, SeekFrom, fstat, seek};

use crate::config::Input;
use crate::source::file::STDIN;

/// What the input is to a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Nobody knows when it ends.
    Open,
    /// Files that are read to their end; how much that is, where it is known.
    Files(Option<u64>),
}

/// Looks at the input.
pub fn of(input: &Input) -> Extent {
    match input {
        Input::Stdin => stdin().map_or(Extent::Open, |bytes| Extent::Files(Some(bytes))),
        Input::Message(_) | Input::Drain | Input::Command { .. } => Extent::Open,
        Input::Files(files) if files.follow => Extent::Open,
        Input::Files(files) => {
            let mut total = Some(0);
            for name in &files.names {
                // What is compressed gives more than it holds; a pattern is not looked up here.
                let bytes = if name.as_os_str() == STDIN {
                    stdin()
                } else {
                    regular(name)
                };
                total = total
                    .zip(bytes)
                    .map(|(total, bytes): (u64, u64)| total + bytes);
            }
            // A checkpoint may have the beginning behind it.
            Extent::Files(total.filter(|_| files.checkpoint.is_none()))
        }
    }
}

fn regular(path: &Path) -> Option<u64> {
    let compressed = path.extension().is_some_and(|extension| extension == "gz");
    let meta = fs::metadata(path).ok()?;
    (meta.is_file() && !compressed).then_some(meta.len())
}

/// What is left of a file on standard input.
fn stdin() -> Option<u64> {
    let stdin = io::stdin();
    let stat = fstat(&stdin).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let at = seek(&stdin, SeekFrom::Current(0)).ok()?;
    u64::try_from(stat.st_size).ok()?.checked_sub(at)
}
