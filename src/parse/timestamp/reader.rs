//! Reads the timestamps of the lines of one input: keeps their form, and infers what they omit, such
//! as the year or the zone.
//!
//! The caller passes the current time.

use std::borrow::Cow;
use std::sync::Arc;

use super::century;
use super::format::Format;
use super::forms::{self, Kind};
use super::last_time::LastTime;
use super::scan::{self, Form, Place};
use super::written::{Date, Offset, Written};
use super::zone::{Calendar, DAY, Moment, Zone, days_later};
use crate::parse::ansi;
use crate::parse::fields;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const QUARTER: i64 = 900 * SECOND;

/// The earliest time that is accepted: 1990.
const EARLIEST: i64 = 631_152_000 * SECOND;
/// How far ahead a time may be: a hundred years.
const AHEAD: i64 = 36_525 * DAY;

/// After this many lines in a row without the form, any form is accepted again.
const MISSES: u32 = 100;
/// A form that does not start the line is provisional until this many lines had it.
const TRUSTED: u32 = 3;
/// Number of lines in a row that must be off by the same number of quarter hours.
const OFF: u32 = 10;
/// Maximum deviation from the quarter hour.
const DELAY: i64 = 30 * SECOND;

/// Options for reading times, shared by all inputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeOptions {
    /// The zone of times that name none.
    pub zone: Zone,
    /// The format that the user specified, if any.
    pub format: Option<Format>,
}

/// Whether an input is read while it is written, or to its end at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputKind {
    /// A pipe, a command or a followed file.
    Live,
    /// A file that is read to its end.
    File,
}

/// Where the lines of one input have their times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// In the text of the line, in this form.
    Text(Form),
    /// In the member of a JSON line with this index in the list of names.
    Json(usize),
    /// In the user's format, at this offset in the last line.
    Given(usize),
}

/// Which number of a numeric date comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Day,
    Month,
    Year,
}

/// Reads the times of one input.
#[derive(Debug, Clone)]
pub struct TimeReader {
    options: Arc<TimeOptions>,
    calendar: Calendar,
    input: InputKind,
    /// The current time, or the file's modification time.
    reference: i64,
    source: Option<Source>,
    order: Option<Order>,
    /// The date of the last line, if its order was not known.
    undecided: Option<Written>,
    /// The year of the last time that was written without one.
    year: i16,
    hits: u32,
    misses: u32,
    last: Option<i64>,
    /// The last time at the start of a line.
    last_time: LastTime,
    off: Off,
    /// Whether the last written time named its own zone.
    has_zone: bool,
}

/// By how many quarter hours the last lines were off.
#[derive(Debug, Clone, Copy, Default)]
struct Off {
    quarters: i64,
    lines: u32,
    reported: bool,
}

impl TimeReader {
    /// Creates a reader. `reference` is the current time, or the file's modification time.
    pub fn new(options: &Arc<TimeOptions>, input: InputKind, reference: i64) -> Self {
        Self {
            options: Arc::clone(options),
            calendar: Calendar::new(&options.zone),
            input,
            reference,
            source: None,
            order: None,
            undecided: None,
            year: 1970,
            hits: 0,
            misses: 0,
            last: None,
            last_time: LastTime::default(),
            off: Off::default(),
            has_zone: true,
        }
    }

    /// Sets the current time of a live input.
    pub fn set_now(&mut self, now: i64) {
        if self.input == InputKind::Live {
            if (now - self.reference).abs() > HOUR {
                self.calendar.forget();
            }
            self.last_time.forget();
            self.reference = now;
        }
    }

    /// The time of the last line with a time.
    pub fn last(&self) -> Option<i64> {
        self.last
    }

    /// Reads the time of a line.
    pub fn read_line(&mut self, line: &str) -> Option<i64> {
        let time = self.find(line.as_bytes(), line);
        self.count(time);
        time
    }

    /// Reads a field's value, all of which must be a time.
    pub fn read_value(&mut self, value: &str) -> Option<i64> {
        let written = self.value(value)?;
        let time = self.resolve(written);
        self.count(time);
        time
    }

