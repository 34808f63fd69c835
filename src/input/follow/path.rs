//! A followed path, and the file at it.

use std::path::PathBuf;

use crate::entry::FileId;
use crate::input::follow::tail::FileStamp;
use crate::input::follow::unavailable::PathStatus;
use crate::input::open_file::{FileTimes, StartAt};
use crate::storage::checkpoint::key;
use crate::storage::file_identity::DevInode;

/// Where to start in the next unknown file at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// As configured: the file existed at the start.
    AsGiven(StartAt),
    /// At the beginning: the file appeared later.
    New,
    /// At the size that the file had at the start, when it could not be opened, if it is the same file.
    Remembered(DevInode, u64),
}

/// A followed path.
pub struct FollowedPath {
    /// The path as given.
    pub path: PathBuf,
    /// The canonical path, as in the checkpoint.
    pub key: PathBuf,
    /// Whether the path comes from a pattern, so that it is dropped when the file disappears.
    pub of_pattern: bool,
    /// The tick at which the path is checked next.
    pub due: u64,
    /// Number of ticks between two checks.
    pub period: u64,
    /// Where to start in the next unknown file.
    pub start: Start,
    /// The current or last file at the path, whether open or closed.
    pub file: Option<FileId>,
    /// The times of that file when it was closed.
    pub last_times: Option<FileTimes>,
    /// Whether that file is open and still at the path.
    pub is_attached: bool,
    /// The state of that file when it was closed while still at the path.
    pub closed: Option<(DevInode, FileStamp)>,
    /// Whether no file was opened at the path yet.
    pub is_fresh: bool,
    /// Whether the path is missing or cannot be read.
    pub status: PathStatus,
}

impl FollowedPath {
    /// Creates a path that was not checked yet.
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
