//! Reports delivery problems: each once when it lasts, and once when it is over.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::delivery::outcome::{self, DeliveryError};

use crate::delivery::sender::schedule::NO_ROOM_RETRIED_FOR;
use crate::entry::labels::Labels;
use crate::report::messages::{Message, Reporter};

/// Why the next round must wait.
pub struct BlockedBy {
    /// The error of the last attempt.
    pub trouble: DeliveryError,
    /// How serious it is.
    pub severity: Severity,
    /// The time until the next attempt.
    pub wait: Duration,
    /// When the failed attempt began.
    pub began: Instant,
}

impl BlockedBy {
    /// The error as messages describe it.
    pub fn why(&self) -> String {
        self.trouble.describe()
    }
}

/// Called with the current delivery error, or with None when it is over.
pub type TroubleHook = Arc<dyn Fn(Option<&str>) + Send + Sync>;

/// The current delivery error, for the summary of the run; clones share it.
#[derive(Clone, Default)]
pub struct LastError {
    current: Arc<Mutex<Option<String>>>,
    hook: Option<TroubleHook>,
}

impl LastError {
    /// Starts without an error; `hook` is called at each change.
    pub fn new(hook: Option<TroubleHook>) -> Self {
        Self {
            current: Arc::default(),
            hook,
        }
    }

    /// The error, if delivery is failing now.
    pub fn get(&self) -> Option<String> {
        self.lock().clone()
    }

    fn set(&self, error: Option<String>) {
        if *self.lock() == error {
            return;
        }
        if let Some(hook) = &self.hook {
            // A hook that panics must not end delivery.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| hook(error.as_deref())));
        }
        *self.lock() = error;
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports outages, and remembers what was reported.
pub struct OutageReporter {
    reporter: Reporter,
    /// The destination as messages name it, and the push URL.
    target: String,
    url: String,
    last: LastError,
    spell: Outage,
    /// Whether it was reported that reading of files is blocked.
    said: bool,
    said_held_up: bool,
    /// Whether it was reported that batches are given up, since a request last succeeded.
    giving_up: bool,
    /// Streams that alone fail, and since when that is reported.
    failing: HashMap<Arc<Labels>, Instant>,
}

impl OutageReporter {
    /// Creates a reporter that has reported nothing yet.
    pub fn new(reporter: Reporter, target: String, url: String, last: LastError) -> Self {
        Self {
            reporter,
            target,
            url,
            last,
            spell: Outage::new(),
            said: false,
            said_held_up: false,
            giving_up: false,
            failing: HashMap::new(),
        }
    }

    /// Called when delivery is blocked, with the number of waiting entries.
    pub fn held(&mut self, hold: &BlockedBy, entries: u64) {
        let DeliveryError {
            status,
            text,
            permanent,
            ..
        } = &hold.trouble;
        self.reporter.say(&Message::Retry {
            status: *status,
            text,
            wait: hold.wait,
        });
        let why = hold.why();
        if self.spell.failed(hold.began, Instant::now(), hold.severity) {
            self.said = true;
            let target = &self.target;
            self.reporter.say(&match status {
                Some(status) if *permanent => Message::Denied {
                    url: &self.url,
                    status: *status,
                    text: outcome::without_status(*status, text),
                    remedy: outcome::remedy(*status, text),
                },
                None if *permanent => Message::Barred { target, why: text },
                _ => Message::TroubleBegan {
                    target,
                    why: &why,
                    entries,
                },
            });
        }
        self.last.set(Some(why));
    }

    /// Called when reading of files stops, since the buffer or the spool of this size is full.
    pub fn held_up(&mut self, (place, size): (&str, u64)) {
        if self.said && !std::mem::replace(&mut self.said_held_up, true) {
            self.reporter.say(&Message::HeldUp { place, size });
        }
    }

    /// Called when delivery works again, with the number of entries that had waited.
    pub fn passed(&mut self, entries: u64) {
        (self.said, self.said_held_up) = (false, false);
        if let Some(after) = self.spell.ended(Instant::now()) {
            self.reporter.say(&Message::TroubleEnded {
                target: &self.target,
                after,
                entries,
            });
        }
        if self.failing.is_empty() {
            self.last.set(None);
        }
    }

    /// Called when a request of this stream succeeded: batches given up later are reported again.
    pub fn taken(&mut self, stream: &Labels) {
        self.giving_up = false;
        if let Some(since) = self.failing.remove(stream) {
            self.reporter.say(&Message::StreamTroubleEnded {
                stream: &stream.to_string(),
                after: since.elapsed(),
            });
        }
    }

    /// Called when requests of one stream fail while others succeed. A failure that the next attempt
    /// repairs is not reported.
    pub fn stream_fails(&mut self, stream: &Arc<Labels>, error: &DeliveryError, tries: u32) {
        let why = error.describe();
        let is_news = error.permanent || tries > 1;
        if is_news && !self.failing.contains_key(stream) {
            self.failing.insert(Arc::clone(stream), Instant::now());
            self.reporter.say(&Message::StreamTroubleBegan {
                stream: &stream.to_string(),
                url: &self.url,
                why: &why,
            });
        }
        self.last.set(Some(why));
    }

    /// Called when a request was given up after `--max-retries`.
    pub fn gave_up(&mut self, entries: usize, retries: u32, trouble: &DeliveryError) {
        if !std::mem::replace(&mut self.giving_up, true) {
            self.reporter.say(&Message::GaveUp {
                entries,
                retries,
                why: &trouble.describe(),
            });
        }
    }

    /// Called when Loki's limit of active streams is reached. Reported if it `is_news`.
    pub fn no_place(&self, stream: &Labels, trouble: &DeliveryError, is_news: bool) {
        if is_news {
            self.reporter.say(&Message::NoPlace {
                stream: &stream.to_string(),
                tried: NO_ROOM_RETRIED_FOR,
            });
        }
        self.last.set(Some(trouble.describe()));
    }

    /// Called when a batch is complete; `size` is its number of requests, entries and bytes.
    pub fn settled(&self, number: u64, size: (usize, usize, usize), took: Duration) {
        let (requests, entries, bytes) = size;
        self.reporter.say(&Message::Settled {
            number,
            requests,
            entries,
            bytes,
            took,
        });
    }
}

/// A failure that has lasted this long is reported, even if it is the first one.
const WORTH_SAYING: Duration = Duration::from_secs(2);

/// A rate limit is normal when much is sent. It is reported if nothing passes for this long.
const LIMIT_WORTH_SAYING: Duration = Duration::from_secs(15);

/// How serious a failed attempt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// A rate limit; the next attempt is timed to stay below it.
    Limit,
    /// An outage, which passes with time.
    Passing,
    /// A configuration fault, which only a person can fix.
    Lasting,
}

/// The state of an outage: reported once when it lasts and once when it is over, not at every retry.
#[derive(Debug, Default)]
pub struct Outage {
    since: Option<Instant>,
    failures: u32,
    said: bool,
    /// Whether it was reported as a configuration fault.
    said_lasting: bool,
}

impl Outage {
    /// Starts without an outage.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a failed attempt that began at `began`. Returns whether to report it now. A single
    /// failure is only reported if it is a configuration fault or has taken long already.
    pub fn failed(&mut self, began: Instant, now: Instant, severity: Severity) -> bool {
        let stood = now.duration_since(*self.since.get_or_insert(began));
        let worth_saying = match severity {
            Severity::Limit => stood >= LIMIT_WORTH_SAYING,
            Severity::Passing => {
                self.failures += 1;
                self.failures > 1 || stood >= WORTH_SAYING
            }
            Severity::Lasting => true,
        };
        // A configuration fault is reported even if the outage was reported before as another kind.
        let is_lasting = severity == Severity::Lasting;
        let is_news = !self.said || is_lasting && !self.said_lasting;
        let say = worth_saying && is_news;
        self.said |= say;
        self.said_lasting |= say && is_lasting;
        say
    }

