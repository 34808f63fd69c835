//! A followed path, and the file that has it.

use std::path::PathBuf;

use crate::entry::FileId;
use crate::input::follow::tail::FileStamp;
use crate::input::follow::unavailable::PathStatus;
use crate::input::open_file::{FileTimes, StartAt};
use crate::storage::checkpoint::key;
use crate::storage::file_identity::DevInode;

/// Where to start in the next file that appears at a path and was not met before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Where the options say: it was there when we came.
    AsGiven(StartAt),
    /// At its start: it appeared later.
    New,
    /// At the end that it had when we came, if it is the same file: it could not be opened then.
    Remembered(DevInode, u64),
}

/// A followed path.
pub struct FollowedPath {
    /// The path as it was given.
    pub path: PathBuf,
    /// The same as the checkpoint's key.
    pub key: PathBuf,
    /// Whether a pattern matched it: then it may go.
    pub of_pattern: bool,
    /// The tick of the next look.
    pub due: u64,
    /// Ticks between two looks.
    pub period: u64,
    /// Where to start in the next file.
    pub start: Start,
    /// The file that has the path, or had it last; open or not.
    pub file: Option<FileId>,
    /// The times of that file when it was closed.
    pub last_times: Option<FileTimes>,
    /// Whether that is open and still has the path.
    pub is_attached: bool,
    /// That file as it was when it was closed while it had the path.
    pub closed: Option<(DevInode, FileStamp)>,
    /// Whether nothing was opened by the path yet.
    pub is_fresh: bool,
    /// Whether the path is missing or cannot be read.
    pub status: PathStatus,
}

impl FollowedPath {
    /// A path that was not looked at yet.
    pub fn new(path: PathBuf, start: StartAt, of_pattern: bool) -> Self {
        Self {
            key: key(&path),
            path,
            of_pattern,
            due: 0,
            period: 1,
            start: Start::AsGiven(start),
            file: None,
            last_times: None,
            is_attached: false,
            closed: None,
            is_fresh: true,
            status: PathStatus::default(),
        }
    }
}
