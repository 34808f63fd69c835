//! The house keeps its rules: who may know what, read off the sources. An architecture that is a
//! test stays true.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Sources below a folder, each without its tests, with its path below `src`.
fn sources() -> Vec<(String, String)> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&src, &mut found);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).unwrap().display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        let text = text
            .split("\n#[cfg(test)]\nmod tests")
            .next()
            .unwrap()
            .to_owned();
        (name, text)
    };
    found.into_iter().map(read).collect()
}

/// The code of a source, without its comments.
fn code(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.fold(String::new(), |code, line| code + line + "\n")
}

fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs")
}

#[test]
fn each_outside_library_has_one_door() {
    for (library, doors) in [
        ("ureq::", &["push/http/"][..]),
        ("rustls::", &["push/http/"]),
        ("flate2::", &["seal.rs", "source/gzip.rs"]),
        ("sirocco::", &["seal.rs"]),
        ("signal_hook::", &["signals.rs"]),
        ("clap::", &["cli/"]),
        ("glob::", &["source/names.rs"]),
        ("jiff::", &["time.rs", "refusal/", "check/"]),
        ("crc32fast::", &["spool/file.rs"]),
    ] {
        for (name, text) in sources() {
            let may = is_test(&name) || doors.iter().any(|door| name.starts_with(door));
            assert!(
                may || !code(&text).contains(library),
                "{name} uses {library}"
            );
        }
    }
}

#[test]
fn what_is_pure_knows_no_clock_no_file_and_no_thread() {
    let pure = [
        "address.rs",
        "ansi.rs",
        "batch/",
        "check/words/",
        "checkpoint/known.rs",
        "entry.rs",
        "fields/",
        "filter.rs",
        "identity.rs",
        "labels.rs",
        "level/",
        "lines.rs",
        "multiline.rs",
        "outcome.rs",
        "pace.rs",
        "pace/",
        "push/http/explain/",
        "push/http/proxy.rs",
        "push/http/terms.rs",
        "push/http/x509.rs",
        "rate.rs",
        "refusal/",
        "report.rs",
        "retry.rs",
        "seal.rs",
        "shape/layout.rs",
        "ship/desk.rs",
        "shipment.rs",
        "stamp.rs",
        "time.rs",
    ];
    let found = sources();
    for own in pure {
        let files: Vec<_> = found
            .iter()
            .filter(|(name, _)| name.starts_with(own) && !is_test(name))
            .collect();
        assert!(!files.is_empty(), "{own} is gone");
        for (name, text) in files {
            for word in [
                "Instant::now",
                "SystemTime::now",
                "fs::read",
                "File::open",
                "std::thread",
                "TcpStream",
            ] {
                assert!(!code(text).contains(word), "{name} uses {word}");
            }
        }
    }
}

#[test]
fn waits_stand_where_they_belong_and_nobody_sleeps() {
    for (name, text) in sources() {
        let code = code(&text);
        assert!(!code.contains("thread::sleep"), "{name} sleeps");
        let may = ["queue.rs", "room.rs", "stop.rs", "turnstile.rs"].contains(&name.as_str());
        assert!(may || !code.contains("Condvar"), "{name} waits on its own");
    }
}

#[test]
fn sources_know_nothing_of_what_comes_behind_them() {
    for (name, text) in sources()
        .iter()
        .filter(|(name, _)| name.starts_with("source/"))
    {
        for room in [
            "batch", "seal", "push", "spool", "ledger", "ship", "backlog", "pack",
        ] {
            let word = format!("crate::{room}");
            assert!(
                !code(text).contains(&format!("{word}::")),
                "{name} knows {room}"
            );
        }
    }
}

#[test]
fn no_room_knows_one_that_knows_it() {
    let mut knows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, text) in sources() {
        if is_test(&name) || name.contains("/tests/") {
            continue;
        }
        let room = name.split(['/', '.']).next().unwrap().to_owned();
        let code = code(&text);
        let named = code.split("crate::").skip(1).map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            rest[..end.unwrap_or(rest.len())].to_owned()
        });
        let others = named.filter(|other| *other != room);
        knows.entry(room.clone()).or_default().extend(others);
    }
    // The crate's root names what is public, and nobody takes a room from it.
    knows.remove("lib");
    while let Some(lowest) = knows
        .iter()
        .find(|(_, others)| others.iter().all(|other| !knows.contains_key(other)))
        .map(|(room, _)| room.clone())
    {
        knows.remove(&lowest);
    }
    assert!(
        knows.is_empty(),
        "these stand in a circle or above one: {knows:?}"
    );
}

#[test]
fn every_file_says_what_it_is() {
    for (name, text) in sources() {
        assert!(
            text.starts_with("//! "),
            "{name} does not say what it knows"
        );
    }
}
