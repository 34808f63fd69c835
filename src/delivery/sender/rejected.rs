//! Fates: writes down what became of requests, and of the entries in one that was refused in part.
//!
//! Knows how a refusal is told apart (`refusal`) and how it is said. Sends nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::batch::encode;
use crate::delivery::queue::Ack;
use crate::delivery::rejection;
use crate::delivery::rejection::{Context, SentEntry};
use crate::entry::Entry;
use crate::entry::request::Request;
use crate::report::counters::Fate;
use crate::report::messages;
use crate::report::messages::{Message, Reporter};
use crate::storage::dead_letter::DeadLetter;

/// Where fates are written.
pub struct RejectionRecorder {
    dead_letter: Option<Arc<DeadLetter>>,
    reporter: Reporter,
    /// Reasons that were spoken of; more of the same is only counted.
    said: HashSet<String>,
}

impl RejectionRecorder {
    /// Keeps refused entries in this file, if there is one.
    pub fn new(dead_letter: Option<Arc<DeadLetter>>, reporter: Reporter) -> Self {
        Self {
            dead_letter,
            reporter,
            said: HashSet::new(),
        }
    }

    /// Loki refused it, or some of it: after a 400 for a stated rule the good entries are stored
    /// (contract, trap T5), and the rule, applied to our own entries, tells the others.
    pub fn refused(&mut self, request: &Request, ticket: &Ack, status: u16, text: &str) {
        let opened = encode::open(request).ok().filter(|_| status == 400);
        let found = opened.as_ref().and_then(|opened| {
            let sent: Vec<SentEntry> = opened.entries().map(|entry| as_sent(&entry)).collect();
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let hints = Context {
                now: Some(now.as_nanos() as i64),
                newest_before: None,
                cut: text.len() >= crate::http::client::REFUSAL_TEXT,
            };
            rejection::read(text, &sent, &hints)
        });
        let (Some(opened), Some(found)) = (opened, found) else {
            self.refused_whole(request, ticket, status, text, &format!("status {status}"));
            return;
        };
        let refused = found.refused.len();
        if let Some((_, reason)) = found.refused.first() {
            self.say(refused, status, text, reason.as_str());
        }
        ticket.settle(request.entries - refused, Fate::Delivered);
        let entries: Vec<Entry<'_>> = opened.entries().collect();
        let certain = found.exact || refused == entries.len();
        for (at, reason) in found.refused {
            let reason = reason.as_str();
            ticket.settle(1, Fate::Refused(reason.to_owned()));
            self.keep(request, &entries[at], reason, certain);
        }
    }

    /// Loki refused all of it, or what it stored cannot be told.
    pub fn refused_whole(
        &mut self,
        request: &Request,
        ticket: &Ack,
        status: u16,
        text: &str,
        reason: &str,
    ) {
        ticket.settle(request.entries, Fate::Refused(reason.to_owned()));
        if let Ok(opened) = encode::open(request) {
            for entry in opened.entries() {
                self.keep(request, &entry, reason, true);
            }
        }
        self.say(request.entries, status, text, reason);
    }

    /// An entry that Loki does not want. If it is not `certain` that it is this one, since Loki's
    /// counts do not agree with what its rules make of the request, that is kept with it.
    fn keep(&self, request: &Request, entry: &Entry<'_>, reason: &str, certain: bool) {
        let guessed = (!certain).then(|| messages::guessed(reason));
        let reason = guessed.as_deref().unwrap_or(reason);
        if let Some(file) = &self.dead_letter {
            file.write(&request.labels, entry, reason);
        }
        self.reporter.say(&Message::RefusedLine {
            reason,
            line: entry.line,
        });
    }

    /// Says a refusal, the first time it happens for this reason.
    fn say(&mut self, entries: usize, status: u16, text: &str, reason: &str) {
        if self.said.insert(reason.to_owned()) {
            self.reporter.say(&Message::Refused {
                entries,
                status,
                text,
            });
        }
    }
}

/// An entry as Loki's rules look at it.
fn as_sent(entry: &Entry<'_>) -> SentEntry {
    let mut sent = SentEntry {
        time: entry.time,
        line: entry.line.len(),
        metadata: 0,
        metadata_count: 0,
    };
    let object: Option<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_str(entry.metadata).ok();
    for (name, value) in object.into_iter().flatten() {
        sent.metadata_count += 1;
        // Loki does not count the level it would add itself (`pkg/util/entry_size.go`).
        if name != "detected_level" {
            sent.metadata += name.len() + value.as_str().map_or(0, str::len);
        }
    }
    sent
}
