//! The hint for a forgotten `--`: `loki-push make test` was meant to run `make test`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{MAIN_SEPARATOR, Path};

use clap::parser::ValueSource;

use crate::cli::args::command_without_env;
use crate::input::command::find_in_path;
use crate::input::files::STDIN;
use crate::report::humanize::shell_word;

/// Options whose values are secret.
const SECRET: [&str; 7] = [
    "--password",
    "--bearer-token",
    "--header",
    "--url",
    "--addr",
    "-u",
    "--proxy-url",
];

/// A message with the command line that was meant, if the first FILE is a program.
pub fn hint(args: &[OsString]) -> Option<String> {
    let at = first_file(args)?;
    let name = Path::new(&args[at]);
    let how = if !is_program(name)? {
        return None;
    } else if name.exists() {
        format!(
            " (to ship the file itself: loki-push <{})",
            shell_word(&name.to_string_lossy())
        )
    } else {
        String::new()
    };
    let own = &args[1..at];
    let own = if own.iter().any(|arg| is_secret(arg)) {
        String::from(" [OPTIONS]")
    } else {
        shell_words(own)
    };
    let command = &args[at..];
    let command = if command.iter().any(|arg| is_secret(arg)) {
        format!(" {} …", shell_word(&args[at].to_string_lossy()))
    } else {
        shell_words(command)
    };
    Some(format!(
        "{} is a program, not a file to ship; to run it and ship its output, write `--` before it: \
         loki-push{own} --{command}{how}",
        name.display()
    ))
}

/// The position of the first FILE, without --follow before it.
fn first_file(args: &[OsString]) -> Option<usize> {
    for at in 1..args.len() {
        if args[at] == "--" {
            return None;
        }
        // If an option has no value after `=`, the next word is its value.
        let Ok(matches) = command_without_env().try_get_matches_from(&args[..=at]) else {
            continue;
        };
        if matches.value_source("follow") == Some(ValueSource::CommandLine) {
            return None;
        }
        if matches.contains_id("files") {
            return Some(at);
        }
    }
    None
}

/// Whether a FILE is a program: one on the PATH of which there is no file here, or a script or binary.
fn is_program(name: &Path) -> Option<bool> {
    if name.as_os_str() == STDIN {
        return Some(false);
    }
    match fs::metadata(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let is_path = name.as_os_str().to_string_lossy().contains(MAIN_SEPARATOR);
            Some(!is_path && find_in_path(name.as_os_str()).is_some())
        }
        // Opening a named pipe would take data from its reader.
        Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o111 != 0 => {
            let mut head = [0; 4];
            let read = File::open(name).ok()?.read(&mut head).ok()?;
            Some(head[..read].starts_with(b"#!") || head == *b"\x7fELF")
        }
        _ => Some(false),
    }
}

fn is_secret(arg: &OsStr) -> bool {
    let arg = arg.to_string_lossy();
    SECRET.iter().any(|name| arg.starts_with(name))
}

/// The words, quoted for a shell, each after a space.
fn shell_words(words: &[OsString]) -> String {
    let mut text = String::new();
    for word in words {
        text.push(' ');
        text.push_str(&shell_word(&word.to_string_lossy()));
    }
    text
}
