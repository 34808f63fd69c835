//! A followed name: the file that bears it, those that bore it before and are not drained yet, and
//! what happens when it changes hands.
//!
//! Decides which generation is read and when one is done. Knows no clock but the time it is told.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::identity::Place;
use crate::note::Message;
use crate::source::follow::Room;
use crate::source::generations::{self, Begin, Born, Opened};
use crate::source::tail::{Found, Tail};

/// How long a drained predecessor is looked at still: whoever writes may hold it open for a while.
const LATE: Duration = Duration::from_secs(5);

/// How many drained predecessors are looked at still.
const MOST_LATE: usize = 8;

/// How long an unterminated line of a predecessor holds up its successor.
const PATIENCE: Duration = Duration::from_secs(1);

/// How long a still file of a pattern is kept open that has no name any more that we know.
const NAMELESS: Duration = Duration::from_mins(5);

/// A followed name.
pub struct Name {
    /// The path.
    pub path: PathBuf,
    /// Whether a pattern gave it: then it may go.
    pub of_pattern: bool,
    /// The tick of the next look.
    pub due: u64,
    /// Ticks between two looks.
    pub period: u64,
    /// Where the next file begins that no checkpoint knows.
    begin: Begin,
    /// Oldest first. The last one bears the name, or bore it last.
    tails: VecDeque<Tail>,
    /// Drained predecessors.
    late: Vec<Tail>,
    gone: Option<Instant>,
    failing: Option<String>,
}

/// What a look found.
#[derive(Default)]
pub struct Look {
    /// There was something new.
    pub busy: bool,
    /// There is more to read at once.
    pub more: bool,
    /// The name is that of a file which another name holds.
    pub wants: Option<Place>,
}

impl Name {
    /// A name that was not looked at yet.
    pub fn new(path: PathBuf, begin: Begin, of_pattern: bool) -> Self {
        Self {
            path,
            of_pattern,
            due: 0,
            period: 1,
            begin,
            tails: VecDeque::new(),
            late: Vec::new(),
            gone: None,
            failing: None,
        }
    }

    /// Opens what is there, and what an earlier run left of it.
    pub fn begin(&mut self, room: &mut Room, now: Instant) {
        let current = match fs::metadata(&self.path) {
            // Another name holds it, and may come to give it away.
            Ok(meta) if room.held.contains(&Place::from(&meta)) => {
                self.begin = Begin::Start;
                return;
            }
            Ok(meta) => self.open(&meta, room),
            Err(error) => {
                self.missing(&error, room, now);
                None
            }
        };
        if current.is_none() && self.failing.is_some() {
            // What is written to it until it can be read must not be lost.
            self.begin = Begin::Start;
            return;
        }
        self.begin_with(current, room, now);
    }

    fn begin_with(&mut self, current: Option<Opened>, room: &mut Room, now: Instant) {
        let setting = &room.setting;
        let checkpoint = setting.checkpoint.as_deref();
        let files =
            generations::at_start(&self.path, current, checkpoint, self.begin, setting.note);
        for file in files {
            self.push(file, room, now);
        }
        // What comes later is read from its start.
        self.begin = Begin::Start;
    }

    /// Looks at the name, and reads what is new.
    pub fn look(&mut self, room: &mut Room, now: Instant) -> Look {
        let mut look = Look::default();
        let meta = match fs::metadata(&self.path) {
            Ok(meta) => Some(meta),
            Err(error) => {
                self.missing(&error, room, now);
                None
            }
        };
        let bearer = meta.filter(|meta| self.bears(meta, room, now, &mut look));
        self.read(bearer.as_ref(), room, now, &mut look);
        self.read_late(room, now, &mut look);
        self.close_nameless(room, now);
        look
    }

