//! Configuration: what was typed and what the environment holds become what the stages need.
//!
//! Every rule between flags and every default that is not a flag's own stands here. No clap type
//! leaves it, no thread starts in it; files are only read for secrets and certificates.

mod connection;
mod entry;
mod input;
mod overrule;
mod patterns;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::backlog::OnFull;
use crate::batch::Limits;
use crate::cli::{self, Typed};
use crate::gather::Gather;
use crate::note::{Loudness, Note};
use crate::pipeline::{CHUNKS, Settings};
use crate::push::http::Connection;
use crate::retry::{Backoff, Patience};
use crate::shape::{Shape, TimeSource};
use crate::ship::Delivery;
use crate::source::generations::Begin;
use crate::spool;

/// The most threads that compress at once. Two keep a reader busy at the default level; more only
/// take processors from the program that writes.
const SEALERS: usize = 2;

/// What is read.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// One entry with this text.
    Message(Vec<u8>),
    /// What a command prints.
    Command {
        /// The command and its arguments.
        command: Vec<OsString>,
        /// Whether its end is an entry.
        exit_entry: bool,
    },
    /// Files.
    Files(Files),
    /// Nothing: only what the spool holds is sent.
    Drain,
}

/// Which files are read, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Files {
    /// Their names and patterns, as given; `-` is standard input.
    pub names: Vec<PathBuf>,
    /// Whether they are followed.
    pub follow: bool,
    /// Where a file without a checkpoint begins.
    pub begin: Begin,
    /// Whether lines carry the label `filename`.
    pub labelled: bool,
    /// Where it is kept how far they were settled.
    pub checkpoint: Option<PathBuf>,
}

/// What is said at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// A line.
    Text,
    /// A JSON object.
    Json,
}

/// When a progress bar is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// When standard error is a terminal, and the input a file.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Everything a run needs to know.
#[derive(Debug)]
pub struct Config {
    /// What is read.
    pub input: Input,
    /// The byte that ends a line.
    pub delimiter: u8,
    /// How lines are joined and filtered.
    pub gather: Gather,
    /// How lines become entries.
    pub shape: Arc<Shape>,
    /// How the stages are set.
    pub settings: Settings,
    /// The way to Loki; None for a dry run.
    pub connection: Option<Connection>,
    /// Where shipments are kept until their fate is known.
    pub spool: Option<spool::Options>,
    /// Where refused entries are kept.
    pub dead_letter: Option<PathBuf>,
    /// How long a pipe is still read after a stop was asked for.
    pub linger: Duration,
    /// Whether input is passed through.
    pub tee: bool,
    /// Whether the way to Loki is tested, and nothing read.
    pub check: bool,
    /// When a progress bar is shown.
    pub progress: Progress,
    /// What is said at the end.
    pub summary: Option<Summary>,
    /// How much is said.
    pub loudness: Loudness,
    /// What is to be said before the start.
    pub warnings: Vec<String>,
}

