//! `-- COMMAND`: what it prints, its status, its signals, and what it leaves behind.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::support::{Dir, Fault, Finished, Loki, LokiPush, Running, Terminal};
use crate::support::{in_time, once_in_a_few};

fn sh(loki: &Loki, script: &str) -> LokiPush {
    LokiPush::new(loki).args(["--", "sh", "-c", script])
}

/// What a command printed; the closing entry is not among it.
fn printed(loki: &Loki, stream: &str) -> Vec<String> {
    loki.lines_of(&[("stream", stream)])
}

/// The one closing entry and its level.
#[track_caller]
fn closing(loki: &Loki) -> (String, String) {
    let mut entries = loki.entries();
    entries.sort_by_key(|entry| entry.time);
    let last = entries.pop().expect("a closing entry");
    assert_eq!(
        last.labels.get("stream").map(String::as_str),
        Some("exit"),
        "{loki:?}"
    );
    let others = entries.iter().filter(|e| e.labels["stream"] == "exit");
    assert_eq!(others.count(), 0, "{loki:?}");
    (
        last.line,
        last.labels.get("level").cloned().unwrap_or_default(),
    )
}

fn has_field(line: &str, field: &str) -> bool {
    line.split(' ').any(|word| word == field)
}

#[test]
fn a_command_leaves_its_lines_its_end_and_its_status() {
    let loki = Loki::start();
    let run = sh(&loki, "echo out; echo err >&2; exit 7");
    let done = run.arg("unused").run().expect(7).expect_silence();
    assert_eq!(printed(&loki, "stdout"), ["out"]);
    assert_eq!(printed(&loki, "stderr"), ["err"]);
    let (line, level) = closing(&loki);
    assert!(
        line.starts_with("command exited | command=sh exit_code=7 duration_ms="),
        "{line}"
    );
    assert!(line.ends_with(" lines_stdout=1 lines_stderr=1"), "{line}");
    assert_eq!(level, "error");
    assert!(
        loki.entries()
            .iter()
            .all(|entry| entry.labels["app"] == "sh"),
        "{done:?}"
    );
    loki.assert_clean();
}

#[test]
fn success_is_info_and_the_closing_entry_can_be_left_out() {
    let loki = Loki::start();
    LokiPush::new(&loki)
        .args(["-k", "host=a", "--", "true"])
        .run()
        .expect(0)
        .expect_silence();
    let (line, level) = closing(&loki);
    assert!(
        line.contains(" lines_stdout=0 lines_stderr=0 host=a"),
        "{line}"
    );
    assert_eq!(level, "info");

    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["-a", "x", "--no-exit-entry", "--summary", "json"]);
    let done = run
        .args(["--", "sh", "-c", "echo one; exit 3"])
        .run()
        .expect(3);
    assert_eq!(loki.lines(), ["one"]);
    assert_eq!(loki.entries()[0].labels["app"], "x");
    let summary = done.summary();
    assert_eq!(
        (summary.read, summary.delivered, summary.command_exit),
        (1, 1, Some(3))
    );
}

#[test]
fn a_command_that_cannot_start_has_the_status_of_a_shell() {
    for (command, status) in [
        ("/no/such/backup.sh", 127),
        ("/etc/passwd", 126),
        ("/", 126),
    ] {
        let loki = Loki::start();
        let run = LokiPush::new(&loki).args(["--", command]);
        run.run()
            .expect(status)
            .expect_stderr(["cannot run", command]);
        let (line, level) = closing(&loki);
        assert!(has_field(&line, &format!("exit_code={status}")), "{line}");
        assert_eq!(level, "error");
    }
}

#[test]
fn wrong_usage_is_125_in_command_mode_and_help_is_not_wrong() {
    for args in [
        &["--nonsense", "--", "true"][..],
        &["--batch-bytes", "0", "--", "true"],
        &["--include", "a(", "--", "true"],
        &["-m", "text", "--", "true"],
        &["file.log", "--", "true"],
        &["--url", "nonsense", "--", "true"],
    ] {
        LokiPush::bare().args(args).run().expect(125);
    }
    LokiPush::bare().args(["--nonsense"]).run().expect(2);
    LokiPush::bare().args(["--nonsense", "--"]).run().expect(2);
    // `loki-push -- $JOB` of an empty JOB would wait for standard input.
    let ended = LokiPush::bare().args(["-a", "x", "--"]).run().expect(125);
    ended.expect_stderr(["expected a COMMAND after `--`"]);
    LokiPush::bare()
        .args(["--help", "--", "true"])
        .run()
        .expect(0);
}