    fn value(&self, value: &str) -> Option<Written> {
        let value = value.trim_ascii().as_bytes();
        let (written, end) = match &self.options.format {
            Some(format) => format.read(value)?,
            None => {
                let (_, written, end) = forms::any_at(value, 0)?;
                (written, end)
            }
        };
        (end == value.len()).then_some(written)
    }

    /// The date of the last line, if its order of day and month was not known. A later line may show
    /// it.
    pub fn take_undecided(&mut self) -> Option<Written> {
        self.undecided.take()
    }

    /// The time of an earlier line, if its order of day and month is known now.
    pub fn decided(&mut self, written: Written) -> Option<i64> {
        self.order.and_then(|_| self.resolve(written))
    }

    fn count(&mut self, time: Option<i64>) {
        match time {
            Some(time) => {
                self.hits = self.hits.saturating_add(1);
                self.misses = 0;
                if self.input == InputKind::Live {
                    self.compare(time);
                }
                self.last = Some(time);
            }
            None => self.misses += 1,
        }
    }

    fn find(&mut self, line: &[u8], text: &str) -> Option<i64> {
        if self.misses >= MISSES {
            (self.misses, self.hits, self.source) = (0, 0, None);
        }
        match self.source {
            Some(Source::Text(form)) if form.place == Place::Start => {
                if let Some(time) = self.last_time.read(line, form.kind) {
                    self.has_zone = self.last_time.has_zone;
                    return Some(time);
                }
                if let Some(found) = scan::find_form(line, form) {
                    let time = self.resolve(found.written)?;
                    self.last_time.keep(line, &found, time);
                    return Some(time);
                }
            }
            Some(source) => {
                if let Some(written) = self.find_source(line, text, source) {
                    return self.resolve(written);
                }
            }
            None => {}
        }
        // Ignore colours and a byte order mark.
        let head = &line[..line.len().min(scan::HEAD)];
        if memchr::memchr(b'\x1b', head).is_some() || line.starts_with(b"\xef\xbb\xbf") {
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            let head = &text[..text.floor_char_boundary(2 * scan::HEAD)];
            let plain = ansi::strip(head);
            return match plain {
                Cow::Owned(plain) => self.find_plain(plain.as_bytes(), &plain),
                Cow::Borrowed(_) => self.find_plain(text.as_bytes(), text),
            };
        }
        match self.source {
            None => self.find_any(line, text),
            Some(_) if self.is_doubtful() => self.find_better(line),
            Some(_) => None,
        }
    }

    fn find_plain(&mut self, line: &[u8], text: &str) -> Option<i64> {
        match self.source {
            Some(source) => {
                let written = self.find_source(line, text, source)?;
                self.resolve(written)
            }
            None => self.find_any(line, text),
        }
    }

    /// Whether the form is provisional.
    fn is_doubtful(&self) -> bool {
        self.hits < TRUSTED
            && matches!(
                self.source,
                Some(Source::Text(Form {
                    place: Place::Inside { .. },
                    ..
                }))
            )
    }

    /// Reads a time that starts the line. The provisional form may have been that of a date that the
    /// first line cites.
    fn find_better(&mut self, line: &[u8]) -> Option<i64> {
        let (form, found) = scan::find(line)?;
        if form.place != Place::Start {
            return None;
        }
        (self.source, self.hits, self.order) = (Some(Source::Text(form)), 0, None);
        self.resolve(found.written)
    }

    fn find_source(&mut self, line: &[u8], text: &str, source: Source) -> Option<Written> {
        match source {
            Source::Text(form) => scan::find_form(line, form).map(|found| found.written),
            Source::Json(rank) => {
                let read = |value: &str| self.dated(value);
                let object = object_in(text);
                fields::json_time(object, &scan::TIME_NAMES, rank, read).map(|(_, time)| time)
            }
            Source::Given(likely) => {
                let (written, at) = self.options.format.as_ref()?.find(line, likely)?;
                self.source = Some(Source::Given(at));
                Some(written)
            }
        }
    }

    /// Parses the value of a JSON member, which must be a whole date with time.
    fn dated(&self, value: &str) -> Option<Written> {
        let written = self.value(value)?;
        let is_whole = matches!(
            written.date,
            Date::Epoch(_) | Date::Full(..) | Date::Unordered(_, _, Some(_)) | Date::Short(..)
        );
        (is_whole || self.options.format.is_some()).then_some(written)
    }

