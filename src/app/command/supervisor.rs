//! Attending a command: what a run does about the one that it runs.
//!
//! Decides which signals are passed on and when a command that does not end is left, and writes
//! the closing entry. Told the time and what happens; the conductor in `app` waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::signals::StopSignal;
use crate::entry::line::LineFragment;
use crate::input::cancel::CancelHandle;
use crate::input::command::{ChildProcess, Exit};
use crate::parse::fields::Parse;
use crate::parse::level::Level;
use crate::process::entry_builder::EntryBuilder;
use crate::process::entry_sender::EntrySender;
use crate::process::options::{EntryOptions, TimeSource};

/// What the closing entry says.
const CLOSING: &str = "command exited";

/// The exit status when it cannot be told how the command ended.
const UNKNOWN: u8 = 125;

/// How long nothing may come from the pipes of a command that has ended, while somebody it left
/// behind holds them open.
const SILENCE: Duration = Duration::from_millis(200);

/// How long a command has to end after a second signal.
const HASTE: Duration = Duration::from_millis(500);

/// A command under way, or ended.
pub struct CommandSupervisor {
    name: String,
    /// None if it could not be started.
    child: Option<ChildProcess>,
    leashes: Vec<CancelHandle>,
    /// Where its stdout and stderr are handed in, for their tallies.
    intakes: [EntrySender; 2],
    /// How the closing entry is shaped; None if none is shipped.
    closing: Option<Arc<EntryOptions>>,
    status: Option<u8>,
    exit: Option<Exit>,
    asked: bool,
    until: Option<(Instant, u8)>,
}

