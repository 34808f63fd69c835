//! Rotation: a file is itself, whatever it is called and whatever is done to it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::support::{Dir, Fault, Finished, Loki, LokiPush, Running, assert_law};

/// How long something takes that would otherwise never end.
const SOON: Duration = Duration::from_secs(20);

fn follow(loki: &Loki, dir: &Dir, args: &[&str]) -> Running {
    let run = LokiPush::new(loki).cwd(dir.path());
    let run = run.args(["-f", "--from", "start", "--flush-interval", "20ms"]);
    run.args(["--summary", "json"])
        .impatient()
        .args(args)
        .spawn()
}

fn ship(loki: &Loki, dir: &Dir, args: &[&str]) -> Finished {
    loki.client_restarted();
    LokiPush::new(loki).cwd(dir.path()).args(args).run()
}

fn stop(running: Running) -> Finished {
    running.signal("TERM");
    let finished = running.wait();
    assert_law(&finished.summary());
    finished
}

#[track_caller]
fn assert_lines(loki: &Loki, expected: &[&str]) {
    let mut seen = loki.lines();
    seen.sort();
    let mut expected: Vec<&str> = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(seen, expected);
}

fn truncate(path: &Path) {
    let file = File::options().write(true).open(path);
    file.unwrap().set_len(0).unwrap();
}

#[test]
fn files_with_names_like_rotated_ones_are_not_read_unasked() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("redis.log", "first\n");
    let run = follow(&loki, &dir, &["redis.log"]);
    loki.wait_for_entries(1);
    for name in ["redis-6380.log", "redis.2.log", "redis_3.log"] {
        dir.write(name, "of another one\n");
    }
    dir.rename("redis.log", "redis.log.1");
    dir.write("redis.log", "second\n");
    loki.wait_for_entries(2);
    stop(run).expect(0);
    assert_lines(&loki, &["first", "second"]);
}

#[test]
fn a_file_that_begins_like_another_is_read_from_its_start() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("srv.log", "boot ok\n");
    dir.write("srv.2.log", "boot ok\nready\n");
    let run = ship(&loki, &dir, &["--checkpoint", "cp", "srv.log", "srv.2.log"]);
    run.expect(0);
    assert_lines(&loki, &["boot ok", "boot ok", "ready"]);
}

#[test]
fn a_compressed_file_that_was_read_is_not_read_again() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let args = ["--checkpoint", "new/folder/cp", "app.log*"];
    dir.write("app.log", "a\n");
    ship(&loki, &dir, &args).expect(0);
    for (n, line) in [(1, "b\n"), (2, "c\n")] {
        if n > 1 {
            dir.rename("app.log.1.gz", "app.log.2.gz");
        }
        dir.rename("app.log", "app.log.1");
        dir.write("app.log", line);
        ship(&loki, &dir, &args).expect(0);
        let mut gzip = std::process::Command::new("gzip");
        assert!(gzip.arg(dir.join("app.log.1")).status().unwrap().success());
        ship(&loki, &dir, &args).expect(0);
    }
    assert_lines(&loki, &["a", "b", "c"]);
}

#[test]
fn a_file_replaced_by_its_own_copy_goes_on_where_it_was() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("app.log", "one\ntwo\n");
    let run = follow(&loki, &dir, &["app.log"]);
    loki.wait_for_entries(2);
    dir.write("next", "one\ntwo\nthree\n");
    dir.rename("next", "app.log");
    loki.wait_for_entries(3);
    dir.append("app.log", "four\n");
    loki.wait_for_entries(4);
    stop(run).expect(0);
    assert_eq!(loki.lines(), ["one", "two", "three", "four"]);
}

#[test]
fn a_link_that_is_switched_and_rolled_back_repeats_nothing() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("a", "a1\n");
    dir.write("b", "b1\n");
    let switch = |to: &str| {
        std::os::unix::fs::symlink(to, dir.join("next")).unwrap();
        dir.rename("next", "current");
    };
    switch("a");
    let run = follow(&loki, &dir, &["current"]);
    loki.wait_for_entries(1);
    switch("b");
    loki.wait_for_entries(2);
    switch("a");
    dir.append("a", "a2\n");
    loki.wait_for_entries(3);
    stop(run).expect(0);
    assert_lines(&loki, &["a1", "b1", "a2"]);
}

