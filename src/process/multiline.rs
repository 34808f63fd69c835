//! Multi-line entries: lines that belong together become one.
//!
//! Pure, and told the time: whoever reads drives it, with a pipe's silence or with a clock. Knows
//! where an entry begins and when it is over. Knows nothing of what lines mean otherwise, and
//! holds no more than one entry of bounded size.

use std::time::{Duration, Instant};

use regex::bytes::Regex;

use crate::entry::line::LineFragment;

/// What stays allocated when an entry is handed out: many sources may each hold one.
const KEPT: usize = 16 * 1024;

/// How lines are joined; the same for all sources.
#[derive(Debug, Clone)]
pub struct Multiline {
    /// A line that matches begins an entry.
    pub begins: Regex,
    /// A pause of this length ends one.
    pub wait: Duration,
}

/// Joins the lines of one source.
#[derive(Debug)]
pub struct MultilineAggregator {
    rules: Multiline,
    room: usize,
    open: Option<OpenEntry>,
    text: Vec<u8>,
    burst: bool,
}

/// An entry that may still grow.
#[derive(Debug, Clone, Copy)]
struct OpenEntry {
    /// When its first line was read.
    since: Instant,
    /// When its last one was.
    last: Instant,
    /// The offset in the input behind that.
    end: u64,
    /// Whether it begins where a line begins.
    first: bool,
}

impl MultilineAggregator {
    /// Joins lines to entries of at most `room` bytes.
    pub fn new(rules: Multiline, room: usize) -> Self {
        Self {
            rules,
            room,
            open: None,
            text: Vec::new(),
            burst: false,
        }
    }

    /// Takes a line, or a piece of one, that was read now. Hands out the entry that is over with
    /// it, if one is, and when that was begun to be read.
    pub fn line(
        &mut self,
        piece: LineFragment<'_>,
        now: Instant,
        mut out: impl FnMut(LineFragment<'_>, Instant),
    ) {
        // Nothing is left of a line behind its cut but its end.
        if !piece.first && piece.bytes.is_empty() {
            match &mut self.open {
                Some(open) => open.end = piece.end,
                None => out(piece, now),
            }
            return;
        }
        let begins = piece.first && self.rules.begins.is_match(piece.bytes);
        let joined = self.text.len() + usize::from(piece.first) + piece.bytes.len();
        if self.open.is_some() && (begins || joined > self.room) {
            self.burst |= !begins;
            self.close(&mut out);
        }
        match &mut self.open {
            Some(open) => {
                (open.last, open.end) = (now, piece.end);
                if piece.first {
                    self.text.push(b'\n');
                }
            }
            None => {
                self.open = Some(OpenEntry {
                    since: now,
                    last: now,
                    end: piece.end,
                    first: piece.first,
                });
            }
        }
        self.text.extend_from_slice(piece.bytes);
    }

    /// When a pause has ended the open entry, if there is one: [`MultilineAggregator::close`] it then.
    pub fn due(&self) -> Option<Instant> {
        self.open.map(|open| open.last + self.rules.wait)
    }

    /// Hands out the open entry: a pause or the end of input ended it.
    pub fn close(&mut self, mut out: impl FnMut(LineFragment<'_>, Instant)) {
        let Some(open) = self.open.take() else {
            return;
        };
        let (first, end) = (open.first, open.end);
        let bytes = &self.text;
        out(LineFragment { bytes, first, end }, open.since);
        self.text.clear();
        self.text.shrink_to(KEPT);
    }

    /// Whether, since this was asked last, an entry was closed for being full.
    pub fn take_burst(&mut self) -> bool {
        std::mem::take(&mut self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joiner(room: usize) -> MultilineAggregator {
        let begins = Regex::new(r"^\S").unwrap();
        let wait = Duration::from_secs(1);
        MultilineAggregator::new(Multiline { begins, wait }, room)
    }

    /// What comes out for lines, each with its end, and then the end of input.
    fn join(joiner: &mut MultilineAggregator, lines: &[&str]) -> Vec<(String, u64)> {
        let (now, mut end, mut entries) = (Instant::now(), 0, Vec::new());
        let mut out = |piece: LineFragment<'_>, _| {
            entries.push((String::from_utf8(piece.bytes.to_vec()).unwrap(), piece.end));
        };
        for line in lines {
            end += line.len() as u64 + 1;
            let (bytes, first) = (line.as_bytes(), true);
            joiner.line(LineFragment { bytes, first, end }, now, &mut out);
        }
        joiner.close(&mut out);
        joiner.close(&mut out);
        entries
    }

    fn texts(entries: Vec<(String, u64)>) -> Vec<String> {
        entries.into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn a_stack_trace_is_one_entry_and_marks_lie_behind_its_last_line() {
        let mut joiner = joiner(100);
        let entries = join(&mut joiner, &["Error: x", "  at a", "  at b", "next", ""]);
        let expected = [("Error: x\n  at a\n  at b", 23), ("next\n", 29)];
        assert_eq!(entries, expected.map(|(text, end)| (text.to_owned(), end)));
        assert!(!joiner.take_burst());
    }

    #[test]
    fn lines_before_the_first_beginning_are_an_entry_too() {
        let entries = join(&mut joiner(100), &["", " a", " b", "c"]);
        assert_eq!(texts(entries), ["\n a\n b", "c"]);
    }

    #[test]
    fn an_entry_that_never_ends_is_bounded_and_loses_nothing() {
        let lines: Vec<String> = (0..1_000).map(|n| format!(" {n}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        for room in [5, 64, 1_000] {
            let mut joiner = joiner(room);
            let entries = texts(join(&mut joiner, &lines));
            assert!(entries.iter().all(|entry| entry.len() <= room));
            assert_eq!(entries.join("\n"), lines.join("\n"));
            assert!(joiner.take_burst() && !joiner.take_burst());
        }
    }

    #[test]
    fn a_line_cut_in_pieces_goes_on_without_a_newline() {
        let mut joiner = joiner(10);
        let (now, mut entries) = (Instant::now(), Vec::new());
        let mut out =
            |piece: LineFragment<'_>, _| entries.push((piece.bytes.to_vec(), piece.first));
        let pieces: [(&[u8], bool); 6] = [
            (b"0123456789", true),
            (b"abc", false),
            (b" x", true),
            (b"", false),
            (b"N", true),
            (b"", false),
        ];
        for (n, (bytes, first)) in pieces.into_iter().enumerate() {
            let end = n as u64;
            joiner.line(LineFragment { bytes, first, end }, now, &mut out);
        }
        assert_eq!(joiner.open.map(|open| open.end), Some(5));
        joiner.close(&mut out);
        let expected: [(&[u8], bool); 3] =
            [(b"0123456789", true), (b"abc\n x", false), (b"N", true)];
        assert_eq!(
            entries,
            expected.map(|(text, first)| (text.to_vec(), first))
        );
    }

    #[test]
    fn the_pause_counts_from_the_last_line_and_the_age_from_the_first() {
        let mut joiner = joiner(100);
        assert_eq!(joiner.due(), None);
        let start = Instant::now();
        let later = start + Duration::from_millis(700);
        for (bytes, now) in [(&b"a"[..], start), (b" b", later)] {
            let (first, end) = (true, 1);
            joiner.line(LineFragment { bytes, first, end }, now, |_, _| {
                panic!("nothing is over")
            });
        }
        assert_eq!(joiner.due(), Some(later + Duration::from_secs(1)));
        joiner.close(|_, since| assert_eq!(since, start));
        assert_eq!(joiner.due(), None);
    }
}
