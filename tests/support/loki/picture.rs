//! What the stand-in saw, as text for a test that failed.

use std::fmt::{self, Write as _};

use super::check::Entry;
use super::state::{Push, State};
use super::texts::stream_name;

impl fmt::Display for State {
    /// The full picture, for a test that failed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        let seen = &self.seen;
        writeln!(
            f,
            "Loki stand-in: {}, {} push requests ({} under way, at most {}), {} entries stored, \
             {} connections ({} open)",
            if self.open { "listening" } else { "stopped" },
            seen.requests.len(),
            seen.under_way,
            seen.most_under_way,
            seen.entries.len(),
            seen.connections,
            seen.open,
        )?;
        if !self.script.is_empty() {
            writeln!(f, "  faults left: {:?}", self.script)?;
        }
        let hidden = seen.requests.len().saturating_sub(SHOWN);
        if hidden > 0 {
            writeln!(f, "  ... {hidden} earlier requests ...")?;
        }
        let start = seen.requests.first().map(|push| push.began);
        for push in &seen.requests[hidden..] {
            let begun = start.map_or(0, |start| (push.began - start).as_millis());
            writeln!(f, "  {push} at {begun} ms")?;
        }
        for other in &seen.others {
            writeln!(f, "  {} {}: {}", other.method, other.target, other.status)?;
        }
        for violation in &seen.violations {
            writeln!(f, "  VIOLATION {violation}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Push {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            connection,
            answered,
            ..
        } = self;
        write!(
            f,
            "request {number} over connection {connection}: {answered:?}, "
        )?;
        let bytes = self.body.len();
        write!(f, "{bytes} bytes, {} entries", self.entries.len())?;
        if let (Some(first), Some(last)) = (self.entries.first(), self.entries.last()) {
            let stream = stream_name(&self.labels);
            write!(f, " of {stream}: {}", short(first))?;
            if self.entries.len() > 1 {
                write!(f, " ... {}", short(last))?;
            }
        }
        Ok(())
    }
}

/// An entry for a message: its time and the beginning of its line.
pub(super) fn short(entry: &Entry) -> String {
    let mut text = format!("{} ", entry.time);
    let line: String = entry.line.chars().take(60).collect();
    _ = write!(text, "{line:?}");
    if line.len() < entry.line.len() {
        _ = write!(text, "... ({} bytes)", entry.line.len());
    }
    text
}
