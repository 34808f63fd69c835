//! Files: read to their end, followed through whatever happens to them, and gone on with after a
//! stop or a kill.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::support::{Dir, Fault, Finished, Loki, LokiPush, Running, assert_law};

/// A writer's lines a second, and how often it writes.
const RATE: usize = 5_000;
const BEAT: Duration = Duration::from_millis(4);

fn numbered(range: std::ops::Range<usize>) -> String {
    range.fold(String::new(), |text, n| text + &format!("line {n:07}\n"))
}

fn lines(range: std::ops::Range<usize>) -> Vec<String> {
    numbered(range).lines().map(str::to_owned).collect()
}

/// Calls `write` with the numbers of the lines that are due, until there were `total`.
fn at_rate(total: usize, mut write: impl FnMut(std::ops::Range<usize>)) {
    let (_never, beats) = mpsc::channel::<()>();
    let began = Instant::now();
    let mut written = 0;
    while written < total {
        let due = (began.elapsed().as_secs_f64() * RATE as f64) as usize;
        // After a pause the writer catches up in steps.
        let due = due.clamp(written, total).min(written + RATE / 50);
        write(written..due);
        written = due;
        // A beat, not a wait for something to happen.
        _ = beats.recv_timeout(BEAT);
    }
}

fn follow(loki: &Loki, files: &[&Path], more: &[&str]) -> LokiPush {
    LokiPush::new(loki)
        .args(["-f", "--flush-interval", "100ms", "--summary", "json", "-v"])
        .args(more)
        .args(files)
}

fn stop(running: Running) -> Finished {
    running.signal("TERM");
    let finished = running.wait();
    assert_law(&finished.summary());
    finished
}

/// Every line once, in order.
#[track_caller]
fn assert_each_once(loki: &Loki, expected: &[String]) {
    let seen = loki.lines();
    let first = seen.iter().zip(expected).position(|(a, b)| a != b);
    assert!(
        seen == expected,
        "{} lines of {}; the first that differs is number {first:?}: {:?}",
        seen.len(),
        expected.len(),
        first.map(|at| (&seen[at], &expected[at]))
    );
    loki.assert_clean();
}

#[test]
fn files_are_read_in_order_and_one_that_cannot_be_read_is_said() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let first = dir.write("a.log", "one\ntwo");
    let second = dir.write("b.log", "four\r\n\nsix\n");
    let missing = dir.join("missing.log");
    let run = LokiPush::new(&loki)
        .args([&first, Path::new("-"), &missing, dir.path(), &second])
        .args(["--summary", "json"])
        .stdin_bytes("three\n")
        .run()
        .expect(1)
        .expect_stderr([
            "missing.log: No such file",
            "is a directory; for the files in it",
        ]);
    assert_eq!(loki.lines(), ["one", "two", "three", "four", "", "six"]);
    let name = first.to_string_lossy();
    assert_eq!(loki.lines_of(&[("filename", &name)]), ["one", "two"]);
    assert_eq!(loki.lines_of(&[("filename", "-")]), ["three"]);
    assert_eq!(run.summary().delivered, 6);
    loki.assert_clean();
}

#[test]
fn one_file_has_no_filename_and_a_quoted_pattern_has() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let file = dir.write("a.log", "one\n");
    LokiPush::new(&loki)
        .arg(&file)
        .run()
        .expect(0)
        .expect_silence();
    assert!(loki.streams().iter().all(|s| s.get("filename").is_none()));
    LokiPush::new(&loki)
        .arg(dir.join("*.log"))
        .run()
        .expect(0)
        .expect_silence();
    let name = file.to_string_lossy();
    assert_eq!(loki.lines_of(&[("filename", &name)]), ["one"]);
    LokiPush::new(&loki)
        .arg(dir.join("*.nothing"))
        .run()
        .expect(1)
        .expect_stderr(["no file matches\n"]);
    let run = LokiPush::new(&loki).arg(dir.join("typo/*.log")).run();
    run.expect(1)
        .expect_stderr(["no file matches (", "typo: No such file"]);
}

#[test]
fn names_that_are_no_utf8_are_read_by_a_pattern_too() {
    use std::os::unix::ffi::OsStrExt;
    for more in [&["-f", "--from", "start"][..], &[]] {
        let (loki, dir) = (Loki::start(), Dir::new());
        dir.write("a b\n.log", "a\n");
        let strange = dir.write(std::ffi::OsStr::from_bytes(b"x\xff.log"), "x\n");
        let run = || {
            let run = LokiPush::new(&loki).args(more).arg("--checkpoint");
            let run = run.arg(dir.join("state")).arg(dir.join("*.log"));
            let running = run.args(["--flush-interval", "10ms"]).spawn();
            loki.wait_for_entries(2 + usize::from(strange.with_extension("1").exists()));
            if !more.is_empty() {
                running.signal("TERM");
            }
            running.wait_to_end().expect(0).expect_silence();
            loki.client_restarted();
        };
        run();
        fs::rename(&strange, strange.with_extension("log.1")).unwrap();
        fs::write(strange.with_extension("1"), "").unwrap();
        let mut file = File::options()
            .append(true)
            .open(strange.with_extension("log.1"))
            .unwrap();
        file.write_all(b"y\n").unwrap();
        run();
        let mut seen = loki.lines();
        seen.sort();
        assert_eq!(seen, ["a", "x", "y"]);
        let label = dir.join("x?.log");
        assert_eq!(
            loki.lines_of(&[("filename", label.to_str().unwrap())]),
            ["x", "y"]
        );
    }
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_is_read_member_by_member_and_a_damaged_one_is_said() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let whole = dir.write("a.log.gz", [gzip("one\ntw"), gzip("o\nthree")].concat());
    let text: String = numbered(0..20_000);
    let packed = gzip(&text);
    let damaged = dir.write("b.log.gz", &packed[..packed.len() / 2]);
    let after = dir.write("c.log", "after\n");
    LokiPush::new(&loki)
        .args([&whole, &damaged, &after])
        .run()
        .expect(1)
        .expect_stderr(["b.log.gz: "]);
    let seen = loki.lines();
    assert_eq!(seen[..3], ["one", "two", "three"]);
    assert_eq!(seen.last().unwrap(), "after");
    assert!(
        seen.len() > 1_000,
        "what could be read was shipped: {}",
        seen.len()
    );
    loki.assert_clean();
}

