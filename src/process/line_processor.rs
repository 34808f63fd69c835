//! Processes the lines of a source: unwraps them, joins multi-line entries, filters them and passes
//! them to the entry builder.
//!
//! The caller passes the time. A source that blocks uses [`LineProcessor::next_deadline`] as its
//! timeout.

use std::borrow::Cow;
use std::sync::{Arc, Once};
use std::time::Instant;

use crate::entry::TimestampState;
use crate::entry::line::LineFragment;
use crate::parse::ansi;
use crate::process::entry_builder::EntryBuilder;
use crate::process::entry_sender::EntrySender;
use crate::process::filter::Filter;
use crate::process::line_envelope::Envelope;
use crate::process::multiline::{Multiline, MultilineAggregator};
use crate::process::unwrap::{Unwrap, Unwrapped, Unwrapper};
use crate::report::messages::Message;

/// Number of bytes up to which a long line is treated as one line, rounded to whole entries.
const MAX_LINE_READ: usize = 1024 * 1024;

/// Options for processing lines, shared by all sources.
#[derive(Debug, Clone)]
pub struct LineOptions {
    /// How lines are joined, if at all.
    pub multiline: Option<Multiline>,
    /// Selects the entries to ship.
    pub filter: Filter,
    /// Whether terminal escape sequences are removed.
    pub strip_ansi: bool,
    /// Which envelope is removed from each line.
    pub unwrap: Unwrap,
    warned: Arc<Once>,
}

impl LineOptions {
    /// Creates the options. Without `multiline` each line is an entry.
    pub fn new(
        multiline: Option<Multiline>,
        filter: Filter,
        strip_ansi: bool,
        unwrap: Unwrap,
    ) -> Self {
        Self {
            multiline,
            filter,
            strip_ansi,
            unwrap,
            warned: Arc::new(Once::new()),
        }
    }
}

/// Maximum number of bytes of a line that are read as one line, given the maximum size of an entry.
/// The line is split into full entries, which share its labels and fields, wherever in the line
/// these are, and pass the filter together.
pub fn max_line_read(max_fragment: usize) -> usize {
    max_fragment * (MAX_LINE_READ / max_fragment).max(1)
}

/// Processes the lines of one source.
pub struct LineProcessor {
    aggregator: Option<MultilineAggregator>,
    unwrapping: Option<Unwrapping>,
    warned: Arc<Once>,
    filtered: Filtered,
    /// Number of lines that started since the last flush.
    lines: u64,
}

/// Removes envelopes, and joins the lines of each stream separately.
struct Unwrapping {
    unwrapper: Unwrapper,
    multiline: Option<Multiline>,
    max_fragment: usize,
    streams: Vec<StreamLines>,
}

/// The open entry of one of the streams in an input.
struct StreamLines {
    stream: Option<String>,
    aggregator: MultilineAggregator,
    /// The envelope of the first line of the open entry.
    envelope: Option<Envelope>,
    /// Input offset of the start of that line.
    start: u64,
    /// Input offset at which a later run resumes to read the open entry: where it starts, or where
    /// one of another stream does whose lines were read before and after that.
    resume_at: u64,
    /// Input offset of the start of its last line.
    last_start: u64,
}

struct Filtered {
    strip_ansi: bool,
    filter: Option<Filter>,
    passing: bool,
    /// The highest input offset after an entry of several lines that was passed on.
    emitted_to: u64,
    /// Input offset from which the unwrapper holds back part of a line, and that at which a later
    /// run resumes to read the entry around it again.
    resume_at: Option<(u64, u64)>,
    builder: EntryBuilder,
}

impl LineProcessor {
    /// Creates a processor that passes lines to this builder.
    pub fn new(options: &LineOptions, builder: EntryBuilder) -> Self {
        let max_fragment = builder.max_fragment();
        let multiline = options.multiline.clone();
        let unwrapping = (options.unwrap != Unwrap::Off).then(|| Unwrapping {
            unwrapper: Unwrapper::new(options.unwrap, max_fragment, builder.keeps_lines()),
            multiline: options.multiline.clone(),
            max_fragment,
            streams: Vec::new(),
        });
        Self {
            unwrapping,
            aggregator: multiline.map(|options| MultilineAggregator::new(options, max_fragment)),
            warned: Arc::clone(&options.warned),
            filtered: Filtered {
                strip_ansi: options.strip_ansi,
                filter: (!options.filter.is_open()).then(|| options.filter.clone()),
                passing: true,
                emitted_to: 0,
                resume_at: None,
                builder,
            },
            lines: 0,
        }
    }