impl Config {
    /// Checks what was typed and works it out. `env` looks up an environment variable.
    ///
    /// # Errors
    /// What is wrong, naming the option, in words for the person who typed it.
    pub fn new(mut typed: Typed, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let mut warnings = Vec::new();
        overrule::settle(&mut typed);
        let loudness = loudness(&typed.cli.output)?;
        let delivery = delivery(&typed.cli)?;
        check_stands_alone(&typed.cli)?;
        let (target, connection, destination) = if typed.cli.output.dry_run {
            (String::from("standard output"), None, None)
        } else {
            let found = connection::resolve(&typed, env, &mut warnings)?;
            (found.shown, Some(found.connection), Some(found.destination))
        };
        let Typed { cli, .. } = typed;
        let cli::Cli {
            input,
            labels,
            delivery: sending,
            output,
            ..
        } = cli;
        ensure!(
            !(output.tee && output.dry_run),
            "--tee and --dry-run both write to standard output: choose one"
        );
        let spool = spool(&sending, &input, destination)?;
        let delimiter = if input.null { 0 } else { b'\n' };
        let max_line = input.max_line_size;
        let app = self::input::default_app(&input);
        let shape = self::entry::shape(
            &labels,
            app,
            input.strip_ansi,
            max_line,
            Note::new(loudness),
        )?;
        let gather = patterns::gather(&input)?;
        let gzip_level = if output.dry_run {
            0
        } else {
            sending.gzip_level
        };
        let on_full = match sending.on_full {
            cli::OnFull::Block => OnFull::Block,
            cli::OnFull::DropNewest => OnFull::DropNewest,
            cli::OnFull::DropOldest => OnFull::DropOldest,
        };
        let settings = Settings {
            chunks: CHUNKS,
            limits: Limits {
                entries: sending.batch_size as usize,
                bytes: at_least("--batch-bytes", sending.batch_bytes, 1)?,
                age: sending.flush_interval,
            },
            dated: shape.time != TimeSource::Arrival,
            gzip_level,
            sealers: SEALERS,
            buffer: at_least("--buffer", sending.buffer, 1)?,
            on_full,
            delivery,
            limit_rate: sending.limit_rate,
            target,
        };
        if let Some(rate) = sending.limit_rate {
            at_least("--limit-rate", rate, 1)?;
        }
        Ok(Self {
            input: self::input::what_is_read(input, output.tee, sending.drain)?,
            delimiter,
            gather,
            shape: Arc::new(shape),
            settings,
            connection,
            spool,
            dead_letter: sending.dead_letter,
            linger: sending.linger,
            tee: output.tee,
            check: output.check,
            progress: match output.progress {
                cli::Progress::Auto => Progress::Auto,
                cli::Progress::Always => Progress::Always,
                cli::Progress::Never => Progress::Never,
            },
            summary: output.summary.map(|form| match form {
                cli::Summary::Text => Summary::Text,
                cli::Summary::Json => Summary::Json,
            }),
            loudness,
            warnings,
        })
    }
}

/// `--check` reads nothing.
fn check_stands_alone(cli: &cli::Cli) -> Result<()> {
    for (given, what) in [
        (!cli.input.files.is_empty(), "a FILE"),
        (!cli.input.command.is_empty(), "a COMMAND"),
        (cli.input.message.is_some(), "--message"),
        (cli.output.dry_run, "--dry-run"),
        (cli.delivery.drain, "--drain"),
    ] {
        ensure!(
            !(cli.output.check && given),
            "--check and {what} exclude each other: it reads nothing, and pushes an entry of its own"
        );
    }
    Ok(())
}

fn loudness(output: &cli::Output) -> Result<Loudness> {
    match (output.quiet, output.verbose) {
        (true, true) => bail!("--quiet and --verbose exclude each other"),
        (true, false) => Ok(Loudness::Quiet),
        (false, true) => Ok(Loudness::Verbose),
        (false, false) => Ok(Loudness::Normal),
    }
}

fn delivery(cli: &cli::Cli) -> Result<Delivery> {
    let sending = &cli.delivery;
    let positive = |name: &str, time: Duration| {
        ensure!(!time.is_zero(), "{name} must be more than 0");
        Ok(time)
    };
    Ok(Delivery {
        timeout: positive("--timeout", sending.timeout)?,
        backoff: Backoff {
            base: positive("--retry-backoff", sending.retry_backoff)?,
            // Whoever asks for a longer first wait means it.
            most: positive("--max-backoff", sending.max_backoff)?.max(sending.retry_backoff),
        },
        max_retries: sending.max_retries,
        connections: usize::from(sending.connections),
        patience: Patience {
            flush_timeout: sending.flush_timeout,
        },
        end_when_hopeless: false,
        gzip_level: sending.gzip_level,
    })
}

