//! Other users on the same machine: what they put where we keep files is neither read, sent,
//! overwritten nor waited for, and a folder that several users share works for each of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::loki::Answer;
use crate::support::users::{STRANGER, chmod, fifo, give, mode, two_users};
use crate::support::{Dir, Fault, Finished, Loki, LokiPush};

/// A run with a spool that gives up soon where there is no Loki.
fn with_spool(loki: &Loki, spool: impl AsRef<Path>) -> LokiPush {
    let patience = if loki.is_open() { "30s" } else { "300ms" };
    LokiPush::new(loki)
        .args(["--summary", "json", "--flush-timeout", patience])
        .args(["--retry-backoff", "50ms", "--spool"])
        .arg(spool.as_ref())
        // What hangs fails soon.
        .deadline(Duration::from_secs(40))
}

/// A directory that everybody may enter.
fn open_dir() -> Dir {
    let dir = Dir::new();
    chmod(dir.path(), 0o755);
    dir
}

/// Every file below a path with its content, to see that nothing changed.
fn content(dir: &Dir) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |path: PathBuf| {
        let bytes = dir.read(&path);
        (path, bytes)
    };
    dir.files().into_iter().map(read).collect()
}

/// The folders in a spool.
fn folders(spool: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(spool).expect("a spool");
    entries
        .map(|entry| entry.expect("an entry").path())
        .collect()
}

fn batches(dir: &Dir) -> Vec<PathBuf> {
    let mut files = dir.files();
    files.retain(|path| path.extension().is_some_and(|e| e == "batch"));
    files
}

#[test]
fn a_planted_folder_is_left_alone_and_named() {
    if !two_users() {
        return;
    }
    for shared in [0o1777, 0o777, 0o755] {
        let (loki, dir) = (Loki::reserve(), open_dir());
        let spool = dir.join("spool");
        fs::create_dir(&spool).unwrap();
        chmod(&spool, shared);
        with_spool(&loki, &spool)
            .stdin_bytes("forged\n")
            .run()
            .expect(0);
        let planted = folders(&spool).remove(0);
        give(&planted);
        // For whoever is not root to read it.
        chmod(&planted, 0o755);
        let before = content(&dir);
        loki.restart();
        let run = with_spool(&loki, &spool)
            .stdin_bytes("ours\n")
            .run()
            .expect(0);
        let name = planted.file_name().unwrap().to_str().unwrap();
        let run = run.expect_stderr([name, "65534"]);
        assert_eq!(run.summary().adopted, 0, "{run:?}");
        let drained = with_spool(&loki, &spool).arg("--drain").run().expect(0);
        assert_eq!(drained.expect_stderr([name]).summary().adopted, 0);
        assert_eq!(loki.lines(), ["ours"]);
        assert_eq!(content(&dir), before);
    }
}

#[test]
fn a_folder_of_ours_that_others_can_write_to_is_not_trusted() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let spool = dir.join("spool");
    with_spool(&loki, &spool)
        .stdin_bytes("one\n")
        .run()
        .expect(0);
    let folder = folders(&spool).remove(0);
    chmod(&folder, 0o777);
    loki.restart();
    let drain = || with_spool(&loki, &spool).arg("--drain").run();
    let name = folder.file_name().unwrap().to_str().unwrap();
    drain().expect_stderr([name, "chmod 700"]);
    assert_eq!(loki.lines(), Vec::<String>::new());
    chmod(&folder, 0o700);
    drain().expect(0).expect_no_message();
    assert_eq!(loki.lines(), ["one"]);
}

#[test]
fn a_planted_position_does_not_skip_our_lines() {
    if !two_users() {
        return;
    }
    let (loki, dir) = (Loki::reserve(), open_dir());
    let (spool, log) = (dir.join("spool"), dir.write("app.log", "one\ntwo\n"));
    // Another tenant's, so that the second run has the lines from the file or not at all.
    let run = |tenant: &str| {
        let run = with_spool(&loki, &spool).args(["--org-id", tenant]);
        let run = run.arg("--checkpoint").arg(dir.join("state"));
        run.arg(&log).run()
    };
    run("red").expect(0);
    let planted = folders(&spool).remove(0);
    give(&planted);
    dir.remove("state");
    loki.restart();
    run("blue").expect(0);
    assert_eq!(loki.lines(), ["one", "two"]);
}

/// What somebody may have put where a file of ours is to be.
fn plant(kind: &str, path: &Path, elsewhere: &Path) {
    plant_ours(kind, path, elsewhere);
    if kind != "hard link" {
        give(path);
    }
}

