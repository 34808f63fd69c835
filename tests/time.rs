//! `--time auto`: times from the lines, in the forms that logs have, and never silently wrong.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use crate::support::loki::{Entry, Rules};
use crate::support::{Dir, Finished, Loki, LokiPush};

/// 2025-11-03T08:15:30Z.
const AT: i64 = 1_762_157_730_000_000_000;
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;

fn run(loki: &Loki, args: &[&str]) -> LokiPush {
    LokiPush::new(loki)
        .args(["--time", "auto"])
        .args(args)
        .env("TZ", "Europe/Berlin")
        .summed()
}

/// A file that was last written on the first of March 2026.
fn write(dir: &Dir, name: &str, text: &str) -> PathBuf {
    let path = dir.write(name, text);
    let file = File::options().append(true).open(&path).unwrap();
    file.set_modified(UNIX_EPOCH + Duration::from_secs(1_772_323_200))
        .unwrap();
    path
}

/// The times of the entries that a file gives, in nanoseconds after [`AT`].
fn times_of_file(args: &[&str], text: &str) -> Vec<i64> {
    let (loki, dir) = (Loki::start(), Dir::new());
    let file = write(&dir, "a.log", text);
    run(&loki, args)
        .arg(file)
        .run()
        .expect(0)
        .expect_no_message();
    loki.entries().iter().map(|entry| entry.time - AT).collect()
}

#[test]
fn a_time_without_a_zone_is_local_or_in_the_given_zone() {
    let line = "2025-11-03 09:15:30 ready\n";
    assert_eq!(times_of_file(&[], line), [0]);
    assert_eq!(times_of_file(&["--time-zone", "utc"], line), [HOUR]);
    assert_eq!(times_of_file(&["--time-zone", "+02:00"], line), [-HOUR]);
    let new_york = ["--time-zone", "America/New_York"];
    assert_eq!(times_of_file(&new_york, line), [6 * HOUR]);
    // What the line says itself wins.
    for line in [
        "2025-11-03T08:15:30Z x\n",
        "2025-11-03 08:15:30 UTC x\n",
        "1762157730 x\n",
    ] {
        assert_eq!(times_of_file(&new_york, line), [0], "{line}");
    }
}

#[test]
fn tz_is_read_as_everywhere() {
    let line = "2025-11-03 08:15:30 ready\n";
    for (zone, hours) in [
        ("UTC", 0),
        ("", 0),
        ("America/New_York", 5),
        (":America/New_York", 5),
        ("EST5EDT,M3.2.0,M11.1.0", 5),
        ("Australia/Lord_Howe", -11),
    ] {
        let loki = Loki::start();
        let run = LokiPush::new(&loki)
            .args(["--time", "prefix"])
            .env("TZ", zone);
        run.stdin_bytes(line).run().expect(0).expect_silence();
        assert_eq!(loki.entries()[0].time - AT, hours * HOUR, "TZ={zone}");
    }
}

#[test]
fn lines_of_many_services_get_their_times() {
    for line in [
        "Nov  3 08:15:30 box sshd[9]: ready",
        "192.0.2.7 - - [03/Nov/2025:08:15:30 +0000] \"GET / HTTP/1.1\" 200 5",
        "2025/11/03 08:15:30 [error] 9#9: *1 refused",
        "[Mon Nov 03 08:15:30 2025] [error] refused",
        "11/23/2025 8:15:30 AM",
        "type=SYSCALL msg=audit(1762157730.000:17): arch=1",
        "I1103 08:15:30.000000       1 main.go:7] ready",
        "03-Nov-2025 08:15:30.000 queries: ready",
        r#"{"level":"info","ts":1762157730,"msg":"ready"}"#,
    ] {
        let late = if line.starts_with("11/23") {
            20 * 24 * HOUR
        } else {
            0
        };
        let times = times_of_file(&["--time-zone", "utc"], &format!("{line}\n"));
        assert_eq!(times, [late], "{line}");
    }
}

#[test]
fn lines_without_a_time_get_that_of_a_neighbouring_line() {
    let text = "banner\n\nNov  3 09:15:30 a\n  at x, 2020-01-01 00:00:00\nNov  3 09:15:31 b\nend\n";
    let times = times_of_file(&[], text);
    let expected = [0, 0, 0, 0, SECOND, SECOND];
    // Equal times of equal lines move on by nanoseconds.
    let whole: Vec<i64> = times.iter().map(|time| time / SECOND * SECOND).collect();
    assert_eq!(whole, expected);
}

