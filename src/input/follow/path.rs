//! A followed name: the file that bears it, those that bore it before and are not drained yet, and
//! what happens when it changes hands.
//!
//! Decides which generation is read and when one is done. Knows no clock but the time it is told.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;

use crate::input::follow::context::FollowContext;
use crate::input::follow::late_writes::{RotatedFiles, WATCH_AFTER_ROTATION};
use crate::input::follow::tail::{ReadResult, TailedFile};
use crate::input::follow::unavailable::PathStatus;
use crate::input::open_file::{FileTimes, OpenFile, StartAt};
use crate::input::rotation::resume;
use crate::report::messages::Message;
use crate::storage::file_identity::DevInode;

/// How long an unterminated line of a predecessor holds up its successor.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a still file of a pattern is kept open that has no name any more that we know.
const NAMELESS: Duration = Duration::from_mins(5);

/// A followed name.
pub struct FollowedPath {
    /// The path.
    pub path: PathBuf,
    /// Whether a pattern gave it: then it may go.
    pub of_pattern: bool,
    /// The tick of the next look.
    pub due: u64,
    /// Ticks between two looks.
    pub period: u64,
    /// Where the next file begins that no checkpoint knows.
    begin: StartAt,
    /// Oldest first. The last one bears the name, or bore it last.
    tails: VecDeque<TailedFile>,
    late: RotatedFiles,
    absence: PathStatus,
    /// When the last one was last seen to bear the name.
    seen: SystemTime,
    /// Whether something that bore the name is gone and was not read.
    lost: bool,
}

/// What a look found.
#[derive(Default)]
pub struct PollResult {
    /// There was something new.
    pub busy: bool,
    /// There is more to read at once.
    pub more: bool,
    /// The name is that of a file which another name holds.
    pub wants: Option<DevInode>,
}

impl PollResult {
    /// Notes what reading a file found.
    fn found(&mut self, found: ReadResult) {
        self.busy |= found != ReadResult::Nothing;
        self.more |= matches!(found, ReadResult::More | ReadResult::Cut);
    }
}

impl FollowedPath {
    /// A name that was not looked at yet.
    pub fn new(path: PathBuf, begin: StartAt, of_pattern: bool) -> Self {
        Self {
            path,
            of_pattern,
            due: 0,
            period: 1,
            begin,
            tails: VecDeque::new(),
            late: RotatedFiles::default(),
            absence: PathStatus::default(),
            seen: SystemTime::now(),
            lost: false,
        }
    }

    /// Opens what is there, and what an earlier run left of it.
    pub fn begin(&mut self, shared: &mut FollowContext, now: Instant) {
        let current = match fs::metadata(&self.path) {
            // Another name holds it, and may come to give it away.
            Ok(meta) if shared.held.contains(&DevInode::from(&meta)) => {
                self.begin = StartAt::Start;
                return;
            }
            Ok(meta) => self.open(&meta, shared),
            Err(error) => {
                self.absence.missed(&self.path, &error, shared, now);
                None
            }
        };
        if current.is_none() && self.absence.is_failing() {
            // What is written to it until it can be read must not be lost.
            self.begin = StartAt::Start;
            return;
        }
        self.begin_with(current, shared, now);
    }

    fn begin_with(&mut self, current: Option<OpenFile>, shared: &mut FollowContext, now: Instant) {
        let setting = &shared.setting;
        let checkpoint = setting.checkpoint.as_deref();
        let found = resume::at_start(
            &self.path,
            current,
            checkpoint,
            self.begin,
            setting.reporter,
        );
        self.lost |= found.lost;
        for file in found.files {
            self.push(file, shared, now);
        }
        // What comes later is read from its start.
        self.begin = StartAt::Start;
    }

    /// Looks at the name, and reads what is new.
    pub fn look(&mut self, shared: &mut FollowContext, now: Instant) -> PollResult {
        let mut look = PollResult::default();
        let meta = match fs::metadata(&self.path) {
            Ok(meta) => Some(meta),
            Err(error) => {
                self.absence.missed(&self.path, &error, shared, now);
                None
            }
        };
        let bearer = meta.filter(|meta| self.bears(meta, shared, now, &mut look));
        self.read(bearer.as_ref(), shared, now, &mut look);
        look.found(self.late.read(shared, now));
        self.close_nameless(shared, now);
        look
    }

