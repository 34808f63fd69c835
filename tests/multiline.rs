//! `--multiline`, `--include` and `--exclude`: which lines make an entry, and which are shipped.

use std::sync::mpsc;
use std::time::Duration;

use crate::support::{Dir, Loki, LokiPush};

const TRACE: &str = "Error: x\n  at a\r\n\n  at b\n";

#[test]
fn a_stack_trace_is_one_entry() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--multiline", r"^\S"]);
    run.stdin_bytes(format!("  before\n{TRACE}next\n{TRACE}"))
        .run()
        .expect(0)
        .expect_silence();
    let trace = "Error: x\n  at a\n\n  at b";
    assert_eq!(loki.lines(), ["  before", trace, "next", trace]);
    loki.assert_clean();
}

#[test]
fn a_pause_closes_an_entry() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--multiline", r"^\S", "--multiline-wait", "50ms"]);
    let run = run.args(["--flush-interval", "10ms"]).stdin_open().spawn();
    for n in 1..=3 {
        run.write("Error\n  at a\n");
        loki.wait_for_entries(n);
    }
    run.wait().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["Error\n  at a"; 3]);
}

#[test]
fn a_signal_closes_an_entry_and_last_words_still_join() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--multiline", r"^\S", "--multiline-wait", "1h"]);
    let run = run.args(["--linger", "1h"]).stdin_open().spawn();
    run.write(format!("first\n{TRACE}"));
    loki.wait_for_entries(1);
    run.signal("TERM");
    loki.wait_for_entries(2);
    run.write("last\n words");
    run.wait().expect(0).expect_silence();
    assert_eq!(loki.lines()[1], "Error: x\n  at a\n\n  at b");
    assert_eq!(loki.lines()[2..].join("\n"), "last\n words");
}

#[test]
fn a_line_without_its_end_is_shipped_when_the_linger_is_over() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--linger", "50ms", "--multiline", r"^\S"]);
    let run = run.stdin_open().spawn();
    run.write("first\nError\n  no end");
    loki.wait_for_entries(1);
    run.signal("TERM");
    run.wait_to_end().expect(0).expect_silence();
    assert_eq!(loki.lines().join("\n"), "first\nError\n  no end");
}

#[test]
fn an_entry_that_never_ends_is_bounded_and_said_once() {
    let loki = Loki::start();
    let input = (0..20_000).fold(String::new(), |text, n| text + &format!(" line {n}\n"));
    let run = LokiPush::new(&loki).args(["--multiline", r"^\S", "--max-line-size", "1000"]);
    let run = run.args(["-k", "k=v"]).stdin_bytes(input.clone());
    let done = run.run().expect(0).expect_stderr(["--multiline"]);
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    let lines = loki.lines();
    assert!(lines.iter().all(|line| line.len() <= 1_000));
    assert!(lines.len() < 400, "{}", lines.len());
    let shipped: Vec<&str> = lines
        .iter()
        .map(|line| line.strip_suffix(" | k=v").unwrap())
        .collect();
    assert!(shipped.join("\n") + "\n" == input);
    loki.assert_clean();
}

#[test]
fn records_are_joined_too() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["-0", "--multiline", "^>"]);
    run.stdin_bytes("> a\nb\0c\0> d\0").run().expect(0);
    assert_eq!(loki.lines(), ["> a\nb\nc", "> d"]);
}

#[test]
fn what_a_filter_leaves_out_is_counted() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki)
        .args(["--include", "GET", "--include", "POST", "--summary", "json"])
        .env("LOKI_PUSH_EXCLUDE", "health\nready");
    let input = "GET /\nGET /health\nPUT /\nPOST /\nPOST /ready\n\n";
    let summary = run.stdin_bytes(input).run().expect(0).summary();
    assert_eq!(loki.lines(), ["GET /", "POST /"]);
    assert_eq!(
        (summary.read, summary.filtered, summary.delivered),
        (6, 4, 2)
    );
}

