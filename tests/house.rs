//! The house keeps its rules: who may know what, read off the sources. An architecture that is a
//! test stays true.

use std::collections::BTreeSet;
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

/// Each room, and the rooms it may use. The order is that of the floors: a room uses only rooms above
/// it in this table, so there is no circle.
const ROOMS: [(&str, &[&str]); 14] = [
    ("entry", &[]),
    ("parse", &[]),
    ("sync", &[]),
    ("batch", &["entry", "sync"]),
    ("report", &["sync"]),
    ("http", &["entry", "parse", "report"]),
    ("process", &["entry", "parse", "sync", "report"]),
    ("storage", &["entry", "parse", "report"]),
    (
        "delivery",
        &[
            "entry", "parse", "sync", "batch", "report", "http", "storage",
        ],
    ),
    (
        "input",
        &["entry", "parse", "sync", "report", "process", "storage"],
    ),
    (
        "pipeline",
        &[
            "entry", "sync", "batch", "report", "http", "process", "storage", "delivery",
        ],
    ),
    (
        "cli",
        &[
            "entry", "parse", "batch", "report", "http", "process", "storage", "delivery", "input",
            "pipeline",
        ],
    ),
    (
        "client",
        &[
            "entry", "parse", "sync", "batch", "report", "http", "process", "delivery", "pipeline",
        ],
    ),
    (
        "app",
        &[
            "entry", "parse", "sync", "batch", "report", "http", "process", "storage", "delivery",
            "input", "pipeline", "cli",
        ],
    ),
];

#[test]
fn rooms_use_only_the_rooms_below_them() {
    let mut below = BTreeSet::new();
    for (room, uses) in ROOMS {
        assert!(
            uses.iter().all(|used| below.contains(used)),
            "{room} is too high"
        );
        below.insert(room);
    }
    for (name, text) in sources() {
        let room = name.split('/').next().unwrap();
        if ["lib.rs", "main.rs"].contains(&room) {
            continue;
        }
        let found = ROOMS.iter().find(|(known, _)| *known == room);
        let (_, may) = found.unwrap_or_else(|| panic!("{name} is in no room of the table"));
        if is_test(&name) || name.contains("/tests/") {
            continue;
        }
        for rest in code(&text).split("crate::").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            let used = &rest[..end.unwrap_or(rest.len())];
            assert!(
                used == room || may.contains(&used) || !below.contains(used),
                "{name} uses {used}"
            );
        }
    }
}

#[test]
fn each_library_is_used_in_one_room() {
    for (library, doors) in [
        ("ureq::", &["http/"][..]),
        ("rustls::", &["http/"]),
        (
            "flate2::",
            &["batch/encode.rs", "http/response.rs", "input/"],
        ),
        ("sirocco::", &["batch/encode.rs"]),
        ("signal_hook::", &["app/signals.rs"]),
        ("clap::", &["cli/"]),
        ("glob::Pattern", &["input/glob.rs"]),
        (
            "jiff::",
            &["parse/", "delivery/rejection/", "app/check/", "process/"],
        ),
        ("crc32fast::", &["storage/spool/batch_file.rs"]),
    ] {
        for (name, text) in sources() {
            // An enum that is an option's value is read by clap where it is declared.
            let text = text.replace("clap::ValueEnum", "");
            let may = is_test(&name) || doors.iter().any(|door| name.starts_with(door));
            assert!(
                may || !code(&text).contains(library),
                "{name} uses {library}"
            );
        }
    }
}

#[test]
fn pure_files_use_no_clock_no_file_and_no_thread() {
    let pure = [
        "app/check/messages/",
        "batch/dedup.rs",
        "batch/encode.rs",
        "batch/mod.rs",
        "delivery/backoff.rs",
        "delivery/outcome.rs",
        "delivery/rate_limit/",
        "delivery/rejection/",
        "delivery/sender/schedule/mod.rs",
        "delivery/sender/schedule/trouble.rs",
        "entry/",
        "http/error/",
        "http/proxy.rs",
        "http/setting_names.rs",
        "http/url.rs",
        "http/x509.rs",
        "input/line_splitter.rs",
        "parse/",
        "process/filter.rs",
        "process/layout.rs",
        "process/multiline.rs",
        "process/throttle.rs",
        "report/humanize.rs",
        "report/summary.rs",
        "storage/checkpoint/state.rs",
        "storage/file_identity.rs",
        "sync/flush_deadline.rs",
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
fn waits_are_in_sync_and_nobody_sleeps() {
    for (name, text) in sources() {
        let code = code(&text);
        assert!(!code.contains("thread::sleep"), "{name} sleeps");
        let may = name.starts_with("sync/");
        assert!(may || !code.contains("Condvar"), "{name} waits on its own");
    }
}

#[test]
fn src_holds_rooms_and_the_two_roots_only() {
    for (name, _) in sources() {
        let is_root = ["lib.rs", "main.rs"].contains(&name.as_str());
        assert!(is_root || name.contains('/'), "{name} is outside the rooms");
    }
}

#[test]
fn every_file_begins_with_what_it_is() {
    for (name, text) in sources() {
        assert!(text.starts_with("//! "), "{name} does not say what it is");
    }
}
