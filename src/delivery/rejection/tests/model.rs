//! Loki's rules and its very texts, for one stream: what the tests compare with.

use crate::random::Random;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::Offset;

use crate::delivery::rejection::{
    Context, GRACE, MAX_AGE, MAX_LINE, MAX_METADATA, MAX_METADATA_COUNT, Reason, SECOND, SentEntry,
};

/// 2026-08-22T20:45:11Z, and a bit.
pub(super) const NOW: i64 = 1_787_431_511 * SECOND + 345_678_901;
pub(super) const HOUR: i64 = 3600 * SECOND;

pub(super) fn at(time: i64) -> SentEntry {
    SentEntry {
        time,
        line: 20,
        metadata: 0,
        metadata_count: 0,
    }
}

pub(super) fn now() -> Context {
    Context {
        now: Some(NOW),
        ..Context::default()
    }
}

pub(super) fn all(n: usize, reason: Reason) -> Vec<(usize, Reason)> {
    (0..n).map(|i| (i, reason)).collect()
}

/// Loki's rules and its very texts, for one stream.
pub(super) struct Loki {
    pub(super) now: i64,
    pub(super) max_age: i64,
    pub(super) grace: i64,
    pub(super) max_line: usize,
    pub(super) max_metadata: usize,
    max_fields: usize,
    pub(super) allow_metadata: bool,
    pub(super) highest: Option<i64>,
    pub(super) window: i64,
    pub(super) list: usize,
    pub(super) labels: &'static str,
    zone: i32,
}

impl Loki {
    pub(super) fn stock() -> Self {
        Self {
            now: NOW,
            max_age: MAX_AGE,
            grace: GRACE,
            max_line: MAX_LINE,
            max_metadata: MAX_METADATA,
            max_fields: MAX_METADATA_COUNT,
            allow_metadata: true,
            highest: None,
            window: HOUR,
            list: 10,
            labels: r#"{job="x", service_name="x"}"#,
            zone: 0,
        }
    }

    /// `Format(time.RFC3339)` in the server's zone.
    fn rfc3339(&self, ns: i64) -> String {
        let time = Timestamp::from_second(ns.div_euclid(SECOND)).unwrap();
        if self.zone == 0 {
            return time.to_string();
        }
        time.display_with_offset(Offset::from_seconds(self.zone).unwrap())
            .to_string()
    }

    /// `time.String()` of a time that came as protobuf, so in UTC.
    fn string(ns: i64) -> String {
        let time = Timestamp::from_nanosecond(ns.into()).unwrap().to_string();
        time.replace('T', " ").replace('Z', " +0000 UTC")
    }

    /// `ValidateEntry`, pkg/distributor/validator.go, with pkg/validation/validate.go.
    fn validate(&self, e: &SentEntry) -> Option<(Reason, String)> {
        let labels = self.labels;
        let SentEntry {
            time,
            line,
            metadata,
            metadata_count,
        } = *e;
        let oldest = self.now - self.max_age;
        if time < oldest {
            let (time, oldest) = (self.rfc3339(time), self.rfc3339(oldest));
            return Some((
                Reason::TooOld,
                format!(
                    "entry for stream '{labels}' has timestamp too old: {time}, oldest acceptable timestamp is: {oldest}"
                ),
            ));
        }
        if time > self.now + self.grace {
            let time = self.rfc3339(time);
            return Some((
                Reason::TooNew,
                format!("entry for stream '{labels}' has timestamp too new: {time}"),
            ));
        }
        let (max, max_metadata, max_fields) = (self.max_line, self.max_metadata, self.max_fields);
        if line > max {
            return Some((
                Reason::LineTooLong,
                format!(
                    "max entry size '{max}' bytes exceeded for stream '{labels}' while adding an entry with length '{line}' bytes"
                ),
            ));
        }
        if metadata_count > 0 {
            if !self.allow_metadata {
                return Some((
                    Reason::MetadataDisallowed,
                    format!(
                        "stream '{labels}' includes structured metadata, but this feature is disallowed. Please see `limits_config.allow_structured_metadata` or contact your Loki administrator to enable it"
                    ),
                ));
            }
            if metadata > max_metadata {
                return Some((
                    Reason::MetadataTooLarge,
                    format!(
                        "stream '{labels}' has structured metadata too large: '{metadata}' bytes, limit: '{max_metadata}' bytes. Please see `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it"
                    ),
                ));
            }
            if metadata_count > max_fields {
                return Some((
                    Reason::MetadataTooMany,
                    format!(
                        "stream '{labels}' has too many structured metadata labels: '{metadata_count}', limit: '{max_fields}'. Please see `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it"
                    ),
                ));
            }
        }
        None
    }

