//! `--progress`: a bar for files, a spinner when asked for, and nothing where it would be in the way.

use crate::support::loki::Fault;
use crate::support::{Dir, Loki, LokiPush};

/// What a terminal is told to clear a line: a sign that something was drawn.
const DRAWN: &str = "\x1b[2K";

fn lines(n: usize) -> String {
    (0..n).fold(String::new(), |text, n| text + &format!("line {n}\n"))
}

#[test]
fn auto_is_silent_where_standard_error_is_a_pipe() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let file = dir.write("log", lines(10));
    let run = LokiPush::new(&loki)
        .args(["--limit-rate", "100"])
        .stdin_file(file);
    run.run().expect(0).expect_silence();
    assert_eq!(loki.lines().len(), 10);
}

#[test]
fn always_draws_a_bar_for_a_file_and_leaves_a_clean_line() {
    let dir = Dir::new();
    let file = dir.write("log", lines(10));
    for given in [false, true] {
        let loki = Loki::start();
        let run = LokiPush::new(&loki).args(["--progress", "always", "--limit-rate", "100"]);
        let run = if given {
            run.arg(&file)
        } else {
            run.stdin_file(&file)
        };
        let finished = run.run().expect(0);
        finished
            .clone()
            .expect_stderr(["of 70 B", " left, ", " lines"]);
        assert!(finished.stderr.ends_with(DRAWN), "{}", finished.report());
        assert_eq!(loki.lines().len(), 10);
    }
}

#[test]
fn a_pipe_gets_a_spinner_with_what_is_waited_for_and_messages_on_their_own_lines() {
    let loki = Loki::start();
    loki.always(Fault::Status(503));
    let run = LokiPush::new(&loki)
        .args(["--progress", "always", "-v"])
        .stdin_open();
    let running = run.spawn();
    running.write("hello\n");
    running.wait_for_stderr("waiting: 503 Service Unavailable, next try in");
    loki.clear();
    let finished = running.wait().expect(0);
    finished.clone().expect_stderr(["1 line,"]);
    let note = "loki-push: trying again in";
    let before = finished.stderr.split(note).next().unwrap_or_default();
    assert!(
        before.is_empty() || before.ends_with(DRAWN),
        "{}",
        finished.report()
    );
    assert_eq!(loki.lines(), ["hello"]);
}

#[test]
fn a_short_run_shows_nothing() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--progress", "always", "-m", "x"]);
    let finished = run.run().expect(0);
    assert!(!finished.stderr.contains("lines"), "{}", finished.report());
}