    /// Maximum length of a line fragment; see [`EntryBuilder::max_fragment`].
    pub fn max_fragment(&self) -> usize {
        self.filtered.builder.max_fragment()
    }

    /// What is known of the times of the lines; see [`EntryBuilder::timestamps`].
    pub fn timestamps(&self) -> Option<TimestampState> {
        self.filtered.builder.timestamps()
    }

    /// Sets the offset at which reading starts.
    pub fn set_offset(&mut self, offset: u64) {
        if let Some(unwrapping) = &mut self.unwrapping {
            unwrapping.unwrapper.set_offset(offset);
        }
    }

    /// Processes a line, or a fragment of one, that was read at `now`.
    pub fn push(&mut self, fragment: LineFragment<'_>, now: Instant) {
        self.lines += u64::from(fragment.first);
        let filtered = &mut self.filtered;
        if let Some(unwrapping) = &mut self.unwrapping {
            unwrapping.push(fragment, now, filtered);
            return;
        }
        match &mut self.aggregator {
            None => filtered.push_stripped(fragment, now),
            Some(aggregator) => aggregator.push(fragment, now, |entry, since| {
                filtered.push_stripped(entry, since);
            }),
        }
    }

    /// Whether to flush before more of the same read is processed; see [`EntryBuilder::is_full`].
    pub fn is_full(&self) -> bool {
        self.filtered.builder.is_full()
    }

    /// The time at which held lines should be released with [`LineProcessor::flush_pending`] unless
    /// more is read, if any are held.
    pub fn next_deadline(&self) -> Option<Instant> {
        let aggregator = self
            .aggregator
            .as_ref()
            .and_then(MultilineAggregator::deadline);
        let unwrapping = self.unwrapping.as_ref().and_then(Unwrapping::deadline);
        let held = aggregator.into_iter().chain(unwrapping);
        held.chain(self.filtered.builder.held_until()).min()
    }

    /// Postpones the deadline of held entries, since the beginning of another line was read.
    pub fn postpone(&mut self, now: Instant) {
        let streams = self.unwrapping.iter_mut().flat_map(|own| &mut own.streams);
        let aggregators = streams.map(|stream| &mut stream.aggregator);
        for aggregator in aggregators.chain(&mut self.aggregator) {
            aggregator.postpone(now);
        }
    }

    /// Completes held entries without waiting for more lines. Call [`LineProcessor::flush`]
    /// afterwards.
    pub fn flush_pending(&mut self) {
        let filtered = &mut self.filtered;
        if let Some(unwrapping) = &mut self.unwrapping {
            unwrapping.close(filtered);
        }
        if let Some(aggregator) = &mut self.aggregator {
            aggregator.close(|entry, since| filtered.push_stripped(entry, since));
        }
        filtered.builder.release_held();
    }

    /// Completes all held entries at the end of the input.
    pub fn end(&mut self) {
        self.flush_pending();
        self.filtered.builder.end();
    }

    /// Passes the entries built since the last call to the sender, for `bytes` of input.
    pub fn flush(&mut self, sender: &EntrySender, bytes: usize) {
        let aggregators = self.unwrapping.iter_mut().flat_map(|own| &mut own.streams);
        let aggregators = aggregators
            .map(|stream| &mut stream.aggregator)
            .chain(&mut self.aggregator);
        if aggregators.fold(false, |any, aggregator| any | aggregator.take_overflowed()) {
            let max_fragment = self.max_fragment();
            self.warned.call_once(|| {
                sender
                    .reporter()
                    .say(&Message::EntryFull { room: max_fragment });
            });
        }
        sender.count_lines(std::mem::take(&mut self.lines));
        self.filtered.builder.flush(sender, bytes);
    }
}

impl Unwrapping {
    fn push(&mut self, fragment: LineFragment<'_>, now: Instant, filtered: &mut Filtered) {
        let Self {
            unwrapper,
            multiline,
            max_fragment,
            streams,
        } = self;
        unwrapper.push(fragment, now, |line| {
            join(streams, multiline.as_ref(), *max_fragment, &line, filtered);
        });
    }

    fn deadline(&self) -> Option<Instant> {
        let aggregators = self
            .streams
            .iter()
            .filter_map(|stream| stream.aggregator.deadline());
        aggregators.chain(self.unwrapper.deadline()).min()
    }

