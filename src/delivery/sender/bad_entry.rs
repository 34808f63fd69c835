//! Whether one entry is the reason why its request is never answered well. Pure; told the time.
//!
//! A gateway that dislikes one line, or a server that fails on it, must not hold up everything
//! behind it for ever. But an outage, one bad server of three, or a fault of a whole stream must not
//! cost an entry. So an entry is only refused if alone in a request it got the same answer five times
//! over at least a minute, while others of its stream were delivered, and while no request that had
//! got this answer passed unchanged: that last rule is what protects an entry that meets the one bad
//! server of three five times in a row.

use std::time::{Duration, Instant};

/// How long the same answer must have been repeated before a bad entry is suspected, and again before
/// one is refused.
pub const CONVINCING: Duration = Duration::from_mins(1);

/// How often a single entry must have received the same answer.
const ANSWERS: u32 = 5;

/// A suspected entry is retried at intervals of this fraction of [`CONVINCING`] while its stream is
/// delivered, so that the fifth answer completes the evidence.
const RETEST: u32 = ANSWERS - 1;

/// After this many answers without a verdict, the entry is retried at the longest interval.
const MANY: u32 = 3 * ANSWERS;

/// How often a request received the same bad answer, and since when.
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

/// What is known about the stream of a request.
#[derive(Debug, Clone, Copy)]
pub struct Evidence {
    /// Whether its other requests succeed.
    pub passes: bool,
    /// When one last succeeded, since the first bad answer.
    pub passed: Option<Instant>,
    /// Whether nothing else of the stream is waiting, so that nothing more can succeed.
    pub is_last: bool,
    /// Since when the bad entry is searched for by halving.
    pub searched: Option<Instant>,
    /// How long the same answer must have come: [`CONVINCING`], but for tests.
    pub convincing: Duration,
}

/// The consequence of a bad answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Retry the request after a wait.
    Wait,
    /// Send its halves at once.
    Halve,
    /// It is a single entry: retry it while the rest of its stream continues.
    Beside {
        /// Whether only more answers are missing for a verdict.
        progress: bool,
    },
    /// It is a single entry, and bad.
    Refuse(Answers),
}

impl Answers {
    /// Records an answer. A different one than before restarts the count.
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

    /// The status of the answers, if there are any.
    pub fn status(&self) -> Option<u16> {
        Some(self.same?.status)
    }

    /// The number of answers, and the time between the first and the last.
    pub fn count(&self) -> (u32, Duration) {
        let same = self.same.map(|same| (same.count, same.last - same.first));
        same.unwrap_or_default()
    }

    /// Whether they have been repeated for so long that the request may be the reason.
    pub fn are_convincing(&self, now: Instant, convincing: Duration) -> bool {
        let first = self.same.map(|same| same.first);
        first.is_some_and(|first| now.duration_since(first) >= convincing)
    }

    /// Whether they show that the entry, alone in its request, is bad.
    pub fn convict(&self, now: Instant, evidence: &Evidence) -> bool {
        let came_for_long = self.are_convincing(now, evidence.convincing);
        self.count().0 >= ANSWERS && came_for_long && evidence.holds(self)
    }

    /// The time until the entry is retried.
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
    /// Whether others of the stream succeeded between these answers. The last entry of a stream has no
    /// others; for it, those count that succeeded during the search.
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