#[test]
fn a_filter_sees_entries_whole() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--multiline", r"^\S", "--exclude", "at noise"]);
    let run = run.args(["--summary", "json"]);
    let input = "one\n  at noise\ntwo\n  at a\n";
    let summary = run.stdin_bytes(input).run().expect(0).summary();
    assert_eq!(loki.lines(), ["two\n  at a"]);
    assert_eq!((summary.read, summary.filtered), (2, 1));
}

#[test]
fn all_pieces_of_a_long_line_go_one_way() {
    let loki = Loki::start();
    let long = |begin: &str| format!("{begin}{}\n", "x".repeat(25));
    let run = LokiPush::new(&loki).args(["--exclude", "^no", "--max-line-size", "10"]);
    let run = run.args(["--summary", "json"]);
    let summary = run
        .stdin_bytes(long("no") + &long("yes"))
        .run()
        .expect(0)
        .summary();
    assert_eq!(loki.lines().concat() + "\n", long("yes"));
    assert_eq!(
        (summary.read, summary.filtered, summary.delivered),
        (6, 3, 3)
    );
}

#[test]
fn when_nothing_is_left_all_is_well() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--exclude", "", "--summary", "json"]);
    let summary = run.stdin_bytes("a\nb\n").run().expect(0).summary();
    assert_eq!(
        (summary.read, summary.filtered, summary.requests),
        (2, 2, 0)
    );
}

#[test]
fn a_wrong_pattern_is_wrong_usage() {
    let run = LokiPush::bare().args(["--multiline", "^(a"]);
    run.run()
        .expect(2)
        .expect_stderr(["--multiline", "unclosed group", "at character 2"]);
}

#[test]
fn lines_of_files_are_joined_and_a_pause_closes_them_too() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let log = dir.write("log", TRACE);
    let run = LokiPush::new(&loki).args(["--multiline", r"^\S", "--multiline-wait", "50ms"]);
    run.arg(&log).run().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["Error: x\n  at a\n\n  at b"]);

    let run = LokiPush::new(&loki).args(["--multiline", r"^\S", "--multiline-wait", "50ms"]);
    let run = run
        .args(["--follow", "--from", "start", "--flush-interval", "10ms"])
        .arg(&log)
        .spawn();
    loki.wait_for_entries(2);
    dir.append("log", "next\n  more\n");
    loki.wait_for_entries(3);
    dir.append("log", "last\n  words");
    run.signal("TERM");
    run.wait().expect(0).expect_silence();
    assert_eq!(loki.lines()[2], "next\n  more");
    assert_eq!(loki.lines()[3..].join("\n"), "last\n  words");
}

#[test]
fn what_is_filtered_is_settled() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let log = dir.write("log", "a\nb\nc\n");
    let mut read = Vec::new();
    for _ in 0..2 {
        let run = LokiPush::new(&loki)
            .arg("--checkpoint")
            .arg(dir.join("checkpoint"));
        let run = run.args(["--exclude", "", "--summary", "json"]).arg(&log);
        read.push(run.run().expect(0).summary().read);
    }
    assert_eq!(read, [3, 0]);
}

#[test]
fn a_message_is_filtered_too() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).summed();
    let ended = run.args(["-m", "foo", "--exclude", "foo"]).run().expect(0);
    assert_eq!((ended.summary().read, ended.summary().filtered), (1, 1));
    assert!(loki.entries().is_empty());
}

#[test]
fn the_beginning_of_a_line_keeps_an_entry_open() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--multiline", r"^\S", "--multiline-wait", "600ms"]);
    let mut run = run.args(["--flush-interval", "10ms"]).stdin_open().spawn();
    run.write("start\n");
    // In pieces of a line, for longer than the wait.
    let (_never, beats) = mpsc::channel::<()>();
    run.write(" ");
    for _ in 0..15 {
        let _ = beats.recv_timeout(Duration::from_millis(100));
        run.write("x");
    }
    run.write("\n");
    run.close_stdin();
    run.wait_to_end().expect(0);
    assert_eq!(loki.lines(), [format!("start\n {}", "x".repeat(15))]);
}
