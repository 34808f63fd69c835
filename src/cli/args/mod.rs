//! The command line and its environment variables, as clap reads them; one file per topic.
//!
//! An option is declared once, here; help, man page, completions and its variable follow from that.

#![allow(
    rustdoc::broken_intra_doc_links,
    rustdoc::invalid_html_tags,
    reason = "clap prints the doc comments of options as they are: brackets in them are text"
)]

mod connection;
mod delivery;
mod env_errors;
mod input;
mod labels;
mod output;
mod unknown_env;

use std::ffi::OsString;
use std::fmt;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};

pub use self::connection::Connection;
pub use self::delivery::{Delivery, DrainArg};
pub use self::input::{Input, Unwrap};
pub use self::labels::Labels;
pub use self::output::{Document, Output, Progress, Summary};
pub use self::unknown_env::warnings as unknown_env_warnings;
use crate::parse::units::parse_bool;

/// Ship log lines to Grafana Loki and account for every one
///
///   myapp 2>&1 | loki-push --app api --env prod
///
/// Lines come from standard input, from FILEs, or from a COMMAND that is run.
/// Lines are sent in gzip-compressed batches. At end of input or on Ctrl-C
/// everything is flushed; the exit status shows whether every line is safe.
#[derive(Debug, Parser)]
#[command(
    name = "loki-push",
    version,
    verbatim_doc_comment,
    override_usage = "loki-push [OPTIONS] [FILE]...\n       loki-push [OPTIONS] -- COMMAND [ARG]...\n       loki-push [OPTIONS] -m TEXT",
    after_help = "These are the most common options; --help shows them all. Each can also be set\nas LOKI_PUSH_<OPTION>. Sizes: 64KiB, 1MiB, 1MB; times: 500ms, 5s, 2m.",
    after_long_help = AFTER,
    max_term_width = 80,
)]
pub struct Cli {
    /// What is read.
    #[command(flatten)]
    pub input: Input,
    /// What entries carry.
    #[command(flatten)]
    pub labels: Labels,
    /// How they are sent.
    #[command(flatten)]
    pub delivery: Delivery,
    /// Where to.
    #[command(flatten)]
    pub connection: Connection,
    /// What is printed.
    #[command(flatten)]
    pub output: Output,
}

const AFTER: &str = "\
Environment:
  Every option can be set as LOKI_PUSH_<OPTION>, --flush-interval as
  LOKI_PUSH_FLUSH_INTERVAL; repeatable options take one value per line, switches
  true or false. The command line wins over the environment, and LOKI_PUSH_*
  over logcli's names, which work too (LOKI_ADDR, LOKI_USERNAME …).
  NO_COLOR: no colours in help and --check.

Exit status:
  0  every entry read is in Loki, filtered by request, or safe: in the spool,
     or in a file that a checkpoint covers
  1  something was lost, refused, left, or could not be read; stderr says what
     and how many
  2  wrong usage or configuration; nothing was read
  With -- COMMAND it is the command's own: 128+n for signal n, 126 or 127 if it
  could not be started, 125 for wrong usage of loki-push itself.";

/// The options that `-h` shows. It fits on one screen; `--help` shows them all.
const SHORT_HELP: [&str; 22] = [
    "files",
    "command",
    "follow",
    "checkpoint",
    "message",
    "multiline",
    "app",
    "env",
    "host",
    "label",
    "layout",
    "time",
    "on_full",
    "spool",
    "url",
    "username",
    "password_file",
    "org_id",
    "tee",
    "dry_run",
    "check",
    "verbose",
];

/// The name of an option's environment variable: `LOKI_PUSH_` and its long name in capitals.
pub fn env_name(long: &str) -> String {
    format!("LOKI_PUSH_{}", long.to_ascii_uppercase().replace('-', "_"))
}

/// The clap command, with every option bound to its environment variable.
///
/// A variable that is empty counts as absent, as in a compose file that passes on what is not set.
/// Where the value of an option is optional, the variable's `false` is its absence, and `true` the
/// bare option: it is also the `default_missing_value` of every such option.
pub fn command() -> Command {
    command_without_env().mut_args(|arg| {
        let Some(name) = arg.get_long().and_then(env_var_of) else {
            return arg;
        };
        let arg = arg.hide_env(true);
        let is_optional = has_optional_value(&arg);
        let is_false = |value: &str| parse_bool(value) == Some(false);
        let is_absent = std::env::var_os(&name).is_some_and(|value| {
            value.is_empty() || (is_optional && value.to_str().is_some_and(is_false))
        });
        if is_absent { arg } else { arg.env(name) }
    })
}

/// The variable of an option, by its long name. Those that end the program at once have none.
fn env_var_of(long: &str) -> Option<String> {
    let has = !["help", "version"].contains(&long);
    has.then(|| env_name(long))
}

/// The clap command without the environment.
pub fn command_without_env() -> Command {
    Cli::command().mut_args(|arg| {
        let shown = SHORT_HELP.contains(&arg.get_id().as_str());
        let arg = arg.hide_short_help(!shown);
        let Some(name) = arg.get_long().and_then(env_var_of) else {
            return arg;
        };
        let arg = match arg.get_action() {
            ArgAction::SetTrue => arg.value_parser(move |text: &str| {
                parse_bool(text).ok_or_else(|| format!("{name} must be true or false"))
            }),
            // `-1` is a wrong value of this option, not an option of its own.
            _ if may_begin_with_hyphen(&arg) => arg.allow_hyphen_values(true),
            _ => arg,
        };
        // As with curl, the last of several counts: a script may add to what an alias says.
        match arg.get_action() {
            ArgAction::Append => arg,
            _ => {
                let id = arg.get_id().clone();
                arg.overrides_with(id)
            }
        }
    })
}

