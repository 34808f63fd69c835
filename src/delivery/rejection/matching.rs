//! Matches the counts and times that an answer of Loki's states with the entries of the request.
//! The texts themselves are parsed by [`crate::delivery::rejection::loki_messages`].

use crate::delivery::rejection::infer::Unseen;
use crate::delivery::rejection::loki_messages::{Answer, Group, Rule};
use crate::delivery::rejection::rules::LokiLimits;
use crate::delivery::rejection::{Context, Reason, RejectedEntries, SECOND, SentEntry, start};

/// The refused entries of a request, while they are being found.
pub(super) struct Verdict {
    /// For each entry the reason if it is refused.
    reasons: Vec<Option<Reason>>,
    exact: bool,
}

impl Verdict {
    pub(super) fn new(entries: usize) -> Self {
        Self {
            reasons: vec![None; entries],
            exact: true,
        }
    }

    /// Marks every entry as refused.
    pub(super) fn all(&mut self, reason: Reason) {
        self.reasons.fill(Some(reason));
    }

    pub(super) fn finish(self) -> RejectedEntries {
        let reasons = self.reasons.into_iter().enumerate();
        RejectedEntries {
            refused: reasons
                .filter_map(|(i, reason)| Some((i, reason?)))
                .collect(),
            exact: self.exact,
        }
    }

    /// Applies a complete answer of the distributor: every refused entry is in exactly one group.
    pub(super) fn by_groups(&mut self, mut groups: Vec<Group>, entries: &[SentEntry]) {
        // Loki's own order: an entry that breaks two rules is in the group of the first.
        groups.sort_by_key(|group| group.rule.order());
        let sorted = |key: fn(&SentEntry) -> i64| {
            let mut all: Vec<usize> = (0..entries.len()).collect();
            all.sort_by_key(|&i| key(&entries[i]));
            all
        };
        let (by_time, by_line) = (sorted(|e| e.time), sorted(|e| size(e.line)));
        let by_metadata = sorted(|e| size(e.metadata));
        let by_count = sorted(|e| size(e.metadata_count));
        let mut missing = Vec::new();
        // Times are cut to the second: the group of the first too-new second is its newest.
        let first_new = groups.iter().filter_map(|group| match group.rule {
            Rule::New { second } => Some(second),
            _ => None,
        });
        let first_new = first_new.min();
        for Group { count, rule } in groups {
            let (range, newest_first) = match rule {
                Rule::Old { second, .. } => (seconds(&by_time, entries, second), false),
                Rule::New { second } => (seconds(&by_time, entries, second), true),
                Rule::Line { length, .. } => (equal(&by_line, |i| entries[i].line, length), false),
                Rule::Large { bytes, .. } => {
                    (equal(&by_metadata, |i| entries[i].metadata, bytes), false)
                }
                Rule::Many { fields, .. } => (
                    equal(&by_count, |i| entries[i].metadata_count, fields),
                    false,
                ),
                Rule::Disallowed => {
                    let none = by_count.partition_point(|&i| entries[i].metadata_count == 0);
                    (&by_count[none..], false)
                }
            };
            let mut open: Vec<usize> = range
                .iter()
                .copied()
                .filter(|&i| self.reasons[i].is_none())
                .collect();
            if newest_first {
                open.reverse();
            }
            // More matching entries than Loki counted are possible only in the second of a limit.
            let through = match rule {
                Rule::Old { second, limit } => second == limit,
                Rule::New { second } => Some(second) == first_new,
                _ => false,
            };
            self.exact &= open.len() == count || (through && open.len() > count);
            for &i in open.iter().take(count) {
                self.reasons[i] = Some(rule.reason());
            }
            missing.push((count.saturating_sub(open.len()), rule.reason()));
        }
        // Loki's count is right where fewer entries match: the oldest others are assumed.
        let mut rest = by_time
            .iter()
            .filter(|&&i| self.reasons[i].is_none())
            .copied()
            .collect::<Vec<_>>()
            .into_iter();
        for (count, reason) in missing {
            for i in rest.by_ref().take(count) {
                self.reasons[i] = Some(reason);
            }
        }
    }