    fn close(&mut self, filtered: &mut Filtered) {
        let Self {
            unwrapper,
            multiline,
            max_fragment,
            streams,
        } = self;
        unwrapper.close(|line| join(streams, multiline.as_ref(), *max_fragment, &line, filtered));
        for at in 0..streams.len() {
            emit(streams, at, filtered, |aggregator, out| {
                aggregator.close(out);
            });
        }
    }
}

/// Joins a line with the previous ones of its stream, if lines are joined.
fn join(
    streams: &mut Vec<StreamLines>,
    multiline: Option<&Multiline>,
    max_fragment: usize,
    line: &Unwrapped<'_>,
    filtered: &mut Filtered,
) {
    let Some(multiline) = multiline else {
        filtered.push_unwrapped(line.fragment, line.envelope, line.since);
        return;
    };
    let stream = line.envelope.and_then(|envelope| envelope.stream.as_ref());
    let known = streams.iter().position(|own| own.stream.as_ref() == stream);
    let at = known.unwrap_or_else(|| {
        streams.push(StreamLines {
            stream: stream.cloned(),
            aggregator: MultilineAggregator::new(multiline.clone(), max_fragment),
            envelope: None,
            start: 0,
            resume_at: 0,
            last_start: 0,
        });
        streams.len() - 1
    });
    let was_open = streams[at].aggregator.deadline().is_some();
    let emitted = emit(streams, at, filtered, |aggregator, out| {
        aggregator.push(line.fragment, line.since, out);
    });
    let own = &mut streams[at];
    if emitted || !was_open {
        (own.envelope, own.start) = (line.envelope.cloned(), line.start);
        own.resume_at = line.start;
    }
    own.last_start = line.start;
}

/// Passes on the entries of a stream that `act` completes, and returns whether there are any. A
/// later run must not resume after a line that another stream holds back, nor between the lines of
/// an entry that was passed on.
fn emit(
    streams: &mut [StreamLines],
    at: usize,
    filtered: &mut Filtered,
    act: impl FnOnce(&mut MultilineAggregator, &mut dyn FnMut(LineFragment<'_>, Instant)),
) -> bool {
    let (before, rest) = streams.split_at_mut(at);
    let Some((own, after)) = rest.split_first_mut() else {
        return false;
    };
    let mut emitted = false;
    let start = own.start;
    act(&mut own.aggregator, &mut |entry, since| {
        emitted = true;
        filtered.emitted_to = filtered.emitted_to.max(entry.end);
        let mut end = filtered.emitted_to;
        let others = before.iter_mut().chain(&mut *after);
        for held in others.filter(|own| own.aggregator.deadline().is_some()) {
            if held.resume_at < entry.end {
                held.resume_at = held.resume_at.min(start);
            }
            end = end.min(held.resume_at);
        }
        // The unwrapper holds back part of a line that is between those of the entry.
        if (start..=own.last_start).contains(&entry.end) {
            filtered.resume_at = Some((entry.end, start));
        }
        let entry = LineFragment { end, ..entry };
        filtered.push_unwrapped(entry, own.envelope.as_ref(), since);
    });
    emitted
}

impl Filtered {
    /// Processes an unwrapped line.
    fn push_unwrapped(
        &mut self,
        line: LineFragment<'_>,
        envelope: Option<&Envelope>,
        since: Instant,
    ) {
        if line.first {
            self.builder.set_envelope(envelope);
        }
        let mut end = line.end;
        match self.resume_at {
            Some((held, resume_at)) if end <= held => end = end.min(resume_at),
            _ => self.resume_at = None,
        }
        self.push_stripped(LineFragment { end, ..line }, since);
    }

    fn push_stripped(&mut self, fragment: LineFragment<'_>, now: Instant) {
        if self.strip_ansi {
            let text = String::from_utf8_lossy(fragment.bytes);
            let is_invalid = matches!(text, Cow::Owned(_));
            if let Cow::Owned(plain) = ansi::plain(&text) {
                let bytes = plain.as_bytes();
                self.push_if_passing(LineFragment { bytes, ..fragment }, now);
                if is_invalid && self.passing {
                    self.builder.mark_invalid();
                }
                return;
            }
        }
        self.push_if_passing(fragment, now);
    }

    fn push_if_passing(&mut self, fragment: LineFragment<'_>, now: Instant) {
        if let Some(filter) = &self.filter {
            // A line that is too long for one entry is shipped or filtered as a whole.
            if fragment.first {
                self.passing = filter.passes(fragment.bytes);
            }
            if !self.passing {
                self.builder.count_filtered(fragment, now);
                return;
            }
        }
        self.builder.push(fragment, now);
    }
}
