//! What is read from the lines: fields, levels, labels and times; and that no line, whatever its
//! bytes, is lost for it.

use std::collections::BTreeMap;

use crate::support::loki::{Entry, Labels, Rules};
use crate::support::{Dir, Finished, Loki, LokiPush, Random};

fn map(pairs: &[(&str, &str)]) -> Labels {
    let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
    pairs.collect()
}

/// Ships these bytes with these options; all goes well.
#[track_caller]
fn ship(loki: &Loki, args: &[&str], input: impl Into<Vec<u8>>) -> Finished {
    let run = LokiPush::new(loki).args(args).summed().stdin_bytes(input);
    let ended = run.run().expect(0);
    loki.assert_clean();
    assert_eq!(ended.summary().delivered, loki.entries().len() as u64);
    ended
}

/// What becomes of these lines, in the order of their times.
#[track_caller]
fn entries(args: &[&str], input: impl Into<Vec<u8>>) -> Vec<Entry> {
    let loki = Loki::start();
    ship(&loki, args, input).expect_no_message();
    let mut entries = loki.entries();
    entries.sort_by_key(|entry| entry.time);
    entries
}

#[track_caller]
fn entry(args: &[&str], line: &str) -> Entry {
    let mut all = entries(args, line);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

impl Random {
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let other = self.below(i + 1);
            items.swap(i, other);
        }
    }
}

#[test]
fn the_example_of_the_promise_in_every_layout() {
    let line = "user login level=error user_id=42 ip=1.2.3.4";
    let labels = map(&[("app", "api"), ("env", "prod"), ("level", "error")]);
    let with = |layout| {
        let args = ["-a", "api", "-e", "prod", "--layout", layout];
        let entry = entry(&args, line);
        assert_eq!(*entry.labels, labels, "{layout}");
        entry
    };
    let kept = with("keep");
    assert_eq!((kept.line.as_str(), kept.metadata.len()), (line, 0));
    let laid = with("line");
    assert_eq!(laid.line, "user login | user_id=42 ip=1.2.3.4");
    assert_eq!(laid.metadata, BTreeMap::new());
    let apart = with("metadata");
    assert_eq!(apart.line, "user login");
    assert_eq!(apart.metadata, map(&[("user_id", "42"), ("ip", "1.2.3.4")]));
}

