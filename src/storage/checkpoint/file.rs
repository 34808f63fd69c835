//! The checkpoint's file: one process has it at a time, and a crash leaves the old one or the new.
//!
//! Knows names, the lock and the frame of the format. Knows nothing of what stands in it.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::storage::lock::Lock;
use crate::storage::private_files;

/// The key that says what the file is, with the version of its format.
pub const KEY: &str = "loki_push_checkpoint";
const VERSION: u64 = 1;

/// Of a file that is replaced by renaming, the name beside it that is locked, and the one under
/// which the next is written.
const LOCK: &str = ".lock";
const NEXT: &str = ".tmp";

/// The file that a checkpoint is kept in.
pub struct CheckpointFile {
    path: PathBuf,
    /// Held as long as the process lives; None if nothing is to be written.
    lock: Option<Lock>,
}

impl CheckpointFile {
    /// Takes the file, which need not be there yet. With `writable` unset it is only looked at.
    ///
    /// # Errors
    /// If it is no file (`/dev/full` has no end), another process has it, or the lock beside it cannot
    /// be written.
    pub fn take(path: &Path, writable: bool) -> Result<Self> {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // With the links above it resolved, but not its own name: a link there is not followed.
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

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it may be written.
    pub fn is_writable(&self) -> bool {
        self.lock.is_some()
    }

    /// Whether `path` is it, or a file beside it that it is made of.
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

    /// Its content; None if there is no such file.
    ///
    /// # Errors
    /// If it cannot be read, or is not a regular file of ours.
    pub fn read(&self) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        let file = private_files::open(&self.path);
        match file.and_then(|mut file| file.read_to_end(&mut bytes)) {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error)
                .with_context(|| format!("--checkpoint: cannot read {}", self.path.display())),
        }
    }

    /// Puts a new file in the place of the old one; a crash leaves the one or the other. Its content
    /// is what [`framed`] returned.
    ///
    /// # Errors
    /// If it cannot be written; the old one stays.
    pub fn replace(&self, framed: &Value) -> io::Result<()> {
        let next = beside(&self.path, NEXT);
        private_files::replace(&self.path, &next, |file| {
            file.write_all(framed.to_string().as_bytes())?;
            file.write_all(b"\n")
        })
    }
}

/// The files that a checkpoint is made of: itself, its lock, and the next one while it is written.
pub fn files_of(path: &Path) -> [PathBuf; 3] {
    [path.to_owned(), beside(path, LOCK), beside(path, NEXT)]
}

/// Puts the frame around a content: what kind of file it is, and of which version.
pub fn framed(mut content: Value) -> Value {
    content[KEY] = VERSION.into();
    content
}

/// Reads the frame: what stands in a checkpoint of a version that this program knows.
///
/// # Errors
/// If it is none.
pub fn content(bytes: &[u8]) -> Result<Value> {
    let json: Value = serde_json::from_slice(bytes)?;
    match json.get(KEY).and_then(Value::as_u64) {
        Some(VERSION) => Ok(json),
        Some(version) => bail!("its version is {version}, this program knows {VERSION}"),
        None => bail!("it does not say `{KEY}`"),
    }
}

/// Takes the lock that keeps two processes from one checkpoint. It lies on a file beside, since
/// the checkpoint itself is another file after each write; that file stays, since a name that is
/// removed while another process opens it locks nothing.
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
