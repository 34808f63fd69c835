//! Following: the files behind names and patterns, as they grow, by name.
//!
//! One thread looks at all of them, at files that grow every 25 ms and at still ones every 200 ms,
//! all at the same moments so that it seldom wakes. Knows when to look and when a file is done;
//! what one name goes through is in `name`, reading in `tail`.

pub mod context;
pub mod glob_watch;
pub mod late_writes;
pub mod path;
pub mod tail;
pub mod unavailable;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::input::file_names;
use crate::input::follow::context::FollowContext;
use crate::input::follow::glob_watch::GlobWatcher;
use crate::input::follow::path::FollowedPath;
use crate::input::open_file::StartAt;
use crate::input::{SourceOptions, glob};
use crate::storage::file_identity::DevInode;
use crate::sync::shutdown::Phase;

/// The time between two looks at a file that grows.
const TICK: Duration = Duration::from_millis(25);

/// Ticks between two looks at a file that is still. A power of two, as all periods.
pub const IDLE: u64 = 8;

/// Ticks between two looks at whether new files may match a pattern.
const PATTERNS: u64 = IDLE;

/// Follows files.
pub struct Follower {
    shared: FollowContext,
    names: Vec<FollowedPath>,
    known: HashSet<PathBuf>,
    patterns: Vec<GlobWatcher>,
}

impl Follower {
    /// Looks at what is there now: from here on, what is written to it is read.
    pub fn new(setting: SourceOptions, given: &[PathBuf]) -> Self {
        let mut follow = Self {
            shared: FollowContext::new(setting),
            names: Vec::new(),
            known: HashSet::new(),
            patterns: Vec::new(),
        };
        let now = Instant::now();
        for name in given {
            let checkpoint = follow.shared.setting.checkpoint.as_ref();
            // A file is new that an earlier run looked for and did not see.
            let awaited = checkpoint.is_some_and(|checkpoint| checkpoint.watch(name));
            let begin = if awaited {
                StartAt::Start
            } else {
                follow.shared.setting.begin
            };
            if glob::is_pattern(name) {
                follow.patterns.push(GlobWatcher::new(name.clone(), now));
                let at = follow.patterns.len() - 1;
                follow.recall(name, now);
                follow.expand(at, begin, now);
            } else {
                follow.add(name.clone(), begin, false, now);
            }
        }
        if let Some(checkpoint) = &follow.shared.setting.checkpoint {
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
            let view = self.shared.setting.stop.state();
            if view.phase > Phase::Running || self.shared.setting.is_over() {
                break;
            }
            let now = Instant::now();
            let tick = ticks(now - began);
            if tick >= next_patterns {
                next_patterns = aligned(tick, PATTERNS);
                for at in 0..self.patterns.len() {
                    if self.patterns[at].is_due(now) {
                        self.expand(at, StartAt::Start, now);
                    }
                }
            }
            self.look(tick, now);
            if let Some(checkpoint) = &self.shared.setting.checkpoint {
                checkpoint.keep(Instant::now());
            }
            let dues = self.names.iter().map(|name| name.due);
            let patterns = (!self.patterns.is_empty()).then_some(next_patterns);
            let until = dues
                .chain(patterns)
                .min()
                .map(|due| began + TICK * due as u32);
            self.shared.setting.stop.wait(until, view);
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
            let look = name.look(&mut self.shared, now);
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
        let Self { known, shared, .. } = self;
        self.names.retain(|name| {
            let over = name.of_pattern && name.is_over();
            if over {
                known.remove(&name.path);
                shared.copies.forget(&name.path);
            }
            !over
        });
    }

    /// Gives a file that was renamed, and whose new name is followed too, to that name: it is read
    /// on from where it was.
    fn hand_over(&mut self, wanted: Vec<(DevInode, usize)>) {
        let mut wanted: HashMap<DevInode, usize> = wanted.into_iter().collect();
        let mut moved = Vec::new();
        for name in &mut self.names {
            moved.extend(name.give_away(&mut wanted));
        }
        for (tail, at) in moved {
            self.names[at].take_over(tail);
        }
    }

    /// Adds the files that match a pattern and are not followed yet.
    fn expand(&mut self, pattern: usize, begin: StartAt, now: Instant) {
        let mut paths = self.patterns[pattern].list();
        paths.retain(|path| {
            let own = self.shared.setting.checkpoint.as_ref();
            !self.known.contains(path)
                && !file_names::is_gzip(path)
                && !own.is_some_and(|checkpoint| checkpoint.owns(path))
        });
        file_names::oldest_first(&mut paths);
        for path in paths {
            self.add(path, begin, true, now);
        }
    }

    /// Adds what an earlier run read by this pattern and what nothing bears now: its last lines may
    /// lie beside it.
    fn recall(&mut self, pattern: &Path, now: Instant) {
        let own = self.shared.setting.checkpoint.as_ref();
        let former = own.map_or_else(Vec::new, |checkpoint| checkpoint.former_paths());
        for path in glob::orphaned(pattern, former) {
            self.add(path, StartAt::Start, true, now);
        }
    }

    fn add(&mut self, path: PathBuf, begin: StartAt, of_pattern: bool, now: Instant) {
        if self.known.insert(path.clone()) {
            let mut name = FollowedPath::new(path, begin, of_pattern);
            name.begin(&mut self.shared, now);
            self.names.push(name);
        }
    }

    /// Reads what is there, and no more.
    fn end(mut self) -> u64 {
        let now = Instant::now();
        for at in 0..self.patterns.len() {
            self.expand(at, StartAt::Start, now);
        }
        for name in &mut self.names {
            name.end(&mut self.shared, now);
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
