//! Encodings: UTF-16 with a byte order mark is decoded wherever it is read, and what cannot be
//! decoded is reported once.

use std::fs;
use std::io::Write;

use crate::support::{Dir, Finished, Loki, LokiPush, Running, assert_law};

/// Text as UTF-16 without a mark.
fn units(text: &str, is_big: bool) -> Vec<u8> {
    let units = text.encode_utf16();
    let bytes = units.map(|unit| {
        if is_big {
            unit.to_be_bytes()
        } else {
            unit.to_le_bytes()
        }
    });
    bytes.flatten().collect()
}

/// Text as UTF-16 with a byte order mark.
fn utf16(text: &str, is_big: bool) -> Vec<u8> {
    units(&format!("\u{feff}{text}"), is_big)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn run(loki: &Loki, dir: &Dir, args: &[&str]) -> Finished {
    loki.client_restarted();
    let ended = LokiPush::new(loki).cwd(dir.path()).summed().args(args);
    let ended = ended.run();
    assert_law(&ended.summary());
    ended
}

fn follow(loki: &Loki, dir: &Dir, args: &[&str]) -> Running {
    loki.client_restarted();
    let run = LokiPush::new(loki).cwd(dir.path()).args(args);
    let run = run.args(["-f", "--from", "start", "--flush-interval", "20ms"]);
    run.summed().spawn()
}

fn stop(running: Running) -> Finished {
    running.signal("TERM");
    let ended = running.wait().expect(0);
    assert_law(&ended.summary());
    ended
}

/// A line of each kind that a byte-wise reader would cut or keep wrongly.
const TEXT: &str = "plain\r\n\r\n\u{a0d}\u{d0a}\u{100}\u{1}\nüñí 😀\nlast";
const LINES: [&str; 5] = ["plain", "", "\u{a0d}\u{d0a}\u{100}\u{1}", "üñí 😀", "last"];

#[test]
fn utf_16_is_decoded_in_files_pipes_and_commands() {
    for is_big in [false, true] {
        let dir = Dir::new();
        let bytes = utf16(TEXT, is_big);
        dir.write("a.log", &bytes);
        dir.write("a.gz", gzip(&bytes));
        for args in [&["a.log"][..], &["a.gz"], &["--", "cat", "a.log"]] {
            let loki = Loki::start();
            let args = [&["--no-exit-entry"][..args.len() / 3], args].concat();
            let ended = run(&loki, &dir, &args).expect(0).expect_no_message();
            assert_eq!(loki.lines(), LINES, "{args:?}");
            assert_eq!(ended.summary().bytes_read, bytes.len() as u64);
        }
        let loki = Loki::start();
        let ended = LokiPush::new(&loki).stdin_bytes(bytes.clone()).run();
        ended.expect(0).expect_silence();
        assert_eq!(loki.lines(), LINES);
        let loki = Loki::start();
        let ended = LokiPush::new(&loki).stdin_file(dir.join("a.log")).run();
        ended.expect(0).expect_silence();
        assert_eq!(loki.lines(), LINES);
    }
}

#[test]
fn a_tee_passes_utf_16_on_as_it_came() {
    let loki = Loki::start();
    let bytes = utf16(TEXT, false);
    let ended = LokiPush::new(&loki).arg("--tee").stdin_bytes(bytes.clone());
    let ended = ended.run().expect(0);
    assert_eq!(ended.stdout, bytes);
    assert_eq!(loki.lines(), LINES);
}

#[test]
fn utf_16_is_resumed_at_raw_bytes_and_its_mark_is_read_again() {
    for is_big in [false, true] {
        let (loki, dir) = (Loki::start(), Dir::new());
        let args = ["--checkpoint", "cp", "a.log"];
        dir.write("a.log", utf16("one\n\u{a0d}x\nhal", is_big));
        run(&loki, &dir, &args).expect(0).expect_no_message();
        dir.append("a.log", units("f\n", is_big));
        run(&loki, &dir, &args).expect(0).expect_no_message();
        assert_eq!(loki.lines(), ["one", "\u{a0d}x", "half"]);
        let kept: serde_json::Value =
            serde_json::from_slice(&fs::read(dir.join("cp")).unwrap()).unwrap();
        let size = fs::metadata(dir.join("a.log")).unwrap().len();
        assert_eq!(kept["files"][0]["offset"], size, "{kept}");

        // Followed, it goes on there, too.
        let followed = follow(&loki, &dir, &args);
        dir.append("a.log", units("three\r\n", is_big));
        loki.wait_for_entries(4);
        stop(followed).expect_no_message();
        // And compressed.
        let more = [
            fs::read(dir.join("a.log")).unwrap(),
            units("four\n", is_big),
        ]
        .concat();
        dir.write("a.log.1.gz", gzip(&more));
        fs::remove_file(dir.join("a.log")).unwrap();
        run(&loki, &dir, &["--checkpoint", "cp", "a.log*"]).expect(0);
        assert_eq!(loki.lines()[3..], ["three", "four"]);
    }
}

#[test]
fn a_followed_file_is_decoded_however_its_bytes_arrive() {
    for is_big in [false, true] {
        let (loki, dir) = (Loki::start(), Dir::new());
        dir.write("a.log", "");
        let followed = follow(&loki, &dir, &["a.log"]);
        for (n, byte) in utf16("a\nbé\n", is_big).iter().enumerate() {
            dir.append("a.log", [*byte]);
            // Each byte is read alone: three lines in another file show that it was.
            dir.append("tick", format!("{n}\n"));
        }
        loki.wait_for_entries(2);
        dir.append("a.log", units("c\n", is_big));
        loki.wait_for_entries(3);
        // Rotated: the new one has a mark of its own, and may be UTF-8.
        dir.rename("a.log", "a.log.1");
        dir.write("a.log", "ünï\n");
        loki.wait_for_entries(4);
        fs::write(dir.join("a.log"), utf16("x\n", !is_big)).unwrap();
        loki.wait_for_entries(5);
        stop(followed);
        assert_eq!(loki.lines(), ["a", "bé", "c", "ünï", "x"]);
    }
}

#[test]
fn nuls_around_utf_16_are_no_content() {
    for is_big in [false, true] {
        let (loki, dir) = (Loki::start(), Dir::new());
        let preallocated = [utf16("one\ntwo\n", is_big), vec![0; 4096]].concat();
        dir.write("a.log", &preallocated);
        let followed = follow(&loki, &dir, &["a.log"]);
        loki.wait_for_entries(2);
        dir.append("a.log", units("three\n", is_big));
        loki.wait_for_entries(3);
        stop(followed);
        assert_eq!(loki.lines(), ["one", "two", "three"]);
        let loki = Loki::start();
        run(&loki, &dir, &["a.log"]).expect(0).expect_no_message();
        assert_eq!(loki.lines(), ["one", "two", "three"]);
    }
}

#[test]
fn invalid_utf_16_is_reported_once_and_utf_16_without_a_mark_is_not_guessed() {
    for is_big in [false, true] {
        let (loki, dir) = (Loki::start(), Dir::new());
        let mut bytes = utf16("a", is_big);
        for lone in [0xd800_u16, 0xdc00] {
            bytes.extend(if is_big {
                lone.to_be_bytes()
            } else {
                lone.to_le_bytes()
            });
            bytes.extend(units("b\n", is_big));
        }
        bytes.push(b'!');
        dir.write("a.log", &bytes);
        let ended = run(&loki, &dir, &["a.log"]).expect(0);
        assert_eq!(ended.stderr.matches("iconv").count(), 1, "{}", ended.stderr);
        assert_eq!(loki.lines(), ["a\u{fffd}b", "\u{fffd}b", "\u{fffd}"]);
    }
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("a.log", units("ab", true));
    run(&loki, &dir, &["a.log"]).expect(0);
    assert_eq!(loki.lines(), ["a\0b"]);
}

#[test]
fn times_and_long_lines_of_utf_16_are_read_as_those_of_utf_8() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let long = "é日".repeat(50);
    let text = format!("2025-11-03T08:15:30Z a\n{long}\n2025-11-03T08:15:31Z b\n");
    dir.write("a.log", utf16(&text, false));
    let args = [
        "--checkpoint",
        "cp",
        "--time",
        "auto",
        "--max-line-size",
        "64",
    ];
    let args = [&args[..], &["--multiline-wait", "1s", "a.log"]].concat();
    run(&loki, &dir, &args).expect(0).expect_no_message();
    let lines = loki.lines();
    assert!(lines.iter().all(|line| line.len() <= 64), "{lines:?}");
    let pieces = lines.iter().filter(|line| !line.starts_with("2025"));
    assert_eq!(pieces.map(String::len).sum::<usize>(), long.len());
    // What a later run reads continues the time of the line before.
    dir.append("a.log", units("continued\n", false));
    run(&loki, &dir, &args).expect(0).expect_no_message();
    let entries = loki.entries();
    let time = |line: &str| {
        entries
            .iter()
            .find(|entry| entry.line.ends_with(line))
            .unwrap()
            .time
    };
    assert_eq!(time("continued"), time("31Z b"));
}

