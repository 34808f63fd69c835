//! Shaping: a line becomes an entry.
//!
//! Decides text, stream and time of an entry, and hands entries in by the chunk. Pure but for that
//! hand-off: told the time, reads nothing. What a field, a level or a time looks like is known by
//! `fields`, `level` and `time`.

use crate::process::options::EntryOptions;
use crate::process::options::TimeSource;
use crate::report::messages::Message;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use crate::entry::labels::Labels;
use crate::entry::line::LineFragment;
use crate::entry::{Chunk, FileId, SizeHint, UNSTAMPED};
use crate::parse::fields;
use crate::parse::fields::{Field, Form};
use crate::parse::level::Level;
use crate::parse::stack_trace::{TraceLine, TraceReader};
use crate::parse::timestamp::Pace;
use crate::process::clock;
use crate::process::entry_sender::EntrySender;
use crate::process::line_envelope::Envelope;
use crate::process::line_time::LineTimes;
#[cfg(feature = "cli")]
use crate::process::redact::Redactor;

pub use crate::process::layout::{Layout, lay_out};
pub use crate::process::options::{LabelField, StreamLimit};
use crate::process::stream_labels::LabelSets;

/// At most this many lines are held back while none has a time that can be read.
const HELD_LINES: usize = 1_000;
/// At most this many bytes of lines are held back so.
const HELD_BYTES: usize = 1024 * 1024;

/// How many entries of one read are made before they are handed in.
const FULL: usize = 8 * 1024;

/// And how many bytes of what is appended to them.
const FULL_BYTES: usize = 512 * 1024;

/// What all pieces of one line share.
struct LineContext {
    labels: Arc<Labels>,
    time: i64,
    /// What is appended to the text of each piece.
    tail: String,
    /// Structured metadata of each piece, as a JSON object or empty.
    metadata: String,
}

/// Shapes the lines of one source.
pub struct EntryBuilder {
    shape: Arc<EntryOptions>,
    streams: LabelSets,
    suffix: String,
    /// The label sets of the streams that envelopes name.
    by_stream: Vec<(String, LabelSets)>,
    /// Which of them is that of the current line.
    stream: Option<usize>,
    /// What stood around the current line.
    envelope: Envelope,
    file: Option<FileId>,
    reading: LineContext,
    last_level: Option<Level>,
    trace: TraceReader,
    /// Reads times, unless they are those of arrival.
    times: Option<LineTimes>,
    last_time: Option<i64>,
    /// Whether lines without a time no longer wait for the first one.
    hurried: bool,
    chunk: Option<Chunk>,
    /// What the last chunk held.
    usual: SizeHint,
    filtered: usize,
    bytes: usize,
    read_to: u64,
    /// The file that is read, until it is reported that its text is not UTF-8.
    reported_as: Option<String>,
    is_invalid: bool,
}

impl EntryBuilder {
    /// A shaper for a source whose entries carry these further labels (`stream`, `filename`), and
    /// marks if it can be read again.
    pub fn new(shape: &Arc<EntryOptions>, origin: &[(&str, &str)], file: Option<FileId>) -> Self {
        let mut streams = LabelSets::new(shape, origin);
        let labels = Arc::clone(streams.of_level(shape.level));
        let reading = LineContext {
            labels,
            time: UNSTAMPED,
            tail: String::new(),
            metadata: String::new(),
        };
        Self {
            shape: Arc::clone(shape),
            streams,
            by_stream: Vec::new(),
            stream: None,
            envelope: Envelope::default(),
            suffix: shape.suffix(),
            file,
            reading,
            last_level: shape.level,
            trace: TraceReader::default(),
            times: LineTimes::new(shape, Pace::Live, clock::now(), "the input"),
            last_time: None,
            hurried: shape.time == TimeSource::Arrival,
            chunk: None,
            usual: SizeHint::default(),
            filtered: 0,
            bytes: 0,
            read_to: 0,
            reported_as: None,
            is_invalid: false,
        }
    }

