//! The program as a function: from the command line to the exit status.
//!
//! Knows which status stands for wrong usage. What is done stands in `app`.

use std::ffi::OsString;

use crate::note::{Loudness, Message, Note};
use crate::{app, cli, config};

/// The exit status of wrong usage or configuration; nothing was read.
const USAGE: u8 = 2;

/// The same in command mode, where the low ones are the command's: as `env` and `timeout` have it.
const USAGE_OF_RUNNER: u8 = 125;

/// Runs the program: reads the command line and the environment, ships what comes, and gives the
/// exit status. Keeps no global state but the signal handlers, so it may be called again.
pub fn run(args: impl IntoIterator<Item = OsString>) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let usage = if names_command(&args) {
        USAGE_OF_RUNNER
    } else {
        USAGE
    };
    let typed = match cli::Typed::parse(args) {
        Ok(typed) => typed,
        Err(error) => {
            // Whether anybody reads the help is not our trouble.
            let _ = error.print();
            return if error.use_stderr() { usage } else { 0 };
        }
    };
    let result = config::Config::new(typed, &|name| std::env::var_os(name))
        .and_then(|config| app::run(&config));
    result.unwrap_or_else(|error| {
        let text = format!("{error:#}");
        Note::new(Loudness::Quiet).say(&Message::Failed { why: &text });
        usage
    })
}

/// Whether something stands behind a `--`: in words that may not be understood otherwise, the only
/// sign of command mode.
fn names_command(args: &[OsString]) -> bool {
    let behind = args.iter().skip_while(|arg| *arg != "--");
    behind.count() > 1
}