impl CommandSupervisor {
    /// A command that was started, or not. `intakes` are those of its stdout and its stderr.
    pub fn new(
        name: String,
        child: Option<ChildProcess>,
        leashes: Vec<CancelHandle>,
        intakes: [EntrySender; 2],
        closing: Option<Arc<EntryOptions>>,
    ) -> Self {
        Self {
            name,
            child,
            leashes,
            intakes,
            closing,
            status: None,
            exit: None,
            asked: false,
            until: None,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its exit status, once it has ended or was left.
    pub fn status(&self) -> Option<u8> {
        self.status
    }

    /// Whether it has ended, or was left.
    pub fn is_over(&self) -> bool {
        self.status.is_some()
    }

    /// Whether a stop was asked for, or a signal ended it.
    pub fn was_stopped(&self) -> bool {
        self.asked || self.exit.is_some_and(|exit| exit.by_signal)
    }

    /// A signal came while it runs: it is the command's. What the terminal sent, it has already.
    /// The first SIGINT or SIGTERM lets it end in its time, the second gives it a moment. SIGHUP is
    /// only passed on: to many it means another thing than an end, and if it ends the command,
    /// that ends us.
    pub fn signal(&mut self, signal: StopSignal, now: Instant) {
        if let Some(child) = self.child.as_ref().filter(|_| !signal.is_from_terminal) {
            child.pass_on(signal.number);
        }
        if signal.is_hangup() {
            return;
        }
        if self.asked && self.until.is_none() {
            self.until = Some((now + HASTE, 128 + signal.number as u8));
        }
        self.asked = true;
    }

    /// Whether it was told to end at once.
    pub fn is_hurried(&self) -> bool {
        self.until.is_some()
    }

    /// When it will be left, if it was told to end at once.
    pub fn due(&self) -> Option<Instant> {
        self.until
            .map(|(until, _)| until)
            .filter(|_| !self.is_over())
    }

    /// Leaves it running if that time has come; true if so.
    pub fn leave(&mut self, now: Instant) -> bool {
        let Some((_, status)) = self
            .until
            .filter(|(until, _)| *until <= now && !self.is_over())
        else {
            return false;
        };
        self.status = Some(status);
        self.closing = None;
        self.pull(Duration::ZERO, now);
        true
    }

    /// It has ended. Its pipes are read to their end, which is where they are now unless it left
    /// somebody behind; that one does not keep us for longer than `linger`.
    pub fn ended(&mut self, exit: Exit, linger: Duration, now: Instant) {
        self.status = self.status.or(Some(exit.status));
        self.exit = Some(exit);
        let (quiet, linger) = if self.is_hurried() {
            (Duration::ZERO, Duration::ZERO)
        } else {
            (SILENCE, linger)
        };
        self.pull(quiet, now + linger);
    }

    /// It has ended, or not: nobody knows how.
    pub fn lost(&mut self, linger: Duration, now: Instant) {
        self.status = self.status.or(Some(UNKNOWN));
        self.closing = None;
        self.pull(SILENCE, now + linger);
    }

    fn pull(&self, quiet: Duration, until: Instant) {
        self.leashes
            .iter()
            .for_each(|leash| leash.pull(quiet, until));
    }

    /// Hands the closing entry in, once.
    pub fn close(&mut self, intake: &EntrySender, now: Instant) {
        let (Some(exit), Some(shape)) = (self.exit, self.closing.take()) else {
            return;
        };
        let lines = self.intakes.each_ref().map(EntrySender::tally);
        let shape = Arc::new(closing(&shape, &self.name, exit, lines));
        let mut shaper = EntryBuilder::new(&shape, &[("stream", "exit")], None);
        let piece = LineFragment {
            bytes: CLOSING.as_bytes(),
            first: true,
            end: 0,
        };
        shaper.line(piece, now);
        shaper.end();
        shaper.hand_in(&intake.at_last(), 0);
    }
}

/// How the closing entry is made: as one of a line with the fields of its own before the others.
fn closing(
    shape: &EntryOptions,
    name: &str,
    exit: Exit,
    [stdout, stderr]: [u64; 2],
) -> EntryOptions {
    let field = |name: &str, value: String| (name.to_owned(), value);
    let mut fields = vec![
        field("command", name.to_owned()),
        field("exit_code", exit.status.to_string()),
        field("duration_ms", exit.took.as_millis().to_string()),
        field("lines_stdout", stdout.to_string()),
        field("lines_stderr", stderr.to_string()),
    ];
    fields.extend_from_slice(&shape.fields);
    let level = if exit.status == 0 {
        Level::Info
    } else {
        Level::Error
    };
    let mut shape = EntryOptions {
        level: Some(level),
        read_level: false,
        parse: Parse::None,
        label_fields: Vec::new(),
        time: TimeSource::Arrival,
        fields,
        ..shape.clone()
    };
    shape.max_line = shape.max_line.max(shape.suffix().len() + CLOSING.len());
    shape
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::ParsedArgs;
    use crate::cli::config::Config;
    use std::ffi::OsString;

    #[test]
    fn the_closing_entry_is_that_of_the_promise() {
        let args = [
            "loki-push",
            "-k",
            "k=v",
            "--max-line-size",
            "20",
            "--level",
            "debug",
        ];
        let typed = ParsedArgs::parse(args.map(OsString::from)).unwrap();
        let shape = Config::new(typed, &|_| None).unwrap().shape;
        let took = Duration::from_micros(5_321_900);
        let exit = |status| Exit {
            status,
            by_signal: false,
            took,
        };
        let failed = closing(&shape, "backup.sh", exit(1), [10, 2]);
        let expected = "command exited | command=backup.sh exit_code=1 duration_ms=5321 \
                        lines_stdout=10 lines_stderr=2 k=v";
        assert_eq!(format!("{CLOSING}{}", failed.suffix()), expected);
        assert_eq!(failed.level, Some(Level::Error));
        assert!(failed.max_line >= expected.len());
        let odd = closing(&shape, "my job", exit(0), [0, 0]);
        assert!(odd.suffix().contains(r#"command="my job" exit_code=0"#));
        assert_eq!(odd.level, Some(Level::Info));
    }
}
