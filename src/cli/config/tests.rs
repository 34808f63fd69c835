//! The configuration that command lines resolve to.

use anyhow::anyhow;

use crate::batch::BatchLimits;
use crate::cli::config::*;
use crate::delivery::queue::OnFull;
use crate::input::open_file::StartAt;

fn config(args: &[&str]) -> Result<Config> {
    let args = std::iter::once("loki-push").chain(args.iter().copied());
    let args: Vec<_> = args.map(OsString::from).collect();
    let typed = ParsedArgs::parse(&args).map_err(|error| anyhow!("{error}"))?;
    Config::new(typed, &|_| None)
}

#[test]
fn the_defaults_are_those_of_the_promise() {
    let config = config(&[]).unwrap();
    assert_eq!(config.shape.labels.to_string(), r#"{app="default"}"#);
    let BatchLimits {
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
        (&["a.log"][..], StartAt::Start, false),
        (&["a.log", "-"], StartAt::Start, true),
        (&["-f", "a.log"], StartAt::End, false),
        (&["-F", "/nowhere/*.log"], StartAt::End, true),
        (&["-f", "a.log", "--from", "start"], StartAt::Start, false),
        (&["a.log", "--from", "end"], StartAt::End, false),
        (&["--tee", "a.log", "-"], StartAt::Start, true),
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
        tenant: Some("team".into()),
        user: Some("me".into()),
        ..spool::Destination::new("http://h:1/a/loki/api/v1/push")
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
