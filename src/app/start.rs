//! The program as a function: from the command line to the exit status.

use std::ffi::OsString;
use std::io::Write;

use crate::app::{self, NotStarted};
use crate::cli::args::Document;
use crate::cli::config::forgotten_dashes;
use crate::cli::{args, config};
use crate::report::messages;
use crate::report::messages::{Message, Reporter, Verbosity};

/// The exit status for wrong usage or configuration; nothing was read.
const USAGE: u8 = 2;

/// The status of a run that could not start for another reason.
const FAILURE: u8 = 1;

/// The same in command mode, where low numbers are those of the command; `env` and `timeout` use it too.
const USAGE_OF_RUNNER: u8 = 125;

/// Runs the program: reads the command line and the environment, ships the input, and returns the
/// exit status. Its only global state are the signal handlers, so it may be called again.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let command_words = args_after_double_dash(&args);
    let usage = if command_words.is_some_and(|words| words > 0) {
        USAGE_OF_RUNNER
    } else {
        USAGE
    };
    let parsed = match args::ParsedArgs::parse(&args) {
        Ok(parsed) => parsed,
        Err(error) => {
            // In `loki-push make -j4`, `-j4` is an option of make; so is `-l` in `loki-push ls -l`.
            if error.use_stderr()
                && let Some(why) = forgotten_dashes::hint(&args)
            {
                return fail(&why, usage);
            }
            // A closed stdout or stderr is not an error.
            if !error.use_stderr() {
                let _ = error.print();
                return 0;
            }
            let _ = std::io::stderr().write_all(messages::NAME.as_bytes());
            let _ = error.print();
            return usage;
        }
    };
    if let Some(document) = parsed.cli.output.generate {
        return print(document);
    }
    // `loki-push -- $JOB` with an empty variable must not wait for standard input.
    if command_words == Some(0) {
        return fail("expected a COMMAND after `--`", USAGE_OF_RUNNER);
    }
    let input = &parsed.cli.input;
    let reads_files = !input.files.is_empty() && input.command.is_empty();
    // Options that read no input report a FILE themselves.
    let reads_none =
        input.message.is_some() || parsed.cli.output.check || parsed.cli.delivery.drains();
    let may_have_forgotten = reads_files && !input.follow && !reads_none;
    if may_have_forgotten && let Some(why) = forgotten_dashes::hint(&args) {
        return fail(&why, usage);
    }
    let config = config::Config::new(parsed, &|name| std::env::var_os(name));
    let result = config.and_then(|mut config| {
        let names = std::env::vars_os().map(|(name, _)| name);
        config.warnings.extend(args::unknown_env_warnings(names));
        app::run(&config)
    });
    result.unwrap_or_else(|error| {
        // The system may provide the resource the next time.
        let is_usage = error.downcast_ref::<NotStarted>().is_none();
        let status = if is_usage || usage == USAGE_OF_RUNNER {
            usage
        } else {
            FAILURE
        };
        fail(&format!("{error:#}"), status)
    })
}

/// Reports why nothing was read; returns the exit status.
fn fail(why: &str, status: u8) -> u8 {
    Reporter::new(Verbosity::Quiet).say(&Message::Failed { why });
    status
}

/// Prints a document on standard output; returns the exit status.
fn print(document: Document) -> u8 {
    let mut stdout = std::io::stdout().lock();
    let printed = stdout.write_all(document.text().as_bytes());
    match printed.and_then(|()| stdout.flush()) {
        // `loki-push --generate man | head`.
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Reporter::new(Verbosity::Quiet).say(&Message::Unwritable {
                what: "standard output",
                why: &error.to_string(),
            });
            1
        }
        _ => 0,
    }
}

/// The number of words after a `--`, if there is one. In arguments that cannot be parsed it is the
/// only sign of command mode.
fn args_after_double_dash(args: &[OsString]) -> Option<usize> {
    let dashes = args.iter().position(|arg| arg == "--")?;
    Some(args.len() - dashes - 1)
}
