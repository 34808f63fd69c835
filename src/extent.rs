//! How much there is to read, where that is known before.
//!
//! Knows what each kind of input is to a progress bar. Reads nothing.

use std::io;
use std::path::PathBuf;

use rustix::fs::{FileType, SeekFrom, fstat, seek};

use crate::checkpoint::Checkpoint;
use crate::config::Input;
use crate::source::ahead;
use crate::source::file::STDIN;

/// What the input is to a progress bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Nobody knows when it ends.
    Open,
    /// Files that are read to their end; how much that is, where it is known.
    Files(Option<u64>),
}

/// Looks at the input. The checkpoint is one to look at, not that of the run.
pub fn of(input: &Input, checkpoint: Option<&Checkpoint>) -> Extent {
    match input {
        Input::Stdin => stdin().map_or(Extent::Open, |bytes| Extent::Files(Some(bytes))),
        Input::Message(_) | Input::Drain | Input::Command { .. } => Extent::Open,
        Input::Files(files) if files.follow => Extent::Open,
        Input::Files(files) => {
            let is_stdin = |name: &PathBuf| name.as_os_str() == STDIN;
            let (given, named): (Vec<_>, Vec<_>) = files.names.iter().cloned().partition(is_stdin);
            // However often it is named, it is read once.
            let given = if given.is_empty() { Some(0) } else { stdin() };
            let named = ahead::bytes(&named, files.begin, checkpoint);
            Extent::Files(given.zip(named).map(|(given, named)| given + named))
        }
    }
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