    fn find_any(&mut self, line: &[u8], text: &str) -> Option<i64> {
        if self.options.format.is_some() {
            let written = self.find_source(line, text, Source::Given(0))?;
            return self.resolve(written);
        }
        if line.trim_ascii_start().first() == Some(&b'{') {
            return self.find_json(text);
        }
        let Some((form, found)) = scan::find(line) else {
            return self.find_json(object_in(text));
        };
        if form.kind == Kind::Clock && self.input == InputKind::File && self.source.is_none() {
            return None;
        }
        let time = self.resolve(found.written);
        // A date whose order is not known yet also sets the form.
        if time.is_some() || self.is_open(found.written) {
            self.source = Some(Source::Text(form));
        }
        time
    }

    fn find_json(&mut self, object: &str) -> Option<i64> {
        let read = |value: &str| self.dated(value);
        let (rank, written) = fields::json_time(object, &scan::TIME_NAMES, 0, read)?;
        let time = self.resolve(written)?;
        self.source = Some(Source::Json(rank));
        Some(time)
    }

    fn is_open(&self, written: Written) -> bool {
        self.order.is_none() && matches!(written.date, Date::Unordered(..) | Date::Short(..))
    }

    /// The time in nanoseconds since the epoch.
    fn resolve(&mut self, written: Written) -> Option<i64> {
        self.has_zone = written.offset != Offset::Missing;
        self.undecided = None;
        let time = match written.date {
            Date::Epoch(ns) => Some(ns),
            Date::Full(year, month, day) => self.on(written, year, month, day),
            Date::MonthDay(month, day) => self.in_some_year(written, month, day),
            Date::Unordered(first, second, year) => self.unordered(written, first, second, year),
            Date::Short(first, second, third) => self.short(written, first, second, third),
            Date::Missing => self.clock(written),
        };
        time.filter(|&time| self.is_plausible(time))
    }

    fn is_plausible(&self, time: i64) -> bool {
        (EARLIEST..=self.reference.saturating_add(AHEAD).min(super::LATEST)).contains(&time)
    }

    fn on(&mut self, written: Written, year: i16, month: u8, day: u8) -> Option<i64> {
        let moment = Moment {
            year,
            month,
            day,
            hour: written.hour,
            minute: written.minute,
            second: written.second,
            nanos: written.nanos,
        };
        match written.offset {
            Offset::Seconds(seconds) => self.calendar.at_offset(moment, seconds),
            Offset::Abbreviation(name) => self.calendar.abbreviated(moment, name),
            Offset::Missing => {
                let (last, now) = (self.last, self.reference);
                let live = self.input == InputKind::Live;
                let choose = |first: i64, second: i64| {
                    if live && (now - first).abs().min((now - second).abs()) < DAY {
                        let is_second = (now - second).abs() < (now - first).abs();
                        return if is_second { second } else { first };
                    }
                    // Past the middle of the repeated period it is the second one.
                    let half = (second - first) / 2;
                    match last {
                        Some(last) if last > first + half => second,
                        _ => first,
                    }
                };
                self.calendar.local(moment, choose)
            }
        }
    }

    /// The time in the year that puts it nearest to now, at most a day ahead.
    fn in_some_year(&mut self, written: Written, month: u8, day: u8) -> Option<i64> {
        let latest = self.reference + DAY;
        // Mostly that of the line before: within the last months no other year fits.
        if let Some(time) = self.on(written, self.year, month, day)
            && (latest - 300 * DAY..=latest).contains(&time)
        {
            return Some(time);
        }
        let next = self.calendar.date(self.reference)?.year() + 1;
        // The 29th of February needs up to eight years.
        (next - 9..=next).rev().find_map(|year| {
            let time = self.on(written, year, month, day)?;
            self.year = year;
            (time <= latest).then_some(time)
        })
    }

