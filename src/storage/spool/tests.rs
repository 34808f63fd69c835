//! What the spool promises, tried on real directories.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;

use crate::batch::encode::Encoder;
use crate::entry::labels::Labels;
use crate::entry::{Entry, FilePositions};
use crate::report::messages::Verbosity;
use crate::storage::spool::*;

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_owned(),
        size: 1 << 30,
        sync: false,
        destination: Destination::new("http://loki/loki/api/v1/push"),
        checkpoint: None,
        sending: None,
        drain: None,
    }
}

fn open(dir: &Path) -> Spool {
    open_with(dir, |_| {})
}

fn open_with(dir: &Path, change: impl FnOnce(&mut Options)) -> Spool {
    let mut options = options(dir);
    change(&mut options);
    Spool::open(options, Reporter::new(Verbosity::Quiet)).unwrap()
}

fn encoded_batch(number: u64) -> EncodedBatch {
    let mut sealer = Encoder::new(6);
    let mut request = |app: &str, lines: u64| {
        let text: Vec<String> = (0..lines).map(|n| format!("{app} {number} {n}")).collect();
        let entries = text.iter().zip(1_i64..).map(|(line, time)| Entry {
            time,
            line,
            metadata: "",
        });
        let labels = Labels::new([("app", app), ("quoted", "\"\n\\")]);
        sealer.request(&Arc::new(labels), entries)
    };
    EncodedBatch {
        number,
        requests: vec![request("a", 2), request("b", 3)],
        positions: FilePositions::default(),
        input_order: Vec::new(),
    }
}

fn store(spool: &Spool, number: u64) -> SpooledBatch {
    store_with(spool, number, Vec::new())
}

fn store_with(spool: &Spool, number: u64, positions: Vec<Value>) -> SpooledBatch {
    let stored_batch = encoded_batch(number);
    let draft = spool.prepare(&stored_batch, positions);
    let stored = spool.store(draft, &stored_batch).unwrap();
    assert_eq!(stored.bytes, fs::metadata(stored.path()).unwrap().len());
    stored
}

fn assert_same(a: &EncodedBatch, b: &EncodedBatch) {
    assert_eq!(a.number, b.number);
    assert_eq!(a.requests.len(), b.requests.len());
    for (a, b) in a.requests.iter().zip(&b.requests) {
        assert_eq!(a.labels, b.labels);
        assert_eq!(a.body, b.body);
        assert_eq!((a.gzip, a.entries, a.bytes), (b.gzip, b.entries, b.bytes));
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_stored_is_loaded_and_an_empty_spool_leaves_nothing() {
    for sync in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let spool = open_with(dir.path(), |options| options.sync = sync);
        let stored = store(&spool, 7);
        assert_eq!((stored.entries, spool.used()), (5, stored.bytes));
        assert_same(&spool.load(&stored).unwrap(), &encoded_batch(7));
        assert!(spool.recover().is_empty(), "its own is no orphan");
        spool.remove(&stored);
        assert_eq!(spool.used(), 0);
        spool.close();
        assert!(names(dir.path()).is_empty());
        let draft = spool.prepare(&encoded_batch(8), Vec::new());
        assert!(
            spool.store(draft, &encoded_batch(8)).is_err(),
            "it is closed"
        );
    }
}

#[test]
fn a_shell_can_read_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let stored = store(&spool, 0);
    let shown = std::process::Command::new("sh")
        .args(["-c", "tail -n +2 \"$0\" | zcat"])
        .arg(stored.path())
        .output()
        .unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("\"a 0 1\"") && shown.contains("\"b 0 2\""),
        "{shown}"
    );
}

