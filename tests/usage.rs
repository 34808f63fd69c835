//! The command line and the environment: what is wrong is said with its option before anything is
//! read, what stands nearer wins, and every option has its variable.

use crate::support::loki::Labels;
use crate::support::{Finished, Loki, LokiPush};

/// Runs with input that nobody should read, and shows on stdout what is left of it.
fn run_unread(run: LokiPush) -> Finished {
    let run = run.in_shell("\"$@\"; status=$?; cat; exit $status");
    run.stdin_bytes("unread\n").run()
}

/// Ends with status 2, a message that names the option, and nothing read or sent.
#[track_caller]
fn assert_refused(loki: &Loki, run: LokiPush, named: &str) -> Finished {
    let ended = run_unread(run).expect(2).expect_stderr([named]);
    assert!(
        ended.stdout_text().ends_with("unread\n"),
        "{}",
        ended.report()
    );
    assert!(ended.messages().len() <= 8, "{}", ended.report());
    assert_eq!(loki.connections(), 0, "{named}");
    ended
}

#[test]
fn wrong_usage_names_the_option_before_anything_is_read() {
    let loki = Loki::start();
    for (args, named) in [
        (&["--nonsense"][..], "--nonsense"),
        (&["-Z"], "-Z"),
        (&["--app"], "--app"),
        (&["-l", "a-b=c"], "--label"),
        (&["-l", "1a=c"], "--label"),
        (&["-l", "__x=c"], "--label"),
        (&["-l", "x"], "--label"),
        (&["-l", "=x"], "--label"),
        (&["-l", "é=x"], "--label"),
        (&["-l", "x=a\u{fffd}"], "--label"),
        (&["-l", r#"{a="b""#], "--label"),
        (&["-l", r"{a=b}"], "--label"),
        (&["-a", "x\u{fffd}"], "--app"),
        (&["-e", "x\u{fffd}"], "--env"),
        (&["-k", "x"], "--field"),
        (&["-k", "1x=2"], "--field"),
        (&["-k", "a b=2"], "--field"),
        (&["-k", "=2"], "--field"),
        (&["--level", "loud"], "--level"),
        (&["--label-field", "__x"], "--label-field"),
        (&["--max-streams", "0"], "--max-streams"),
        (&["--parse", "xml"], "--parse"),
        (&["--layout", "wide"], "--layout"),
        (&["--time", ""], "--time"),
        (&["--parse", "none", "--time", "ts"], "--time"),
        (&["--parse", "none", "--label-field", "x"], "--label-field"),
        (&["--max-line-size", "3"], "--max-line-size"),
        (&["--max-line-size", "x"], "--max-line-size"),
        (&["--batch-size", "0"], "--batch-size"),
        (&["--batch-size", "1.5"], "--batch-size"),
        (&["--batch-bytes", "0"], "--batch-bytes"),
        (&["--batch-bytes", "1 parsec"], "--batch-bytes"),
        (&["--batch-bytes", "-1"], "--batch-bytes"),
        (&["--buffer", "1XB"], "--buffer"),
        (&["--buffer", "0"], "--buffer"),
        (&["--limit-rate", "0"], "--limit-rate"),
        (&["--flush-interval", "5"], "--flush-interval"),
        (&["--flush-interval", "-5s"], "--flush-interval"),
        (&["--flush-interval", ""], "--flush-interval"),
        (&["--flush-timeout", "soon"], "--flush-timeout"),
        (&["--linger", "5 parsecs"], "--linger"),
        (&["--timeout", "0"], "--timeout"),
        (&["--retry-backoff", "0s"], "--retry-backoff"),
        (&["--max-retries", "-1"], "--max-retries"),
        (&["--connections", "0"], "--connections"),
        (&["--gzip-level", "10"], "--gzip-level"),
        (&["--on-full", "panic"], "--on-full"),
        (&["--summary", "xml"], "--summary"),
        (&["--header", "no colon"], "--header"),
        (&["--header", "bad name: x"], "bad name"),
        (&["-q", "-v"], "--quiet"),
        (&["--tee", "--dry-run"], "--tee"),
        (&["-m", "text", "file"], "--message"),
        (&["--username", "me"], "--password"),
        (&["--password", "me"], "--username"),
        (
            &["--username", "a", "--password", "b", "--bearer-token", "c"],
            "bearer",
        ),
        (&["--ca-cert", "/nonexistent/ca.pem"], "--ca-cert"),
        (
            &["--password-file", "/nonexistent/p", "--username", "a"],
            "--password-file",
        ),
        (&["--cert", "/dev/null"], "--key"),
    ] {
        assert_refused(&loki, LokiPush::new(&loki).args(args), named);
    }
}

#[test]
fn a_zone_a_pattern_or_a_secret_may_begin_with_a_hyphen() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--time", "auto", "--time-zone", "-05:30"]);
    let run = run.args([
        "--exclude",
        "-v",
        "--redact",
        "-----BEGIN",
        "--include",
        "-",
    ]);
    let run = run.args(["--username", "me", "--password", "-secret"]);
    let input = "2024-05-01 10:00:00 - a\n2024-05-01 10:00:01 -v\n2024-05-01 10:00:02 -----BEGIN\n";
    run.stdin_bytes(input).run().expect(0);
    let times: Vec<i64> = loki.entries().iter().map(|entry| entry.time).collect();
    assert_eq!(
        times,
        [1_714_577_400_000_000_000, 1_714_577_402_000_000_000]
    );
    assert!(loki.lines()[1].ends_with("[redacted]"));
}

#[test]
fn without_fields_times_are_read_all_the_same() {
    let line = "2024-05-01T10:00:00Z ERROR a\n";
    for (variable, value, args) in [
        ("LOKI_PUSH_TIME", "auto", ["--parse", "none"]),
        ("LOKI_PUSH_PARSE", "none", ["--time", "auto"]),
    ] {
        let loki = Loki::start();
        let run = LokiPush::new(&loki).env(variable, value).args(args);
        run.stdin_bytes(line).run().expect(0);
        let entry = &loki.entries()[0];
        assert_eq!(entry.time, 1_714_557_600_000_000_000, "{variable}");
        assert!(!entry.labels.contains_key("level"), "{variable}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    let loki = Loki::start();
    for address in [
        "",
        "localhost:3100",
        "localhost",
        "ftp://localhost",
        "http://",
        "http://:3100",
        "http://local host",
        "http://localhost:99999",
        "http://localhost:port",
    ] {
        assert_refused(&loki, LokiPush::at(address), "--url");
        if !address.is_empty() {
            assert_refused(
                &loki,
                LokiPush::bare().env("LOKI_ADDR", address),
                "LOKI_ADDR",
            );
        }
    }
}

#[test]
fn help_and_version_are_no_failure_and_read_nothing() {
    for (arg, text) in [
        ("--help", "LOKI_PUSH_FLUSH_INTERVAL"),
        ("-h", "--on-full"),
        (
            "--version",
            concat!("loki-push ", env!("CARGO_PKG_VERSION"), "\n"),
        ),
        ("-V", concat!("loki-push ", env!("CARGO_PKG_VERSION"), "\n")),
    ] {
        let ended = run_unread(LokiPush::bare().arg(arg))
            .expect(0)
            .expect_silence();
        let out = ended.stdout_text();
        assert!(out.contains(text) && out.ends_with("unread\n"), "{out}");
        assert!(arg != "-h" || out.lines().count() <= 49, "{out}");
    }
}

/// The variables of all options, by the options in `--help`.
fn variables() -> Vec<String> {
    let help = LokiPush::bare().arg("--help").run().expect(0).stdout_text();
    let lines = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'));
    let longs = lines.filter_map(|line| line.split_once("--"));
    let names = longs.map(|(_, rest)| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let name = &rest[..end.unwrap_or(rest.len())];
        format!("LOKI_PUSH_{}", name.replace('-', "_").to_uppercase())
    });
    let names: Vec<_> = names
        .filter(|name| !name.ends_with("_HELP") && !name.ends_with("_VERSION"))
        .collect();
    assert!(names.len() > 50, "{names:?}");
    names
}

#[test]
fn an_empty_variable_is_an_absent_one() {
    let loki = Loki::start();
    let mut run = LokiPush::bare().env("LOKI_ADDR", loki.url());
    for name in variables() {
        run = run.env(name, "");
    }
    for name in [
        "LOKI_USERNAME",
        "LOKI_PASSWORD",
        "LOKI_BEARER_TOKEN",
        "LOKI_ORG_ID",
    ] {
        run = run.env(name, "");
    }
    let ended = run.stdin_bytes("a\nb\n").run().expect(0).expect_silence();
    assert!(ended.stdout.is_empty());
    assert_eq!(loki.lines(), ["a", "b"]);
    assert_eq!(loki.requests()[0].headers.get("Authorization"), None);
    loki.assert_clean();
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    pairs.collect()
}

#[test]
fn options_come_from_the_environment() {
    let loki = Loki::start();
    let ended = LokiPush::bare()
        .env("LOKI_PUSH_URL", loki.url())
        .env("LOKI_ADDR", "http://127.0.0.1:1")
        .env("LOKI_PUSH_APP", "api")
        .env("LOKI_PUSH_ENV", "prod")
        .env("LOKI_PUSH_LABEL", "a=1\n{b=\"2\",c=\"3\"}\n\n")
        .env("LOKI_PUSH_FIELD", "x=1\ny=two words")
        .env("LOKI_PUSH_HEADER", "X-One: 1\nX-Two: 2")
        .env("LOKI_PUSH_BATCH_SIZE", "1")
        .env("LOKI_PUSH_GZIP_LEVEL", "0")
        .env("LOKI_PUSH_NULL", "true")
        .env("LOKI_PUSH_TEE", "1")
        .env("LOKI_PUSH_VERBOSE", "false")
        .env("LOKI_PUSH_QUIET", "0")
        .env("LOKI_PUSH_SUMMARY", "json")
        .stdin_bytes("one\0two\0")
        .run()
        .expect(0)
        .expect_no_message();
    assert_eq!(ended.stdout, b"one\0two\0");
    assert_eq!(ended.summary().delivered, 2);
    let tail = " | x=1 y=\"two words\"";
    assert_eq!(loki.lines(), [format!("one{tail}"), format!("two{tail}")]);
    let expected = [
        ("app", "api"),
        ("env", "prod"),
        ("a", "1"),
        ("b", "2"),
        ("c", "3"),
    ];
    assert_eq!(loki.streams(), [labels(&expected)]);
    let requests = loki.requests();
    assert_eq!((requests.len(), requests[0].encoding.as_deref()), (2, None));
    assert_eq!(requests[0].headers.get("X-One"), Some("1"));
    assert_eq!(requests[0].headers.get("X-Two"), Some("2"));
    loki.assert_clean();
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let loki = Loki::start();
    let ended = LokiPush::new(&loki)
        .env("LOKI_PUSH_URL", "http://127.0.0.1:1")
        .env("LOKI_PUSH_APP", "theirs")
        .env("LOKI_PUSH_LABEL", "theirs=1")
        .env("LOKI_PUSH_TEE", "false")
        .env("LOKI_PUSH_QUIET", "true")
        .env("LOKI_PUSH_FLUSH_INTERVAL", "1h")
        .args([
            "--app",
            "ours",
            "-l",
            "ours=1",
            "--tee",
            "-v",
            "--flush-interval",
            "10ms",
        ])
        .stdin_bytes("a\n")
        .run()
        .expect(0)
        .expect_stderr(["batch 0: 1 entry"]);
    assert_eq!(ended.stdout_text(), "a\n");
    assert_eq!(loki.streams(), [labels(&[("app", "ours"), ("ours", "1")])]);
}

#[test]
fn the_command_line_wins_over_a_conflicting_variable() {
    let loki = Loki::start();
    let run = LokiPush::bare().env("LOKI_PUSH_MESSAGE", "theirs");
    let ended = run.args(["--dry-run", "-"]).stdin_bytes("ours\n");
    let ended = ended.run().expect(0);
    assert!(ended.stdout_text().ends_with("} ours\n"), "{ended:?}");
    let run = LokiPush::new(&loki).env("LOKI_PUSH_TEE", "1");
    let ended = run.arg("--dry-run").stdin_bytes("a\n").run().expect(0);
    assert_eq!(ended.stdout_text().matches("a\n").count(), 1);
    let run = LokiPush::new(&loki).env("LOKI_PUSH_DRY_RUN", "1");
    let ended = run.arg("--tee").stdin_bytes("a\n").run().expect(0);
    assert_eq!(ended.stdout_text(), "a\n");
    let run = LokiPush::new(&loki).env("LOKI_PUSH_VERBOSE", "1");
    run.args(["-q", "-m", "b"]).run().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["a", "b"]);
    let run = LokiPush::new(&loki).env("LOKI_PUSH_VERBOSE", "1");
    assert_refused(&Loki::reserve(), run.env("LOKI_PUSH_QUIET", "1"), "--quiet");
}

#[test]
fn a_wrong_variable_is_refused_with_its_option() {
    let loki = Loki::start();
    for (name, value, named) in [
        ("LOKI_PUSH_BATCH_SIZE", "many", "--batch-size"),
        ("LOKI_PUSH_FLUSH_INTERVAL", "5", "--flush-interval"),
        ("LOKI_PUSH_LABEL", "a=1\nb", "--label"),
        ("LOKI_PUSH_ON_FULL", "panic", "--on-full"),
        ("LOKI_PUSH_LEVEL", "loud", "--level"),
    ] {
        assert_refused(&loki, LokiPush::new(&loki).env(name, value), named);
    }
}

#[test]
fn the_address_is_that_of_logcli_or_of_this_machine() {
    let loki = Loki::start();
    let run = LokiPush::bare()
        .env("LOKI_ADDR", loki.url())
        .args(["-m", "x"]);
    run.run().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["x"]);
    // Whether anything listens on this machine is not the test's to know.
    let help = LokiPush::bare().arg("--help").run().expect(0).stdout_text();
    assert!(help.contains("[default: http://localhost:3100]"));
}