#[test]
fn json_lines_give_their_members() {
    let line = r#"{"severity":"WARNING","message":"slow query","db":{"ms":1.50,"tags":["a","b"]},"none":null,"ok":true,"q":"a b","e":""}"#;
    let laid = entry(&["--layout", "line"], line);
    assert_eq!(
        laid.line,
        r#"slow query | db_ms=1.50 db_tags="[\"a\",\"b\"]" ok=true q="a b" e="""#
    );
    assert_eq!(laid.labels["level"], "warn");
    let apart = entry(&["--layout", "metadata", "-k", "host=web1"], line);
    let expected = map(&[
        ("db_ms", "1.50"),
        ("db_tags", r#"["a","b"]"#),
        ("ok", "true"),
        ("q", "a b"),
        ("host", "web1"),
    ]);
    assert_eq!(apart.metadata, expected);
    // An empty value would be lost as metadata: it stays in the line.
    assert_eq!(apart.line, r#"slow query | e="""#);
    let logfmt = entry(&["--layout", "line", "--parse", "logfmt"], r#"{"a":1} b=2"#);
    assert_eq!(logfmt.line, r#"{"a":1} | b=2"#);
    let json_only = entry(&["--layout", "line", "--parse", "json"], "text b=2");
    assert_eq!(json_only.line, "text b=2");
}

#[test]
fn the_message_of_a_pure_logfmt_line_is_its_msg_with_metadata() {
    let line = r#"level=info msg="started up" message=m port=80"#;
    let apart = entry(&["--layout", "metadata"], line);
    assert_eq!(apart.line, "started up");
    let rest = map(&[("message", "m"), ("port", "80")]);
    assert_eq!(apart.metadata, rest);
    let laid = entry(&["--layout", "line"], line);
    assert_eq!(laid.line, r#"msg="started up" message=m port=80"#);
    let label = entry(
        &["--layout", "metadata", "--label-field", "msg"],
        "msg=a b=1",
    );
    assert_eq!(
        (label.line.as_str(), &*label.labels["msg"]),
        ("msg=a b=1", "a")
    );
    assert_eq!(label.metadata, map(&[("b", "1")]));
}

#[test]
fn neither_colours_nor_a_byte_order_mark_hide_fields_and_times() {
    let now = jiff::Timestamp::now();
    let painted = format!("\x1b[36mts\x1b[0m={now} \x1b[36muser\x1b[0m=ann x\n");
    let marked = format!("\u{feff}{{\"ts\":\"{now}\",\"user\":\"ann\",\"msg\":\"x\"}}\n");
    for line in [painted, marked] {
        let args = ["--label-field", "user", "--time", "ts"];
        let kept = entry(&args, &line);
        assert_eq!(kept.labels["user"], "ann", "{line:?}");
        // The mark is not content.
        assert_eq!(kept.line, line.trim_start_matches('\u{feff}').trim_end());
        assert_eq!(i128::from(kept.time), now.as_nanosecond(), "{line:?}");
        assert_eq!(
            i128::from(entry(&args[2..], &line).time),
            now.as_nanosecond()
        );
        let laid = entry(&["--label-field", "user", "--layout", "line"], &line);
        let message = if line.starts_with('\x1b') {
            format!("ts={now} user=ann x")
        } else {
            "x".to_owned()
        };
        assert_eq!(laid.line, format!("{message} | ts={now}"));
    }
    let dated = format!("\u{feff}{now} x");
    let entry = entry(&["--time", "prefix"], &dated);
    assert_eq!(i128::from(entry.time), now.as_nanosecond());
}

#[test]
fn a_metadata_name_that_loki_would_choke_on_never_leaves() {
    let line = r#"{"msg":"m","a.b-c":"1","日本":"2","":"3","_":"4","9x":"5","a_b_c":"6"}"#;
    let entry = entry(&["--layout", "metadata"], line);
    assert!(entry.line.starts_with("m | "), "{}", entry.line);
    for value in ["2", "3", "4"] {
        assert!(entry.line.contains(value), "{} in {}", value, entry.line);
    }
    assert_eq!(entry.metadata["a_b_c"], "6");
}

#[test]
fn given_fields_stand_behind_those_of_the_line() {
    let line = "msg text a=1";
    let args = ["--layout", "line", "-k", "b=2", "-k", "c=x y"];
    assert_eq!(entry(&args, line).line, r#"msg text | a=1 b=2 c="x y""#);
    let entry = entry(&["--layout", "metadata", "-k", "b=2"], line);
    assert_eq!(
        (entry.line.as_str(), &entry.metadata),
        ("msg text", &map(&[("a", "1"), ("b", "2")]))
    );
}

#[test]
fn levels_are_read_from_fields_priorities_and_words() {
    for (line, level) in [
        ("level=error x", Some("error")),
        ("x lvl=WARN", Some("warn")),
        ("Severity=notice x", Some("info")),
        (r#"{"log.level":"dbg","message":"x"}"#, Some("debug")),
        (r#"{"level":50,"msg":"pino"}"#, Some("error")),
        ("<3>kernel: x", Some("error")),
        ("<134>Oct 11 22:14:15 host app: x", Some("info")),
        ("2026-01-02T03:04:05Z ERROR x", Some("error")),
        ("[warn] x", Some("warn")),
        ("I0102 03:04:05.678901 1 main.go:1] x", Some("info")),
        ("\u{1b}[31mERROR\u{1b}[0m x", Some("error")),
        ("FATAL: x", Some("fatal")),
        ("the terror of user=level information desk", None),
        ("plain", None),
    ] {
        let entry = entry(&[], line);
        assert_eq!(
            entry.labels.get("level").map(String::as_str),
            level,
            "{line:?}"
        );
        assert_eq!(entry.line, line);
    }
}

#[test]
fn a_stack_trace_has_the_level_of_its_error() {
    let input = "ERROR boom\n  at a.b.c\n\tat d\nplain\n  indented\n";
    let loki = Loki::start();
    ship(&loki, &["--level", "DEBUG"], input).expect_no_message();
    let errors = ["ERROR boom", "  at a.b.c", "\tat d"];
    assert_eq!(loki.lines_of(&[("level", "error")]), errors);
    assert_eq!(
        loki.lines_of(&[("level", "debug")]),
        ["plain", "  indented"]
    );
}

#[test]
fn escape_sequences_go_only_when_asked() {
    let line = "\u{1b}[1;31mERROR\u{1b}[0m \u{1b}]0;title\u{7}user=\u{1b}[32mann\u{1b}[0m";
    assert_eq!(entry(&[], line).line, line);
    let stripped = entry(&["--strip-ansi"], line);
    assert_eq!(stripped.line, "ERROR user=ann");
    assert_eq!(stripped.labels["level"], "error");
}

#[test]
fn no_random_line_is_lost_in_any_mode() {
    let alphabet: &[u8] =
        b"\"\"''==||{}[]():,;\\\\  \t\r\0\x01\x1b[m\x7f\xff\xc3\xa9\xe2\x82\xacabeuAB019._-<>%";
    let mut dice = Random::new(0x9e37_79b9_7f4a_7c15);
    let starts: [&[u8]; 6] = [
        b"",
        b"",
        b"{\"a\":",
        b"a=",
        b"level=",
        b"2026-01-02T03:04:05Z ",
    ];
    let lines: Vec<Vec<u8>> = (0..4_000)
        .map(|_| {
            let length = dice.below(60);
            let mut line = starts[dice.below(starts.len())].to_vec();
            line.extend((0..length).map(|_| alphabet[dice.below(alphabet.len())]));
            line
        })
        .collect();
    let input = lines.join(&b'\n');
    let kept = |line: &Vec<u8>| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        String::from_utf8_lossy(line).into_owned()
    };
    let kept: Vec<String> = lines.iter().map(kept).collect();
    // A blank last line is no line.
    assert!(lines.last().is_some_and(|line| !line.is_empty()));
    for parse in ["auto", "logfmt", "json", "none"] {
        for layout in ["keep", "line", "metadata"] {
            let loki = Loki::start();
            let args = ["--parse", parse, "--layout", layout];
            let summary = ship(&loki, &args, input.as_slice()).summary();
            assert_eq!(summary.read, 4_000, "{parse} {layout}");
            if layout == "keep" || parse == "none" {
                assert!(loki.lines() == kept, "{parse} {layout}");
            }
        }
    }
    for more in [
        &["--strip-ansi", "--layout", "line"][..],
        &["--label-field", "a", "--layout", "metadata", "-k", "k=x y"],
        &["--time", "prefix"],
        &["--time", "a", "--layout", "line"],
        &["--max-line-size", "16"],
    ] {
        let loki = Loki::start();
        let summary = ship(&loki, more, input.as_slice()).summary();
        assert!(summary.read >= 4_000, "{more:?}");
        assert!(
            more[0] == "--max-line-size" || summary.read == 4_000,
            "{more:?}"
        );
    }
}

/// A time some seconds ago, in RFC 3339.
fn ago(seconds: i64) -> String {
    let time = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    format!("{time:.3}")
}

#[test]
fn shuffled_dated_lines_arrive_ascending_and_none_merged() {
    let mut sorted: Vec<String> = (0..600)
        .map(|i| format!("{} line {i}", ago(600 - i)))
        .collect();
    sorted.dedup();
    let mut shuffled = sorted.clone();
    Random::new(42).shuffle(&mut shuffled);
    for size in ["10000", "100"] {
        let loki = Loki::start();
        loki.validate(Rules::of_loki());
        let args = ["--time", "prefix", "--batch-size", size];
        ship(&loki, &args, shuffled.join("\n")).expect_no_message();
        assert!(loki.lines() == sorted, "batches of {size}");
    }
}

#[test]
fn equal_lines_at_equal_times_move_on_by_a_nanosecond() {
    let line = "2026-01-02T03:04:05Z same";
    let input = format!("{line}\n{line}\n{line}\n2026-01-02T03:04:05Z other\n");
    for size in ["100", "1"] {
        let entries = entries(&["--time", "prefix", "--batch-size", size], input.as_str());
        let at = 1_767_323_045_000_000_000;
        let mut same: Vec<i64> = entries
            .iter()
            .filter(|e| e.line == line)
            .map(|e| e.time - at)
            .collect();
        same.sort_unstable();
        assert_eq!(same, [0, 1, 2], "batches of {size}");
        assert_eq!(entries.len(), 4);
    }
}

#[test]
fn lines_without_a_time_take_that_of_the_line_before_or_the_first() {
    let input =
        "banner\nversion 1\n2026-01-02T03:04:05.5Z a\n  more of a\n2026-01-02T03:04:06Z b\nx\n";
    let entries = entries(&["--time", "prefix"], input);
    let read: Vec<(&str, i64)> = entries
        .iter()
        .map(|e| {
            (
                e.line.as_str(),
                (e.time - 1_767_323_045_000_000_000) / 1_000_000,
            )
        })
        .collect();
    assert_eq!(
        read,
        [
            ("banner", 500),
            ("version 1", 500),
            ("2026-01-02T03:04:05.5Z a", 500),
            ("  more of a", 500),
            ("2026-01-02T03:04:06Z b", 1_000),
            ("x", 1_000),
        ]
    );
}

#[test]
fn times_are_read_in_every_form_that_logs_have() {
    let at = |ns: i64| 1_767_323_045_000_000_000 + ns;
    for (time, expected) in [
        ("2026-01-02T03:04:05Z", at(0)),
        ("2026-01-02T08:34:05.678+05:30", at(678_000_000)),
        ("2026-01-02 03:04:05.123456789Z", at(123_456_789)),
        ("1767323045", at(0)),
        ("1767323045.25", at(250_000_000)),
        ("1767323045678", at(678_000_000)),
        ("1767323045678901", at(678_901_000)),
        ("1767323045678901234", at(678_901_234)),
    ] {
        let line = format!("{time} x");
        assert_eq!(entry(&["--time", "prefix"], &line).time, expected, "{time}");
        // As tracing paints it, in a pipe too.
        let line = format!("\x1b[2m{time}\x1b[0m \x1b[32m INFO\x1b[0m x");
        let read = entry(&["--time", "prefix"], &line);
        assert_eq!((read.time, read.line), (expected, line), "{time}");
        let line = format!("x ts=\"{time}\"");
        let read = entry(&["--time", "ts"], &line);
        assert_eq!((read.time, read.line.as_str()), (expected, line.as_str()));
        let line = format!(r#"{{"msg":"x","ts":"{time}"}}"#);
        assert_eq!(
            entry(&["--time", "ts", "--layout", "line"], &line).time,
            expected,
            "{line}"
        );
    }
}

#[test]
fn all_entries_of_a_line_that_is_cut_have_its_labels_and_fields() {
    let message = "aé€😀".repeat(300);
    let line = format!(r#"{{"msg":"{message}","user":7,"level":"error"}}"#);
    let args = ["--max-line-size", "1KiB", "--layout", "line"];
    let entries = entries(&args, line.as_str());
    let texts: Vec<_> = entries
        .iter()
        .map(|entry| entry.line.strip_suffix(" | user=7").unwrap())
        .collect();
    assert_eq!(texts.concat(), message);
    assert_eq!(texts.len(), 3);
    assert!(entries.iter().all(|entry| entry.labels["level"] == "error"));
}

#[test]
fn without_any_time_lines_take_that_of_their_arrival() {
    let before = jiff::Timestamp::now().as_nanosecond() as i64;
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--time", "auto"]);
    run.stdin_bytes("a\nb\n").run().expect(0);
    let entries = loki.entries();
    assert!(before <= entries[0].time && entries[0].time <= entries[1].time);
}

#[test]
fn fields_become_labels_up_to_a_bound_that_is_said_once() {
    let loki = Loki::start();
    let lines: Vec<String> = (0..3_000)
        .map(|i| format!("user={} n={i:04}", i % 150))
        .collect();
    let args = ["--label-field", "user", "--layout", "line"];
    let ended = ship(&loki, &args, lines.join("\n"));
    let streams = loki.streams();
    assert_eq!(
        streams.len(),
        101,
        "100 of their own, and one for all others"
    );
    assert!(streams.contains(&map(&[("app", "default")])));
    assert!(streams.contains(&map(&[("app", "default"), ("user", "99")])));
    assert_eq!(ended.messages().len(), 1, "{}", ended.report());
    let ended = ended.expect_stderr(["100 label sets", "--max-streams"]);
    assert_eq!(ended.summary().delivered, 3_000);
    let kept = loki.lines_of(&[("app", "default")]);
    assert!(
        kept.contains(&"user=149 n=2999".to_owned()),
        "it stays a field"
    );
    let labelled = loki.lines_of(&[("user", "7")]);
    assert_eq!(labelled[..2], ["n=0007", "n=0157"]);
}

#[test]
fn the_bound_on_streams_can_be_moved_and_levels_do_not_count() {
    let loki = Loki::start();
    let lines = "u=1 level=info\nu=2 level=warn\nu=3 level=error\nlevel=debug\nplain\n";
    let args = ["--label-field", "u", "--max-streams", "2"];
    ship(&loki, &args, lines).expect_stderr(["2 label sets"]);
    assert_eq!(loki.streams().len(), 5);
    assert_eq!(loki.lines_of(&[("u", "3")]), Vec::<String>::new());
    assert_eq!(loki.lines_of(&[("level", "error")]), ["u=3 level=error"]);
}

#[test]
fn what_is_no_label_value_stays_a_field() {
    let long = format!("u={} x", "y".repeat(2_049));
    let loki = Loki::start();
    let mut input = format!("{long}\nu= z\n").into_bytes();
    input.extend_from_slice(b"u=\xff w\nu=fine v\n");
    let ended = ship(&loki, &["--label-field", "u"], input);
    assert_eq!(ended.messages().len(), 1, "{}", ended.report());
    ended.expect_stderr(["standard input is not UTF-8", "iconv"]);
    let streams = [
        map(&[("app", "default")]),
        map(&[("app", "default"), ("u", "fine")]),
    ];
    assert_eq!(loki.streams(), streams);
    assert_eq!(loki.lines(), [&long, "u= z", "u=\u{fffd} w", "u=fine v"]);
}

#[test]
fn a_hundred_streams_need_little_memory() {
    let loki = Loki::start();
    let line = |i: usize| format!("user={} {}", i % 100, "x".repeat(150));
    let lines: Vec<String> = (0..100_000).map(line).collect();
    let args = ["--label-field", "user"];
    let run = LokiPush::new(&loki).args(args).summed().watch_memory();
    let ended = run
        .stdin_bytes(lines.join("\n"))
        .run()
        .expect(0)
        .expect_no_message();
    assert_eq!(ended.summary().delivered, 100_000);
    assert_eq!(loki.streams().len(), 100);
    if let Some(peak) = ended.peak_kib {
        assert!(peak < 48 << 10, "{peak} KiB");
    }
    loki.assert_clean();
}

#[test]
fn a_label_field_does_not_spoil_the_level() {
    let input = "{\"level\":30,\"msg\":\"m\"}\nx level=banana\n";
    let found = entries(&["--layout", "line", "--label-field", "level"], input);
    let levels = found.iter().map(|entry| entry.labels.get("level").cloned());
    assert_eq!(levels.collect::<Vec<_>>(), [Some("info".into()), None]);
    assert_eq!(found[1].line, "x | level=banana");
}

#[test]
fn of_twins_in_metadata_none_is_lost() {
    let args = ["--layout", "metadata", "-k", "a=3"];
    let found = entry(&args, "x ip=1.1.1.1 a=1 ip=2.2.2.2");
    assert_eq!(found.line, "x ip=1.1.1.1 ip=2.2.2.2 | a=1");
    assert_eq!(found.metadata, map(&[("a", "3")]));
}

#[test]
fn a_line_goes_with_the_one_before_though_that_was_left_out() {
    let now = jiff::Timestamp::now();
    let input = format!("INFO a\nERROR noisy\n  at foo\n{now} ERROR noisy\n  at bar\n");
    let args = ["--exclude", "noisy", "--time", "prefix"];
    let run = LokiPush::bare().args(args).arg("--dry-run");
    let ended = run.stdin_bytes(input).run().expect(0);
    let shown = ended.stdout_text();
    let trace = |end: &str| shown.lines().find(|line| line.ends_with(end)).expect(end);
    assert!(trace("at foo").contains("level=\"error\""), "{shown}");
    let second = &now.to_string()[..19];
    assert!(trace("at bar").starts_with(second), "{shown}");
}

#[test]
fn of_a_time_given_twice_the_first_counts_in_every_layout() {
    let at = |hour| format!("2024-05-01T{hour}:00:00Z");
    let line = format!("ts={} ts={} x", at(10), at(11));
    for layout in ["keep", "line", "metadata"] {
        let run = LokiPush::bare().args(["--dry-run", "--time", "ts", "--layout", layout]);
        let shown = run.stdin_bytes(line.as_str()).run().expect(0).stdout_text();
        assert!(shown.starts_with("2024-05-01T10:00:00"), "{shown}");
    }
}

#[test]
fn more_label_names_than_loki_takes_are_warned_of() {
    let names: Vec<String> = (0..16).map(|n| format!("l{n}=x")).collect();
    let run = LokiPush::bare().arg("--dry-run");
    let run = names.iter().fold(run, |run, name| run.args(["-l", name]));
    run.stdin_bytes("x")
        .run()
        .expect(0)
        .expect_stderr(["17 label names exceed Loki's default limit of 15"]);
}

#[test]
fn times_at_the_end_of_what_can_be_written_do_not_hold_up_the_run() {
    let input = "9223372036854775807 x\n9223372036854775807 x\n2262-04-11T23:47:16.854775807Z y\n";
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--time", "auto"]);
    run.stdin_bytes(input).run().expect(0);
    assert_eq!(loki.entries().len(), 3);
}

#[test]
fn all_parts_of_a_long_line_have_its_labels_and_fields() {
    let (loki, dir) = (Loki::start(), Dir::new());
    // What tells stands behind what fits into one entry, and behind one read.
    let long = format!(
        r#"{{"msg":"{}","user":"u1","level":"error"}}"#,
        "x".repeat(1_000_000)
    );
    let log = dir.write("log", format!("{long}\n{{\"msg\":\"next\"}}\n"));
    let modes: [&[&str]; 6] = [
        &[],
        &["--checkpoint", "state"],
        &["--multiline", "^[{]"],
        &["--checkpoint", "other", "--multiline", "^[{]"],
        &["-f", "--from", "start"],
        &["-f", "--from", "start", "--checkpoint", "third"],
    ];
    for mode in modes {
        let before = loki.entries().len();
        let run = LokiPush::new(&loki).args(mode).arg(&log).cwd(dir.path());
        let run = run.args(["--layout", "line", "--include", "user.:.u1"]);
        let running = run.args(["--flush-interval", "10ms"]).spawn();
        loki.wait_for_entries(before + 4);
        if mode.first() == Some(&"-f") {
            running.signal("TERM");
        }
        running.wait_to_end().expect(0);
        let entries = loki.entries().split_off(before);
        let mut text = String::new();
        for entry in &entries {
            assert_eq!(entry.labels["level"], "error", "{mode:?}");
            text += entry.line.strip_suffix(" | user=u1").expect("the field");
        }
        assert!(text == "x".repeat(1_000_000), "{mode:?}: {}", text.len());
        loki.client_restarted();
    }
}