#[test]
fn a_script_without_a_first_line_is_run_as_everywhere() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let script = dir.write_program("job", "echo \"$0 $1\"\n");
    LokiPush::new(&loki)
        .arg("--")
        .arg(&script)
        .arg("x")
        .run()
        .expect(0);
    assert_eq!(
        printed(&loki, "stdout"),
        [format!("{} x", script.display())]
    );
}

#[test]
fn standard_input_is_the_commands() {
    let loki = Loki::start();
    sh(&loki, "cat; echo end")
        .stdin_bytes("one\ntwo\n")
        .run()
        .expect(0);
    assert_eq!(printed(&loki, "stdout"), ["one", "two", "end"]);
}

#[test]
fn much_on_both_pipes_blocks_neither_and_keeps_its_order() {
    let loki = Loki::start();
    let done = sh(
        &loki,
        "seq -f %0200g 1 20000 >&2; seq -f %0200g 1 20000; seq -f %0200g 1 20000 >&2",
    )
    .run()
    .expect(0)
    .expect_silence();
    let expected: Vec<String> = (1..=20_000).map(|n| format!("{n:0200}")).collect();
    let (out, err) = (printed(&loki, "stdout"), printed(&loki, "stderr"));
    assert!(out == expected, "{} lines\n{done:?}", out.len());
    assert!(
        err == [expected.clone(), expected].concat(),
        "{} lines\n{done:?}",
        err.len()
    );
    assert!(
        closing(&loki)
            .0
            .contains("lines_stdout=20000 lines_stderr=40000")
    );
    loki.assert_clean();
}

#[test]
fn the_closing_entry_counts_lines_however_they_became_entries() {
    for (args, lines) in [
        (&["--multiline", "^a"][..], "lines_stdout=3 lines_stderr=1"),
        (&["--max-line-size", "4"], "lines_stdout=3 lines_stderr=1"),
        (&["--exclude", "b"], "lines_stdout=3 lines_stderr=1"),
    ] {
        let loki = Loki::start();
        let script = "printf 'aaaaaaaaaa\nb\nc'; echo b >&2";
        let run = LokiPush::new(&loki).args(args);
        run.args(["--", "sh", "-c", script]).run().expect(0);
        let (line, _) = closing(&loki);
        assert!(line.ends_with(lines), "{args:?}: {line}");
        loki.assert_clean();
    }
}

#[test]
fn tee_gives_both_outputs_on_as_they_came() {
    let loki = Loki::start();
    let script = r"printf 'a\r\n\0\377'; printf 'e\n\nno end' >&2";
    // Quiet, since one line is not UTF-8.
    let run = LokiPush::new(&loki).args(["-q", "--tee", "--", "sh", "-c", script]);
    let done = run.run().expect(0);
    assert_eq!(done.stdout, b"a\r\n\0\xff");
    assert_eq!(done.stderr, "e\n\nno end");
    assert_eq!(printed(&loki, "stderr"), ["e", "", "no end"]);
}

#[test]
fn what_the_command_leaves_behind_is_read_until_it_ends() {
    let loki = Loki::start();
    let script = "{ sleep 0.4; echo late; sleep 0.4; echo later >&2; } & echo now";
    // Its silence is shorter than the linger, all of it takes longer.
    let run = LokiPush::new(&loki).args(["--linger", "1h", "--", "sh", "-c", script]);
    run.run().expect(0).expect_silence();
    assert_eq!(printed(&loki, "stdout"), ["now", "late"]);
    assert_eq!(printed(&loki, "stderr"), ["later"]);
    let (line, _) = closing(&loki);
    assert!(line.ends_with("lines_stdout=2 lines_stderr=1"), "{line}");
    loki.assert_clean();
}

