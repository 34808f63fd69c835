//! Envelopes: what a container runtime or journald puts around each line (`--unwrap`).
//!
//! Pure, and told the time. Takes the envelope off, joins the parts of a line, and keeps the streams
//! of one input apart.

mod envelope;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub use envelope::{Kind, Opened, open};

use crate::entry::line::LineFragment;
use crate::process::line_envelope::Envelope;

/// How long the parts of a line wait for the next one in a live input.
const PART_WAIT: Duration = Duration::from_secs(1);
/// At most this many lines of other streams may come between two parts of a line.
const LINES_BETWEEN: u32 = 1_000;
/// In this many lines an envelope is looked for with `auto`.
const UNDECIDED: u32 = 20;

/// Which envelope is taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwrap {
    /// None.
    Off,
    /// The one that the first lines have.
    Auto,
    /// This one.
    Only(Kind),
}

/// A line whose envelope was taken off, or a part of one that is too long.
pub struct Unwrapped<'a> {
    /// The line; its end is never behind what is still held back.
    pub fragment: LineFragment<'a>,
    /// What the envelope says; None if there was none.
    pub envelope: Option<&'a Envelope>,
    /// The offset in the input before it.
    pub start: u64,
    /// When its first part was read.
    pub since: Instant,
}

/// Takes envelopes off the lines of one input.
#[derive(Debug)]
pub struct Unwrapper {
    unwrap: Unwrap,
    /// Where an envelope is looked for with `auto`, how many lines are left to look at.
    undecided: u32,
    room: usize,
    /// Whether a prefix before JSON stays in the line.
    keeps_prefix: bool,
    /// Lines that wait for their next part, one for each stream.
    partial: Vec<Partial>,
    /// The offset in the input after the last fragment.
    end: u64,
}

/// The first parts of a line.
#[derive(Debug)]
struct Partial {
    text: Vec<u8>,
    envelope: Envelope,
    /// The offset in the input before the first part, …
    start: u64,
    /// … and after the last one.
    end: u64,
    since: Instant,
    last: Instant,
    between: u32,
}

impl Unwrapper {
    /// Takes this envelope off, and joins parts up to `room` bytes. What stands before JSON may stay
    /// in the line.
    pub fn new(unwrap: Unwrap, room: usize, keeps_prefix: bool) -> Self {
        Self {
            unwrap,
            undecided: UNDECIDED,
            room,
            keeps_prefix,
            partial: Vec::new(),
            end: 0,
        }
    }

    /// Reading begins at this offset.
    pub fn begin_at(&mut self, offset: u64) {
        self.end = offset;
    }