    /// Records a success. Returns how long the outage lasted, if it had been reported.
    pub fn ended(&mut self, now: Instant) -> Option<Duration> {
        let ended = std::mem::take(self);
        ended
            .since
            .filter(|_| ended.said)
            .map(|since| now.duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_fault_is_reported_at_any_stage_of_an_outage() {
        let (mut spell, now) = (Outage::new(), Instant::now());
        let mut said = |severity| spell.failed(now, now, severity);
        assert!(!said(Severity::Passing) && said(Severity::Passing));
        assert!(!said(Severity::Passing));
        assert!(said(Severity::Lasting) && !said(Severity::Lasting));
        assert!(!said(Severity::Passing));
    }

    #[test]
    fn only_lasting_outages_are_reported_and_only_once() {
        let now = Instant::now();
        let mut spell = Outage::new();
        assert!(!spell.failed(now, now, Severity::Passing));
        assert_eq!(spell.ended(now), None);

        assert!(!spell.failed(now, now, Severity::Passing));
        assert!(spell.failed(now, now, Severity::Passing));
        assert!(!spell.failed(now, now, Severity::Passing));
        let later = now + Duration::from_secs(9);
        assert_eq!(spell.ended(later), Some(Duration::from_secs(9)));

        let long = now + WORTH_SAYING;
        assert!(spell.failed(now, long, Severity::Passing), "it took long");
        assert!(Outage::new().failed(now, now, Severity::Lasting));
    }

    #[test]
    fn a_rate_limit_is_reported_when_nothing_passes_for_long() {
        let now = Instant::now();
        let mut spell = Outage::new();
        for seconds in [0, 1, 5, 14] {
            assert!(!spell.failed(now, now + Duration::from_secs(seconds), Severity::Limit));
        }
        assert!(spell.failed(now, now + LIMIT_WORTH_SAYING, Severity::Limit));
    }
}
