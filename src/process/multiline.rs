//! Joins lines that belong together into multi-line entries.
//!
//! Holds at most one entry of limited size. The caller passes the time and closes the entry after a
//! pause.

use std::time::{Duration, Instant};

use regex::bytes::Regex;

use crate::entry::line::LineFragment;
use crate::parse::fields::{Parse, read_level};
use crate::parse::level::Level;
use crate::parse::stack_trace::{TraceLine, TraceReader};

/// Capacity kept after an entry is emitted, in bytes. It is small because every source has a
/// buffer.
const KEPT_CAPACITY: usize = 16 * 1024;

/// Determines which lines start an entry; all others are appended to it.
#[derive(Debug, Clone)]
pub enum EntryStart {
    /// Lines that match.
    Matching(Regex),
    /// All lines except indented lines and the continuation lines of stack traces.
    NotInTrace,
}

/// Options for joining lines, shared by all sources.
#[derive(Debug, Clone)]
pub struct Multiline {
    /// Which lines start an entry.
    pub start: EntryStart,
    /// An entry is complete after a pause of this length.
    pub wait: Duration,
}

/// Joins the lines of one source.
#[derive(Debug)]
pub struct MultilineAggregator {
    options: Multiline,
    max_bytes: usize,
    open: Option<OpenEntry>,
    text: Vec<u8>,
    overflowed: bool,
    trace: TraceReader,
    /// Kind of the previous line.
    before: TraceLine,
    /// The offset after a blank line that belongs to the open entry if more of a trace follows.
    blank: Option<u64>,
}

/// An entry that may get more lines.
#[derive(Debug, Clone, Copy)]
struct OpenEntry {
    /// When its first line was read.
    since: Instant,
    /// When its last line was read.
    last: Instant,
    /// The input offset after that line.
    end: u64,
    /// Whether it starts at the start of a line.
    first: bool,
}

impl MultilineAggregator {
    /// Creates an aggregator for entries of at most `max_bytes` bytes.
    pub fn new(options: Multiline, max_bytes: usize) -> Self {
        Self {
            options,
            max_bytes,
            open: None,
            text: Vec::new(),
            overflowed: false,
            trace: TraceReader::default(),
            before: TraceLine::Other,
            blank: None,
        }
    }

