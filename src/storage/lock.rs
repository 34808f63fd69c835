//! A file lock that is released when it is dropped.

use std::fs::{File, TryLockError};
use std::io;

/// A lock on a file, which is held as long as this value exists.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes the lock, or returns None if another process has it.
    pub fn take(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// The locked file.
    pub fn file(&self) -> &File {
        &self.0
    }
}

/// Unlocks explicitly, since closing the file releases the lock only with the last copy of the
/// descriptor, and a child process has a copy between fork and exec.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_goes_with_its_owner_though_a_child_being_born_has_a_copy() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::create(dir.path().join("lock")).unwrap();
        let lock = Lock::take(open()).unwrap().expect("nobody has it");
        assert!(Lock::take(open()).unwrap().is_none());
        let _copy = lock.file().try_clone().unwrap();
        drop(lock);
        assert!(Lock::take(open()).unwrap().is_some());
    }
}