#[test]
fn one_who_stays_behind_and_is_silent_is_named_and_left() {
    let loki = Loki::start();
    let script = "sleep 120 & echo $!; printf 'no end' >&2";
    let run = LokiPush::new(&loki).args(["--linger", "300ms", "--", "sh", "-c", script]);
    let done = run.run().expect(0);
    assert!(done.elapsed >= Duration::from_millis(300), "{done:?}");
    let sleeper = printed(&loki, "stdout").remove(0);
    let done = done.expect_stderr(["sleep", &sleeper, "sh"]);
    assert_eq!(done.stderr.lines().count(), 1, "{done:?}");
    assert!(
        Command::new("kill")
            .arg(sleeper)
            .status()
            .unwrap()
            .success(),
        "it still sleeps"
    );
    assert_eq!(printed(&loki, "stderr"), ["no end"]);
    closing(&loki);
}

#[test]
fn a_talkative_orphan_is_read_for_twelve_lingers() {
    in_time(Duration::from_secs(8), || {
        let loki = Loki::start();
        let script = "yes >&2 & echo $!";
        let run = LokiPush::new(&loki).args(["--linger", "200ms", "--on-full", "drop-newest"]);
        // It ends by SIGPIPE when we are gone.
        let run = run.args(["--exclude", "^y$", "--", "sh", "-c", script]);
        let done = run.run().expect(0).expect_stderr(["yes"]);
        assert!(done.elapsed >= Duration::from_millis(2_400), "{done:?}");
        assert_eq!(printed(&loki, "stdout").len(), 1);
        closing(&loki);
        done.elapsed
    });
}

/// The letters of the lines `o1`, `e1`, … by their time.
fn letters(loki: &Loki) -> String {
    let mut entries = loki.entries();
    entries.retain(|entry| entry.labels["stream"] != "exit");
    entries.sort_by_key(|entry| entry.time);
    entries
        .iter()
        .filter_map(|entry| entry.line.chars().next())
        .collect()
}

#[test]
fn stdout_and_stderr_are_stamped_in_the_order_in_which_they_came() {
    let script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            echo o$i; sleep 0.02; echo e$i >&2; sleep 0.02; done";
    once_in_a_few(|| {
        let loki = Loki::start();
        sh(&loki, script).run().expect(0);
        let found = letters(&loki);
        let kept = found == "oe".repeat(20);
        kept.then_some(()).ok_or(found)
    });
}

#[test]
fn stdout_and_stderr_written_in_turn_stay_interleaved() {
    let script = "i=0; while test $i -lt 20000; do echo o$i; echo e$i >&2; i=$((i+1)); done";
    once_in_a_few(|| {
        let loki = Loki::start();
        sh(&loki, script).run().expect(0);
        let found = letters(&loki);
        assert_eq!(found.len(), 40_000);
        let lumps = found.as_bytes().chunk_by(|one, other| one == other);
        let largest = lumps.map(<[u8]>::len).max().unwrap_or_default();
        let kept = largest <= 1_000;
        kept.then_some(()).ok_or(format!("{largest} in a row"))
    });
}

#[test]
fn a_loki_that_is_away_costs_the_flush_timeout_and_no_more() {
    let loki = Loki::reserve();
    // A last try may take a second, and so may its timeout.
    in_time(Duration::from_secs(4), || {
        let run = LokiPush::new(&loki).args(["--flush-timeout", "1s", "--summary", "json"]);
        let run = run.args(["--", "sh", "-c", "echo one; exit 3"]);
        let done = run
            .run()
            .expect(3)
            .expect_stderr(["2 entries not delivered"]);
        let summary = done.summary();
        assert_eq!(
            (summary.read, summary.left, summary.command_exit),
            (2, 2, Some(3))
        );
        done.elapsed
    });
}

#[test]
fn with_a_spool_an_unreachable_loki_costs_five_seconds_by_default() {
    std::thread::scope(|scope| {
        for (given, expected) in [(None, 5), (Some("8s"), 8)] {
            scope.spawn(move || {
                let (loki, dir) = (Loki::reserve(), Dir::new());
                in_time(Duration::from_secs(expected + 1), || {
                    let run = LokiPush::new(&loki).summed();
                    let run = run.arg("--spool").arg(dir.join("spool"));
                    let given = given.map(|time| ["--flush-timeout", time]);
                    let run = run.args(given.iter().flatten());
                    let done = run.args(["--", "sh", "-c", "echo one; exit 3"]).run();
                    let done = done.expect(3);
                    assert_eq!(done.summary().spooled, 2, "{done:?}");
                    assert!(done.elapsed >= Duration::from_secs(expected), "{done:?}");
                    done.elapsed
                });
            });
        }
    });
}