#[test]
fn what_lies_behind_the_last_gzip_member_is_no_line() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let padded = dir.write("padded.gz", [gzip("one\n"), vec![0; 10_000]].concat());
    let run = LokiPush::new(&loki).arg(&padded);
    run.run().expect(0).expect_silence();
    let spoiled = dir.write("spoiled.gz", [gzip("two\n"), b"garbage".to_vec()].concat());
    let run = LokiPush::new(&loki).arg(&spoiled);
    run.run()
        .expect(1)
        .expect_stderr(["spoiled.gz: ", "data that is not gzip, which is ignored"]);
    assert_eq!(loki.lines(), ["one", "two"]);
}

fn fifo(dir: &Dir, name: &str) -> PathBuf {
    let path = dir.join(name);
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.expect("mkfifo").success());
    path
}

#[test]
fn a_pipe_without_a_writer_holds_up_no_file_and_no_signal() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let first = dir.write("a.log", "a\n");
    let (pipe, other) = (fifo(&dir, "pipe"), fifo(&dir, "other"));
    let last = dir.write("b.log", "b\n");
    let run = |linger| {
        let run = LokiPush::new(&loki).args(["--flush-interval", "10ms", "--linger", linger]);
        run.args([&first, &pipe, &other, &last]).spawn()
    };
    let waiting = run("1h");
    loki.wait_for_entries(2);
    waiting.signal("TERM");
    waiting.wait().expect(0).expect_silence();
    let waiting = run("10ms");
    loki.wait_for_entries(4);
    fs::write(&other, "other\n").unwrap();
    loki.wait_for_entries(5);
    fs::write(&pipe, "pipe").unwrap();
    waiting.wait_to_end().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["a", "b", "a", "b", "other", "pipe"]);
}

#[test]
fn what_is_no_file_is_said_and_the_others_go_on() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let file = dir.write("a.log", "a\n");
    let socket = dir.join("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let null = Path::new("/dev/null");
    let run = LokiPush::new(&loki).args([dir.path(), &socket, null, &file]);
    run.run()
        .expect(1)
        .expect_stderr(["is a directory", "socket: it is a socket"]);
    assert_eq!(loki.lines(), ["a"]);
    let run = LokiPush::new(&loki).args([Path::new("/dev/stdin"), null, &file]);
    run.stdin_bytes("in\n").run().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["a", "in", "a"]);
    let run = follow(&loki, &[dir.path(), &socket, &file], &["--from", "start"]).spawn();
    loki.wait_for_entries(4);
    let said = ["is a directory", "is a socket"];
    stop(run).expect(1).expect_stderr(said);
}

#[test]
fn a_named_pipe_is_read_beyond_its_first_writer() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (pipe, file) = (fifo(&dir, "pipe"), dir.write("a.log", "a\n"));
    let run = LokiPush::new(&loki).args(["--flush-interval", "10ms", "--linger", "1s"]);
    let run = run.arg(&pipe).spawn();
    fs::write(&pipe, "one\n").unwrap();
    loki.wait_for_entries(1);
    fs::write(&pipe, "two\n").unwrap();
    run.wait_to_end().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["one", "two"]);
    // Followed, for ever, beside files.
    let run = follow(
        &loki,
        &[&pipe, &file],
        &["--from", "start", "--linger", "0s"],
    )
    .spawn();
    loki.wait_for_entries(3);
    for (n, line) in ["three\n", "four\n"].iter().enumerate() {
        fs::write(&pipe, line).unwrap();
        loki.wait_for_entries(4 + n);
    }
    stop(run).expect(0);
    assert_eq!(loki.lines()[3..], ["three", "four"]);
    // A pipe without a name has no other writer.
    let run = LokiPush::new(&loki).args(["--linger", "1h"]);
    let run = run.arg("/dev/fd/0").stdin_bytes("five");
    run.run().expect(0).expect_silence();
}

#[test]
fn files_end_at_once_when_loki_will_never_take_them() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.always(Fault::Status(401));
    let file = dir.write("a.log", numbered(0..50_000));
    let run = LokiPush::new(&loki)
        .arg(&file)
        .args(["--summary", "json", "--batch-size", "100"])
        .args(["--flush-timeout", "1h"])
        .run()
        .expect(1);
    let summary = run.summary();
    assert_law(&summary);
    assert_eq!((summary.delivered, summary.left), (0, summary.read));
}

#[test]
fn a_checkpoint_makes_no_success_of_what_loki_will_never_take() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.always(Fault::Status(401));
    let file = dir.write("a.log", "one\n");
    let run = LokiPush::new(&loki)
        .arg(&file)
        .arg("--checkpoint")
        .arg(dir.join("state"))
        .args(["--flush-timeout", "1h"])
        .run();
    run.expect(1).expect_stderr(["401"]);
    loki.clear();
    loki.client_restarted();
    let again = LokiPush::new(&loki).arg(&file).arg("--checkpoint");
    again.arg(dir.join("state")).run().expect(0);
    assert_eq!(loki.lines(), ["one"]);
}

#[test]
fn a_file_that_a_stop_cuts_off_is_said_and_no_success() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.always(Fault::Hang);
    let file = dir.write("a.log", numbered(0..1_000_000));
    let limits = [
        "--buffer",
        "1KiB",
        "--batch-size",
        "1000",
        "--linger",
        "100ms",
    ];
    let run = LokiPush::new(&loki)
        .arg(&file)
        .args(limits)
        .args(["--flush-timeout", "100ms", "--summary", "json"])
        .spawn();
    loki.wait_for_held(1);
    run.signal("TERM");
    let finished = run.wait().expect(1);
    let summary = finished.summary();
    assert_law(&summary);
    assert!(summary.read < 1_000_000 && summary.left == summary.read);
    loki.release();
}

#[test]
fn one_file_under_two_names_is_followed_once() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("app.log", "one\n");
    std::os::unix::fs::symlink(dir.join("app.log"), dir.join("current.log")).unwrap();
    let run = follow(&loki, &[&dir.join("*.log")], &["--from", "start"]).spawn();
    loki.wait_for_entries(1);
    dir.append("app.log", "two\n");
    loki.wait_for_entries(2);
    stop(run).expect(0);
    assert_each_once(&loki, &["one", "two"].map(String::from));
}

