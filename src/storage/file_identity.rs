//! Identity: what tells one file from another, whatever it is called, and how far it was read.
//!
//! A noun of its own and not part of `source`, since the checkpoint keeps it too. Told the bytes a
//! file begins with; opens nothing, knows no directory and no entry.

use std::ffi::OsString;
use std::fs::Metadata;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// How many of the first bytes of a file are signed at most.
pub const HEAD: usize = 1024;

/// Where a file lies: the device and the inode, which a later file may take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DevInode {
    /// The device.
    pub dev: u64,
    /// The inode on it.
    pub ino: u64,
}

impl From<&Metadata> for DevInode {
    fn from(meta: &Metadata) -> Self {
        Self {
            dev: meta.dev(),
            ino: meta.ino(),
        }
    }
}

/// A hash of the first bytes of a file, up to [`HEAD`]. It is refined while the file is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    len: u32,
    hash: u64,
}

impl Fingerprint {
    /// The signature of a file that begins with these bytes.
    pub fn of(head: &[u8]) -> Self {
        let head = &head[..head.len().min(HEAD)];
        Self {
            len: head.len() as u32,
            hash: fnv(head),
        }
    }

    /// How many bytes are signed.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether as many bytes are signed as ever will be.
    pub fn is_full(&self) -> bool {
        self.len() == HEAD
    }

    /// Whether a file that begins with `head` may be the one that was signed, grown since.
    pub fn fits(&self, head: &[u8]) -> bool {
        head.len() >= self.len() && fnv(&head[..self.len()]) == self.hash
    }
}

/// FNV-1a: small, the same in every version, and good enough to tell the beginnings of logs apart.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A file and how far it was settled: what the checkpoint holds of it, and what a spooled shipment
/// must hold of each of its marks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The name it was read by.
    pub path: PathBuf,
    /// Where it lies.
    pub place: DevInode,
    /// What it begins with.
    pub signature: Fingerprint,
    /// Everything before this offset needs no reading any more.
    pub offset: u64,
    /// Whether more was known to lie behind that.
    pub unread: bool,
}

impl FileRecord {
    /// Whether this is the file that lies at `place` and begins with `head`. The numbers of devices
    /// may change from boot to boot: another one is taken if all of the head agrees.
    pub fn is(&self, place: DevInode, head: &[u8]) -> bool {
        self.place.ino == place.ino
            && (self.place.dev == place.dev || self.signature.is_full())
            && self.signature.fits(head)
    }

    /// As a JSON object.
    pub fn to_json(&self) -> Value {
        json!({
            "path": path_to_json(&self.path),
            "dev": self.place.dev,
            "ino": self.place.ino,
            "head": self.signature.len,
            "hash": format!("{:016x}", self.signature.hash),
            "offset": self.offset,
            "unread": self.unread,
        })
    }

    /// Out of what [`FileRecord::to_json`] gave; None if it is nothing of the kind.
    pub fn from_json(value: &Value) -> Option<Self> {
        let number = |key: &str| value.get(key)?.as_u64();
        let len = u32::try_from(number("head")?).ok()?;
        let hash = u64::from_str_radix(value.get("hash")?.as_str()?, 16).ok()?;
        (len as usize <= HEAD).then_some(())?;
        Some(Self {
            path: path_from_json(value.get("path")?)?,
            place: DevInode {
                dev: number("dev")?,
                ino: number("ino")?,
            },
            signature: Fingerprint { len, hash },
            offset: number("offset")?,
            // Earlier versions did not tell.
            unread: value.get("unread").and_then(Value::as_bool) == Some(true),
        })
    }
}

/// A path as JSON: a string, or, where it is no UTF-8, the list of its bytes.
pub fn path_to_json(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => text.into(),
        None => path.as_os_str().as_bytes().into(),
    }
}

/// Out of what [`path_to_json`] gave; None if it is nothing of the kind.
pub fn path_from_json(value: &Value) -> Option<PathBuf> {
    if let Some(text) = value.as_str() {
        return Some(text.into());
    }
    let bytes = value.as_array()?.iter();
    let bytes: Option<Vec<u8>> = bytes
        .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
        .collect();
    Some(OsString::from_vec(bytes?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(head: &[u8]) -> FileRecord {
        FileRecord {
            path: "/var/log/a.log".into(),
            place: DevInode { dev: 1, ino: 2 },
            signature: Fingerprint::of(head),
            offset: 7,
            unread: true,
        }
    }

    #[test]
    fn a_file_is_known_by_its_inode_and_what_it_begins_with() {
        let (here, full) = (DevInode { dev: 1, ino: 2 }, [b'x'; 2 * HEAD]);
        let at = |dev, ino| DevInode { dev, ino };
        for (why, known, place, head, same) in [
            ("the same", &b"abc"[..], here, &b"abc"[..], true),
            ("grown", b"abc", here, b"abcdef", true),
            ("a reused inode", b"abc", here, b"abX", false),
            ("cut short", b"abc", here, b"ab", false),
            ("another inode", b"abc", at(1, 3), b"abc", false),
            ("another device", b"abc", at(9, 2), b"abc", false),
            ("a device renumbered", &full, at(9, 2), &full, true),
            ("empty then, grown since", b"", here, b"abc", true),
        ] {
            assert_eq!(state(known).is(place, head), same, "{why}");
        }
        assert_eq!(Fingerprint::of(&full).len(), HEAD);
    }

    #[test]
    fn a_state_survives_json_and_a_strange_one_is_none() {
        let mut known = state(b"abc");
        assert_eq!(FileRecord::from_json(&known.to_json()), Some(known.clone()));
        known.path = OsString::from_vec(vec![b'/', 0xff]).into();
        assert_eq!(FileRecord::from_json(&known.to_json()), Some(known.clone()));
        for key in ["path", "dev", "ino", "head", "hash", "offset"] {
            let mut json = known.to_json();
            json[key] = json!({});
            assert_eq!(FileRecord::from_json(&json), None, "{key}");
        }
    }
}
