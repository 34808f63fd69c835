//! The user's format (`--time-format`), in the terms of strptime.
//!
//! Parsed by jiff, except `%Z`: the meaning of an abbreviation depends on the zone.

use jiff::fmt::strtime::BrokenDownTime;
use jiff::{Timestamp, tz::TimeZone};

use super::scan::HEAD;
use super::written::{Date, Offset, Written};

/// A timestamp format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The format as the user wrote it.
    text: String,
    /// The part before `%Z`, or all of it.
    before: String,
    /// The format without `%Z`, if it has one.
    without_zone: Option<String>,
}

impl Format {
    /// Checks a format.
    ///
    /// # Errors
    /// If it has an unknown directive, or no time of day.
    pub fn new(text: &str) -> Result<Self, String> {
        let zone = find_directive(text, b'Z');
        let format = Self {
            text: text.to_owned(),
            before: zone.map_or(text, |at| &text[..at]).to_owned(),
            without_zone: zone.map(|at| format!("{}{}", &text[..at], &text[at + 2..])),
        };
        let whole = format.without_zone.as_deref().unwrap_or(text);
        if whole.trim().is_empty() {
            return Err("the format is empty".into());
        }
        // It must be able to parse its own output.
        let sample = Timestamp::from_second(1_136_214_245).unwrap_or_default();
        let sample = BrokenDownTime::from(&sample.to_zoned_datetime(TimeZone::UTC));
        let sample = sample.to_string(whole).map_err(|why| why.to_string())?;
        let (parts, _) =
            BrokenDownTime::parse_prefix(whole, &sample).map_err(|why| why.to_string())?;
        if parts.hour().is_none() && parts.timestamp().is_none() {
            return Err("it does not have a time of day (%H:%M:%S)".into());
        }
        Ok(format)
    }

    /// The format as the user wrote it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The time at the start of a text, and its length.
    pub fn read(&self, text: &[u8]) -> Option<(Written, usize)> {
        let (parts, length) = BrokenDownTime::parse_prefix(&self.before, text).ok()?;
        let Some(without_zone) = &self.without_zone else {
            return Some((written(&parts)?, length));
        };
        let letters = text[length..]
            .iter()
            .take_while(|byte| byte.is_ascii_alphabetic());
        let letters = letters.count();
        let name = &text[length..length + letters];
        let mut shortened = text[..length].to_vec();
        shortened.extend_from_slice(&text[length + letters..text.len().min(length + HEAD)]);
        let (parts, length) = BrokenDownTime::parse_prefix(without_zone, &shortened).ok()?;
        let mut written = written(&parts)?;
        written.offset = match name {
            b"UTC" | b"GMT" | b"Z" => Offset::Seconds(0),
            name => {
                let mut padded = [0; 5];
                padded.get_mut(..name.len())?.copy_from_slice(name);
                Offset::Abbreviation(padded)
            }
        };
        Some((written, length + letters))
    }

    /// The time in the head of a line, and the offset of its first byte: at `likely` if it is there.
    pub fn find(&self, line: &[u8], likely: usize) -> Option<(Written, usize)> {
        let read = |at: usize| {
            let (written, length) = self.read(line.get(at..)?)?;
            let runs_on = line.get(at + length).is_some_and(u8::is_ascii_alphanumeric);
            (!runs_on).then_some((written, at))
        };
        let may_start = |at: usize| match at.checked_sub(1).map(|at| line[at]) {
            None => true,
            Some(before) => !before.is_ascii_alphanumeric() && !line[at].is_ascii_whitespace(),
        };
        if likely < line.len()
            && may_start(likely)
            && let Some(found) = read(likely)
        {
            return Some(found);
        }
        let end = line.len().min(HEAD);
        // An opening quote starts a request or a message.
        let quote = line[..end].iter().position(|&byte| byte == b'"');
        let end = quote.map_or(end, |at| (at + 2).min(end));
        let mut places = (0..end).filter(|&at| may_start(at));
        places.find_map(read)
    }
}

/// The offset of a directive in a format.
fn find_directive(format: &str, directive: u8) -> Option<usize> {
    let bytes = format.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        if bytes[at] == b'%' {
            if bytes[at + 1] == directive {
                return Some(at);
            }
            at += 1;
        }
        at += 1;
    }
    None
}

fn written(parts: &BrokenDownTime) -> Option<Written> {
    if let Some(time) = parts.timestamp() {
        return i64::try_from(time.as_nanosecond()).ok().map(Written::epoch);
    }
    if parts.iana_time_zone().is_some() {
        let time = parts.to_timestamp().ok()?;
        return i64::try_from(time.as_nanosecond()).ok().map(Written::epoch);
    }
    let time = parts.to_time().ok()?;
    let date = match (parts.month(), parts.day()) {
        (Some(month), Some(day)) if parts.year().is_none() => {
            Date::MonthDay(month as u8, day as u8)
        }
        (None, None) if parts.year().is_none() => Date::Missing,
        _ => {
            let date = parts.to_date().ok()?;
            Date::Full(date.year(), date.month() as u8, date.day() as u8)
        }
    };
    let offset = match parts.offset() {
        Some(offset) => Offset::Seconds(offset.seconds()),
        None => Offset::Missing,
    };
    Some(Written {
        date,
        hour: time.hour() as u8,
        minute: time.minute() as u8,
        second: time.second() as u8,
        nanos: time.subsec_nanosecond() as u32,
        offset,
    })
}
