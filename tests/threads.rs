//! Threads that cannot be started: fewer helpers are no harm, and a run that cannot begin says so.
//! A full process table or a container's `pids` limit does this to any program.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{Dir, Finished, Loki, LokiPush};

/// A user that nobody else is, so that nothing else counts towards its limit.
const USER: &str = "48321";

/// Runs as that user, who may have so many processes and threads.
fn limited(run: LokiPush, processes: u32) -> Finished {
    let user = format!("--reuid={USER} --regid={USER} --clear-groups");
    run.in_shell(&format!(
        "exec prlimit --nproc={processes} setpriv {user} \"$@\""
    ))
    .run()
}

fn can_be_limited() -> bool {
    let user = [
        format!("--reuid={USER}"),
        format!("--regid={USER}"),
        "--clear-groups".into(),
        "true".into(),
    ];
    let done = Command::new("prlimit")
        .args(["--nproc=100", "setpriv"])
        .args(user)
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
        1 | 2 | 125 => assert!(done.stderr.contains("loki-push: "), "{what}\n{report}"),
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
        let user = format!("--reuid={USER} --regid={USER} --clear-groups");
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
