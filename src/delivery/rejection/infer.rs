//! The search for what the distributor refused behind an ingester's answer, which does not tell.
//!
//! Knows Loki's default rules and what the order of a list proves. Must not know texts. Where this
//! can be wrong stands in [`super`].

use crate::delivery::rejection::loki_messages::{Answer, Listed};
use crate::delivery::rejection::rules::LokiLimits;
use crate::delivery::rejection::{
    Context, MAX_LINE, MAX_METADATA, MAX_METADATA_COUNT, Reason, SKEW, SentEntry, start,
};

/// The search for what the distributor refused behind an ingester's answer.
pub(super) struct Unseen<'a> {
    entries: &'a [SentEntry],
    /// How many there are.
    count: usize,
    /// All entries, the oldest first.
    by_time: Vec<usize>,
    /// Entries that the ingester names, so not among them.
    listed: Vec<bool>,
    /// Entries that are certainly among them.
    proven: Vec<bool>,
}

/// The size rules that a guess leaves out, one bit each; the first try leaves out none.
const LIFTED: [u8; 9] = [0, 1, 2, 4, 3, 5, 6, 7, DISALLOWED];
/// No rule is left out, and the tenant may not send metadata.
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

    /// Their fates, and whether the default limits or proof explain every one.
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
            // What the size rules leave is for the two ends of time, first as the default
            // limits have it at the newest end, then at the oldest, then all at the oldest.
            let open = || {
                self.by_time
                    .iter()
                    .filter(|&&i| sized[i].is_none())
                    .map(|&i| self.entries[i].time)
            };
            let old = open().filter(|&time| limits.is_old(time)).count().min(rest);
            let new = open().filter(|&time| limits.is_new(time)).count().min(rest);
            for (old, new) in [(rest - new, new), (old, rest - old), (rest, 0)] {
                let Some(fates) = self.choose(&sized, old, new, &limits) else {
                    continue;
                };
                if lifted == 0 && self.explained(&fates, &sized, &limits) {
                    return (fates, true);
                }
                guess.get_or_insert(fates);
            }
        }
        (guess.unwrap_or_else(|| self.oldest(hints)), false)
    }

    fn sized(&self, limits: &LokiLimits) -> Vec<Option<Reason>> {
        let fates = self.entries.iter().zip(&self.listed);
        fates
            .map(|(entry, &listed)| limits.refuse_size(entry).filter(|_| !listed))
            .collect()
    }

    /// The `old` oldest and the `new` newest on top of what broke a size rule; `None` when the
    /// ingester's list speaks against it.
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
        let mut fates = sized.to_vec();
        for (chosen, reason) in [(aged, Reason::TooOld), (fresh, Reason::TooNew)] {
            for &i in chosen {
                if self.listed[i] {
                    return None;
                }
                fates[i] = Some(reason);
            }
        }
        // Age is looked at before sizes: an entry that breaks both rules counts as old, unless
        // an even older one is among the survivors.
        let edge = aged.last().map(|&i| self.entries[i].time);
        let dawn = fresh.first().map(|&i| self.entries[i].time);
        let times = self.entries.iter().map(|entry| entry.time);
        let reached = times.zip(&fates).filter(|(_, fate)| fate.is_none());
        let (first, last) = reached.fold((i64::MAX, i64::MIN), |(first, last), (time, _)| {
            (first.min(time), last.max(time))
        });
        for (fate, &SentEntry { time, .. }) in fates.iter_mut().zip(self.entries) {
            if fate.is_none() {
                continue;
            }
            let old = limits.is_old(time) && time < first;
            let new = limits.is_new(time) && time > last;
            if old || edge.is_some_and(|edge| time <= edge) {
                *fate = Some(Reason::TooOld);
            } else if new || dawn.is_some_and(|dawn| time >= dawn) {
                *fate = Some(Reason::TooNew);
            }
        }
        let proven = self
            .proven
            .iter()
            .zip(&fates)
            .all(|(&proven, fate)| fate.is_some() || !proven);
        proven.then_some(fates)
    }

    /// Every entry's fate follows from the default limits, from proof, or from clocks apart.
    fn explained(
        &self,
        fates: &[Option<Reason>],
        sized: &[Option<Reason>],
        limits: &LokiLimits,
    ) -> bool {
        (0..fates.len()).all(|i| {
            let time = self.entries[i].time;
            if fates[i].is_some() {
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

    /// No rule gives this count: what is proven, then the oldest that are not listed.
    fn oldest(&self, hints: &Context) -> Vec<Option<Reason>> {
        let limits = LokiLimits::stated(&[], hints);
        let proven = self.by_time.iter().filter(|&&i| self.proven[i]);
        let others = self
            .by_time
            .iter()
            .filter(|&&i| !self.proven[i] && !self.listed[i]);
        let mut fates = vec![None; self.entries.len()];
        for &i in proven.chain(others).take(self.count) {
            fates[i] = Some(limits.refuse(&self.entries[i]).unwrap_or(Reason::TooOld));
        }
        fates
    }
}

/// The entries that would be in an ingester's list had they reached it, and are not.
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
    // Out of order: the limit only ever rises, so what stands below a listed entry and is older
    // than that entry's limit was ignored too, and would be listed if the list goes that far.
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
