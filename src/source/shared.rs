//! What followed names share: how files are read, one buffer, and the files that are open.
//!
//! Knows how many files may be open, and that one which bears two names is read once. Knows nothing
//! of when a name is looked at.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::entry::FileId;
use crate::identity::Place;
use crate::lines::Lines;
use crate::note::Message;
use crate::source::Setting;
use crate::source::copies::{Copies, Kin};
use crate::source::opened::Opened;
use crate::source::tail::Tail;

/// Descriptors that are not for followed files: connections, the spool, the checkpoint.
const RESERVED: usize = 32;

/// What the names share.
pub struct Shared {
    /// How files are read.
    pub setting: Setting,
    /// The buffer for all of them.
    pub lines: Lines,
    /// The files that are open, by whatever name. What bears two names is read once.
    pub held: HashSet<Place>,
    /// What was read of them, by name.
    pub copies: Copies,
    /// Where our own messages go, if that is a file.
    own_output: Option<Place>,
    /// Whether it was said that there are too many open files.
    pub said_full: bool,
    /// How many files may be open.
    most: usize,
    next: FileId,
}

impl Shared {
    /// Nothing is open yet. The limit of open files is raised.
    pub fn new(setting: Setting) -> Self {
        Self {
            lines: setting.lines(),
            setting,
            held: HashSet::new(),
            copies: Copies::default(),
            own_output: own_output(),
            said_full: false,
            most: raise_file_limit(),
            next: 0,
        }
    }

    /// A number for a file.
    pub fn number(&mut self) -> FileId {
        self.next += 1;
        self.next - 1
    }

    /// Whether no further file may be opened.
    pub fn is_full(&self) -> bool {
        self.held.len() >= self.most
    }

    /// Follows an opened file.
    pub fn hold(&mut self, name: &Path, opened: Opened, now: Instant) -> Tail {
        let (id, place) = (self.number(), opened.place());
        self.held.insert(place);
        if self.own_output.take_if(|own| *own == place).is_some() {
            let what = &*name.to_string_lossy();
            self.setting.note.say(&Message::OwnOutput { what });
        }
        Tail::new(id, name, opened, &self.setting, now)
    }

    /// Notes how far the file that bears a name was read.
    pub fn note_read(&mut self, name: &Path, tail: &Tail) {
        self.copies.read(name, tail.signature(), tail.offset());
    }

    /// A file that takes a name: of a copy, behind what was read where it came from; None while it is
    /// read there.
    pub fn kin(&self, name: &Path, mut file: Opened) -> Option<Opened> {
        match self.copies.kin(name, &file) {
            Kin::None => {}
            Kin::Late(offset) => file.offset = offset,
            Kin::Living => return None,
        }
        Some(file)
    }

    /// Lets a file go that will not be read any more.
    pub fn let_go(&mut self, tail: &Tail) {
        self.held.remove(&tail.place);
        if let Some(checkpoint) = &self.setting.checkpoint {
            checkpoint.finished(tail.id, tail.offset());
        }
    }
}

/// Every followed file is open, so that nothing is lost when it is renamed; so the limit of open
/// files is raised as far as we may. Gives how many files that is; those past it are said, and wait.
fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = setrlimit(Resource::Nofile, raised);
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    limit.saturating_sub(RESERVED).max(1)
}

/// The file our messages go to, if they go to one.
fn own_output() -> Option<Place> {
    let stat = rustix::fs::fstat(std::io::stderr()).ok()?;
    let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
    regular.then_some(Place {
        dev: stat.st_dev,
        ino: stat.st_ino,
    })
}
