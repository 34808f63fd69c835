//! A pipe into Loki: every line that goes in comes out there, as it came, once and in order.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::loki::Labels;
use crate::support::{Finished, Loki, LokiPush, in_time};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    pairs.collect()
}

/// Ships these bytes with these options; all goes well. Unless they say otherwise, no batch is
/// sealed for its age.
#[track_caller]
fn ship(loki: &Loki, args: &[&str], input: impl Into<Vec<u8>>) -> Finished {
    let run = LokiPush::new(loki).args(args).summed().stdin_bytes(input);
    let run = run.env("LOKI_PUSH_FLUSH_INTERVAL", "1h");
    let ended = run.run().expect(0).expect_no_message();
    loki.assert_clean();
    let summary = ended.summary();
    assert_eq!(summary.delivered, loki.entries().len() as u64);
    assert_eq!(summary.read, summary.delivered);
    ended
}

#[track_caller]
fn assert_shipped(args: &[&str], input: &[u8], lines: &[&str]) {
    let loki = Loki::start();
    let summary = ship(&loki, args, input).summary();
    assert_eq!(loki.lines(), lines);
    assert_eq!(summary.bytes_read, input.len() as u64);
}

fn numbered(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("line {i:06}")).collect()
}

#[test]
fn three_lines_arrive_and_nothing_is_said() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).stdin_bytes("a\nb\nc");
    let ended = run.run().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["a", "b", "c"]);
    assert!(ended.stdout.is_empty());
    assert_eq!(loki.requests().len(), 1);
    loki.assert_clean();
}

#[test]
fn lines_keep_their_bytes() {
    assert_shipped(
        &[],
        b"crlf\r\n\r\n\n \t \nmid\rdle\nnul\0byte\n\xf0\x9f\x98\x80\x1b[1mx\nlast",
        &[
            "crlf",
            "",
            "",
            " \t ",
            "mid\rdle",
            "nul\0byte",
            "\u{1f600}\u{1b}[1mx",
            "last",
        ],
    );
    let loki = Loki::start();
    let input = b"broken \xff\xc3 utf-8\nand \xff again\n".to_vec();
    let ended = LokiPush::new(&loki).stdin_bytes(input).run().expect(0);
    assert_eq!(
        loki.lines(),
        ["broken \u{fffd}\u{fffd} utf-8", "and \u{fffd} again"]
    );
    // Reported once, with a remedy.
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.report());
    ended.expect_stderr(["standard input is not UTF-8", "iconv"]);
    assert_shipped(&[], b"\n", &[""]);
    assert_shipped(&[], b"two\r\r\n", &["two\r"]);
}

#[test]
fn with_null_records_end_in_nul() {
    let input = b"a\nb\0c\r\0\0d";
    assert_shipped(&["-0"], input, &["a\nb", "c\r", "", "d"]);
    assert_shipped(&["--null"], b"x\0", &["x"]);
}

#[test]
fn no_input_is_no_request() {
    let loki = Loki::start();
    let summary = ship(&loki, &[], "").summary();
    assert_eq!((summary.read, summary.requests), (0, 0));
    assert_eq!(loki.connections(), 0);
}

#[test]
fn a_message_is_one_entry_and_stdin_is_left_alone() {
    for text in ["hello", "two\nlines\n", "", "-x", "tab\tand \"quotes\""] {
        let loki = Loki::start();
        let run = LokiPush::new(&loki)
            .args(["-m", text])
            .in_shell("\"$@\" && cat")
            .stdin_bytes("not ours\n");
        let ended = run.run().expect(0);
        let ended = match text {
            "" => ended.expect_stderr(["--message is empty"]),
            _ => ended.expect_silence(),
        };
        assert_eq!(ended.stdout_text(), "not ours\n");
        let entries = loki.entries();
        assert_eq!(entries.len(), 1, "{text:?}");
        assert_eq!(entries[0].line, text);
        loki.assert_clean();
    }
}

