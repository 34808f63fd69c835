//! Builds entries from lines: determines the text, stream and time of each entry, and passes them
//! to the sender in chunks.
//!
//! The formats of fields, levels and times are in `parse`.

use crate::process::options::EntryOptions;
use crate::process::options::TimeSource;
use crate::report::messages::Message;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

#[cfg(feature = "cli")]
use crate::entry::TimestampState;
use crate::entry::labels::Labels;
use crate::entry::line::LineFragment;
use crate::entry::{Chunk, FileId, SizeHint, UNSTAMPED};
use crate::parse::fields;
use crate::parse::fields::{Field, Form};
use crate::parse::level::Level;
use crate::parse::stack_trace::{TraceLine, TraceReader};
use crate::parse::timestamp::InputKind;
use crate::process::clock;
use crate::process::entry_sender::EntrySender;
use crate::process::line_envelope::Envelope;
use crate::process::line_time::LineTimes;
#[cfg(feature = "cli")]
use crate::process::redact::Redactor;

pub use crate::process::layout::Layout;
pub use crate::process::options::{LabelField, StreamLimit};
use crate::process::stream_labels::LabelSets;

/// Maximum number of lines held until the first one with a readable time.
const HELD_LINES: usize = 1_000;
/// Maximum number of bytes of such lines.
const HELD_BYTES: usize = 1024 * 1024;

/// Number of entries after which a chunk is flushed even if the read has more.
const FULL: usize = 8 * 1024;

/// Maximum bytes of suffixes (`-k`) in one chunk.
const FULL_BYTES: usize = 512 * 1024;

/// The properties shared by all entries made from one line.
struct LineContext {
    labels: Arc<Labels>,
    time: i64,
    /// Text appended to each entry.
    suffix: String,
    /// Structured metadata of each entry, as a JSON object or empty.
    metadata: String,
}

/// Builds entries from the lines of one source.
pub struct EntryBuilder {
    shape: Arc<EntryOptions>,
    streams: LabelSets,
    suffix: String,
    /// Label sets of the streams named by envelopes.
    by_stream: Vec<(String, LabelSets)>,
    /// Index in `by_stream` for the current line.
    stream: Option<usize>,
    /// Envelope of the current line.
    envelope: Envelope,
    file: Option<FileId>,
    context: LineContext,
    last_level: Option<Level>,
    trace: TraceReader,
    /// Reads timestamps, unless entries have their arrival times.
    times: Option<LineTimes>,
    last_time: Option<i64>,
    /// Whether lines without a time are no longer held until the first one that has one.
    no_longer_holds: bool,
    chunk: Option<Chunk>,
    /// Size of the last chunk, as a hint for the next.
    usual: SizeHint,
    filtered: usize,
    bytes: usize,
    read_to: u64,
    /// Name of the input, until it is reported that its text is not valid UTF-8.
    reported_as: Option<String>,
    is_invalid: bool,
}

impl EntryBuilder {
    /// Creates a builder for a source whose entries have these extra labels (`stream`, `filename`).
    /// Entries have positions if the source is a `file` that can be read again.
    pub fn new(shape: &Arc<EntryOptions>, origin: &[(&str, &str)], file: Option<FileId>) -> Self {
        let mut streams = LabelSets::new(shape, origin);
        let labels = Arc::clone(streams.for_level(shape.level));
        let context = LineContext {
            labels,
            time: UNSTAMPED,
            suffix: String::new(),
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
            context,
            last_level: shape.level,
            trace: TraceReader::default(),
            times: LineTimes::new(shape, InputKind::Live, clock::now(), "the input"),
            last_time: None,
            no_longer_holds: shape.time == TimeSource::Arrival,
            chunk: None,
            usual: SizeHint::default(),
            filtered: 0,
            bytes: 0,
            read_to: 0,
            reported_as: None,
            is_invalid: false,
        }
    }

