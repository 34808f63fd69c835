//! The metrics file: replaced every 15 seconds and at the end, by an atomic rename.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use crate::report::messages::{Message, Reporter};

/// The time between two writes.
const INTERVAL: Duration = Duration::from_secs(15);

/// A file for node_exporter's textfile collector.
pub(super) struct MetricsFile {
    path: PathBuf,
    due: Instant,
    /// Whether the last write failed, which is reported once.
    is_failing: bool,
    reporter: Reporter,
}

impl MetricsFile {
    /// Creates the writer; the first write is due at once.
    pub(super) fn new(path: PathBuf, now: Instant, reporter: Reporter) -> Self {
        Self {
            path,
            due: now,
            is_failing: false,
            reporter,
        }
    }

    /// The time of the next write.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Writes the file if that is due.
    pub(super) fn update(&mut self, now: Instant, text: impl FnOnce() -> String) {
        if self.due <= now {
            self.due = now + INTERVAL;
            self.write(&text());
        }
    }

    /// Writes the file.
    pub(super) fn write(&mut self, text: &str) {
        let written = replace(&self.path, text);
        if let Err(error) = &written
            && !self.is_failing
        {
            self.reporter.say(&Message::Unwritable {
                what: &format!("the metrics file {}", self.path.display()),
                why: &error.to_string(),
            });
        }
        self.is_failing = written.is_err();
    }
}

/// Replaces the file. The name of the unfinished file does not end in `.prom`, so the collector does
/// not read it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let unfinished = path.with_file_name(format!("{}.{}.tmp", name.display(), process::id()));
    let written = write_new(&unfinished, text).and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Writes a file that others may read, whatever the umask. A link in its place is not followed.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::create_new(path)?;
    file.set_permissions(Permissions::from_mode(0o644))?;
    file.write_all(text.as_bytes())
}
