//! Parses the text of a 400 from Loki's distributor or from an ingester.
//!
//! Which entries of the request are meant is found out in [`super::matching`].

use jiff::Timestamp;

use crate::delivery::rejection::limits::{STREAM_RATE, number};
use crate::delivery::rejection::{Context, Reason, SECOND, SentEntry, WINDOW, start};

/// A message of the distributor and the number of entries it applies to.
pub(super) struct Group {
    pub(super) count: usize,
    pub(super) rule: Rule,
}

/// A rule that entries broke, with the values in the message. Times are in whole seconds since 1970.
#[derive(Clone, Copy)]
pub(super) enum Rule {
    Old { second: i64, limit: i64 },
    New { second: i64 },
    Line { length: usize, limit: usize },
    Disallowed,
    Large { bytes: usize, limit: usize },
    Many { fields: usize, limit: usize },
}

impl Rule {
    /// The position among Loki's checks (`ValidateEntry`).
    pub(super) const fn order(&self) -> u8 {
        match self {
            Self::Old { .. } => 0,
            Self::New { .. } => 1,
            Self::Line { .. } => 2,
            Self::Disallowed => 3,
            Self::Large { .. } => 4,
            Self::Many { .. } => 5,
        }
    }

    pub(super) const fn reason(&self) -> Reason {
        match self {
            Self::Old { .. } => Reason::TooOld,
            Self::New { .. } => Reason::TooNew,
            Self::Line { .. } => Reason::LineTooLong,
            Self::Disallowed => Reason::MetadataDisallowed,
            Self::Large { .. } => Reason::MetadataTooLarge,
            Self::Many { .. } => Reason::MetadataTooMany,
        }
    }
}

/// Parses `[N errors like: ]message[; …]`. Returns `None` if a message is not about one of the rules
/// for entries; if the text was cut, an incomplete last message is ignored.
pub(super) fn distributor_answer(text: &str, cut: bool) -> Option<Vec<Group>> {
    let mut groups = Vec::new();
    let mut rest = text;
    loop {
        let (count, message) = counted(rest);
        match rule(message) {
            Some((rule, after)) if after.is_empty() && !(cut && rule.ends_open()) => {
                groups.push(Group { count, rule });
                return Some(groups);
            }
            Some((rule, after)) if after.starts_with("; ") => {
                groups.push(Group { count, rule });
                rest = &after[2..];
            }
            _ => return (cut && !groups.is_empty()).then_some(groups),
        }
    }
}

impl Rule {
    /// Whether its message ends in a value, which a cut text may contain only in part.
    const fn ends_open(&self) -> bool {
        matches!(self, Self::Old { .. } | Self::New { .. })
    }
}

fn counted(text: &str) -> (usize, &str) {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match (
        text[..digits].parse(),
        text[digits..].strip_prefix(" errors like: "),
    ) {
        (Ok(count), Some(message)) => (count, message),
        _ => (1, text),
    }
}