#[test]
fn a_pattern_with_a_checkpoint_reads_rotated_files_once() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (path, state) = (dir.write("app.log", numbered(0..10)), dir.join("state"));
    let ship = || {
        loki.client_restarted();
        let run = LokiPush::new(&loki)
            .arg(dir.join("app.log*"))
            .arg("--checkpoint");
        run.arg(&state).run().expect(0).expect_silence()
    };
    ship();
    dir.append("app.log", numbered(10..20));
    dir.rename("app.log", "app.log.1");
    dir.write("app.log", numbered(20..30));
    // A late write makes the rotated one the newer of the two.
    File::options()
        .append(true)
        .open(dir.join("app.log.1"))
        .unwrap()
        .set_modified(std::time::SystemTime::now() + Duration::from_secs(9))
        .unwrap();
    ship();
    ship();
    assert!(path.exists());
    assert_each_once(&loki, &lines(0..30));
}

/// One run, of several that share a checkpoint, which ships these files of `dir` until the stand-in
/// has so many lines in all; with `--follow` among `more` it is stopped then. All goes well.
#[track_caller]
fn ship_until(loki: &Loki, dir: &Dir, more: &[&str], files: &str, lines: usize) -> Finished {
    let run = LokiPush::new(loki).args(more).arg("--checkpoint");
    let run = run.arg(dir.join("state")).arg(dir.join(files));
    let running = run.args(["--flush-interval", "10ms"]).spawn();
    loki.wait_for_entries(lines);
    if !more.is_empty() {
        running.signal("TERM");
    }
    running.wait_to_end().expect(0)
}

#[test]
fn a_copy_made_between_two_runs_is_resumed_at_the_offset() {
    for more in [&["--follow", "--from", "start"][..], &[]] {
        let (loki, dir) = (Loki::start(), Dir::new());
        let path = dir.write("app.log", numbered(0..10));
        let ship = |lines: usize| {
            ship_until(&loki, &dir, more, "app.log*", lines).expect_silence();
            loki.client_restarted();
        };
        ship(10);
        for n in 1..4 {
            dir.append("app.log", numbered(n * 100..n * 100 + 10));
            // Without the truncating it is a copy all the same.
            dir.write(format!("app.log.{n}"), dir.read("app.log"));
            if n > 1 {
                let file = File::options().write(true).open(&path).unwrap();
                file.set_len(0).unwrap();
                dir.append("app.log", numbered(n * 100 + 10..n * 100 + 20));
            }
            ship(n * 20);
        }
        let ten = |from| lines(from..from + 10);
        let expected = [ten(0), ten(100), ten(200), ten(210), ten(300), ten(310)].concat();
        let mut seen = loki.lines();
        seen.sort();
        assert_eq!(seen, expected);
        loki.assert_clean();
    }
}

#[test]
fn followed_files_begin_at_their_end_and_later_ones_at_their_start() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (old, new) = (dir.write("old.log", "before\n"), dir.join("new.log"));
    let run = follow(&loki, &[&old, &new], &[]).spawn();
    run.wait_for_stderr("new.log to appear");
    dir.append("old.log", "after\n");
    dir.write("new.log", "new\n");
    loki.wait_for_entries(2);
    stop(run).expect(0);
    let mut seen = loki.lines();
    seen.sort();
    assert_eq!(seen, ["after", "new"]);
    loki.assert_clean();
}

#[test]
fn a_pattern_takes_files_that_appear_later() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("a.log", "a\n");
    let run = follow(&loki, &[&dir.join("*.log")], &["--from", "start"]).spawn();
    loki.wait_for_entries(1);
    let later = dir.write("b.log", "b\n");
    dir.write("c.txt", "c\n");
    loki.wait_for_entries(2);
    stop(run).expect(0);
    assert_eq!(
        loki.lines_of(&[("filename", &later.to_string_lossy())]),
        ["b"]
    );
    assert_eq!(loki.lines().len(), 2);
}

#[test]
fn a_file_that_appears_later_is_seen_as_soon_as_a_line_is() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("0/a.log", "0\n");
    let more = ["--from", "start", "--flush-interval", "1ms"];
    let run = follow(&loki, &[&dir.join("*/*.log")], &more).spawn();
    loki.wait_for_entries(1);
    let mut took: Vec<Duration> = Vec::new();
    for n in 1..=9 {
        let began = Instant::now();
        dir.write(format!("{}/{n}.log", n % 2), format!("{n}\n"));
        loki.wait_for_entries(n + 1);
        took.push(began.elapsed());
    }
    stop(run).expect(0);
    took.sort();
    // Some may be late on a busy machine.
    assert!(took[4] < Duration::from_millis(300), "{took:?}");
}

#[test]
fn an_unterminated_line_is_shipped_when_the_run_stops() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let file = dir.write("a.log", "one\ntw");
    let run = follow(&loki, &[&file], &["--from", "start"]).spawn();
    loki.wait_for_entries(1);
    dir.append("a.log", "o\nthr");
    loki.wait_for_entries(2);
    stop(run).expect(0);
    assert_eq!(loki.lines(), ["one", "two", "thr"]);
    loki.assert_clean();
}

#[test]
fn with_a_checkpoint_an_unterminated_line_is_left_for_the_next_run() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (file, state) = (dir.write("a.log", "one\ntw"), dir.join("state"));
    let options = ["--from", "start", "--checkpoint", state.to_str().unwrap()];
    let run = follow(&loki, &[&file], &options).spawn();
    loki.wait_for_entries(1);
    stop(run).expect(0);
    assert_eq!(loki.lines(), ["one"]);
    loki.client_restarted();
    dir.append("a.log", "o\nthree");
    // The same holds for a file that is read to its end.
    let plain = ["--checkpoint", state.to_str().unwrap()];
    LokiPush::new(&loki)
        .arg(&file)
        .args(plain)
        .run()
        .expect(0)
        .expect_silence();
    assert_eq!(loki.lines(), ["one", "two"]);
    loki.client_restarted();
    dir.append("a.log", "\n");
    LokiPush::new(&loki)
        .arg(&file)
        .args(plain)
        .run()
        .expect(0)
        .expect_silence();
    loki.client_restarted();
    LokiPush::new(&loki)
        .arg(&file)
        .args(plain)
        .run()
        .expect(0)
        .expect_silence();
    assert_each_once(&loki, &["one", "two", "three"].map(String::from));
}