    /// Applies a distributor's answer that was cut: each entry is checked against the limits that
    /// it states, and the default ones otherwise; counts only help in the second of a limit.
    pub(super) fn by_rules(&mut self, groups: &[Group], entries: &[SentEntry], hints: &Context) {
        self.exact = false;
        let limits = LokiLimits::stated(groups, hints);
        for (reason, entry) in self.reasons.iter_mut().zip(entries) {
            *reason = limits.refuse(entry);
        }
        for group in groups {
            let (second, oldest_first) = match group.rule {
                Rule::Old { second, limit } if second == limit => (second, true),
                Rule::New { second } => (second, false),
                _ => continue,
            };
            let mut inside: Vec<usize> = (0..entries.len())
                .filter(|&i| entries[i].time.div_euclid(SECOND) == second)
                .collect();
            inside.sort_by_key(|&i| entries[i].time);
            if !oldest_first {
                inside.reverse();
            }
            for (place, &i) in inside.iter().enumerate() {
                if place < group.count {
                    self.reasons[i] = Some(group.rule.reason());
                } else if self.reasons[i] == Some(group.rule.reason()) {
                    self.reasons[i] = limits.refuse_size(&entries[i]);
                }
            }
        }
    }

    /// Applies an ingester's answer, which replaces the distributor's.
    pub(super) fn by_ingester(&mut self, answer: &Answer, entries: &[SentEntry], hints: &Context) {
        // A shard's counts say nothing about the request.
        let total = answer.total.filter(|&(ignored, reached)| {
            let whole = answer.whole || reached == entries.len();
            whole && ignored <= reached && reached <= entries.len()
        });
        let Some((ignored, reached)) = total else {
            self.exact = false;
            let limits = LokiLimits::stated(&[], hints);
            for (reason, entry) in self.reasons.iter_mut().zip(entries) {
                *reason = limits.refuse(entry).filter(|_| !answer.lists(entry.time));
            }
            self.mark_too_far_behind(answer, None, entries, hints);
            return;
        };
        if reached < entries.len() {
            let count = entries.len() - reached;
            let unseen = Unseen::new(answer, ignored, count, entries).find(hints);
            self.reasons = unseen.0;
            self.exact &= unseen.1;
        }
        self.mark_too_far_behind(answer, Some(ignored), entries, hints);
    }