fn plant_ours(kind: &str, path: &Path, elsewhere: &Path) {
    match kind {
        "fifo" => fifo(path),
        "link" => symlink(elsewhere, path).unwrap(),
        "dangling link" => symlink(elsewhere.with_extension("new"), path).unwrap(),
        "hard link" => fs::hard_link(elsewhere, path).unwrap(),
        "file" => fs::write(path, "").unwrap(),
        "directory" => fs::create_dir(path).unwrap(),
        _ => unreachable!(),
    }
}

const KINDS: [&str; 6] = [
    "fifo",
    "link",
    "dangling link",
    "hard link",
    "file",
    "directory",
];

#[test]
fn files_planted_next_to_a_checkpoint_are_left_alone() {
    if !two_users() {
        return;
    }
    for name in ["state", "state.lock", "state.tmp"] {
        for kind in KINDS {
            let (loki, dir) = (Loki::start(), open_dir());
            let (log, elsewhere) = (dir.write("app.log", "one\n"), dir.write("precious", "mine"));
            fs::create_dir(dir.join("shared")).unwrap();
            chmod(dir.join("shared"), 0o1777);
            let planted = dir.join("shared").join(name);
            plant(kind, &planted, &elsewhere);
            let before = fs::symlink_metadata(&planted).unwrap();
            let run = LokiPush::new(&loki).deadline(Duration::from_secs(40));
            let run = run.arg("--checkpoint").arg(dir.join("shared/state"));
            let run = run.arg(&log).run();
            let what = format!("{name} as {kind}: {}", run.report());
            assert_eq!(dir.read_text("precious"), "mine", "{what}");
            assert!(!dir.join("precious.new").exists(), "{what}");
            if (name, kind) == ("state.tmp", "hard link") {
                // One name of a file of ours, which goes; the file stays.
                assert_eq!(run.status, 0, "{what}");
                continue;
            }
            assert!(run.status == 1 || run.status == 2, "{what}");
            assert!(run.stderr.contains(planted.to_str().unwrap()), "{what}");
            let after = fs::symlink_metadata(&planted).unwrap();
            assert_eq!(
                after.modified().unwrap(),
                before.modified().unwrap(),
                "{what}"
            );
        }
    }
}

#[test]
fn what_is_planted_for_batches_being_sent_is_left_alone_and_named() {
    if !two_users() {
        return;
    }
    for kind in KINDS {
        let (loki, dir) = (Loki::start(), open_dir());
        let (log, elsewhere) = (dir.write("app.log", "one\n"), dir.write("precious", "mine"));
        let planted = dir.join("state.sending");
        plant(kind, &planted, &elsewhere);
        let before = fs::symlink_metadata(&planted).unwrap();
        let run = with_spool(&loki, "/proc/loki-push/spool").arg("--checkpoint");
        let run = run.arg(dir.join("state")).arg(&log).run().expect(0);
        let run = run.expect_stderr([planted.to_str().unwrap()]);
        assert_eq!(loki.lines(), ["one"], "{kind}: {run:?}");
        assert_eq!(dir.read_text("precious"), "mine", "{kind}");
        assert!(!dir.join("precious.new").exists(), "{kind}");
        let after = fs::symlink_metadata(&planted).unwrap();
        let same = after.modified().unwrap() == before.modified().unwrap();
        assert!(same, "{kind}: {run:?}");
    }
}

#[test]
fn a_planted_dead_letter_file_is_neither_written_nor_waited_for() {
    if !two_users() {
        return;
    }
    for kind in KINDS {
        let (loki, dir) = (Loki::start(), open_dir());
        let elsewhere = dir.write("precious", "mine");
        let planted = dir.join("dead");
        plant(kind, &planted, &elsewhere);
        let run = LokiPush::new(&loki)
            .deadline(Duration::from_secs(40))
            .arg("--dead-letter")
            .arg(&planted)
            .stdin_bytes("one\n")
            .run()
            .expect(2)
            .expect_stderr(["--dead-letter", planted.to_str().unwrap()]);
        assert_eq!(dir.read_text("precious"), "mine", "{run:?}");
        assert!(!dir.join("precious.new").exists(), "{run:?}");
        assert!(loki.entries().is_empty());
    }
}