#[test]
fn damage_at_any_byte_is_found_and_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let stored = store(&spool, 1);
    let whole = fs::read(stored.path()).unwrap();
    let check = |bytes: &[u8], what: String| {
        fs::write(stored.path(), bytes).unwrap();
        let found = stored.load();
        assert!(
            matches!(found, Err(ReadError::Damaged(_))),
            "{what}: {found:?}"
        );
    };
    for at in 0..whole.len() {
        for flip in [1, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            check(&bytes, format!("byte {at} ^ {flip}"));
        }
        check(&whole[..at], format!("cut to {at}"));
    }
    check(&[&whole[..], b"x"].concat(), "a byte more".into());
    assert!(spool.load(&stored).is_err());
    assert_eq!((spool.unreadable(), spool.used()), (1, 0));
    assert!(
        names(dir.path())
            .iter()
            .any(|name| name.ends_with(".damaged"))
    );
}

#[test]
fn damage_is_found_when_adopting_too_and_counted_once() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let (bad, good) = (store(&first, 1), store(&first, 2));
    fs::write(bad.path(), b"nonsense").unwrap();
    fs::write(bad.path().with_extension(TEMPORARY), b"half").unwrap();
    drop(first);
    let second = open(dir.path());
    let adopted = second.recover();
    assert_eq!((adopted.len(), second.unreadable()), (1, 1));
    assert_same(&second.load(&adopted[0]).unwrap(), &encoded_batch(2));
    assert_eq!(adopted[0].path(), good.path());
    second.remove(&adopted[0]);
    drop(second);
    assert_eq!(names(dir.path()).len(), 1, "the damaged file");
    let third = open(dir.path());
    assert!(third.recover().is_empty());
    assert_eq!(third.unreadable(), 0);
    assert_eq!(third.used_by_others(), b"nonsense".len() as u64);
}

#[test]
fn a_living_process_keeps_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (open(dir.path()), open(dir.path()));
    let stored = store(&first, 0);
    assert!(second.recover().is_empty());
    assert!(second.used_by_others() > stored.bytes);
    drop(first);
    assert_eq!(second.recover().len(), 1);
    assert!(second.recover().is_empty(), "only once");
}

#[test]
fn orphans_are_adopted_by_exactly_one_of_many() {
    let dir = tempfile::tempdir().unwrap();
    for number in 0..12 {
        store(&open(dir.path()), number);
    }
    let total = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let spool = open(dir.path());
                for stored in spool.recover() {
                    assert!(spool.load(&stored).is_ok());
                    total.fetch_add(1, Ordering::SeqCst);
                    spool.remove(&stored);
                }
            });
        }
    });
    assert_eq!(total.into_inner(), 12);
    // Somebody may have looked at a folder just when its owner wanted to remove it.
    drop(open(dir.path()).recover());
    assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
}

