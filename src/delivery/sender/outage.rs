//! The voice: what shipping says of its troubles, each once when it begins to last and once when
//! it ends.
//!
//! Knows what was said already, and keeps the last trouble for the closing words. Decides nothing
//! about requests.

use std::collections::HashMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::delivery::outcome::{self, DeliveryError};

use crate::delivery::sender::schedule::NO_ROOM_RETRIED_FOR;
use crate::entry::labels::Labels;
use crate::report::messages::{Message, Reporter};

/// What holds up the next round.
pub struct BlockedBy {
    /// The trouble met.
    pub trouble: DeliveryError,
    /// How it looks.
    pub severity: Severity,
    /// How long it is waited for.
    pub wait: Duration,
    /// When the try that met it began.
    pub began: Instant,
}

impl BlockedBy {
    /// The trouble as messages name it.
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
    /// None yet; `hook` is called at each change.
    pub fn new(hook: Option<TroubleHook>) -> Self {
        Self {
            current: Arc::default(),
            hook,
        }
    }

    /// The error, if it still stands.
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

/// Says what there is to say.
pub struct OutageReporter {
    reporter: Reporter,
    /// The destination as messages name it, and where requests go.
    target: String,
    url: String,
    last: LastError,
    spell: Outage,
    /// Whether that was said, and with it that files are held up.
    said: bool,
    said_held_up: bool,
    /// Whether it was said that batches are given up, since Loki last took something.
    giving_up: bool,
    /// Streams of which it was reported that they alone are answered badly.
    failing: HashMap<Arc<Labels>, Instant>,
}

impl OutageReporter {
    /// Has said nothing yet.
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

    /// Delivery is held up, and with it so many entries.
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

    /// Files are not read on meanwhile, since this place of so many bytes is full.
    pub fn held_up(&mut self, (place, size): (&str, u64)) {
        if self.said && !std::mem::replace(&mut self.said_held_up, true) {
            self.reporter.say(&Message::HeldUp { place, size });
        }
    }

    /// Everything passes again; so many entries had waited.
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

    /// A request of this stream passed: giving up would be news again.
    pub fn taken(&mut self, stream: &Labels) {
        self.giving_up = false;
        if let Some(since) = self.failing.remove(stream) {
            self.reporter.say(&Message::StreamTroubleEnded {
                stream: &stream.to_string(),
                after: since.elapsed(),
            });
        }
    }

    /// A stream alone is answered badly, for the so many-th time. The first failure that the next
    /// try makes good is no news.
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

    /// A request was given up.
    pub fn gave_up(&mut self, entries: usize, retries: u32, trouble: &DeliveryError) {
        if !std::mem::replace(&mut self.giving_up, true) {
            self.reporter.say(&Message::GaveUp {
                entries,
                retries,
                why: &trouble.describe(),
            });
        }
    }

    /// Loki has no place for a stream, which is said if it `is_news`.
    pub fn no_place(&self, stream: &Labels, trouble: &DeliveryError, is_news: bool) {
        if is_news {
            self.reporter.say(&Message::NoPlace {
                stream: &stream.to_string(),
                tried: NO_ROOM_RETRIED_FOR,
            });
        }
        self.last.set(Some(trouble.describe()));
    }

    /// A shipment has its fate; so many requests, entries and bytes it began with.
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

/// A failure that stood for this long is worth a line, even if it is the first.
const WORTH_SAYING: Duration = Duration::from_secs(2);

/// A rate limit is met in passing when much is sent; one that lets nothing pass for this long is
/// worth a line.
const LIMIT_WORTH_SAYING: Duration = Duration::from_secs(15);

/// How a failed try looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// A rate limit: the next try is timed to meet it.
    Limit,
    /// It passes with time.
    Passing,
    /// Only a person can mend it.
    Lasting,
}

/// A spell of trouble: said once when it begins to last and once when it ends, never a line a
/// retry.
#[derive(Debug, Default)]
pub struct Outage {
    since: Option<Instant>,
    failures: u32,
    said: bool,
    /// Whether it was said that only a person can mend it.
    said_lasting: bool,
}

impl Outage {
    /// No trouble yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a failed try that began at `began`; tells whether this is the moment to say so. One
    /// failure that the next try mends is no news, unless it cannot mend itself or took long
    /// already.
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
        // That it will not pass by itself is news, whatever it began with.
        let is_lasting = severity == Severity::Lasting;
        let is_news = !self.said || is_lasting && !self.said_lasting;
        let say = worth_saying && is_news;
        self.said |= say;
        self.said_lasting |= say && is_lasting;
        say
    }

    /// Notes that a request passed; gives how long the spell had lasted if it had been spoken of.
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
    fn what_only_a_person_can_mend_is_said_whatever_it_began_with() {
        let (mut spell, now) = (Outage::new(), Instant::now());
        let mut said = |severity| spell.failed(now, now, severity);
        assert!(!said(Severity::Passing) && said(Severity::Passing));
        assert!(!said(Severity::Passing));
        assert!(said(Severity::Lasting) && !said(Severity::Lasting));
        assert!(!said(Severity::Passing));
    }

    #[test]
    fn only_trouble_that_lasts_is_said_and_once() {
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
    fn a_rate_limit_is_no_news_until_nothing_passes_for_long() {
        let now = Instant::now();
        let mut spell = Outage::new();
        for seconds in [0, 1, 5, 14] {
            assert!(!spell.failed(now, now + Duration::from_secs(seconds), Severity::Limit));
        }
        assert!(spell.failed(now, now + LIMIT_WORTH_SAYING, Severity::Limit));
    }
}
