//! What the program says and prints: nothing when all is well, each trouble once, every figure
//! true, and the input passed on untouched.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::loki::Answer;
use crate::support::{Dir, Fault, Loki, LokiPush, Terminal, assert_law};

/// Bytes that a careless copy would change.
const BYTES: &[u8] = b"one\r\n\n\0nul\xff\xfe\x1b[31mred\x1b[0m\n\ttab\nlast without end";

#[test]
fn tee_passes_the_bytes_on_unchanged() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--tee", "--strip-ansi", "-k", "a=1"]);
    let ended = run.stdin_bytes(BYTES).run().expect(0);
    let ended = ended.expect_stderr(["standard input is not UTF-8", "iconv"]);
    assert_eq!(ended.messages().len(), 1, "{}", ended.report());
    assert_eq!(ended.stdout, BYTES);
    assert_eq!(loki.lines().len(), 5);
    loki.assert_clean();
}

#[test]
fn tee_passes_on_at_once_whatever_becomes_of_loki() {
    let loki = Loki::reserve();
    let args = ["-t", "--flush-interval", "1h", "--flush-timeout", "100ms"];
    let run = LokiPush::new(&loki).args(args).stdin_open().spawn();
    run.write("half a");
    run.wait_for_stdout("half a");
    run.write(" line\n");
    run.wait_for_stdout("half a line\n");
    let ended = run
        .wait()
        .expect(1)
        .expect_stderr(["1 entry not delivered"]);
    assert_eq!(ended.stdout_text(), "half a line\n");
}

#[test]
fn a_closed_stdout_ends_the_tee_and_not_the_shipping() {
    let loki = Loki::start();
    let lines: Vec<String> = (0..50_000).map(|i| format!("line {i:06}")).collect();
    let run = LokiPush::new(&loki).arg("--tee");
    let run = run.in_shell("{ \"$@\"; echo status $? >&2; } | head -n 1");
    let ended = run.stdin_bytes(lines.join("\n")).run().expect(0);
    assert_eq!(ended.stdout_text(), "line 000000\n");
    assert_eq!(ended.stderr, "status 0\n");
    assert!(loki.lines() == lines);
    loki.assert_clean();
}

#[test]
fn a_dry_run_prints_and_sends_nothing() {
    let loki = Loki::start();
    let args = [
        "--dry-run",
        "--time",
        "prefix",
        "-e",
        "prod",
        "-a",
        "api",
        "-k",
        "a=x y",
    ];
    let input = "2026-01-02T03:04:05.000000006Z hello\n2026-01-02T03:04:06Z ERROR boom\n";
    let ended = LokiPush::new(&loki)
        .args(args)
        .summed()
        .stdin_bytes(input)
        .run()
        .expect(0);
    let ended = ended.expect_stderr(["2 of 2 lines"]);
    assert_eq!(ended.messages().len(), 1, "{}", ended.report());
    let out = ended.stdout_text();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(
        lines,
        [
            r#"2026-01-02T03:04:05.000000006Z {app="api",env="prod"} 2026-01-02T03:04:05.000000006Z hello | a="x y""#,
            r#"2026-01-02T03:04:06.000000000Z {app="api",env="prod",level="error"} 2026-01-02T03:04:06Z ERROR boom | a="x y""#,
        ]
    );
    let summary = ended.summary();
    assert_eq!((summary.read, summary.requests), (2, 0));
    assert_eq!(loki.connections(), 0);
}

#[test]
fn a_dry_run_leaves_no_file_behind() {
    let dir = Dir::new();
    let file = dir.write("a.log", "one\n");
    let run = LokiPush::bare().arg("--dry-run").arg(&file);
    let run = run.arg("--dead-letter").arg(dir.join("refused"));
    let run = run.arg("--checkpoint").arg(dir.join("checkpoint"));
    let ended = run.run().expect(0);
    assert!(ended.stdout_text().ends_with(" one\n"));
    assert_eq!(dir.files(), [file.strip_prefix(dir.path()).unwrap()]);
}

#[test]
fn a_dry_run_prints_in_the_order_of_the_input() {
    let lines = [
        "2026-01-02T03:04:09Z INFO first",
        "2026-01-02T03:04:05Z ERROR second",
        "2026-01-02T03:04:09Z INFO first",
        "2026-01-02T03:04:01Z WARN fourth",
        "2026-01-02T01:00:00Z INFO an hour late",
        "2026-01-02T03:04:08Z ERROR sixth",
    ];
    for more in [&["--batch-size", "3"][..], &[]] {
        let run = LokiPush::bare().args(["--dry-run", "--time", "auto"]);
        let ended = run.args(more).stdin_bytes(lines.join("\n")).run().expect(0);
        let printed = ended.stdout_text();
        let text = |line: &'_ str| line.split_once("} ").unwrap().1.to_owned();
        let printed: Vec<String> = printed.lines().map(text).collect();
        assert_eq!(printed, lines);
    }
}

