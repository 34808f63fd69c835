//! Whose fault it is: an option that is wrong in the environment is told by its variable, which is
//! what was set.
//!
//! Knows clap's errors. Knows no option.

use std::ffi::OsString;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

/// The error as it is told. `typed` reads the command line alone, without the environment.
pub fn told(mut error: Error, command: &Command, args: &[OsString], typed: Command) -> Error {
    // `-- --uri` would run a command of that name.
    error.remove(ContextKind::Suggested);
    if !error.use_stderr() || typed.try_get_matches_from(args).is_err() {
        return error;
    }
    if error.kind() == ErrorKind::InvalidUtf8 {
        let unreadable = command.get_arguments().find(|arg| is_unreadable(arg));
        let Some(name) = unreadable.and_then(Arg::get_env) else {
            return error;
        };
        let text = format!("{} is no UTF-8 text\n", name.to_string_lossy());
        return Error::raw(ErrorKind::InvalidUtf8, text);
    }
    if let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) {
        let mut named = command.get_arguments();
        let arg = named.find(|arg| arg.to_string() == *option);
        if let Some(name) = arg.and_then(Arg::get_env) {
            let both = format!("{} ({option})", name.to_string_lossy());
            error.insert(ContextKind::InvalidArg, ContextValue::String(both));
        }
    }
    error
}

/// Whether an option's variable holds what is no text, and may not.
fn is_unreadable(arg: &Arg) -> bool {
    let path = ValueParser::path_buf().type_id();
    let value = arg.get_env().and_then(std::env::var_os);
    arg.get_value_parser().type_id() != path && value.is_some_and(|value| value.to_str().is_none())
}
