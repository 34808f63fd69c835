//! The sheet `--check` fills in: a line a step, with a mark.
//!
//! Knows standard output, colours and character sets. Knows no step.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// As it should.
    Good,
    /// It works, but somebody should look at it.
    Doubt,
    /// It cannot be told, or does not apply here.
    Skipped,
    /// It does not work.
    Bad,
}

/// What is said of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportLine {
    /// How it went.
    pub mark: Status,
    /// The step.
    pub step: &'static str,
    /// What was found.
    pub text: String,
    /// What to do.
    pub remedy: Option<String>,
}

/// The sheet on standard output.
pub struct CheckReport {
    quiet: bool,
    colour: bool,
    ascii: bool,
    bad: bool,
}

impl CheckReport {
    /// An empty sheet; a quiet one shows only what does not work.
    pub fn new(quiet: bool) -> Self {
        let env = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let plain = env("NO_COLOR").is_some() || env("TERM").as_deref() == Some("dumb");
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(env);
        Self {
            quiet,
            colour: io::stdout().is_terminal() && !plain,
            ascii: locale.is_some_and(|name| !name.to_ascii_lowercase().contains("utf")),
            bad: false,
        }
    }

    /// Says what the sheet is about.
    pub fn title(&self, text: &str) {
        if !self.quiet {
            write(&format!("{text}\n"));
        }
    }

    /// Adds a line; gives whether the step went well enough to go on.
    pub fn say(&mut self, line: &ReportLine) -> bool {
        self.bad |= line.mark == Status::Bad;
        if !self.quiet || line.mark == Status::Bad {
            write(&self.shown(line));
        }
        line.mark != Status::Bad
    }

    /// Whether a step did not work.
    pub fn is_bad(&self) -> bool {
        self.bad
    }

    fn shown(&self, line: &ReportLine) -> String {
        let (sign, plain, colour) = match line.mark {
            Status::Good => ("✓", "ok  ", "32"),
            Status::Doubt => ("!", "note", "33"),
            Status::Skipped => ("-", "-   ", "2"),
            Status::Bad => ("✗", "FAIL", "31"),
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

/// Whether anybody reads it is not our trouble.
fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_plain_where_the_terminal_is() {
        let line = ReportLine {
            mark: Status::Bad,
            step: "address",
            text: "gone".into(),
            remedy: Some("find it".into()),
        };
        let sheet = |colour, ascii| CheckReport {
            quiet: false,
            colour,
            ascii,
            bad: false,
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