/// Follows a file while Loki is down and the buffer is full, so that most of it is unread.
fn held_up(loki: &Loki, dir: &Dir) -> (Running, String) {
    loki.always(Fault::Status(503));
    let lines = (0..60_000).fold(String::new(), |text, n| {
        text + &format!("line {n} {n:0100}\n")
    });
    dir.write("app.log", &lines);
    let run = follow(
        loki,
        dir,
        &["--buffer", "4KiB", "--batch-size", "50", "app.log"],
    );
    loki.wait_for_requests(2);
    (run, lines)
}

#[test]
fn a_copytruncate_while_reading_is_held_up_loses_nothing() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (run, lines) = held_up(&loki, &dir);
    fs::copy(dir.join("app.log"), dir.join("app.log.1")).unwrap();
    truncate(&dir.join("app.log"));
    dir.append("app.log", "after\n");
    loki.clear();
    loki.wait_for_entries(60_001);
    stop(run).expect(0);
    let expected: Vec<&str> = lines.lines().chain(["after"]).collect();
    assert_lines(&loki, &expected);
}

#[test]
fn bytes_that_were_truncated_before_they_were_read_are_reported() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (run, _) = held_up(&loki, &dir);
    truncate(&dir.join("app.log"));
    dir.append("app.log", "after\n");
    run.wait_for_stderr("bytes of app.log lost");
    loki.clear();
    loki.wait_until("the last line", |seen| {
        seen.entries.iter().any(|entry| entry.line == "after")
    });
    stop(run).expect(1);
}

#[test]
fn a_late_writer_is_read_in_this_run_and_in_the_next() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("app.log", "old\n");
    let args = ["--checkpoint", "cp", "app.log"];
    let run = follow(&loki, &dir, &args);
    loki.wait_for_entries(1);
    dir.rename("app.log", "app.log.1");
    dir.write("app.log", "new\n");
    loki.wait_for_entries(2);
    dir.append("app.log.1", "late\n");
    loki.wait_for_entries(3);
    stop(run).expect(0);
    dir.append("app.log.1", "later\n");
    loki.client_restarted();
    let run = follow(&loki, &dir, &args);
    loki.wait_for_entries(4);
    stop(run).expect(0);
    assert_lines(&loki, &["old", "new", "late", "later"]);
}

#[test]
fn files_that_the_program_writes_itself_are_not_read() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("a.log", "one\n");
    let own = ["--dead-letter", "refused.log", "--spool", "spool"];
    let run = follow(
        &loki,
        &dir,
        &[&own[..], &["--checkpoint", "cp.log", "**/*"]].concat(),
    );
    loki.wait_for_entries(1);
    dir.append("a.log", "two\n");
    loki.wait_for_entries(2);
    stop(run).expect(0);
    assert_lines(&loki, &["one", "two"]);
}

#[test]
fn the_metrics_file_and_what_else_is_written_into_the_folder_is_not_read() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("a.log", "one\n");
    // An earlier run left one.
    dir.write("m.log", "# metrics\n");
    let args = ["--metrics-file", "m.log", "**/*"];
    let run = follow(&loki, &dir, &args);
    loki.wait_for_entries(1);
    dir.append("a.log", "two\n");
    loki.wait_for_entries(2);
    stop(run).expect(0);
    ship(&loki, &dir, &args).expect(0);
    assert!(dir.read_text("m.log").contains("loki_push_"));
    let ended = ship(&loki, &dir, &["--metrics-file", "m.log", "b.log", "m.log"]);
    ended.expect(2).expect_stderr(["--metrics-file", "m.log"]);
    // Standard output and standard error in the folder, both ways to read it.
    for mode in ["", "-f --from start --flush-interval 20ms"] {
        loki.client_restarted();
        let script = format!("exec \"$@\" {mode} --tee '*' >out.log 2>err.log");
        let script = if mode.is_empty() {
            script
        } else {
            script.replace("--tee", "")
        };
        let before = loki.entries().len();
        let run = LokiPush::new(&loki).cwd(dir.path()).summed();
        let run = run.args(["--metrics-file", "m.log"]).in_shell(&script);
        let run = run.spawn();
        loki.wait_for_entries(before + 2);
        if !mode.is_empty() {
            run.signal("TERM");
        }
        run.wait().expect(0);
    }
    assert_lines(
        &loki,
        &["one", "one", "one", "one", "two", "two", "two", "two"],
    );
}