#[test]
fn secrets_show_neither_in_the_help_nor_in_messages() {
    let loki = Loki::start();
    let with_secrets = |mut run: LokiPush| {
        for name in ["PASSWORD", "BEARER_TOKEN", "USERNAME", "ORG_ID"] {
            run = run.env(format!("LOKI_PUSH_{name}"), "s3cret");
            run = run.env(format!("LOKI_{name}"), "s3cret");
        }
        run = run.env("LOKI_PUSH_HEADER", "X-Key: s3cret");
        run.env("LOKI_PUSH_PROXY_URL", "http://u:s3cret@proxy")
            .env("LOKI_PUSH_URL", "http://u:s3cret@loki")
    };
    for arg in ["--help", "-h"] {
        let ended = with_secrets(LokiPush::bare()).arg(arg).run().expect(0);
        assert!(!ended.stdout_text().contains("s3cret"));
    }
    for args in [
        &["--nonsense"][..],
        &[
            "--password",
            "s3cret",
            "--bearer-token",
            "s3cret",
            "--username",
            "u",
        ],
        &["--password", "s3cret"],
        &["--header", "s3cret without a colon"],
        &["--header", "X-Key: s3cr\u{7}et s3cret"],
        &["-u", "http://u:s3cret@"],
        &["-u", "http://u:s3cret@host:port"],
        &["-u", "u:s3cret@host"],
        &[
            "--proxy-url",
            "nonsense://u:s3cret@",
            "-u",
            "http://loki.example",
        ],
    ] {
        let ended = assert_refused(&loki, LokiPush::bare().args(args), "loki-push");
        assert!(!ended.stderr.contains("s3cret"), "{}", ended.report());
    }
}

