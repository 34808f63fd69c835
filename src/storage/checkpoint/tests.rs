//! What the checkpoint promises, from one run to the next.

use std::fs;

use serde_json::json;

use crate::entry::{FilePosition, TimestampState};
use crate::storage::checkpoint::file::KEY;
use crate::storage::checkpoint::*;

fn record(path: &str, ino: u64, offset: u64) -> FileRecord {
    FileRecord {
        path: path.into(),
        at: DevInode { dev: 1, ino },
        fingerprint: Fingerprint::of(&mut &b"head\n"[..], 5).unwrap(),
        offset,
        size: offset,
        times: TimestampState::default(),
    }
}

fn positions(list: &[(FileId, u64)]) -> FilePositions {
    let mark = |&(file, offset): &(FileId, u64)| FilePosition {
        file,
        offset,
        time: None,
    };
    list.iter().map(mark).collect()
}

fn open(path: &Path) -> Result<Checkpoint> {
    Checkpoint::open(path, true, Reporter::default())
}

#[test]
fn the_next_run_resumes_where_this_one_was_settled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let first = open(&path).unwrap();
    assert!(!first.watch(Path::new("/a*")));
    assert_eq!(first.add(record("/a", 10, 5)), 0);
    assert_eq!(first.add(record("/b", 11, 0)), 1);
    first.settled(&positions(&[(0, 50), (7, 9)]));
    first.settled(&positions(&[(0, 40)]));
    assert!(first.save().unwrap());
    assert!(!first.save().unwrap(), "nothing changed");
    drop(first);

    let second = open(&path).unwrap();
    assert!(second.watch(Path::new("/a*")) && !second.watch(Path::new("/c")));
    let files = second.files();
    assert_eq!(files[&0], record("/a", 10, 50));
    assert_eq!(second.add(record("/c", 12, 0)), 2, "numbers go on");
    second.forget(1);
    assert!(second.save().unwrap());
    assert_eq!(second.files().len(), 2);
}

#[test]
fn a_finished_file_is_forgotten_once_its_end_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(&dir.path().join("state")).unwrap();
    let id = checkpoint.add(record("/a", 10, 0));
    checkpoint.finished(id, 9);
    assert!(checkpoint.describe(id).is_some());
    checkpoint.settled(&positions(&[(id, 9)]));
    assert_eq!(checkpoint.describe(id), None);
}

#[test]
fn a_spooled_position_outranks_an_older_one() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(&dir.path().join("state")).unwrap();
    checkpoint.merge_newer(record("/a", 10, 5));
    checkpoint.merge_newer(record("/a", 10, 50));
    checkpoint.merge_newer(record("/a", 10, 20));
    let files = checkpoint.files();
    assert_eq!(
        files.values().cloned().collect::<Vec<_>>(),
        [record("/a", 10, 50)]
    );
}

#[test]
fn it_is_written_at_most_once_a_second_and_only_when_it_changed() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoint = open(&dir.path().join("state")).unwrap();
    assert!(!checkpoint.save_if_due(Instant::now()).unwrap());
    checkpoint.add(record("/a", 10, 0));
    assert!(checkpoint.save_if_due(Instant::now()).unwrap());
    checkpoint.settled(&positions(&[(0, 9)]));
    let now = Instant::now();
    assert!(!checkpoint.save_if_due(now).unwrap());
    assert!(checkpoint.save_if_due(now + INTERVAL).unwrap());
    assert!(!checkpoint.save_if_due(now + 3 * INTERVAL).unwrap());
}

#[test]
fn an_invalid_checkpoint_is_refused_and_left_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let valid = json!({ KEY: 1, "watched": [], "files": [record("/a", 1, 2).to_json()] });
    for (bytes, word) in [
        ("important notes".into(), "expected"),
        ("{}".into(), KEY),
        (json!({ KEY: 2 }).to_string(), "version is 2"),
        (json!({ KEY: 1, "files": [{}] }).to_string(), "incomplete"),
        (valid.to_string().replace("ino", "oni"), "incomplete"),
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
    checkpoint.add(record("/a", 10, 0));
    fs::create_dir(dir.path().join("state.tmp")).unwrap();
    assert!(checkpoint.save().is_err() && !path.exists());
    fs::remove_dir(dir.path().join("state.tmp")).unwrap();
    assert!(checkpoint.save().unwrap());
}

#[test]
fn an_empty_file_is_a_beginning_and_missing_folders_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/state");
    let checkpoint = open(&path).unwrap();
    checkpoint.add(record("/a", 1, 2));
    assert!(checkpoint.save().unwrap());
    drop(checkpoint);
    fs::write(&path, "").unwrap();
    assert!(open(&path).unwrap().files().is_empty());
}

#[test]
fn what_is_left_of_a_file_is_known_in_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let unread = |size: u64, settled: u64| {
        let _ = fs::remove_file(&path);
        let checkpoint = open(&path).unwrap();
        checkpoint.add(record("/a", 10, 0));
        checkpoint.set_size(0, size);
        checkpoint.settled(&positions(&[(0, settled)]));
        assert!(checkpoint.save().unwrap());
        drop(checkpoint);
        open(&path).unwrap().files()[&0].unread()
    };
    assert_eq!([unread(9, 9), unread(9, 5), unread(5, 9)], [0, 4, 0]);
}