    /// Whether the file that has the name now is the one we follow last; it is from now on if it
    /// can be.
    fn bears(
        &mut self,
        meta: &Metadata,
        shared: &mut FollowContext,
        now: Instant,
        look: &mut PollResult,
    ) -> bool {
        let place = DevInode::from(meta);
        if self.tails.back().is_some_and(|tail| tail.place == place) {
            self.absence.end();
            self.seen = SystemTime::now();
            return true;
        }
        if shared.held.contains(&place) {
            look.wants = Some(place);
            return false;
        }
        let Some(new) = self.open(meta, shared) else {
            return false;
        };
        self.absence.end();
        look.busy = true;
        let Some(old) = self.tails.back().and_then(|tail| tail.meta().ok()) else {
            self.begin_with(Some(new), shared, now);
            return true;
        };
        let what = &*self.path.to_string_lossy();
        shared.setting.reporter.say(&Message::Replaced { what });
        if let Some(file) = resume::compressed_unread(&self.path, &old, self.seen) {
            let file = &*file.to_string_lossy();
            let lost = Message::CompressedUnread { what, file };
            shared.setting.reporter.say(&lost);
            self.lost = true;
        }
        let (old, born) = (FileTimes::of(&old), FileTimes::of(&new.meta));
        let known = |place| shared.held.contains(&place) || place == new.place();
        shared.copies.cut(&self.path);
        for unseen in resume::between(&self.path, old, born, &known) {
            self.push(unseen, shared, now);
        }
        self.push(new, shared, now);
        // What was opened may already be another file than the one that was looked at.
        self.tails.back().is_some_and(|tail| tail.place == place)
    }

