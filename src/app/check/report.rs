//! Prints the report of `--check`: one line per step, with a mark.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

/// The result of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It succeeded.
    Ok,
    /// It succeeded, but something should be looked at.
    Warning,
    /// It does not apply, or its result is unknown.
    Skipped,
    /// It failed.
    Failed,
}

/// A line of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// The result.
    pub status: Status,
    /// The name of the step.
    pub step: &'static str,
    /// What was found.
    pub text: String,
    /// What to do.
    pub remedy: Option<String>,
}

/// The report on standard output.
pub struct CheckReport {
    quiet: bool,
    colour: bool,
    ascii: bool,
    failed: bool,
}

impl CheckReport {
    /// Creates an empty report; a quiet one prints failures only.
    pub fn new(quiet: bool) -> Self {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let plain = env("NO_COLOR").is_some() || env("TERM").as_deref() == Some("dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(env);
        Self {
            quiet,
            colour: io::stdout().is_terminal() && !plain,
            ascii: locale.is_some_and(|name| !name.to_ascii_lowercase().contains("utf")),
            failed: false,
        }
    }

    /// Prints the title.
    pub fn title(&self, text: &str) {
        if !self.quiet {
            write(&format!("{text}\n"));
        }
    }

    /// Prints a step; returns whether the check continues.
    pub fn say(&mut self, line: &StepReport) -> bool {
        self.failed |= line.status == Status::Failed;
        if !self.quiet || line.status == Status::Failed {
            write(&self.shown(line));
        }
        line.status != Status::Failed
    }

    /// Whether a step failed.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    fn shown(&self, line: &StepReport) -> String {
        let (sign, plain, colour) = match line.status {
            Status::Ok => ("✓", "ok  ", "32"),
            Status::Warning => ("!", "note", "33"),
            Status::Skipped => ("-", "-   ", "2"),
            Status::Failed => ("✗", "FAIL", "31"),
        };
        let sign = if self.ascii { plain } else { sign };
        let sign = if self.colour {
            format!("\x1b[{colour}m{sign}\x1b[0m")
        } else {
            sign.to_owned()
        };
        let (text, arrow) = (&line.text, if self.ascii { "->" } else { "→" });
        let mut shown = format!("{sign} {:<13} {text}\n", line.step);
        if let Some(remedy) = &line.remedy {
            let indent = if self.ascii { 19 } else { 16 };
            let _ = writeln!(shown, "{:indent$}{arrow} {remedy}", "");
        }
        shown
    }
}

/// Writes to standard output. Errors are ignored: the exit status tells the result.
fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_plain_where_the_terminal_is() {
        let line = StepReport {
            status: Status::Failed,
            step: "address",
            text: "gone".into(),
            remedy: Some("find it".into()),
        };
        let sheet = |colour, ascii| CheckReport {
            quiet: false,
            colour,
            ascii,
            failed: false,
        };
        assert_eq!(
            sheet(false, false).shown(&line),
            "✗ address       gone\n                → find it\n"
        );
        assert_eq!(
            sheet(false, true).shown(&line),
            "FAIL address       gone\n                   -> find it\n"
        );
        assert!(
            sheet(true, false)
                .shown(&line)
                .starts_with("\x1b[31m✗\x1b[0m ")
        );
    }
}
