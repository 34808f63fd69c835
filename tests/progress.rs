//! `--progress`: a bar for files, a spinner when asked for, lines of text where there is nothing to
//! draw on, and nothing where it would be in the way.

use std::time::Duration;

use crate::support::loki::Fault;
use crate::support::{Dir, Loki, LokiPush, Terminal};

/// What a terminal is told to clear a line: a sign that something was drawn.
const DRAWN: &str = "\x1b[2K";

fn lines(n: usize) -> String {
    (0..n).fold(String::new(), |text, n| text + &format!("line {n}\n"))
}

/// A run whose standard error is this terminal, and nothing else.
fn shown_on(terminal: &Terminal, loki: &Loki) -> LokiPush {
    let name = terminal.name().to_string_lossy();
    let run = LokiPush::new(loki).env("TERM", "xterm");
    run.after(&format!("exec 2>{name}"))
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
fn the_size_in_the_bar_is_that_of_what_is_read() {
    let dir = Dir::new();
    dir.write("a.log", lines(10));
    dir.write("b.log", lines(1_000));
    dir.write("c.log", b"\x28\xb5\x2f\xfd\x04\0\0");
    dir.write("refused.log", lines(1_000));
    let Some(terminal) = Terminal::open() else {
        return;
    };
    let loki = Loki::start();
    let run = shown_on(&terminal, &loki).cwd(dir.path());
    let run = run.args([
        "--limit-rate",
        "100",
        "--exclude-path",
        "b.*",
        "*.log",
        "b.log",
    ]);
    run.args(["--dead-letter", "refused.log"]).run().expect(0);
    terminal.wait_for("of 70 B");
    assert_eq!(loki.lines().len(), 10);
}

#[test]
fn a_file_gets_a_bar_that_leaves_a_clean_line() {
    let dir = Dir::new();
    let file = dir.write("log", lines(10));
    for given in [false, true] {
        let Some(terminal) = Terminal::open() else {
            return;
        };
        let loki = Loki::start();
        let run = shown_on(&terminal, &loki).args(["--limit-rate", "100"]);
        let run = if given {
            run.arg(&file)
        } else {
            run.stdin_file(&file)
        };
        run.run().expect(0);
        for text in ["of 70 B", " left, ", " lines"] {
            terminal.wait_for(text);
        }
        if given {
            // What was read from a file is found with the command below the bar.
            terminal.wait_for("10 entries delivered; to see them: logcli query");
            terminal.wait_for_last("'{app=\"default\"}'\r\n");
        } else {
            terminal.wait_for_last(DRAWN);
        }
        assert_eq!(loki.lines().len(), 10);
    }
}

#[test]
fn the_command_that_shows_the_entries_stays_away_where_it_would_disturb() {
    let dir = Dir::new();
    let file = dir.write("log", lines(10));
    let Some(terminal) = Terminal::open() else {
        return;
    };
    let loki = Loki::start();
    for args in [
        &["-q"][..],
        &["--summary", "json"],
        &["--tee"],
        &["--org-id", "red"],
    ] {
        loki.client_restarted();
        let run = shown_on(&terminal, &loki).args(args).arg(&file);
        run.run().expect(0);
    }
    // The last run alone, which is without any of them. The command has the tenant.
    terminal.wait_for("logcli query");
    terminal.wait_for("--org-id=red");
    assert_eq!(terminal.shown().matches("logcli query").count(), 1);
}

#[test]
fn with_a_checkpoint_the_bar_counts_what_is_left_to_read() {
    let Some(terminal) = Terminal::open() else {
        return;
    };
    let (loki, dir) = (Loki::start(), Dir::new());
    let file = dir.write("log", lines(10));
    let checkpoint = dir.join("state");
    let args = [
        "--checkpoint".as_ref(),
        checkpoint.as_os_str(),
        file.as_os_str(),
    ];
    LokiPush::new(&loki).args(args).run().expect(0);
    dir.append("log", lines(20));
    let run = shown_on(&terminal, &loki).args(["--limit-rate", "200"]);
    run.args(args).run().expect(0);
    for text in ["of 150 B", " left, "] {
        terminal.wait_for(text);
    }
    assert_eq!(loki.lines().len(), 30);
}

#[test]
fn a_pipe_gets_a_spinner_and_messages_get_their_own_lines() {
    let Some(terminal) = Terminal::open() else {
        return;
    };
    let loki = Loki::start();
    loki.always(Fault::Status(503));
    let run = shown_on(&terminal, &loki).args(["--progress", "always", "-v"]);
    let running = run.stdin_open().spawn();
    running.write("hello\n");
    terminal.wait_for("waiting: 503 Service Unavailable, next try in");
    loki.clear();
    running.wait().expect(0);
    terminal.wait_for("1 line,");
    let shown = terminal.shown();
    let before = shown.split("loki-push: retrying in").next();
    let before = before.unwrap_or_default();
    assert!(before.is_empty() || before.ends_with(DRAWN), "{shown:?}");
    assert_eq!(loki.lines(), ["hello"]);
}

#[test]
fn a_short_run_shows_nothing() {
    let Some(terminal) = Terminal::open() else {
        return;
    };
    let loki = Loki::start();
    let run = shown_on(&terminal, &loki).args(["--progress", "always", "-m", "x"]);
    run.run().expect(0);
    assert!(!terminal.shown().contains("lines"), "{}", terminal.shown());
}

#[test]
fn asked_for_in_a_pipe_it_is_a_plain_line_now_and_then() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let file = dir.write("log", lines(300));
    // For thirteen seconds: one line.
    let run = LokiPush::new(&loki).args(["--progress", "always", "--limit-rate", "200"]);
    let ended = run
        .arg(file)
        .deadline(Duration::from_mins(1))
        .run()
        .expect(0);
    let said = ended.messages();
    assert!((1..=3).contains(&said.len()), "{}", ended.report());
    let line = said.first().expect("a line");
    assert!(line.contains("KiB of 2.5 KiB, "), "{line}");
    assert!(line.contains("s left, "), "{line}");
    assert!(!ended.stderr.contains(['\x1b', '\r']), "{}", ended.report());
}
