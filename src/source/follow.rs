//! Following: the files behind names and patterns, as they grow, by name.
//!
//! One thread looks at all of them, at files that grow every 25 ms and at still ones every 200 ms,
//! all at the same moments so that it seldom wakes. Knows when to look and when a file is done;
//! what one name goes through is in `name`, reading in `tail`.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::entry::FileId;
use crate::identity::Place;
use crate::note::Message;
use crate::source::generations::{self, Begin};
use crate::source::lines::Lines;
use crate::source::name::Name;
use crate::source::tail::Tail;
use crate::source::{Setting, names};
use crate::stop::Phase;

/// The time between two looks at a file that grows.
const TICK: Duration = Duration::from_millis(25);

/// Ticks between two looks at a file that is still. A power of two, as all periods.
pub const IDLE: u64 = 8;

/// Ticks between two looks for files that match a pattern.
const PATTERNS: u64 = 40;

/// Descriptors that are not for followed files: connections, the spool, the checkpoint.
const RESERVED: usize = 32;

/// What the names share.
pub struct Room {
    /// How files are read.
    pub setting: Setting,
    /// The buffer for all of them.
    pub lines: Lines,
    /// The files that are open, by whatever name. What bears two names is read once.
    pub held: HashSet<Place>,
    /// Where our own messages go, if that is a file.
    pub own_output: Option<Place>,
    /// Whether it was said that there are too many open files.
    pub said_full: bool,
    /// How many files may be open.
    most: usize,
    next: FileId,
}

impl Room {
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
    pub fn hold(
        &mut self,
        name: &std::path::Path,
        opened: generations::Opened,
        now: Instant,
    ) -> Tail {
        let (id, place) = (self.number(), opened.place());
        self.held.insert(place);
        if self.own_output.take_if(|own| *own == place).is_some() {
            let what = &*name.to_string_lossy();
            self.setting.note.say(&Message::OwnOutput { what });
        }
        Tail::new(id, name, opened, &self.setting, now)
    }

    /// Lets a file go that will not be read any more.
    pub fn let_go(&mut self, tail: &Tail) {
        self.held.remove(&tail.place);
        if let Some(checkpoint) = &self.setting.checkpoint {
            checkpoint.finished(tail.id, tail.offset());
        }
    }
}

/// Follows files.
pub struct Follow {
    room: Room,
    names: Vec<Name>,
    known: HashSet<PathBuf>,
    patterns: Vec<PathBuf>,
}

impl Follow {
    /// Looks at what is there now: from here on, what is written to it is read.
    pub fn new(setting: Setting, given: &[PathBuf]) -> Self {
        let most = raise_file_limit();
        let lines = setting.lines();
        let mut follow = Self {
            room: Room {
                lines,
                setting,
                held: HashSet::new(),
                own_output: own_output(),
                said_full: false,
                most,
                next: 0,
            },
            names: Vec::new(),
            known: HashSet::new(),
            patterns: Vec::new(),
        };
        let now = Instant::now();
        for name in given {
            let checkpoint = follow.room.setting.checkpoint.as_ref();
            // A file is new that an earlier run looked for and did not see.
            let awaited = checkpoint.is_some_and(|checkpoint| checkpoint.watch(name));
            let begin = if awaited {
                Begin::Start
            } else {
                follow.room.setting.begin
            };
            if names::is_pattern(name) {
                follow.patterns.push(name.clone());
                let at = follow.patterns.len() - 1;
                follow.expand(at, begin, now);
            } else {
                follow.add(name.clone(), begin, false, now);
            }
        }
        if let Some(checkpoint) = &follow.room.setting.checkpoint {
            checkpoint.forget_gone();
            // Where a file was when it was first met must outlive us.
            checkpoint.begin();
        }
        follow
    }