    /// The text of the 400, if any, and the true fates.
    pub(super) fn push(&self, entries: &[SentEntry]) -> (Option<String>, Vec<(usize, Reason)>) {
        let mut fates: Vec<Option<Reason>> = Vec::new();
        // `GroupedErrors`, pkg/util/errors/errors.go: a map, so any order.
        let mut groups: BTreeMap<String, usize> = BTreeMap::new();
        for entry in entries {
            let refused = self.validate(entry);
            fates.push(refused.as_ref().map(|one| one.0));
            if let Some((_, text)) = refused {
                *groups.entry(text).or_default() += 1;
            }
        }
        let mut text = String::new();
        let unique = groups.len();
        for (i, (message, n)) in groups.into_iter().enumerate() {
            if i > 0 {
                text += "; ";
            }
            if unique > 1 || n > 1 {
                write!(text, "{n} errors like: ").unwrap();
            }
            text += &message;
        }
        // `validateEntries` and `errorForFailedEntries`, pkg/ingester/stream.go.
        let (mut highest, mut ignored, mut reached) = (self.highest, 0, 0);
        let mut lines = String::new();
        for (i, entry) in entries.iter().enumerate() {
            if fates[i].is_some() {
                continue;
            }
            reached += 1;
            if let Some(cutoff) = highest.map(|highest| highest - self.window)
                && cutoff > entry.time
            {
                fates[i] = Some(Reason::TooFarBehind);
                if ignored < self.list {
                    let (string, time, cutoff) = (
                        Self::string(entry.time),
                        self.rfc3339(entry.time),
                        self.rfc3339(cutoff),
                    );
                    // pkg/chunkenc/interface.go
                    writeln!(lines, "entry with timestamp {string} ignored, reason: 'entry too far behind, entry timestamp is: {time}, oldest acceptable timestamp is: {cutoff}',").unwrap();
                }
                ignored += 1;
            } else {
                highest = highest.max(Some(entry.time));
            }
        }
        if ignored > 0 {
            text = format!(
                "{lines}user 'fake', total ignored: {ignored} out of {reached} for stream: {}",
                self.labels
            );
        }
        let refused = fates
            .iter()
            .enumerate()
            .filter_map(|(i, fate)| Some((i, (*fate)?)))
            .collect();
        ((!text.is_empty()).then(|| text + "\n"), refused)
    }
}

impl Random {
    /// Within `spread` ns on either side.
    pub(super) fn near(&mut self, time: i64, spread: i64) -> i64 {
        time - spread + self.below(2 * spread as usize) as i64
    }
}

pub(super) fn request(random: &mut Random, loki: &Loki, ascending: bool) -> Vec<SentEntry> {
    let n = if random.one_in(20) {
        300
    } else {
        1 + random.below(60)
    };
    // Few kinds of times in a request, so that whole ones are refused, or for one reason.
    let mut kinds = vec![];
    for _ in 0..=random.below(3) {
        kinds.push(random.below(6));
    }
    let sizes = random.one_in(3);
    let highest = loki.highest.unwrap_or(NOW);
    let mut entries: Vec<SentEntry> = (0..n)
        .map(|_| {
            let time = match random.pick(&kinds) {
                0 => random.near(loki.now - loki.max_age, 3 * SECOND),
                1 => random.near(highest - loki.window, 3 * SECOND),
                2 => random.near(loki.now + loki.grace, 3 * SECOND),
                3 => random.near(loki.now - 30 * 24 * HOUR, 2000 * SECOND),
                4 => random.near(highest - 3 * HOUR, 2 * HOUR),
                _ => random.near(NOW, 60 * SECOND),
            };
            let mut entry = at(time);
            if sizes {
                let max = loki.max_line;
                entry.line = random.pick(&[1, 20, 20, 20, max, max + 1, max + 1, max + 9]);
                if random.one_in(2) {
                    let max = loki.max_metadata;
                    entry.metadata_count =
                        random.pick(&[1, 2, loki.max_fields, loki.max_fields + 1]);
                    entry.metadata = random.pick(&[30, 30, max, max + 1, max + 2]);
                }
            }
            entry
        })
        .collect();
    if ascending {
        entries.sort_by_key(|entry| entry.time);
    }
    entries
}

pub(super) fn stock_with_past(random: &mut Random) -> Loki {
    let mut loki = Loki::stock();
    loki.zone = random.pick(&[0, 7200, -12600]);
    loki.labels = random.pick(&[
        r#"{job="x", service_name="x"}"#,
        r#"{a="'; 3 errors like: }\"\\", b="\n',\nuser 'u', total ignored: 1 out of 2"}"#,
    ]);
    loki.highest = match random.below(4) {
        0 => None,
        1 => Some(random.near(NOW, 60 * SECOND)),
        2 => Some(random.near(NOW - MAX_AGE + HOUR, 5 * SECOND)),
        _ => Some(random.near(NOW - 3 * 24 * HOUR, 24 * HOUR)),
    };
    loki
}
