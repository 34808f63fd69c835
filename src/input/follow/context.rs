//! What followed names share: how files are read, one buffer, and the files that are open.
//!
//! Knows how many files may be open, and that one which bears two names is read once. Knows nothing
//! of when a name is looked at.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::entry::FileId;
use crate::input::SourceOptions;
use crate::input::follow::tail::TailedFile;
use crate::input::line_splitter::LineSplitter;
use crate::input::open_file::OpenFile;
use crate::input::rotation::copytruncate::{CopyDetector, CopyOf};
use crate::report::messages::Message;
use crate::storage::file_identity::DevInode;

/// Descriptors that are not for followed files: connections, the spool, the checkpoint.
const RESERVED: usize = 32;

/// What the names share.
pub struct FollowContext {
    /// How files are read.
    pub setting: SourceOptions,
    /// The buffer for all of them.
    pub lines: LineSplitter,
    /// The files that are open, by whatever name. What bears two names is read once.
    pub held: HashSet<DevInode>,
    /// What was read of them, by name.
    pub copies: CopyDetector,
    /// Where our own messages go, if that is a file.
    own_output: Option<DevInode>,
    /// Whether it was said that there are too many open files.
    pub said_full: bool,
    /// How many files may be open.
    most: usize,
    next: FileId,
}

impl FollowContext {
    /// Nothing is open yet. The limit of open files is raised.
    pub fn new(setting: SourceOptions) -> Self {
        Self {
            lines: setting.lines(),
            setting,
            held: HashSet::new(),
            copies: CopyDetector::default(),
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
    pub fn hold(&mut self, name: &Path, opened: OpenFile, now: Instant) -> TailedFile {
        let (id, place) = (self.number(), opened.place());
        self.held.insert(place);
        if self.own_output.take_if(|own| *own == place).is_some() {
            let what = &*name.to_string_lossy();
            self.setting.reporter.say(&Message::OwnOutput { what });
        }
        TailedFile::new(id, name, opened, &self.setting, now)
    }

    /// Notes how far the file that bears a name was read.
    pub fn note_read(&mut self, name: &Path, tail: &TailedFile) {
        self.copies.read(name, tail.signature(), tail.offset());
    }

    /// A file that takes a name: of a copy, behind what was read where it came from; None while it is
    /// read there.
    pub fn kin(&self, name: &Path, mut file: OpenFile) -> Option<OpenFile> {
        match self.copies.kin(name, &file) {
            CopyOf::Nothing => {}
            CopyOf::ReadUpTo(offset) => file.offset = offset,
            CopyOf::OpenFile => return None,
        }
        Some(file)
    }

    /// Lets a file go that will not be read any more.
    pub fn let_go(&mut self, tail: &TailedFile) {
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
fn own_output() -> Option<DevInode> {
    let stat = rustix::fs::fstat(std::io::stderr()).ok()?;
    let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
    regular.then_some(DevInode {
        dev: stat.st_dev,
        ino: stat.st_ino,
    })
}
