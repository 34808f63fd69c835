//! The identity of a file, independent of its name, and how far it has been read.
//!
//! A file is identified by device and inode as long as these exist. Otherwise it is identified by its
//! content: a digest of the first 4 KiB, and one of the 64 KiB before the offset up to which it was read.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::entry::TimestampState;

/// Maximum number of bytes at the beginning of a file that are compared.
pub const HEAD: usize = 4 * 1024;

/// Maximum number of bytes before the offset that are compared.
const TAIL: usize = 64 * 1024;

/// Device and inode of a file. After a file is deleted, a new one may get the same pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DevInode {
    /// The device.
    pub dev: u64,
    /// The inode number.
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

/// The content of a file, readable from any offset.
pub trait Content {
    /// Reads into `buffer` from `offset` on; 0 at the end.
    ///
    /// # Errors
    /// Those of reading.
    fn read_from(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Reads the bytes from `offset` on, at most `len`, fewer only at the end.
    ///
    /// # Errors
    /// Those of reading.
    fn read_bytes(&mut self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let (mut bytes, mut filled) = (vec![0; len], 0);
        while filled < len {
            match self.read_from(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }
}

impl Content for &File {
    fn read_from(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.read_at(buffer, offset)
    }
}

/// A hash of some bytes, and their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Digest {
    len: u32,
    hash: u64,
}

impl Digest {
    fn of(bytes: &[u8]) -> Self {
        Self {
            len: bytes.len() as u32,
            hash: fnv(bytes),
        }
    }

    fn fits(self, bytes: &[u8]) -> bool {
        bytes.len() == self.len as usize && (bytes.is_empty() || fnv(bytes) == self.hash)
    }
}

/// FNV-1a: small, the same in every version, and good enough to tell logs apart.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Digests of the part of a file that had been read at some time: of its first bytes, and of the last
/// ones before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fingerprint {
    head: Digest,
    tail: Digest,
    end: u64,
}

impl Fingerprint {
    /// Computes the fingerprint of the content before `end`.
    ///
    /// # Errors
    /// Those of reading.
    pub fn of(content: &mut impl Content, end: u64) -> io::Result<Self> {
        let head = content.read_bytes(0, end.min(HEAD as u64) as usize)?;
        let tail = if end > HEAD as u64 {
            let len = end.min(TAIL as u64);
            content.read_bytes(end - len, len as usize)?
        } else {
            last_lines(&head).to_vec()
        };
        let expected = if end > HEAD as u64 {
            (HEAD, end.min(TAIL as u64) as usize)
        } else {
            (end as usize, tail.len())
        };
        if (head.len(), tail.len()) != expected {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self {
            head: Digest::of(&head),
            tail: Digest::of(&tail),
            end,
        })
    }

    /// The offset up to which the content is covered; 0 if nothing had been read.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether `content` agrees with both digests.
    ///
    /// # Errors
    /// Those of reading.
    pub fn fits(&self, content: &mut impl Content) -> io::Result<bool> {
        Ok(self.fits_head(content)? && self.fits_tail(content)?)
    }

    /// Whether `content` agrees with the digest of the first bytes.
    ///
    /// # Errors
    /// Those of reading.
    pub fn fits_head(&self, content: &mut impl Content) -> io::Result<bool> {
        let head = content.read_bytes(0, self.head.len as usize)?;
        Ok(self.head.fits(&head))
    }

    /// Whether `content` agrees with the digest of the last bytes.
    ///
    /// # Errors
    /// Those of reading.
    pub fn fits_tail(&self, content: &mut impl Content) -> io::Result<bool> {
        let len = self.tail.len;
        let tail = content.read_bytes(self.end - u64::from(len), len as usize)?;
        Ok(self.tail.fits(&tail))
    }

    /// Whether the digests of the first bytes agree.
    pub fn begins_alike(&self, other: &Self) -> bool {
        self.head == other.head
    }

    /// Whether the last bytes contain a whole line besides the first one, so that their agreement alone
    /// identifies the file.
    pub fn has_tail(&self) -> bool {
        self.tail.len > 0
    }
}

/// The whole lines in the second half of a short text, without its first line.
fn last_lines(text: &[u8]) -> &[u8] {
    let half = text.len() / 2;
    let start = memchr::memchr(b'\n', &text[half.saturating_sub(1)..]);
    let start = start.map_or(text.len(), |at| half.saturating_sub(1) + at + 1);
    &text[start..]
}

/// The record of a file in the checkpoint, and in a spooled batch for each of its positions: its
/// identity, and the offset up to which its lines are settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// The path by which it was first read.
    pub path: PathBuf,
    /// The device and inode.
    pub at: DevInode,
    /// The fingerprint of the content that was read.
    pub fingerprint: Fingerprint,
    /// Everything before this offset is settled.
    pub offset: u64,
    /// The size when it was last checked.
    pub size: u64,
    /// The form of its times, and the time of its last settled line.
    pub times: TimestampState,
}

impl FileRecord {
    /// Number of bytes known to follow the settled ones.
    pub fn unread(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }

    /// Converts the record to a JSON object.
    pub fn to_json(&self) -> Value {
        let Fingerprint { head, tail, end } = self.fingerprint;
        json!({
            "path": path_to_json(&self.path),
            "dev": self.at.dev,
            "ino": self.at.ino,
            "head": head.len,
            "hash": format!("{:016x}", head.hash),
            "tail": tail.len,
            "tail_hash": format!("{:016x}", tail.hash),
            "tail_end": end,
            "offset": self.offset,
            "size": self.size,
            "times": self.times.form,
            "last_time": self.times.last,
            // For earlier versions.
            "unread": self.size > self.offset,
        })
    }

    /// Parses the output of [`FileRecord::to_json`]. Returns `None` if it is incomplete or corrupt.
    pub fn from_json(value: &Value) -> Option<Self> {
        let number = |key: &str| value.get(key)?.as_u64();
        let digest = |len: &str, hash: &str| {
            let len = u32::try_from(number(len)?).ok()?;
            let hash = u64::from_str_radix(value.get(hash)?.as_str()?, 16).ok()?;
            (len as usize <= TAIL).then_some(Digest { len, hash })
        };
        let head = digest("head", "hash")?;
        // Earlier versions had neither a tail nor a size.
        let (tail, end) = match value.get("tail") {
            None => (Digest::default(), u64::from(head.len)),
            Some(_) => (digest("tail", "tail_hash")?, number("tail_end")?),
        };
        let offset = number("offset")?;
        let unread = value.get("unread").and_then(Value::as_bool) == Some(true);
        Some(Self {
            path: path_from_json(value.get("path")?)?,
            at: DevInode {
                dev: number("dev")?,
                ino: number("ino")?,
            },
            fingerprint: (end >= u64::from(tail.len)).then_some(Fingerprint { head, tail, end })?,
            offset,
            size: match value.get("size") {
                None => offset + u64::from(unread),
                Some(size) => size.as_u64()?,
            },
            times: TimestampState {
                form: value.get("times").and_then(Value::as_str).map(Into::into),
                last: value.get("last_time").and_then(Value::as_i64),
            },
        })
    }
}

/// Converts a path to JSON: a string, or a list of its bytes if it is not UTF-8.
pub fn path_to_json(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => text.into(),
        None => path.as_os_str().as_bytes().into(),
    }
}

/// Parses the output of [`path_to_json`]. Returns `None` if it is neither form.
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

    impl Content for &[u8] {
        fn read_from(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let rest = &self[self.len().min(offset as usize)..];
            let len = rest.len().min(buffer.len());
            buffer[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        }
    }

    #[test]
    fn content_is_recognized_by_its_start_and_the_bytes_before_the_offset() {
        let long: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let end = 300_000;
        for (why, content, end, change, fits) in [
            ("the same", &long[..], end, None, true),
            ("changed before the end", &long, end, Some(end - 9), false),
            ("changed after the end", &long, end, Some(end + 9), true),
            ("changed in the head", &long, end, Some(9), false),
            ("between both", &long, end, Some(100_000), true),
            ("short", b"a line\nmore\n", 7, None, true),
            (
                "short, changed after it",
                b"a line\nmore\n",
                7,
                Some(9),
                true,
            ),
            ("short, changed", b"a line\nmore\n", 7, Some(6), false),
            ("nothing read", b"a line\n", 0, Some(0), true),
        ] {
            let fingerprint = Fingerprint::of(&mut &content[..], end as u64).unwrap();
            assert_eq!(fingerprint.end(), end as u64, "{why}");
            let mut other = content.to_vec();
            if let Some(at) = change {
                other[at] ^= 1;
            }
            assert_eq!(fingerprint.fits(&mut &other[..]).unwrap(), fits, "{why}");
            if end > 0 {
                let cut = &content[..end - 1];
                assert!(!fingerprint.fits(&mut &cut[..]).unwrap(), "{why}, cut");
            }
        }
    }

    #[test]
    fn a_record_survives_json_and_a_corrupt_one_is_refused() {
        let fingerprint = Fingerprint::of(&mut &[b'x'; 10_000][..], 9_000).unwrap();
        let mut known = FileRecord {
            path: "/var/log/a.log".into(),
            at: DevInode { dev: 1, ino: 2 },
            fingerprint,
            offset: 7,
            size: 10_000,
            times: TimestampState {
                form: Some("Klog".into()),
                last: Some(-1),
            },
        };
        assert_eq!(FileRecord::from_json(&known.to_json()), Some(known.clone()));
        known.path = OsString::from_vec(vec![b'/', 0xff]).into();
        assert_eq!(FileRecord::from_json(&known.to_json()), Some(known.clone()));
        for key in [
            "path", "dev", "ino", "head", "hash", "offset", "tail", "size",
        ] {
            let mut json = known.to_json();
            json[key] = json!({});
            assert_eq!(FileRecord::from_json(&json), None, "{key}");
        }
    }

    #[test]
    fn records_of_earlier_versions_are_understood() {
        let json = json!({"path": "/a", "dev": 1, "ino": 2, "head": 4, "hash": "00ff",
            "offset": 7, "unread": true});
        let known = FileRecord::from_json(&json).unwrap();
        assert_eq!((known.unread(), known.fingerprint.end()), (1, 4));
    }
}
