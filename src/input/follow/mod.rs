//! Following files as they grow, by path.
//!
//! One thread looks at all paths: at those of files that grow every 25 ms and at idle ones every
//! 200 ms, all at the same moments so that it seldom wakes. A path only says which file to open; a
//! file is read on for as long as it is open, whatever happens to the path, and what is read of it
//! never depends on what it is called.

mod context;
mod glob_watch;
#[cfg(test)]
mod model;
mod path;
mod tail;
#[cfg(test)]
mod tests;
mod unavailable;

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::entry::FileId;
use crate::input::compression::Format;
use crate::input::follow::context::FollowContext;
use crate::input::follow::glob_watch::GlobWatcher;
use crate::input::follow::path::{FollowedPath, Start};
use crate::input::follow::tail::{FileStamp, ReadResult, TailedFile};
use crate::input::open_file::{OpenFile, StartAt};
use crate::input::rotation::history::Identity;
use crate::input::rotation::resume::{EarlierFiles, Question, earlier_files};
use crate::input::{SourceOptions, compression, file_names, glob};
use crate::report::messages::Message;
use crate::storage::file_identity::DevInode;
use crate::sync::shutdown::Phase;

/// The time between two looks at a file that grows.
const TICK: Duration = Duration::from_millis(25);

/// Ticks between two looks at a file that is idle. A power of two, as all periods.
const IDLE: u64 = 8;

/// Ticks between two looks at an idle file that lost its path a while ago.
const LATE: u64 = 32;

/// Ticks between two looks at whether new files may match a pattern.
const PATTERNS: u64 = IDLE;

/// How long an unterminated line of a file that lost its path holds up the next file.
const UNTERMINATED: Duration = Duration::from_secs(1);

/// How long a file that lost its path is read on after that, or after its last line.
const READ_ON: Duration = Duration::from_mins(5);

/// The same for one that was deleted, so that its space on the disk can be freed.
const READ_ON_DELETED: Duration = Duration::from_secs(5);

/// Follows files.
pub struct Follower {
    context: FollowContext,
    paths: Vec<FollowedPath>,
    known_paths: HashSet<PathBuf>,
    patterns: Vec<GlobWatcher>,
    /// The tick of the next look at the patterns.
    patterns_due: u64,
    files: BTreeMap<FileId, FollowedFile>,
}

/// An open file.
struct FollowedFile {
    tail: TailedFile,
    /// The path whose labels it has, as it was given.
    path: PathBuf,
    /// The file that is to be read to its end before this one.
    after: Option<FileId>,
    /// Whether another file is to be read after it.
    is_awaited: bool,
    /// Whether that may be read now.
    is_drained: bool,
    /// How many paths it has.
    paths: usize,
    /// When it lost the last one.
    left: Option<Instant>,
    /// The tick of the next look, if it has no path.
    due: u64,
}

/// What a look found.
#[derive(Default, Clone, Copy)]
struct Look {
    /// There was something new.
    is_busy: bool,
    /// There is more to read at once.
    has_more: bool,
    /// What there is cannot be handed on.
    is_held_up: bool,
}

impl From<ReadResult> for Look {
    fn from(result: ReadResult) -> Self {
        Self {
            is_busy: result != ReadResult::Idle,
            has_more: matches!(result, ReadResult::More | ReadResult::Truncated),
            is_held_up: result == ReadResult::HeldUp,
        }
    }
}

