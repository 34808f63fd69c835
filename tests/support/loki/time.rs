//! Times as the texts of Loki and HTTP write them, from nanoseconds since 1970, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const SECOND: i64 = 1_000_000_000;

/// Nanoseconds since 1970, now.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
    })
}

struct Civil {
    year: i64,
    month: i64,
    day: i64,
    weekday: i64,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
}

/// Days to date: Howard Hinnant's `civil_from_days`.
fn civil(time: i64) -> Civil {
    let seconds = time.div_euclid(SECOND);
    let (days, in_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    Civil {
        year: year + era * 400 + i64::from(month >= 10),
        month: if month < 10 { month + 3 } else { month - 9 },
        day: of_year - (153 * month + 2) / 5 + 1,
        weekday: (days + 4).rem_euclid(7),
        hour: in_day / 3_600,
        minute: in_day / 60 % 60,
        second: in_day % 60,
        nanos: time.rem_euclid(SECOND),
    }
}

/// `2026-11-23T22:13:20Z`: Go's `time.RFC3339`.
pub fn rfc3339(time: i64) -> String {
    let c = civil(time);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    )
}

/// `2026-11-23 22:13:20.5 +0000 UTC`: what Go's `Time.String` gives.
pub fn go_string(time: i64) -> String {
    let c = civil(time);
    let mut text = format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        c.year, c.month, c.day, c.hour, c.minute, c.second
    );
    if c.nanos != 0 {
        let fraction = format!("{:09}", c.nanos);
        text.push('.');
        text.push_str(fraction.trim_end_matches('0'));
    }
    text + " +0000 UTC"
}

/// `Mon, 23 Nov 2026 22:13:20 GMT`: the `Date` header.
pub fn http_date(time: i64) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let c = civil(time);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT",
        DAYS[c.weekday as usize],
        c.day,
        MONTHS[c.month as usize - 1],
        c.year,
        c.hour,
        c.minute,
        c.second
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_go_and_http_write_them() {
        let time = 1_700_000_000_120_000_000;
        assert_eq!(rfc3339(time), "2023-11-14T22:13:20Z");
        assert_eq!(go_string(time), "2023-11-14 22:13:20.12 +0000 UTC");
        assert_eq!(http_date(time), "Tue, 14 Nov 2023 22:13:20 GMT");
        let leap_day = 1_709_164_800 * SECOND;
        assert_eq!(go_string(leap_day), "2024-02-29 00:00:00 +0000 UTC");
        assert_eq!(http_date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
