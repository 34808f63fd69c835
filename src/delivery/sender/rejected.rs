//! Records refused entries: counts and reports them and writes them to the dead letter file, or
//! changes them to fit a limit so that they can be sent once more.
//!
//! `rejection` decides which entries of a request are refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::batch::encode::{self, Encoder};
use crate::delivery::outcome::DeliveryError;
use crate::delivery::queue::Ack;
use crate::delivery::rejection::fit::{NamedLimits, Part, fit, merge};
use crate::delivery::rejection::{self, Context, Reason, SentEntry};
use crate::delivery::sender::bad_entry::Answers;
use crate::delivery::sender::schedule::PendingRequest;
use crate::entry::Entry;
use crate::entry::request::Request;
use crate::report::counters::Fate;
use crate::report::messages::{Message, Reporter};
use crate::storage::dead_letter::DeadLetter;

/// Records refused entries.
pub struct RejectionRecorder {
    dead_letter: Option<Arc<DeadLetter>>,
    reporter: Reporter,
    /// Reasons that were reported; further refusals for them are only counted.
    reported: HashSet<String>,
    /// Limits that Loki named in this run.
    limits: NamedLimits,
    gzip_level: u8,
}

impl RejectionRecorder {
    /// Creates a recorder that writes refused entries to this file, if there is one.
    pub fn new(dead_letter: Option<Arc<DeadLetter>>, reporter: Reporter, gzip_level: u8) -> Self {
        Self {
            dead_letter,
            reporter,
            reported: HashSet::new(),
            limits: NamedLimits::default(),
            gzip_level,
        }
    }

    /// Prepares a request for sending: entries are changed to fit the limits that Loki named.
    pub fn fitted(&self, request: Request) -> PendingRequest {
        let largest = request.largest;
        let fits = self.limits.is_empty() || largest.is_some_and(|own| self.limits.are_met_by(own));
        let opened = (!fits).then(|| encode::open(&request).ok());
        let Some(opened) = opened.flatten() else {
            return PendingRequest::new(request);
        };
        let (mut others, mut changed) = (Vec::new(), Vec::new());
        for entry in opened.entries() {
            let sent = SentEntry::of(&entry);
            match self.limits.exceeded_by(&sent) {
                Some(_) => changed.extend(fit(&entry, &sent, &self.limits)),
                None => others.push(Part::whole(&entry)),
            }
        }
        if changed.is_empty() {
            return PendingRequest::new(request);
        }
        self.encode(&request, &merge(others, changed))
    }

    fn encode(&self, request: &Request, parts: &[Part]) -> PendingRequest {
        let level = if request.gzip { self.gzip_level } else { 0 };
        let entries = parts.iter().map(Part::entry);
        let request = Encoder::new(level).request(&request.labels, entries);
        PendingRequest {
            ends: Some(parts.iter().map(|part| part.is_end).collect()),
            ..PendingRequest::new(request)
        }
    }

    /// Records a refused request. After a 400 that states a rule, the good entries are stored, and
    /// applying the rule to the request shows the others. Entries that are refused for a limit that
    /// Loki names, and were not changed before, are changed to fit and returned.
    pub fn refused(
        &mut self,
        pending: &PendingRequest,
        ack: &Ack,
        status: u16,
        text: &str,
    ) -> Option<PendingRequest> {
        if let Some(limit) = rejection::label_limit(text) {
            ack.set_label_limit(limit);
        }
        let request = &pending.request;
        let opened = encode::open(request).ok().filter(|_| status == 400);
        let entries: Vec<Entry<'_>> = opened
            .iter()
            .flat_map(encode::DecodedRequest::entries)
            .collect();
        let sent: Vec<SentEntry> = entries.iter().map(SentEntry::of).collect();
        let found = rejection::read(text, &sent, &context(text)).filter(|_| opened.is_some());
        let Some(mut found) = found else {
            self.refused_whole(pending, ack, status, text, &format!("status {status}"));
            return None;
        };
        let named = rejection::named_limits(text);
        self.limits.update(named);
        // Our own count decides which entries exceed a limit that Loki names.
        let mut reasons: Vec<Option<Reason>> = vec![None; entries.len()];
        for (at, entry) in sent.iter().enumerate() {
            reasons[at] = named.exceeded_by(entry);
        }
        for &(at, reason) in &found.refused {
            let is_earlier = matches!(reason, Reason::TooOld | Reason::TooNew);
            if is_earlier || reasons[at].is_none() {
                reasons[at] = Some(reason);
            }
        }
        let by_own_count = |&(at, reason): &(usize, Reason)| {
            pending.ends.is_none() && self.limits.exceeded_by(&sent[at]) == Some(reason)
        };
        let refused = reasons.into_iter().enumerate();
        let refused = refused.filter_map(|(at, reason)| Some((at, reason?)));
        let (to_fit, refused): (Vec<_>, Vec<_>) = refused.partition(by_own_count);
        found.refused = refused;

        let owed = |at: usize| usize::from(pending.ends.as_ref().is_none_or(|ends| ends[at]));
        let lost: usize = found.refused.iter().map(|&(at, _)| owed(at)).sum();
        if let Some((_, reason)) = found.refused.first() {
            self.report(found.refused.len(), status, text, reason.as_str());
        }
        let now = now();
        let off = found.refused.iter().find_map(|&(at, reason)| {
            minutes_off(entries[at].time, now).filter(|_| reason.is_about_time())
        });
        if let Some(minutes) = off
            && self.reported.insert(ZONE_HINT.to_owned())
        {
            self.reporter.say(&Message::RefusedTimesOff { minutes });
        }
        ack.settle(pending.entries() - lost - to_fit.len(), Fate::Delivered);
        let certain = found.exact || found.refused.len() == entries.len();
        for (at, reason) in found.refused {
            let reason = reason.as_str();
            ack.settle(owed(at), Fate::Refused(reason.to_owned()));
            self.keep(request, &entries[at], reason, certain);
        }
        let fitted = |&(at, _): &(usize, Reason)| fit(&entries[at], &sent[at], &self.limits);
        let parts: Vec<Part> = to_fit.iter().flat_map(fitted).collect();
        (!parts.is_empty()).then(|| self.encode(request, &merge(Vec::new(), parts)))
    }