impl Follower {
    /// Looks at what is there now: whatever is written to it from now on is read.
    pub fn new(options: SourceOptions, given: &[PathBuf], now: Instant) -> Self {
        let mut follower = Self {
            context: FollowContext::new(options),
            paths: Vec::new(),
            known_paths: HashSet::new(),
            patterns: Vec::new(),
            patterns_due: PATTERNS,
            files: BTreeMap::new(),
        };
        for path in given {
            if follower.context.options.excluded.contain(path) {
                continue;
            }
            let checkpoint = follower.context.options.checkpoint.as_ref();
            // An earlier run looked for it, so a file that it did not see is new.
            let is_awaited = checkpoint.is_some_and(|checkpoint| checkpoint.watch(path));
            let start = if is_awaited {
                StartAt::Start
            } else {
                follower.context.options.begin
            };
            if glob::is_pattern(path) {
                follower.patterns.push(GlobWatcher::new(path.clone(), now));
                let at = follower.patterns.len() - 1;
                let vanished = glob::orphaned(path, follower.context.history.closed_paths());
                follower.add_paths(vanished, StartAt::Start, true);
                let found = follower.expand(at, start, now);
                if found == 0 {
                    let what = &*path.to_string_lossy();
                    let why = glob::unreadable_folder(path);
                    let why = why.as_deref();
                    let message = Message::AwaitedPattern { what, why };
                    follower.context.options.reporter.say(&message);
                }
            } else {
                follower.add_paths(vec![path.clone()], start, false);
            }
        }
        for at in 0..follower.paths.len() {
            let path = &follower.paths[at].path;
            if let Ok(meta) = fs::metadata(path) {
                follower.context.history.saw(DevInode::from(&meta), path);
            }
        }
        for at in 0..follower.paths.len() {
            follower.first_look(at, now);
        }
        follower.context.history.forget_gone();
        if let Some(checkpoint) = &follower.context.options.checkpoint {
            // Where a file was when it was first met must outlive us.
            checkpoint.begin();
        }
        follower
    }

    /// Follows until a stop is requested, then reads what is there once. Returns how many files could
    /// not be read in the end.
    pub fn run(mut self) -> u64 {
        let began = Instant::now();
        loop {
            let view = self.context.options.stop.state();
            if view.phase > Phase::Running || self.context.options.is_over() {
                break;
            }
            let now = Instant::now();
            let look = self.look_at_all(ticks(now - began), now);
            if let Some(checkpoint) = &self.context.options.checkpoint {
                checkpoint.keep(Instant::now());
            }
            let until = self.next_due().map(|due| began + TICK * due as u32);
            if look.is_held_up {
                let until = until.unwrap_or(now).max(now + TICK);
                self.context.options.intake.wait_for_room(until);
            } else {
                self.context.options.stop.wait(until, view);
            }
        }
        self.end(Instant::now())
    }

    /// Looks at everything whose time has come: new matches of patterns first, then paths and files.
    fn look_at_all(&mut self, tick: u64, now: Instant) -> Look {
        if tick >= self.patterns_due {
            self.patterns_due = aligned(tick, PATTERNS);
            self.expand_patterns(now);
        }
        self.look(tick, now)
    }

    /// The tick of the next look at anything.
    fn next_due(&self) -> Option<u64> {
        let paths = self.paths.iter().map(|path| path.due);
        let files = self.files.values().filter(|file| file.paths == 0);
        let patterns = (!self.patterns.is_empty()).then_some(self.patterns_due);
        let files = files.map(|file| file.due);
        paths.chain(files).chain(patterns).min()
    }

    /// Looks at the paths whose time has come, and at the files that have none.
    fn look(&mut self, tick: u64, now: Instant) -> Look {
        let mut all = Look::default();
        let mut missing = false;
        for at in 0..self.paths.len() {
            if self.paths[at].due > tick {
                continue;
            }
            let look = self.look_at_path(at, now);
            let path = &mut self.paths[at];
            (path.period, path.due) = next_look(look, path.period, IDLE, tick);
            missing |= path.status.is_missing() && path.of_pattern;
            all.add(look);
        }
        let without_path = self.files.iter().filter(|(_, file)| file.paths == 0);
        let due = without_path.filter(|(_, file)| file.due <= tick);
        let due: Vec<FileId> = due.map(|(id, _)| *id).collect();
        for id in due {
            let look = self.read(id, None, now);
            all.add(look);
            if let Some(file) = self.files.get_mut(&id) {
                let is_late = file.left.is_some_and(|left| now > left + READ_ON_DELETED);
                let idle = if is_late { LATE } else { IDLE };
                (_, file.due) = next_look(look, idle, idle, tick);
                self.close_if_over(id, now);
            }
        }
        if missing {
            let known_paths = &mut self.known_paths;
            self.paths.retain(|path| {
                let over = path.of_pattern && path.status.is_missing();
                if over {
                    known_paths.remove(&path.path);
                }
                !over
            });
        }
        all
    }