    /// The same, with the labels that the path of its file gives.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn with_path(mut self, path: &std::path::Path) -> Self {
        if let Some(labels) = &self.shape.path_labels {
            self.streams.add_path_labels(&labels.of(path));
            self.reading.labels = Arc::clone(self.streams.of_level(self.shape.level));
        }
        self
    }

    /// Reads times as was found out before, from a file that is read to its end, or resumes.
    #[must_use]
    pub fn with_times(self, times: Option<LineTimes>) -> Self {
        let last_time = times.as_ref().and_then(LineTimes::last);
        Self {
            times,
            last_time,
            ..self
        }
    }

    /// Whether lines are shipped as they came.
    #[cfg(feature = "cli")]
    pub fn keeps_lines(&self) -> bool {
        self.shape.layout == Layout::Keep
    }

    /// What stood around the next line.
    #[cfg(feature = "cli")]
    pub fn set_envelope(&mut self, envelope: Option<&Envelope>) {
        self.envelope = envelope.cloned().unwrap_or_default();
        if let Some(redactor) = &self.shape.redactor {
            for (_, value) in &mut self.envelope.fields {
                *value = redactor.redact(value).into_owned();
            }
        }
        let Some(stream) = &self.envelope.stream else {
            self.stream = None;
            return;
        };
        let known = self.by_stream.iter().position(|(own, _)| own == stream);
        let at = known.unwrap_or_else(|| {
            let sets = self.streams.of_stream(stream);
            self.by_stream.push((stream.clone(), sets));
            self.by_stream.len() - 1
        });
        self.stream = Some(at);
    }

    fn label_sets(&mut self) -> &mut LabelSets {
        match self.stream {
            None => &mut self.streams,
            Some(at) => &mut self.by_stream[at].1,
        }
    }

    /// The text of a line without what stands before it in the same text.
    fn inner<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.envelope.inner..).unwrap_or(text)
    }

    /// The level of a line in which `found` was read. The journal's default is info: what the line
    /// says itself is then better.
    fn enveloped_level(&self, found: Option<Level>) -> Option<Level> {
        match self.envelope.level.filter(|_| self.shape.read_level) {
            Some(Level::Info) => found.or(Some(Level::Info)),
            Some(level) => Some(level),
            None => found,
        }
    }

    /// What is appended to a line that is kept as it came.
    fn kept_tail(&self) -> Option<String> {
        if self.envelope.fields.is_empty() || self.shape.layout != Layout::Keep {
            return None;
        }
        let fields = self.envelope.fields.iter();
        let fields = fields.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut tail = String::new();
        crate::process::layout::append_fields(&mut tail, self.shape.given_fields().chain(fields));
        (tail.len() <= self.shape.max_line / 2).then_some(tail)
    }

    /// Reports it once if the text of this file is not UTF-8.
    #[must_use]
    pub fn named(self, file: &str) -> Self {
        Self {
            reported_as: Some(file.to_owned()),
            ..self
        }
    }

    /// How long a piece of a line may be so that it fits into an entry with what is appended.
    pub fn room(&self) -> usize {
        self.shape.max_line - self.suffix.len()
    }

    /// Makes an entry of a line, or of a part of one.
    pub fn line(&mut self, piece: LineFragment<'_>, now: Instant) {
        self.read_to = piece.end;
        self.look_at_clock();
        // The line's end came right behind the cut: there is nothing left of it.
        if !piece.first && piece.bytes.is_empty() {
            return;
        }
        let text = read_text(piece.bytes);
        self.is_invalid |= matches!(text, Cow::Owned(_));
        #[cfg(feature = "cli")]
        let text = match &self.shape.redactor {
            Some(redactor) => Cow::Owned(redactor.redact(&text).into_owned()),
            None => text,
        };
        if !piece.first {
            self.entries(&text, piece.end, now);
        } else if self.shape.needs_fields() || self.envelope_may_label() {
            let inner = self.inner(&text);
            let plain =
                crate::process::decoration::of_fields(inner, self.shape.parse, self.shape.layout);
            let mut found = Vec::new();
            let message = self.read_fields(&text, &plain, &mut found);
            self.entries(&message, piece.end, now);
        } else {
            let level = self.read_level_and_time(self.inner(&text));
            if !self.streams.label_fields().is_empty() {
                self.read_labels(level, self.inner(&text));
            }
            self.entries(&text, piece.end, now);
        }
    }

    /// Whether a field of the envelope may become a label.
    fn envelope_may_label(&self) -> bool {
        !self.envelope.fields.is_empty() && !self.streams.label_fields().is_empty()
    }

    /// Looks up the fields that become labels, and no others.
    fn read_labels(&mut self, level: Option<Level>, text: &str) {
        let plain = crate::process::decoration::of_fields(text, self.shape.parse, Layout::Keep);
        let names = self
            .streams
            .label_fields()
            .iter()
            .map(|field| &*field.field);
        let found = fields::find_all(&plain, self.shape.parse, &names);
        #[cfg(feature = "cli")]
        let found = match &self.shape.redactor {
            None => found,
            Some(redactor) => {
                let mut found = found;
                let values = found.iter_mut().flatten();
                values.for_each(|value| redact_unescaped(redactor, value));
                found
            }
        };
        let values = found.iter().map(Option::as_deref);
        self.reading.labels = self.label_sets().of_values(level, values).0;
    }

    /// Whether lines are so short that what one read gave is to be handed in before it is all made:
    /// an entry takes some memory however short it is.
    pub fn is_full(&self) -> bool {
        // What -k appends to each may be many times as long.
        let full = FULL.min(FULL_BYTES / self.suffix.len().max(1));
        self.chunk.as_ref().is_some_and(|chunk| chunk.len() >= full)
    }

    /// Counts a line, or a part of one, that is not to be shipped. The next one goes with its level
    /// and its time all the same.
    pub fn leave_out(&mut self, piece: LineFragment<'_>, now: Instant) {
        self.read_to = piece.end;
        self.look_at_clock();
        if piece.first {
            self.read_level_and_time(&read_text(piece.bytes));
        }
        if piece.first || !piece.bytes.is_empty() {
            // As many entries as would have been made of it.
            self.filtered += piece.bytes.len().div_ceil(self.room()).max(1);
        }
        // A file's mark moves over it all the same: a chunk, be it empty, bears it.
        if self.file.is_some() {
            let file = self.file;
            self.chunk.get_or_insert_with(|| Chunk::new(file, now));
        }
    }

    /// When lines that are held back for want of a time go on without one, if there are any.
    pub fn due(&self) -> Option<Instant> {
        if self.hurried || self.last_time.is_some() {
            return None;
        }
        let chunk = self.chunk.as_ref()?;
        Some(chunk.read_at + self.shape.hold_time)
    }

    /// The input is over: nothing is held back any longer.
    pub fn end(&mut self) {
        self.pause();
        if let Some(times) = &mut self.times {
            times.end();
        }
    }

    /// Nothing came for long enough: nothing is held back any longer.
    pub fn pause(&mut self) {
        self.hurried = true;
    }

    /// Hands in what was made since the last time, of `bytes` of input. What nobody takes any more
    /// is left, and counted so.
    pub fn hand_in(&mut self, intake: &EntrySender, bytes: usize) {
        if self.is_invalid
            && let Some(what) = self.reported_as.take()
        {
            intake.reporter().say(&Message::NotUtf8 { what: &what });
        }
        self.bytes += bytes;
        let is_held = self.is_held();
        if let Some(times) = &mut self.times {
            let reporter = intake.reporter();
            times.report(&self.shape, is_held, |message| reporter.say(message));
        }
        if is_held {
            return;
        }
        let (filtered, bytes) = (
            std::mem::take(&mut self.filtered),
            std::mem::take(&mut self.bytes),
        );
        let Some(mut chunk) = self.chunk.take() else {
            intake.count(filtered, bytes);
            return;
        };
        chunk.read_to(self.read_to);
        if self.times.is_some() {
            intake.count_untimed(chunk.unstamped());
        }
        // The next one will be much like it.
        self.usual = chunk.fill();
        intake.push(chunk, filtered, bytes);
    }

    /// The quick way, for lines that are shipped as they came.
    fn read_level_and_time(&mut self, text: &str) -> Option<Level> {
        let level = if self.shape.read_level {
            fields::read_level(text, self.shape.parse)
        } else {
            None
        };
        let time = match &mut self.times {
            None => None,
            Some(times) => times.read(&self.shape, text),
        };
        let level = self.enveloped_level(level);
        let level = self.level_for(text, level);
        let labels = match self.stream {
            None => self.streams.of_level(level),
            Some(at) => self.by_stream[at].1.of_level(level),
        };
        // Lines of one level mostly follow one another: counting owners is not for free.
        if !Arc::ptr_eq(&self.reading.labels, labels) {
            self.reading.labels = Arc::clone(labels);
        }
        self.reading.time = self.time_for(time);
        if let Some(tail) = self.kept_tail() {
            self.reading.tail = tail;
        } else if self.reading.tail != self.suffix {
            self.reading.tail.clone_from(&self.suffix);
        }
        level
    }

    /// Reads everything of a line, of which `plain` is what fields are read from; gives its message,
    /// and leaves what goes beside it in `reading`.
    fn read_fields<'a>(
        &mut self,
        text: &'a str,
        plain: &'a str,
        found: &mut Vec<Field<'a>>,
    ) -> Cow<'a, str> {
        let shape = Arc::clone(&self.shape);
        let mut parsed = fields::parse(plain, shape.parse, found);
        #[cfg(feature = "cli")]
        if let Some(redactor) = &shape.redactor {
            redact_unescaped(redactor, &mut parsed.message);
            found
                .iter_mut()
                .for_each(|field| redact_unescaped(redactor, &mut field.value));
        }
        if shape.layout == Layout::Metadata && parsed.form == Form::Logfmt {
            let is_label = |name: &str| shape.label_fields.iter().any(|label| label.field == name);
            parsed.message = crate::process::layout::take_message(found, is_label);
        }
        let around = self.envelope.fields.iter().map(|(name, value)| Field {
            name: Cow::Owned(name.clone()),
            value: Cow::Owned(value.clone()),
            duplicate: false,
        });
        found.extend(around);
        let inner = self.inner(text);
        let time = match &mut self.times {
            None => None,
            Some(times) => times.read_found(&shape, inner, found),
        };
        self.reading.time = self.time_for(time);

        let mut used = vec![false; found.len()];
        let level = if shape.read_level {
            let (level, field) = fields::level_of(plain, shape.parse, parsed.form, found);
            if let Some(at) = field {
                used[at] = true;
            }
            level
        } else {
            None
        };
        let level = self.enveloped_level(level);
        let level = self.level_for(inner, level);
        let wanted = self.streams.label_fields();
        let places: Vec<Option<usize>> = wanted
            .iter()
            .map(|wanted| {
                let is_wanted = |field: &Field<'_>| field.name == wanted.field && !field.duplicate;
                found.iter().rposition(is_wanted)
            })
            .collect();
        let values = places.iter().map(|at| at.map(|at| &*found[at].value));
        let (labels, chosen) = self.label_sets().of_values(level, values);
        for at in chosen.iter().filter_map(|at| places[*at]) {
            used[at] = true;
        }
        self.reading.labels = labels;

        let left = found
            .iter()
            .zip(&used)
            .filter(|(field, used)| !**used && !field.duplicate)
            .map(|(field, _)| field);
        let pairs = left.map(|field| (field.name.as_ref(), field.value.as_ref()));
        let laid = match shape.layout {
            Layout::Keep => None,
            layout => crate::process::layout::lay_out(layout, pairs.chain(shape.given_fields())),
        };
        // Fields that would fill most of an entry leave no room to cut a message in: such a line
        // is shipped as it came.
        match laid.filter(|laid| laid.tail.len() <= shape.max_line / 2) {
            Some(laid) => {
                self.reading.tail = laid.tail;
                self.reading.metadata = laid.metadata;
                let no_text = match shape.layout {
                    Layout::Metadata => parsed.message.is_empty(),
                    _ => parsed.message.is_empty() && self.reading.tail.is_empty(),
                };
                if no_text {
                    // Nobody could read it: the line goes as it came, its fields beside it.
                    self.reading.tail.clear();
                    return Cow::Borrowed(text);
                }
                parsed.message
            }
            None => {
                self.reading.tail = self.kept_tail().unwrap_or_else(|| self.suffix.clone());
                self.reading.metadata.clear();
                Cow::Borrowed(text)
            }
        }
    }

    /// The level of a line in which `found` was read. One that has none and continues what stands
    /// before it has the level of that, so that a stack trace stays with its error.
    fn level_for(&mut self, text: &str, found: Option<Level>) -> Option<Level> {
        if let Some(level) = found {
            self.trace = TraceReader::default();
            self.last_level = found;
            return Some(level);
        }
        match self.trace.read(text.as_bytes()) {
            TraceLine::Continuation | TraceLine::Exception => self.last_level,
            // A trace may go on after it.
            TraceLine::Blank => self.shape.level,
            TraceLine::Other => {
                self.last_level = self.shape.level;
                self.shape.level
            }
        }
    }

    /// The time of a line in which `found` was read: else that of the line before.
    fn time_for(&mut self, found: Option<i64>) -> i64 {
        if let (Some(first), None) = (found, self.last_time)
            && !self.hurried
            && let Some(held) = &mut self.chunk
        {
            held.stamp(|| first);
        }
        self.last_time = found.or(self.last_time);
        let around = self.envelope.time.filter(|_| self.times.is_none());
        around.or(self.last_time).unwrap_or(UNSTAMPED)
    }

    /// Adds a message, cut to what fits into an entry with its tail.
    fn entries(&mut self, message: &str, end: u64, now: Instant) {
        let LineContext {
            labels,
            time,
            tail,
            metadata,
        } = &self.reading;
        let file = self.file;
        let usual = &self.usual;
        let chunk = self.chunk.get_or_insert_with(|| {
            let mut chunk = Chunk::new(file, now);
            chunk.reserve(usual);
            chunk
        });
        let stream = chunk.stream(labels);
        let room = self.shape.max_line - tail.len();
        // Fields that were taken out of a line and leave no message stand alone, with no bar before
        // them. A blank line that is kept as it came gets the given ones like any other.
        let alone = message.is_empty() && self.shape.layout != Layout::Keep;
        let tail = if alone {
            tail.trim_start_matches(" | ")
        } else {
            tail
        };
        let mut rest = message;
        loop {
            let (piece, behind) = rest.split_at(rest.floor_char_boundary(room));
            chunk.push(stream, *time, end, &[piece, tail], metadata);
            if behind.is_empty() {
                return;
            }
            rest = behind;
        }
    }

    /// Tells the reader of times what the time is, once for what one read gave.
    fn look_at_clock(&mut self) {
        if self.chunk.is_none()
            && let Some(times) = &mut self.times
        {
            times.reader().set_now(clock::now());
        }
    }

    /// Whether lines wait for the first time that can be read; in bounds.
    fn is_held(&mut self) -> bool {
        if self.hurried || self.last_time.is_some() {
            return false;
        }
        let Some(chunk) = &self.chunk else {
            return false;
        };
        let full = chunk.len() >= HELD_LINES
            || chunk.bytes() >= HELD_BYTES
            || chunk.read_at.elapsed() >= self.shape.hold_time;
        self.hurried |= full;
        !full
    }
}

/// Redacts what may match only now that it is unescaped (`s3\u0063ret`).
#[cfg(feature = "cli")]
fn redact_unescaped(redactor: &Redactor, text: &mut Cow<'_, str>) {
    if let Cow::Owned(own) = text
        && let Cow::Owned(redacted) = redactor.redact(own)
    {
        *own = redacted;
    }
}

/// The text of a line; what is no UTF-8 becomes U+FFFD. The check comes first because it looks at
/// whole words of ASCII, which `from_utf8_lossy` does not.
fn read_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}