#[test]
fn a_format_can_be_named() {
    let line = "lvl=3 at 03.11.25 09-15-30; ready\n";
    assert_eq!(
        times_of_file(&["--time-format", "%d.%m.%y %H-%M-%S"], line),
        [0]
    );
    let loki = Loki::start();
    let format = ["--time", "when", "--time-format", "%d.%m.%Y %H:%M"];
    let run = LokiPush::new(&loki)
        .args(format)
        .args(["--time-zone", "utc"]);
    let line = r#"{"msg":"x","when":"03.11.2025 08:15"}"#;
    run.stdin_bytes(line).run().expect(0).expect_silence();
    assert_eq!(loki.entries()[0].time - AT, -30 * SECOND);
}

#[test]
fn day_and_month_are_decided_by_the_lines_of_a_file() {
    let text = "03/11/2025 08:15:30 a\n13/11/2025 08:15:30 b\n";
    let times = times_of_file(&["--time-zone", "utc"], text);
    assert_eq!(times, [0, 240 * HOUR]);
}

#[test]
fn a_held_date_is_decided_by_a_later_line_of_a_pipe_too() {
    let loki = Loki::start();
    let text = "banner\n03/11/2025 08:15:30 a\n  more\n04/11/2025 08:15:30 b\n13/11/2025 08:15:30 c\n03/11/2025 08:15:31 d\n";
    let run = run(&loki, &["--time-zone", "utc"]).stdin_bytes(text);
    run.run().expect(0).expect_no_message();
    let days = |entry: &Entry| (entry.line.clone(), (entry.time - AT) / (24 * HOUR));
    let mut days: Vec<_> = loki.entries().iter().map(days).collect();
    days.sort();
    let day = |line: &str| {
        let own = days.iter().find(|(own, _)| own.contains(line));
        own.unwrap().1
    };
    assert_eq!(
        ["banner", " a", "more", " b", " c", " d"].map(day),
        [0, 0, 0, 1, 10, 0]
    );
}

/// Nothing of the file is shipped, and its first line is shown.
fn expect_unread(run: Finished, line: &str) -> Finished {
    let run = run.expect_stderr([line, "--time-format"]);
    assert_eq!(
        run.summary().read,
        run.summary().delivered,
        "{}",
        run.report()
    );
    run
}

#[test]
fn a_file_without_readable_times_is_not_shipped() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let unread = dir.write("unread.log", "\nfirst line\nsecond\n");
    let read = dir.write("read.log", "2025-11-03T08:15:30Z ready\n");
    let checkpoint = dir.join("checkpoint");

    let alone = run(&loki, &[]).arg("--checkpoint").arg(&checkpoint);
    let alone = alone.arg(&unread).run();
    expect_unread(alone.expect(2), "first line");
    let both = run(&loki, &[]).arg("--checkpoint").arg(&checkpoint);
    let both = both.args([&unread, &read]).run();
    expect_unread(both.expect(1), "first line");
    assert_eq!(loki.lines(), ["2025-11-03T08:15:30Z ready"]);

    // It is all still there for the next run.
    let format = ["--time", "arrival", "--checkpoint"];
    let next = LokiPush::new(&loki)
        .args(format)
        .arg(&checkpoint)
        .args([&unread, &read]);
    next.run().expect(0).expect_silence();
    assert_eq!(loki.lines().len(), 4);
}

#[test]
fn a_resumed_file_keeps_its_form_and_is_not_judged_again() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let text = "13/11/2025 08:15:30 a\n03/11/2025 08:15:30 b\n03/11/2025 08:15:31 c\n";
    write(&dir, "a.log", text);
    for (more, lines) in [
        ("", 3),
        ("  continues c\n04/11/2025 08:15:30 d\n", 5),
        ("no time\n", 6),
    ] {
        dir.append("a.log", more);
        let run = run(&loki, &["--time-zone", "utc"]).arg("--checkpoint");
        let run = run.arg(dir.join("checkpoint")).arg(dir.join("a.log"));
        run.run().expect(0).expect_no_message();
        assert_eq!(loki.entries().len(), lines);
        loki.client_restarted();
    }
    let of = |text: &str| {
        let entries = loki.entries();
        let entry = entries.into_iter().find(|entry| entry.line.contains(text));
        (entry.unwrap().time - AT) / SECOND
    };
    assert_eq!(
        (of("continues"), of(" d"), of("no time")),
        (1, 24 * 3_600, 24 * 3_600)
    );
}