    /// Marks the entries that the ingester ignored, among those that reached it: `ignored` of
    /// them, or all that break its rule where the count is unknown.
    fn mark_too_far_behind(
        &mut self,
        answer: &Answer,
        ignored: Option<usize>,
        entries: &[SentEntry],
        hints: &Context,
    ) {
        let arrived: Vec<usize> = (0..entries.len())
            .filter(|&i| self.reasons[i].is_none())
            .collect();
        if ignored == Some(arrived.len()) && answer.all_behind() {
            for i in arrived {
                self.reasons[i] = Some(Reason::TooFarBehind);
            }
            return;
        }
        if !answer.all_behind() {
            self.mark_mixed(answer, ignored, &arrived, entries);
            return;
        }
        // The newest of the entries above each one: all of them were accepted, since an entry
        // newer than everything before it is never too far behind.
        let mut newest = i64::MIN;
        let above: Vec<i64> = arrived
            .iter()
            .map(|&i| {
                let above = newest;
                newest = newest.max(entries[i].time);
                above
            })
            .collect();
        let window = answer.window(&arrived, &above, entries);
        let by_request: Vec<bool> = arrived
            .iter()
            .zip(&above)
            .map(|(&i, &above)| {
                window.is_some_and(|window| entries[i].time < above.saturating_sub(start(window)))
            })
            .collect();
        let inside = by_request.iter().filter(|&&hit| hit).count();
        let mut others: Vec<usize> = arrived
            .iter()
            .zip(&by_request)
            .filter(|&(_, &hit)| !hit)
            .map(|(&i, _)| i)
            .collect();
        others.sort_by_key(|&i| entries[i].time);
        let oldest = match ignored {
            Some(ignored) if ignored >= inside => ignored - inside,
            Some(ignored) => {
                // More entries break the rule than Loki counted: its count of the oldest.
                self.exact = false;
                let mut all = arrived.clone();
                all.sort_by_key(|&i| entries[i].time);
                for i in all.into_iter().take(ignored) {
                    self.reasons[i] = Some(Reason::TooFarBehind);
                }
                return;
            }
            None => {
                let limit = answer.limit(hints, window);
                // In a request that is not sorted, entries before the first listed one were accepted.
                if !entries.is_sorted_by_key(|entry| entry.time) {
                    let first = answer.listed.first().map(|one| one.time);
                    let from = arrived.iter().find(|&&i| Some(entries[i].time) == first);
                    others.retain(|i| from.is_none_or(|from| i >= from));
                }
                others.partition_point(|&i| entries[i].time < limit)
            }
        };
        if oldest > 0 && oldest < others.len() {
            self.exact &= entries[others[oldest - 1]].time < entries[others[oldest]].time;
        }
        for &i in others.iter().take(oldest) {
            self.reasons[i] = Some(Reason::TooFarBehind);
        }
        for (&i, &hit) in arrived.iter().zip(&by_request) {
            if hit {
                self.reasons[i] = Some(Reason::TooFarBehind);
            }
        }
        let ours = arrived
            .iter()
            .filter(|&&i| self.reasons[i].is_some())
            .map(|&i| entries[i].time);
        self.exact &= ours
            .take(answer.listed.len())
            .eq(answer.listed.iter().map(|one| one.time));
    }

    /// Applies an ingester's answer with several reasons (a stream's rate limit with sharding off,
    /// or an unknown one): the listed entries are certain, the others a guess.
    fn mark_mixed(
        &mut self,
        answer: &Answer,
        ignored: Option<usize>,
        arrived: &[usize],
        entries: &[SentEntry],
    ) {
        let mut left = ignored.unwrap_or(arrived.len());
        let mut from = 0;
        for one in &answer.listed {
            let found =
                (from..arrived.len()).find(|&place| entries[arrived[place]].time == one.time);
            match found {
                Some(place) => {
                    self.reasons[arrived[place]] = Some(one.reason);
                    from = place + 1;
                    left = left.saturating_sub(1);
                }
                None => self.exact = false,
            }
        }
        self.exact &= left == 0;
        let limit = answer.listed.iter().filter_map(|one| one.limit).min();
        let last = answer.listed.last().map_or(Reason::Other, |one| one.reason);
        let past = arrived
            .iter()
            .filter(|&&i| limit.is_some_and(|limit| entries[i].time < start(limit)))
            .map(|&i| (i, Reason::TooFarBehind));
        // A token bucket that runs empty refuses the last entries.
        let behind = arrived.iter().rev().map(|&i| (i, last));
        for (i, reason) in past.chain(behind) {
            if left > 0 && self.reasons[i].is_none() {
                self.reasons[i] = Some(reason);
                left -= 1;
            }
        }
    }
}

fn size(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The entries of `sorted` (indices by time) within one second.
fn seconds<'a>(sorted: &'a [usize], entries: &[SentEntry], second: i64) -> &'a [usize] {
    let at = |i: &usize| entries[*i].time.div_euclid(SECOND);
    let from = sorted.partition_point(|i| at(i) < second);
    &sorted[from..sorted.partition_point(|i| at(i) <= second)]
}

/// The entries of `sorted` (indices by `key`) whose key has this value.
fn equal(sorted: &[usize], key: impl Fn(usize) -> usize, value: usize) -> &[usize] {
    let from = sorted.partition_point(|&i| key(i) < value);
    &sorted[from..sorted.partition_point(|&i| key(i) <= value)]
}
