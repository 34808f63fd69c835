//! Judges a file by its first lines: whether a time can be read in any of them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::time::{Instant, UNIX_EPOCH};

use crate::entry::line::LineFragment;
use crate::input::SourceOptions;
use crate::input::encoding::Encoding;
use crate::input::open_file::{OpenFile, RangeReader};
use crate::parse::timestamp::InputKind;
use crate::process::line_time::LineTimes;
use crate::process::unwrap::{Unwrap, Unwrapped, Unwrapper};

/// At most this many lines are judged.
const LINES: usize = 1_000;
/// At most this many bytes of lines are judged.
const BYTES: u64 = 1024 * 1024;

/// The result of judging a file.
pub(super) enum Verdict {
    /// Times can be read, or all lines are blank.
    Readable(Box<LineTimes>),
    /// No time can be read. Contains the first line that is not blank.
    Unreadable(String),
}

/// The reader of timestamps for a file that is read to its end. Returns `None` with `--time arrival`.
pub(super) fn times_of(options: &SourceOptions, name: &str, meta: &Metadata) -> Option<LineTimes> {
    let modified = meta.modified().ok();
    let written = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let written = written.unwrap_or_default().as_nanos() as i64;
    LineTimes::new(&options.shape, InputKind::File, written, name)
}

/// Reads the first lines of `input`, the last one even `unterminated`, and keeps the form of their
/// times.
///
/// # Errors
/// Those of reading.
pub(super) fn judge(
    options: &SourceOptions,
    times: &LineTimes,
    input: impl Read,
    unterminated: bool,
) -> io::Result<Verdict> {
    let mut input = input.take(BYTES);
    let mut splitter = options.lines().without_padding();
    let mut lines: Vec<String> = Vec::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    while lines.len() < LINES {
        let read = match splitter.read(&mut input) {
            // The error will occur again after the lines before it are shipped.
            Err(_) if !lines.is_empty() => break,
            read => read?,
        };
        while let Some(fragment) = splitter.next_piece() {
            if fragment.first {
                lines.push(text(fragment.bytes));
            }
        }
        if read == 0 {
            if let Some(rest) = splitter.take_remainder().filter(|_| unterminated) {
                lines.push(text(rest.bytes));
            }
            break;
        }
    }
    lines.truncate(LINES);
    if options.gather.unwrap != Unwrap::Off {
        lines = unwrapped(options, &lines);
    }
    lines.retain(|line| !line.trim_ascii().is_empty());
    // Read twice, since a later line may show how to interpret an earlier one.
    let mut learned = times.fresh(None);
    for line in &lines {
        learned.read(&options.shape, line);
    }
    let mut again = learned.fresh(None);
    let first = lines
        .iter()
        .find_map(|line| again.read(&options.shape, line));
    Ok(match (first, lines.into_iter().next()) {
        (None, Some(line)) => Verdict::Unreadable(line),
        (first, _) => Verdict::Readable(Box::new(learned.fresh(first))),
    })
}

/// The inner lines, without their envelopes.
fn unwrapped(options: &SourceOptions, lines: &[String]) -> Vec<String> {
    let mut unwrapper = Unwrapper::new(options.gather.unwrap, BYTES as usize, false);
    let mut inner = Vec::new();
    let mut keep = |line: Unwrapped<'_>| {
        inner.push(String::from_utf8_lossy(line.fragment.bytes).into_owned());
    };
    for line in lines {
        let fragment = LineFragment {
            bytes: line.as_bytes(),
            first: true,
            end: 0,
        };
        unwrapper.push(fragment, Instant::now(), &mut keep);
    }
    unwrapper.close(&mut keep);
    inner
}

/// Number of bytes before the resume offset that are read to learn the form of the times.
const BEFORE: u64 = 64 * 1024;

/// Learns the form of the times, and the last one, from the lines before the offset at which a file
/// resumes, where the checkpoint does not know them: the file was read without `--time`, or by an
/// earlier version.
///
/// # Errors
/// Those of reading.
pub(super) fn learn(
    options: &SourceOptions,
    times: &LineTimes,
    file: &mut OpenFile,
    offset: u64,
) -> io::Result<LineTimes> {
    let begin = offset.saturating_sub(BEFORE);
    let mut splitter = options.lines().without_padding();
    splitter.seek(begin, begin > 0, Encoding::of(file));
    let mut before = RangeReader::new(file, begin, offset);
    let mut lines = Vec::new();
    while splitter.read(&mut before)? > 0 {
        while let Some(fragment) = splitter.next_piece() {
            // The first line may be incomplete.
            if fragment.first {
                lines.push(String::from_utf8_lossy(fragment.bytes).into_owned());
            }
        }
    }
    let lines = match options.gather.unwrap {
        Unwrap::Off => lines,
        _ => unwrapped(options, &lines),
    };
    let mut learned = times.fresh(None);
    for line in &lines {
        learned.read(&options.shape, line);
    }
    let mut again = learned.fresh(None);
    let last = lines
        .iter()
        .filter_map(|line| again.read(&options.shape, line))
        .last();
    Ok(learned.fresh(last))
}

/// Reads a file from an offset on without moving it.
pub(super) struct ReadAhead<'a> {
    pub file: &'a File,
    pub at: u64,
}

impl Read for ReadAhead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
