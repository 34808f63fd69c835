//! Whether one entry is the reason why its request is never answered well. Pure; told the time.
//!
//! A gateway that dislikes one line, or a server that fails on it, must not hold up everything
//! behind it for ever. But an outage, one bad server of three, or a fault of a whole stream must not
//! cost an entry. So an entry is only refused if alone in a request it got the same answer five times
//! over at least a minute, while others of its stream were delivered, and while no request that had
//! got this answer passed unchanged: that last rule is what protects an entry that meets the one bad
//! server of three five times in a row.

use std::time::{Duration, Instant};

/// How long the same answer must have come before a bad entry is suspected, and again before one is
/// refused.
pub const CONVINCING: Duration = Duration::from_mins(1);

/// How often a single entry must have got it.
const ANSWERS: u32 = 5;

/// A suspected entry is sent again after this part of that time, as long as its stream passes: the
/// fifth answer completes the evidence.
const RETEST: u32 = ANSWERS - 1;

/// After this many answers the missing evidence will not come soon: there is no hurry.
const MANY: u32 = 3 * ANSWERS;

/// How often a request got the same bad answer, and since when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answers {
    same: Option<Same>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Same {
    status: u16,
    first: Instant,
    last: Instant,
    count: u32,
}

/// What is known of the stream of a request.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    /// Whether its other requests pass.
    pub passes: bool,
    /// When one last did, since the trouble began.
    pub passed: Option<Instant>,
    /// Whether nothing else of the stream waits, so that nothing more can pass.
    pub is_last: bool,
    /// Since when the bad entry is searched for by halving.
    pub searched: Option<Instant>,
    /// How long the same answer must have come: [`CONVINCING`], but for tests.
    pub convincing: Duration,
}

/// What follows from a bad answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The same again after a wait.
    Wait,
    /// Its halves are sent at once.
    Halve,
    /// It is one entry, and is sent again beside its stream. Whether it is on its way to a verdict.
    Beside {
        /// Whether the evidence is there, and only answers are missing.
        progress: bool,
    },
    /// It is one entry, and bad.
    Refuse(Answers),
}

impl Answers {
    /// Notes an answer; another than before starts the count anew.
    pub fn add(&mut self, status: u16, now: Instant) {
        let same = self.same.filter(|same| same.status == status);
        let first = same.map_or(now, |same| same.first);
        self.same = Some(Same {
            status,
            first,
            last: now,
            count: same.map_or(0, |same| same.count) + 1,
        });
    }

    /// The status of the answers, if there were some.
    pub fn status(&self) -> Option<u16> {
        Some(self.same?.status)
    }

    /// How many there were, and over how long.
    pub fn count(&self) -> (u32, Duration) {
        let same = self.same.map(|same| (same.count, same.last - same.first));
        same.unwrap_or_default()
    }

    /// Whether they came for so long that the reason may be in the request.
    pub fn are_convincing(&self, now: Instant, convincing: Duration) -> bool {
        let first = self.same.map(|same| same.first);
        first.is_some_and(|first| now.duration_since(first) >= convincing)
    }

    /// Whether they show that the entry, alone in its request, is bad.
    pub fn convict(&self, now: Instant, evidence: &Evidence) -> bool {
        let came_for_long = self.are_convincing(now, evidence.convincing);
        self.count().0 >= ANSWERS && came_for_long && evidence.holds(self)
    }

    /// How long until the entry is sent again.
    pub fn until_next(&self, evidence: &Evidence, longest: Duration) -> Duration {
        let most = if evidence.holds(self) { MANY } else { ANSWERS };
        let soon = self.count().0 < most;
        if soon {
            longest.min(evidence.convincing / RETEST)
        } else {
            longest
        }
    }
}

impl Evidence {
    /// Whether others of the stream passed between these answers. What is the last of its stream
    /// can have no others: for it those count that passed while it was being searched for.
    pub fn holds(&self, answers: &Answers) -> bool {
        let Some(same) = answers.same else {
            return false;
        };
        let since = match self.searched {
            Some(searched) if self.is_last => searched.min(same.first),
            _ => same.first,
        };
        self.passes && self.passed >= Some(since)
    }
}