#[test]
fn labels_are_exactly_those_that_were_given() {
    let loki = Loki::start();
    ship(&loki, &[], "x");
    assert_eq!(loki.streams(), [labels(&[("app", "default")])]);

    let loki = Loki::start();
    let args = [
        "-a",
        "api",
        "--env",
        "prod",
        "-l",
        "region=eu",
        "--label",
        r#"{zone="a,b", rack="7"}"#,
        "--level",
        "warn",
        "-l",
        "eq=a=b",
    ];
    ship(&loki, &args, "x");
    let expected = labels(&[
        ("app", "api"),
        ("env", "prod"),
        ("region", "eu"),
        ("zone", "a,b"),
        ("rack", "7"),
        ("level", "warn"),
        ("eq", "a=b"),
    ]);
    assert_eq!(loki.streams(), [expected]);
}

#[test]
fn levels_make_streams_unless_nothing_is_parsed() {
    let lines = "ERROR a\nb\n[warn] c\nlevel=info d\n";
    let loki = Loki::start();
    ship(&loki, &["--app", "x"], lines);
    let streams = [
        labels(&[("app", "x")]),
        labels(&[("app", "x"), ("level", "error")]),
        labels(&[("app", "x"), ("level", "info")]),
        labels(&[("app", "x"), ("level", "warn")]),
    ];
    assert_eq!(loki.streams(), streams);
    assert_eq!(loki.lines(), ["ERROR a", "b", "[warn] c", "level=info d"]);

    let loki = Loki::start();
    ship(&loki, &["--app", "x", "--parse", "none"], lines);
    assert_eq!(loki.streams(), [labels(&[("app", "x")])]);
    assert_eq!(loki.requests().len(), 1);
}

