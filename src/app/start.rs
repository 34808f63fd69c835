//! The program as a function: from the command line to the exit status.
//!
//! Knows which status stands for wrong usage. What is done stands in `app`.

use std::ffi::OsString;
use std::io::Write;

use crate::app;
use crate::cli::{args, config};
use crate::report::messages;
use crate::report::messages::{Message, Reporter, Verbosity};

/// The exit status of wrong usage or configuration; nothing was read.
const USAGE: u8 = 2;

/// The same in command mode, where the low ones are the command's: as `env` and `timeout` have it.
const USAGE_OF_RUNNER: u8 = 125;

/// Runs the program: reads the command line and the environment, ships what comes, and gives the
/// exit status. Keeps no global state but the signal handlers, so it may be called again.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let behind = behind_dashes(&args);
    let usage = if behind.is_some_and(|words| words > 0) {
        USAGE_OF_RUNNER
    } else {
        USAGE
    };
    let typed = match args::ParsedArgs::parse(args) {
        Ok(typed) => typed,
        Err(error) => {
            // Whether anybody reads the help, or this, is not our trouble.
            if !error.use_stderr() {
                let _ = error.print();
                return 0;
            }
            let _ = std::io::stderr().write_all(messages::NAME.as_bytes());
            let _ = error.print();
            return usage;
        }
    };
    // As of `loki-push -- $JOB` where nothing is in it: to wait for standard input would be no help.
    if behind == Some(0) {
        Reporter::new(Verbosity::Quiet).say(&Message::Failed {
            why: "`--` needs a COMMAND behind it; without one, leave it out",
        });
        return USAGE_OF_RUNNER;
    }
    let result = config::Config::new(typed, &|name| std::env::var_os(name))
        .and_then(|config| app::run(&config));
    result.unwrap_or_else(|error| {
        let text = format!("{error:#}");
        Reporter::new(Verbosity::Quiet).say(&Message::Failed { why: &text });
        usage
    })
}

/// How many words stand behind a `--`, if there is one: in words that may not be understood
/// otherwise, the only sign of command mode.
fn behind_dashes(args: &[OsString]) -> Option<usize> {
    let dashes = args.iter().position(|arg| arg == "--")?;
    Some(args.len() - dashes - 1)
}
