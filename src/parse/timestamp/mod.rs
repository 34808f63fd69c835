//! Parses the timestamps of log lines and HTTP headers, and formats our own.

#[cfg(feature = "cli")]
mod cursor;
#[cfg(feature = "cli")]
mod format;
#[cfg(feature = "cli")]
mod forms;
#[cfg(feature = "cli")]
mod last_time;
#[cfg(feature = "cli")]
mod reader;
#[cfg(feature = "cli")]
mod scan;
#[cfg(all(test, feature = "cli"))]
mod tests;
#[cfg(feature = "cli")]
mod written;
#[cfg(feature = "cli")]
mod zone;

#[cfg(feature = "cli")]
use jiff::Timestamp;
#[cfg(feature = "cli")]
use jiff::fmt::temporal::DateTimePrinter;

#[cfg(feature = "cli")]
pub use format::Format;
#[cfg(feature = "cli")]
use forms::century;
#[cfg(feature = "cli")]
pub use reader::{InputKind, TimeOptions, TimeReader};
#[cfg(feature = "cli")]
pub use written::Written;
#[cfg(feature = "cli")]
pub use zone::Zone;

/// The latest time of an entry. Equal entries are shifted by a nanosecond each, so the end of the
/// range must leave room.
#[cfg(feature = "cli")]
const LATEST: i64 = i64::MAX - (1 << 40);

/// The date formats of HTTP (RFC 9110): the usual one, RFC 850's and C's `asctime`.
const DATES: [&str; 3] = [
    "%a, %d %b %Y %H:%M:%S GMT",
    "%A, %d-%b-%y %H:%M:%S GMT",
    "%a %b %e %H:%M:%S %Y",
];

/// Parses the date in an HTTP header, in nanoseconds since the epoch.
pub fn from_http_date(text: &str) -> Option<i64> {
    let read = |form| {
        jiff::fmt::strtime::parse(form, text.trim())
            .ok()?
            .to_datetime()
            .ok()
    };
    let date = DATES.into_iter().find_map(read)?;
    let time = jiff::tz::Offset::UTC.to_timestamp(date).ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Parses an RFC 3339 timestamp with an offset or `Z`, in nanoseconds since the epoch.
#[must_use]
#[cfg(feature = "cli")]
pub fn from_rfc3339(text: &str) -> Option<i64> {
    let time: Timestamp = text.parse().ok()?;
    i64::try_from(time.as_nanosecond()).ok()
}

/// Appends `ns` nanoseconds since the epoch as RFC 3339 in UTC, always with nine digits of
/// fraction: `2024-01-02T03:04:05.000000006Z`.
#[cfg(feature = "cli")]
pub fn format_rfc3339(ns: i64, out: &mut String) {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(9));
    // Neither step can fail: jiff's range contains that of an `i64` of nanoseconds, and a `String`
    // takes every write.
    if let Ok(time) = Timestamp::from_nanosecond(i128::from(ns)) {
        let _ = PRINTER.print_timestamp(&time, out);
    }
}