    /// Looks at a path for the first time.
    fn first_look(&mut self, at: usize, now: Instant) {
        let path = &mut self.paths[at];
        match fs::metadata(&path.path) {
            Ok(meta) => {
                self.open_path(at, &meta, now);
                // If it could not be opened, the end that it has now counts all the same.
                let path = &mut self.paths[at];
                path.start = match path.start {
                    Start::AsGiven(StartAt::End) => {
                        Start::Remembered(DevInode::from(&meta), meta.len())
                    }
                    _ => Start::New,
                };
            }
            Err(error) => {
                path.start = Start::New;
                self.unavailable(at, &error, now);
            }
        }
        let path = &self.paths[at];
        if path.is_fresh && path.file.is_none() {
            // The files that had it before may still be there.
            self.open_earlier(at, None, now);
        }
        let path = &mut self.paths[at];
        path.is_fresh = path.file.is_none();
    }

    /// There is nothing at a path, or it cannot be looked at.
    fn unavailable(&mut self, at: usize, error: &io::Error, now: Instant) {
        let reporter = self.context.options.reporter;
        let path = &mut self.paths[at];
        let is_fresh = path.is_fresh && !path.of_pattern;
        path.status.not_found(&path.path, is_fresh, error, reporter);
        if path.status.is_missing() {
            self.release(at, now);
        }
    }

    /// Looks at a path, and reads what is new in the file that has it.
    fn look_at_path(&mut self, at: usize, now: Instant) -> Look {
        let path = &mut self.paths[at];
        let meta = match fs::metadata(&path.path) {
            Ok(meta) => meta,
            Err(error) => {
                self.unavailable(at, &error, now);
                return Look::default();
            }
        };
        let inode = DevInode::from(&meta);
        let is_its = |file: &FileId| {
            let file = self.context.history.get(*file);
            file.is_some_and(|file| file.record.at == inode)
        };
        if path.is_attached
            && let Some(id) = path.file.filter(is_its)
        {
            path.status.is_open();
            return self.read(id, Some(&meta), now);
        }
        if path.closed == Some((inode, FileStamp::of(&meta))) {
            return Look::default();
        }
        match self.open_path(at, &meta, now) {
            Some(id) => {
                let mut look = self.read(id, None, now);
                look.is_busy = true;
                look
            }
            None => Look::default(),
        }
    }