/// A log that is written at the rate and turned over `turns` times by `turn`, every `part` lines.
fn written_and_turned(
    turns: usize,
    part: usize,
    path: &Path,
    mut turn: impl FnMut(usize, usize, &Path),
) -> usize {
    let total = part * (turns + 1);
    let mut turned = 0;
    at_rate(total, |due| {
        let mut log = File::options()
            .append(true)
            .create(true)
            .open(path)
            .unwrap();
        log.write_all(numbered(due.clone()).as_bytes()).unwrap();
        if due.end / part > turned && turned < turns {
            turned += 1;
            turn(turned, due.end, path);
        }
    });
    assert_eq!(turned, turns);
    total
}

#[test]
fn ten_rename_rotations_under_constant_writing_lose_and_repeat_nothing() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.write("app.log", "");
    let run = follow(&loki, &[&path], &["--from", "start"]).spawn();
    let total = written_and_turned(10, RATE / 5, &path, |n, _, path| {
        // One that was never there to the program is lost, as it must be.
        loki.wait_for_entries(1);
        fs::rename(path, path.with_extension(format!("log.{n}"))).unwrap();
    });
    loki.wait_for_entries(total);
    stop(run).expect(0);
    assert_each_once(&loki, &lines(0..total));
}

#[test]
fn several_missed_rotations_lose_nothing_that_still_exists() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.write("app.log", numbered(0..10));
    let run = follow(&loki, &[&path], &["--from", "start"]).spawn();
    loki.wait_for_entries(10);
    run.signal("STOP");
    dir.append("app.log", numbered(10..20));
    for n in 2..5 {
        // As logrotate does it: each older one goes up by one number.
        for old in (1..n - 1).rev() {
            dir.rename(format!("app.log.{old}"), format!("app.log.{}", old + 1));
        }
        dir.rename("app.log", "app.log.1");
        dir.write("app.log", numbered(n * 10..n * 10 + 10));
    }
    run.signal("CONT");
    loki.wait_for_entries(50);
    stop(run).expect(0);
    assert_each_once(&loki, &lines(0..50));
}

#[test]
fn a_pattern_that_matches_rotated_names_ships_each_line_once() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.write("app.log", "");
    let pattern = dir.join("app.log*");
    let run = follow(&loki, &[&pattern], &["--from", "start"]).spawn();
    let total = written_and_turned(10, RATE / 5, &path, |n, _, path| {
        for old in (1..n).rev() {
            let name = |n| path.with_extension(format!("log.{n}"));
            fs::rename(name(old), name(old + 1)).unwrap();
        }
        fs::rename(path, path.with_extension("log.1")).unwrap();
    });
    loki.wait_for_entries(total);
    stop(run).expect(0);
    let mut seen = loki.lines();
    seen.sort();
    assert!(seen == lines(0..total), "{} of {total}", seen.len());
}

#[test]
fn ten_copy_truncates_lose_no_line_that_was_seen_and_repeat_none() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.write("app.log", "");
    let run = follow(&loki, &[&path], &["--from", "start"]).spawn();
    for n in 0..10 {
        // The second half is longer than what was there: the size alone would not tell.
        let (from, to) = (n * 1_000, n * 1_000 + 100 + n * 50);
        dir.append("app.log", numbered(from..to));
        let so_far: usize = (0..=n).map(|n| 100 + n * 50).sum();
        loki.wait_for_entries(so_far);
        dir.write(format!("app.log.{n}"), dir.read("app.log"));
        File::options()
            .write(true)
            .truncate(true)
            .open(&path)
            .unwrap();
    }
    stop(run).expect(0);
    let expected = (0..10).flat_map(|n| lines(n * 1_000..n * 1_000 + 100 + n * 50));
    assert_each_once(&loki, &expected.collect::<Vec<_>>());
}

/// Copies as copy-truncate does, but without the truncating: the end of the copy comes last.
fn copied_in_two_parts(dir: &Dir, from: &str, to: &str, meanwhile: impl FnOnce()) {
    let text = dir.read(from);
    let (first, rest) = text.split_at(text.len() / 2);
    dir.write(to, first);
    meanwhile();
    dir.append(to, rest);
}

#[test]
fn a_copy_that_a_pattern_matches_too_is_not_read_again() {
    for names in [&["app.log*"][..], &["app.log", "app.log.1", "app.log.2"]] {
        let (loki, dir) = (Loki::start(), Dir::new());
        let path = dir.write("app.log", "");
        dir.write("other.log", "");
        let given: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
        let given: Vec<&Path> = given.iter().map(PathBuf::as_path).collect();
        let other = dir.join("other.log");
        let given = [&given[..], &[&other]].concat();
        let run = follow(&loki, &given, &["--from", "start"]).spawn();
        let mut others = 0;
        for n in 0..5 {
            // More than is signed of a file, and less.
            let lines = n * 10_000..n * 10_000 + 10 + 300 * (n % 2);
            dir.append("app.log", numbered(lines));
            loki.wait_for_entries((0..=n).map(|n| 11 + 300 * (n % 2)).sum::<usize>() - 1);
            if n > 1 {
                dir.rename("app.log.1", "app.log.2");
            }
            copied_in_two_parts(&dir, "app.log", "app.log.1", || {
                // A copy takes its time: it is looked at meanwhile.
                dir.append("other.log", format!("other {n}\n"));
                others += 1;
                let name = format!("other {n}");
                loki.wait_until("the other", |seen| {
                    seen.entries.iter().any(|entry| entry.line == name)
                });
            });
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_len(0)
                .unwrap();
        }
        dir.append("app.log", "last\n");
        loki.wait_until("the last", |seen| {
            seen.entries.iter().any(|entry| entry.line == "last")
        });
        stop(run).expect(0);
        let mut seen = loki.lines();
        seen.retain(|line| line.starts_with("line"));
        let expected = (0..5).flat_map(|n| lines(n * 10_000..n * 10_000 + 10 + 300 * (n % 2)));
        assert_eq!(
            seen.len(),
            seen.iter().collect::<std::collections::HashSet<_>>().len()
        );
        assert!(seen == expected.collect::<Vec<_>>(), "{names:?}: {seen:?}");
    }
}

