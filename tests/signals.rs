//! `-- COMMAND` and signals: each reaches the command, none ends loki-push before it; and what is
//! asked of the first process of a container.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Loki, LokiPush, Running, in_time};

/// A command that prints `ready` and then waits until its input ends, whatever signals come;
/// `before` is what it does about them.
fn held(before: &str) -> String {
    format!(
        "{before}; exec 3<&0; {{ trap '' INT QUIT; echo ready; exec cat <&3; }} & held=$!; \
         while kill -0 $held 2>/dev/null; do wait $held; done; echo end"
    )
}

fn start(loki: &Loki, options: &[&str], script: &str) -> Running {
    let run = LokiPush::new(loki).args(["--flush-interval", "10ms"]);
    let run = run.args(options).args(["--", "sh", "-c", script]);
    run.stdin_open().spawn()
}

fn wait_for_line(loki: &Loki, line: &str) {
    loki.wait_until(line, |seen| seen.entries.iter().any(|e| e.line == line));
}

/// Waits until no process has this number any more.
fn wait_until_gone(pid: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    while fs::exists(format!("/proc/{pid}")).unwrap_or(false) {
        assert!(Instant::now() < until, "process {pid} is still there");
        std::thread::yield_now();
    }
}

/// The value of the line `name VALUE` that a command printed.
fn told(loki: &Loki, name: &str) -> String {
    let lines = loki.lines_of(&[("stream", "stdout")]);
    let value = lines.iter().find_map(|line| line.strip_prefix(name));
    value
        .unwrap_or_else(|| panic!("no {name} in {lines:?}"))
        .trim()
        .to_owned()
}

#[test]
fn every_signal_of_the_promise_reaches_the_command() {
    let named = [
        "HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "WINCH", "CONT",
    ];
    // Whether a shell knows the names of real-time signals differs, their numbers are Linux's.
    let real_time = ["34", "37", "64"];
    for signal in named.iter().chain(&real_time) {
        let loki = Loki::start();
        let trap = format!("trap 'echo had {signal}' {signal}");
        let mut run = start(&loki, &[], &held(&trap));
        wait_for_line(&loki, "ready");
        run.signal(signal);
        wait_for_line(&loki, &format!("had {signal}"));
        run.close_stdin();
        run.wait_to_end().expect(0).expect_silence();
        loki.assert_clean();
    }
}

#[test]
fn a_signal_that_ends_the_command_ends_it_alone() {
    for (signal, status) in [("QUIT", 131), ("USR1", 138), ("USR2", 140), ("ALRM", 142)] {
        let loki = Loki::start();
        let run = start(&loki, &[], "echo ready; exec sleep 600");
        wait_for_line(&loki, "ready");
        run.signal(signal);
        let done = run.wait_to_end().expect(status);
        let exit = loki.lines_of(&[("stream", "exit")]);
        let code = format!("exit_code={status} ");
        assert!(exit.iter().any(|line| line.contains(&code)), "{done:?}");
    }
}

#[test]
fn however_many_signals_come_the_command_is_waited_for() {
    let loki = Loki::start();
    let trap = "n=0; trap 'n=$((n+1)); echo term $n' TERM";
    let mut run = start(&loki, &[], &held(trap));
    wait_for_line(&loki, "ready");
    for n in 1..=4 {
        run.signal("TERM");
        wait_for_line(&loki, &format!("term {n}"));
    }
    assert!(run.is_running());
    run.close_stdin();
    run.wait_to_end().expect(0).expect_silence();
    assert_eq!(loki.lines_of(&[("stream", "stdout")]).len(), 6);
    assert_eq!(loki.lines_of(&[("stream", "exit")]).len(), 1);
    loki.assert_clean();
}

#[test]
fn a_second_signal_gives_up_the_flush() {
    in_time(Duration::from_secs(10), || {
        let loki = Loki::reserve();
        let trap = "n=0; trap 'n=$((n+1)); echo term $n; test $n -lt 2 || exit 9' TERM";
        let run = start(&loki, &["--tee", "--flush-timeout", "1h"], &held(trap));
        run.wait_for_stdout("ready\n");
        run.signal("TERM");
        run.wait_for_stdout("term 1\n");
        run.signal("TERM");
        let done = run.wait_to_end().expect(9);
        done.expect_stderr(["4 not sent"]).elapsed
    });
}