#[test]
fn a_planted_spool_is_not_followed_and_stops_no_command() {
    if !two_users() {
        return;
    }
    for kind in ["fifo", "link", "dangling link", "file"] {
        let (loki, dir) = (Loki::start(), open_dir());
        let elsewhere = dir.join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        let planted = dir.join("spool");
        plant(kind, &planted, &elsewhere);
        let run = with_spool(&loki, &planted).args(["--", "sh", "-c", "echo it runs; exit 3"]);
        run.run()
            .expect(3)
            .expect_stderr([planted.to_str().unwrap()]);
        assert!(loki.lines().contains(&"it runs".to_owned()));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        assert!(!elsewhere.with_extension("new").exists());
    }
}

#[test]
fn a_batch_that_is_no_file_of_ours_is_not_read() {
    for kind in ["fifo", "endless", "huge", "header without end", "lengths"] {
        let (loki, dir) = (Loki::reserve(), Dir::new());
        let spool = dir.join("spool");
        let run = with_spool(&loki, &spool).args(["--batch-size", "1", "--gzip-level", "0"]);
        run.stdin_bytes("one\ntwo\nthree\n").run().expect(0);
        let second = dir.join(&batches(&dir)[1]);
        match kind {
            "fifo" => {
                fs::remove_file(&second).unwrap();
                fifo(&second);
            }
            "endless" => {
                fs::remove_file(&second).unwrap();
                symlink("/dev/zero", &second).unwrap();
            }
            "huge" => {
                let file = fs::OpenOptions::new().write(true).open(&second).unwrap();
                file.set_len(200 << 30).unwrap();
            }
            "header without end" => {
                let file = fs::File::create(&second).unwrap();
                file.set_len(200 << 30).unwrap();
            }
            "lengths" => fs::write(&second, wrapping(&second)).unwrap(),
            _ => unreachable!(),
        }
        loki.restart();
        let run = with_spool(&loki, &spool).arg("--drain").watch_memory();
        let run = run.run().expect(1);
        let name = second.file_name().unwrap().to_str().unwrap();
        let stem = name.strip_suffix(".batch").unwrap();
        let run = run.expect_stderr([stem]);
        assert!(!run.stderr.contains("panicked"), "{kind}: {run:?}");
        assert_eq!(loki.lines(), ["one", "three"], "{kind}: {run:?}");
        assert!(run.peak_kib.is_none_or(|peak| peak < 200 << 10), "{run:?}");
    }
}

#[test]
fn a_lock_that_is_no_file_of_ours_is_reported_and_not_waited_for() {
    for kind in ["fifo", "link", "dangling link", "hard link", "directory"] {
        let (loki, dir) = (Loki::reserve(), Dir::new());
        let (spool, elsewhere) = (dir.join("spool"), dir.write("precious", "mine"));
        let run = || with_spool(&loki, &spool);
        run().stdin_bytes("one\n").run().expect(0);
        let lock = folders(&spool).remove(0).join("lock");
        fs::remove_file(&lock).unwrap();
        plant_ours(kind, &lock, &elsewhere);
        loki.restart();
        let said = [lock.to_str().unwrap(), "remove that"];
        let left = run().arg("--drain").run().expect(1).expect_stderr(said);
        assert_eq!(left.messages().len(), 1, "{kind}: {left:?}");
        let left = run().stdin_bytes("two\n").run().expect_stderr(said);
        assert_eq!(left.summary().delivered, 1, "{kind}: {left:?}");
        assert_eq!(dir.read_text("precious"), "mine", "{kind}");
        assert!(!dir.join("precious.new").exists(), "{kind}");
        match kind {
            "directory" => fs::remove_dir(&lock).unwrap(),
            _ => fs::remove_file(&lock).unwrap(),
        }
        run().arg("--drain").run().expect(0);
        assert_eq!(loki.lines(), ["one", "two"], "{kind}");
    }
}

/// A batch file whose two bodies have lengths that are right only if their sum wraps.
fn wrapping(batch: &Path) -> Vec<u8> {
    let bytes = fs::read(batch).unwrap();
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    let mut head: serde_json::Value = serde_json::from_slice(&bytes[..end]).unwrap();
    let body = head["requests"][0].clone();
    let length = body["length"].as_u64().unwrap();
    head["requests"] = serde_json::json!([body.clone(), body]);
    head["requests"][0]["length"] = (1_u64 << 63).into();
    head["requests"][1]["length"] = ((1_u64 << 63) + length).into();
    head.as_object_mut().unwrap().remove("check");
    let mut line = head.to_string();
    line.pop();
    let check = crc32fast::hash(line.as_bytes());
    let tail = format!(",\"check\":\"{check:08x}\"}}\n");
    [line.as_bytes(), tail.as_bytes(), &bytes[end + 1..]].concat()
}