#[test]
fn standard_input_that_is_written_by_the_run_itself_is_not_read() {
    let (loki, dir) = (Loki::start(), Dir::new());
    for (args, script) in [
        (&["--tee"][..], "exec \"$@\" <a.log >>a.log"),
        (&["--dead-letter", "a.log"], "exec \"$@\" <a.log"),
    ] {
        dir.write("a.log", "one\n");
        let run = LokiPush::new(&loki).cwd(dir.path()).args(args);
        let run = run.in_shell(script).deadline(SOON).run().expect(1);
        run.expect_stderr(["standard input", "writes this file itself"]);
        assert_eq!(dir.read_text("a.log"), "one\n");
    }
    assert!(loki.entries().is_empty());
}

#[test]
fn other_compressed_files_are_refused_and_the_pipe_is_named() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("a.log", b"\x28\xb5\x2f\xfd\x04\0\0");
    dir.write("b.log", "text\n");
    let run = ship(&loki, &dir, &["a.log", "b.log"]);
    run.expect(1).expect_stderr(["zstd -dc a.log | loki-push"]);
    let mut tar = vec![b'x'; 600];
    tar[257..262].copy_from_slice(b"ustar");
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&tar).expect("packed");
    dir.write("old.tgz", packed.finish().expect("packed"));
    let run = ship(&loki, &dir, &["old.tgz"]);
    run.expect(1)
        .expect_stderr(["tar -xzOf old.tgz | loki-push"]);
    ship(&loki, &dir, &["*"]).expect(0).expect_silence();
    dir.write("a b.log", b"\x28\xb5\x2f\xfd\x04\0\0");
    let run = ship(&loki, &dir, &["a b.log"]);
    run.expect(1)
        .expect_stderr(["zstd -dc 'a b.log' | loki-push"]);
    ship(&loki, &dir, &["*.log"]).expect(0).expect_silence();
    ship(&loki, &dir, &["--exclude-path", "b.*", "{a,b}.log"])
        .expect(0)
        .expect_silence();
    assert_lines(&loki, &["text", "text", "text"]);
}

#[test]
fn a_header_rewritten_in_place_and_preallocated_space_repeat_nothing() {
    use std::os::unix::fs::FileExt;
    let (loki, dir) = (Loki::start(), Dir::new());
    let header = dir.write("header.log", "count=1\nline 1\n");
    let padded = dir.write("padded.log", vec![0; 100_000]);
    let run = follow(&loki, &dir, &["header.log", "padded.log"]);
    loki.wait_for_entries(2);
    for n in 2..5_u64 {
        let file = File::options().write(true).open(&header).unwrap();
        file.write_all_at(format!("count={n}").as_bytes(), 0)
            .unwrap();
        dir.append("header.log", format!("line {n}\n"));
        let file = File::options().write(true).open(&padded).unwrap();
        let line = format!("padded {n}\n");
        file.write_all_at(line.as_bytes(), (n - 2) * line.len() as u64)
            .unwrap();
        loki.wait_for_entries(2 * n as usize);
    }
    stop(run).expect(0);
    let expected = ["count=1", "line 1", "line 2", "line 3", "line 4"];
    let padded = ["padded 2", "padded 3", "padded 4"];
    assert_lines(&loki, &[&expected[..], &padded].concat());
}

#[test]
fn invalid_utf_8_is_reported_once_and_byte_order_marks_are_removed() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("a.log", b"\xef\xbb\xbfone\ncaf\xe9\ncaf\xe9\n");
    let run = ship(&loki, &dir, &["a.log"]);
    let run = run.expect(0).expect_stderr(["iconv"]);
    assert_eq!(run.stderr.matches("iconv").count(), 1);
    assert_lines(&loki, &["one", "caf\u{fffd}", "caf\u{fffd}"]);
}

#[test]
fn what_is_waited_for_is_reported_once() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let run = follow(&loki, &dir, &["no.log", "z*.log", "nowhere/*.log"]);
    run.wait_for_stderr("no.log to appear");
    run.wait_for_stderr("z*.log yet:");
    run.wait_for_stderr("nowhere: No such file");
    stop(run).expect(0);
}

#[test]
fn two_stars_at_the_end_take_all_files_below() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("a/one.log", "one\n");
    dir.write("a/b/two.log", "two\n");
    let run = follow(&loki, &dir, &["a/**"]);
    loki.wait_for_entries(2);
    dir.write("a/b/c/three.log", "three\n");
    loki.wait_for_entries(3);
    stop(run).expect(0);
    ship(&loki, &dir, &["--exclude-path", "**/b/**", "a/**"]).expect(0);
    assert_lines(&loki, &["one", "one", "three", "two"]);
}