    /// Records a request as refused as a whole, since all of it was, or since it is unknown which
    /// entries were stored.
    pub fn refused_whole(
        &mut self,
        pending: &PendingRequest,
        ack: &Ack,
        status: u16,
        text: &str,
        reason: &str,
    ) {
        ack.settle(pending.entries(), Fate::Refused(reason.to_owned()));
        self.keep_all(pending, reason);
        self.report(pending.entries(), status, text, reason);
    }

    /// Records a bad entry: the one that made its requests fail.
    pub fn refused_as_bad(
        &mut self,
        pending: &PendingRequest,
        ack: &Ack,
        error: &DeliveryError,
        answers: &Answers,
        url: &str,
    ) {
        let why = error.describe();
        let status = error.status.unwrap_or_default();
        ack.settle(pending.entries(), Fate::Refused(format!("status {status}")));
        self.keep_all(pending, &why);
        let opened = encode::open(&pending.request).ok();
        let line = opened
            .iter()
            .flat_map(encode::DecodedRequest::entries)
            .next();
        let (times, over) = answers.count();
        self.reporter.say(&Message::BadEntry {
            url,
            why: &why,
            times,
            over,
            line: line.as_ref().map_or("", |entry| entry.line),
        });
    }

    fn keep_all(&self, pending: &PendingRequest, reason: &str) {
        if let Ok(opened) = encode::open(&pending.request) {
            for entry in opened.entries() {
                self.keep(&pending.request, &entry, reason, true);
            }
        }
    }

    /// Writes a refused entry to the dead letter file. If it is not `certain` that it is this one,
    /// because Loki's counts disagree with its rules, the reason says so.
    fn keep(&self, request: &Request, entry: &Entry<'_>, reason: &str, certain: bool) {
        let guessed =
            (!certain).then(|| format!("{reason} (which entry of the request is not certain)"));
        let reason = guessed.as_deref().unwrap_or(reason);
        if let Some(file) = &self.dead_letter {
            file.write(&request.labels, entry, reason);
        }
        self.reporter.say(&Message::RefusedLine {
            reason,
            line: entry.line,
        });
    }

    /// Reports the first refusal for each reason.
    fn report(&mut self, entries: usize, status: u16, text: &str, reason: &str) {
        if self.reported.insert(reason.to_owned()) {
            self.reporter.say(&Message::Refused {
                entries,
                status,
                text,
            });
        }
    }
}

/// The key of the time zone hint in the set of reported reasons.
const ZONE_HINT: &str = "times off by a time zone";

/// Minutes by which a timestamp is ahead of the clock, if a wrong time zone may be the cause: a whole
/// number of quarter hours, to within a minute, and no more than time zones differ.
fn minutes_off(time: i64, now: i64) -> Option<i64> {
    const MINUTE: i64 = 60_000_000_000;
    let off = time.saturating_sub(now);
    let quarters = (off as f64 / (15 * MINUTE) as f64).round() as i64;
    let is_close = (off - quarters * 15 * MINUTE).abs() <= MINUTE;
    (quarters != 0 && quarters.abs() <= 26 * 4 && is_close).then_some(quarters * 15)
}

/// The current time in nanoseconds since 1970.
fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as i64
}

fn context(text: &str) -> Context {
    Context {
        now: Some(now()),
        newest_before: None,
        cut: text.len() >= crate::http::client::REFUSAL_TEXT,
    }
}
