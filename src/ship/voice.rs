//! The voice: what shipping says of its troubles, each once when it begins to last and once when
//! it ends.
//!
//! Knows what was said already, and keeps the last trouble for the closing words. Decides nothing
//! about requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::desk::PARKED_FOR;
use crate::labels::Labels;
use crate::note::{Message, Note};
use crate::retry::{Severity, Spell};
use crate::shipment::Trouble;

/// What holds up the next round.
pub struct Hold {
    /// The trouble met.
    pub trouble: Trouble,
    /// How it looks.
    pub severity: Severity,
    /// How long it is waited for.
    pub wait: Duration,
    /// When the try that met it began.
    pub began: Instant,
}

impl Hold {
    /// The trouble as messages name it.
    pub fn why(&self) -> String {
        words(&self.trouble)
    }
}

/// The trouble that is on, for the closing words; clones share it.
#[derive(Clone, Default)]
pub struct LastTrouble(Arc<Mutex<Option<String>>>);

impl LastTrouble {
    /// The trouble, if it still is on.
    pub fn get(&self) -> Option<String> {
        self.lock().clone()
    }

    fn set(&self, trouble: Option<String>) {
        *self.lock() = trouble;
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what there is to say.
pub struct Voice {
    note: Note,
    /// The destination as messages name it.
    target: String,
    last: LastTrouble,
    spell: Spell,
    /// Whether that was said, and with it that files are held up.
    said: bool,
    said_held_up: bool,
    /// Whether it was said that batches are given up, since Loki last took something.
    giving_up: bool,
}

impl Voice {
    /// Has said nothing yet.
    pub fn new(note: Note, target: String, last: LastTrouble) -> Self {
        Self {
            note,
            target,
            last,
            spell: Spell::new(),
            said: false,
            said_held_up: false,
            giving_up: false,
        }
    }

    /// Delivery is held up, and with it so many entries.
    pub fn held(&mut self, hold: &Hold, entries: u64) {
        let Trouble {
            status,
            text,
            lasting,
        } = &hold.trouble;
        self.note.say(&Message::Retry {
            status: *status,
            text,
            wait: hold.wait,
        });
        let why = hold.why();
        if self.spell.failed(hold.began, Instant::now(), hold.severity) {
            self.said = true;
            let target = &self.target;
            self.note.say(&match status {
                Some(status) if *lasting => Message::Denied {
                    target,
                    status: *status,
                    text,
                },
                None if *lasting => Message::Barred { target, why: text },
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
            self.note.say(&Message::HeldUp { place, size });
        }
    }

    /// Everything passes again; so many entries had waited.
    pub fn passed(&mut self, entries: u64) {
        (self.said, self.said_held_up) = (false, false);
        if let Some(after) = self.spell.ended(Instant::now()) {
            self.note.say(&Message::TroubleEnded {
                target: &self.target,
                after,
                entries,
            });
        }
        self.last.set(None);
    }

    /// Loki took something: giving up would be news again.
    pub fn taken(&mut self) {
        self.giving_up = false;
    }

    /// A request was given up.
    pub fn gave_up(&mut self, entries: usize, retries: u32, trouble: &Trouble) {
        if !std::mem::replace(&mut self.giving_up, true) {
            self.note.say(&Message::GaveUp {
                entries,
                retries,
                why: &words(trouble),
            });
        }
    }

    /// Loki has no place for a stream, which is said if it `is_news`.
    pub fn no_place(&self, stream: &Labels, trouble: &Trouble, is_news: bool) {
        if is_news {
            self.note.say(&Message::NoPlace {
                stream: &stream.to_string(),
                tried: PARKED_FOR,
            });
        }
        self.last.set(Some(words(trouble)));
    }

    /// A shipment has its fate; so many requests, entries and bytes it began with.
    pub fn settled(&self, number: u64, size: (usize, usize, usize), took: Duration) {
        let (requests, entries, bytes) = size;
        self.note.say(&Message::Settled {
            number,
            requests,
            entries,
            bytes,
            took,
        });
    }
}

/// What is the matter, with the status if there was an answer.
fn words(trouble: &Trouble) -> String {
    match trouble.status {
        Some(status) => format!("{status} {}", trouble.text).trim_end().to_owned(),
        None => trouble.text.clone(),
    }
}