    fn unordered(
        &mut self,
        written: Written,
        first: u8,
        second: u8,
        year: Option<i16>,
    ) -> Option<i64> {
        let known = self.order;
        let mut at = |order| {
            let (month, day) = match order {
                Order::Day => (second, first),
                _ => (first, second),
            };
            match year {
                Some(year) => self.on(written, year, month, day),
                None => self.in_some_year(written, month, day),
            }
        };
        if let Some(order) = known {
            return at(order);
        }
        let readings = [
            (Order::Day, at(Order::Day)),
            (Order::Month, at(Order::Month)),
        ];
        self.decide(written, readings)
    }

    fn short(&mut self, written: Written, first: u8, second: u8, third: u8) -> Option<i64> {
        let known = self.order;
        let mut at = |order| match order {
            Order::Year => self.on(written, century(first), second, third),
            _ => self.on(written, century(third), first, second),
        };
        if let Some(order) = known {
            return at(order);
        }
        let readings = [
            (Order::Year, at(Order::Year)),
            (Order::Month, at(Order::Month)),
        ];
        self.decide(written, readings)
    }

    /// Chooses between two readings of a date if only one is possible, and keeps its order for all
    /// later lines.
    fn decide(&mut self, written: Written, readings: [(Order, Option<i64>); 2]) -> Option<i64> {
        if readings[0].1 == readings[1].1 {
            return readings[0].1;
        }
        let now = self.reference;
        let only = |fits: &dyn Fn(i64) -> bool| {
            let mut fitting = readings
                .iter()
                .filter_map(|(order, time)| time.filter(|&time| fits(time)).map(|at| (*order, at)));
            match (fitting.next(), fitting.next()) {
                (Some(reading), None) => Some(reading),
                _ => None,
            }
        };
        let live = self.input == InputKind::Live;
        let reading = only(&|_| true)
            .or_else(|| only(&|time| time <= now + DAY))
            .or_else(|| only(&|time| live && (time - now).abs() <= DAY));
        if reading.is_none() {
            self.undecided = Some(written);
        }
        let (order, time) = reading?;
        self.order = Some(order);
        Some(time)
    }

    /// A time of day without a date, on the day nearest to now and not before the previous line.
    fn clock(&mut self, written: Written) -> Option<i64> {
        let today = self.calendar.date(self.reference)?;
        let reference = self.reference;
        let mut on = |date: jiff::civil::Date, days| {
            let date = days_later(date, days)?;
            self.on(written, date.year(), date.month() as u8, date.day() as u8)
        };
        let near = [-1, 0, 1].into_iter().filter_map(|days| on(today, days));
        let nearest = near.min_by_key(|time| (time - reference).abs())?;
        let Some(last) = self.last else {
            return Some(nearest);
        };
        let day = self.calendar.date(last)?;
        let mut on = |days| {
            let date = days_later(day, days)?;
            self.on(written, date.year(), date.month() as u8, date.day() as u8)
        };
        let same = on(0)?;
        let next = if same < last - 12 * HOUR {
            on(1)?
        } else if same - last > 23 * HOUR {
            // A little out of order around midnight.
            on(-1)?
        } else {
            same
        };
        // After a long silence the current time is a better guide.
        if (next - reference).abs() > 12 * HOUR && nearest >= last {
            return Some(nearest);
        }
        Some(next)
    }

    /// Compares a time with the current one, to find out by how many quarter hours lines are off.
    fn compare(&mut self, time: i64) {
        let behind = self.reference - time;
        let quarters = (behind + QUARTER / 2).div_euclid(QUARTER);
        let is_off = !self.has_zone
            && quarters != 0
            && quarters.abs() <= 26 * 4
            && (behind - quarters * QUARTER).abs() <= DELAY;
        if !is_off {
            self.off.lines = 0;
        } else if self.off.quarters == quarters {
            self.off.lines += 1;
        } else {
            (self.off.quarters, self.off.lines) = (quarters, 1);
        }
    }

    /// Returns a hint at the zone, once, if enough lines in a row were off by the same number of
    /// quarter hours.
    pub fn take_hint(&mut self) -> Option<ZoneHint> {
        if self.off.reported || self.off.lines < OFF {
            return None;
        }
        self.off.reported = true;
        let minutes = self.off.quarters * 15;
        let now = self.calendar.offset(self.reference) / 60;
        // Times that are behind come from a zone further west.
        let fitting = i64::from(now) - minutes;
        Some(ZoneHint { minutes, fitting })
    }