#[test]
fn a_message_in_a_pipe_has_no_colours() {
    let ended = LokiPush::bare().arg("--nonsense").run().expect(2);
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
}

#[test]
fn an_empty_name_is_no_name() {
    let loki = Loki::start();
    LokiPush::new(&loki)
        .args(["--app=", "-m", "x"])
        .run()
        .expect(0);
    let run = LokiPush::new(&loki).env("LOKI_PUSH_APP", "").arg("--app=");
    run.args(["--no-exit-entry", "--", "echo", "y"])
        .run()
        .expect(0);
    let expected = [
        labels(&[("app", "default")]),
        labels(&[("app", "echo"), ("stream", "stdout")]),
    ];
    assert_eq!(loki.streams(), expected);
}

#[test]
fn what_the_environment_says_of_other_inputs_is_no_wrong_usage() {
    let loki = Loki::start();
    let file = ("LOKI_PUSH_CHECKPOINT", "/nowhere/checkpoint.json");
    let switches = [
        ("LOKI_PUSH_FOLLOW", "true"),
        ("LOKI_PUSH_FROM", "end"),
        file,
    ];
    let with = |run: LokiPush, env: &[(&str, &str)]| {
        let run = env
            .iter()
            .fold(run, |run, (name, value)| run.env(name, value));
        run.run().expect(0).expect_silence()
    };
    let new = || LokiPush::new(&loki);
    with(new().args(["-m", "a"]), &switches);
    with(new().stdin_bytes("b\n"), &switches);
    with(new().arg("-").stdin_bytes("c\n"), &switches);
    with(
        new().args(["--no-exit-entry", "--", "echo", "d"]),
        &switches,
    );
    with(new().args(["/dev/null", "-"]).stdin_bytes("e\n"), &switches);
    with(
        new().args(["-m", "f"]),
        &[("LOKI_PUSH_DRAIN", "1"), ("LOKI_PUSH_CHECK", "1")],
    );
    with(
        new().args(["-m", "g", "--parse", "none"]),
        &[("LOKI_PUSH_LABEL_FIELD", "x")],
    );
    with(
        new().args(["-m", "h", "--label-field", "x"]),
        &[("LOKI_PUSH_PARSE", "none")],
    );
    assert_eq!(loki.lines(), ["a", "b", "c", "d", "e", "f", "g", "h"]);
    let dry = with(
        new().args(["-m", "i", "--dry-run"]),
        &[("LOKI_PUSH_SPOOL", "/nowhere/at/all")],
    );
    assert!(dry.stdout_text().ends_with("} i\n"), "{dry:?}");
    let run = new().args(["-m", "j", "--spool", "/nowhere/at/all"]);
    let dry = with(run, &[("LOKI_PUSH_DRY_RUN", "1")]);
    assert!(dry.stdout_text().ends_with("} j\n"), "{dry:?}");
    let many = [
        ("LOKI_PUSH_MESSAGE", "x"),
        ("LOKI_PUSH_DRY_RUN", "1"),
        ("LOKI_PUSH_DRAIN", "1"),
    ];
    loki.limits(|limits| limits.probes = true);
    with(new().arg("--check"), &many);
    // As options they are wrong usage still.
    for args in [
        &["-f", "-m", "x"][..],
        &["--checkpoint", "c"],
        &["--from", "end", "-"],
    ] {
        assert_refused(&Loki::reserve(), LokiPush::bare().args(args), args[0]);
    }
}

