//! What the checkpoint promises, from one run to the next.

use std::fs;

use serde_json::json;

use crate::entry::FilePosition;
use crate::storage::checkpoint::file::KEY;
use crate::storage::checkpoint::*;

fn state(path: &str, ino: u64, offset: u64) -> FileRecord {
    FileRecord {
        path: path.into(),
        place: DevInode { dev: 1, ino },
        signature: Fingerprint::of(b"head"),
        offset,
        unread: false,
    }
}

fn positions(list: &[(FileId, u64)]) -> FilePositions {
    let mark = |&(file, offset): &(FileId, u64)| FilePosition { file, offset };
    list.iter().map(mark).collect()
}

fn open(path: &Path) -> Result<Checkpoint> {
    Checkpoint::open(path, true, Reporter::default())
}

fn at(ino: u64) -> DevInode {
    DevInode { dev: 1, ino }
}

#[test]
fn what_was_settled_is_where_the_next_run_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let first = open(&path).unwrap();
    assert!(!first.watch(Path::new("/a*")));
    first.register(0, state("/a", 10, 5));
    first.register(1, state("/b", 11, 0));
    first.settled(&positions(&[(0, 50), (7, 9)]));
    first.settled(&positions(&[(0, 40)]));
    assert!(first.save().unwrap());
    assert!(!first.save().unwrap(), "nothing changed");
    drop(first);

    let second = open(&path).unwrap();
    assert!(second.watch(Path::new("/a*")) && !second.watch(Path::new("/c")));
    assert_eq!(second.resume(at(10), b"other"), None);
    assert_eq!(second.former(Path::new("/a")), [state("/a", 10, 50)]);
    assert_eq!(second.resume(at(10), b"head and more"), Some(50));
    assert_eq!(second.resume(at(10), b"head"), None, "it was taken");
    second.forget_former(Path::new("/b"));
    assert_eq!(second.resume(at(11), b"head"), None);
}

#[test]
fn a_finished_file_is_forgotten_once_its_end_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(&dir.path().join("state")).unwrap();
    checkpoint.register(0, state("/a", 10, 0));
    checkpoint.finished(0, 9);
    assert!(checkpoint.describe(0).is_some());
    checkpoint.settled(&positions(&[(0, 9)]));
    assert_eq!(checkpoint.describe(0), None);
}

#[test]
fn a_spooled_mark_outranks_what_is_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(&dir.path().join("state")).unwrap();
    checkpoint.raise(&state("/a", 10, 5));
    checkpoint.raise(&state("/a", 10, 50));
    let refined = FileRecord {
        signature: Fingerprint::of(b"head, refined"),
        ..state("/a", 10, 70)
    };
    checkpoint.raise(&refined);
    assert_eq!(checkpoint.resume(at(10), b"head, refined"), Some(70));
}

#[test]
fn it_is_written_at_most_once_a_second_and_only_when_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(&dir.path().join("state")).unwrap();
    assert!(!checkpoint.save_if_due(Instant::now()).unwrap());
    checkpoint.register(0, state("/a", 10, 0));
    assert!(checkpoint.save_if_due(Instant::now()).unwrap());
    checkpoint.settled(&positions(&[(0, 9)]));
    let now = Instant::now();
    assert!(!checkpoint.save_if_due(now).unwrap());
    assert!(checkpoint.save_if_due(now + INTERVAL).unwrap());
    assert!(!checkpoint.save_if_due(now + 3 * INTERVAL).unwrap());
}

#[test]
fn what_is_no_checkpoint_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let valid = json!({ KEY: 1, "watched": [], "files": [state("/a", 1, 2).to_json()] });
    for (bytes, word) in [
        (String::new(), "EOF"),
        ("important notes".into(), "expected"),
        ("{}".into(), KEY),
        (json!({ KEY: 2 }).to_string(), "version is 2"),
        (json!({ KEY: 1, "files": [{}] }).to_string(), "missing"),
        (valid.to_string().replace("ino", "oni"), "strange"),
    ] {
        fs::write(&path, &bytes).unwrap();
        let error = format!("{:#}", open(&path).err().unwrap());
        assert!(
            error.contains(word) && error.contains("move it away"),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), bytes.as_bytes());
    }
    fs::write(&path, valid.to_string()).unwrap();
    assert!(open(&path).is_ok());
}

#[test]
fn two_processes_cannot_share_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let first = open(&path).unwrap();
    let error = open(&path).err().unwrap().to_string();
    assert!(error.contains("in use"), "{error}");
    drop(first);
    assert!(open(&path).is_ok());
}

#[test]
fn a_write_that_fails_keeps_what_was_and_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let checkpoint = open(&path).unwrap();
    checkpoint.register(0, state("/a", 10, 0));
    fs::create_dir(dir.path().join("state.tmp")).unwrap();
    assert!(checkpoint.save().is_err() && !path.exists());
    fs::remove_dir(dir.path().join("state.tmp")).unwrap();
    assert!(checkpoint.save().unwrap());
}

#[test]
fn a_file_that_was_not_read_to_its_end_is_told_from_one_that_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let unread = |size: u64, settled: u64| {
        let _ = fs::remove_file(&path);
        let checkpoint = open(&path).unwrap();
        checkpoint.register(0, state("/a", 10, 0));
        checkpoint.sized(0, size);
        checkpoint.settled(&positions(&[(0, settled)]));
        assert!(checkpoint.save().unwrap());
        drop(checkpoint);
        let again = open(&path).unwrap();
        again.watch(Path::new("/a"));
        assert!(again.save().unwrap());
        drop(again);
        open(&path).unwrap().former(Path::new("/a"))[0].unread
    };
    assert_eq!(
        [unread(9, 9), unread(9, 5), unread(5, 9)],
        [false, true, false]
    );
}