#[test]
fn with_a_spool_a_refused_connection_costs_five_seconds() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    // When nobody accepts connections, the kernel soon leaves further ones unanswered.
    let mut waiting = Vec::new();
    while let Ok(one) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        waiting.push(one);
    }
    in_time(Duration::from_secs(6), || {
        let dir = Dir::new();
        let run = LokiPush::at(format!("http://{address}")).summed();
        let run = run.arg("--spool").arg(dir.join("spool"));
        let done = run.args(["--", "sh", "-c", "echo one; exit 3"]).run();
        let done = done.expect(3);
        assert_eq!(done.summary().spooled, 2, "{done:?}");
        done.elapsed
    });
}

#[test]
fn a_slow_loki_gets_the_last_batch_within_the_request_timeout() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.always(Fault::Slow(Duration::from_secs(8)));
    let run = LokiPush::new(&loki).summed();
    let run = run.arg("--spool").arg(dir.join("spool"));
    let done = run.args(["--no-exit-entry", "--", "sh", "-c", "echo one; exit 3"]);
    let done = done.run().expect(3);
    let summary = done.summary();
    assert_eq!((summary.delivered, summary.spooled), (1, 0), "{done:?}");
    assert_eq!(loki.lines(), ["one"]);
}

#[test]
fn a_command_whose_lines_may_be_dropped_is_never_blocked() {
    let loki = Loki::reserve();
    let run = LokiPush::new(&loki)
        .args([
            "--flush-timeout",
            "0",
            "--on-full",
            "drop-newest",
            "--buffer",
            "64KiB",
        ])
        .args([
            "--batch-bytes",
            "64KiB",
            "--gzip-level",
            "0",
            "--summary",
            "json",
        ]);
    let done = run
        .args(["--", "seq", "-f", "%0200g", "1", "20000"])
        .run()
        .expect(0);
    let summary = done.summary();
    assert_eq!(summary.read, 20_001);
    assert!(summary.dropped > 0, "{summary:?}");
}

#[test]
fn a_command_blocked_by_a_full_buffer_can_be_stopped() {
    let loki = Loki::reserve();
    let run = LokiPush::new(&loki)
        .args([
            "--flush-timeout",
            "500ms",
            "--linger",
            "1h",
            "--buffer",
            "64KiB",
        ])
        .args([
            "--batch-bytes",
            "64KiB",
            "--gzip-level",
            "0",
            "-v",
            "--summary",
            "json",
        ]);
    let run = run.args(["--", "sh", "-c", "echo go; exec yes"]).spawn();
    run.wait_for_stderr("retrying");
    run.signal("TERM");
    let done = run.wait_to_end().expect(143);
    assert!(done.summary().left > 0);
}

#[test]
fn our_own_words_are_not_shipped() {
    let loki = Loki::start();
    loki.fault(crate::support::Fault::Status(503));
    let run = LokiPush::new(&loki).args(["-v", "--retry-backoff", "10ms"]);
    run.args(["--", "sh", "-c", "echo one"])
        .run()
        .expect(0)
        .expect_stderr(["retrying"]);
    assert_eq!(printed(&loki, "stderr"), [""; 0]);
}

#[test]
fn a_child_can_be_waited_for_whatever_we_inherit() {
    let loki = Loki::start();
    sh(&loki, "exit 7").after("trap '' CHLD").run().expect(7);
    assert!(has_field(&closing(&loki).0, "exit_code=7"));
}

/// A command that prints `ready` and then waits until somebody it started, who has its pipes too,
/// is let go; `trap` is what it does about signals.
struct Held {
    loki: Loki,
    run: Running,
}

impl Held {
    fn start(trap: &str, options: &[&str]) -> Self {
        let loki = Loki::start();
        let script = format!("{trap}; {HELD}");
        let run = LokiPush::new(&loki)
            .args(["--flush-interval", "10ms"])
            .args(options)
            .args(["--", "sh", "-c", &script])
            .stdin_open()
            .spawn();
        loki.wait_for_entries(1);
        Self { loki, run }
    }

    fn let_go(&mut self) {
        self.run.write("let go\n");
        self.run.close_stdin();
    }
}

