//! The driver of the binary, with a puppet in its place that does as it is told.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::support::{Dir, Finished, Loki, LokiPush, Summary};

/// Does what its arguments say, one after another.
const PUPPET: &str = r#"
shift
while [ $# -gt 0 ]; do
    case $1 in
        --url) shift ;;
        say) printf '%s\n' "$2" >&2; shift ;;
        print) printf '%s\n' "$2"; shift ;;
        cat) cat ;;
        env) env ;;
        exit) exit "$2" ;;
        stay) exec sleep 1000 ;;
        take) taken=$(head -c "$2" /dev/zero | tr '\0' x); n=${#taken}; unset taken; echo "$n"; shift ;;
        *) exit 99 ;;
    esac
    shift
done"#;

fn puppet(run: LokiPush) -> LokiPush {
    run.in_shell(PUPPET)
}

/// What a panic says.
fn last_words(run: impl FnOnce()) -> String {
    let said = catch_unwind(AssertUnwindSafe(run)).expect_err("a panic");
    said.downcast_ref::<String>().expect("a text").clone()
}

fn panics_with(texts: &[&str], run: impl FnOnce()) {
    let said = last_words(run);
    for text in texts {
        assert!(said.contains(text), "no {text:?} in {said}");
    }
}

#[test]
fn bytes_go_through_without_deadlock() {
    let bytes = vec![b'x'; 5 << 20];
    let done = puppet(LokiPush::bare())
        .args(["cat", "say", "done", "exit", "3"])
        .stdin_bytes(bytes.clone())
        .run()
        .expect(3)
        .expect_stderr(["done"]);
    assert!(done.stdout == bytes);
    assert_eq!(done.fed, bytes.len());
    assert_eq!(done.stderr, "done\n");
}

#[test]
fn stdin_can_stay_open() {
    let mut run = puppet(LokiPush::bare())
        .args(["cat", "say", "bye"])
        .stdin_open()
        .spawn();
    run.write("one\n");
    run.wait_for_stdout("one");
    run.wait_for_fed(4);
    assert!(run.is_running());
    run.close_stdin();
    run.wait_for_stderr("bye");
    assert_eq!(run.wait().expect(0).stdout_text(), "one\n");
}

#[test]
fn a_binary_that_does_not_read_does_not_stop_the_test() {
    let run = puppet(LokiPush::bare())
        .args(["say", "up", "stay"])
        .stdin_open()
        .spawn();
    run.wait_for_stderr("up");
    run.write(vec![b'x'; 1 << 20]);
    run.wait_for_fed(4096);
    assert!(run.fed() < 1 << 20);
    assert_eq!(run.kill().signal, Some(9));
}

#[test]
fn signals_and_statuses() {
    let run = puppet(LokiPush::bare()).args(["say", "up", "stay"]).spawn();
    run.wait_for_stderr("up");
    run.signal("TERM");
    let ended = run.wait().expect(143);
    assert_eq!(ended.signal, Some(15));

    let run = puppet(LokiPush::bare())
        .args(["say", "up", "stay"])
        .own_group()
        .spawn();
    run.wait_for_stderr("up");
    run.signal_group("INT");
    assert_eq!(run.wait().status, 130);

    let run = puppet(LokiPush::bare())
        .args(["say", "up", "cat"])
        .in_shell(&format!("trap '' HUP\n{PUPPET}"))
        .stdin_open()
        .spawn();
    run.wait_for_stderr("up");
    run.signal("HUP");
    run.wait().expect(0);
}

#[test]
fn the_environment_is_clean_and_the_directory_chosen() {
    let dir = Dir::new();
    let file = dir.write("in", "from a file");
    let ended = puppet(LokiPush::at("http://x"))
        .args(["env", "cat"])
        .env("LOKI_ADDR", "ours")
        .cwd(dir.path())
        .stdin_file(file)
        .run()
        .expect(0)
        .expect_silence();
    let out = ended.stdout_text();
    assert!(out.contains("LOKI_ADDR=ours\n") && out.ends_with("from a file"));
    let others = out.lines().filter(|line| {
        let name = line.split('=').next().unwrap_or_default().to_uppercase();
        name.ends_with("_PROXY") || (name.starts_with("LOKI_") && name != "LOKI_ADDR")
    });
    assert_eq!(others.count(), 0);
}