#[test]
fn a_switch_in_the_environment_is_yes_or_no() {
    let loki = Loki::start();
    for (value, on) in [
        ("true", true),
        ("1", true),
        ("Yes", true),
        ("ON", true),
        ("false", false),
        ("0", false),
        ("no", false),
        ("Off", false),
        ("", false),
    ] {
        let run = LokiPush::new(&loki).env("LOKI_PUSH_DRY_RUN", value);
        let ended = run.args(["-m", "x"]).run().expect(0).expect_silence();
        assert_eq!(!ended.stdout.is_empty(), on, "{value:?}");
    }
    for value in ["maybe", "2", "tru", " "] {
        for name in ["DRY_RUN", "TLS_SKIP_VERIFY", "QUIET"] {
            let name = format!("LOKI_PUSH_{name}");
            let run = LokiPush::bare().env(&name, value);
            let ended = assert_refused(&Loki::reserve(), run, &name);
            ended.expect_stderr(["true or false"]);
        }
    }
}

#[test]
fn what_is_wrong_in_the_environment_is_told_by_its_variable() {
    use std::os::unix::ffi::OsStrExt;

    let loki = Loki::start();
    for (name, value) in [
        ("LOKI_PUSH_BATCH_SIZE", "many"),
        ("LOKI_PUSH_FLUSH_INTERVAL", "5"),
        ("LOKI_PUSH_PARSE", "xml"),
        ("LOKI_PUSH_MAX_RETRIES", "-1"),
        ("LOKI_PUSH_LABEL", "a=1\nb"),
        ("LOKI_PUSH_LABEL_FIELD", "__x"),
        ("LOKI_PUSH_LEVEL", "loud"),
        ("LOKI_PUSH_BATCH_BYTES", "0"),
        ("LOKI_PUSH_INCLUDE", "("),
        ("LOKI_PUSH_URL", "localhost:3100"),
        ("LOKI_PUSH_CA_CERT", "/nonexistent/ca.pem"),
        ("LOKI_PUSH_PROXY_URL", "http://"),
        ("LOKI_HTTP_PROXY_URL", "http://"),
    ] {
        let run = LokiPush::at("https://loki.invalid").env(name, value);
        let run = if name == "LOKI_PUSH_URL" {
            LokiPush::bare().env(name, value)
        } else {
            run
        };
        assert_refused(&loki, run, name);
    }
    // What is wrong on the command line is told so, whatever else is wrong.
    let run = LokiPush::new(&loki).args(["--batch-size", "x"]);
    assert_refused(
        &loki,
        run.env("LOKI_PUSH_FLUSH_INTERVAL", "5"),
        "--batch-size",
    );
    let junk = std::ffi::OsStr::from_bytes(b"a\xff");
    for name in ["LOKI_PUSH_APP", "LOKI_PUSH_BATCH_SIZE", "LOKI_USERNAME"] {
        let ended = assert_refused(&loki, LokiPush::new(&loki).env(name, junk), name);
        ended.expect_stderr(["UTF-8"]);
    }
}

#[test]
fn half_a_pair_is_wrong_usage_of_a_dry_run_too() {
    let loki = Loki::reserve();
    for (args, named) in [
        (&["--username", "me"][..], "--password"),
        (&["--key", "/nowhere"], "--cert"),
        (
            &["--username=a", "--password=b", "--bearer-token=c"],
            "bearer",
        ),
    ] {
        let run = LokiPush::new(&loki).arg("--dry-run").args(args);
        assert_refused(&loki, run, named);
    }
    // Files are for whoever connects.
    let run = LokiPush::new(&loki).args(["--dry-run", "-m", "x"]);
    let run = run
        .args(["--bearer-token-file", "/nowhere", "--ca-cert", "/nowhere"])
        .env("LOKI_USERNAME", "half");
    run.run().expect(0).expect_silence();
}
