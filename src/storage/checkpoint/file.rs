//! The file of a checkpoint: its lock, its format version, and its atomic replacement.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::storage::checkpoint::state::Members;
use crate::storage::lock::Lock;
use crate::storage::private_files;

/// The JSON key that marks the file as a checkpoint. Its value is the format version.
pub const KEY: &str = "loki_push_checkpoint";
const VERSION: u64 = 1;

/// The maximum size of the file, with room for two million files. Reading it takes up to six times as
/// much memory.
const MAX_SIZE: u64 = 512 << 20;

/// The suffixes of the lock file and of the temporary file.
const LOCK: &str = ".lock";
const NEXT: &str = ".tmp";

/// The suffix of the directory for batches that are being sent though the spool cannot take them.
const SENDING: &str = ".sending";

/// The file of a checkpoint.
pub struct CheckpointFile {
    path: PathBuf,
    /// The lock, held as long as the process lives; `None` if the file is only read.
    lock: Option<Lock>,
}

impl CheckpointFile {
    /// Opens the file, which may not exist yet. Unless it is `writable` it is only read.
    ///
    /// # Errors
    /// If it is not a regular file, another process uses it, or its lock file cannot be written.
    pub fn take(path: &Path, writable: bool) -> Result<Self> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // Links in the folders above are resolved, but the last component is not followed.
        let resolved = || {
            let above = fs::canonicalize(absolute.parent()?).ok()?;
            Some(above.join(absolute.file_name()?))
        };
        if writable {
            let lock = take_lock(&absolute)?;
            let path = resolved().unwrap_or(absolute);
            return Ok(Self {
                path,
                lock: Some(lock),
            });
        }
        let path = resolved().unwrap_or(absolute);
        Ok(Self { path, lock: None })
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it may be written.
    pub fn is_writable(&self) -> bool {
        self.lock.is_some()
    }

    /// Whether `path` is this file, its lock or its temporary file.
    pub fn is(&self, path: &Path) -> bool {
        let is_own = |path: &Path| {
            let own = [LOCK, NEXT].map(|ending| beside(&self.path, ending));
            path == self.path || own.iter().any(|own| path == own)
        };
        let named_alike = self.path.file_name().is_some_and(|own| {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            name.starts_with(own.as_encoded_bytes())
        });
        named_alike && fs::canonicalize(path).is_ok_and(|path| is_own(&path))
    }

    /// Reads the content. Returns `None` if the file does not exist.
    ///
    /// # Errors
    /// If it cannot be read, is not a regular file of ours, or is too large.
    pub fn read(&self) -> Result<Option<Vec<u8>>> {
        let mut file = match private_files::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.with_context(|| self.unreadable())?,
        };
        let size = file.metadata().with_context(|| self.unreadable())?.len();
        if size > MAX_SIZE {
            bail!(
                "{}: it is larger than {} MiB; move it away to start over, with each file where \
                 --from says",
                self.unreadable(),
                MAX_SIZE >> 20
            );
        }
        let mut bytes = Vec::with_capacity(size as usize);
        let read = (&mut file).take(MAX_SIZE).read_to_end(&mut bytes);
        read.with_context(|| self.unreadable())?;
        Ok(Some(bytes))
    }

    fn unreadable(&self) -> String {
        format!("--checkpoint: cannot read {}", self.path.display())
    }

    /// Replaces the file atomically. `content` is the result of [`framed`].
    ///
    /// # Errors
    /// If it cannot be written; the old one stays.
    pub fn replace(&self, content: &[u8]) -> io::Result<()> {
        let next = beside(&self.path, NEXT);
        private_files::replace(&self.path, &next, true, |file| file.write_all(content))
    }
}

/// The files of a checkpoint: the checkpoint itself, its lock and its temporary file.
pub fn files_of(path: &Path) -> [PathBuf; 3] {
    [path.to_owned(), beside(path, LOCK), beside(path, NEXT)]
}

/// The directory for batches that are being sent though the spool cannot take them.
pub fn sending(path: &Path) -> PathBuf {
    beside(path, SENDING)
}

/// Returns the content of the file: a JSON object with its kind, the format version, and the members
/// that `write` appends.
pub fn framed(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = format!("{{\"{KEY}\":{VERSION},").into_bytes();
    write(&mut out);
    out.extend_from_slice(b"}\n");
    out
}

/// Returns the members of a checkpoint whose format version this program supports.
///
/// # Errors
/// If the text is not such a checkpoint.
pub fn members(bytes: &[u8]) -> Result<Members<'_>> {
    let members: Members<'_> = serde_json::from_slice(bytes)?;
    let version = members.get(KEY).and_then(|value| value.get().parse().ok());
    match version {
        Some(VERSION) => Ok(members),
        Some(version) => bail!("its version is {version}, this program reads {VERSION}"),
        None => bail!("`{KEY}` is missing"),
    }
}

/// Takes the lock that prevents two processes from using one checkpoint. It is on a file of its own,
/// because each write replaces the checkpoint. The lock file is never removed: another process may just
/// be opening it, and would then hold a lock on a removed file.
fn take_lock(path: &Path) -> Result<Lock> {
    let beside = beside(path, LOCK);
    let file = private_files::open_to_lock(&beside).with_context(|| {
        format!(
            "--checkpoint: cannot write to {}",
            path.parent().unwrap_or(path).display()
        )
    })?;
    match Lock::take(file).with_context(|| format!("cannot lock {}", beside.display()))? {
        Some(lock) => Ok(lock),
        None => bail!(
            "--checkpoint: {} is in use by another loki-push; give each one of its own",
            path.display()
        ),
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}
