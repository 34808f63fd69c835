//! Reads the time of each line of an input, and reports when lines have none.

use crate::entry::TimestampState;
use crate::parse::fields::{self, Field};
use crate::parse::timestamp::{InputKind, TimeOptions, TimeReader, Written};
use crate::process::decoration;
use crate::process::layout::Layout;
use crate::process::options::{EntryOptions, TimeSource};
use crate::report::messages::Message;

/// Number of lines without a readable time after which a live input is reported. Programs may print
/// a banner before they log.
const SILENT_LINES: u64 = 10;

/// Maximum length of a line quoted in a message, in bytes.
const SHOWN: usize = 160;

/// The times of the lines of one input.
pub struct LineTimes {
    reader: TimeReader,
    /// The input as messages name it.
    name: String,
    /// Number of lines that are not blank.
    lines: u64,
    /// Number of lines that have a time of their own.
    timed: u64,
    /// The first non-blank line, until a line with a time is found.
    first: Option<String>,
    /// Dates of held entries whose order of day and month is not known yet, with the number of held
    /// entries before each.
    undecided: Vec<(usize, Written)>,
    reported: bool,
    ended: bool,
}

impl LineTimes {
    /// Creates a reader of times, unless entries have their arrival times. `reference` is the
    /// current time, or the file's modification time.
    pub fn new(
        options: &EntryOptions,
        input: InputKind,
        reference: i64,
        name: &str,
    ) -> Option<Self> {
        let times = time_options(options)?;
        Some(Self {
            reader: TimeReader::new(times, input, reference),
            name: name.to_owned(),
            lines: 0,
            timed: 0,
            first: None,
            undecided: Vec::new(),
            reported: false,
            ended: false,
        })
    }

    /// A reader for reading the same input again, now that the format is known. Until a line has a
    /// time of its own it gets `first`.
    #[must_use]
    pub fn fresh(&self, first: Option<i64>) -> Self {
        let mut reader = self.reader.clone();
        reader.rewind(first);
        Self {
            reader,
            name: self.name.clone(),
            lines: 0,
            timed: 0,
            first: None,
            undecided: Vec::new(),
            reported: false,
            ended: false,
        }
    }

    /// Resumes an input of which an earlier run, or this one, has read the first part.
    pub fn resume(&mut self, before: &TimestampState) {
        self.reader.resume(before.form.as_deref(), before.last);
    }

    /// What is needed to resume the input after the lines that were read.
    pub fn state(&self) -> TimestampState {
        TimestampState {
            form: self.reader.form(),
            last: self.reader.last(),
        }
    }

    /// The time of the last line that had one.
    pub fn last(&self) -> Option<i64> {
        self.reader.last()
    }

    pub fn reader(&mut self) -> &mut TimeReader {
        &mut self.reader
    }

    /// Reads the time of a line.
    pub fn read(&mut self, options: &EntryOptions, text: &str) -> Option<i64> {
        let time = match &options.time {
            TimeSource::Arrival => None,
            TimeSource::Line(_) => self.reader.read_line(text),
            TimeSource::Field(name, _) => {
                let plain = decoration::without_decoration(text, options.parse, Layout::Keep);
                let value = fields::field(&plain, options.parse, name);
                value.and_then(|value| self.reader.read_value(&value))
            }
        };
        self.count(time, text);
        time
    }

    /// Reads the time of a line whose fields are parsed already.
    pub fn read_found(
        &mut self,
        options: &EntryOptions,
        text: &str,
        found: &[Field<'_>],
    ) -> Option<i64> {
        let TimeSource::Field(name, _) = &options.time else {
            return self.read(options, text);
        };
        let field = found.iter().find(|field| field.name == *name);
        let time = field.and_then(|field| self.reader.read_value(&field.value));
        self.count(time, text);
        time
    }

    #[inline]
    fn count(&mut self, time: Option<i64>, text: &str) {
        if time.is_some() {
            self.lines += 1;
            self.timed += 1;
            self.first = None;
        } else {
            self.count_untimed(text);
        }
    }

    fn count_untimed(&mut self, text: &str) {
        if text.trim_ascii().is_empty() {
            return;
        }
        self.lines += 1;
        if self.reader.last().is_none() && self.first.is_none() {
            self.first = Some(text[..text.floor_char_boundary(SHOWN)].to_owned());
        }
    }

    /// Notes that the entry of the last line is held after `before` others.
    pub fn hold(&mut self, before: usize) {
        let undecided = self.reader.take_undecided();
        self.undecided.extend(undecided.map(|date| (before, date)));
    }

    /// Returns the times of the held entries in turn, once a line has the time `first`: that of the
    /// last date before, which may be decided now, else the first time.
    pub fn times_of_held(&mut self, first: i64) -> impl FnMut() -> i64 {
        let undecided = std::mem::take(&mut self.undecided);
        let decided = undecided
            .into_iter()
            .filter_map(|(before, date)| Some((before, self.reader.decided(date)?)));
        let decided: Vec<(usize, i64)> = decided.collect();
        let mut time = decided.first().map_or(first, |(_, time)| *time);
        let (mut at, mut next) = (0, decided.into_iter().peekable());
        move || {
            if let Some((_, own)) = next.next_if(|(before, _)| *before == at) {
                time = own;
            }
            at += 1;
            time
        }
    }

    /// Marks the end of the input, after which the summary is reported.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Reports pending messages: that no line has a time, that all times are off by the same
    /// quarter hours, and with `--dry-run` the format. `are_held` is set while lines wait for a
    /// first time.
    pub fn report(&mut self, options: &EntryOptions, are_held: bool, say: impl Fn(&Message<'_>)) {
        if let Some(hint) = self.reader.take_hint() {
            say(&Message::ZoneOff {
                what: &self.name,
                minutes: hint.minutes,
                zone: &hint.zone(),
            });
        }
        let enough = self.ended || self.lines >= SILENT_LINES;
        if let Some(first) = self.first.take_if(|_| enough && !are_held)
            && !self.reported
        {
            self.reported = true;
            say(&Message::Untimed {
                what: &self.name,
                line: &first,
            });
        }
        if self.ended && options.reports_times {
            self.ended = false;
            let form = match &options.time {
                TimeSource::Field(name, _) => {
                    (self.timed > 0).then(|| format!("the field `{name}`"))
                }
                _ => self.reader.describe(),
            };
            say(&Message::TimesFound {
                what: &self.name,
                form: form.as_deref(),
                timed: self.timed,
                lines: self.lines,
            });
        }
    }
}

/// The options for reading times, unless entries have their arrival times.
fn time_options(options: &EntryOptions) -> Option<&std::sync::Arc<TimeOptions>> {
    match &options.time {
        TimeSource::Arrival => None,
        TimeSource::Line(times) | TimeSource::Field(_, times) => Some(times),
    }
}