    /// Adds the labels derived from the file's path.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn with_path(mut self, path: &std::path::Path) -> Self {
        if let Some(labels) = &self.shape.path_labels {
            let mut labels = labels.of(path);
            for (_, value) in &mut labels {
                *value = self.shape.redacted(value);
            }
            self.streams.add_path_labels(&labels);
            self.context.labels = Arc::clone(self.streams.for_level(self.shape.level));
        }
        self
    }

    /// Uses a timestamp reader whose format was detected before, for a file that is read to its end
    /// or resumed.
    #[must_use]
    pub fn with_times(self, times: Option<LineTimes>) -> Self {
        let last_time = times.as_ref().and_then(LineTimes::last);
        Self {
            times,
            last_time,
            ..self
        }
    }

    /// What is known of the times of the lines, unless entries have their arrival times.
    #[cfg(feature = "cli")]
    pub fn timestamps(&self) -> Option<TimestampState> {
        self.times.as_ref().map(LineTimes::state)
    }

    /// Whether lines are shipped unchanged.
    #[cfg(feature = "cli")]
    pub fn keeps_lines(&self) -> bool {
        self.shape.layout == Layout::Keep
    }

    /// Sets the envelope of the next line.
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
            let sets = self.streams.for_stream(stream);
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

    /// The text of a line without the prefix that its envelope left in it.
    fn inner<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.envelope.inner..).unwrap_or(text)
    }

    /// The level of a line with the detected level `found` and that of its envelope. Info is
    /// journald's default, so the level of the line itself is preferred to it.
    fn enveloped_level(&self, found: Option<Level>) -> Option<Level> {
        match self.envelope.level.filter(|_| self.shape.read_level) {
            Some(Level::Info) => found.or(Some(Level::Info)),
            Some(level) => Some(level),
            None => found,
        }
    }

    /// The text appended to a line in the `keep` layout if its envelope has fields.
    fn kept_suffix(&self) -> Option<String> {
        if self.envelope.fields.is_empty() || self.shape.layout != Layout::Keep {
            return None;
        }
        let fields = self.envelope.fields.iter();
        let fields = fields.map(|(name, value)| (name.as_str(), value.as_str()));
        let mut suffix = String::new();
        crate::process::layout::append_fields(
            &mut suffix,
            self.shape.option_fields().chain(fields),
        );
        (suffix.len() <= self.shape.max_line / 2).then_some(suffix)
    }

    /// Sets the name of the input for the report, made once, that its text is not valid UTF-8.
    #[must_use]
    pub fn named(self, input: &str) -> Self {
        Self {
            reported_as: Some(input.to_owned()),
            ..self
        }
    }

    /// Notes that the text of a line was not valid UTF-8 before it was processed.
    #[cfg(feature = "cli")]
    pub fn mark_invalid(&mut self) {
        self.is_invalid = true;
    }

    /// Maximum length of a line fragment that fits into an entry together with the suffix.
    pub fn max_fragment(&self) -> usize {
        self.shape.max_line - self.suffix.len()
    }

    /// Builds an entry from a line, or from a fragment of one.
    pub fn push(&mut self, fragment: LineFragment<'_>, now: Instant) {
        self.read_to = fragment.end;
        self.update_time();
        // Only the line end is left after the cut.
        if !fragment.first && fragment.bytes.is_empty() {
            return;
        }
        let text = read_text(fragment.bytes);
        self.is_invalid |= matches!(text, Cow::Owned(_));
        #[cfg(feature = "cli")]
        let text = match &self.shape.redactor {
            Some(redactor) => Cow::Owned(redactor.redact(&text).into_owned()),
            None => text,
        };
        if !fragment.first {
            self.push_entries(&text, fragment.end, now);
        } else if self.shape.needs_fields() || self.envelope_may_label() {
            let inner = self.inner(&text);
            let plain = crate::process::decoration::without_decoration(
                inner,
                self.shape.parse,
                self.shape.layout,
            );
            let mut found = Vec::new();
            let message = self.read_fields(&text, &plain, &mut found);
            self.push_entries(&message, fragment.end, now);
        } else {
            let level = self.read_level_and_time(self.inner(&text));
            if !self.streams.label_fields().is_empty() {
                self.read_labels(level, self.inner(&text));
            }
            self.push_entries(&text, fragment.end, now);
        }
    }

    /// Whether a field of the envelope may become a label.
    fn envelope_may_label(&self) -> bool {
        !self.envelope.fields.is_empty() && !self.streams.label_fields().is_empty()
    }

    /// Looks up only the fields that become labels.
    fn read_labels(&mut self, level: Option<Level>, text: &str) {
        let plain =
            crate::process::decoration::without_decoration(text, self.shape.parse, Layout::Keep);
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
        self.context.labels = self.label_sets().for_fields(level, values).0;
    }

    /// Whether to flush before all lines of a read are processed. With very short lines a single
    /// read makes many entries, and each has a memory overhead.
    pub fn is_full(&self) -> bool {
        // The suffix (`-k`) may be much longer than the lines.
        let full = FULL.min(FULL_BYTES / self.suffix.len().max(1));
        self.chunk.as_ref().is_some_and(|chunk| chunk.len() >= full)
    }

    /// Counts a filtered line, or a fragment of one. Its level and time still apply to continuation
    /// lines.
    pub fn count_filtered(&mut self, fragment: LineFragment<'_>, now: Instant) {
        self.read_to = fragment.end;
        self.update_time();
        if fragment.first {
            self.read_level_and_time(&read_text(fragment.bytes));
        }
        if fragment.first || !fragment.bytes.is_empty() {
            // The number of entries that it would have become.
            self.filtered += fragment.bytes.len().div_ceil(self.max_fragment()).max(1);
        }
        // Advance the file's position past it, with an empty chunk if need be.
        if self.file.is_some() {
            let file = self.file;
            self.chunk.get_or_insert_with(|| Chunk::new(file, now));
        }
    }

    /// The time at which held lines are shipped without a time, if there are any.
    pub fn held_until(&self) -> Option<Instant> {
        if self.no_longer_holds || self.last_time.is_some() {
            return None;
        }
        let chunk = self.chunk.as_ref()?;
        Some(chunk.read_at + self.shape.hold_time)
    }

    /// Stops holding lines at the end of the input, and lets the timestamp summary be reported.
    pub fn end(&mut self) {
        self.release_held();
        if let Some(times) = &mut self.times {
            times.end();
        }
    }

    /// Stops holding lines that wait for a first time.
    pub fn release_held(&mut self) {
        self.no_longer_holds = true;
    }

    /// Passes the entries built since the last call to the sender, for `bytes` of input. If the
    /// queue is closed, they are counted as left.
    pub fn flush(&mut self, sender: &EntrySender, bytes: usize) {
        if self.is_invalid
            && let Some(what) = self.reported_as.take()
        {
            sender.reporter().say(&Message::NotUtf8 { what: &what });
        }
        self.bytes += bytes;
        let waits_for_timestamp = self.waits_for_timestamp();
        if let Some(times) = &mut self.times {
            let reporter = sender.reporter();
            times.report(&self.shape, waits_for_timestamp, |message| {
                reporter.say(message);
            });
        }
        if waits_for_timestamp {
            return;
        }
        let (filtered, bytes) = (
            std::mem::take(&mut self.filtered),
            std::mem::take(&mut self.bytes),
        );
        let Some(mut chunk) = self.chunk.take() else {
            sender.count(filtered, bytes);
            return;
        };
        chunk.read_to(self.read_to);
        if self.times.is_some() {
            chunk.ends_at_time(self.last_time);
            sender.count_untimed(chunk.unstamped());
        }
        // The next chunk will be similar.
        self.usual = chunk.fill();
        sender.push(chunk, filtered, bytes);
    }

    /// Reads only the level and time, for lines that are shipped unchanged.
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
            None => self.streams.for_level(level),
            Some(at) => self.by_stream[at].1.for_level(level),
        };
        // Consecutive lines mostly have the same level; avoid needless reference counting.
        if !Arc::ptr_eq(&self.context.labels, labels) {
            self.context.labels = Arc::clone(labels);
        }
        self.context.time = self.time_for(time);
        if let Some(suffix) = self.kept_suffix() {
            self.context.suffix = suffix;
        } else if self.context.suffix != self.suffix {
            self.context.suffix.clone_from(&self.suffix);
        }
        level
    }

    /// Parses all of a line; fields are read from `plain`. Returns the message, and stores
    /// everything else in `context`.
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
        // Fields that the line has twice are its message already.
        if shape.layout == Layout::Metadata
            && parsed.form == Form::Logfmt
            && parsed.message.is_empty()
        {
            let is_label = |name: &str| shape.label_fields.iter().any(|label| label.field == name);
            parsed.message = crate::process::layout::take_message(found, is_label);
        }
        let from_envelope = self.envelope.fields.iter().map(|(name, value)| Field {
            name: Cow::Owned(name.clone()),
            value: Cow::Owned(value.clone()),
            duplicate: false,
        });
        found.extend(from_envelope);
        let inner = self.inner(text);
        let time = match &mut self.times {
            None => None,
            Some(times) => times.read_found(&shape, inner, found),
        };
        self.context.time = self.time_for(time);

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
        let indices: Vec<Option<usize>> = wanted
            .iter()
            .map(|wanted| {
                let is_wanted = |field: &Field<'_>| field.name == wanted.field && !field.duplicate;
                found.iter().rposition(is_wanted)
            })
            .collect();
        let values = indices.iter().map(|at| at.map(|at| &*found[at].value));
        let (labels, chosen) = self.label_sets().for_fields(level, values);
        for at in chosen.iter().filter_map(|at| indices[*at]) {
            used[at] = true;
        }
        self.context.labels = labels;

        let left = found
            .iter()
            .zip(&used)
            .filter(|(field, used)| !**used && !field.duplicate)
            .map(|(field, _)| field);
        let pairs = left.map(|field| (field.name.as_ref(), field.value.as_ref()));
        let rendered = match shape.layout {
            Layout::Keep => None,
            layout => {
                crate::process::layout::render_fields(layout, pairs.chain(shape.option_fields()))
            }
        };
        // Fields that would fill most of an entry leave no space for the message: such a line is
        // shipped unchanged.
        match rendered.filter(|rendered| rendered.suffix.len() <= shape.max_line / 2) {
            Some(rendered) => {
                self.context.suffix = rendered.suffix;
                self.context.metadata = rendered.metadata;
                let no_text = match shape.layout {
                    Layout::Metadata => parsed.message.is_empty(),
                    _ => parsed.message.is_empty() && self.context.suffix.is_empty(),
                };
                if no_text {
                    // An entry without text would be useless: keep the line as the text, with its
                    // fields as metadata.
                    self.context.suffix.clear();
                    return Cow::Borrowed(text);
                }
                parsed.message
            }
            None => {
                self.context.suffix = self.kept_suffix().unwrap_or_else(|| self.suffix.clone());
                self.context.metadata.clear();
                Cow::Borrowed(text)
            }
        }
    }

    /// The level of a line with the detected level `found`. A line without a level that continues
    /// the previous one inherits its level, so that a stack trace stays with its error.
    fn level_for(&mut self, text: &str, found: Option<Level>) -> Option<Level> {
        if let Some(level) = found {
            self.trace = TraceReader::default();
            self.last_level = found;
            return Some(level);
        }
        match self.trace.read(text.as_bytes()) {
            TraceLine::Continuation | TraceLine::Exception => self.last_level,
            // A trace may continue after it.
            TraceLine::Blank => self.shape.level,
            TraceLine::Other => {
                self.last_level = self.shape.level;
                self.shape.level
            }
        }
    }

    /// The time of a line with the time `found`, or else that of the previous line.
    fn time_for(&mut self, found: Option<i64>) -> i64 {
        if let (None, Some(times)) = (self.last_time, &mut self.times)
            && !self.no_longer_holds
        {
            match (found, &mut self.chunk) {
                (Some(first), Some(held)) => held.stamp(times.times_of_held(first)),
                (Some(_), None) => {}
                (None, held) => times.hold(held.as_ref().map_or(0, Chunk::len)),
            }
        }
        self.last_time = found.or(self.last_time);
        let uses_envelope = self.shape.uses_envelope_time && self.times.is_none();
        let from_envelope = self.envelope.time.filter(|_| uses_envelope);
        from_envelope.or(self.last_time).unwrap_or(UNSTAMPED)
    }

    /// Adds a message, split into entries that fit together with their suffix.
    fn push_entries(&mut self, message: &str, end: u64, now: Instant) {
        let LineContext {
            labels,
            time,
            suffix,
            metadata,
        } = &self.context;
        let file = self.file;
        let usual = &self.usual;
        let chunk = self.chunk.get_or_insert_with(|| {
            let mut chunk = Chunk::new(file, now);
            chunk.reserve(usual);
            chunk
        });
        let stream = chunk.stream(labels);
        let room = self.shape.max_line - suffix.len();
        // Fields without a message have no bar before them. In the `keep` layout a blank line gets
        // the suffix like any other.
        let alone = message.is_empty() && self.shape.layout != Layout::Keep;
        let suffix = if alone {
            suffix.trim_start_matches(" | ")
        } else {
            suffix
        };
        let mut rest = message;
        loop {
            let (fragment, following) = rest.split_at(rest.floor_char_boundary(room));
            chunk.push(stream, *time, end, &[fragment, suffix], metadata);
            if following.is_empty() {
                return;
            }
            rest = following;
        }
    }

    /// Updates the timestamp reader's current time, once per read.
    fn update_time(&mut self) {
        if self.chunk.is_none()
            && let Some(times) = &mut self.times
        {
            times.reader().set_now(clock::now());
        }
    }

    /// Whether lines are held until the first one with a readable time, within limits.
    fn waits_for_timestamp(&mut self) -> bool {
        if self.no_longer_holds || self.last_time.is_some() {
            return false;
        }
        let Some(chunk) = &self.chunk else {
            return false;
        };
        let full = chunk.len() >= HELD_LINES
            || chunk.bytes() >= HELD_BYTES
            || chunk.read_at.elapsed() >= self.shape.hold_time;
        self.no_longer_holds |= full;
        !full
    }
}

/// Redacts text that matches only after unescaping (`s3\u0063ret`).
#[cfg(feature = "cli")]
fn redact_unescaped(redactor: &Redactor, text: &mut Cow<'_, str>) {
    if let Cow::Owned(own) = text
        && let Cow::Owned(redacted) = redactor.redact(own)
    {
        *own = redacted;
    }
}

/// The text of a line, with U+FFFD for invalid UTF-8. The check comes first because it processes
/// whole words of ASCII, which `from_utf8_lossy` does not.
fn read_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}
