//! The status of a followed path: readable, missing, or not readable. Problems are reported once.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use crate::report::messages::{Message, Reporter};

/// Whether a path can be read.
#[derive(Default)]
pub struct PathStatus {
    missing: bool,
    failing: Option<String>,
}

impl PathStatus {
    /// Whether no file exists at the path.
    pub fn is_missing(&self) -> bool {
        self.missing
    }

    /// Whether the file at the path cannot be read.
    pub fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// Records that the file at the path is open.
    pub fn is_open(&mut self) {
        *self = Self::default();
    }

    /// Records that the path could not be checked. `is_fresh` means that there never was a file.
    pub fn not_found(
        &mut self,
        path: &Path,
        is_fresh: bool,
        error: &io::Error,
        reporter: Reporter,
    ) {
        if error.kind() != io::ErrorKind::NotFound {
            self.unreadable(path, error, reporter);
            return;
        }
        self.failing = None;
        if !std::mem::replace(&mut self.missing, true) {
            let what = &*path.to_string_lossy();
            reporter.say(&if is_fresh {
                Message::Awaited { what }
            } else {
                Message::AwaitedAgain { what }
            });
        }
    }

    /// Records that the file at the path cannot be read.
    pub fn unreadable(&mut self, path: &Path, error: &io::Error, reporter: Reporter) {
        let mut why = error.to_string();
        if self.failing.as_ref() == Some(&why) {
            return;
        }
        self.failing = Some(why.clone());
        if Errno::from_io_error(error) == Some(Errno::MFILE) {
            why.push_str("; raise the limit with `ulimit -n`");
        }
        let (what, why) = (&*path.to_string_lossy(), &why);
        reporter.say(&Message::Unreadable { what, why });
    }
}
