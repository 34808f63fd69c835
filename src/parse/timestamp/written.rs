//! A timestamp as written: its numbers, before a calendar or a time zone is applied.

/// The date part of a written time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date {
    /// Nanoseconds since the epoch; the time of day is not used.
    Epoch(i64),
    /// Year, month and day.
    Full(i16, u8, u8),
    /// Month and day without a year.
    MonthDay(u8, u8),
    /// Month and day in an unknown order, and the year, if any.
    Unordered(u8, u8, Option<i16>),
    /// Three numbers of two digits: year, month, day or month, day, year.
    Short(u8, u8, u8),
    /// None.
    Missing,
}

/// The zone of a written time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offset {
    /// None is written.
    Missing,
    /// Seconds east of UTC.
    Seconds(i32),
    /// An abbreviation (`CEST`), padded with NULs.
    Abbreviation([u8; 5]),
}

/// A timestamp as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The date.
    pub date: Date,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute.
    pub minute: u8,
    /// Second; a leap second is written 60.
    pub second: u8,
    /// Nanoseconds of the second; more digits are cut.
    pub nanos: u32,
    /// The zone.
    pub offset: Offset,
}

impl Written {
    /// A time in nanoseconds since the epoch.
    pub fn epoch(ns: i64) -> Self {
        Self {
            date: Date::Epoch(ns),
            hour: 0,
            minute: 0,
            second: 0,
            nanos: 0,
            offset: Offset::Seconds(0),
        }
    }
}