#[test]
fn a_removed_file_is_followed_again_when_it_comes_back() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.write("app.log", "one\n");
    let run = follow(&loki, &[&path], &["--from", "start"]).spawn();
    loki.wait_for_entries(1);
    dir.remove("app.log");
    run.wait_for_stderr("to appear");
    dir.write("app.log", "two\n");
    loki.wait_for_entries(2);
    stop(run).expect(0);
    assert_each_once(&loki, &["one", "two"].map(String::from));
}

#[test]
fn late_writes_to_a_rotated_file_are_shipped_at_the_end() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.write("app.log", "one\ntwo\n");
    let multiline = ["--multiline", r"^\S", "--multiline-wait", "1m"];
    let run = follow(&loki, &[&path], &["--from", "start"]);
    let run = run.args(multiline).spawn();
    loki.wait_for_entries(1);
    dir.rename("app.log", "app.log.1");
    dir.write("app.log", "three\n");
    loki.wait_for_entries(2);
    dir.append("app.log.1", "four\nfive");
    stop(run).expect(0);
    let mut seen = loki.lines();
    seen.sort();
    assert_eq!(seen, ["five", "four", "one", "three", "two"]);
    loki.assert_clean();
}

#[test]
fn a_hole_that_truncating_left_is_no_line() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.join("app.log");
    // Not for appending: it goes on where it was.
    let mut writer = File::create(&path).unwrap();
    writer.write_all(numbered(0..1_000).as_bytes()).unwrap();
    let run = follow(&loki, &[&path], &["--from", "start"]).spawn();
    loki.wait_for_entries(1_000);
    File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    run.wait_for_stderr("was truncated");
    writer.write_all(numbered(1_000..1_010).as_bytes()).unwrap();
    loki.wait_for_entries(1_010);
    stop(run).expect(0);
    assert_each_once(&loki, &lines(0..1_010));
}

#[test]
fn a_hole_that_truncating_left_again_is_seen_each_time() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.join("app.log");
    // More than is signed of a file, so that each hole begins like the one before.
    let mut writer = File::create(&path).unwrap();
    writer.write_all(numbered(0..1_000).as_bytes()).unwrap();
    let run = follow(&loki, &[&path], &["--from", "start"]).spawn();
    loki.wait_for_entries(1_000);
    let mut expected = lines(0..1_000);
    let came = |line: &str| {
        loki.wait_until(line, |seen| {
            seen.entries.iter().any(|e| e.line.ends_with(line))
        });
    };
    for round in 1..=3 {
        let (before, after) = (format!("before {round}"), format!("after {round}"));
        writeln!(writer, "{before}").unwrap();
        came(&before);
        // In one look, unless that falls just between: then this line may come, too.
        writer.write_all(b"unseen\n").unwrap();
        let other = File::options().write(true).open(&path).unwrap();
        other.set_len(0).unwrap();
        writeln!(writer, "{after}").unwrap();
        came(&after);
        expected.extend([before, after]);
    }
    let finished = stop(run).expect(0);
    let said = finished.report().matches("was truncated").count();
    let mut seen = loki.lines();
    seen.retain(|line| line != "unseen");
    assert_eq!((&seen[1_000..], said), (&expected[1_000..], 3));
    loki.assert_clean();
}

#[test]
fn a_hole_that_truncating_left_between_two_runs_is_no_line() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (path, state) = (dir.join("app.log"), dir.join("state"));
    let options = ["--from", "start", "--checkpoint", state.to_str().unwrap()];
    let cut = || {
        let other = File::options().write(true).open(&path).unwrap();
        other.set_len(0).unwrap();
    };
    let mut writer = File::create(&path).unwrap();
    writer.write_all(numbered(0..1_000).as_bytes()).unwrap();
    let run = follow(&loki, &[&path], &options).spawn();
    loki.wait_for_entries(1_000);
    cut();
    run.wait_for_stderr("was truncated");
    writer.write_all(numbered(1_000..1_001).as_bytes()).unwrap();
    loki.wait_for_entries(1_001);
    stop(run).expect(0);
    writer.write_all(b"unseen\n").unwrap();
    cut();
    writer.write_all(numbered(1_001..1_002).as_bytes()).unwrap();
    loki.client_restarted();
    let run = follow(&loki, &[&path], &options).spawn();
    loki.wait_for_entries(1_002);
    stop(run).expect(0);
    assert_each_once(&loki, &lines(0..1_002));
}

#[test]
fn a_reused_inode_is_not_taken_for_the_file_it_was() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (path, state) = (dir.write("app.log", "old one\n"), dir.join("state"));
    let options = ["--checkpoint", state.to_str().unwrap()];
    LokiPush::new(&loki)
        .arg(&path)
        .args(options)
        .run()
        .expect(0);
    // In place, so that the inode is surely the same.
    dir.write("app.log", "new one, and longer\n");
    loki.client_restarted();
    LokiPush::new(&loki)
        .arg(&path)
        .args(options)
        .run()
        .expect(0)
        .expect_stderr(["the previous file is gone"]);
    assert_each_once(&loki, &["old one", "new one, and longer"].map(String::from));
}

/// Compresses a file as gzip does: its time stays.
fn compress(dir: &Dir, name: &str) {
    let modified = fs::metadata(dir.join(name)).unwrap().modified().unwrap();
    let packed = dir.write(format!("{name}.gz"), gzip(&dir.read_text(name)));
    let packed = File::options().append(true).open(packed).unwrap();
    packed.set_modified(modified).unwrap();
    dir.remove(name);
}

#[test]
fn what_was_compressed_between_two_runs_is_read_from_where_it_was() {
    let modes = [&["-f", "--from", "start"][..], &[]];
    for (more, grown) in modes
        .into_iter()
        .flat_map(|more| [(more, ""), (more, "more\n")])
    {
        let (loki, dir) = (Loki::start(), Dir::new());
        dir.write("app.log", "old\n");
        let ship = |lines: usize| {
            let ended = ship_until(&loki, &dir, more, "app.log", lines);
            loki.client_restarted();
            ended.expect_silence();
        };
        ship(1);
        dir.append("app.log", grown);
        dir.rename("app.log", "app.log.1");
        compress(&dir, "app.log.1");
        dir.write("app.log", "new\n");
        let expected = ["old", grown.trim(), "new"];
        let expected: Vec<&str> = expected
            .into_iter()
            .filter(|line| !line.is_empty())
            .collect();
        ship(expected.len());
        if more.is_empty() {
            ship(expected.len());
        }
        assert_eq!(loki.lines(), expected);
    }
}

