//! The files that this process writes, which it must not read: each of their lines would add another.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, fstat};

use crate::storage::file_identity::DevInode;

/// The files that this process writes.
#[derive(Debug, Clone, Default)]
pub struct OwnFiles {
    /// Standard output and standard error, if they are files.
    streams: Vec<DevInode>,
    /// Files that may be replaced or created later.
    paths: Vec<PathBuf>,
    /// A file that is replaced repeatedly. Its temporary names begin with its name.
    replaced: Option<PathBuf>,
    /// Folders from which nothing is read.
    folders: Vec<PathBuf>,
}

impl OwnFiles {
    /// Collects standard output, standard error, these files and these folders.
    pub fn new(paths: Vec<PathBuf>, replaced: Option<PathBuf>, folders: Vec<PathBuf>) -> Self {
        let streams = [
            regular_file(std::io::stdout()),
            regular_file(std::io::stderr()),
        ];
        Self {
            streams: streams.into_iter().flatten().collect(),
            paths,
            replaced,
            folders,
        }
    }

    /// Whether the file at a path, of this device and inode, is one of them.
    pub fn contain(&self, path: &Path, at: DevInode) -> bool {
        let is_at = |own: &PathBuf| fs::metadata(own).is_ok_and(|own| DevInode::from(&own) == at);
        self.streams.contains(&at)
            || self.paths.iter().any(is_at)
            || self.is_replaced(path)
            || !self.folders.is_empty() && path.ancestors().skip(1).any(|dir| self.is_folder(dir))
    }

    /// Whether the regular file at a path is one of them. A temporary file may be gone already.
    pub fn contain_at(&self, path: &Path) -> bool {
        match fs::metadata(path) {
            Ok(meta) => meta.is_file() && self.contain(path, DevInode::from(&meta)),
            Err(_) => self.is_replaced(path),
        }
    }

    /// Whether standard input is one of them, which would grow while it is read.
    pub fn contain_stdin(&self) -> bool {
        let Some(stdin) = regular_file(std::io::stdin()) else {
            return false;
        };
        let is_it =
            |path: &PathBuf| fs::metadata(path).is_ok_and(|own| DevInode::from(&own) == stdin);
        self.streams.contains(&stdin) || self.paths.iter().any(is_it)
    }

    /// Whether a path is that of the file that is replaced repeatedly, or a temporary one. Each
    /// of them is another file, so it is known by its name.
    fn is_replaced(&self, path: &Path) -> bool {
        let Some(own) = &self.replaced else {
            return false;
        };
        let name = |path: &Path| path.file_name().map(|name| name.as_bytes().to_owned());
        let (Some(name), Some(own_name)) = (name(path), name(own)) else {
            return false;
        };
        let is_named = name.strip_prefix(&*own_name).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(b".") && rest.ends_with(b".tmp")
        });
        is_named && is_same_folder(folder_of(path), folder_of(own))
    }

    /// Whether a folder is one of those whose contents are never read.
    fn is_folder(&self, folder: &Path) -> bool {
        self.folders.iter().any(|own| is_same_folder(own, folder))
    }
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().unwrap_or(Path::new(""));
    if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    }
}

fn is_same_folder(one: &Path, other: &Path) -> bool {
    let at = |path: &Path| fs::metadata(path).ok().map(|meta| DevInode::from(&meta));
    one == other || at(one).is_some() && at(one) == at(other)
}

fn regular_file(stream: impl AsFd) -> Option<DevInode> {
    let stat = fstat(stream).ok()?;
    let is_regular = FileType::from_raw_mode(stat.st_mode).is_file();
    is_regular.then_some(DevInode {
        dev: stat.st_dev as _,
        ino: stat.st_ino,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_is_known_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name| dir.path().join(name);
        let own = OwnFiles::new(Vec::new(), Some(at("m.prom")), Vec::new());
        assert!(own.contain_at(&at("m.prom.7.tmp")));
        assert!(!own.contain_at(&at("app.prom.7.tmp")));
        assert!(!own.contain_at(&at("m.prom.old")));
    }
}