/// The spool; `destination` is None in a dry run.
fn spool(
    sending: &cli::Delivery,
    input: &cli::Input,
    destination: Option<spool::Destination>,
) -> Result<Option<spool::Options>> {
    let Some(dir) = sending.spool.clone() else {
        ensure!(
            !sending.drain,
            "--drain delivers what a spool holds: give --spool DIR too"
        );
        return Ok(None);
    };
    let Some(destination) = destination else {
        bail!("--spool and --dry-run exclude each other: a dry run sends nothing");
    };
    ensure!(
        !dir.as_os_str().is_empty(),
        "--spool needs the name of a directory"
    );
    at_least("--spool-size", sending.spool_size, 1)?;
    let checkpoint = input.checkpoint.as_ref().map(std::path::absolute);
    let checkpoint = checkpoint.transpose().context("--checkpoint")?;
    Ok(Some(spool::Options {
        dir,
        size: sending.spool_size,
        sync: sending.spool_sync,
        destination,
        checkpoint: checkpoint.map(|path| path.display().to_string()),
    }))
}

fn at_least(name: &str, value: u64, least: u64) -> Result<usize> {
    ensure!(value >= least, "{name} must be at least {least}");
    usize::try_from(value).map_err(|_| anyhow!("{name} is too large for this machine"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(args: &[&str]) -> Result<Config> {
        let args = std::iter::once("loki-push").chain(args.iter().copied());
        let typed = Typed::parse(args.map(OsString::from)).map_err(|error| anyhow!("{error}"))?;
        Config::new(typed, &|_| None)
    }

    #[test]
    fn the_defaults_are_those_of_the_promise() {
        let config = config(&[]).unwrap();
        assert_eq!(config.shape.labels.to_string(), r#"{app="default"}"#);
        let Limits {
            entries,
            bytes,
            age,
        } = config.settings.limits;
        assert_eq!(
            (entries, bytes, age),
            (10_000, 1 << 20, Duration::from_secs(1))
        );
        assert_eq!(config.settings.buffer, 32 << 20);
        assert_eq!(config.settings.on_full, OnFull::Block);
        assert_eq!(config.linger, Duration::from_secs(5));
        assert_eq!(config.settings.target, "http://localhost:3100");
    }

    #[test]
    fn a_command_gives_its_name_and_its_own_words_stay_its_own() {
        let config = config(&["-e", "prod", "--", "/usr/bin/backup.sh", "-v", "--env", "x"]);
        let config = config.unwrap();
        let labels = config.shape.labels.to_string();
        assert_eq!(labels, r#"{app="backup.sh",env="prod"}"#);
        let words = ["/usr/bin/backup.sh", "-v", "--env", "x"];
        let command = words.map(OsString::from).to_vec();
        let expected = Input::Command {
            command,
            exit_entry: true,
        };
        assert_eq!(config.input, expected);
    }

    #[test]
    fn a_wrong_pattern_is_shown_where_it_is_wrong() {
        for (option, pattern, at) in [
            ("--include", "a(é", "unclosed group, at character 2"),
            ("--exclude", "é[z-a]", "invalid character class range"),
            ("--multiline", "*x", "at character 1"),
            ("--multiline", r"\p{Nonsense}", "at character 1"),
        ] {
            let error = config(&[option, pattern]).unwrap_err().to_string();
            assert!(error.starts_with(option) && error.contains(at), "{error}");
        }
        assert!(config(&["--include", r"(?-u)\xff"]).is_ok());
    }

    #[test]
    fn files_begin_where_the_promise_says() {
        let files = |args: &[&str]| match config(args).unwrap().input {
            Input::Files(files) => files,
            other => panic!("{other:?}"),
        };
        for (args, begin, labelled) in [
            (&["a.log"][..], Begin::Start, false),
            (&["a.log", "-"], Begin::Start, true),
            (&["-f", "a.log"], Begin::End, false),
            (&["-F", "/nowhere/*.log"], Begin::End, true),
            (&["-f", "a.log", "--from", "start"], Begin::Start, false),
            (&["a.log", "--from", "end"], Begin::End, false),
            (&["--tee", "a.log", "-"], Begin::Start, true),
        ] {
            let files = files(args);
            assert_eq!((files.begin, files.labelled), (begin, labelled), "{args:?}");
        }
        assert_eq!(config(&["-"]).unwrap().input, Input::Stdin);
    }

    #[test]
    fn a_spool_knows_its_destination_without_secrets() {
        let args = [
            "--spool=x",
            "--url=http://me:geheim@h:1/a",
            "--header=x-scope-orgid: team",
        ];
        let spool = config(&args).unwrap().spool.unwrap();
        let expected = spool::Destination {
            url: "http://h:1/a/loki/api/v1/push".into(),
            tenant: Some("team".into()),
            user: Some("me".into()),
        };
        assert_eq!(
            (spool.destination, spool.size, spool.sync),
            (expected, 1 << 30, false)
        );
    }

    #[test]
    fn what_cannot_work_is_said_with_its_option() {
        for (args, word) in [
            (&["-l", "a-b=c"][..], "--label"),
            (&["-l", "__x=c"], "--label"),
            (&["-l", "x"], "--label"),
            (&["-a", "x\u{fffd}"], "--app"),
            (&["-k", "x"], "--field"),
            (&["-k", "1x=2"], "--field"),
            (&["--level", "loud"], "--level"),
            (&["--max-line-size", "3"], "--max-line-size"),
            (&["--batch-bytes", "0"], "--batch-bytes"),
            (&["--batch-size", "0"], "--batch-size"),
            (&["--buffer", "1XB"], "--buffer"),
            (&["--flush-interval", "5"], "--flush-interval"),
            (&["--timeout", "0"], "--timeout"),
            (&["--gzip-level", "10"], "--gzip-level"),
            (&["-q", "-v"], "--quiet"),
            (&["--tee", "--dry-run"], "--tee"),
            (&["-u", "localhost:3100"], "--url"),
            (&["-m", "x", "--", "ls"], "COMMAND"),
            (&["x.log", "--", "ls"], "COMMAND"),
            (&["-f", "--", "ls"], "--follow"),
            (&["-f"], "--follow"),
            (&["-F", "-"], "--follow"),
            (&["-f", "-", "a.log"], "--follow"),
            (&["-f", "-m", "x"], "--follow"),
            (&["-f", "a.log.gz"], "--follow"),
            (&["--from", "start"], "--from"),
            (&["--from", "end", "-m", "x"], "--from"),
            (&["--checkpoint", "c"], "--checkpoint"),
            (&["--checkpoint", "c", "-"], "--checkpoint"),
            (&["--checkpoint", "c", "a.log", "-"], "--checkpoint"),
            (&["--checkpoint", "c", "-m", "x"], "--checkpoint"),
            (&["--checkpoint", "a.log", "a.log"], "--checkpoint"),
            (&["-f", "/nowhere/[a"], "pattern"),
            (&["--tee", "-f", "a.log"], "--tee"),
            (&["a.log", "-m", "x"], "--message"),
            (&["a.log", "--", "true"], "COMMAND"),
            (&["--nonsense"], "--nonsense"),
            (&["--drain"], "--spool"),
            (&["--spool", "x", "--dry-run"], "--dry-run"),
            (&["--spool", "x", "--spool-size", "0"], "--spool-size"),
            (&["--spool", "x", "--drain", "-m", "x"], "--message"),
            (&["--spool", "x", "--drain", "file"], "FILE"),
            (&["--spool", "x", "--drain", "--", "true"], "COMMAND"),
        ] {
            let error = format!(
                "{:#}",
                config(args).err().unwrap_or_else(|| panic!("{args:?}"))
            );
            assert!(error.contains(word), "{args:?}: {error}");
        }
    }
}
