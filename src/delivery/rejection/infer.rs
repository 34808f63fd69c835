//! Finds the entries that the distributor refused when only the ingester's answer came back, which
//! does not mention them. [`super`] lists where this can be wrong.
//!
//! Without it the oldest entries would be guessed: then already the refusals of a Loki with stock limits
//! are not certain any more, and the dead letter holds other entries than those that Loki refused.

use crate::delivery::rejection::loki_messages::{Answer, Listed};
use crate::delivery::rejection::rules::LokiLimits;
use crate::delivery::rejection::{
    Context, MAX_LINE, MAX_METADATA, MAX_METADATA_COUNT, Reason, SKEW, SentEntry, start,
};

/// The search for entries that the distributor refused without being heard.
pub(super) struct Unseen<'a> {
    entries: &'a [SentEntry],
    /// Number of entries to find.
    count: usize,
    /// Indices of all entries, oldest first.
    by_time: Vec<usize>,
    /// Entries that reached the ingester, since it lists them.
    listed: Vec<bool>,
    /// Entries that certainly did not reach it.
    proven: Vec<bool>,
}

/// The size rules that each guess ignores, one bit per rule; the first guess ignores none.
const LIFTED: [u8; 9] = [0, 1, 2, 4, 3, 5, 6, 7, DISALLOWED];
/// No rule is ignored, and the tenant may not send metadata.
const DISALLOWED: u8 = 8;

impl<'a> Unseen<'a> {
    pub(super) fn new(
        answer: &Answer,
        ignored: usize,
        count: usize,
        entries: &'a [SentEntry],
    ) -> Self {
        let mut by_time: Vec<usize> = (0..entries.len()).collect();
        by_time.sort_by_key(|&i| entries[i].time);
        let listed = entries.iter().map(|e| answer.lists(e.time)).collect();
        let proven = proven(answer, ignored, entries);
        Self {
            entries,
            count,
            by_time,
            listed,
            proven,
        }
    }

    /// For each entry the reason if the distributor refused it, and whether the default limits or
    /// proof explain every one.
    pub(super) fn find(&self, hints: &Context) -> (Vec<Option<Reason>>, bool) {
        let mut guess = None;
        for lifted in LIFTED {
            let on = |bit: u8, limit: usize| if lifted & bit == 0 { limit } else { 0 };
            let limits = LokiLimits {
                line: on(1, MAX_LINE),
                metadata: on(2, MAX_METADATA),
                fields: on(4, MAX_METADATA_COUNT),
                disallowed: lifted == DISALLOWED,
                ..LokiLimits::stated(&[], hints)
            };
            let sized = self.sized(&limits);
            let Some(rest) = self.count.checked_sub(sized.iter().flatten().count()) else {
                continue;
            };
            // The rest must be too old or too new: first with the default limit for new entries,
            // then with that for old ones, then all of them too old.
            let open = || {
                self.by_time
                    .iter()
                    .filter(|&&i| sized[i].is_none())
                    .map(|&i| self.entries[i].time)
            };
            let old = open().filter(|&time| limits.is_old(time)).count().min(rest);
            let new = open().filter(|&time| limits.is_new(time)).count().min(rest);
            for (old, new) in [(rest - new, new), (old, rest - old), (rest, 0)] {
                let Some(reasons) = self.choose(&sized, old, new, &limits) else {
                    continue;
                };
                if lifted == 0 && self.explained(&reasons, &sized, &limits) {
                    return (reasons, true);
                }
                guess.get_or_insert(reasons);
            }
        }
        (guess.unwrap_or_else(|| self.oldest(hints)), false)
    }

    fn sized(&self, limits: &LokiLimits) -> Vec<Option<Reason>> {
        let reasons = self.entries.iter().zip(&self.listed);
        reasons
            .map(|(entry, &listed)| limits.refuse_size(entry).filter(|_| !listed))
            .collect()
    }