#[test]
fn an_overrun_shows_everything_and_kills() {
    let loki = Loki::start();
    let stays = |deadline| {
        let run = puppet(LokiPush::new(&loki)).deadline(deadline);
        run.args(["say", "complaint", "print", "output", "stay"])
    };
    // A busy machine may take longer before anything is said.
    let mut said = String::new();
    for deadline in [500, 5_000, 50_000].map(Duration::from_millis) {
        said = last_words(|| drop(stays(deadline).run()));
        if said.contains("stdout: 7 bytes") {
            break;
        }
    }
    for text in ["--url", "complaint", "output\n", "Loki stand-in", "its end"] {
        assert!(said.contains(text), "no {text:?} in {said}");
    }
    let ended = puppet(LokiPush::bare())
        .args(["say", "why", "exit", "1"])
        .run();
    panics_with(&["exit status", "\"exit\"", "why"], || {
        drop(ended.clone().expect(0));
    });
    panics_with(&["stderr", "why"], || drop(ended.clone().expect_silence()));
    panics_with(&["no \"because\""], || {
        drop(ended.clone().expect_stderr(["because"]));
    });
}

#[test]
fn memory_is_watched() {
    let mut run = puppet(LokiPush::bare())
        .args(["take", "67108864", "cat"])
        .stdin_open()
        .watch_memory()
        .spawn();
    run.wait_for_stdout("67108864");
    // It was given back before stdout spoke: the high-water mark stays.
    let peak = run.peak_kib();
    run.close_stdin();
    let ended = run.wait().expect(0);
    if cfg!(target_os = "linux") {
        assert!((65_536..1 << 20).contains(&peak.unwrap_or(0)), "{peak:?}");
        assert!(ended.peak_kib >= peak, "{:?}", ended.peak_kib);
    }
}

const SUMMARY: &str = r#"{"read":10,"delivered":4,"refused":1,"dropped":1,"spooled":1,"filtered":2,"left":1,"untimed":0,"requests":3,"retries":1,"bytes_read":100,"bytes_sent":50,"seconds":0.5,"reasons":{"too old":1}}"#;

fn said(text: &str) -> Finished {
    puppet(LokiPush::bare()).args(["say", text]).run().expect(0)
}

#[test]
fn a_summary_is_found_and_read() {
    let ended = said(&format!("a message\n{SUMMARY}"));
    let summary = ended.summary();
    assert_eq!((summary.read, summary.delivered), (10, 4));
    assert_eq!(summary.reasons["too old"], 1);
    assert_eq!(summary.command_exit, None);
    assert_eq!(
        ended.messages().into_iter().collect::<Vec<_>>(),
        ["a message"]
    );
    panics_with(&["no summary"], || drop(said("{}").summary()));
}

#[test]
fn the_law_is_kept() {
    let break_with = |from, to| SUMMARY.replace(from, to);
    for (line, why) in [
        (break_with(r#""left":1"#, r#""left":0"#), "read is not"),
        (break_with(r#""left":1,"#, ""), "no \"left\""),
        (break_with(r#""left":1"#, r#""left":"1""#), "not a count"),
        (
            break_with(r#""read""#, r#""what":1,"read""#),
            "unknown keys",
        ),
        (
            break_with(r#""read""#, r#""adopted":1,"read""#),
            "adopted is not",
        ),
    ] {
        panics_with(&[why], || drop(Summary::read(&line)));
    }
}

#[test]
fn directories_go_away() {
    let dir = Dir::new();
    let path = dir.path().to_owned();
    dir.write("a/b", "1");
    dir.append("a/b", "2");
    assert_eq!(dir.read_text("a/b"), "12");
    assert_eq!(dir.files(), [std::path::Path::new("a/b")]);
    dir.rename("a/b", "c");
    assert_eq!(dir.read("c"), b"12");
    dir.remove("c");
    assert!(dir.files().is_empty());
    drop(dir);
    assert!(!path.exists());
}
