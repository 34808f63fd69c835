//! What a process left when it ended, and what tests expect of that.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::summary::Summary;

/// A process that ended, with everything it left.
#[derive(Clone)]
pub struct Finished {
    /// The exit code, or 128 + n for signal n, as a shell says it.
    pub status: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub elapsed: Duration,
    /// The most memory it took, where [`LokiPush::watch_memory`] was asked for.
    pub peak_kib: Option<u64>,
    /// Bytes its pipe on stdin took, and whether it closed that before the end.
    pub fed: usize,
    pub stdin_refused: bool,
    pub(super) report: String,
}

impl Finished {
    /// Panics with everything unless it ended with this status.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "exit status\n{}", self.report);
        self
    }

    /// Panics with everything unless stderr is empty.
    #[track_caller]
    pub fn expect_silence(self) -> Self {
        assert_eq!(self.stderr, "", "stderr\n{}", self.report);
        self
    }

    /// Panics with everything unless stderr holds all of these texts.
    #[track_caller]
    pub fn expect_stderr<T: AsRef<str>>(self, texts: impl IntoIterator<Item = T>) -> Self {
        for text in texts {
            let text = text.as_ref();
            let said = self.stderr.contains(text);
            assert!(said, "no {text:?} on stderr\n{}", self.report);
        }
        self
    }

    /// Panics with everything unless there is nothing on stderr but summaries.
    #[track_caller]
    pub fn expect_no_message(self) -> Self {
        assert!(self.messages().is_empty(), "a message\n{}", self.report);
        self
    }

    /// Stdout as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The last summary on stderr (`--summary json`); the law holds for it.
    #[track_caller]
    pub fn summary(&self) -> Summary {
        let last = self.summaries().pop();
        last.unwrap_or_else(|| panic!("no summary on stderr\n{}", self.report))
    }

    /// All summaries on stderr: one for each SIGUSR1, and that of the end.
    pub fn summaries(&self) -> Vec<Summary> {
        self.stderr.lines().filter_map(Summary::read).collect()
    }

    /// The lines on stderr that are no summary, each once.
    pub fn messages(&self) -> BTreeSet<&str> {
        let lines = self.stderr.lines();
        lines.filter(|line| Summary::read(line).is_none()).collect()
    }

    /// Everything there is to know, for a message.
    pub fn report(&self) -> &str {
        &self.report
    }
}

impl fmt::Debug for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}