#[test]
fn a_planted_name_reaches_the_terminal_without_its_escapes() {
    if !two_users() {
        return;
    }
    let (loki, dir) = (Loki::start(), open_dir());
    let spool = dir.join("spool");
    fs::create_dir(&spool).unwrap();
    chmod(&spool, 0o1777);
    for name in ["evil\u{1b}[2Jname", "two\nlines", "bidi\u{202e}txt"] {
        fs::write(spool.join(name), "").unwrap();
        give(spool.join(name));
    }
    let run = with_spool(&loki, &spool)
        .stdin_bytes("one\n")
        .run()
        .expect(0);
    let run = run.expect_stderr(["evil", "65534"]);
    let raw = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!run.stderr.contains(raw), "{run:?}");
    let lines = run.messages();
    assert!(
        lines.iter().all(|line| line.starts_with("loki-push: ")),
        "{run:?}"
    );
}

#[test]
fn files_are_for_their_owner_alone_whatever_the_umask() {
    for umask in ["000", "022", "077", "277", "777"] {
        let (loki, dir) = (Loki::reserve(), Dir::new());
        let log = dir.write("app.log", "one\n");
        let run = with_spool(&loki, dir.join("a/b/spool"))
            .after(&format!("umask {umask}"))
            .arg("--checkpoint")
            .arg(dir.join("c/d/state"))
            .arg("--dead-letter")
            .arg(dir.join("dead"))
            .arg(&log);
        run.run().expect(0);
        for file in dir.files() {
            let expected = if file == Path::new("app.log") {
                0o644
            } else {
                0o600
            };
            assert_eq!(
                mode(dir.join(&file)),
                expected,
                "{umask}: {}",
                file.display()
            );
        }
        for folder in ["a", "a/b", "a/b/spool", "c", "c/d"] {
            assert_eq!(mode(dir.join(folder)), 0o700, "{umask}: {folder}");
        }
        let folder = folders(&dir.join("a/b/spool")).remove(0);
        assert_eq!(mode(&folder), 0o700, "{umask}");
    }
}

#[test]
fn a_dead_letter_file_that_is_there_keeps_its_mode() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let dead = dir.write("dead", "");
    chmod(&dead, 0o640);
    let run = LokiPush::new(&loki).arg("--dead-letter").arg(&dead);
    run.stdin_bytes("one\n").run().expect(0);
    assert_eq!(mode(&dead), 0o640);
}

#[test]
fn the_lock_file_of_an_earlier_version_becomes_private() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let log = dir.write("app.log", "one\n");
    let lock = dir.write("state.lock", "");
    chmod(&lock, 0o644);
    let run = LokiPush::new(&loki)
        .arg("--checkpoint")
        .arg(dir.join("state"));
    run.arg(&log).run().expect(0).expect_silence();
    assert_eq!(mode(&lock), 0o600);
}

/// Two users in turn, with one spool: what each left is delivered by that user's next run.
fn in_turn(dir: &Dir) {
    let spool = dir.join("spool");
    let loki = Loki::reserve();
    let run = |user: u32, line: &str| -> Finished {
        let run = with_spool(&loki, &spool).user(user).summed();
        run.stdin_bytes(format!("{line}\n")).run().expect(0)
    };
    run(0, "root 1");
    run(STRANGER, "stranger 1");
    loki.restart();
    let stranger = run(STRANGER, "stranger 2");
    assert_eq!(loki.lines(), ["stranger 1", "stranger 2"], "{stranger:?}");
    let root = run(0, "root 2");
    // By their times.
    let all = ["root 1", "stranger 1", "stranger 2", "root 2"];
    assert_eq!(loki.lines(), all, "{root:?}");
    assert!(!root.stderr.contains("damaged"), "{root:?}");
    assert_eq!(folders(&spool), Vec::<PathBuf>::new());
    loki.assert_clean();
}

