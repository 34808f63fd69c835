//! The files that this process writes, which it must not read: each line of them would make more.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, fstat};

use crate::storage::file_identity::DevInode;

/// The files that this process writes.
#[derive(Debug, Clone, Default)]
pub struct OwnFiles {
    /// Standard output and standard error, where they are files.
    streams: Vec<DevInode>,
    /// Files that may be replaced or made later.
    paths: Vec<PathBuf>,
    /// Folders of which nothing is read.
    folders: Vec<PathBuf>,
}

impl OwnFiles {
    /// Standard output and standard error, these files and these folders.
    pub fn new(paths: Vec<PathBuf>, folders: Vec<PathBuf>) -> Self {
        let streams = [
            regular_file(std::io::stdout()),
            regular_file(std::io::stderr()),
        ];
        Self {
            streams: streams.into_iter().flatten().collect(),
            paths,
            folders,
        }
    }

    /// Whether the file at a path, of this device and inode, is one of them.
    pub fn contain(&self, path: &Path, at: DevInode) -> bool {
        let is_at = |own: &PathBuf| fs::metadata(own).is_ok_and(|own| DevInode::from(&own) == at);
        self.streams.contains(&at)
            || self.paths.iter().any(is_at)
            || !self.folders.is_empty() && path.ancestors().skip(1).any(|dir| self.is_folder(dir))
    }

    /// Whether a folder is one of those of which nothing is read.
    fn is_folder(&self, folder: &Path) -> bool {
        let at = |path: &Path| fs::metadata(path).ok().map(|meta| DevInode::from(&meta));
        let Some(folder) = at(folder) else {
            return false;
        };
        self.folders.iter().any(|own| at(own) == Some(folder))
    }
}

fn regular_file(stream: impl AsFd) -> Option<DevInode> {
    let stat = fstat(stream).ok()?;
    let is_regular = FileType::from_raw_mode(stat.st_mode).is_file();
    is_regular.then_some(DevInode {
        dev: stat.st_dev as _,
        ino: stat.st_ino,
    })
}