    /// Follows until a stop is asked for, then reads what is there once. Gives how many files could
    /// not be read in the end.
    pub fn run(mut self) -> u64 {
        let began = Instant::now();
        let mut next_patterns = PATTERNS;
        loop {
            let view = self.room.setting.stop.view();
            if view.phase > Phase::Running || self.room.setting.is_over() {
                break;
            }
            let now = Instant::now();
            let tick = ticks(now - began);
            if tick >= next_patterns {
                next_patterns = aligned(tick, PATTERNS);
                for at in 0..self.patterns.len() {
                    self.expand(at, Begin::Start, now);
                }
            }
            self.look(tick, now);
            if let Some(checkpoint) = &self.room.setting.checkpoint {
                checkpoint.keep(Instant::now());
            }
            let dues = self.names.iter().map(|name| name.due);
            let patterns = (!self.patterns.is_empty()).then_some(next_patterns);
            let until = dues
                .chain(patterns)
                .min()
                .map(|due| began + TICK * due as u32);
            self.room.setting.stop.wait(until, view);
        }
        self.end()
    }

    /// Looks at the names whose time has come.
    fn look(&mut self, tick: u64, now: Instant) {
        let mut wanted = Vec::new();
        for (at, name) in self.names.iter_mut().enumerate() {
            if name.due > tick {
                continue;
            }
            let look = name.look(&mut self.room, now);
            wanted.extend(look.wants.map(|place| (place, at)));
            name.period = if look.busy {
                1
            } else {
                (name.period * 2).min(IDLE)
            };
            name.due = if look.more {
                tick
            } else {
                aligned(tick, name.period)
            };
        }
        if !wanted.is_empty() {
            self.hand_over(wanted);
        }
        let known = &mut self.known;
        self.names.retain(|name| {
            let over = name.of_pattern && name.is_over();
            if over {
                known.remove(&name.path);
            }
            !over
        });
    }

    /// Gives a file that was renamed, and whose new name is followed too, to that name: it is read
    /// on from where it was.
    fn hand_over(&mut self, wanted: Vec<(Place, usize)>) {
        let mut wanted: HashMap<Place, usize> = wanted.into_iter().collect();
        let mut moved = Vec::new();
        for name in &mut self.names {
            moved.extend(name.give_away(&mut wanted));
        }
        for (tail, at) in moved {
            self.names[at].take_over(tail);
        }
    }

    /// Adds the files that match a pattern and are not followed yet.
    fn expand(&mut self, pattern: usize, begin: Begin, now: Instant) {
        let mut paths = names::matches(&self.patterns[pattern]);
        paths.retain(|path| {
            let own = self.room.setting.checkpoint.as_ref();
            !self.known.contains(path)
                && !generations::is_gzip(path)
                && !own.is_some_and(|checkpoint| checkpoint.owns(path))
        });
        generations::oldest_first(&mut paths);
        for path in paths {
            self.add(path, begin, true, now);
        }
    }

    fn add(&mut self, path: PathBuf, begin: Begin, of_pattern: bool, now: Instant) {
        if self.known.insert(path.clone()) {
            let mut name = Name::new(path, begin, of_pattern);
            name.begin(&mut self.room, now);
            self.names.push(name);
        }
    }

    /// Reads what is there, and no more.
    fn end(mut self) -> u64 {
        let now = Instant::now();
        for at in 0..self.patterns.len() {
            self.expand(at, Begin::Start, now);
        }
        for name in &mut self.names {
            name.end(&mut self.room, now);
        }
        self.names.iter().filter(|name| name.is_failing()).count() as u64
    }
}

/// The tick that a time falls into.
fn ticks(time: Duration) -> u64 {
    (time.as_millis() / TICK.as_millis()) as u64
}

/// The next tick that is a multiple of a period: names with one period are due together.
fn aligned(tick: u64, period: u64) -> u64 {
    (tick / period + 1) * period
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_with_one_period_fall_together() {
        let times = [0, 24, 25, 199, 200].map(|ms| ticks(Duration::from_millis(ms)));
        assert_eq!(times, [0, 0, 1, 7, 8]);
        assert_eq!(
            [0, 1, 7, 8, 9].map(|tick| aligned(tick, 8)),
            [8, 8, 8, 16, 16]
        );
        assert_eq!([3, 4].map(|tick| aligned(tick, 1)), [4, 5]);
    }
}
