//! The size of the input, for the progress bar, where it is known before it is read.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, SeekFrom, fstat, seek};

use crate::app::inputs::own_files;
use crate::cli::config::{Config, Input};
use crate::input::files::STDIN;
use crate::input::size;
use crate::storage::checkpoint::Checkpoint;

/// The amount of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputSize {
    /// A pipe, a command or followed files, whose size is unknown.
    Unbounded,
    /// Files that are read to their end; their total size in bytes if it is known.
    Files(Option<u64>),
}

/// Estimates the size. `checkpoint` is a read-only copy.
pub fn estimate(config: &Config, checkpoint: Option<&Checkpoint>) -> InputSize {
    match &config.input {
        Input::Stdin => stdin().map_or(InputSize::Unbounded, |bytes| InputSize::Files(Some(bytes))),
        Input::Message(_) | Input::Drain | Input::Command { .. } => InputSize::Unbounded,
        Input::Files(files) if files.follow => InputSize::Unbounded,
        Input::Files(files) => {
            let is_stdin = |name: &PathBuf| name.as_os_str() == STDIN;
            let (given, named): (Vec<_>, Vec<_>) = files.names.iter().cloned().partition(is_stdin);
            // Standard input is read once, even if it is named several times.
            let given = if given.is_empty() { Some(0) } else { stdin() };
            let own = own_files(config);
            let is_left_out = |path: &Path| files.excluded.contain(path) || own.contain_at(path);
            let named = size::bytes(&named, files.begin, checkpoint, is_left_out);
            InputSize::Files(given.zip(named).map(|(given, named)| given + named))
        }
    }
}

/// The rest of a regular file on standard input.
fn stdin() -> Option<u64> {
    let stdin = io::stdin();
    let stat = fstat(&stdin).ok()?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return None;
    }
    let at = seek(&stdin, SeekFrom::Current(0)).ok()?;
    u64::try_from(stat.st_size).ok()?.checked_sub(at)
}