    /// Opens the file that has a path now, and what came between it and the one that had it last.
    fn open_path(&mut self, at: usize, meta: &Metadata, now: Instant) -> Option<FileId> {
        let inode = DevInode::from(meta);
        let reporter = self.context.options.reporter;
        let opened = match self.context.history.open_at(inode) {
            Some(id) => Ok(Some((id, None))),
            None => self.open_file(at, meta),
        };
        let path = &mut self.paths[at];
        let (id, file) = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => return None,
            // It was there a moment ago, and will be looked for again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                path.status.unreadable(&path.path, &error, reporter);
                return None;
            }
        };
        path.status.is_open();
        path.closed = None;
        let last = path.file.filter(|last| *last != id);
        let label = path.path.clone();
        if last.is_some() && file.is_some() {
            let what = &*label.to_string_lossy();
            reporter.say(&Message::Replaced { what });
        }
        let mut newest = None;
        if path.file != Some(id) && file.is_some() {
            newest = self.open_earlier(at, Some(id), now).or(last);
        }
        self.release(at, now);
        if let Some(file) = file {
            self.follow(id, label, file, newest, now);
        }
        self.attach(at, id);
        let path = &mut self.paths[at];
        path.is_fresh = false;
        path.start = Start::New;
        Some(id)
    }

    /// Opens the file at a path and tells which it is; None while it is a copy of another one, or if
    /// it is not to be read.
    fn open_file(
        &mut self,
        at: usize,
        meta: &Metadata,
    ) -> io::Result<Option<(FileId, Option<OpenFile>)>> {
        if !meta.is_file() {
            return Err(io::Error::other(not_to_be_followed(meta.file_type())));
        }
        let path = &self.paths[at];
        let is_first_look = matches!(path.start, Start::AsGiven(_));
        if self.files.len() >= self.context.most_open && !self.close_most_idle() {
            // At first none was read yet, so none is idle.
            return if is_first_look {
                Ok(None)
            } else {
                Err(Errno::MFILE.into())
            };
        }
        let path = &self.paths[at];
        let own = &self.context.options.own;
        if own.contain(&path.path, DevInode::from(meta)) {
            return Err(io::Error::other("loki-push writes this file itself"));
        }
        let mut file = OpenFile::open(&path.path)?;
        if !file.meta.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if file.is_synthetic() {
            return Err(io::Error::other("cannot be followed; read it without -f"));
        }
        if let Some(Format::Other { name, command }) = file.format() {
            if path.of_pattern {
                return Ok(None);
            }
            return Err(io::Error::other(compression::refusal(
                name, command, &path.path,
            )));
        }
        let identity = self.context.history.identify(&path.key, &mut file)?;
        if matches!(identity, Identity::New(_)) {
            self.drop_unread_original(at, &mut file)?;
        }
        let path = &self.paths[at];
        let history = &mut self.context.history;
        Ok(match identity {
            Identity::Copy => None,
            // The open file is gone, and its content goes on here.
            Identity::Known(id) => {
                self.stop_reading_old(id);
                Some((id, Some(file)))
            }
            Identity::New(read) => {
                let offset = match path.start {
                    Start::AsGiven(StartAt::End) => file.content_len()?,
                    Start::Remembered(inode, end) if inode == file.at() && file.reaches(end) => end,
                    _ => 0,
                };
                let id = history.add(&path.key, &file, offset.max(read));
                Some((id, Some(file)))
            }
        })
    }

    /// The content of a file is found at another inode: the open one is gone, and is left where it
    /// was read to. Other paths of it are looked at again.
    fn stop_reading_old(&mut self, id: FileId) {
        if let Some(mut old) = self.files.remove(&id) {
            old.tail.flush(&self.context.options, 0);
            let (offset, end) = (old.tail.offset(), old.tail.end());
            self.context.history.read_to(id, offset, end);
            let of_old = self.paths.iter_mut().filter(|path| path.file == Some(id));
            of_old.for_each(|path| path.is_attached = false);
        }
    }

    /// Stops following the deleted file that had a path last if nothing of it was read yet and the
    /// new file at the path holds all of it, as after `sed -i`: the lines are read from there.
    fn drop_unread_original(&mut self, at: usize, file: &mut OpenFile) -> io::Result<()> {
        let path = &mut self.paths[at];
        let Some(last) = path.file else { return Ok(()) };
        let Some(old) = self.files.get_mut(&last) else {
            return Ok(());
        };
        let meta = old.tail.meta()?;
        let is_unread = old.tail.offset() == 0 && meta.len() > 0 && meta.nlink() == 0;
        if is_unread && old.tail.file.is_prefix_of(file)? {
            path.file = old.after;
            path.is_attached = false;
            self.files.remove(&last);
            self.context.history.forget(last);
        }
        Ok(())
    }

    /// Opens what is left of the files that had a path before, `current` being the one that has it
    /// now. Returns the last of them.
    fn open_earlier(&mut self, at: usize, current: Option<FileId>, now: Instant) -> Option<FileId> {
        let path = &self.paths[at];
        let history = &mut self.context.history;
        let mut wanted = history.closed_of(&path.key);
        wanted.retain(|id| Some(*id) != current);
        let last = path.file.filter(|last| Some(*last) != current);
        let last_times = last.and_then(|last| history.times(last).or(path.last_times));
        if wanted.is_empty() && last_times.is_none() {
            return None;
        }
        let here = fs::metadata(&path.path).ok();
        let here = here.filter(|_| current.is_some());
        let question = Question {
            path: &path.path.clone(),
            key: &path.key.clone(),
            current: here.map(|meta| (DevInode::from(&meta), (&meta).into())),
            was_truncated: wanted.iter().any(|id| history.is_truncated(*id)),
            last: last_times,
            wanted,
        };
        let is_new = current.is_none_or(|id| !history.is_of_earlier_run(id));
        let had_path_last = question
            .wanted
            .last()
            .copied()
            .filter(|_| is_new && last.is_none());
        let earlier = earlier_files(history, &question);
        if current.is_some() {
            for id in &earlier.missing {
                self.report_missing(*id, &question, Some(*id) == had_path_last);
            }
        }
        self.follow_earlier(earlier, &question, last, now)
    }

    fn follow_earlier(
        &mut self,
        earlier: EarlierFiles,
        question: &Question<'_>,
        last: Option<FileId>,
        now: Instant,
    ) -> Option<FileId> {
        let mut newest = last.filter(|last| self.files.contains_key(last));
        let before = newest;
        for (id, file) in earlier.files {
            let id = self.context.history.number(question.key, id, &file);
            self.stop_reading_old(id);
            self.follow(id, question.path.to_owned(), file, newest, now);
            newest = Some(id);
        }
        newest.filter(|_| newest != before)
    }

    /// A file that was met before cannot be found.
    fn report_missing(&mut self, id: FileId, question: &Question<'_>, had_path_last: bool) {
        let FollowContext {
            history, options, ..
        } = &mut self.context;
        let lost = history.report_missing(id, question.path, had_path_last, options.reporter);
        self.context.has_lost |= lost;
    }

    /// Reads an open file from where it was read to.
    fn follow(
        &mut self,
        id: FileId,
        path: PathBuf,
        mut file: OpenFile,
        after: Option<FileId>,
        now: Instant,
    ) {
        let FollowContext {
            history, options, ..
        } = &mut self.context;
        let offset = history.offset(id);
        history.opened(id, file.file());
        history.take_fingerprint(id, &mut file);
        let times = history.timestamps(id);
        match TailedFile::new(id, &path, file, offset, &times, options, now) {
            Ok(tail) => {
                let after = after.filter(|after| self.files.contains_key(after));
                if let Some(before) = after.and_then(|after| self.files.get_mut(&after)) {
                    before.is_awaited = true;
                }
                let file = FollowedFile {
                    tail,
                    path,
                    after,
                    is_awaited: false,
                    is_drained: false,
                    paths: 0,
                    left: Some(now),
                    due: 0,
                };
                self.files.insert(id, file);
            }
            Err(error) => {
                history.closed(id);
                let (what, why) = (&*path.to_string_lossy(), &*error.to_string());
                options.reporter.say(&Message::Unreadable { what, why });
                self.context.has_lost = true;
            }
        }
    }

    fn attach(&mut self, at: usize, id: FileId) {
        let path = &mut self.paths[at];
        (path.file, path.is_attached) = (Some(id), true);
        if let Some(file) = self.files.get_mut(&id) {
            file.paths += 1;
            file.left = None;
        }
    }

    /// The file that had a path does not have it any more.
    fn release(&mut self, at: usize, now: Instant) {
        let path = &mut self.paths[at];
        if std::mem::replace(&mut path.is_attached, false)
            && let Some(file) = path.file.and_then(|id| self.files.get_mut(&id))
        {
            file.paths -= 1;
            if file.paths == 0 {
                (file.left, file.due) = (Some(now), 0);
            }
        }
    }

    /// Reads what is new in a file.
    fn read(&mut self, id: FileId, meta: Option<&Metadata>, now: Instant) -> Look {
        let Some(file) = self.files.get(&id) else {
            return Look::default();
        };
        if let Some(before) = file.after
            && self.files.get(&before).is_some_and(|file| !file.is_drained)
        {
            return self.look_held_back(id, now);
        }
        let Some(file) = self.files.get_mut(&id) else {
            return Look::default();
        };
        file.after = None;
        let FollowContext {
            lines,
            options,
            history,
            ..
        } = &mut self.context;
        let meta = match meta {
            Some(meta) => Ok(meta.clone()),
            None => file.tail.meta(),
        };
        let result = meta.and_then(|meta| file.tail.read(&meta, lines, options, now));
        let result = result.unwrap_or_else(|error| {
            let (what, why) = (&*file.path.to_string_lossy(), &*error.to_string());
            if file.tail.is_news(&error) {
                options.reporter.say(&Message::Unreadable { what, why });
            }
            ReadResult::Idle
        });
        let mut look = Look::from(result);
        if result == ReadResult::Truncated {
            self.truncated(id, now);
            return look;
        }
        if result != ReadResult::Idle {
            history.read_to(id, file.tail.offset(), file.tail.end());
        }
        if file.tail.is_fingerprint_due(now) || !history.has_fingerprint(id) {
            history.take_fingerprint(id, &mut file.tail.file);
            history.set_timestamps(id, file.tail.timestamps());
        }
        let is_at_end = matches!(result, ReadResult::Idle | ReadResult::Data);
        if is_at_end && !file.is_drained && (file.paths == 0 || file.is_awaited) {
            if file.tail.is_unterminated() && now < file.tail.changed + UNTERMINATED {
                look.is_busy = true;
            } else {
                file.is_drained = true;
                if file.paths == 0 {
                    let _ = file.tail.finish(lines, options, now);
                    history.read_to(id, file.tail.offset(), file.tail.end());
                }
            }
        }
        look
    }

    /// A file whose turn has not come may be truncated all the same.
    fn look_held_back(&mut self, id: FileId, now: Instant) -> Look {
        let is_truncated = self.files.get_mut(&id).is_some_and(|file| {
            file.tail
                .look_only()
                .is_ok_and(|result| result == ReadResult::Truncated)
        });
        if is_truncated {
            self.truncated(id, now);
        }
        Look {
            is_busy: true,
            ..Look::default()
        }
    }

    /// A file was truncated: what it held may be in a copy, and what it holds now is another file.
    fn truncated(&mut self, id: FileId, now: Instant) {
        let Some(mut old) = self.files.remove(&id) else {
            return;
        };
        let FollowContext {
            history, options, ..
        } = &mut self.context;
        old.tail.flush(options, 0);
        history.read_to(id, old.tail.offset(), old.tail.end());
        let what = &*old.path.to_string_lossy();
        options.reporter.say(&Message::Truncated { what });
        // Its time of writing is that of the truncation now.
        let last = Some(old.tail.file.times());
        history.truncated(id);
        let Ok(file) = OpenFile::new(Arc::clone(old.tail.file.file())) else {
            return;
        };
        let key = history.get(id).map(|known| known.record.path.clone());
        let question = Question {
            path: &old.path,
            key: &key.unwrap_or_else(|| old.path.clone()),
            current: Some((file.at(), file.times())),
            wanted: vec![id],
            last,
            was_truncated: true,
        };
        let earlier = earlier_files(history, &question);
        // A copy of which nothing was read yet is not known by its content.
        let is_unread = |(known, file): &(Identity, OpenFile)| {
            matches!(known, Identity::New(_))
                && old.tail.offset() == 0
                && file.meta.len() >= old.tail.end()
        };
        if !earlier.missing.is_empty() {
            if earlier.files.iter().any(is_unread) {
                self.context.history.forget(id);
            } else {
                self.report_missing(id, &question, false);
            }
        }
        let newest = self.follow_earlier(earlier, &question, old.after, now);
        self.follow_new_content(id, &old, file, newest.or(old.after), now);
    }

    /// Tells what a truncated file holds now, and follows it unless it is a copy of another file.
    fn follow_new_content(
        &mut self,
        id: FileId,
        old: &FollowedFile,
        mut file: OpenFile,
        after: Option<FileId>,
        now: Instant,
    ) {
        let with_path = self.paths.iter().find(|path| path.file == Some(id));
        let key = with_path.map_or_else(|| old.path.clone(), |path| path.key.clone());
        let history = &mut self.context.history;
        let new = match history.identify(&key, &mut file) {
            Ok(Identity::New(read)) => Some(history.add(&key, &file, read)),
            Ok(Identity::Known(id)) => Some(id),
            Ok(Identity::Copy) | Err(_) => None,
        };
        for path in &mut self.paths {
            if path.file == Some(id) {
                path.file = new;
                path.is_attached &= new.is_some();
            }
        }
        let Some(new) = new else { return };
        if !self.files.contains_key(&new) {
            self.follow(new, old.path.clone(), file, after, now);
        }
        if let Some(file) = self.files.get_mut(&new) {
            file.paths += old.paths;
            file.left = old.left.filter(|_| file.paths == 0);
        }
    }

    /// Closes a file that lost its path and gets nothing any more.
    fn close_if_over(&mut self, id: FileId, now: Instant) {
        let Some(file) = self.files.get_mut(&id) else {
            return;
        };
        let Some(left) = file.left.filter(|_| file.is_drained) else {
            return;
        };
        let still = now.saturating_duration_since(left.max(file.tail.changed));
        let is_deleted = file.tail.meta().map_or(true, |meta| meta.nlink() == 0);
        let limit = if is_deleted { READ_ON_DELETED } else { READ_ON };
        if still <= limit {
            return;
        }
        self.close(id, now);
        if is_deleted {
            self.context.history.forget_when_settled(id);
        }
    }

    fn close(&mut self, id: FileId, now: Instant) {
        let Some(mut file) = self.files.remove(&id) else {
            return;
        };
        let FollowContext {
            lines,
            options,
            history,
            ..
        } = &mut self.context;
        if file.paths == 0 {
            let _ = file.tail.finish(lines, options, now);
        } else {
            file.tail.flush(options, 0);
        }
        history.read_to(id, file.tail.offset(), file.tail.end());
        history.take_fingerprint(id, &mut file.tail.file);
        history.set_timestamps(id, file.tail.timestamps());
        for path in self.paths.iter_mut().filter(|path| path.file == Some(id)) {
            path.last_times = history.times(id);
        }
        history.closed(id);
    }

    /// Closes the file that got nothing for the longest time, to open another one; it is opened again
    /// when it has changed.
    fn close_most_idle(&mut self) -> bool {
        let idle = self
            .files
            .values()
            .filter(|file| file.tail.idle_stamp().is_some());
        let Some(file) = idle.min_by_key(|file| file.tail.changed) else {
            return false;
        };
        let (id, stamp) = (file.tail.id, file.tail.idle_stamp());
        let at = DevInode::from(&match file.tail.meta() {
            Ok(meta) => meta,
            Err(_) => return false,
        });
        for path in &mut self.paths {
            if path.file == Some(id) && path.is_attached {
                path.is_attached = false;
                path.closed = stamp.map(|stamp| (at, stamp));
            }
        }
        let now = file.tail.changed;
        self.close(id, now);
        true
    }

    /// Adds the files that match patterns and are not followed yet.
    fn expand_patterns(&mut self, now: Instant) {
        let before = self.paths.len();
        for at in 0..self.patterns.len() {
            if self.patterns[at].is_due(now) {
                self.expand(at, StartAt::Start, now);
            }
        }
        for at in before..self.paths.len() {
            self.first_look(at, now);
        }
    }

    /// Adds the paths that match a pattern and are not followed yet. Returns how many match.
    fn expand(&mut self, pattern: usize, start: StartAt, now: Instant) -> usize {
        let mut paths = self.patterns[pattern].list(now);
        let found = paths.len();
        let options = &self.context.options;
        let is_own = |path: &Path| {
            let checkpoint = options.checkpoint.as_ref();
            checkpoint.is_some_and(|checkpoint| checkpoint.owns(path))
                || fs::metadata(path)
                    .is_ok_and(|meta| options.own.contain(path, DevInode::from(&meta)))
        };
        paths.retain(|path| {
            !self.known_paths.contains(path)
                && !file_names::is_gzip(path)
                && !is_own(path)
                && !options.excluded.contain(path)
        });
        file_names::oldest_first(&mut paths);
        self.add_paths(paths, start, true);
        found
    }

    fn add_paths(&mut self, paths: Vec<PathBuf>, start: StartAt, of_pattern: bool) {
        for path in paths {
            if self.known_paths.insert(path.clone()) {
                self.paths.push(FollowedPath::new(path, start, of_pattern));
            }
        }
    }

    /// Reads what is there, and no more. The unterminated line of a file that a checkpoint covers is
    /// left for the next run. Returns how many files could not be read.
    fn end(mut self, now: Instant) -> u64 {
        self.expand_patterns(now + Duration::from_mins(1));
        let (mut then, mut tick) = (now, u64::MAX / 2);
        while !self.context.options.is_over() {
            let look = self.look(tick, then);
            let waits = self.files.values().any(|file| file.after.is_some());
            if look.is_held_up {
                let intake = &self.context.options.intake;
                intake.wait_for_room(Instant::now() + TICK);
            } else if !look.has_more && !waits {
                break;
            }
            // An unterminated line is not waited for any more.
            then += UNTERMINATED;
            tick += 2 * LATE;
        }
        let FollowContext { lines, options, .. } = &mut self.context;
        for file in self.files.values_mut() {
            if options.checkpoint.is_some() || options.is_over() {
                file.tail.flush(options, 0);
            } else {
                let _ = file.tail.finish(lines, options, now);
            }
        }
        let history = &mut self.context.history;
        for file in self.files.values_mut() {
            let id = file.tail.id;
            history.take_fingerprint(id, &mut file.tail.file);
            history.set_timestamps(id, file.tail.timestamps());
        }
        let failing = self.paths.iter().filter(|path| path.status.is_failing());
        let broken = self.files.values().filter(|file| file.tail.is_failing());
        (failing.count() + broken.count()) as u64 + u64::from(self.context.has_lost)
    }
}

impl Look {
    fn add(&mut self, other: Self) {
        self.is_busy |= other.is_busy;
        self.has_more |= other.has_more;
        self.is_held_up |= other.is_held_up;
    }
}

/// The period and the tick of the next look after one.
fn next_look(look: Look, period: u64, idle: u64, tick: u64) -> (u64, u64) {
    let period = if look.is_busy {
        1
    } else {
        (period * 2).min(idle)
    };
    let due = if look.has_more || look.is_held_up {
        tick
    } else {
        aligned(tick, period)
    };
    (period, due)
}

/// Why something cannot be followed, and what to do.
fn not_to_be_followed(kind: FileType) -> &'static str {
    if kind.is_dir() {
        glob::IS_DIRECTORY
    } else if kind.is_socket() {
        "is a socket"
    } else {
        "cannot be followed; read it without -f"
    }
}

/// The tick that a time falls into.
fn ticks(time: Duration) -> u64 {
    (time.as_millis() / TICK.as_millis()) as u64
}

/// The next tick that is a multiple of a period: paths with one period are due together.
fn aligned(tick: u64, period: u64) -> u64 {
    (tick / period + 1) * period
}