#[test]
fn a_dry_run_stamps_with_the_clock() {
    let before = jiff::Timestamp::now();
    let ended = LokiPush::bare()
        .arg("--dry-run")
        .stdin_bytes("a\nb\n")
        .run()
        .expect(0);
    let ended = ended.expect_silence();
    let out = ended.stdout_text();
    let mut times = Vec::new();
    for (line, text) in out.lines().zip(["a", "b"]) {
        let (time, rest) = line.split_once(' ').expect("a time");
        assert_eq!(rest, format!(r#"{{app="default"}} {text}"#));
        assert_eq!(time.len(), "2026-01-02T03:04:05.000000006Z".len());
        times.push(time.parse::<jiff::Timestamp>().expect("RFC 3339"));
    }
    assert!(before <= times[0] && times[0] < times[1], "{times:?}");
}

#[test]
fn a_dry_run_into_head_is_no_failure() {
    let lines = "line\n".repeat(50_000);
    let run = LokiPush::bare().arg("--dry-run").summed();
    let run = run.in_shell("{ \"$@\"; echo status $? >&2; } | head -n 1");
    let ended = run.stdin_bytes(lines).run().expect(0);
    assert_eq!(ended.stdout_text().lines().count(), 1);
    assert_eq!(ended.messages(), BTreeSet::from(["status 0"]));
    assert_eq!(ended.summary().read, 50_000);
}

#[test]
fn a_dry_run_of_followed_files_ends_when_nobody_looks_on() {
    let dir = Dir::new();
    let file = dir.write("log", "line\n".repeat(50_000));
    let run = LokiPush::bare().args(["--dry-run", "-f", "--from", "start"]);
    let run = run
        .summed()
        .arg(file)
        .in_shell("{ \"$@\"; echo status $? >&2; } | head -n 1");
    let ended = run.run().expect(0);
    assert_eq!(ended.messages(), BTreeSet::from(["status 0"]));
    let summary = ended.summary();
    assert_law(&summary);
    // What fits into a pipe was printed, and is counted so.
    assert!(summary.delivered > 0, "{}", ended.report());
    assert!(summary.filtered > 0, "{}", ended.report());
}

#[test]
fn an_unread_dry_run_waits_for_a_signal_and_the_flush_timeout() {
    let dir = Dir::new();
    let args = ["--dry-run", "--linger", "50ms", "--flush-timeout", "50ms"];
    let run = LokiPush::bare().args(args).summed().stdin_open();
    // Whoever has the other end never reads.
    let run = run.cwd(dir.path());
    let run = run.after("mkfifo out; exec 9<>out >out").spawn();
    run.write("line\n".repeat(50_000));
    run.wait_for_fed(250_000);
    run.ask_until("\"read\":50000,");
    run.signal("TERM");
    let ended = run.wait_to_end().expect(1);
    let said = ended.stderr.clone();
    assert!(said.contains("not printed: "), "{said}");
    assert_law(&ended.summary());
}

#[test]
fn the_summary_has_every_key_of_the_promise() {
    let loki = Loki::start();
    loki.faults([Fault::Pass, Fault::Status(503), Fault::Status(260)]);
    let args = [
        "--batch-size",
        "2",
        "--summary",
        "json",
        "--retry-backoff",
        "10ms",
    ];
    let ended = LokiPush::new(&loki)
        .args(args)
        .stdin_bytes("a\nb\nc\n")
        .run()
        .expect(1);
    let last = ended.stderr.lines().last().expect("a summary");
    let json: Value = serde_json::from_str(last).expect("one JSON object on a line of its own");
    for (key, value) in [
        ("read", 3),
        ("delivered", 2),
        ("refused", 1),
        ("dropped", 0),
        ("spooled", 0),
        ("filtered", 0),
        ("left", 0),
        ("requests", 3),
        ("retries", 1),
        ("bytes_read", 6),
    ] {
        assert_eq!(json[key], value, "{key} in {last}");
    }
    assert_eq!(
        json["reasons"].as_object().map(serde_json::Map::len),
        Some(1),
        "{last}"
    );
    assert!(
        json["seconds"]
            .as_f64()
            .is_some_and(|seconds| seconds > 0.0)
    );
    let sent: usize = loki.requests().iter().map(|push| push.body.len()).sum();
    assert_eq!(json["bytes_sent"], sent);
    assert!(json.get("command_exit").is_none());
    assert_eq!(ended.summary().delivered, 2);
}

#[test]
fn the_summary_in_words_is_one_line() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--summary", "text"]);
    let ended = run.stdin_bytes("a\nb\n").run().expect(0);
    assert_eq!(ended.stderr.lines().count(), 1);
    ended.expect_stderr([
        "loki-push: read 2, delivered 2, refused 0, dropped 0, spooled 0, filtered 0, left 0;",
        " 1 request, 0 retries, 4 B read,",
    ]);
}

#[test]
fn quiet_says_only_what_is_final() {
    let loki = Loki::start();
    loki.faults(vec![Fault::Status(503); 4]);
    let run = LokiPush::new(&loki).impatient().arg("-q");
    run.stdin_bytes("a\n").run().expect(0).expect_silence();

    let loki = Loki::reserve();
    let run = LokiPush::new(&loki)
        .impatient()
        .args(["--quiet", "--flush-timeout", "300ms"]);
    let ended = run.stdin_bytes("a\n").run().expect(1);
    assert_eq!(ended.messages().len(), 1, "{}", ended.report());
    ended.expect_stderr(["1 entry not delivered"]);
}

#[test]
fn verbose_reports_requests_retries_and_batches() {
    let loki = Loki::start();
    loki.fault(Fault::Answer(Answer::error(
        503,
        "busy\x1b[31m\nsecond line",
    )));
    let run = LokiPush::new(&loki).impatient().arg("-v");
    let ended = run.stdin_bytes("a\n").run().expect(0);
    let lines: Vec<&str> = ended.stderr.lines().collect();
    let [failed, retry, delivered, batch] = lines[..] else {
        panic!("{}", ended.report());
    };
    let url = format!("loki-push: POST {}/loki/api/v1/push: 1 entry", loki.url());
    assert!(
        failed.starts_with(&url) && failed.contains(": 503 busy"),
        "{failed}"
    );
    assert!(
        delivered.starts_with(&url) && delivered.contains(": delivered"),
        "{delivered}"
    );
    assert!(retry.starts_with("loki-push: retrying in "), "{retry}");
    assert!(retry.ends_with(": 503 busy[31m second line"), "{retry}");
    assert!(
        batch.starts_with("loki-push: batch 0: 1 entry, 1 request, "),
        "{batch}"
    );
}

#[test]
fn secrets_are_never_shown() {
    let loki = Loki::start();
    loki.always(Fault::Status(401));
    let url = loki.url().replace("http://", "http://me:s3cret@");
    let args = [
        "-v",
        "--header",
        "X-Key: s3cret",
        "--flush-timeout",
        "100ms",
    ];
    let ended = LokiPush::at(url)
        .args(args)
        .impatient()
        .summed()
        .stdin_bytes("a\n")
        .run();
    let ended = ended.expect(1);
    assert!(!ended.stderr.contains("s3cret"), "{}", ended.stderr);
    let request = &loki.requests()[0];
    assert_eq!(request.headers.get("X-Key"), Some("s3cret"));
    assert_eq!(
        request.headers.get("Authorization"),
        Some("Basic bWU6czNjcmV0")
    );
}

#[test]
fn a_terminal_on_stdin_gets_a_hint() {
    let Some(terminal) = Terminal::open() else {
        return;
    };
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--flush-interval", "10ms"]);
    let run = run.at_terminal(&terminal).spawn();
    run.wait_for_stderr("reading from the terminal: press Ctrl-D");
    terminal.press("typed\n");
    loki.wait_for_entries(1);
    terminal.press(Terminal::CTRL_D);
    run.wait_to_end().expect(0);
    assert_eq!(loki.lines(), ["typed"]);
    loki.assert_clean();
}

#[test]
fn a_refusal_without_words_ends_where_its_words_would_begin() {
    for status in [400, 422, 503] {
        let loki = Loki::start();
        loki.always(Fault::Answer(Answer::new(status)));
        let args = ["-v", "-m", "x", "--max-retries", "1"];
        let ended = LokiPush::new(&loki).impatient().args(args).run().expect(1);
        let blank = |line: &&str| {
            let mut bytes = line.bytes().rev();
            let hangs = matches!(bytes.next(), Some(b' ' | b':'));
            hangs || line.contains(" ;") || line.contains(" )") || line.contains(": ;")
        };
        let said = ended.messages();
        assert!(
            !said.is_empty() && !said.iter().any(blank),
            "{status}: {}",
            ended.report()
        );
    }
}

#[test]
fn a_dry_run_onto_a_full_disk_speaks_of_the_disk() {
    let run = LokiPush::bare().args(["--dry-run", "--batch-size", "1"]);
    let run = run.in_shell("\"$@\" >/dev/full");
    let ended = run.stdin_bytes("a\nb\n").run().expect(1);
    let said = &ended.stderr;
    assert_eq!(
        said.matches("cannot write standard output").count(),
        1,
        "{said}"
    );
    assert!(said.contains("2 entries not printed"), "{said}");
    for word in ["Loki", "--url", "--spool", "--flush-timeout"] {
        assert!(!said.contains(word), "{word}: {said}");
    }
}

#[test]
fn a_failing_tee_is_reported_once_and_shipping_continues() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--tee", "--", "seq", "20"]);
    let ended = run.after("exec >/dev/full").run().expect(0);
    let said = ended.stderr.matches("--tee").count();
    assert_eq!(said, 1, "{}", ended.report());
    assert_eq!(loki.entries().len(), 21);
}