#[test]
fn invalid_utf_8_is_reported_once_with_every_option_and_for_every_input() {
    let dir = Dir::new();
    let lines = b"caf\xe9 a\n\x1b[1mcaf\xe9 b\x1b[0m\n";
    dir.write("a.log", lines);
    let docker: &[u8] =
        b"{\"log\":\"caf\xe9\\n\",\"stream\":\"stdout\",\"time\":\"2025-11-03T08:15:30Z\"}\n";
    dir.write("docker.log", docker);
    dir.write("cri.log", b"2025-11-03T08:15:30Z stdout F caf\xe9\n");
    dir.write("colour.log", b"\x1b[1mcaf\xe9\x1b[0m\n");
    for args in [
        &["a.log"][..],
        &["--strip-ansi", "a.log"],
        &["--strip-ansi", "colour.log"],
        &["--strip-ansi", "--multiline", "auto", "colour.log"],
        &["--multiline", "^c", "a.log"],
        &["--redact", "caf", "a.log"],
        &["--strip-ansi", "--redact", "caf", "colour.log"],
        &["--include", "caf", "a.log"],
        &["--layout", "metadata", "a.log"],
        &["--parse", "none", "a.log"],
        &["--unwrap", "docker", "docker.log"],
        &["--unwrap", "cri", "--strip-ansi", "cri.log"],
        &["--no-exit-entry", "--", "cat", "a.log"],
        &["--no-exit-entry", "--strip-ansi", "--", "cat", "colour.log"],
        &["--no-exit-entry", "--", "sh", "-c", "cat colour.log >&2"],
    ] {
        let loki = Loki::start();
        let ended = run(&loki, &dir, args).expect(0);
        let reports = ended.stderr.matches("not UTF-8").count();
        assert_eq!(reports, 1, "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("iconv"), "{}", ended.stderr);
        assert!(loki.lines()[0].contains('\u{fffd}'), "{args:?}");
    }
    // What is not shipped is not reported.
    for args in [
        &["--exclude", "caf"][..],
        &["--exclude", "caf", "--strip-ansi"],
    ] {
        let loki = Loki::start();
        let ended = LokiPush::new(&loki).args(args).stdin_bytes(&lines[..]);
        ended.run().expect(0).expect_silence();
    }
    let loki = Loki::start();
    let ended = LokiPush::new(&loki).arg("--strip-ansi");
    let ended = ended.stdin_bytes(&b"\x1b[1mcaf\xe9\n"[..]).run();
    ended
        .expect(0)
        .expect_stderr(["standard input is not UTF-8", "iconv"]);
}