    /// Takes a line, or a part of one, that was read now, and hands out the lines that are whole.
    pub fn push(
        &mut self,
        fragment: LineFragment<'_>,
        now: Instant,
        mut out: impl FnMut(Unwrapped<'_>),
    ) {
        let start = std::mem::replace(&mut self.end, fragment.end);
        let opened = fragment.first.then(|| self.open(fragment.bytes)).flatten();
        let opened = opened.map(|opened| match opened.envelope.inner {
            0 => opened,
            _ => self.with_prefix(opened, fragment.bytes),
        });
        for partial in &mut self.partial {
            partial.between += 1;
        }
        let Some(Opened {
            text,
            envelope,
            partial,
        }) = opened
        else {
            self.close_where(|partial| partial.between > LINES_BETWEEN, &mut out);
            let end = self.safe_end(fragment.end);
            out(Unwrapped {
                fragment: LineFragment { end, ..fragment },
                envelope: None,
                start,
                since: now,
            });
            return;
        };
        self.join(&text, envelope, partial, start, fragment.end, now, &mut out);
        self.close_where(|partial| partial.between > LINES_BETWEEN, &mut out);
    }

    #[allow(clippy::too_many_arguments, reason = "all of one line")]
    fn join(
        &mut self,
        text: &[u8],
        envelope: Envelope,
        is_partial: bool,
        start: u64,
        end: u64,
        now: Instant,
        out: &mut impl FnMut(Unwrapped<'_>),
    ) {
        let known = self
            .partial
            .iter()
            .position(|own| own.envelope.stream == envelope.stream);
        let Some(at) = known else {
            if is_partial {
                self.partial.push(Partial {
                    text: text.to_vec(),
                    envelope,
                    start,
                    end,
                    since: now,
                    last: now,
                    between: 0,
                });
                return;
            }
            let fragment = LineFragment {
                bytes: text,
                first: true,
                end: self.safe_end(end),
            };
            out(Unwrapped {
                fragment,
                envelope: Some(&envelope),
                start,
                since: now,
            });
            return;
        };
        let own = &mut self.partial[at];
        if own.text.len() + text.len() > self.room {
            // What never ends is cut like any line.
            let mut full = std::mem::take(&mut own.text);
            let free = self.room.saturating_sub(full.len());
            let cut = char_boundary(text, free);
            full.extend_from_slice(&text[..cut]);
            own.text.extend_from_slice(&text[cut..]);
            let begins = std::mem::replace(&mut own.start, start);
            let (envelope, since) = (own.envelope.clone(), own.since);
            let fragment = LineFragment {
                bytes: &full,
                first: true,
                end: self.safe_end(start),
            };
            out(Unwrapped {
                fragment,
                envelope: Some(&envelope),
                start: begins,
                since,
            });
        } else {
            own.text.extend_from_slice(text);
        }
        let own = &mut self.partial[at];
        (own.end, own.last, own.between) = (end, now, 0);
        if !is_partial {
            let whole = self.partial.remove(at);
            self.hand_out(&whole, out);
        }
    }

    fn hand_out(&self, whole: &Partial, out: &mut impl FnMut(Unwrapped<'_>)) {
        let fragment = LineFragment {
            bytes: &whole.text,
            first: true,
            end: self.safe_end(whole.end),
        };
        out(Unwrapped {
            fragment,
            envelope: Some(&whole.envelope),
            start: whole.start,
            since: whole.since,
        });
    }

    /// The offset up to which nothing is held back.
    fn safe_end(&self, end: u64) -> u64 {
        let held = self.partial.iter().map(|partial| partial.start);
        held.min().map_or(end, |start| start.min(end))
    }

    /// When what is held back has waited long enough.
    pub fn due(&self) -> Option<Instant> {
        let last = self.partial.iter().map(|partial| partial.last);
        last.min().map(|last| last + PART_WAIT)
    }

    /// Hands out what is held back: a pause or the end of input ended it.
    pub fn close(&mut self, mut out: impl FnMut(Unwrapped<'_>)) {
        self.close_where(|_| true, &mut out);
    }

    fn close_where(
        &mut self,
        ends: impl Fn(&Partial) -> bool,
        out: &mut impl FnMut(Unwrapped<'_>),
    ) {
        while let Some(at) = self.partial.iter().position(&ends) {
            let whole = self.partial.remove(at);
            self.hand_out(&whole, out);
        }
    }

    /// A line behind a prefix, which stays in the line or becomes a field.
    fn with_prefix<'a>(&self, mut opened: Opened<'a>, line: &'a [u8]) -> Opened<'a> {
        if self.keeps_prefix {
            opened.text = line.into();
            opened.envelope.fields.clear();
        } else {
            opened.envelope.inner = 0;
        }
        opened
    }

    fn open<'a>(&mut self, line: &'a [u8]) -> Option<Opened<'a>> {
        match self.unwrap {
            Unwrap::Off => None,
            Unwrap::Only(kind) => open(line, kind),
            Unwrap::Auto => {
                if line.trim_ascii().is_empty() {
                    return None;
                }
                let found = Kind::ALL
                    .into_iter()
                    .find_map(|kind| Some((kind, open(line, kind)?)));
                let Some((kind, opened)) = found else {
                    self.undecided -= 1;
                    if self.undecided == 0 {
                        self.unwrap = Unwrap::Off;
                    }
                    return None;
                };
                self.unwrap = Unwrap::Only(kind);
                Some(opened)
            }
        }
    }
}

/// The largest place up to `limit` that is not inside a UTF-8 character.
fn char_boundary(bytes: &[u8], limit: usize) -> usize {
    let limit = limit.min(bytes.len());
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (limit.saturating_sub(3)..=limit)
        .rev()
        .find(|&at| !is_inside(at))
        .unwrap_or(limit)
}
