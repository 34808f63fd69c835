//! Gathering: from lines as they are read to entries as they are shaped.
//!
//! Joins lines that belong together, leaves out what was not asked for, and has the rest shaped.
//! It stands before the shaper and has its form, so that every source can use it in its place.
//! Told the time; a source that waits asks when it must be woken.

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

/// How much of a line is read as one, in whole entries.
const REACH: usize = 1024 * 1024;

/// How lines become what is shaped; the same for all sources.
#[derive(Debug, Clone)]
pub struct LineOptions {
    /// How lines are joined, if they are.
    pub multiline: Option<Multiline>,
    /// What is shipped.
    pub filter: Filter,
    /// Whether terminal escape sequences are removed.
    pub strip_ansi: bool,
    /// Which envelope is taken off each line.
    pub unwrap: Unwrap,
    said: Arc<Once>,
}

impl LineOptions {
    /// Joins by these rules, if there are any, and ships what passes the filter.
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
            said: Arc::new(Once::new()),
        }
    }
}

/// How much of a line is read as one where an entry has so much room: the entries that are made of
/// it have its labels and its fields, wherever in it these stand, and go or stay together. It is cut
/// into full entries.
pub fn reach(room: usize) -> usize {
    room * (REACH / room).max(1)
}

/// Gathers the lines of one source.
pub struct LineProcessor {
    joiner: Option<MultilineAggregator>,
    unwrapping: Option<Unwrapping>,
    said: Arc<Once>,
    sieve: Filtered,
    /// Lines that began since the last time something was handed in.
    lines: u64,
}

/// Takes envelopes off, and joins the lines of each stream apart.
struct Unwrapping {
    unwrapper: Unwrapper,
    multiline: Option<Multiline>,
    room: usize,
    streams: Vec<StreamLines>,
}

/// The lines of one of the streams in an input.
struct StreamLines {
    stream: Option<String>,
    joiner: MultilineAggregator,
    /// What stood around the first line of the open entry.
    envelope: Option<Envelope>,
    /// The offset in the input before that line.
    start: u64,
}

struct Filtered {
    strip_ansi: bool,
    filter: Option<Filter>,
    passing: bool,
    shaper: EntryBuilder,
}

impl LineProcessor {
    /// Gathers for this shaper.
    pub fn new(rules: &LineOptions, shaper: EntryBuilder) -> Self {
        let room = shaper.room();
        let multiline = rules.multiline.clone();
        let unwrapping = (rules.unwrap != Unwrap::Off).then(|| Unwrapping {
            unwrapper: Unwrapper::new(rules.unwrap, room, shaper.keeps_lines()),
            multiline: rules.multiline.clone(),
            room,
            streams: Vec::new(),
        });
        Self {
            unwrapping,
            joiner: multiline.map(|rules| MultilineAggregator::new(rules, room)),
            said: Arc::clone(&rules.said),
            sieve: Filtered {
                strip_ansi: rules.strip_ansi,
                filter: (!rules.filter.is_open()).then(|| rules.filter.clone()),
                passing: true,
                shaper,
            },
            lines: 0,
        }
    }

    /// How long a piece of a line may be; see [`EntryBuilder::room`].
    pub fn room(&self) -> usize {
        self.sieve.shaper.room()
    }

    /// Reading begins at this offset.
    pub fn begin_at(&mut self, offset: u64) {
        if let Some(unwrapping) = &mut self.unwrapping {
            unwrapping.unwrapper.begin_at(offset);
        }
    }

    /// Takes a line, or a part of one, that was read now.
    pub fn line(&mut self, piece: LineFragment<'_>, now: Instant) {
        self.lines += u64::from(piece.first);
        let sieve = &mut self.sieve;
        if let Some(unwrapping) = &mut self.unwrapping {
            unwrapping.line(piece, now, sieve);
            return;
        }
        match &mut self.joiner {
            None => sieve.piece(piece, now),
            Some(joiner) => joiner.line(piece, now, |entry, since| sieve.piece(entry, since)),
        }
    }

    /// Whether to hand in what was made before more of the same read is taken in; see
    /// [`EntryBuilder::is_full`].
    pub fn is_full(&self) -> bool {
        self.sieve.shaper.is_full()
    }

    /// When a pause ends what is held back, if something is: call [`LineProcessor::pause`] then, unless
    /// more was read.
    pub fn due(&self) -> Option<Instant> {
        let joiner = self.joiner.as_ref().and_then(MultilineAggregator::due);
        let unwrapping = self.unwrapping.as_ref().and_then(Unwrapping::due);
        let held = joiner.into_iter().chain(unwrapping);
        held.chain(self.sieve.shaper.due()).min()
    }

    /// Nothing came for long enough: what waited for more lines goes on without. To be handed in
    /// with [`LineProcessor::hand_in`].
    pub fn pause(&mut self) {
        let sieve = &mut self.sieve;
        if let Some(unwrapping) = &mut self.unwrapping {
            unwrapping.close(sieve);
        }
        if let Some(joiner) = &mut self.joiner {
            joiner.close(|entry, since| sieve.piece(entry, since));
        }
        sieve.shaper.pause();
    }