#[test]
fn users_take_turns_in_a_sticky_spool_without_messages() {
    if !two_users() {
        return;
    }
    let dir = open_dir();
    fs::create_dir(dir.join("spool")).unwrap();
    chmod(dir.join("spool"), 0o1777);
    in_turn(&dir);
    let loki = Loki::reserve();
    let run = |user| with_spool(&loki, dir.join("spool")).user(user);
    run(0).stdin_bytes("x\n").run().expect(0);
    loki.restart();
    let heard = run(STRANGER).stdin_bytes("x\n").run().expect(0);
    heard.expect_no_message();
    loki.stop();
    run(STRANGER).stdin_bytes("x\n").run().expect(0);
    let heard = run(0).stdin_bytes("x\n").run().expect(0);
    assert!(!heard.stderr.contains("65534"), "{heard:?}");
    // Whoever wants to know is told.
    loki.restart();
    let heard = run(0).arg("--drain").run().expect(0);
    heard.expect_stderr(["belongs to uid 65534"]);
}

#[test]
fn a_spool_that_others_can_write_to_is_reported_once_and_used() {
    if !two_users() {
        return;
    }
    let dir = open_dir();
    fs::create_dir(dir.join("spool")).unwrap();
    chmod(dir.join("spool"), 0o777);
    in_turn(&dir);
    let loki = Loki::start();
    let fix = format!("chmod {} {}", "700", dir.join("spool").display());
    let run = with_spool(&loki, dir.join("spool"))
        .stdin_bytes("x\n")
        .run();
    let run = run.expect(0).expect_stderr([&fix]);
    assert_eq!(run.messages().len(), 1, "{run:?}");
    chmod(dir.join("spool"), 0o755);
    give(dir.join("spool"));
    let run = with_spool(&loki, dir.join("spool"))
        .stdin_bytes("x\n")
        .run();
    let run = run.expect(0).expect_stderr(["65534", "chmod 700"]);
    assert_eq!(run.messages().len(), 1, "{run:?}");
    assert_eq!(loki.lines(), ["x", "x"]);
}

#[test]
fn two_files_of_ours_that_are_one_are_wrong_usage() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let log = dir.write("app.log", "one\n");
    let at = |name: &str| dir.join(name).display().to_string();
    fs::create_dir(dir.join("sub")).unwrap();
    let detour = at("sub/../state");
    for (checkpoint, dead_letter) in [
        ("state", at("state")),
        ("state", detour),
        ("state", at("state.lock")),
        ("state", at("state.tmp")),
    ] {
        LokiPush::new(&loki)
            .args([
                "--checkpoint",
                &at(checkpoint),
                "--dead-letter",
                &dead_letter,
            ])
            .arg(&log)
            .run()
            .expect(2)
            .expect_stderr(["--checkpoint", "--dead-letter"]);
    }
    let same = dir.write("kept", "");
    fs::hard_link(&same, dir.join("also")).unwrap();
    LokiPush::new(&loki)
        .args(["--checkpoint", &at("kept"), "--dead-letter", &at("also")])
        .arg(&log)
        .run()
        .expect(2);
    LokiPush::new(&loki)
        .args(["--spool", &at("one"), "--dead-letter", &at("one")])
        .stdin_bytes("x\n")
        .run()
        .expect(2)
        .expect_stderr(["--spool", "--dead-letter"]);
    for (option, other) in [
        ("--checkpoint", "state"),
        ("--checkpoint", "state.lock"),
        ("--checkpoint", "state.tmp"),
        ("--dead-letter", "state"),
        ("--spool", "state"),
    ] {
        let metrics = at(other);
        LokiPush::new(&loki)
            .args([option, &at("state"), "--metrics-file", &metrics])
            .arg(&log)
            .run()
            .expect(2)
            .expect_stderr([option, "--metrics-file"]);
    }
    for option in ["--metrics-file", "--dead-letter", "--checkpoint"] {
        LokiPush::new(&loki)
            .args([option, log.to_str().unwrap()])
            .arg(&log)
            .run()
            .expect(2)
            .expect_stderr([option, "app.log"]);
    }
    assert!(loki.entries().is_empty());
    assert_eq!(dir.read_text("app.log"), "one\n");
}

#[test]
fn refused_entries_can_go_to_standard_error() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let refusal = Answer::error(400, "couldn't parse labels: odd");
    loki.fault(Fault::Answer(refusal));
    let run = LokiPush::new(&loki)
        .args(["--dead-letter", "-"])
        .cwd(dir.path())
        .stdin_bytes("one\n")
        .run()
        .expect(1);
    let dead = run.stderr.lines().find(|line| line.starts_with('{'));
    let dead: serde_json::Value = serde_json::from_str(dead.expect("a line")).unwrap();
    assert_eq!(dead["line"], "one");
    assert_eq!(dir.files(), Vec::<PathBuf>::new());
}
