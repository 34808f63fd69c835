//! Threads that cannot be started: fewer helpers are no harm, and a run that cannot begin says so.
//! A full process table or a container's `pids` limit does this to any program.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::{Dir, Finished, Loki, LokiPush};

/// The options that make `setpriv` run a program as a user with no other process: all processes and
/// threads of a user count towards its limit, those of an earlier run that is just exiting too.
fn new_user() -> [String; 3] {
    static USERS: AtomicU32 = AtomicU32::new(0);
    let number = USERS.fetch_add(1, Ordering::Relaxed);
    let user = 20_000 + (std::process::id().wrapping_mul(71) + number) % 40_000;
    [
        format!("--reuid={user}"),
        format!("--regid={user}"),
        "--clear-groups".into(),
    ]
}

/// Runs as a user with this limit of processes and threads.
fn limited(run: LokiPush, processes: u32) -> Finished {
    let user = new_user().join(" ");
    run.in_shell(&format!(
        "exec prlimit --nproc={processes} setpriv {user} \"$@\""
    ))
    .run()
}

fn can_be_limited() -> bool {
    let done = Command::new("prlimit")
        .args(["--nproc=100", "setpriv"])
        .args(new_user())
        .arg("true")
        .output();
    let can = done.is_ok_and(|done| done.status.success());
    if !can {
        eprintln!("skipped: needs root, prlimit and setpriv");
    }
    can
}

/// All is delivered and the status 0, or there is a message and the status says so.
#[track_caller]
fn assert_honest(what: &str, done: &Finished, loki: &Loki, lines: usize) {
    let report = done.report();
    assert!(!done.stderr.contains("panicked"), "{what}\n{report}");
    match done.status {
        0 => assert_eq!(loki.entries().len(), lines, "{what}\n{report}"),
        1 | 125 => assert!(done.stderr.contains("loki-push: "), "{what}\n{report}"),
        _ => panic!("{what}\n{report}"),
    }
}

#[test]
fn with_few_threads_all_is_delivered_or_reported() {
    if !can_be_limited() {
        return;
    }
    let dir = Dir::new();
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(dir.path(), mode(0o777)).expect("a mode");
    // Several streams and several batches: work for every helper there is.
    let levels = ["INFO", "WARN", "ERROR", "DEBUG"];
    let lines = (0..4_000).map(|n| format!("{} line {n}", levels[n % 4]));
    let lines = lines.collect::<Vec<_>>().join("\n");
    let log = dir.write("app.log", &lines);
    let mut statuses = Vec::new();
    for processes in 3..=12 {
        for mode in ["stdin", "file", "command", "message", "spool"] {
            let loki = Loki::start();
            let run = LokiPush::new(&loki).args(["--batch-size", "500"]);
            let what = format!("{mode}, {processes}");
            let (run, expected) = match mode {
                "stdin" => (run.stdin_bytes(lines.clone()), 4_000),
                "file" => (run.arg(&log), 4_000),
                "command" => (run.args(["--", "cat"]).arg(&log), 4_001),
                "message" => (run.args(["-m", "text"]), 1),
                _ => {
                    let spool = dir.join(format!("spool{processes}"));
                    (
                        run.arg("--spool").arg(spool).stdin_bytes(lines.clone()),
                        4_000,
                    )
                }
            };
            let done = limited(run, processes);
            assert_honest(&what, &done, &loki, expected);
            statuses.push(done.status);
        }
    }
    assert!(statuses.contains(&0), "{statuses:?}");
    assert!(statuses.iter().any(|&status| status > 0), "{statuses:?}");
}

#[test]
fn a_follower_with_too_few_threads_says_so_before_it_reads() {
    if !can_be_limited() {
        return;
    }
    let dir = Dir::new();
    let log = dir.write("app.log", "one\ntwo\n");
    let mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(dir.path(), mode(0o777)).expect("a mode");
    for processes in 3..=12 {
        let loki = Loki::start();
        let run = LokiPush::new(&loki).args(["--follow", "--from", "start"]);
        let run = run.args(["--flush-interval", "10ms"]).arg(&log);
        let user = new_user().join(" ");
        let script = format!("exec prlimit --nproc={processes} setpriv {user} \"$@\"");
        let run = run.in_shell(&script).spawn();
        // It ends at once, or it works.
        while run.is_running() && loki.entries().len() < 2 {
            std::thread::yield_now();
        }
        if run.is_running() {
            run.signal("TERM");
            run.wait_to_end().expect(0);
            assert_eq!(loki.lines(), ["one", "two"]);
        } else {
            let done = run.wait_to_end();
            assert_honest(&format!("{processes}"), &done, &loki, 2);
            assert_ne!(done.status, 0);
        }
    }
}