#[test]
fn given_fields_are_appended_and_quoted_where_needed() {
    let mut args = Vec::new();
    for field in [
        "a=1",
        "b.c-d=x y",
        "e=",
        "f=p|q",
        "g=k=v",
        r#"h=say "hi""#,
        "i=é",
    ] {
        args.extend(["-k", field]);
    }
    assert_shipped(
        &args,
        b"hello\n",
        &[r#"hello | a=1 b.c-d="x y" e="" f="p|q" g="k=v" h="say \"hi\"" i=é"#],
    );
    assert_shipped(&["-k", "a=1"], b"\nx", &[" | a=1", "x | a=1"]);
}

#[test]
fn long_lines_are_cut_into_entries_that_fit_as_shipped() {
    let loki = Loki::start();
    let line: String = "abcé日😀".chars().cycle().take(500).collect();
    let args = ["--max-line-size", "64", "-k", "host=web1", "-k", "m=a b"];
    ship(&loki, &args, format!("{line}\nshort\n"));
    let tail = " | host=web1 m=\"a b\"";
    let lines = loki.lines();
    assert!(lines.iter().all(|line| line.len() <= 64), "{lines:?}");
    let mut parts: Vec<&str> = lines
        .iter()
        .map(|line| line.strip_suffix(tail).expect("the fields on every piece"))
        .collect();
    assert_eq!(parts.pop(), Some("short"));
    assert_eq!(parts.concat(), line);
    // No piece is shorter than a character's width below what fits.
    let room = 64 - tail.len();
    let cut = &parts[..parts.len() - 1];
    assert!(cut.iter().all(|part| part.len() > room - 4), "{lines:?}");
    assert_eq!(loki.streams().len(), 1);
}

#[test]
fn a_line_of_just_the_largest_size_is_one_entry() {
    let line = "x".repeat(262_144);
    assert_shipped(&[], format!("{line}\r\n").as_bytes(), &[&line]);
    let longer = format!("{line}y\nz");
    assert_shipped(&[], longer.as_bytes(), &[&line, "y", "z"]);
}

#[test]
fn what_is_read_of_a_long_line_at_once_is_cut_into_full_entries() {
    let loki = Loki::start();
    let line = "é".repeat(400_000);
    ship(&loki, &["-k", "host=web1"], line.as_str());
    let tail = " | host=web1";
    let lines = loki.lines();
    let lengths: Vec<usize> = lines.iter().map(String::len).collect();
    let room = 262_144 - tail.len();
    let rest = line.len() - 3 * room;
    assert_eq!(lengths, [262_144, 262_144, 262_144, rest + tail.len()]);
    let parts = lines.iter().filter_map(|line| line.strip_suffix(tail));
    assert!(parts.eq([0, 1, 2, 3].map(|n| &line[n * room..line.len().min((n + 1) * room)])));
}

#[test]
fn a_line_without_end_needs_little_memory() {
    const SIZE: usize = 64 << 20;
    let loki = Loki::start();
    let run = LokiPush::new(&loki).summed().stdin_bytes(vec![b'x'; SIZE]);
    let ended = run.watch_memory().run().expect(0).expect_no_message();
    let summary = ended.summary();
    assert_eq!(summary.bytes_read, SIZE as u64);
    assert_eq!(summary.delivered, (SIZE / 262_144) as u64);
    let sizes = loki.look(|seen| seen.entries.iter().map(|e| e.line.len()).sum::<usize>());
    assert_eq!(sizes, SIZE);
    if let Some(peak) = ended.peak_kib {
        assert!(peak < 32 << 10, "{peak} KiB");
    }
    loki.assert_clean();
}

#[test]
fn fifty_thousand_lines_arrive_in_order_and_none_twice() {
    let loki = Loki::start();
    let lines = numbered(50_000);
    let summary = ship(&loki, &["-a", "x"], lines.join("\n")).summary();
    assert!(loki.lines() == lines);
    assert_eq!((summary.requests, summary.retries), (5, 0));
    let sizes = loki.requests();
    assert!(sizes.iter().all(|push| push.entries.len() == 10_000));
}

#[test]
fn equal_lines_stay_apart_by_rising_times() {
    let loki = Loki::start();
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos() as i64
    };
    let before = now();
    ship(&loki, &[], "same\n".repeat(3_000));
    let after = now();
    let mut times: Vec<i64> = loki.entries().iter().map(|entry| entry.time).collect();
    assert_eq!(times.len(), 3_000);
    assert!(times.is_sorted());
    times.dedup();
    assert_eq!(times.len(), 3_000);
    // One nanosecond a line may run ahead of the clock.
    assert!(before <= times[0] && times[2_999] <= after + 3_000);
}

#[test]
fn mixed_levels_keep_their_order_in_single_stream_requests() {
    let loki = Loki::start();
    let levels = ["DEBUG", "INFO", "WARN", "ERROR"];
    let line = |i: usize| format!("{} {i}", levels[i * i % 7 % 4]);
    let lines: Vec<String> = (0..20_000).map(line).collect();
    ship(&loki, &["--batch-size", "3000"], lines.join("\n"));
    for level in levels {
        let expected = lines.iter().filter(|line| line.starts_with(level));
        let arrived = loki.lines_of(&[("level", &level.to_lowercase())]);
        assert!(arrived.iter().eq(expected), "{level}");
    }
    assert!(loki.lines() == lines, "the order over all streams");
}

#[test]
fn a_single_line_is_sent_after_the_flush_interval() {
    const INTERVAL: Duration = Duration::from_millis(200);
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--flush-interval", "200ms"]);
    let run = run.stdin_open().spawn();
    let mut lines = 0;
    let mut one_line = || {
        lines += 1;
        let written = Instant::now();
        run.write("line\n");
        loki.wait_for_entries(lines);
        let took = written.elapsed();
        assert!(took >= INTERVAL, "{took:?}");
        assert!(run.is_running());
        took
    };
    one_line();
    // On a quiet machine it is there 10 ms after the interval.
    in_time(INTERVAL + Duration::from_millis(500), one_line);
    run.wait().expect(0).expect_silence();
    assert_eq!(loki.requests().len(), lines);
    loki.assert_clean();
}