#[test]
fn lines_that_were_left_and_are_gone_are_said_and_no_success() {
    for (mode, beside) in [
        (&["-f"][..], true),
        (&["-f"], false),
        (&[], true),
        (&[], false),
    ] {
        let (loki, dir) = (Loki::start(), Dir::new());
        let (path, state) = (dir.write("app.log", numbered(0..100)), dir.join("state"));
        let run = || {
            let run = LokiPush::new(&loki)
                .args(mode)
                .arg("--checkpoint")
                .arg(&state);
            run.arg(&path)
                .args(["--from", "start", "--summary", "json"])
        };
        loki.always(Fault::Status(503));
        let quick = ["--flush-timeout", "200ms", "--retry-backoff", "50ms"];
        let first = run().args(quick).spawn();
        loki.wait_for_requests(1);
        if !mode.is_empty() {
            dir.rename("app.log", "app.log.0");
            dir.write("app.log", numbered(100..110));
            // It was taken, and is a part of what is left.
            first.ask_until("\"read\":110");
            first.signal("TERM");
        }
        first.wait_to_end().expect(0);
        loki.clear();
        if mode.is_empty() {
            dir.rename("app.log", "app.log.0");
            dir.write("app.log", numbered(100..110));
        }
        dir.remove("app.log.0");
        if beside {
            dir.rename("app.log", "app.log.1");
            dir.write("app.log", "last\n");
        }
        let second = run().spawn();
        loki.wait_until("the last", |seen| {
            let last = if beside { "last" } else { "line 0000109" };
            seen.entries.iter().any(|entry| entry.line == last)
        });
        if !mode.is_empty() {
            second.signal("TERM");
        }
        let said = ["bytes of", "lost", "delaycompress"];
        second.wait_to_end().expect(1).expect_stderr(said);
    }
}

#[test]
fn what_was_compressed_unread_between_two_looks_is_read() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.write("app.log", numbered(0..10));
    let run = follow(&loki, &[&path], &["--from", "start"]).spawn();
    loki.wait_for_entries(10);
    // One that was read before it is compressed is not read again.
    dir.rename("app.log", "app.log.9");
    compress(&dir, "app.log.9");
    dir.write("app.log", numbered(10..25));
    loki.wait_for_entries(25);
    run.signal("STOP");
    dir.rename("app.log", "app.log.2");
    dir.write("app.log", numbered(25..30));
    dir.rename("app.log", "app.log.1");
    compress(&dir, "app.log.2");
    compress(&dir, "app.log.1");
    dir.write("app.log", numbered(30..40));
    run.signal("CONT");
    loki.wait_for_entries(40);
    stop(run).expect(0);
    assert_each_once(&loki, &lines(0..40));
}

#[test]
fn what_is_read_to_its_end_and_gone_is_no_news() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (path, state) = (dir.write("app.log", "1\n"), dir.join("state"));
    let options = ["--checkpoint", state.to_str().unwrap(), "--from", "start"];
    let run = follow(&loki, &[&path], &options).spawn();
    loki.wait_for_entries(1);
    dir.rename("app.log", "app.log.1");
    dir.write("app.log", "2\n");
    loki.wait_for_entries(2);
    // It is still looked at, should its writer be late.
    stop(run).expect(0);
    dir.remove("app.log.1");
    let again = || {
        loki.client_restarted();
        let run = LokiPush::new(&loki).args(options);
        run.arg(dir.join("*.log*"))
            .arg("/proc/uptime")
            .run()
            .expect(0)
            .expect_silence()
    };
    again();
    // The oldest one goes.
    dir.write("app.log.1", "3\n");
    again();
    dir.remove("app.log.1");
    dir.rename("app.log", "app.log.1");
    dir.write("app.log", "4\n");
    again();
    let mut seen = loki.lines();
    seen.retain(|line| line.len() == 1);
    assert_eq!(seen, ["1", "2", "3", "4"]);
}

#[test]
fn a_damaged_or_foreign_checkpoint_is_refused_and_kept() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (path, state) = (dir.write("app.log", "one\n"), dir.write("state", "{\"x\":"));
    let run = || {
        let run = LokiPush::new(&loki)
            .arg(&path)
            .arg("--checkpoint")
            .arg(&state);
        run.run().expect(2).expect_stderr(["state", "move it away"])
    };
    run();
    assert_eq!(dir.read_text("state"), "{\"x\":");
    dir.write("state", "my diary");
    run();
    for (place, why) in [
        (Path::new("/dev/full"), "is not a regular file"),
        (dir.path(), "is a directory"),
    ] {
        let run = LokiPush::new(&loki).arg(&path).arg("--checkpoint");
        run.arg(place).run().expect(2).expect_stderr([why]);
    }
    assert_eq!(loki.requests().len(), 0);
}

#[test]
fn one_checkpoint_serves_one_process() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (path, state) = (dir.write("app.log", "one\n"), dir.join("state"));
    let options = ["--from", "start", "--checkpoint", state.to_str().unwrap()];
    let run = follow(&loki, &[&path], &options).spawn();
    loki.wait_for_entries(1);
    let other = follow(&loki, &[&path], &options).run();
    other
        .expect(2)
        .expect_stderr(["in use by another loki-push"]);
    stop(run).expect(0);
}

#[test]
fn what_is_left_is_safe_in_a_file_that_a_checkpoint_covers() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (path, state) = (dir.write("app.log", numbered(0..100)), dir.join("state"));
    let options = ["--checkpoint", state.to_str().unwrap(), "--summary", "json"];
    loki.always(Fault::Status(503));
    let run = LokiPush::new(&loki)
        .arg(&path)
        .args(options)
        .args(["--flush-timeout", "200ms", "--retry-backoff", "50ms"])
        .run()
        .expect(0);
    assert_eq!(run.summary().left, 100);
    run.expect_stderr(["100 entries not delivered; the next run"]);
    loki.clear();
    loki.client_restarted();
    LokiPush::new(&loki)
        .arg(&path)
        .args(options)
        .run()
        .expect(0);
    assert_each_once(&loki, &lines(0..100));
}

