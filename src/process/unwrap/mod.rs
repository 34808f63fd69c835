//! Removes the envelope that a container runtime or journald adds to each line (`--unwrap`).
//!
//! Also joins the parts of a split line, separately for each stream of the input. The caller passes
//! the time.

mod envelope;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

pub use envelope::{Kind, Opened, open};

use crate::entry::line::LineFragment;
use crate::process::line_envelope::Envelope;

/// How long the parts of a line wait for the next one in a live input.
const PART_WAIT: Duration = Duration::from_secs(1);
/// Maximum number of lines of other streams between two parts of a line.
const LINES_BETWEEN: u32 = 1_000;
/// Number of lines in which `auto` looks for an envelope before it gives up.
const AUTO_LINES: u32 = 20;

/// Which envelope to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unwrap {
    /// None.
    Off,
    /// The first kind that is found in the first lines.
    Auto,
    /// This one.
    Only(Kind),
}

/// An unwrapped line, or a fragment of one that is too long.
pub struct Unwrapped<'a> {
    /// The line. Its end offset does not go past any line that is still held back.
    pub fragment: LineFragment<'a>,
    /// The envelope, if there was one.
    pub envelope: Option<&'a Envelope>,
    /// The input offset of its start.
    pub start: u64,
    /// When its first part was read.
    pub since: Instant,
}

/// Removes the envelopes of the lines of one input.
#[derive(Debug)]
pub struct Unwrapper {
    unwrap: Unwrap,
    /// With `auto`, the number of lines left in which to look for an envelope.
    auto_lines_left: u32,
    max_bytes: usize,
    /// Whether a prefix before JSON stays in the line.
    keeps_prefix: bool,
    /// Incomplete lines, at most one per stream.
    partial: Vec<Partial>,
    /// The input offset after the last fragment.
    end: u64,
    /// The highest input offset after a line that was emitted.
    emitted_to: u64,
}

/// The first parts of a split line.
#[derive(Debug)]
struct Partial {
    text: Vec<u8>,
    envelope: Envelope,
    /// The input offset of the first part.
    start: u64,
    /// The input offset at which a later run resumes to read it: where it starts, or where a line
    /// of another stream does whose parts were read before and after that.
    resume_at: u64,
    /// The input offset after the last part.
    end: u64,
    since: Instant,
    last: Instant,
    between: u32,
}

impl Unwrapper {
    /// Creates an unwrapper that joins parts up to `max_bytes` bytes. If `keeps_prefix` is set, text
    /// before JSON stays in the line.
    pub fn new(unwrap: Unwrap, max_bytes: usize, keeps_prefix: bool) -> Self {
        Self {
            unwrap,
            auto_lines_left: AUTO_LINES,
            max_bytes,
            keeps_prefix,
            partial: Vec::new(),
            end: 0,
            emitted_to: 0,
        }
    }

    /// Sets the offset at which reading starts.
    pub fn set_offset(&mut self, offset: u64) {
        self.end = offset;
    }

    /// Unwraps a line, or a fragment of one, that was read at `now`, and emits all lines that are
    /// now complete.
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
            let end = self.safe_end(start, fragment.end);
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
                    resume_at: start,
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
                end: self.safe_end(start, end),
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
        if own.text.len() + text.len() > self.max_bytes {
            // A line that grows too long is cut like any other.
            let mut full = std::mem::take(&mut own.text);
            let free = self.max_bytes.saturating_sub(full.len());
            let cut = char_boundary(text, free);
            full.extend_from_slice(&text[..cut]);
            own.text.extend_from_slice(&text[cut..]);
            let begins = std::mem::replace(&mut own.start, start);
            own.resume_at = start;
            let (envelope, since) = (own.envelope.clone(), own.since);
            let fragment = LineFragment {
                bytes: &full,
                first: true,
                end: self.safe_end(begins, start),
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
        if own.envelope.fields.is_empty() {
            own.envelope.fields = envelope.fields;
        }
        if !is_partial {
            let whole = self.partial.remove(at);
            self.emit(&whole, out);
        }
    }

    fn emit(&mut self, whole: &Partial, out: &mut impl FnMut(Unwrapped<'_>)) {
        let fragment = LineFragment {
            bytes: &whole.text,
            first: true,
            end: self.safe_end(whole.start, whole.end),
        };
        out(Unwrapped {
            fragment,
            envelope: Some(&whole.envelope),
            start: whole.start,
            since: whole.since,
        });
    }

    /// The offset at which a later run may resume after a line from `start` to `end`: it must not
    /// skip a line that is still held back, nor begin between the parts of one that is not.
    fn safe_end(&mut self, start: u64, end: u64) -> u64 {
        self.emitted_to = self.emitted_to.max(end);
        let mut safe = self.emitted_to;
        for held in &mut self.partial {
            if held.resume_at < end {
                held.resume_at = held.resume_at.min(start);
            }
            safe = safe.min(held.resume_at);
        }
        safe
    }

    /// The time at which held parts have waited long enough.
    pub fn deadline(&self) -> Option<Instant> {
        let last = self.partial.iter().map(|partial| partial.last);
        last.min().map(|last| last + PART_WAIT)
    }

    /// Emits all held parts, after a pause or at the end of the input.
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
            self.emit(&whole, out);
        }
    }

    /// Handles the prefix of a JSON line: it stays in the line or becomes a field.
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
                    self.auto_lines_left -= 1;
                    if self.auto_lines_left == 0 {
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

/// The largest offset up to `limit` that is on a UTF-8 character boundary.
fn char_boundary(bytes: &[u8], limit: usize) -> usize {
    let limit = limit.min(bytes.len());
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (limit.saturating_sub(3)..=limit)
        .rev()
        .find(|&at| !is_inside(at))
        .unwrap_or(limit)
}