#[test]
fn after_a_second_signal_a_full_buffer_does_not_block_the_command() {
    let loki = Loki::reserve();
    let small = [
        "--buffer",
        "64KiB",
        "--batch-bytes",
        "64KiB",
        "--gzip-level",
        "0",
    ];
    let script = "trap 'echo last words; exit 4' TERM; while :; do printf '%0100d\n' 1; done";
    let run = start(&loki, &small, script);
    run.wait_for_stderr("; retrying");
    run.signal("TERM");
    run.wait_for_receipt();
    run.signal("TERM");
    run.wait_to_end().expect(4);
}

#[test]
fn a_signal_ends_the_wait_for_what_the_command_left_behind() {
    let loki = Loki::start();
    let run = start(
        &loki,
        &["--linger", "1h"],
        "sleep 600 & echo left $!; echo own $$",
    );
    loki.wait_for_entries(2);
    wait_until_gone(&told(&loki, "own "));
    assert!(run.is_running());
    run.signal("TERM");
    let done = run.wait_to_end().expect(0);
    let left = told(&loki, "left ");
    done.expect_stderr(["sleep", &left]);
    let killed = Command::new("kill").arg(left).status();
    assert!(killed.expect("kill").success(), "it still sleeps");
    assert_eq!(loki.lines_of(&[("stream", "exit")]).len(), 1);
    loki.assert_clean();
}

/// Whether a process may be the first of a namespace of its own here.
fn can_be_first() -> bool {
    let unshare = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "true"])
        .stderr(std::process::Stdio::null())
        .status();
    let can = unshare.is_ok_and(|status| status.success());
    if !can {
        eprintln!("skipped: no namespace of processes can be made here");
    }
    can
}

/// A run as the first process of a namespace, and its number outside.
fn start_as_first(loki: &Loki, script: &str) -> (Running, String) {
    let run = LokiPush::new(loki).args(["--flush-interval", "10ms"]);
    let run = run.args(["--", "sh", "-c", script]);
    let run = run
        .in_shell("exec unshare --pid --fork --kill-child --mount-proc \"$@\"")
        .stdin_open()
        .spawn();
    wait_for_line(loki, "ready");
    let children = format!("/proc/{0}/task/{0}/children", run.pid);
    let children = fs::read_to_string(children).expect("the children of unshare");
    (run, children.trim().to_owned())
}

#[test]
fn as_the_first_process_of_a_container_it_passes_signals_on() {
    if !can_be_first() {
        return;
    }
    for signal in ["QUIT", "USR1", "WINCH", "TERM", "37"] {
        let loki = Loki::start();
        let trap = format!("trap 'echo had {signal}' {signal}");
        let (mut run, pid) = start_as_first(&loki, &held(&trap));
        let kill = Command::new("sh")
            .args(["-c", "kill -s $0 $1", signal, &pid])
            .status();
        assert!(kill.expect("kill").success());
        wait_for_line(&loki, &format!("had {signal}"));
        run.close_stdin();
        run.wait_to_end().expect(0).expect_silence();
        wait_for_line(&loki, "end");
        loki.assert_clean();
    }
}

#[test]
fn as_the_first_process_of_a_container_it_leaves_no_zombie() {
    if !can_be_first() {
        return;
    }
    let loki = Loki::start();
    // Each `sh` is gone before the child that it started: that one is ours then.
    let script = "echo ready; for i in 1 2 3 4 5; do sh -c 'sleep 0.02 & exec true'; done; \
                  sleep 0.2; \
                  while grep -qs '^State:.Z' /proc/[0-9]*/status; do :; done; \
                  echo no zombies; exit 7";
    let (run, _) = start_as_first(&loki, script);
    run.wait().expect(7).expect_silence();
    assert!(loki.lines().contains(&"no zombies".to_owned()));
    loki.assert_clean();
}