    fn open(&mut self, meta: &Metadata, shared: &mut FollowContext) -> Option<OpenFile> {
        let opened = if shared.is_full() && self.tails.is_empty() {
            Err(Errno::MFILE.into())
        } else if meta.is_file() {
            OpenFile::open(&self.path).and_then(|file| {
                let strange = !file.meta.is_file() || shared.held.contains(&file.place());
                let file = (!strange).then_some(file);
                file.and_then(|file| shared.kin(&self.path, file))
                    .ok_or(io::ErrorKind::NotFound.into())
            })
        } else {
            Err(io::Error::other(not_to_be_followed(meta.file_type())))
        };
        let opened = opened.and_then(|file| {
            let made_up = file.is_made_up();
            let file = (!made_up).then_some(file);
            file.ok_or_else(|| io::Error::other("it has no size to follow; read it without -f"))
        });
        match opened {
            Ok(file) => {
                self.absence.opened();
                Some(file)
            }
            // It was there a moment ago, and will be looked for again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.absence.failed(&self.path, &error, shared);
                None
            }
        }
    }

    fn push(&mut self, file: OpenFile, shared: &mut FollowContext, now: Instant) {
        if !shared.held.contains(&file.place()) {
            let tail = shared.hold(&self.path, file, now);
            shared.note_read(&self.path, &tail);
            self.tails.push_back(tail);
        }
    }

    /// Reads the oldest generation, and each further one when the one before it is drained.
    fn read(
        &mut self,
        bearer: Option<&Metadata>,
        shared: &mut FollowContext,
        now: Instant,
        look: &mut PollResult,
    ) {
        loop {
            let last = self.tails.len() == 1;
            let Some(tail) = self.tails.front_mut() else {
                return;
            };
            let meta = match bearer.filter(|_| last) {
                Some(meta) => Ok(meta.clone()),
                None => tail.meta(),
            };
            let found =
                meta.and_then(|meta| tail.read(&meta, &mut shared.lines, &shared.setting, now));
            let found = found.unwrap_or_else(|error| {
                self.absence.failed(&self.path, &error, shared);
                ReadResult::Nothing
            });
            look.found(found);
            if last && found != ReadResult::Nothing {
                shared.note_read(&self.path, tail);
            }
            match found {
                ReadResult::Cut => return self.start_over(shared),
                ReadResult::More => return,
                _ if last => return,
                _ => {}
            }
            if tails_wait(&self.tails, now) {
                look.busy = true;
                return;
            }
            if let Some(mut tail) = self.tails.pop_front() {
                let _ = tail.finish(&mut shared.lines, &shared.setting, now);
                self.late.push(tail);
            }
        }
    }

    /// The oldest generation was cut short: what it holds now is another file.
    fn start_over(&mut self, shared: &mut FollowContext) {
        let what = &*self.path.to_string_lossy();
        shared.setting.reporter.say(&Message::Truncated { what });
        if self.tails.len() == 1 {
            shared.copies.cut(&self.path);
        }
        let Some(tail) = self.tails.front_mut() else {
            return;
        };
        let opened = match tail.anew(&shared.setting) {
            Ok(opened) => opened,
            Err(error) => return self.absence.failed(&self.path, &error, shared),
        };
        match shared.kin(&self.path, opened) {
            Some(opened) => {
                let id = shared.number();
                tail.start_over(id, &self.path, opened, &shared.setting);
            }
            // It is a copy, and opened again when its original is gone.
            None => {
                shared.let_go(tail);
                self.tails.pop_front();
            }
        }
    }

    /// Closes a file that has lost its name and gets nothing any more, so that its room on the disk
    /// can be freed.
    fn close_nameless(&mut self, shared: &mut FollowContext, now: Instant) {
        let Some(gone) = self.absence.since().filter(|_| self.tails.len() == 1) else {
            return;
        };
        let Some(tail) = self.tails.front_mut() else {
            return;
        };
        let still = now.saturating_duration_since(gone.max(tail.changed));
        let removed = tail.meta().map_or(true, |meta| meta.nlink() == 0);
        if (removed && still > WATCH_AFTER_ROTATION) || (self.of_pattern && still > NAMELESS) {
            let _ = tail.finish(&mut shared.lines, &shared.setting, now);
            shared.let_go(tail);
            self.tails.clear();
        }
    }

    /// Reads what is there and no more. The unterminated line of a file that a checkpoint covers is
    /// left for the next run.
    pub fn end(&mut self, shared: &mut FollowContext, now: Instant) {
        let mut then = now;
        while !shared.setting.is_over() {
            let more = self.look(shared, then).more;
            if !more && self.tails.len() < 2 {
                break;
            }
            // A predecessor's unterminated line is not waited for any more.
            then += PATIENCE;
        }
        for tail in self.tails.iter_mut().chain(self.late.iter_mut()) {
            if shared.setting.checkpoint.is_some() || shared.setting.is_over() {
                tail.flush(&shared.setting, 0);
            } else {
                let _ = tail.finish(&mut shared.lines, &shared.setting, now);
            }
        }
    }

    /// The files among `wanted` that this name holds and does not bear any more, each with who wants
    /// it.
    pub fn give_away(&mut self, wanted: &mut HashMap<DevInode, usize>) -> Vec<(TailedFile, usize)> {
        let mut given = self.late.give_away(wanted);
        if self.absence.since().is_some() && self.tails.len() == 1 {
            let to = self
                .tails
                .front()
                .and_then(|tail| wanted.remove(&tail.place));
            given.extend(to.and_then(|to| Some((self.tails.pop_front()?, to))));
        }
        given
    }

    /// Goes on with a file that another name held.
    pub fn take_over(&mut self, tail: TailedFile) {
        self.begin = StartAt::Start;
        self.tails.push_back(tail);
    }

    /// Whether nothing is left to be read by this name.
    pub fn is_over(&self) -> bool {
        self.absence.since().is_some() && self.tails.is_empty() && self.late.is_empty()
    }

    /// Whether something cannot be read, at the moment or any more.
    pub fn is_failing(&self) -> bool {
        self.lost || self.absence.is_failing()
    }
}

/// Whether the oldest generation ends in a line that may still be completed.
fn tails_wait(tails: &VecDeque<TailedFile>, now: Instant) -> bool {
    tails
        .front()
        .is_some_and(|tail| tail.is_unterminated() && now < tail.changed + PATIENCE)
}

/// Why something cannot be followed, and what to do.
fn not_to_be_followed(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "it is a directory, no regular file"
    } else if kind.is_socket() {
        "it is a socket, no regular file"
    } else {
        "it is no regular file: read it without -f"
    }
}
