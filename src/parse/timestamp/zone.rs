//! Time zones, and the conversion of calendar times to nanoseconds since the epoch.

use jiff::civil::{Date as CivilDate, DateTime};
use jiff::tz::{AmbiguousOffset, Offset as ZoneOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

const SECOND: i64 = 1_000_000_000;
/// A day in nanoseconds.
pub const DAY: i64 = 86_400 * SECOND;

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The zone in a file of the time zone database (RFC 9636). None if it is not such a file.
    pub fn from_file(name: &str, file: &[u8]) -> Option<Self> {
        TimeZone::tzif(name, file).ok().map(Self)
    }

    /// The zone of a POSIX rule, such as `CET-1CEST,M3.5.0,M10.5.0/3`.
    pub fn from_rule(rule: &str) -> Option<Self> {
        TimeZone::posix(rule).ok().map(Self)
    }

    /// The zone of an offset: `+02:00`, `+0200` or `-3`.
    pub fn from_offset(text: &str) -> Option<Self> {
        fixed(text).map(|offset| Self(TimeZone::fixed(offset)))
    }
}

fn fixed(text: &str) -> Option<ZoneOffset> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits = text[1..].replacen(':', "", 1);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match digits.len() {
        1 | 2 => (digits.as_str(), "0"),
        4 => digits.split_at(2),
        _ => return None,
    };
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    if hours > 18 || minutes > 59 {
        return None;
    }
    ZoneOffset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// A calendar date with a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub year: i16,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub nanos: u32,
}

impl Moment {
    /// A number that identifies its hour.
    fn hour_key(self) -> u64 {
        let date =
            (self.year as u64) << 24 | u64::from(self.month) << 16 | u64::from(self.day) << 8;
        date | u64::from(self.hour)
    }

    /// Nanoseconds since the start of its hour. A leap second counts as the second before it.
    fn in_hour(self) -> i64 {
        let seconds = i64::from(self.minute) * 60 + i64::from(self.second.min(59));
        seconds * SECOND + i64::from(self.nanos)
    }

    fn civil(self) -> Option<DateTime> {
        DateTime::new(
            self.year,
            self.month as i8,
            self.day as i8,
            self.hour as i8,
            self.minute as i8,
            self.second.min(59) as i8,
            self.nanos as i32,
        )
        .ok()
    }
}

/// An hour and its start, in nanoseconds since the epoch.
type Hour = Option<(u64, i64)>;

/// Converts moments to nanoseconds since the epoch. The last hour is cached, since the lines of a log
/// are mostly in the same one.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    utc: Hour,
    local: Hour,
}

impl Calendar {
    /// Creates the calendar of a zone.
    pub fn new(zone: &Zone) -> Self {
        Self {
            zone: zone.0.clone(),
            utc: None,
            local: None,
        }
    }

    /// Converts a moment at an offset from UTC in seconds.
    pub fn at_offset(&mut self, moment: Moment, seconds: i32) -> Option<i64> {
        let key = moment.hour_key();
        let hour = match self.utc {
            Some((known, hour)) if known == key => hour,
            _ => {
                let start = Moment {
                    minute: 0,
                    second: 0,
                    nanos: 0,
                    ..moment
                };
                let start = TimeZone::UTC.to_timestamp(start.civil()?).ok()?;
                let hour = nanoseconds(start)?;
                self.utc = Some((key, hour));
                hour
            }
        };
        hour.checked_add(moment.in_hour())?
            .checked_sub(i64::from(seconds) * SECOND)
    }

    /// Converts a moment in local time. If it occurs twice, at the end of summer time, `choose` returns
    /// one of the two.
    pub fn local(&mut self, moment: Moment, choose: impl FnOnce(i64, i64) -> i64) -> Option<i64> {
        let key = moment.hour_key();
        if let Some((known, hour)) = self.local
            && known == key
        {
            return hour.checked_add(moment.in_hour());
        }
        if let Some(hour) = self.plain_hour(moment) {
            self.local = Some((key, hour));
            return hour.checked_add(moment.in_hour());
        }
        let ambiguous = self.zone.to_ambiguous_timestamp(moment.civil()?);
        match ambiguous.offset() {
            AmbiguousOffset::Fold { .. } => {
                let (first, second) = self.both(moment)?;
                Some(choose(first, second))
            }
            // A skipped time is read with the offset before the change.
            _ => nanoseconds(ambiguous.compatible().ok()?),
        }
    }

    /// Converts a moment in local time, if the zone has this abbreviation at that time.
    pub fn abbreviated(&mut self, moment: Moment, abbreviation: [u8; 5]) -> Option<i64> {
        let length = abbreviation.iter().position(|&byte| byte == 0).unwrap_or(5);
        let name = std::str::from_utf8(&abbreviation[..length]).ok()?;
        let (first, second) = self.both(moment)?;
        [first, second].into_iter().find(|&ns| {
            let time = Timestamp::from_nanosecond(ns.into());
            time.is_ok_and(|time| self.zone.to_offset_info(time).abbreviation() == name)
        })
    }

    /// The first and last time with this local time, mostly the same.
    fn both(&self, moment: Moment) -> Option<(i64, i64)> {
        let ambiguous = self.zone.to_ambiguous_timestamp(moment.civil()?);
        let first = nanoseconds(ambiguous.earlier().ok()?)?;
        let last = nanoseconds(ambiguous.later().ok()?)?;
        Some((first, last))
    }

    /// The start of the hour, unless the clocks change within it.
    fn plain_hour(&self, moment: Moment) -> Option<i64> {
        let at = |minute, second| {
            let edge = Moment {
                minute,
                second,
                nanos: 0,
                ..moment
            };
            let edge = self.zone.to_ambiguous_timestamp(edge.civil()?);
            nanoseconds(edge.unambiguous().ok()?)
        };
        let (start, end) = (at(0, 0)?, at(59, 59)?);
        (end - start == 3599 * SECOND).then_some(start)
    }

    /// The local date at a time.
    pub fn date(&self, ns: i64) -> Option<CivilDate> {
        let time = Timestamp::from_nanosecond(ns.into()).ok()?;
        Some(self.zone.to_datetime(time).date())
    }

    /// The offset of the zone at a time, in seconds.
    pub fn offset(&self, ns: i64) -> i32 {
        let time = Timestamp::from_nanosecond(ns.into()).unwrap_or_default();
        self.zone.to_offset(time).seconds()
    }

    /// Clears the cached local hour, since years are inferred from the current time.
    pub fn forget(&mut self) {
        self.local = None;
    }
}

/// The date `days` later.
pub fn days_later(date: CivilDate, days: i32) -> Option<CivilDate> {
    date.checked_add(days.days()).ok()
}

fn nanoseconds(time: Timestamp) -> Option<i64> {
    i64::try_from(time.as_nanosecond()).ok()
}
