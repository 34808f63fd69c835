//! A followed pattern: when the files that it matches are looked for again.
//!
//! A look is a question for the time of each directory in which a match may appear; they are listed
//! when one has changed. Knows directories and what looking cost. Knows nothing of what is read.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::input::glob;

/// The longest time between two lists, where nothing seems to have changed: not every file system
/// tells the time of a change, or finely.
const MAX_INTERVAL: Duration = Duration::from_secs(1);

/// So many times as long as a look, or a list without a reason, took, is rested after it: it costs
/// 0.2 % of a core at most.
const IDLE_DUTY: u32 = 500;

/// The same for a list that had a reason.
const CHANGED_DUTY: u32 = 20;

/// A pattern, and what was seen of the directories that it leads to.
pub struct GlobWatcher {
    /// The pattern.
    pub glob: PathBuf,
    seen: Vec<(PathBuf, Option<Change>)>,
    /// The directories had changed at the last look: there may have been more changes at the same
    /// time.
    warm: bool,
    /// Not looked at before.
    rest: Instant,
    /// Listed then whatever was seen.
    net: Instant,
    /// How long it took what began then.
    took: fn(&Instant) -> Duration,
}

/// When a directory was last changed.
type Change = (u64, i64, i64);

impl GlobWatcher {
    /// A pattern that was not looked for yet.
    pub fn new(glob: PathBuf, now: Instant) -> Self {
        Self {
            glob,
            seen: Vec::new(),
            warm: true,
            rest: now,
            net: now,
            took: Instant::elapsed,
        }
    }

    /// From now on looking takes no time, as in a simulation.
    #[cfg(test)]
    pub fn ignore_cost(&mut self, now: Instant) {
        self.took = |_| Duration::ZERO;
        self.rest = now;
    }

    /// Whether new files may match, so that it is to be listed.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if now < self.rest {
            return false;
        }
        let began = Instant::now();
        let mut changed = false;
        for (dir, seen) in &mut self.seen {
            let found = change(dir);
            changed |= *seen != found;
            *seen = found;
        }
        self.rest = now + (self.took)(&began) * IDLE_DUTY;
        std::mem::replace(&mut self.warm, changed) || changed || now >= self.net
    }

    /// The files that match now.
    pub fn list(&mut self, now: Instant) -> Vec<PathBuf> {
        let began = Instant::now();
        // Asked before: what appears in between is seen the next time.
        let dirs = glob::directories(&self.glob).into_iter();
        self.seen = dirs.map(|dir| (dir.clone(), change(&dir))).collect();
        let found = glob::matches(&self.glob);
        let took = (self.took)(&began);
        self.rest = self.rest.max(now + took * CHANGED_DUTY);
        self.net = now + (took * IDLE_DUTY).max(MAX_INTERVAL);
        found
    }
}

fn change(dir: &PathBuf) -> Option<Change> {
    let meta = fs::metadata(dir).ok()?;
    Some((meta.ino(), meta.mtime(), meta.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_listed_when_a_directory_has_changed_and_once_more() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("a")).unwrap();
        let mut now = Instant::now();
        let mut pattern = GlobWatcher::new(at("*/*.log"), now);
        let mut look = || {
            now += MAX_INTERVAL / 4;
            pattern.net = now + MAX_INTERVAL;
            pattern.rest = now;
            pattern.is_due(now).then(|| pattern.list(now))
        };
        assert_eq!(look(), Some(Vec::new()));
        assert_eq!(look(), None);
        fs::write(at("a/x.log"), "").unwrap();
        assert_eq!(look(), Some(vec![at("a/x.log")]));
        assert_eq!(look(), Some(vec![at("a/x.log")]));
        assert_eq!(look(), None);
        fs::create_dir(at("b")).unwrap();
        assert_eq!(look().map(|found| found.len()), Some(1));
        fs::write(at("b/y.log"), "").unwrap();
        assert_eq!(look().map(|found| found.len()), Some(2));
        pattern.warm = false;
        let net = pattern.net;
        for (when, due) in [
            (net.checked_sub(MAX_INTERVAL / 4).unwrap(), false),
            (net, true),
        ] {
            pattern.rest = when;
            assert_eq!(pattern.is_due(when), due);
        }
    }
}