    /// Whether the file that has the name now is the one we follow last; it is from now on if it
    /// can be.
    fn bears(&mut self, meta: &Metadata, room: &mut Room, now: Instant, look: &mut Look) -> bool {
        let place = Place::from(meta);
        if self.tails.back().is_some_and(|tail| tail.place == place) {
            self.gone = None;
            self.failing = None;
            return true;
        }
        if room.held.contains(&place) {
            look.wants = Some(place);
            return false;
        }
        let Some(new) = self.open(meta, room) else {
            return false;
        };
        self.gone = None;
        look.busy = true;
        let Some(old) = self.tails.back().and_then(|tail| tail.meta().ok()) else {
            self.begin_with(Some(new), room, now);
            return true;
        };
        let what = &*self.path.to_string_lossy();
        room.setting.note.say(&Message::Replaced { what });
        let (old, born) = (Born::of(&old), Born::of(&new.meta));
        let known = |place| room.held.contains(&place) || place == new.place();
        for unseen in generations::between(&self.path, old, born, &known) {
            self.push(unseen, room, now);
        }
        self.push(new, room, now);
        // What was opened may already be another file than the one that was looked at.
        self.tails.back().is_some_and(|tail| tail.place == place)
    }

    fn open(&mut self, meta: &Metadata, room: &mut Room) -> Option<Opened> {
        let opened = if room.is_full() && self.tails.is_empty() {
            Err(Errno::MFILE.into())
        } else if meta.is_file() {
            Opened::open(&self.path).and_then(|file| {
                let strange = !file.meta.is_file() || room.held.contains(&file.place());
                (!strange)
                    .then_some(file)
                    .ok_or(io::ErrorKind::NotFound.into())
            })
        } else {
            Err(io::Error::other("it is no regular file"))
        };
        match opened {
            Ok(file) => {
                self.failing = None;
                Some(file)
            }
            // It was there a moment ago, and will be looked for again.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.failed(&error, room);
                None
            }
        }
    }

    fn push(&mut self, file: Opened, room: &mut Room, now: Instant) {
        if !room.held.contains(&file.place()) {
            let tail = room.hold(&self.path, file, now);
            self.tails.push_back(tail);
        }
    }

    /// Reads the oldest generation, and each further one when the one before it is drained.
    fn read(&mut self, bearer: Option<&Metadata>, room: &mut Room, now: Instant, look: &mut Look) {
        loop {
            let last = self.tails.len() == 1;
            let Some(tail) = self.tails.front_mut() else {
                return;
            };
            let meta = match bearer.filter(|_| last) {
                Some(meta) => Ok(meta.clone()),
                None => tail.meta(),
            };
            let found = meta.and_then(|meta| tail.read(&meta, &mut room.lines, &room.setting, now));
            match found {
                Ok(Found::Nothing) => {}
                Ok(Found::News) => look.busy = true,
                Ok(Found::More) => {
                    (look.busy, look.more) = (true, true);
                    return;
                }
                Ok(Found::Cut) => {
                    (look.busy, look.more) = (true, true);
                    let what = &*self.path.to_string_lossy();
                    room.setting.note.say(&Message::Truncated { what });
                    let id = room.number();
                    let over = tail.start_over(id, &self.path, &room.setting);
                    if let Err(error) = over {
                        self.failed(&error, room);
                    }
                    return;
                }
                Err(error) => {
                    self.failed(&error, room);
                    if last {
                        return;
                    }
                }
            }
            if last {
                return;
            }
            let waits = tails_wait(&self.tails, now);
            if waits {
                look.busy = true;
                return;
            }
            if let Some(mut tail) = self.tails.pop_front() {
                let _ = tail.finish(&mut room.lines, &room.setting, now);
                self.late.push(tail);
            }
        }
    }

    /// Reads what still comes to drained predecessors, and lets them go after a while.
    fn read_late(&mut self, room: &mut Room, now: Instant, look: &mut Look) {
        let mut at = 0;
        while let Some(tail) = self.late.get_mut(at) {
            let found = tail
                .meta()
                .and_then(|meta| tail.read(&meta, &mut room.lines, &room.setting, now));
            look.busy |= matches!(found, Ok(Found::News | Found::More));
            look.more |= matches!(found, Ok(Found::More));
            let idle = matches!(found, Ok(Found::Nothing | Found::Cut) | Err(_));
            let too_many = self.late.len() > MOST_LATE;
            let tail = &mut self.late[at];
            if idle && (too_many || now > tail.changed + LATE) {
                let _ = tail.finish(&mut room.lines, &room.setting, now);
                room.let_go(tail);
                self.late.remove(at);
            } else {
                at += 1;
            }
        }
    }

    /// Closes a file that has lost its name and gets nothing any more, so that its room on the disk
    /// can be freed.
    fn close_nameless(&mut self, room: &mut Room, now: Instant) {
        let Some(gone) = self.gone.filter(|_| self.tails.len() == 1) else {
            return;
        };
        let Some(tail) = self.tails.front_mut() else {
            return;
        };
        let still = now.saturating_duration_since(gone.max(tail.changed));
        let removed = tail.meta().map_or(true, |meta| meta.nlink() == 0);
        if (removed && still > LATE) || (self.of_pattern && still > NAMELESS) {
            let _ = tail.finish(&mut room.lines, &room.setting, now);
            room.let_go(tail);
            self.tails.clear();
        }
    }

    /// Reads what is there and no more. The unterminated line of a file that a checkpoint covers is
    /// left for the next run.
    pub fn end(&mut self, room: &mut Room, now: Instant) {
        let mut then = now;
        while !room.setting.is_over() {
            let more = self.look(room, then).more;
            if !more && self.tails.len() < 2 {
                break;
            }
            // A predecessor's unterminated line is not waited for any more.
            then += PATIENCE;
        }
        for tail in self.tails.iter_mut().chain(&mut self.late) {
            if room.setting.checkpoint.is_some() || room.setting.is_over() {
                tail.flush(&room.setting, 0);
            } else {
                let _ = tail.finish(&mut room.lines, &room.setting, now);
            }
        }
    }

    /// The files among `wanted` that this name holds and does not bear any more, each with who wants
    /// it.
    pub fn give_away(&mut self, wanted: &mut HashMap<Place, usize>) -> Vec<(Tail, usize)> {
        let mut given = Vec::new();
        let mut late = std::mem::take(&mut self.late);
        for tail in late.drain(..) {
            match wanted.remove(&tail.place) {
                Some(to) => given.push((tail, to)),
                None => self.late.push(tail),
            }
        }
        if self.gone.is_some() && self.tails.len() == 1 {
            let to = self
                .tails
                .front()
                .and_then(|tail| wanted.remove(&tail.place));
            given.extend(to.and_then(|to| Some((self.tails.pop_front()?, to))));
        }
        given
    }

    /// Goes on with a file that another name held.
    pub fn take_over(&mut self, tail: Tail) {
        self.begin = Begin::Start;
        self.tails.push_back(tail);
    }

    /// Whether nothing is left to be read by this name.
    pub fn is_over(&self) -> bool {
        self.gone.is_some() && self.tails.is_empty() && self.late.is_empty()
    }

    /// Whether the file cannot be read at the moment.
    pub fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    fn missing(&mut self, error: &io::Error, room: &mut Room, now: Instant) {
        if error.kind() != io::ErrorKind::NotFound {
            self.failed(error, room);
            return;
        }
        self.failing = None;
        if self.gone.is_none() {
            self.gone = Some(now);
            let what = &*self.path.to_string_lossy();
            room.setting.note.say(&Message::Awaited { what });
        }
    }

    /// Says once that the file cannot be read; it is looked at again and again.
    fn failed(&mut self, error: &io::Error, room: &mut Room) {
        let mut why = error.to_string();
        if self.failing.as_ref() == Some(&why) {
            return;
        }
        self.failing = Some(why.clone());
        let full = Errno::from_io_error(error) == Some(Errno::MFILE);
        if full {
            why.push_str("; it and further ones wait: raise the limit with `ulimit -n`");
        }
        if !(full && std::mem::replace(&mut room.said_full, true)) {
            let what = &*self.path.to_string_lossy();
            room.setting
                .note
                .say(&Message::Unreadable { what, why: &why });
        }
    }
}

/// Whether the oldest generation ends in a line that may still be completed.
fn tails_wait(tails: &VecDeque<Tail>, now: Instant) -> bool {
    tails
        .front()
        .is_some_and(|tail| tail.is_unterminated() && now < tail.changed + PATIENCE)
}
