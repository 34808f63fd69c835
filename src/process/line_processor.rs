//! Processes the lines of a source: unwraps them, joins multi-line entries, filters them and passes
//! them to the entry builder.
//!
//! The caller passes the time. A source that blocks uses [`LineProcessor::next_deadline`] as its
//! timeout.

use std::borrow::Cow;
use std::sync::{Arc, Once};
use std::time::Instant;

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
}

struct Filtered {
    strip_ansi: bool,
    filter: Option<Filter>,
    passing: bool,
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
                builder,
            },
            lines: 0,
        }
    }

    /// Maximum length of a line fragment; see [`EntryBuilder::max_fragment`].
    pub fn max_fragment(&self) -> usize {
        self.filtered.builder.max_fragment()
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
            let safe = held_from(streams, at);
            let StreamLines {
                aggregator,
                envelope,
                ..
            } = &mut streams[at];
            aggregator.close(|entry, since| {
                filtered.push_unwrapped(entry, envelope.as_ref(), safe, since);
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
        filtered.push_unwrapped(line.fragment, line.envelope, u64::MAX, line.since);
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
        });
        streams.len() - 1
    });
    let safe = held_from(streams, at);
    let own = &mut streams[at];
    let mut begins = own.aggregator.deadline().is_none();
    own.aggregator
        .push(line.fragment, line.since, |entry, since| {
            begins = true;
            filtered.push_unwrapped(entry, own.envelope.as_ref(), safe, since);
        });
    if begins {
        (own.envelope, own.start) = (line.envelope.cloned(), line.start);
    }
}

/// The lowest input offset of a line held back in any other stream.
fn held_from(streams: &[StreamLines], at: usize) -> u64 {
    let others = streams.iter().enumerate();
    let others = others.filter(|(other, own)| *other != at && own.aggregator.deadline().is_some());
    let starts = others.map(|(_, own)| own.start);
    starts.min().unwrap_or(u64::MAX)
}

impl Filtered {
    /// Processes an unwrapped line. Its position is limited to `safe`, so that held lines of other
    /// streams are not skipped when a later run resumes.
    fn push_unwrapped(
        &mut self,
        line: LineFragment<'_>,
        envelope: Option<&Envelope>,
        safe: u64,
        since: Instant,
    ) {
        if line.first {
            self.builder.set_envelope(envelope);
        }
        let end = line.end.min(safe);
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
