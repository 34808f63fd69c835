//! The dead letter: refused entries, kept as JSON lines for a person to look at.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::entry::Entry;
use crate::entry::json::write_escaped;
use crate::entry::labels::Labels;
use crate::parse::timestamp::format_rfc3339;
use crate::report::messages::{Message, Reporter};
use crate::storage::private_files;

/// The path that means standard error.
pub const STDERR: &str = "-";

/// A file that grows by a line for each refused entry, or standard error. Many programs may share a
/// file.
#[derive(Debug)]
pub struct DeadLetter {
    path: PathBuf,
    reporter: Reporter,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// None for standard error.
    file: Option<File>,
    failing: bool,
    /// Whether the last line was written only in part, for example because the disk was full.
    torn: bool,
}

impl DeadLetter {
    /// Opens the file, and creates it for its owner alone if it does not exist.
    ///
    /// # Errors
    /// If it cannot be written to, or is not a regular file of ours.
    pub fn open(path: &Path, reporter: Reporter) -> Result<Self> {
        let open = || private_files::open_to_append(path);
        let file = (path != Path::new(STDERR)).then(open).transpose();
        let file = file.with_context(|| {
            format!(
                "--dead-letter: cannot write to {}; name a file that this user may write to, or - \
                 for standard error",
                path.display()
            )
        })?;
        let state = State {
            file,
            failing: false,
            torn: false,
        };
        Ok(Self {
            path: path.to_owned(),
            reporter,
            state: Mutex::new(state),
        })
    }

    /// Appends an entry, with why it was refused. A failure is reported once, and does not stop the
    /// run.
    pub fn write(&self, labels: &Labels, entry: &Entry<'_>, reason: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = Vec::with_capacity(256 + entry.line.len() + entry.metadata.len());
        if state.torn {
            line.push(b'\n');
        }
        write_line(&mut line, labels, entry, reason);
        let written = match &mut state.file {
            Some(file) => append(file, &line),
            None => {
                Reporter::print(&line);
                Ok(())
            }
        };
        match written {
            Ok(()) => (state.failing, state.torn) = (false, false),
            Err((error, begun)) => {
                state.torn |= begun;
                if !std::mem::replace(&mut state.failing, true) {
                    self.reporter.say(&Message::DeadLetterFailing {
                        file: &self.path.display().to_string(),
                        why: &error.to_string(),
                    });
                }
            }
        }
    }
}

/// Appends a line as one write where the disk allows it, so that the lines of several programs do
/// not mix. An error comes with whether a part of it was written.
fn append(file: &mut File, line: &[u8]) -> Result<(), (io::Error, bool)> {
    let mut written = 0;
    while written < line.len() {
        match file.write(&line[written..]) {
            Ok(0) => return Err((io::ErrorKind::WriteZero.into(), written > 0)),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((error, written > 0)),
        }
    }
    Ok(())
}

fn write_line(out: &mut Vec<u8>, labels: &Labels, entry: &Entry<'_>, reason: &str) {
    let mut time = String::new();
    format_rfc3339(entry.time, &mut time);
    out.extend_from_slice(b"{\"time\":\"");
    out.extend_from_slice(time.as_bytes());
    out.extend_from_slice(b"\",\"labels\":");
    out.extend_from_slice(labels.json().as_bytes());
    out.extend_from_slice(b",\"line\":\"");
    write_escaped(out, entry.line);
    out.extend_from_slice(b"\",\"metadata\":");
    let metadata = if entry.metadata.is_empty() {
        "{}"
    } else {
        entry.metadata
    };
    out.extend_from_slice(metadata.as_bytes());
    out.extend_from_slice(b",\"reason\":\"");
    write_escaped(out, reason);
    out.extend_from_slice(b"\"}\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::messages::Verbosity;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn each_entry_is_a_json_line_and_the_file_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("refused.jsonl");
        let labels = Labels::new([("app", "a\"b")]);
        for metadata in ["", r#"{"k":"v"}"#] {
            let file = DeadLetter::open(&path, Reporter::new(Verbosity::Quiet)).unwrap();
            let entry = Entry {
                time: 1_700_000_000_000_000_001,
                line: "one\n\"two\"",
                metadata,
            };
            file.write(&labels, &entry, "too \"old\"");
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let expected = serde_json::json!({
            "time": "2023-11-14T22:13:20.000000001Z", "labels": {"app": "a\"b"},
            "line": "one\n\"two\"", "metadata": {}, "reason": "too \"old\"",
        });
        assert_eq!(lines[0], expected);
        assert_eq!((lines.len(), &lines[1]["metadata"]["k"]), (2, &"v".into()));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_reported_with_its_option() {
        let error = DeadLetter::open(Path::new("/"), Reporter::new(Verbosity::Quiet)).unwrap_err();
        assert!(format!("{error:#}").contains("--dead-letter"), "{error:#}");
    }
}
