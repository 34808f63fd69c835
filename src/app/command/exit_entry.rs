//! The exit entry: the final entry in command mode, which records how the command ended.

use std::sync::Arc;
use std::time::Instant;

use crate::entry::line::LineFragment;
use crate::input::command::Exit;
use crate::parse::fields::Parse;
use crate::parse::level::Level;
use crate::process::entry_builder::EntryBuilder;
use crate::process::entry_sender::EntrySender;
use crate::process::options::{EntryOptions, TimeSource};

/// The message of the entry.
const TEXT: &str = "command exited";

/// Ships the exit entry of a command, with the number of lines on its stdout and stderr.
pub fn send_exit_entry(
    options: &EntryOptions,
    command: &str,
    exit: Exit,
    lines: [u64; 2],
    sender: &EntrySender,
    now: Instant,
) {
    let options = Arc::new(exit_entry_options(options, command, exit, lines));
    let mut builder = EntryBuilder::new(&options, &[("stream", "exit")], None);
    let line = LineFragment {
        bytes: TEXT.as_bytes(),
        first: true,
        end: 0,
    };
    builder.push(line, now);
    builder.end();
    builder.flush(&sender.without_waiting(), 0);
}

/// The options for building the exit entry: those of other entries, with its own fields first.
fn exit_entry_options(
    options: &EntryOptions,
    command: &str,
    exit: Exit,
    [stdout, stderr]: [u64; 2],
) -> EntryOptions {
    let field = |name: &str, value: String| (name.to_owned(), value);
    let mut fields = vec![
        field("command", options.redacted(command)),
        field("exit_code", exit.status.to_string()),
        field("duration_ms", exit.took.as_millis().to_string()),
        field("lines_stdout", stdout.to_string()),
        field("lines_stderr", stderr.to_string()),
    ];
    fields.extend_from_slice(&options.fields);
    let level = if exit.status == 0 {
        Level::Info
    } else {
        Level::Error
    };
    let mut options = EntryOptions {
        level: Some(level),
        read_level: false,
        parse: Parse::None,
        label_fields: Vec::new(),
        time: TimeSource::Arrival,
        fields,
        ..options.clone()
    };
    options.max_line = options.max_line.max(options.suffix().len() + TEXT.len());
    options
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::time::Duration;

    use super::*;
    use crate::cli::args::ParsedArgs;
    use crate::cli::config::Config;

    #[test]
    fn the_exit_entry_is_that_of_the_promise() {
        let args = [
            "loki-push",
            "-k",
            "k=v",
            "--max-line-size",
            "20",
            "--level",
            "debug",
        ];
        let args = ParsedArgs::parse(&args.map(OsString::from)).unwrap();
        let options = Config::new(args, &|_| None).unwrap().shape;
        let took = Duration::from_micros(5_321_900);
        let exit = |status| Exit {
            status,
            by_signal: false,
            took,
        };
        let failed = exit_entry_options(&options, "backup.sh", exit(1), [10, 2]);
        let expected = "command exited | command=backup.sh exit_code=1 duration_ms=5321 \
                        lines_stdout=10 lines_stderr=2 k=v";
        assert_eq!(format!("{TEXT}{}", failed.suffix()), expected);
        assert_eq!(failed.level, Some(Level::Error));
        assert!(failed.max_line >= expected.len());
        let odd = exit_entry_options(&options, "my job", exit(0), [0, 0]);
        assert!(odd.suffix().contains(r#"command="my job" exit_code=0"#));
        assert_eq!(odd.level, Some(Level::Info));
    }
}