    /// Adds a line, or a fragment of one, that was read at `now`. If it completes the previous
    /// entry, that is passed to `out` with the time at which its first line was read.
    pub fn push(
        &mut self,
        fragment: LineFragment<'_>,
        now: Instant,
        mut out: impl FnMut(LineFragment<'_>, Instant),
    ) {
        // Only the line end is left after the cut.
        if !fragment.first && fragment.bytes.is_empty() {
            match &mut self.open {
                Some(open) => open.end = fragment.end,
                None => out(fragment, now),
            }
            return;
        }
        let begins = fragment.first && self.starts_entry(fragment.bytes);
        if begins
            && fragment.bytes.is_empty()
            && self.blank.is_none()
            && matches!(self.options.start, EntryStart::NotInTrace)
            && let Some(open) = &mut self.open
        {
            open.last = now;
            self.blank = Some(fragment.end);
            return;
        }
        let blank = usize::from(self.blank.is_some());
        let joined = self.text.len() + blank + usize::from(fragment.first) + fragment.bytes.len();
        if self.open.is_some() && (begins || joined > self.max_bytes) {
            self.overflowed |= !begins;
            self.close(&mut out);
        }
        match &mut self.open {
            Some(open) => {
                (open.last, open.end) = (now, fragment.end);
                if self.blank.take().is_some() {
                    self.text.push(b'\n');
                }
                if fragment.first {
                    self.text.push(b'\n');
                }
            }
            None => {
                self.open = Some(OpenEntry {
                    since: now,
                    last: now,
                    end: fragment.end,
                    first: fragment.first,
                });
            }
        }
        self.text.extend_from_slice(fragment.bytes);
    }

    fn starts_entry(&mut self, line: &[u8]) -> bool {
        if let EntryStart::Matching(pattern) = &self.options.start {
            return pattern.is_match(line);
        }
        let before = std::mem::replace(&mut self.before, self.trace.read(line));
        match self.before {
            TraceLine::Continuation => false,
            // It ends a trace, or was logged with the previous line.
            TraceLine::Exception => match before {
                TraceLine::Continuation => false,
                TraceLine::Other => !self.logs_exceptions(),
                TraceLine::Exception | TraceLine::Blank => true,
            },
            TraceLine::Blank | TraceLine::Other => true,
        }
    }

    /// Whether the open entry has a level at which programs log exceptions.
    fn logs_exceptions(&self) -> bool {
        let text = String::from_utf8_lossy(&self.text);
        read_level(&text, Parse::Auto).is_some_and(|level| level >= Level::Warn)
    }

    /// The time at which the open entry should be [closed](MultilineAggregator::close), if there is
    /// one.
    pub fn deadline(&self) -> Option<Instant> {
        self.open.map(|open| open.last + self.options.wait)
    }

    /// Postpones the deadline, since the beginning of another line was read.
    pub fn postpone(&mut self, now: Instant) {
        if let Some(open) = &mut self.open {
            open.last = now;
        }
    }

    /// Emits the open entry, after a pause or at the end of the input.
    pub fn close(&mut self, mut out: impl FnMut(LineFragment<'_>, Instant)) {
        let Some(open) = self.open.take() else {
            return;
        };
        let (first, end) = (open.first, open.end);
        let bytes = &self.text;
        out(LineFragment { bytes, first, end }, open.since);
        self.text.clear();
        self.text.shrink_to(KEPT_CAPACITY);
        if let Some(end) = self.blank.take() {
            let (bytes, first) = (&b""[..], true);
            out(LineFragment { bytes, first, end }, open.last);
        }
    }

    /// Whether an entry was cut for exceeding the limit since the last call.
    pub fn take_overflowed(&mut self) -> bool {
        std::mem::take(&mut self.overflowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joiner(max_bytes: usize) -> MultilineAggregator {
        let start = EntryStart::Matching(Regex::new(r"^\S").unwrap());
        let wait = Duration::from_secs(1);
        MultilineAggregator::new(Multiline { start, wait }, max_bytes)
    }

    /// What `--multiline auto` makes of the lines of a text.
    fn join_traces(text: &str) -> Vec<String> {
        let start = EntryStart::NotInTrace;
        let wait = Duration::from_secs(1);
        let mut joiner = MultilineAggregator::new(Multiline { start, wait }, 10_000);
        let lines: Vec<&str> = text.split('\n').collect();
        let entries = texts(join(&mut joiner, &lines));
        assert_eq!(entries.join("\n"), text);
        entries
    }

    /// Traces of all languages, an entry each.
    const TRACES: [&str; 14] = [
        "2024-01-02 03:04:05 ERROR c.e.Main - failed\njava.lang.IllegalStateException: no\n\tat c.e.Main.run(Main.java:3)\nCaused by: java.io.IOException: x\n\t... 12 more",
        "Exception in thread \"main\" kotlin.KotlinNullPointerException\n\tat MainKt.main(Main.kt:2)\n\tSuppressed: java.lang.Error: y\nSuppressed: java.lang.Error: z",
        "ERROR:root:failed\nTraceback (most recent call last):\n  File \"/app.py\", line 3, in run\n    x()\nshop.OutOfStock: no\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/app.py\", line 5, in run\nValueError: x",
        "panic: runtime error: index out of range [5]\n\ngoroutine 1 [running]:\nmain.(*Server).run(0xc000010000)\n\t/src/main.go:3 +0x1d\ncreated by main.main in goroutine 1\n\t/src/main.go:9 +0x20\nexit status 2",
        "panic: x [recovered]\n[signal SIGSEGV: segmentation violation code=0x1 addr=0x0]\n\ngoroutine 7 [running]:\nmain.main()\n\t/src/main.go:3",
        "TypeError: x is not a function\n    at run (/srv/app.js:3:4)\n    at async main (/srv/app.js:9:1)",
        "Error: connect ECONNREFUSED\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1)",
        "PHP Fatal error:  Uncaught Exception: no in /srv/index.php:3\nStack trace:\n#0 /srv/index.php(9): run()\n#1 {main}\n  thrown in /srv/index.php on line 3",
        "PHP Warning:  x in /srv/index.php on line 3\nPHP Stack trace:\nPHP   1. {main}() /srv/index.php:0",
        "/srv/app.rb:3:in 'run': no (RuntimeError)\n\tfrom /srv/app.rb:9:in '<main>'",
        "Unhandled exception. System.InvalidOperationException: no\n ---> System.Exception: x\n   at Shop.Run() in /src/Shop.cs:line 3\n   --- End of inner exception stack trace ---\n   at Shop.Main()",
        "thread 'main' panicked at src/main.rs:3:5:\nno stock\nstack backtrace:\n   0: rust_begin_unwind\n             at /rustc/1/library/std/src/panicking.rs:1\nnote: run with `RUST_BACKTRACE=full` for a verbose backtrace.",
        "Error: cannot start\n\nCaused by:\n    0: no file\n    1: x",
        "WARN x\n  indented\n\tmore",
    ];

    #[test]
    fn traces_of_all_languages_are_one_entry_each() {
        for trace in TRACES {
            assert_eq!(join_traces(trace), [trace]);
            let between = format!("INFO before\n{trace}\nINFO after\nINFO end");
            let entries = join_traces(&between);
            let expected = ["INFO before", trace, "INFO after", "INFO end"];
            // Ruby's own message begins like one of its frames.
            if !trace.starts_with("/srv") {
                assert_eq!(entries, expected);
            }
        }
    }

    #[test]
    fn other_lines_are_entries_of_their_own() {
        for line in [
            "INFO a",
            "x",
            "Error: a",
            "ValueError: a",
            "at the store",
            "main.main()",
            "#hash",
        ] {
            let text = [line; 3].join("\n");
            assert_eq!(join_traces(&text), [line; 3]);
            // Blank lines are entries, too.
            let text = [line; 2].join("\n\n\n");
            assert_eq!(join_traces(&text), [line, "", "", line]);
        }
        assert_eq!(
            join_traces("INFO a\nValueError: b"),
            ["INFO a", "ValueError: b"]
        );
        assert_eq!(join_traces("\n\n"), ["", "", ""]);
    }

    /// What comes out for lines, each with its end, and then the end of input.
    fn join(joiner: &mut MultilineAggregator, lines: &[&str]) -> Vec<(String, u64)> {
        let (now, mut end, mut entries) = (Instant::now(), 0, Vec::new());
        let mut out = |fragment: LineFragment<'_>, _| {
            entries.push((
                String::from_utf8(fragment.bytes.to_vec()).unwrap(),
                fragment.end,
            ));
        };
        for line in lines {
            end += line.len() as u64 + 1;
            let (bytes, first) = (line.as_bytes(), true);
            joiner.push(LineFragment { bytes, first, end }, now, &mut out);
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
        assert!(!joiner.take_overflowed());
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
        for max_bytes in [5, 64, 1_000] {
            let mut joiner = joiner(max_bytes);
            let entries = texts(join(&mut joiner, &lines));
            assert!(entries.iter().all(|entry| entry.len() <= max_bytes));
            assert_eq!(entries.join("\n"), lines.join("\n"));
            assert!(joiner.take_overflowed() && !joiner.take_overflowed());
        }
    }

    #[test]
    fn a_line_cut_in_pieces_goes_on_without_a_newline() {
        let mut joiner = joiner(10);
        let (now, mut entries) = (Instant::now(), Vec::new());
        let mut out =
            |fragment: LineFragment<'_>, _| entries.push((fragment.bytes.to_vec(), fragment.first));
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
            joiner.push(LineFragment { bytes, first, end }, now, &mut out);
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
        assert_eq!(joiner.deadline(), None);
        let start = Instant::now();
        let later = start + Duration::from_millis(700);
        for (bytes, now) in [(&b"a"[..], start), (b" b", later)] {
            let (first, end) = (true, 1);
            joiner.push(LineFragment { bytes, first, end }, now, |_, _| {
                panic!("nothing is over")
            });
        }
        assert_eq!(joiner.deadline(), Some(later + Duration::from_secs(1)));
        joiner.close(|_, since| assert_eq!(since, start));
        assert_eq!(joiner.deadline(), None);
    }
}