/// Parses one message; also returns the text after it.
fn rule(text: &str) -> Option<(Rule, &str)> {
    // The advice after the last value contains no `; ` (pkg/validation/validate.go).
    let advice = |rest: &str| rest.find("; ").unwrap_or(rest.len());
    if let Some(rest) = text.strip_prefix("entry for stream '") {
        let rest = skip_labels(rest)?.strip_prefix("' has timestamp too ")?;
        if let Some(rest) = rest.strip_prefix("new: ") {
            let (second, rest) = second(rest)?;
            return Some((Rule::New { second }, rest));
        }
        let (second_of_entry, rest) = second(rest.strip_prefix("old: ")?)?;
        let (limit, rest) = second(rest.strip_prefix(", oldest acceptable timestamp is: ")?)?;
        let second = second_of_entry;
        return Some((Rule::Old { second, limit }, rest));
    }
    if let Some(rest) = text.strip_prefix("max entry size '") {
        let (limit, rest) = number(rest)?;
        let rest = skip_labels(rest.strip_prefix("' bytes exceeded for stream '")?)?;
        let (length, rest) = number(rest.strip_prefix("' while adding an entry with length '")?)?;
        let rest = rest.strip_prefix("' bytes")?;
        return Some((Rule::Line { length, limit }, rest));
    }
    let rest = skip_labels(text.strip_prefix("stream '")?)?.strip_prefix("' ")?;
    if rest.starts_with("includes structured metadata, but this feature is disallowed") {
        return Some((Rule::Disallowed, &rest[advice(rest)..]));
    }
    if let Some(rest) = rest.strip_prefix("has structured metadata too large: '") {
        let (bytes, rest) = number(rest)?;
        let (limit, rest) = number(rest.strip_prefix("' bytes, limit: '")?)?;
        let rest = rest.strip_prefix('\'')?;
        return Some((Rule::Large { bytes, limit }, &rest[advice(rest)..]));
    }
    let (fields, rest) = number(rest.strip_prefix("has too many structured metadata labels: '")?)?;
    let (limit, rest) = number(rest.strip_prefix("', limit: '")?)?;
    let rest = rest.strip_prefix('\'')?;
    Some((Rule::Many { fields, limit }, &rest[advice(rest)..]))
}

/// Whether the labels broke a rule: then the stream, and with it the whole request, was refused
/// (`ValidateLabels`, `missingEnforcedLabels`).
pub(super) fn labels_refused(text: &str) -> bool {
    let after = |start: &str| text.strip_prefix(start).and_then(skip_labels);
    let named = |rest: &str| {
        let names = rest.strip_prefix("' has ").and_then(number::<usize>);
        names.is_some_and(|(_, rest)| rest.starts_with(" label names; limit "))
    };
    let long = |rest: &str| {
        [
            "' has label name too long: '",
            "' has label value too long: '",
            "' has duplicate label name: '",
        ]
        .iter()
        .any(|message| rest.starts_with(message))
    };
    after("entry for stream '").is_some_and(named)
        || after("stream '").is_some_and(long)
        || text.starts_with("error at least one label pair is required per stream")
        || text.starts_with("missing required labels '")
}

/// An ingester's answer about the entries it ignored (`errorForFailedEntries`).
pub(super) struct Answer {
    /// The first ignored entries (ten, `max_returned_stream_errors`), in the order of the request.
    pub(super) listed: Vec<Listed>,
    /// X and Y of `total ignored: X out of Y`.
    pub(super) total: Option<(usize, usize)>,
    /// Whether the counts are certainly those of the whole stream, not of one shard.
    pub(super) whole: bool,
}

pub(super) struct Listed {
    pub(super) time: i64,
    pub(super) reason: Reason,
    /// The oldest time that was acceptable for this entry, cut to the second.
    pub(super) limit: Option<i64>,
}

impl Answer {
    pub(super) fn lists(&self, time: i64) -> bool {
        self.listed.iter().any(|one| one.time == time)
    }

    pub(super) fn all_behind(&self) -> bool {
        self.listed
            .iter()
            .all(|one| one.reason == Reason::TooFarBehind)
    }

    /// The ingester's window in seconds: the default unless the listed limits prove another.
    /// `None` if they only prove that it is wider; entries of the request then move no limit.
    pub(super) fn window(
        &self,
        arrived: &[usize],
        above: &[i64],
        entries: &[SentEntry],
    ) -> Option<i64> {
        let first = self.listed.first().and_then(|one| one.limit);
        let mut wider = false;
        let mut places = arrived.iter().zip(above);
        for one in &self.listed {
            let Some((_, &above)) = places.find(|&(&i, _)| entries[i].time == one.time) else {
                break;
            };
            let (Some(limit), true) = (one.limit, above > i64::MIN) else {
                continue;
            };
            if self
                .listed
                .first()
                .is_some_and(|start| start.limit < one.limit)
                && first.is_some()
            {
                // The limit rose, so an entry above moved it; windows are whole seconds.
                return Some((above.saturating_sub(start(limit))).div_euclid(SECOND));
            }
            wider |= above.saturating_sub(WINDOW * SECOND) >= start(limit + 1);
        }
        (!wider).then_some(WINDOW)
    }