/// Whether an option may come without its value.
fn has_optional_value(arg: &Arg) -> bool {
    arg.get_num_args()
        .is_some_and(|n| n.min_values() == 0 && n.takes_values())
}

/// Whether what follows an option is its value even if it begins with `-`: numbers, sizes and times,
/// which must not be negative, and values that often begin so, such as the time zone `-05:30`.
fn may_begin_with_hyphen(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    let may = |name: &str| {
        let number = matches!(name, "N" | "SIZE" | "TIME" | "0..9");
        number || matches!(name, "REGEX" | "SECRET" | "ZONE")
    };
    names.iter().any(|name| may(name))
}

/// The options as set, and whether on the command line or in the environment.
pub struct ParsedArgs {
    /// The values.
    pub cli: Cli,
    matches: ArgMatches,
}

impl ParsedArgs {
    /// Reads the command line and the environment.
    ///
    /// # Errors
    /// clap's, which are also how it answers `--help`.
    pub fn parse(args: &[OsString]) -> Result<Self, clap::Error> {
        let mut command = command();
        let matches = command.try_get_matches_from_mut(args);
        let matches =
            matches.map_err(|error| env_errors::attribute_to_env(error, &command, args))?;
        let mut cli = Cli::from_arg_matches(&matches)?;
        for (id, values) in cli.repeatable() {
            if matches.value_source(id) == Some(ValueSource::EnvVariable) {
                *values = values
                    .iter()
                    .flat_map(|value| value.lines())
                    .map(str::to_owned)
                    .collect();
                values.retain(|value| !value.is_empty());
            }
        }
        Ok(Self { cli, matches })
    }

    /// Whether the option was on the command line.
    pub fn on_command_line(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// The options that were set in the environment, by their long names.
    pub fn set_in_environment(&self) -> Vec<String> {
        let ids = self.matches.ids().map(clap::Id::as_str);
        let set = ids.filter(|id| self.is_set(id) && !self.on_command_line(id));
        set.map(|id| id.replace('_', "-")).collect()
    }

    /// Whether the option was set, on the command line or in the environment.
    pub fn is_set(&self, id: &str) -> bool {
        self.on_command_line(id) || self.matches.value_source(id) == Some(ValueSource::EnvVariable)
    }
}

/// Without clap's matches, which hold secrets.
impl fmt::Debug for ParsedArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cli.fmt(f)
    }
}

impl Cli {
    /// The options that may be repeated. In the environment they take one value per line.
    fn repeatable(&mut self) -> [(&'static str, &mut Vec<String>); 8] {
        [
            ("exclude_path", &mut self.input.exclude_path),
            ("include", &mut self.input.include),
            ("exclude", &mut self.input.exclude),
            ("redact", &mut self.input.redact),
            ("label", &mut self.labels.label),
            ("label_field", &mut self.labels.label_field),
            ("field", &mut self.labels.field),
            ("header", &mut self.connection.header),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn every_option_has_its_variable() {
        let command = command();
        let mut options = 0;
        for arg in command.get_arguments() {
            let Some(long) = arg.get_long() else { continue };
            if ["help", "version"].contains(&long) {
                continue;
            }
            let name = format!("LOKI_PUSH_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(
                arg.get_env().map(|env| env.to_string_lossy()),
                Some(name.into())
            );
            options += 1;
        }
        assert!(options > 50, "{options} options");
    }

    #[test]
    fn of_an_option_given_twice_the_last_counts() {
        let args = [
            "loki-push",
            "-a",
            "x",
            "--app=y",
            "-l",
            "a=1",
            "-l",
            "b=2",
            "-v",
            "-v",
        ];
        let typed = ParsedArgs::parse(&args.map(OsString::from)).unwrap();
        assert_eq!(typed.cli.labels.app.as_deref(), Some("y"));
        assert_eq!(typed.cli.labels.label, ["a=1", "b=2"]);
        assert!(typed.cli.output.verbose);
    }

    #[test]
    fn debug_shows_no_secret() {
        let args = [
            "loki-push",
            "--password=s3cret",
            "--bearer-token=s3cret",
            "--header=x: s3cret",
            "--url=http://me:s3cret@loki",
            "--proxy-url=http://me:s3cret@proxy",
        ];
        let typed = ParsedArgs::parse(&args.map(OsString::from)).unwrap();
        assert!(!format!("{typed:?}").contains("s3cret"));
    }

    #[test]
    fn every_repeatable_option_is_split_in_the_environment() {
        let known: Vec<_> = ParsedArgs::parse(&["loki-push".into()])
            .unwrap()
            .cli
            .repeatable()
            .map(|(id, _)| id)
            .to_vec();
        for arg in command()
            .get_arguments()
            .filter(|arg| arg.get_long().is_some())
        {
            let appends = matches!(arg.get_action(), ArgAction::Append);
            assert_eq!(
                appends,
                known.contains(&arg.get_id().as_str()),
                "{}",
                arg.get_id()
            );
        }
    }
}