#[test]
fn spools_come_and_go_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let (stored, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (dir, stored, taken) = (dir.path(), &stored, &taken);
            scope.spawn(move || {
                for round in 0..50 {
                    let spool = open(dir);
                    for orphan in spool.recover() {
                        assert!(spool.load(&orphan).is_ok());
                        spool.remove(&orphan);
                        taken.fetch_add(1, Ordering::SeqCst);
                    }
                    if (round + thread) % 3 == 0 {
                        store(&spool, round);
                        stored.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    taken.fetch_add(open(dir.path()).recover().len(), Ordering::SeqCst);
    assert_eq!(stored.into_inner(), taken.into_inner());
}

#[test]
fn the_oldest_come_first_whoever_left_them() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (open(dir.path()), open(dir.path()));
    for number in [0, 1, 2, 10] {
        store(if number % 2 == 0 { &a } else { &b }, number);
    }
    drop((a, b));
    let spool = open(dir.path());
    let numbers = spool.recover().into_iter();
    let numbers = numbers.map(|stored| spool.load(&stored).unwrap().number);
    assert_eq!(numbers.collect::<Vec<_>>(), [0, 1, 2, 10]);
}

#[test]
fn a_foreign_destination_is_not_touched() {
    type Change = fn(&mut Destination);
    let dir = tempfile::tempdir().unwrap();
    let others: [Change; 3] = [
        |d| d.url = "http://other/push".into(),
        |d| d.tenant = Some("team".into()),
        |d| d.user = Some("me".into()),
    ];
    for change in others {
        let other = open_with(dir.path(), |options| change(&mut options.destination));
        let path = store(&other, 0).path().parent().unwrap().to_owned();
        drop(other);
        let before = names(&path);
        assert!(open(dir.path()).recover().is_empty());
        assert_eq!(names(&path), before);
        // Even where its name tag is gone, the files tell.
        fs::remove_file(path.join("destination")).unwrap();
        assert!(open(dir.path()).recover().is_empty());
        let again = open_with(dir.path(), |options| change(&mut options.destination));
        assert_eq!(again.recover().len(), 1);
    }
}

#[test]
fn a_later_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    let stored = store(&spool, 0);
    let text = r#"{"version":2"#;
    let check = crc32fast::hash(text.as_bytes());
    fs::write(
        stored.path(),
        format!("{text},\"check\":\"{check:08x}\"}}\nbody"),
    )
    .unwrap();
    assert!(spool.load(&stored).is_err());
    assert_eq!(spool.unreadable(), 0);
    assert!(stored.path().exists());
}

#[test]
fn nobody_else_may_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("new/spool");
    let spool = open(&dir);
    let stored = store(&spool, 0);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let path = stored.path();
    let folder = path.parent().unwrap();
    assert_eq!((mode(&dir), mode(folder)), (0o700, 0o700));
    for name in names(folder) {
        assert_eq!(mode(&folder.join(name)), 0o600);
    }
}

#[test]
fn marks_come_back_and_those_of_another_run_stay_as_a_receipt() {
    let dir = tempfile::tempdir().unwrap();
    let follower = |options: &mut Options| options.checkpoint = Some("/var/x".into());
    let first = open_with(dir.path(), follower);
    store_with(&first, 0, vec![json!({"offset": 5})]);
    store_with(&first, 1, vec![json!({"offset": 9})]);
    let positions = [json!({"offset": 5}), json!({"offset": 9})];
    assert_eq!(first.positions(), positions);
    drop(first);

    let other = open(dir.path());
    let adopted = other.recover();
    assert_eq!(adopted.len(), 2);
    assert!(adopted.iter().all(|stored| stored.positions.is_empty()));
    let again = open_with(dir.path(), follower);
    assert_eq!(again.positions(), positions, "though another holds them");
    for stored in &adopted {
        other.remove(stored);
    }
    assert_eq!(again.positions(), positions, "though they are delivered");
    drop((other, again));

    assert!(
        open(dir.path()).recover().is_empty(),
        "receipts are for their checkpoint"
    );
    let again = open_with(dir.path(), follower);
    let receipts = again.recover();
    assert_eq!(receipts.len(), 2);
    for receipt in &receipts {
        assert_eq!((receipt.entries, receipt.positions.len()), (0, 1));
        again.remove(receipt);
    }
    drop(again);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_place_that_cannot_be_written_is_said_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let spool = Spool::open(options(&dir), Reporter::new(Verbosity::Quiet));
        let error = format!("{:#}", spool.err().unwrap());
        assert!(
            error.contains("--spool") && error.contains("file"),
            "{error}"
        );
    }
}

#[test]
fn what_is_not_the_spools_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    for name in ["mail", "cron", "2026-11"] {
        fs::create_dir(dir.path().join(name)).expect("a folder");
    }
    let job = dir.path().join("cron/job.batch");
    fs::write(&job, "a job").expect("a file");
    let spool = open(dir.path());
    assert!(spool.recover().is_empty());
    drop(spool);
    assert_eq!(fs::read_to_string(&job).expect("the file"), "a job");
    let mut left: Vec<_> = fs::read_dir(dir.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["2026-11", "cron", "mail"]);
    assert_eq!(fs::read_dir(dir.path().join("cron")).unwrap().count(), 1);
}
