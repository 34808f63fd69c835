//! The metrics file: replaced every 15 seconds and at the end, by an atomic rename.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use crate::report::messages::{Message, Reporter};
use crate::storage::private_files;

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

/// Replaces the file by one that others may read, whatever the umask. The name of the unfinished file
/// does not end in `.prom`, so the collector does not read it.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default();
    let unfinished = path.with_file_name(format!("{}.{}.tmp", name.display(), process::id()));
    private_files::replace(path, &unfinished, false, |file| {
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())
    })
}