    /// The time (ns) before which entries count as ignored if the count is unknown.
    pub(super) fn limit(&self, hints: &Context, window: Option<i64>) -> i64 {
        let Some(second) = self.listed.iter().filter_map(|one| one.limit).min() else {
            return i64::MIN;
        };
        let known = hints
            .newest_before
            .zip(window)
            .map(|(newest, window)| newest.saturating_sub(start(window)));
        // What this run saw accepted gives a lower bound. It is the limit itself if it falls in the
        // same second; otherwise another sender sent newer entries, and the whole second counts.
        known
            .filter(|known| known.div_euclid(SECOND) == second)
            .unwrap_or(start(second + 1))
    }
}

/// Parses an ingester's answer. Returns `None` if the text is not one.
pub(super) fn ingester_answer(text: &str, cut: bool) -> Option<Answer> {
    let mut listed = Vec::new();
    let mut rest = text;
    while let Some(line) = rest.strip_prefix("entry with timestamp ") {
        // Labels are quoted, so a raw newline always ends the line.
        let Some((line, after)) = line.split_once("',\n") else {
            break;
        };
        let (time, reason) = line.split_once(" ignored, reason: '")?;
        let limit = reason
            .strip_prefix("entry too far behind, entry timestamp is: ")
            .and_then(|times| times.split_once(", oldest acceptable timestamp is: "))
            .and_then(|(_, limit)| Some(second(limit)?.0));
        let reason = match limit {
            Some(_) => Reason::TooFarBehind,
            None if reason.starts_with(STREAM_RATE) => Reason::StreamRate,
            None => Reason::Other,
        };
        listed.push(Listed {
            time: go_time(time)?,
            reason,
            limit,
        });
        rest = after;
    }
    let total = rest.strip_prefix("user '").and_then(|rest| {
        let (_, rest) = rest.split_once("', total ignored: ")?;
        let (ignored, rest) = number(rest)?;
        let (reached, rest) = number(rest.strip_prefix(" out of ")?)?;
        Some((ignored, reached, rest.strip_prefix(" for stream: ")?))
    });
    if listed.is_empty() || (total.is_none() && !cut) {
        return None;
    }
    // A quotation mark inside a quoted value would be escaped.
    let whole = total.is_some_and(|(_, _, labels)| {
        let sharded =
            labels.contains("__stream_shard__=\"") || labels.contains("__time_shard__=\"");
        !sharded && skip_labels(labels).is_some()
    });
    Some(Answer {
        listed,
        total: total.map(|(ignored, reached, _)| (ignored, reached)),
        whole,
    })
}

/// Skips a label set as Loki prints it, `{name="quoted value", …}`. Returns `None` if there is none.
fn skip_labels(text: &str) -> Option<&str> {
    let mut bytes = text.bytes().enumerate();
    if bytes.next()?.1 != b'{' {
        return None;
    }
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return text.get(at + 1..),
            _ => {}
        }
    }
    None
}

/// Parses an RFC 3339 time into whole seconds since 1970; also returns the text after it.
fn second(text: &str) -> Option<(i64, &str)> {
    let end = text.find([',', ';', '\'', ' ']).unwrap_or(text.len());
    let time: Timestamp = text[..end].parse().ok()?;
    // Loki's times fit into 64 bits of nanoseconds; any other time cannot be that of an entry.
    i64::try_from(time.as_nanosecond()).ok()?;
    Some((time.as_second(), &text[end..]))
}

/// Parses Go's `Time.String()`, `2006-01-02 15:04:05.999999999 -0700 MST`, into nanoseconds.
fn go_time(text: &str) -> Option<i64> {
    let mut parts = text.split(' ');
    let (date, time, zone) = (parts.next()?, parts.next()?, parts.next()?);
    let time: Timestamp = format!("{date}T{time}{zone}").parse().ok()?;
    time.as_nanosecond().try_into().ok()
}