#[test]
fn the_end_of_input_does_not_wait_for_the_flush_interval() {
    let loki = Loki::start();
    ship(&loki, &["--flush-interval", "1h"], "a\nb\n");
    assert_eq!(loki.requests().len(), 1);
}

#[test]
fn a_batch_leaves_when_it_is_full_by_count() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--batch-size", "2", "--flush-interval", "1h"]);
    let run = run.stdin_open().spawn();
    run.write("1\n2\n3\n4\n5\n");
    loki.wait_for_entries(4);
    run.wait().expect(0).expect_silence();
    let sizes: Vec<usize> = loki.requests().iter().map(|p| p.entries.len()).collect();
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(loki.lines(), ["1", "2", "3", "4", "5"]);
}

#[test]
fn a_batch_leaves_when_it_is_full_by_cost() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--batch-bytes", "300", "--flush-interval", "1h"]);
    let run = run.stdin_open().spawn();
    // 36 bytes and 64 for each.
    let lines: Vec<String> = (0..7).map(|i| format!("{i:036}")).collect();
    run.write(lines.join("\n") + "\n");
    loki.wait_for_entries(6);
    run.wait().expect(0).expect_silence();
    let sizes: Vec<usize> = loki.requests().iter().map(|p| p.entries.len()).collect();
    assert_eq!(sizes, [3, 3, 1]);
    assert_eq!(loki.lines(), lines);
}

#[test]
fn requests_are_gzipped_unless_level_0_was_asked_for() {
    for (level, encoding) in [
        (None, Some("gzip")),
        (Some("9"), Some("gzip")),
        (Some("0"), None),
    ] {
        let loki = Loki::start();
        let args: Vec<&str> = level
            .into_iter()
            .flat_map(|n| ["--gzip-level", n])
            .collect();
        ship(&loki, &args, numbered(100).join("\n"));
        let request = &loki.requests()[0];
        assert_eq!(request.encoding.as_deref(), encoding);
        assert_eq!(
            request.body.starts_with(b"{\"streams\":"),
            encoding.is_none()
        );
        assert_eq!(request.plain_size > request.body.len(), encoding.is_some());
    }
}

#[test]
fn the_rate_can_be_limited() {
    let loki = Loki::start();
    let args = ["--limit-rate", "200KB", "--flush-interval", "10ms"];
    let ended = ship(&loki, &args, format!("{:099}\n", 0).repeat(1_000));
    assert!(
        ended.elapsed >= Duration::from_millis(480),
        "{:?}",
        ended.elapsed
    );
}

#[test]
fn a_terminal_whose_other_side_closed_is_an_end_of_input() {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let Ok(master) = openpt(flags) else {
        eprintln!("skipped: no terminals here");
        return;
    };
    grantpt(&master)
        .and_then(|()| unlockpt(&master))
        .expect("a terminal");
    let name = ptsname(&master, Vec::new()).expect("a name");
    let name = OsString::from_vec(name.into_bytes());
    let flags = OFlags::NOCTTY.bits() as i32;
    let other = File::options().write(true).custom_flags(flags).open(name);
    let mut other = other.expect("the other side");
    let loki = Loki::start();
    let mut run = Command::new(env!("CARGO_BIN_EXE_loki-push"));
    run.args(["--flush-interval", "10ms", "--url", &loki.url()]);
    let run = run.stdin(File::from(master)).stderr(Stdio::piped()).spawn();
    other.write_all(b"one\n").expect("written");
    loki.wait_for_entries(1);
    drop(other);
    let done = run
        .expect("the program")
        .wait_with_output()
        .expect("an end");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && !said.contains("error"), "{said}");
    assert_eq!(loki.lines(), ["one"]);
}
