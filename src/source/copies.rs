//! Copies: what was read of each followed name, so that a copy which rotation made of its file is
//! known when it appears under a name that is followed too (copy-truncate beside `app.log*`).
//!
//! Knows what names were read, what their files began with and how far they were read. Knows
//! nothing of when a name is looked at, and reads no line.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::identity::Signature;
use crate::source::opened::Opened;
use crate::source::rotation;

/// What was read of the files that are followed.
#[derive(Default)]
pub struct Copies(HashMap<PathBuf, Name>);

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
    signature: Signature,
    offset: u64,
}

/// What a file is that takes a followed name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kin {
    /// One of its own.
    None,
    /// A copy of one that is followed still: all that is in it is read there.
    Living,
    /// A copy of one that was read up to here, and is gone.
    Late(u64),
}

impl Copies {
    /// The file that bears a name was read up to an offset.
    pub fn read(&mut self, name: &Path, signature: Signature, offset: u64) {
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
    pub fn kin(&self, name: &Path, file: &Opened) -> Kin {
        let bytes = name.as_os_str().as_bytes();
        let mut late = None;
        for (original, known) in &self.0 {
            if !rotation::may_be_copy(original.as_os_str().as_bytes(), bytes) {
                continue;
            }
            if known.now.is_some_and(|read| lives(original, read, file)) {
                return Kin::Living;
            }
            let read = known.now.iter().chain(&known.before);
            late = late.max(
                read.filter_map(|read| file.copied(read.signature, read.offset))
                    .max(),
            );
        }
        late.map_or(Kin::None, Kin::Late)
    }
}

/// Whether `original` still begins with all that is in a file, as while it is being copied.
fn lives(original: &Path, read: Read, file: &Opened) -> bool {
    read.offset > 0
        && Opened::open(original).is_ok_and(|original| {
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
        let mut copies = Copies::default();
        let kin = |copies: &Copies, text: &str| {
            fs::write(&copy, text).unwrap();
            copies.kin(&copy, &Opened::open(&copy).unwrap())
        };
        fs::write(&name, &text).unwrap();
        assert_eq!(kin(&copies, &text), Kin::None);
        let signature = Signature::of(text.as_bytes());
        copies.read(&name, signature, text.len() as u64);
        for (part, expected) in [
            ("", Kin::Living),
            (&text[..20], Kin::Living),
            (&text, Kin::Living),
            ("another\n", Kin::None),
            (&(text.clone() + "unseen\n"), Kin::Late(5_000)),
        ] {
            assert_eq!(kin(&copies, part), expected, "{} bytes", part.len());
        }
        fs::write(&name, "new\n").unwrap();
        assert_eq!(kin(&copies, &text), Kin::Late(5_000));
        copies.cut(&name);
        copies.read(&name, Signature::of(b"new\n"), 4);
        assert_eq!(kin(&copies, &(text.clone() + "unseen\n")), Kin::Late(5_000));
        assert_eq!(kin(&copies, &text[..2_000]), Kin::Late(2_000));
        assert_eq!(kin(&copies, "new\nmore\n"), Kin::Late(4));
        copies.forget(&name);
        assert_eq!(kin(&copies, &text), Kin::None);
    }
}