    /// Marks the `old` oldest and the `new` newest entries in addition to those that break a size
    /// rule. Returns `None` if the ingester's list contradicts that.
    fn choose(
        &self,
        sized: &[Option<Reason>],
        old: usize,
        new: usize,
        limits: &LokiLimits,
    ) -> Option<Vec<Option<Reason>>> {
        let open: Vec<usize> = self
            .by_time
            .iter()
            .copied()
            .filter(|&i| sized[i].is_none())
            .collect();
        let aged = open.get(..old)?;
        let fresh = open
            .get(old..)?
            .len()
            .checked_sub(new)
            .map(|from| &open[old + from..])?;
        let mut reasons = sized.to_vec();
        for (chosen, reason) in [(aged, Reason::TooOld), (fresh, Reason::TooNew)] {
            for &i in chosen {
                if self.listed[i] {
                    return None;
                }
                reasons[i] = Some(reason);
            }
        }
        // Loki checks age before size: an entry that breaks both rules counts as old, unless an
        // even older one was accepted.
        let edge = aged.last().map(|&i| self.entries[i].time);
        let dawn = fresh.first().map(|&i| self.entries[i].time);
        let times = self.entries.iter().map(|entry| entry.time);
        let reached = times.zip(&reasons).filter(|(_, reason)| reason.is_none());
        let (first, last) = reached.fold((i64::MAX, i64::MIN), |(first, last), (time, _)| {
            (first.min(time), last.max(time))
        });
        for (reason, &SentEntry { time, .. }) in reasons.iter_mut().zip(self.entries) {
            if reason.is_none() {
                continue;
            }
            let old = limits.is_old(time) && time < first;
            let new = limits.is_new(time) && time > last;
            if old || edge.is_some_and(|edge| time <= edge) {
                *reason = Some(Reason::TooOld);
            } else if new || dawn.is_some_and(|dawn| time >= dawn) {
                *reason = Some(Reason::TooNew);
            }
        }
        let proven = self
            .proven
            .iter()
            .zip(&reasons)
            .all(|(&proven, reason)| reason.is_some() || !proven);
        proven.then_some(reasons)
    }

    /// Whether the default limits, a difference between the clocks, or proof explain the result
    /// for every entry.
    fn explained(
        &self,
        reasons: &[Option<Reason>],
        sized: &[Option<Reason>],
        limits: &LokiLimits,
    ) -> bool {
        (0..reasons.len()).all(|i| {
            let time = self.entries[i].time;
            if reasons[i].is_some() {
                sized[i].is_some()
                    || self.proven[i]
                    || limits.is_old(time.saturating_sub(SKEW))
                    || limits.is_new(time.saturating_add(SKEW))
            } else {
                let out = limits.is_old(time.saturating_add(SKEW))
                    || limits.is_new(time.saturating_sub(SKEW));
                self.listed[i] || !out
            }
        })
    }

    /// The result if no rule gives this count: proven entries, then the oldest that are not listed.
    fn oldest(&self, hints: &Context) -> Vec<Option<Reason>> {
        let limits = LokiLimits::stated(&[], hints);
        let proven = self.by_time.iter().filter(|&&i| self.proven[i]);
        let others = self
            .by_time
            .iter()
            .filter(|&&i| !self.proven[i] && !self.listed[i]);
        let mut reasons = vec![None; self.entries.len()];
        for &i in proven.chain(others).take(self.count) {
            reasons[i] = Some(limits.refuse(&self.entries[i]).unwrap_or(Reason::TooOld));
        }
        reasons
    }
}

/// Marks the entries that the ingester would have listed if they had reached it.
fn proven(answer: &Answer, ignored: usize, entries: &[SentEntry]) -> Vec<bool> {
    let mut proven = vec![false; entries.len()];
    let behind = |one: &&Listed| one.reason == Reason::TooFarBehind;
    let Some(first) = answer.listed.iter().find(behind) else {
        return proven;
    };
    if entries.is_sorted_by_key(|entry| entry.time) {
        let before = entries.partition_point(|entry| entry.time < first.time);
        proven[..before].fill(true);
        return proven;
    }
    // Not sorted: the limit never falls, so an entry after a listed one that is older than its limit
    // was ignored too, and would be listed if the list is long enough.
    let complete = answer.listed.len() >= ignored;
    let mut pending = Vec::new();
    let (mut next, mut limit) = (0, None::<i64>);
    for (i, entry) in entries.iter().enumerate() {
        if let Some(one) = answer.listed.get(next)
            && one.time == entry.time
        {
            next += 1;
            limit = one.limit.or(limit);
            for i in pending.drain(..) {
                proven[i] = true;
            }
        } else if limit.is_some_and(|limit| entry.time < start(limit)) && !answer.lists(entry.time)
        {
            pending.push(i);
        }
    }
    if complete {
        for i in pending {
            proven[i] = true;
        }
    }
    proven
}