#[test]
fn a_resumed_file_continues_the_last_time_however_far_back_it_is() {
    for follows in [false, true] {
        let (loki, dir) = (Loki::start(), Dir::new());
        let untimed = format!("  more {}\n", "x".repeat(100)).repeat(2_000);
        let text = format!("13/11/2025 08:15:30 a\n03/11/2025 08:15:31 b\n{untimed}");
        write(&dir, "a.log", &text);
        for (more, lines) in [("", 2_002), ("  continues\n04/11/2025 08:15:30 c\n", 2_004)] {
            dir.append("a.log", more);
            let run = run(&loki, &["--time-zone", "utc"]).arg("--checkpoint");
            let run = run.arg(dir.join("checkpoint")).arg(dir.join("a.log"));
            let ended = if follows {
                let running = run.args(["--follow", "--from", "start"]).spawn();
                loki.wait_for_entries(lines);
                running.signal("TERM");
                running.wait_to_end().expect(0)
            } else {
                run.run().expect(0)
            };
            ended.expect_no_message();
            loki.client_restarted();
        }
        let of = |text: &str| {
            let entries = loki.entries();
            let entry = entries.into_iter().find(|entry| entry.line.contains(text));
            (entry.unwrap().time - AT) / SECOND
        };
        assert_eq!((of("continues"), of("30 c")), (1, 24 * 3_600), "{follows}");
    }
}

#[test]
fn standard_input_that_is_a_file_counts_as_one() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let file = dir.write("a.log", "first line\nsecond\n");
    let finished = run(&loki, &[]).stdin_file(&file).run();
    expect_unread(finished.expect(2), "first line");
    assert!(loki.lines().is_empty());
    let file = write(&dir, "b.log", "Nov  3 09:15:30 a\n");
    run(&loki, &[])
        .stdin_file(&file)
        .run()
        .expect(0)
        .expect_no_message();
    assert_eq!(loki.entries()[0].time, AT);
}

#[test]
fn ambiguous_dates_and_bare_times_of_day_are_unreadable() {
    for line in [
        "03/04/2025 08:15:30 a\n",
        "23:59:59 a\n00:00:01 b\n",
        "3 Uhr\n",
    ] {
        let (loki, dir) = (Loki::start(), Dir::new());
        let file = dir.write("a.log", line);
        let finished = run(&loki, &[]).arg(file).run();
        expect_unread(finished.expect(2), &line[..5]);
    }
}

#[test]
fn an_empty_file_and_blank_lines_are_nothing_to_complain_about() {
    for text in ["", "\n\n  \n"] {
        let (loki, dir) = (Loki::start(), Dir::new());
        let file = dir.write("a.log", text);
        run(&loki, &[])
            .arg(file)
            .run()
            .expect(0)
            .expect_no_message();
        assert_eq!(loki.lines().len(), text.lines().count());
    }
}

#[test]
fn a_pipe_without_readable_times_is_reported_once_and_counted() {
    let loki = Loki::start();
    let text = "first line\n".to_owned() + &"x\n".repeat(2_999);
    let finished = run(&loki, &[]).stdin_bytes(text).run().expect(0);
    let finished = finished.expect_stderr(["first line", "--time-format"]);
    assert_eq!(finished.messages().len(), 1, "{}", finished.report());
    let summary = finished.summary();
    assert_eq!((summary.delivered, summary.untimed), (3_000, 3_000));
    let finished = run(&loki, &[])
        .stdin_bytes("banner\n2025-11-03T08:15:30Z x\n")
        .run();
    assert_eq!(finished.expect(0).expect_no_message().summary().untimed, 0);
}

#[test]
fn a_command_and_a_followed_file_are_reported_once() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let command = [
        "--no-exit-entry",
        "--",
        "sh",
        "-c",
        "echo first line; echo second",
    ];
    let finished = run(&loki, &[]).args(command).run().expect(0);
    let finished = finished.expect_stderr(["first line", "--time-format"]);
    assert_eq!(finished.summary().untimed, 2);

    let file = dir.write("a.log", "");
    let follow = run(
        &loki,
        &["-f", "--flush-interval", "10ms", "--from", "start"],
    );
    let follow = follow.arg(&file).spawn();
    dir.append("a.log", "some line\n".repeat(20));
    follow.wait_for_stderr("--time-format");
    dir.append("a.log", "some line\n".repeat(20));
    loki.wait_for_entries(42);
    follow.signal("TERM");
    let finished = follow.wait_to_end();
    assert_eq!(finished.messages().len(), 1, "{}", finished.report());
    assert_eq!(finished.summary().untimed, 40);
}

