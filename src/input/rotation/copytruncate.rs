//! Copies: what was read of each followed name, so that a copy which rotation made of its file is
//! known when it appears under a name that is followed too (copy-truncate beside `app.log*`).
//!
//! Knows what names were read, what their files began with and how far they were read. Knows
//! nothing of when a name is looked at, and reads no line.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::input::open_file::OpenFile;
use crate::input::rotation::names;
use crate::storage::file_identity::Fingerprint;

/// What was read of the files that are followed.
#[derive(Default)]
pub struct CopyDetector(HashMap<PathBuf, Name>);

/// What was read of a name.
#[derive(Default)]
struct Name {
    /// The file that bears it.
    now: Option<Read>,
    /// What that held before it was cut short.
    before: Option<Read>,
}

#[derive(Clone, Copy)]
struct Read {
    signature: Fingerprint,
    offset: u64,
}

/// What a file is that takes a followed name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyOf {
    /// One of its own.
    Nothing,
    /// A copy of one that is followed still: all that is in it is read there.
    OpenFile,
    /// A copy of one that was read up to here, and is gone.
    ReadUpTo(u64),
}

impl CopyDetector {
    /// The file that bears a name was read up to an offset.
    pub fn read(&mut self, name: &Path, signature: Fingerprint, offset: u64) {
        let read = Some(Read { signature, offset });
        match self.0.get_mut(name) {
            Some(known) => known.now = read,
            None => {
                let (now, before) = (read, None);
                self.0.insert(name.to_owned(), Name { now, before });
            }
        }
    }

    /// The file that bears a name was cut short or replaced: a copy of what it held may be met only
    /// now.
    pub fn cut(&mut self, name: &Path) {
        if let Some(known) = self.0.get_mut(name) {
            known.before = known.now.take();
        }
    }

    /// A name is not followed any more.
    pub fn forget(&mut self, name: &Path) {
        self.0.remove(name);
    }

    /// What the file is that bears `name` now.
    pub fn kin(&self, name: &Path, file: &OpenFile) -> CopyOf {
        let bytes = name.as_os_str().as_bytes();
        let mut late = None;
        for (original, known) in &self.0 {
            if !names::may_be_copy(original.as_os_str().as_bytes(), bytes) {
                continue;
            }
            if known.now.is_some_and(|read| lives(original, read, file)) {
                return CopyOf::OpenFile;
            }
            let read = known.now.iter().chain(&known.before);
            late = late.max(
                read.filter_map(|read| file.copied(read.signature, read.offset))
                    .max(),
            );
        }
        late.map_or(CopyOf::Nothing, CopyOf::ReadUpTo)
    }
}

/// Whether `original` still begins with all that is in a file, as while it is being copied.
fn lives(original: &Path, read: Read, file: &OpenFile) -> bool {
    read.offset > 0
        && OpenFile::open(original).is_ok_and(|original| {
            read.signature.fits(&original.head)
                && original.head.starts_with(&file.head)
                && original.meta.len() >= file.meta.len()
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_copy_is_known_while_it_grows_and_after_its_original_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let (name, copy) = (dir.path().join("app.log"), dir.path().join("app.log.1"));
        let text = "line\n".repeat(1_000);
        let mut copies = CopyDetector::default();
        let kin = |copies: &CopyDetector, text: &str| {
            fs::write(&copy, text).unwrap();
            copies.kin(&copy, &OpenFile::open(&copy).unwrap())
        };
        fs::write(&name, &text).unwrap();
        assert_eq!(kin(&copies, &text), CopyOf::Nothing);
        let signature = Fingerprint::of(text.as_bytes());
        copies.read(&name, signature, text.len() as u64);
        for (part, expected) in [
            ("", CopyOf::OpenFile),
            (&text[..20], CopyOf::OpenFile),
            (&text, CopyOf::OpenFile),
            ("another\n", CopyOf::Nothing),
            (&(text.clone() + "unseen\n"), CopyOf::ReadUpTo(5_000)),
        ] {
            assert_eq!(kin(&copies, part), expected, "{} bytes", part.len());
        }
        fs::write(&name, "new\n").unwrap();
        assert_eq!(kin(&copies, &text), CopyOf::ReadUpTo(5_000));
        copies.cut(&name);
        copies.read(&name, Fingerprint::of(b"new\n"), 4);
        assert_eq!(
            kin(&copies, &(text.clone() + "unseen\n")),
            CopyOf::ReadUpTo(5_000)
        );
        assert_eq!(kin(&copies, &text[..2_000]), CopyOf::ReadUpTo(2_000));
        assert_eq!(kin(&copies, "new\nmore\n"), CopyOf::ReadUpTo(4));
        copies.forget(&name);
        assert_eq!(kin(&copies, &text), CopyOf::Nothing);
    }
}
