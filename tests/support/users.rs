//! A second user on the machine. Only root can act as one.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};

/// The user id of the stranger: nobody's.
pub const STRANGER: u32 = 65_534;

/// Whether tests can act as two users. Where they cannot, says so.
pub fn two_users() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can act as another user");
    }
    root
}

/// Gives a file, link or directory to the stranger, with all that is in it.
pub fn give(path: impl AsRef<Path>) {
    let path = path.as_ref();
    lchown(path, Some(STRANGER), Some(STRANGER)).expect("a new owner");
    if fs::symlink_metadata(path).expect("metadata").is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            give(entry.expect("an entry").path());
        }
    }
}

/// Sets the permission bits.
pub fn chmod(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a new mode");
}

/// The permission bits.
pub fn mode(path: impl AsRef<Path>) -> u32 {
    let meta = fs::symlink_metadata(path).expect("metadata");
    meta.permissions().mode() & 0o7777
}

/// Makes a FIFO.
pub fn fifo(path: impl AsRef<Path>) {
    mknodat(
        CWD,
        path.as_ref(),
        FileType::Fifo,
        Mode::from_raw_mode(0o666),
        0,
    )
    .expect("a FIFO");
}