#[test]
fn a_zone_that_is_none_is_wrong_usage_and_says_what_is_missing() {
    for (args, tz, text) in [
        (
            &["--time-zone", "Europe/Berln"][..],
            "UTC",
            "/usr/share/zoneinfo/Europe/Berln",
        ),
        (
            &["--time", "auto"],
            "Mars/Olympus",
            "/usr/share/zoneinfo/Mars/Olympus",
        ),
        (&["--time-format", "%Y %!"], "UTC", "--time-format"),
        (&["--time-format", "%Y-%m-%d"], "UTC", "%H:%M:%S"),
    ] {
        let run = LokiPush::bare()
            .args(args)
            .env("TZ", tz)
            .stdin_bytes("x\n")
            .run();
        run.expect(2).expect_stderr([text]);
    }
    // Who does not ask for times needs no zone.
    let loki = Loki::start();
    let run = LokiPush::new(&loki)
        .env("TZ", "Mars/Olympus")
        .stdin_bytes("x\n");
    run.run().expect(0).expect_silence();
}

#[test]
fn times_off_by_whole_quarter_hours_name_the_zone_that_fits() {
    let loki = Loki::start();
    let ago = |minutes: i64| {
        let time = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
        format!("{time:.0}").replace('T', " ").replace('Z', "") + " x\n"
    };
    for (minutes, zone) in [(-120, "+02:00"), (330, "-05:30")] {
        let run = LokiPush::new(&loki).args(["--time", "auto", "--time-zone", "utc"]);
        let finished = run.stdin_bytes(ago(minutes).repeat(12)).run().expect(0);
        let zone = format!("--time-zone {zone}");
        let finished = finished.expect_stderr([zone]);
        assert_eq!(finished.messages().len(), 1, "{}", finished.report());
    }
    let run = LokiPush::new(&loki).args(["--time", "auto", "--time-zone", "utc"]);
    run.stdin_bytes(ago(0).repeat(12))
        .run()
        .expect(0)
        .expect_silence();
}

#[test]
fn a_dry_run_reports_the_form_and_in_how_many_lines_it_was_found() {
    let dir = Dir::new();
    let file = dir.write("a.log", "Nov  3 09:15:30 a\n  b\nNov  3 09:15:31 c\n");
    let run = LokiPush::bare()
        .args(["--dry-run", "--time", "auto"])
        .arg(file);
    let run = run.run().expect(0);
    run.expect_stderr(["Jan _2 15:04:05", "2 of 3 lines"]);
    let file = dir.write("b.log", "when=2025-11-03T08:15:30Z a=1\nb=2\n");
    let run = LokiPush::bare()
        .args(["--dry-run", "--time", "when"])
        .arg(file);
    let run = run.run().expect(0);
    run.expect_stderr(["the field `when`", "1 of 2 lines"]);
}

#[test]
fn no_time_is_wrong_around_a_change_of_the_clocks() {
    for (zone, change) in [
        ("Europe/Berlin", 1_761_440_400),
        ("America/New_York", 1_762_063_200),
        ("Australia/Lord_Howe", 1_743_865_200),
    ] {
        let tz = jiff::tz::TimeZone::get(zone).unwrap();
        let mut expected = Vec::new();
        let mut text = String::new();
        for n in 0..6 * 360 {
            let shift = if n % 3 == 0 { 5_000_000 } else { 0 };
            let time = (change - 3 * 3600 + n * 10) * SECOND - shift;
            let stamp = jiff::Timestamp::from_nanosecond(time.into()).unwrap();
            let local = tz.to_datetime(stamp).strftime("%Y-%m-%d %H:%M:%S.%3f");
            writeln!(text, "{local} line {n}").unwrap();
            expected.push(time);
        }
        let (loki, dir) = (Loki::start(), Dir::new());
        let file = dir.write("a.log", text);
        let run = LokiPush::new(&loki)
            .args(["--time", "auto"])
            .env("TZ", zone);
        run.arg(file).run().expect(0).expect_silence();
        let mut times: Vec<i64> = loki.entries().iter().map(|entry| entry.time).collect();
        times.sort_unstable();
        expected.sort_unstable();
        assert!(times == expected, "{zone}");
    }
}

#[test]
fn entries_refused_by_whole_quarter_hours_bring_a_hint_at_the_zone() {
    for (ahead, hints) in [(120, true), (130, false)] {
        let (loki, dir) = (Loki::start(), Dir::new());
        loki.validate(Rules {
            max_ahead: Some(Duration::from_mins(10)),
            ..Rules::default()
        });
        let time = jiff::Timestamp::now() + Duration::from_secs(ahead * 60);
        let file = dir.write(
            "a.log",
            format!("{} x\n", time.strftime("%Y-%m-%d %H:%M:%S")),
        );
        let args = ["--time", "auto", "--time-zone", "utc"];
        let ended = LokiPush::new(&loki).args(args).arg(file).run().expect(1);
        let ended = ended.expect_stderr(["too new"]);
        let hint = "about 2h00m ahead of the clock";
        assert_eq!(ended.stderr.contains(hint), hints, "{}", ended.report());
    }
}