    /// Describes the form for a message, with an example.
    pub fn describe(&self) -> Option<String> {
        Some(match self.source? {
            Source::Text(form) => {
                let example = match self.order {
                    Some(Order::Day) if form.kind == Kind::Numeric => "02/01/2006 15:04:05",
                    Some(Order::Month) if form.kind == Kind::Short => "01/02/06 15:04:05",
                    _ => form.kind.example(),
                };
                match form.place {
                    Place::Start => format!("`{example}` at the start of the line"),
                    Place::Inside { .. } => format!("`{example}` inside the line"),
                }
            }
            Source::Json(rank) => {
                let names = scan::TIME_NAMES;
                format!(
                    "the JSON member `{}`",
                    names.get(rank).unwrap_or(&"t.$date")
                )
            }
            Source::Given(_) => {
                let format = self.options.format.as_ref()?;
                format!("`{}`", format.text())
            }
        })
    }

    /// The form of the times as a text that [`TimeReader::resume`] reads: that of the line or the
    /// name's rank, and the order of day and month. None while it is not known.
    pub fn form(&self) -> Option<String> {
        let form = match self.source {
            None => "any".to_owned(),
            Some(Source::Text(Form { kind, place })) => match place {
                Place::Start => format!("text {kind:?}"),
                Place::Inside { before, words } => format!("text {kind:?} {before} {words}"),
            },
            Some(Source::Json(rank)) => format!("json {rank}"),
            Some(Source::Given(_)) => "given".to_owned(),
        };
        match (self.source, self.order) {
            (None, None) => None,
            (_, None) => Some(form),
            (_, Some(order)) => Some(format!("{form} {order:?}")),
        }
    }

    /// Resumes an input whose earlier lines had times of a form, the last one `last`. A format that
    /// the user gives is preferred to the form.
    pub fn resume(&mut self, form: Option<&str>, last: Option<i64>) {
        self.last = last;
        let words: Vec<&str> = form.unwrap_or_default().split(' ').collect();
        let (words, order) = match words.as_slice() {
            [form @ .., "Day"] => (form, Some(Order::Day)),
            [form @ .., "Month"] => (form, Some(Order::Month)),
            [form @ .., "Year"] => (form, Some(Order::Year)),
            form => (form, None),
        };
        let kind = |name: &str| Kind::all().find(|kind| format!("{kind:?}") == name);
        let source = match words {
            ["text", name] => kind(name).map(|kind| (kind, Place::Start)),
            ["text", name, before, words] => kind(name).and_then(|kind| {
                let (before, words) = (before.parse().ok()?, words.parse().ok()?);
                Some((kind, Place::Inside { before, words }))
            }),
            _ => None,
        };
        let source = source.map(|(kind, place)| Source::Text(Form { kind, place }));
        let source = source.or(match words {
            ["json", rank] => rank.parse().ok().map(Source::Json),
            _ => None,
        });
        if self.options.format.is_none() {
            self.source = source;
        }
        (self.order, self.hits) = (order, TRUSTED);
    }

    /// Resets the reader to read the same lines again, but keeps their form. `first` is the time of
    /// the lines before the first one with a time.
    pub fn rewind(&mut self, first: Option<i64>) {
        (self.last, self.misses) = (first, 0);
        self.last_time.forget();
    }
}

/// The JSON object in a line: all of it, or what follows a prefix (`web-1  | {…}`).
fn object_in(line: &str) -> &str {
    if line.starts_with('{') {
        return line;
    }
    let head = &line.as_bytes()[..line.len().min(scan::HEAD)];
    memchr::memmem::find(head, b" {\"").map_or(line, |space| &line[space + 1..])
}

/// A hint at the zone that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZoneHint {
    /// How many minutes times are behind the clock.
    pub minutes: i64,
    /// The offset that fits, in minutes east of UTC.
    pub fitting: i64,
}

impl ZoneHint {
    /// The value of `--time-zone` that fits.
    pub fn zone(&self) -> String {
        let sign = if self.fitting < 0 { '-' } else { '+' };
        let minutes = self.fitting.abs();
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}