#[test]
fn a_rotated_predecessor_is_read_first_after_a_restart() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (path, state) = (dir.write("app.log", numbered(0..10)), dir.join("state"));
    let options = ["--checkpoint", state.to_str().unwrap(), "--from", "start"];
    let run = follow(&loki, &[&path], &options).spawn();
    loki.wait_for_entries(10);
    stop(run).expect(0);
    dir.append("app.log", numbered(10..20));
    dir.rename("app.log", "app.log.1");
    dir.write("app.log", numbered(20..30));
    dir.rename("app.log.1", "app.log.2");
    dir.rename("app.log", "app.log.1");
    dir.write("app.log", numbered(30..40));
    loki.client_restarted();
    let run = follow(&loki, &[&path], &options).spawn();
    loki.wait_for_entries(40);
    stop(run).expect(0);
    loki.client_restarted();
    // Without --follow it goes on just so.
    dir.rename("app.log", "app.log.0");
    dir.write("app.log", numbered(40..50));
    LokiPush::new(&loki)
        .arg(&path)
        .args(options)
        .run()
        .expect(0)
        .expect_silence();
    assert_each_once(&loki, &lines(0..50));
}

#[test]
fn a_rotated_file_is_found_although_no_file_has_its_old_name() {
    for more in [&["--follow", "--from", "start"][..], &[]] {
        let (loki, dir) = (Loki::start(), Dir::new());
        dir.write("app.log", "1\n");
        dir.write("other.log", "o\n");
        let ship = |lines: usize| ship_until(&loki, &dir, more, "*.log", lines);
        ship(2);
        dir.append("app.log", "2\n");
        dir.rename("app.log", "app.log.1");
        ship(3);
        dir.write("app.log", "3\n");
        ship(4);
        let mut lines = loki.lines();
        lines.sort();
        assert_eq!(lines, ["1", "2", "3", "o"]);
    }
}

#[test]
fn one_checkpoint_serves_relative_names_from_several_directories() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("a/app.log", "a1\n");
    dir.write("b/app.log", "b1\n");
    dir.write("a/other.log", "");
    let state = dir.join("state");
    let ship = |cwd: &str, names: &[&str]| {
        let run = LokiPush::new(&loki).args(["--from", "end"]).args(names);
        let run = run.arg("--checkpoint").arg(&state).cwd(dir.join(cwd));
        run.run().expect(0).expect_silence();
        loki.client_restarted();
    };
    ship("a", &["app.log"]);
    // Another file: what stands in it was there before.
    ship("b", &["app.log"]);
    assert_eq!(loki.lines(), [] as [&str; 0]);
    dir.append("a/app.log", "a2\n");
    dir.append("b/app.log", "b2\n");
    ship("", &["a/app.log"]);
    dir.append("a/app.log", "a3\n");
    dir.rename("a/app.log", "a/app.log.1");
    dir.write("a/app.log", "a4\n");
    // The predecessor is that of the same name, wherever it is named from.
    ship("b", &["./../a/app.log", "app.log"]);
    dir.append("a/app.log", "a5\n");
    dir.rename("a/app.log", "a/app.log.1");
    ship("a", &["*.log", "../b/*.log"]);
    let expected = ["a2", "a3", "a4", "b2", "a5"];
    assert_eq!(loki.lines(), expected);
    assert_eq!(loki.lines_of(&[("filename", "app.log")]), ["b2", "a5"]);
}

#[test]
fn what_a_link_stands_for_is_rotated_where_it_lies() {
    let (loki, dir) = (Loki::start(), Dir::new());
    for made in ["pods", "containers"] {
        std::fs::create_dir(dir.join(made)).expect("a directory");
    }
    dir.write("pods/0.log", "1\n");
    let link = dir.join("containers/x.log");
    std::os::unix::fs::symlink("../pods/0.log", &link).expect("a link");
    let ship = |lines: usize| {
        let run = follow(&loki, &[&link], &["--from", "start"]);
        let running = run.arg("--checkpoint").arg(dir.join("state")).spawn();
        loki.wait_for_entries(lines);
        stop(running)
    };
    ship(1);
    dir.append("pods/0.log", "2\n");
    dir.rename("pods/0.log", "pods/0.log.20240501-100000");
    dir.write("pods/0.log", "3\n");
    ship(3);
    // The container was started anew.
    dir.append("pods/0.log", "4\n");
    dir.write("pods/1.log", "5\n");
    std::fs::remove_file(&link).expect("the link");
    std::os::unix::fs::symlink("../pods/1.log", &link).expect("a link");
    ship(5);
    assert_eq!(loki.lines(), ["1", "2", "3", "4", "5"]);
}

#[test]
fn twelve_kills_lose_nothing_and_repeat_at_most_the_last_second() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (path, state) = (dir.write("app.log", ""), dir.join("state"));
    let options = ["--checkpoint", state.to_str().unwrap(), "--from", "start"];
    let start = || follow(&loki, &[&path], &options).spawn();
    let mut running = Some(start());
    let mut kills = Vec::new();
    let total = written_and_turned(12, RATE / 2, &path, |n, written, path| {
        let before = loki.look(|seen| seen.requests.len());
        loki.wait_for_answers(before + 1);
        running.take().unwrap().kill();
        kills.push(written);
        if n % 3 == 0 {
            fs::rename(path, path.with_extension(format!("log.{n}"))).unwrap();
        }
        loki.client_killed();
        running = Some(start());
    });
    let expected = lines(0..total);
    loki.wait_until("every line", |seen| {
        let last = expected.last().unwrap();
        seen.entries.iter().any(|entry| entry.line == *last)
    });
    stop(running.take().unwrap()).expect(0);

    let mut times: HashMap<String, usize> = HashMap::new();
    for line in loki.lines() {
        *times.entry(line).or_default() += 1;
    }
    let missing = expected.iter().filter(|line| !times.contains_key(*line));
    assert_eq!(missing.count(), 0, "lines are missing");
    assert_eq!(times.len(), total, "there are others");
    // A second between two writes of the checkpoint, and what it takes to settle a batch.
    let unsettled = RATE + RATE / 2;
    for (n, line) in expected
        .iter()
        .enumerate()
        .filter(|(_, line)| times[*line] > 1)
    {
        let kill = kills
            .iter()
            .find(|kill| n < **kill)
            .expect("a kill after it");
        assert!(
            kill - n <= unsettled,
            "{line} came {} times, killed at {kill}",
            times[line]
        );
    }
    let repeats: usize = times.values().map(|times| times - 1).sum();
    assert!(repeats <= kills.len() * unsettled, "{repeats} repeats");
    loki.assert_clean();
}