    /// The input is over: nothing is held back any longer.
    pub fn end(&mut self) {
        self.pause();
        self.sieve.shaper.end();
    }

    /// Hands in what was made since the last time, of `bytes` of input.
    pub fn hand_in(&mut self, intake: &EntrySender, bytes: usize) {
        let joiners = self.unwrapping.iter_mut().flat_map(|own| &mut own.streams);
        let joiners = joiners
            .map(|stream| &mut stream.joiner)
            .chain(&mut self.joiner);
        if joiners.fold(false, |any, joiner| any | joiner.take_burst()) {
            let room = self.room();
            self.said
                .call_once(|| intake.reporter().say(&Message::EntryFull { room }));
        }
        intake.count_lines(std::mem::take(&mut self.lines));
        self.sieve.shaper.hand_in(intake, bytes);
    }
}

impl Unwrapping {
    fn line(&mut self, piece: LineFragment<'_>, now: Instant, sieve: &mut Filtered) {
        let Self {
            unwrapper,
            multiline,
            room,
            streams,
        } = self;
        unwrapper.push(piece, now, |line| {
            join(streams, multiline.as_ref(), *room, &line, sieve);
        });
    }

    fn due(&self) -> Option<Instant> {
        let joiners = self.streams.iter().filter_map(|stream| stream.joiner.due());
        joiners.chain(self.unwrapper.due()).min()
    }

    fn close(&mut self, sieve: &mut Filtered) {
        let Self {
            unwrapper,
            multiline,
            room,
            streams,
        } = self;
        unwrapper.close(|line| join(streams, multiline.as_ref(), *room, &line, sieve));
        for at in 0..streams.len() {
            let safe = held_from(streams, at);
            let StreamLines {
                joiner, envelope, ..
            } = &mut streams[at];
            joiner.close(|entry, since| sieve.enveloped(entry, envelope.as_ref(), safe, since));
        }
    }
}

/// Joins a line with those before it of its stream, where lines are joined.
fn join(
    streams: &mut Vec<StreamLines>,
    multiline: Option<&Multiline>,
    room: usize,
    line: &Unwrapped<'_>,
    sieve: &mut Filtered,
) {
    let Some(multiline) = multiline else {
        sieve.enveloped(line.fragment, line.envelope, u64::MAX, line.since);
        return;
    };
    let stream = line.envelope.and_then(|envelope| envelope.stream.as_ref());
    let known = streams.iter().position(|own| own.stream.as_ref() == stream);
    let at = known.unwrap_or_else(|| {
        streams.push(StreamLines {
            stream: stream.cloned(),
            joiner: MultilineAggregator::new(multiline.clone(), room),
            envelope: None,
            start: 0,
        });
        streams.len() - 1
    });
    let safe = held_from(streams, at);
    let own = &mut streams[at];
    let mut begins = own.joiner.due().is_none();
    own.joiner.line(line.fragment, line.since, |entry, since| {
        begins = true;
        sieve.enveloped(entry, own.envelope.as_ref(), safe, since);
    });
    if begins {
        (own.envelope, own.start) = (line.envelope.cloned(), line.start);
    }
}

/// The offset from which lines of streams other than this one are held back.
fn held_from(streams: &[StreamLines], at: usize) -> u64 {
    let others = streams.iter().enumerate();
    let others = others.filter(|(other, own)| *other != at && own.joiner.due().is_some());
    let starts = others.map(|(_, own)| own.start);
    starts.min().unwrap_or(u64::MAX)
}

impl Filtered {
    /// Takes a line that stood in an envelope. Its position is not behind what is held back.
    fn enveloped(
        &mut self,
        line: LineFragment<'_>,
        envelope: Option<&Envelope>,
        safe: u64,
        since: Instant,
    ) {
        if line.first {
            self.shaper.set_envelope(envelope);
        }
        let end = line.end.min(safe);
        self.piece(LineFragment { end, ..line }, since);
    }

    fn piece(&mut self, piece: LineFragment<'_>, now: Instant) {
        if self.strip_ansi {
            let text = String::from_utf8_lossy(piece.bytes);
            if let Cow::Owned(plain) = ansi::plain(&text) {
                let bytes = plain.as_bytes();
                self.pass(LineFragment { bytes, ..piece }, now);
                return;
            }
        }
        self.pass(piece, now);
    }

    fn pass(&mut self, piece: LineFragment<'_>, now: Instant) {
        if let Some(filter) = &self.filter {
            // A line that is too long for one entry goes or stays as a whole.
            if piece.first {
                self.passing = filter.passes(piece.bytes);
            }
            if !self.passing {
                self.shaper.leave_out(piece, now);
                return;
            }
        }
        self.shaper.line(piece, now);
    }
}
