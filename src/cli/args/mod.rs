//! The command line: flags as they are typed, by topic. No behaviour.
//!
//! A flag is declared once, here; help, man page, completions and the environment follow from it.
//! Knows value types. Knows nothing of files, sockets or clocks.

mod connection;
mod delivery;
mod env_errors;
mod input;
mod labels;
mod output;
mod values;

use std::ffi::OsString;
use std::fmt;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches, Parser};

pub use crate::cli::args::connection::Connection;
pub use crate::cli::args::delivery::{Delivery, DrainArg, OnFull};
pub use crate::cli::args::input::{From, Input};
pub use crate::cli::args::labels::{Labels, Layout, Parse};
pub use crate::cli::args::output::{Output, Progress, Summary};
pub use crate::cli::args::values::{parse_duration, parse_size, parse_switch};

/// Ships lines to Grafana Loki, and accounts for every one
///
///   myapp 2>&1 | loki-push --app api --env prod
///
/// Lines come from standard input, from FILEs, or from a COMMAND that is run.
/// They leave in gzipped batches; at the end of input or on Ctrl-C everything is
/// flushed, and the exit status tells whether every line is safe.
#[derive(Debug, Parser)]
#[command(
    name = "loki-push",
    version,
    verbatim_doc_comment,
    override_usage = "loki-push [OPTIONS] [FILE]...\n       loki-push [OPTIONS] -- COMMAND [ARG]...\n       loki-push [OPTIONS] -m TEXT",
    after_help = "Every option is also read from LOKI_PUSH_<OPTION>.\nSizes: 64KiB, 1MiB, 1MB; times: 500ms, 5s, 2m.\nSee --help for more, and the manual page for exit status, files and examples.",
    after_long_help = AFTER,
    max_term_width = 100,
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
    /// What is said.
    #[command(flatten)]
    pub output: Output,
}

const AFTER: &str = "\
Environment:
  Every option can be given as LOKI_PUSH_<OPTION>, --flush-interval as
  LOKI_PUSH_FLUSH_INTERVAL; repeatable ones take one value a line, switches
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

/// The name of an option's environment variable: `LOKI_PUSH_` and its long name in capitals.
pub fn env_name(long: &str) -> String {
    format!("LOKI_PUSH_{}", long.to_ascii_uppercase().replace('-', "_"))
}

/// The clap command, with every option bound to its environment variable. A variable that is empty
/// counts as absent, as in a compose file that passes on what is not set.
pub fn command() -> Command {
    from_arguments().mut_args(|arg| {
        let Some(name) = arg.get_long().and_then(variable) else {
            return arg;
        };
        let arg = arg.hide_env(true);
        if std::env::var_os(&name).is_some_and(|value| value.is_empty()) {
            arg
        } else {
            arg.env(name)
        }
    })
}

/// The variable of an option, by its long name. Those that end the program at once have none.
fn variable(long: &str) -> Option<String> {
    let has = !["help", "version"].contains(&long);
    has.then(|| env_name(long))
}

/// The clap command without the environment.
fn from_arguments() -> Command {
    Cli::command().mut_args(|arg| {
        let Some(name) = arg.get_long().and_then(variable) else {
            return arg;
        };
        let arg = match arg.get_action() {
            ArgAction::SetTrue => arg.value_parser(move |text: &str| {
                parse_switch(text).ok_or_else(|| format!("{name} takes true or false"))
            }),
            // `-1` is a wrong value of this option, not an option of its own.
            _ if is_number(&arg) => arg.allow_hyphen_values(true),
            _ => arg,
        };
        // As with curl, of an option that is given twice the last one counts: a script may add to
        // what an alias says.
        match arg.get_action() {
            ArgAction::Append => arg,
            _ => {
                let id = arg.get_id().clone();
                arg.overrides_with(id)
            }
        }
    })
}

/// Whether an option takes a number, a size or a time.
fn is_number(arg: &Arg) -> bool {
    let names = arg.get_value_names().unwrap_or_default();
    let number = |name: &str| matches!(name, "N" | "SIZE" | "TIME" | "0..9");
    names.iter().any(|name| number(name))
}

/// What was typed, and which of it on the command line rather than in the environment.
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
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        let mut command = command();
        let matches = command.try_get_matches_from_mut(&args).map_err(|error| {
            crate::cli::args::env_errors::told(error, &command, &args, from_arguments())
        })?;
        let mut cli = Cli::from_arg_matches(&matches)?;
        let typed = |id: &str| matches.value_source(id) == Some(ValueSource::EnvVariable);
        for (id, values) in cli.repeatable() {
            if typed(id) {
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

    /// Whether the option stood on the command line.
    pub fn on_command_line(&self, id: &str) -> bool {
        self.matches.value_source(id) == Some(ValueSource::CommandLine)
    }

    /// The options that were given in the environment, by their long names.
    pub fn from_environment(&self) -> Vec<String> {
        let ids = self.matches.ids().map(clap::Id::as_str);
        let given = ids.filter(|id| self.given(id) && !self.on_command_line(id));
        given.map(|id| id.replace('_', "-")).collect()
    }

    /// Whether the option was given, there or in the environment.
    pub fn given(&self, id: &str) -> bool {
        self.on_command_line(id) || self.matches.value_source(id) == Some(ValueSource::EnvVariable)
    }
}

/// Without what clap knows, which holds secrets.
impl fmt::Debug for ParsedArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cli.fmt(f)
    }
}

impl Cli {
    /// The options that may be given more than once. In the environment they take a value a line.
    fn repeatable(&mut self) -> [(&'static str, &mut Vec<String>); 6] {
        [
            ("include", &mut self.input.include),
            ("exclude", &mut self.input.exclude),
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
        let typed = ParsedArgs::parse(args.map(OsString::from)).unwrap();
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
        let typed = ParsedArgs::parse(args.map(OsString::from)).unwrap();
        assert!(!format!("{typed:?}").contains("s3cret"));
    }

    #[test]
    fn short_help_fits_two_screens_of_any_common_width() {
        for width in [80, 100, 120] {
            let help = command().term_width(width).render_help().to_string();
            let lines = help.lines().count();
            assert!(lines <= 110, "{lines} lines of {width} columns");
        }
    }

    #[test]
    fn every_repeatable_option_is_split_in_the_environment() {
        let known: Vec<_> = ParsedArgs::parse(["loki-push".into()])
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