#[test]
fn a_clean_stop_ships_nothing_twice() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let (path, state) = (dir.write("app.log", ""), dir.join("state"));
    let options = ["--checkpoint", state.to_str().unwrap(), "--from", "start"];
    let start = || follow(&loki, &[&path], &options).spawn();
    let mut running = Some(start());
    let total = written_and_turned(6, RATE / 5, &path, |_, _, _| {
        // A signal that comes before the program listens just ends it.
        let before = loki.look(|seen| seen.requests.len());
        loki.wait_for_answers(before + 1);
        stop(running.take().unwrap()).expect(0);
        loki.client_restarted();
        running = Some(start());
    });
    loki.wait_for_entries(total);
    stop(running.take().unwrap()).expect(0);
    assert_each_once(&loki, &lines(0..total));
}

#[test]
fn a_file_that_cannot_be_opened_is_said_once_and_waited_for() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let path = dir.join("app.log");
    fs::create_dir(&path).unwrap();
    let run = follow(&loki, &[&path], &["--from", "start"]).spawn();
    run.wait_for_stderr("is a directory");
    fs::remove_dir(&path).unwrap();
    dir.write("app.log", "one\n");
    loki.wait_for_entries(1);
    let finished = stop(run).expect(0);
    assert_eq!(finished.stderr.matches("is a directory").count(), 1);
}

#[test]
fn many_files_need_no_higher_limit_from_the_user() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let paths: Vec<PathBuf> = (0..60)
        .map(|n| dir.write(format!("{n}.log"), "x\n"))
        .collect();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    // The soft limit is raised to the hard one …
    let run = follow(&loki, &paths, &["--from", "start"])
        .after("ulimit -Sn 40")
        .spawn();
    loki.wait_for_entries(60);
    stop(run).expect(0);
    // … and past that those that are idle for the longest time are closed, and opened again.
    let run = follow(&loki, &paths, &["--from", "start"])
        .after("ulimit -n 40")
        .spawn();
    loki.wait_for_entries(120);
    for n in [0, 59, 30] {
        dir.append(format!("{n}.log"), "y\n");
    }
    loki.wait_for_entries(123);
    let finished = stop(run).expect(0);
    assert!(!finished.stderr.contains("ulimit"), "{}", finished.stderr);
}

#[test]
fn a_checkpoint_of_many_files_needs_little_memory_and_one_that_is_too_large_is_refused() {
    const FILES: u64 = 20_000;
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("a.log", "one\n");
    let file = |n: u64| {
        serde_json::json!({
            "path": format!("/var/log/pods/ns_pod-{}_uid/c/{n}.log", n % 500), "dev": 9, "ino": n,
            "head": 4096, "hash": "00ff", "tail": 65536, "tail_hash": "00ff", "tail_end": 70_000,
            "offset": 70_000, "size": 70_000, "unread": false,
        })
    };
    let files: Vec<_> = (0..FILES).map(file).collect();
    let watched = [dir.join("*.log").to_str().unwrap().to_owned()];
    let content = serde_json::json!({
        "loki_push_checkpoint": 1, "files": files, "watched": watched,
    });
    let checkpoint = dir.write("cp", content.to_string());
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&checkpoint, mode).unwrap();
    let run = || {
        let run = LokiPush::new(&loki).cwd(dir.path());
        run.args(["--checkpoint", "cp", "a.log"])
    };
    let ended = run().watch_memory().run().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["one"]);
    // It was 3 KiB for a file.
    let for_files = ended.peak_kib.unwrap_or(0).saturating_sub(20 * 1024);
    assert!(for_files < FILES * 3 / 2, "{for_files} KiB");

    let large = std::fs::File::create(&checkpoint).unwrap();
    large.set_len(200 << 30).unwrap();
    let ended = run().watch_memory().run().expect(2);
    let ended = ended.expect_stderr(["cp", "larger than 512 MiB", "move it away"]);
    assert!(ended.peak_kib < Some(100 * 1024), "{:?}", ended.peak_kib);
}

#[test]
fn nuls_after_the_last_line_of_a_file_are_no_content() {
    let dir = Dir::new();
    for (bytes, expected) in [
        (&b"one\ntw\0\0\0\0"[..], &["one", "tw"][..]),
        (b"\0\0one\n\0\0", &["one"]),
        (b"\0\0\0", &[]),
        (b"a\0b\n", &["a\0b"]),
    ] {
        dir.write("a.log", bytes);
        for from_stdin in [false, true] {
            let loki = Loki::start();
            let run = LokiPush::new(&loki).cwd(dir.path());
            let run = if from_stdin {
                run.stdin_file(dir.join("a.log"))
            } else {
                run.arg("a.log")
            };
            run.run().expect(0).expect_silence();
            assert_eq!(
                loki.lines(),
                expected,
                "{bytes:?}, standard input: {from_stdin}"
            );
        }
    }
    // A program that writes NULs into a pipe means them.
    let loki = Loki::start();
    LokiPush::new(&loki).stdin_bytes("\0a\0").run().expect(0);
    assert_eq!(loki.lines(), ["\0a\0"]);
}

#[test]
fn a_compressed_file_on_standard_input_is_refused_and_the_pipe_is_named() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let mut tar = vec![b'x'; 600];
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, pipe) in [
        (gzip("one\n"), "gzip -dc FILE | loki-push"),
        (b"\xfd7zXZ\0\0".to_vec(), "xz -dc FILE | loki-push"),
        (tar, "tar -xOf FILE | loki-push"),
    ] {
        let run = LokiPush::new(&loki).stdin_file(dir.write("a", bytes));
        run.run().expect(1).expect_stderr(["standard input", pipe]);
    }
    assert!(loki.entries().is_empty());
}
