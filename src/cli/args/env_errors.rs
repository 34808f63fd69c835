//! Errors of clap's that come from the environment: they name the variable, which is what was set.

use std::ffi::OsString;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Error};

use crate::cli::args::command_without_env;

/// The error, with the variable's name where the command line alone would have been right.
pub fn attribute_to_env(mut error: Error, command: &Command, args: &[OsString]) -> Error {
    // `-- --uri` would run a command of that name.
    error.remove(ContextKind::Suggested);
    if !error.use_stderr() || command_without_env().try_get_matches_from(args).is_err() {
        return error;
    }
    if error.kind() == ErrorKind::InvalidUtf8 {
        let unreadable = command.get_arguments().find(|arg| is_unreadable(arg));
        let Some(name) = unreadable.and_then(Arg::get_env) else {
            return error;
        };
        let text = format!("{} is not valid UTF-8\n", name.to_string_lossy());
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

/// Whether an option's variable is not UTF-8 although its value must be.
fn is_unreadable(arg: &Arg) -> bool {
    let path = ValueParser::path_buf().type_id();
    let value = arg.get_env().and_then(std::env::var_os);
    arg.get_value_parser().type_id() != path && value.is_some_and(|value| value.to_str().is_none())
}