/// The one who holds takes no SIGINT, like every background process of a script; a shell sees to
/// that only after the fork, and so he says himself when he is ready. Each `wait` may be cut short
/// by a signal.
const HELD: &str = "exec 3<&0; { trap '' INT; echo ready; exec cat <&3; } & \
                    wait; wait; wait; echo end";

fn last_words(done: &Finished, loki: &Loki) {
    let lines = printed(loki, "stdout");
    assert!(
        lines.contains(&"last words".to_owned()),
        "{lines:?}\n{done:?}"
    );
    loki.assert_clean();
}

#[test]
fn a_signal_reaches_the_command_and_its_last_words_are_shipped() {
    for signal in ["TERM", "INT", "HUP"] {
        let mut held = Held::start(&format!("trap 'echo last words; exit 9' {signal}"), &[]);
        held.run.signal(signal);
        held.loki.wait_until("the end", |seen| {
            seen.entries
                .iter()
                .any(|entry| entry.line.contains("exit_code=9"))
        });
        held.let_go();
        let done = held.run.wait_to_end().expect(9);
        last_words(&done, &held.loki);
    }
}

#[test]
fn a_signal_that_ends_the_command_is_its_status() {
    for (signal, status) in [("TERM", 143), ("HUP", 129)] {
        let held = Held::start(":", &[]);
        held.run.signal(signal);
        let done = held.run.wait_to_end().expect(status).expect_silence();
        let (line, level) = closing(&held.loki);
        assert!(
            has_field(&line, &format!("exit_code={status}")),
            "{line}\n{done:?}"
        );
        assert_eq!(level, "error");
    }
}

#[test]
fn a_command_that_goes_on_after_a_signal_is_waited_for() {
    let mut held = Held::start("trap 'echo still here' TERM", &[]);
    held.run.signal("TERM");
    held.loki.wait_for_entries(2);
    held.let_go();
    held.run.wait_to_end().expect(0).expect_silence();
    assert_eq!(
        printed(&held.loki, "stdout"),
        ["ready", "still here", "let go", "end"]
    );
}

#[test]
fn hangups_are_the_commands_own_business() {
    let mut held = Held::start("n=0; trap 'n=$((n+1)); echo reload $n' HUP", &[]);
    for n in 1..=2 {
        held.run.signal("HUP");
        held.loki.wait_for_entries(1 + n);
    }
    held.let_go();
    held.run.wait_to_end().expect(0).expect_silence();
    assert_eq!(
        printed(&held.loki, "stdout")[..3],
        ["ready", "reload 1", "reload 2"]
    );
}

#[test]
fn a_second_signal_that_ends_it_still_brings_its_status() {
    let mut held = Held::start(
        "trap 'trap \"echo last words; exit 9\" TERM; echo once more' TERM",
        &[],
    );
    held.run.signal("TERM");
    held.loki.wait_for_entries(2);
    held.run.signal("TERM");
    held.loki.wait_until("the end", |seen| {
        seen.entries
            .iter()
            .any(|entry| entry.line.contains("exit_code=9"))
    });
    held.let_go();
    let done = held.run.wait_to_end().expect(9);
    last_words(&done, &held.loki);
}

#[test]
fn what_the_terminal_sends_is_not_sent_twice() {
    let Some(terminal) = Terminal::open() else {
        return;
    };
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--flush-interval", "10ms"]);
    let script = format!("trap 'echo int; echo had it >&3' INT; trap 'echo usr' USR1; {HELD}");
    let run = run.args(["--", "sh", "-c", &script]);
    let run = run.at_terminal(&terminal).spawn();
    loki.wait_for_entries(1);
    // Two that wait at once are one: the command has dealt with its own before we see ours.
    run.signal("STOP");
    terminal.press(Terminal::CTRL_C);
    terminal.wait_for("had it");
    run.signal("CONT");
    // A later one that is passed on shows that we have dealt with ours, too.
    run.signal("USR1");
    loki.wait_for_entries(3);
    terminal.press("let go\n");
    terminal.press(Terminal::CTRL_D);
    run.wait_to_end().expect(0);
    let expected = ["ready", "int", "usr", "let go", "end"];
    assert_eq!(printed(&loki, "stdout"), expected);
    loki.assert_clean();
}
