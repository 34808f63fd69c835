//! The contract across requests: nothing is sent twice that was settled, nothing is stamped or
//! encoded anew, no stream has two requests under way, old entries keep apart from fresh ones.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::picture::short;
use super::state::{Answered, Push, State};

const HOUR: i64 = 3_600_000_000_000;

impl State {
    /// From here on the client is another process, and the one before may have been killed
    /// between an answer and writing it down: what was answered may come again as it was.
    pub fn client_restarted(&mut self) {
        self.forgiven = self.seen.requests.len();
        self.newest.clear();
    }

    /// Requests under way for the stream of this one.
    pub(super) fn rivals(&self, number: usize) -> Vec<usize> {
        let push = self.push(number);
        let under_way = self.under_way.keys().copied();
        let rivals = under_way.filter(|other| {
            let other = self.push(*other);
            other.number != number
                && !other.entries.is_empty()
                && other.tenant == push.tenant
                && other.labels == push.labels
        });
        rivals.collect()
    }

    /// What this request does that the requests before it forbid.
    pub(super) fn against_history(&self, number: usize) -> Vec<String> {
        let push = self.push(number);
        let mut wrong = Vec::new();
        if self.limits.one_at_a_time {
            for rival in self.rivals(number) {
                wrong.push(format!(
                    "request {rival} of the same stream is still under way"
                ));
            }
        }
        let before = self.same_body(push);
        if self.limits.no_repeats {
            let is_open = before.iter().any(|number| self.open_ended(*number));
            let twice = || (!is_open).then(|| self.sent_twice(push)).flatten();
            wrong.extend(self.came_again(&before).or_else(twice));
        }
        wrong.extend(twice_in_itself(push));
        if before.is_empty() {
            wrong.extend(self.changed(push));
        }
        if self.limits.old_apart {
            wrong.extend(self.old_among_fresh(push));
        }
        wrong
    }

    /// Files a request for the requests after it.
    pub(super) fn remember(&mut self, number: usize) {
        let push = &self.seen.requests[number - 1];
        let (body, text) = (Arc::clone(&push.body), text_key(push));
        self.bodies.entry(body).or_default().push(number);
        self.texts.entry(text).or_default().push(number);
    }

    fn push(&self, number: usize) -> &Push {
        &self.seen.requests[number - 1]
    }

    /// Earlier requests with these very bytes.
    fn same_body(&self, push: &Push) -> Vec<usize> {
        let same = self.bodies.get(&push.body).into_iter().flatten().copied();
        same.filter(|number| self.push(*number).tenant == push.tenant)
            .collect()
    }

    /// Whether the client could not know that this earlier request was settled.
    fn open_ended(&self, number: usize) -> bool {
        number <= self.forgiven || !self.push(number).answered.delivered()
    }

    fn came_again(&self, before: &[usize]) -> Option<String> {
        let settled = before.iter().rev().find(|number| {
            let answered = self.push(**number).answered;
            **number > self.forgiven && (answered.delivered() || answered.refused())
        })?;
        let answered = self.push(*settled).answered;
        Some(format!(
            "request {settled} came again, though it was answered ({answered:?})"
        ))
    }

    fn sent_twice(&self, push: &Push) -> Option<String> {
        let twice = push.entries.iter().filter_map(|entry| {
            let by = self.stored.get(&(push.tenant.clone(), Arc::clone(entry)))?;
            (*by > self.forgiven && !self.was_split(*by)).then_some((entry, by))
        });
        let twice: Vec<_> = twice.collect();
        let (entry, by) = twice.first()?;
        Some(format!(
            "entry sent twice: {} was stored by request {by}, whose bytes these are not \
             ({} such entries)",
            short(entry),
            twice.len()
        ))
    }

    /// Whether this request was stored without the client knowing, and its bytes were then found
    /// too large: its entries may come again in parts.
    fn was_split(&self, number: usize) -> bool {
        let request = self.push(number);
        let mut same = self.same_body(request).into_iter();
        self.open_ended(number)
            && same.any(|again| matches!(self.push(again).answered, Answered::Status(413 | 500)))
    }

    /// The same texts with other times, or the same entries in other bytes, as an earlier
    /// request that failed and did not come again.
    fn changed(&self, push: &Push) -> Option<String> {
        let same_text = self.texts.get(&text_key(push))?;
        let earlier = same_text.iter().rev().map(|number| self.push(*number));
        let failed = earlier.filter(|earlier| {
            let settled = earlier.answered.delivered() || earlier.answered.refused();
            let again = self.bodies.get(&earlier.body).is_some_and(|b| b.len() > 1);
            !settled && !again && earlier.number > self.forgiven
        });
        let earlier = failed
            .filter(|earlier| same_texts(earlier, push))
            .find(|earlier| earlier.answered != Answered::NotYet)?;
        let number = earlier.number;
        if earlier.entries == push.entries {
            return Some(format!(
                "the entries of request {number} in other bytes: encoded twice"
            ));
        }
        let stamps = self.limits.keep_times;
        stamps.then(|| format!("the lines of request {number} with other times: stamped twice"))
    }

    fn old_among_fresh(&self, push: &Push) -> Option<String> {
        let stream = (push.tenant.clone(), Arc::clone(&push.labels));
        let oldest = self.newest.get(&stream)? - HOUR;
        let old = push.entries.iter().filter(|e| e.time < oldest).count();
        (old > 0 && old < push.entries.len()).then(|| {
            format!("{old} entries more than an hour behind their stream share a request with fresh ones")
        })
    }
}

/// An entry that is in its own request twice: Loki keeps one.
fn twice_in_itself(push: &Push) -> Option<String> {
    let mut met = HashSet::with_capacity(push.entries.len());
    let twice = push.entries.iter().find(|entry| !met.insert(*entry))?;
    Some(format!("an entry twice in one request: {}", short(twice)))
}

fn same_texts(a: &Push, b: &Push) -> bool {
    a.tenant == b.tenant
        && a.labels == b.labels
        && a.entries.len() == b.entries.len()
        && std::iter::zip(&a.entries, &b.entries)
            .all(|(a, b)| a.line == b.line && a.metadata == b.metadata)
}

fn text_key(push: &Push) -> u64 {
    let mut hasher = DefaultHasher::new();
    push.tenant.hash(&mut hasher);
    push.labels.hash(&mut hasher);
    for entry in &push.entries {
        entry.line.hash(&mut hasher);
        entry.metadata.hash(&mut hasher);
    }
    hasher.finish()
}
