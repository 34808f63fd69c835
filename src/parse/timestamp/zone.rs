//! The time zone of times that name none, and the calendar: from written times to nanoseconds since
//! the epoch.
//!
//! Pure but for looking a zone up by its name; is told the time.

use jiff::civil::{Date as CivilDate, DateTime};
use jiff::tz::{AmbiguousOffset, Offset as ZoneOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

const SECOND: i64 = 1_000_000_000;
/// A day in nanoseconds.
pub const DAY: i64 = 86_400 * SECOND;

/// The directories in which the files of time zones are looked for.
const DIRECTORIES: [&str; 3] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/etc/zoneinfo",
];

/// A time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The zone called `local`, `utc`, an offset (`+02:00`) or a name (`Europe/Berlin`).
    ///
    /// # Errors
    /// If there is no such zone; the text says which files are missing.
    pub fn named(text: &str) -> Result<Self, String> {
        if text == "local" {
            return Self::local();
        }
        if text.eq_ignore_ascii_case("utc") || text == "Z" {
            return Ok(Self::utc());
        }
        if let Some(offset) = fixed(text) {
            return Ok(Self(TimeZone::fixed(offset)));
        }
        if text.starts_with(['+', '-']) {
            return Err(format!(
                "`{}` is not an offset: write it as +02:00",
                text.escape_debug()
            ));
        }
        TimeZone::get(text)
            .map(Self)
            .map_err(|_| missing(&format!("`{}`", text.escape_debug()), text))
    }

    /// The zone of this machine: that of the variable `TZ` if it is set, else of `/etc/localtime`,
    /// else UTC.
    fn local() -> Result<Self, String> {
        let given = std::env::var_os("TZ").filter(|zone| !zone.is_empty());
        match (TimeZone::try_system(), given) {
            (Ok(zone), _) => Ok(Self(zone)),
            (Err(_), Some(name)) => {
                let name = name.to_string_lossy();
                let shown = format!("TZ=`{}`", name.escape_debug());
                Err(missing(&shown, name.trim_start_matches(':')))
            }
            // A machine without a zone keeps UTC.
            (Err(_), None) => match std::fs::metadata("/etc/localtime") {
                Err(_) => Ok(Self::utc()),
                Ok(_) => Err(
                    "cannot read the time zone in /etc/localtime; use --time-zone to name one"
                        .into(),
                ),
            },
        }
    }
}

fn missing(shown: &str, name: &str) -> String {
    if name.starts_with('/') {
        return format!("unknown time zone {shown}: {name} is not a time zone file");
    }
    let there = DIRECTORIES
        .iter()
        .any(|dir| std::path::Path::new(dir).is_dir());
    let files = DIRECTORIES.map(|dir| format!("{dir}/{name}"));
    let remedy = if there {
        "use a name such as Europe/Berlin, an offset such as +02:00, utc or local"
    } else {
        "install the package tzdata, or use an offset such as +02:00"
    };
    format!(
        "unknown time zone {shown}: there is no file {}; {remedy}",
        files.join(" or ")
    )
}

/// `+02:00`, `+0200` or `-3`, within what zones have.
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

/// A moment of a calendar: what is left of a written time whose date is known.
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
    /// The hour it is in, as a number.
    fn hour_key(self) -> u64 {
        let date =
            (self.year as u64) << 24 | u64::from(self.month) << 16 | u64::from(self.day) << 8;
        date | u64::from(self.hour)
    }

    /// Nanoseconds since the start of its hour. A leap second is the second before it.
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

/// The start of an hour, in nanoseconds since the epoch.
type Hour = Option<(u64, i64)>;

/// Turns moments into nanoseconds since the epoch. Keeps the last hour of each kind, since the lines
/// of a log follow one another: an hour in which no clock is changed is one addition.
#[derive(Debug, Clone)]
pub struct Calendar {
    zone: TimeZone,
    utc: Hour,
    local: Hour,
}

impl Calendar {
    /// The calendar of a zone.
    pub fn new(zone: &Zone) -> Self {
        Self {
            zone: zone.0.clone(),
            utc: None,
            local: None,
        }
    }

    /// A moment at an offset from UTC, in seconds.
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

    /// A moment that the zone's clocks show. Of two moments that they show alike, at the end of
    /// summer time, `choose` takes one.
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
            // A time that the clocks skipped is counted on from before the change.
            _ => nanoseconds(ambiguous.compatible().ok()?),
        }
    }

    /// A moment in the zone whose clocks are called by this abbreviation then.
    pub fn abbreviated(&mut self, moment: Moment, abbreviation: [u8; 5]) -> Option<i64> {
        let length = abbreviation.iter().position(|&byte| byte == 0).unwrap_or(5);
        let name = std::str::from_utf8(&abbreviation[..length]).ok()?;
        let (first, second) = self.both(moment)?;
        [first, second].into_iter().find(|&ns| {
            let time = Timestamp::from_nanosecond(ns.into());
            time.is_ok_and(|time| self.zone.to_offset_info(time).abbreviation() == name)
        })
    }

    /// The first and the last moment that the clocks show so; mostly they are one.
    fn both(&self, moment: Moment) -> Option<(i64, i64)> {
        let ambiguous = self.zone.to_ambiguous_timestamp(moment.civil()?);
        let first = nanoseconds(ambiguous.earlier().ok()?)?;
        let last = nanoseconds(ambiguous.later().ok()?)?;
        Some((first, last))
    }

    /// The start of the hour, if in it the clocks go on evenly: any change in it moves its end.
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

    /// The date that the zone's clocks show at a time.
    pub fn date(&self, ns: i64) -> Option<CivilDate> {
        let time = Timestamp::from_nanosecond(ns.into()).ok()?;
        Some(self.zone.to_datetime(time).date())
    }

    /// The offset of the zone at a time, in seconds.
    pub fn offset(&self, ns: i64) -> i32 {
        let time = Timestamp::from_nanosecond(ns.into()).unwrap_or_default();
        self.zone.to_offset(time).seconds()
    }

    /// Forgets the hours: years are inferred anew.
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
