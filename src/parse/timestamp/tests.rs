//! What is read of lines, by table: each form, and what a reader decides for an input.

use crate::random::Random;
use std::sync::Arc;

use super::format::Format;
use super::format_rfc3339;
use super::reader::{InputKind, TimeOptions, TimeReader};
use super::zone::Zone;

/// When the files of these tests were last written: 2026-03-01T00:00:00Z.
const WRITTEN: &str = "2026-03-01T00:00:00Z";

fn ns(text: &str) -> i64 {
    let time: jiff::Timestamp = text.parse().unwrap();
    i64::try_from(time.as_nanosecond()).unwrap()
}

fn options(zone: &str) -> Arc<TimeOptions> {
    Arc::new(TimeOptions {
        zone: zone_of(zone),
        format: None,
    })
}

fn zone_of(name: &str) -> Zone {
    match name {
        "utc" => Zone::utc(),
        _ if name.starts_with(['+', '-']) => Zone::from_offset(name).unwrap(),
        _ => {
            let file = std::fs::read(format!("/usr/share/zoneinfo/{name}")).unwrap();
            Zone::from_file(name, &file).unwrap()
        }
    }
}

fn reader(zone: &str, input: InputKind, reference: &str) -> TimeReader {
    TimeReader::new(&options(zone), input, ns(reference))
}

fn shown(time: Option<i64>) -> String {
    time.map_or("none".into(), |ns| {
        jiff::Timestamp::from_nanosecond(ns.into())
            .unwrap()
            .to_string()
    })
}

/// A line of each form, alone in a file that was written on the first of March 2026, and its time.
const LINES: &[(&str, &str)] = &[
    // RFC 3339 and its kin.
    ("2025-11-03T08:15:30Z ready", "2025-11-03T08:15:30Z"),
    ("2025-11-03t08:15:30z ready", "2025-11-03T08:15:30Z"),
    ("2025-11-03 08:15:30 ready", "2025-11-03T08:15:30Z"),
    ("2025-11-03_08:15:30 ready", "2025-11-03T08:15:30Z"),
    (
        "2025-11-03 08:15:30,250 - pool - INFO - ready",
        "2025-11-03T08:15:30.25Z",
    ),
    (
        "2025-11-03 08:15:30.250999 ready",
        "2025-11-03T08:15:30.250999Z",
    ),
    (
        "2025-11-03T08:15:30.1234567899Z ready",
        "2025-11-03T08:15:30.123456789Z",
    ),
    ("2025-11-03T08:15:30+05:30 ready", "2025-11-03T02:45:30Z"),
    ("2025-11-03T08:15:30-0800 ready", "2025-11-03T16:15:30Z"),
    ("2025-11-03T08:15:30+02 ready", "2025-11-03T06:15:30Z"),
    (
        "2025-11-03 08:15:30.5 +0100 ready",
        "2025-11-03T07:15:30.5Z",
    ),
    ("2025-11-03 08:15:30 -5 degrees", "2025-11-03T08:15:30Z"),
    (
        "2025-11-03 08:15:30 UTC [61] LOG:  ready",
        "2025-11-03T08:15:30Z",
    ),
    ("2025-11-03 8:15:30 ready", "2025-11-03T08:15:30Z"),
    ("2025-11-3 8:15:30 ready", "2025-11-03T08:15:30Z"),
    ("2025-11-03, 08:15:30 ready", "2025-11-03T08:15:30Z"),
    ("2025-11-03 08:15:30:250 ready", "2025-11-03T08:15:30.25Z"),
    (
        "2025-11-03-08.15.30.250000 R01 KERNEL ready",
        "2025-11-03T08:15:30.25Z",
    ),
    ("2025-Nov-03 08:15:30.25 ready", "2025-11-03T08:15:30.25Z"),
    ("2025.11.03 08:15:30 ready", "2025-11-03T08:15:30Z"),
    ("[2025-11-03 08:15:30] ready", "2025-11-03T08:15:30Z"),
    (
        "[2025-11-03T08:15:30.25Z INFO  pool] ready",
        "2025-11-03T08:15:30.25Z",
    ),
    ("(2025-11-03 08:15:30) ready", "2025-11-03T08:15:30Z"),
    ("\"2025-11-03 08:15:30\",17,ready", "2025-11-03T08:15:30Z"),
    ("2025-11-03T08:15:30Z", "2025-11-03T08:15:30Z"),
    ("2025-11-03T08:15:30: ready", "2025-11-03T08:15:30Z"),
    ("2025-11-03T08:15:30|INFO|ready", "2025-11-03T08:15:30Z"),
    ("2025-12-31T23:59:60Z leaps", "2025-12-31T23:59:59Z"),
    // The same, further in.
    ("INFO 2025-11-03 08:15:30 ready", "2025-11-03T08:15:30Z"),
    (
        "INFO  [main] 2025-11-03 08:15:30 ready",
        "2025-11-03T08:15:30Z",
    ),
    ("INFO|2025-11-03 08:15:30|ready", "2025-11-03T08:15:30Z"),
    ("WARN:2025-11-03 08:15:30:ready", "2025-11-03T08:15:30Z"),
    ("17,2025-11-03 08:15:30,ready", "2025-11-03T08:15:30Z"),
    (
        "<34>1 2025-11-03T08:15:30.003Z box su - ID47 - ready",
        "2025-11-03T08:15:30.003Z",
    ),
    (
        "web-1  | 2025-11-03T08:15:30Z ready",
        "2025-11-03T08:15:30Z",
    ),
    (
        "192.0.2.7 [2025-11-03T08:15:30+01:00] \"GET /x\" 200",
        "2025-11-03T07:15:30Z",
    ),
    (
        "box app[12]: 2025-11-03 08:15:30 ready",
        "2025-11-03T08:15:30Z",
    ),
    (
        "api.log.1.2020-05-16_13:53:08 2025-11-03 08:15:30.008 77 INFO ready",
        "2025-11-03T08:15:30.008Z",
    ),
    (
        "time=\"2025-11-03T08:15:30Z\" level=info msg=ready",
        "2025-11-03T08:15:30Z",
    ),
    (
        "level=info ts=2025-11-03T08:15:30.25Z caller=x.go:1 msg=ready",
        "2025-11-03T08:15:30.25Z",
    ),
    (
        "level=info expires=2027-01-01T00:00:00Z time=2025-11-03T08:15:30Z",
        "2025-11-03T08:15:30Z",
    ),
    (
        "Main::INFO::2025-11-03 08:15:30,101::vm::ready",
        "2025-11-03T08:15:30.101Z",
    ),
    ("2025-11-03\t08:15:30\tEDGE\tready", "2025-11-03T08:15:30Z"),
    ("when=2025-11-03T08:15:30Z ready", "2025-11-03T08:15:30Z"),
    ("x expires=2027-11-03T08:15:30Z ready", "none"),
    ("2025:11:03-08:15:30 box ready", "2025-11-03T08:15:30Z"),
    (
        "2025-11-03 08:15:30 -03 [7] LOG:  x",
        "2025-11-03T11:15:30Z",
    ),
    ("2025-11-03 08:15:30 -03 degrees", "2025-11-03T08:15:30Z"),
    (
        r#"web-1  | {"level":"info","ts":1762157730.25,"msg":"x"}"#,
        "2025-11-03T08:15:30.25Z",
    ),
    (
        r#"{"timestamp":"yesterday","t":7,"ts":"2025-11-03T08:15:30Z"}"#,
        "2025-11-03T08:15:30Z",
    ),
    (
        r#"{"date":"2025-11-03","time":"08:15:30","DateTime":"2025-11-03 08:15:30"}"#,
        "2025-11-03T08:15:30Z",
    ),
    ("20251103-8:15:3:7|x", "2025-11-03T08:15:03.007Z"),
    ("1762157730.5: x", "2025-11-03T08:15:30.5Z"),
    ("2025-11-03 08:15:30 UTC+2 x", "2025-11-03T06:15:30Z"),
    ("2025-11-03 08:15:30 GMT-5:30 x", "2025-11-03T13:45:30Z"),
    ("2025-11-03 08:15:30 UTC - x", "2025-11-03T08:15:30Z"),
    (
        "1762157730.217960.0 [03/Nov/2025 10:15:30] x",
        "2025-11-03T08:15:30Z",
    ),
    ("1762157730.5. x", "none"),
    ("write(6, \"2025-11-03T08:15:30 ready\", 32) = 32", "none"),
    // Syslog.
    ("Nov  3 08:15:30 box sshd[9]: ready", "2025-11-03T08:15:30Z"),
    ("Feb 28 23:59:59 box cron: ready", "2026-02-28T23:59:59Z"),
    ("Mar  1 12:00:00 box cron: ready", "2026-03-01T12:00:00Z"),
    ("Mar  3 12:00:00 box cron: ready", "2025-03-03T12:00:00Z"),
    ("Feb 29 12:00:00 box cron: ready", "2024-02-29T12:00:00Z"),
    (
        "Nov  3 08:15:30.123456 box app: ready",
        "2025-11-03T08:15:30.123456Z",
    ),
    ("<13>Nov  3 08:15:30 box app: ready", "2025-11-03T08:15:30Z"),
    (
        "Nov 03 2025 08:15:30: %ASA-6-302013: built",
        "2025-11-03T08:15:30Z",
    ),
    (
        "29: *Nov  3 08:15:30.123: %LINK-3-UPDOWN: up",
        "2025-11-03T08:15:30.123Z",
    ),
    (
        "Nov 3, 2025 8:15:30 PM com.example.Pool start",
        "2025-11-03T20:15:30Z",
    ),
    (
        "Nov 03, 2025 12:15:30 AM com.example.Pool start",
        "2025-11-03T00:15:30Z",
    ),
    (
        "Nov 3, 2025 8:15:30\u{202f}PM com.example.Pool start",
        "2025-11-03T20:15:30Z",
    ),
    ("November 3, 2025 08:15:30 ready", "2025-11-03T08:15:30Z"),
    ("Nov  3 08:15:30 UTC 2025 ready", "2025-11-03T08:15:30Z"),
    // Access logs.
    (
        "192.0.2.7 - - [03/Nov/2025:08:15:30 +0100] \"GET / HTTP/1.1\" 200 5",
        "2025-11-03T07:15:30Z",
    ),
    (
        "192.0.2.7 - ann bee [03/Nov/2025:08:15:30 -0330] \"GET /\" 200",
        "2025-11-03T11:45:30Z",
    ),
    (
        "[03/Nov/2025:08:15:30 +0000] 192.0.2.7 \"GET /\" 200",
        "2025-11-03T08:15:30Z",
    ),
    (
        "2001:db8::7 - - [03/Nov/2025:08:15:30 +0000] \"GET /\" 200",
        "2025-11-03T08:15:30Z",
    ),
    (
        "79a5 mybucket [03/Nov/2025:08:15:30 +0000] 192.0.2.7 REST.GET",
        "2025-11-03T08:15:30Z",
    ),
    ("03/Nov/2025 08:15:30 ready", "2025-11-03T08:15:30Z"),
    (
        "haproxy[9]: 192.0.2.7:4711 [03/Nov/2025:08:15:30.250] http~ ready",
        "2025-11-03T08:15:30.25Z",
    ),
    // nginx's error log, Go.
    (
        "2025/11/03 08:15:30 [error] 9#9: *1 refused",
        "2025-11-03T08:15:30Z",
    ),
    (
        "2025/11/03 08:15:30.123456 main.go:7: ready",
        "2025-11-03T08:15:30.123456Z",
    ),
    (
        "[GIN] 2025/11/03 - 08:15:30 | 200 |",
        "2025-11-03T08:15:30Z",
    ),
    // With a day of the week.
    (
        "[Mon Nov 03 08:15:30 2025] [error] refused",
        "2025-11-03T08:15:30Z",
    ),
    (
        "[Mon Nov 03 08:15:30.123456 2025] [core:error] refused",
        "2025-11-03T08:15:30.123456Z",
    ),
    (
        "Mon Nov  3 08:15:30 UTC 2025: ready",
        "2025-11-03T08:15:30Z",
    ),
    ("Mon Nov  3 08:15:30 2025 -- ready", "2025-11-03T08:15:30Z"),
    (
        "Mon Nov  3 08:15:30 PM UTC 2025 ready",
        "2025-11-03T20:15:30Z",
    ),
    (
        "Mon, 03 Nov 2025 08:15:30 +0200 ready",
        "2025-11-03T06:15:30Z",
    ),
    ("Mon, 3 Nov 2025 08:15:30 GMT ready", "2025-11-03T08:15:30Z"),
    (
        "Mon Nov 03 2025 08:15:30 GMT+0100 (CET) ready",
        "2025-11-03T07:15:30Z",
    ),
    (
        "Mon Nov 03 08:15:30 +0100 2025 ready",
        "2025-11-03T07:15:30Z",
    ),
    // Day first, with the month's name.
    (
        "03-Nov-2025 08:15:30.250 queries: info: ready",
        "2025-11-03T08:15:30.25Z",
    ),
    (
        "[03-Nov-2025 08:15:30 UTC] PHP Warning:  x",
        "2025-11-03T08:15:30Z",
    ),
    (
        "61:M 03 Nov 2025 08:15:30.250 * ready",
        "2025-11-03T08:15:30.25Z",
    ),
    (
        "[61] 03 Nov 08:15:30.250 * ready",
        "2025-11-03T08:15:30.25Z",
    ),
    (
        "=INFO REPORT==== 3-Nov-2025::08:15:30 ===",
        "2025-11-03T08:15:30Z",
    ),
    // Numbers.
    ("11/23/2025 8:15:30 PM ready", "2025-11-23T20:15:30Z"),
    ("23/11/2025 08:15:30 ready", "2025-11-23T08:15:30Z"),
    (
        "11/03/2025-08:15:30.123456  [**] ready",
        "2025-11-03T08:15:30.123456Z",
    ),
    (
        "11/03-08:15:30.123456  [**] ready",
        "2025-11-03T08:15:30.123456Z",
    ),
    (
        "11/23/2025-08:15:30.123456  [**] [1:1:1] ready",
        "2025-11-23T08:15:30.123456Z",
    ),
    ("11/23/25 08:15:30 ready", "2025-11-23T08:15:30Z"),
    (
        "25/11/03 08:15:30 INFO Executor: ready",
        "2025-11-03T08:15:30Z",
    ),
    ("03.11.2025 08:15:30 ready", "2025-11-03T08:15:30Z"),
    ("3/3/2025 08:15:30 ready", "2025-03-03T08:15:30Z"),
    // The order shows only in what cannot be: 3 November is ahead of the file.
    ("11/02/2026 08:15:30 ready", "2026-02-11T08:15:30Z"),
    ("03/04/2025 08:15:30 ready", "none"),
    // Compact ones.
    ("20251103T081530Z ready", "2025-11-03T08:15:30Z"),
    (
        "20251103-08:15:30:606|Step|ready",
        "2025-11-03T08:15:30.606Z",
    ),
    ("20251103 08:15:30 ready", "2025-11-03T08:15:30Z"),
    ("251103 081530 148 INFO dfs: ready", "2025-11-03T08:15:30Z"),
    ("251103  8:15:30 [Note] ready", "2025-11-03T08:15:30Z"),
    (
        "11-03 08:15:30.811  1702  2395 D Wm: ready",
        "2025-11-03T08:15:30.811Z",
    ),
    (
        "I1103 08:15:30.123456       1 main.go:7] ready",
        "2025-11-03T08:15:30.123456Z",
    ),
    (
        "E20251103 08:15:30.123456    77 main.cc:7] ready",
        "2025-11-03T08:15:30.123456Z",
    ),
    (
        "type=SYSCALL msg=audit(1762157730.250:17): arch=1",
        "2025-11-03T08:15:30.25Z",
    ),
    // Since the epoch.
    ("1762157730 ready", "2025-11-03T08:15:30Z"),
    (
        "1762157730.250 15 192.0.2.7 TCP_MISS/200",
        "2025-11-03T08:15:30.25Z",
    ),
    ("1762157730250 ready", "2025-11-03T08:15:30.25Z"),
    ("1762157730250123 ready", "2025-11-03T08:15:30.250123Z"),
    (
        "1762157730250123456 ready",
        "2025-11-03T08:15:30.250123456Z",
    ),
    ("[1762157730] SERVICE ALERT: x", "2025-11-03T08:15:30Z"),
    (
        "level=info ts=1762157730.25 msg=ready",
        "2025-11-03T08:15:30.25Z",
    ),
    // JSON.
    (
        r#"{"level":"info","ts":1762157730.25,"msg":"ready"}"#,
        "2025-11-03T08:15:30.25Z",
    ),
    (
        r#"{"msg":"2020-01-01 00:00:00","Time":"2025-11-03T08:15:30Z"}"#,
        "2025-11-03T08:15:30Z",
    ),
    (
        r#"{"ts":"x","@timestamp":"2025-11-03T08:15:30Z","time":1}"#,
        "2025-11-03T08:15:30Z",
    ),
    (
        r#"{"t":{"$date":"2025-11-03T08:15:30.250+01:00"},"s":"I"}"#,
        "2025-11-03T07:15:30.25Z",
    ),
    (
        r#" {"__REALTIME_TIMESTAMP":"1762157730250123","MESSAGE":"x"}"#,
        "2025-11-03T08:15:30.250123Z",
    ),
    (r#"{"time":"08:15:30","msg":"ready"}"#, "none"),
    (
        r#"{"request":{"time":"2025-11-03T08:15:30Z"},"msg":"ready"}"#,
        "none",
    ),
    (r#"{"msg":"2025-11-03T08:15:30Z"}"#, "none"),
    // Abbreviations that are not this zone's, times that are none, and what is only cited.
    ("2025-11-03 08:15:30 CET ready", "none"),
    ("2025-11-03 08:15:30 INFO ready", "2025-11-03T08:15:30Z"),
    ("15:04:05 ready", "none"),
    (
        "08:15:31 0|app  | 2025-11-03 08:15:30: ready",
        "2025-11-03T08:15:30Z",
    ),
    ("ready", "none"),
    ("", "none"),
    ("2025-13-03 08:15:30 ready", "none"),
    ("2025-02-30 08:15:30 ready", "none"),
    ("2025-11-03 24:15:30 ready", "none"),
    ("2025-11-03 08:60:30 ready", "none"),
    ("2025-11-03T08:15:30Zulu ready", "none"),
    ("1985-11-03 08:15:30 ready", "none"),
    ("2225-11-03 08:15:30 ready", "none"),
    ("500000000 ready", "none"),
    ("192.0.2.7 \"GET /?since=2025-11-03T08:15:30Z\" 200", "none"),
    ("level=info msg=\"since 2025-11-03 08:15:30\"", "none"),
    ("backup.2025-11-03_08:15:30 done", "none"),
    ("wait until=2025-11-03T08:15:30Z done", "none"),
    ("v1.2.3 12.5.1 of 17/20", "none"),
    ("é2025-11-03 08:15:30", "none"),
];

#[test]
fn each_form_is_read_and_gives_its_time() {
    assert!(LINES.len() >= 80);
    let wrong: Vec<String> = LINES
        .iter()
        .filter_map(|(line, expected)| {
            let time = shown(reader("utc", InputKind::File, WRITTEN).read_line(line));
            (time != *expected).then(|| format!("{line}\n  is {time}, not {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_form_is_resumed_as_it_was() {
    for (line, expected) in LINES.iter().filter(|(_, expected)| *expected != "none") {
        let mut first = reader("utc", InputKind::File, WRITTEN);
        first.read_line(line);
        let mut second = reader("utc", InputKind::Live, WRITTEN);
        second.resume(first.form().as_deref(), first.last());
        assert_eq!(second.form(), first.form(), "{line}");
        assert_eq!(shown(second.last()), *expected, "{line}");
        assert_eq!(shown(second.read_line(line)), *expected, "{line}");
        assert_eq!(second.read_line("  2020-01-01 00:00:00"), None, "{line}");
    }
    for form in [
        "",
        "text",
        "text Nothing",
        "text Iso 1",
        "json x",
        "any Week",
    ] {
        let mut reader = reader("utc", InputKind::Live, WRITTEN);
        reader.resume(Some(form), None);
        assert_eq!(reader.form(), None, "{form}");
    }
}

#[test]
fn a_form_is_kept_and_so_is_its_place() {
    for (line, expected) in LINES.iter().filter(|(_, expected)| *expected != "none") {
        let mut reader = reader("utc", InputKind::File, WRITTEN);
        for turn in 0..5 {
            assert_eq!(
                shown(reader.read_line(line)),
                *expected,
                "{line}, turn {turn}"
            );
            let cites = "  at 2020-01-01 00:00:00 Jan 1 00:00:00";
            assert_eq!(reader.read_line(cites), None, "{line}");
        }
    }
}

#[test]
fn a_line_in_another_form_is_a_continuation_until_a_hundred_are() {
    let mut reader = reader("utc", InputKind::File, WRITTEN);
    assert!(reader.read_line("2025-11-03 08:15:30 ready").is_some());
    for _ in 0..100 {
        assert_eq!(reader.read_line("Nov  3 08:15:31 cited"), None);
    }
    let time = reader.read_line("Nov  3 08:15:31 box app: ready");
    assert_eq!(shown(time), "2025-11-03T08:15:31Z");
}

#[test]
fn a_header_that_cites_a_date_does_not_decide() {
    let mut reader = reader("utc", InputKind::File, WRITTEN);
    reader.read_line("Log file created at: 2025/11/03 08:00:00");
    let line = "I1103 08:15:30.123456       1 main.go:7] ready";
    for _ in 0..3 {
        assert_eq!(shown(reader.read_line(line)), "2025-11-03T08:15:30.123456Z");
    }
}

#[test]
fn the_order_of_day_and_month_is_decided_once_for_all_lines() {
    let mut reader = reader("utc", InputKind::File, WRITTEN);
    assert_eq!(reader.read_line("03/04/2025 08:00:00 a"), None);
    assert!(reader.read_line("03/14/2025 08:00:00 b").is_some());
    let time = reader.read_line("03/04/2025 08:00:00 a");
    assert_eq!(shown(time), "2025-03-04T08:00:00Z");
    assert_eq!(reader.read_line("14/03/2025 08:00:00 c"), None);

    let mut live = super::tests::reader("utc", InputKind::Live, "2026-03-04T09:00:00Z");
    let time = live.read_line("03/04/2026 08:00:00 a");
    assert_eq!(shown(time), "2026-03-04T08:00:00Z");
    let mut live = super::tests::reader("utc", InputKind::Live, "2026-04-03T09:00:00Z");
    let time = live.read_line("03/04/2026 08:00:00 a");
    assert_eq!(shown(time), "2026-04-03T08:00:00Z");
}

#[test]
fn a_time_of_day_alone_is_on_the_day_nearest_to_now() {
    let read = |now: &str, lines: &[&str]| {
        let mut reader = reader("utc", InputKind::Live, now);
        let times = lines.iter().map(|line| shown(reader.read_line(line)));
        times.collect::<Vec<_>>()
    };
    assert_eq!(
        read("2026-03-01T12:00:00Z", &["11:59:58.5 a", "11:59:59,7 b"]),
        ["2026-03-01T11:59:58.5Z", "2026-03-01T11:59:59.7Z"]
    );
    assert_eq!(
        read("2026-03-01T12:00:00Z", &["11:59AM INF a", "12:01PM INF b"]),
        ["2026-03-01T11:59:00Z", "2026-03-01T12:01:00Z"]
    );
    assert_eq!(
        read(
            "2026-03-01T00:00:01Z",
            &["23:59:59 a", "00:00:00 b", "23:59:59.999 c"]
        ),
        [
            "2026-02-28T23:59:59Z",
            "2026-03-01T00:00:00Z",
            "2026-02-28T23:59:59.999Z"
        ]
    );
    let mut quiet = reader("utc", InputKind::Live, "2026-03-01T01:00:00Z");
    quiet.read_line("01:00:00 a");
    quiet.set_now(ns("2026-03-03T02:00:00Z"));
    assert_eq!(shown(quiet.read_line("02:00:00 b")), "2026-03-03T02:00:00Z");
    assert_eq!(
        reader("utc", InputKind::File, WRITTEN).read_line("23:00:00 x"),
        None
    );
}

#[test]
fn an_abbreviation_counts_only_if_it_is_the_zones_own_at_that_time() {
    for (zone, line, expected) in [
        (
            "Europe/Berlin",
            "2025-07-03 08:15:30 CEST x",
            "2025-07-03T06:15:30Z",
        ),
        (
            "Europe/Berlin",
            "2025-11-03 08:15:30 CET x",
            "2025-11-03T07:15:30Z",
        ),
        ("Europe/Berlin", "2025-11-03 08:15:30 CEST x", "none"),
        ("Europe/Berlin", "2025-11-03 08:15:30 PST x", "none"),
        (
            "Europe/Berlin",
            "2025-10-26 02:30:00 CEST x",
            "2025-10-26T00:30:00Z",
        ),
        (
            "Europe/Berlin",
            "2025-10-26 02:30:00 CET x",
            "2025-10-26T01:30:00Z",
        ),
        (
            "America/New_York",
            "Mon Nov  3 08:15:30 EST 2025",
            "2025-11-03T13:15:30Z",
        ),
        (
            "Asia/Kolkata",
            "2025-11-03 08:15:30 IST x",
            "2025-11-03T02:45:30Z",
        ),
        (
            "Europe/Berlin",
            "2025-11-03 08:15:30 UTC x",
            "2025-11-03T08:15:30Z",
        ),
        (
            "Europe/Berlin",
            "2025-11-03 08:15:30 x",
            "2025-11-03T07:15:30Z",
        ),
        ("+05:45", "2025-11-03 08:15:30 x", "2025-11-03T02:30:30Z"),
        ("-3", "2025-11-03 08:15:30 x", "2025-11-03T11:15:30Z"),
    ] {
        let time = reader(zone, InputKind::File, WRITTEN).read_line(line);
        assert_eq!(shown(time), expected, "{zone}: {line}");
    }
}

/// Lines around a change of the clocks, every 2 s for three hours each way, out of order by 5 ms: each time as
/// written must be read as what it was.
fn around(zone: &str, change: &str) {
    let change = ns(change);
    let tz = jiff::tz::TimeZone::get(zone).unwrap();
    let mut reader = reader(zone, InputKind::File, WRITTEN);
    let mut random = Random::new(7);
    let (begin, end) = (
        change - 3 * 3600 * 1_000_000_000,
        change + 3 * 3600 * 1_000_000_000,
    );
    let mut at = begin;
    while at < end {
        let time = at - random.below(5) as i64 * 1_000_000;
        let stamp = jiff::Timestamp::from_nanosecond(time.into()).unwrap();
        let line = tz
            .to_datetime(stamp)
            .strftime("%Y-%m-%d %H:%M:%S.%3f ready")
            .to_string();
        assert_eq!(reader.read_line(&line), Some(time), "{zone}: {line}");
        // Dense where it matters.
        let near = (at - change) % (1800 * 1_000_000_000);
        at += if near.abs() < 1_000_000_000 {
            7_000_000
        } else {
            1_999_000_000
        };
    }
}

#[test]
fn no_time_is_wrong_around_a_change_of_the_clocks() {
    for (zone, change) in [
        ("Europe/Berlin", "2025-03-30T01:00:00Z"),
        ("Europe/Berlin", "2025-10-26T01:00:00Z"),
        ("America/New_York", "2025-03-09T07:00:00Z"),
        ("America/New_York", "2025-11-02T06:00:00Z"),
        ("Australia/Lord_Howe", "2025-10-04T15:30:00Z"),
        ("Australia/Lord_Howe", "2025-04-05T15:00:00Z"),
    ] {
        around(zone, change);
    }
}

#[test]
fn in_live_input_a_time_shown_twice_is_the_one_nearer_to_now() {
    for (now, expected) in [
        ("2025-10-26T00:30:05Z", "2025-10-26T00:30:00Z"),
        ("2025-10-26T01:30:05Z", "2025-10-26T01:30:00Z"),
    ] {
        let mut reader = reader("Europe/Berlin", InputKind::Live, now);
        assert_eq!(shown(reader.read_line("2025-10-26 02:30:00 x")), expected);
    }
}

#[test]
fn a_format_of_the_user_is_read_as_strptime_does() {
    for (format, line, expected) in [
        (
            "%d/%b/%Y:%H:%M:%S %z",
            "x [03/Nov/2025:08:15:30 +0100] y",
            "2025-11-03T07:15:30Z",
        ),
        (
            "%d.%m.%y %H:%M:%S",
            "03.11.25 08:15:30 y",
            "2025-11-03T08:15:30Z",
        ),
        (
            "%H:%M:%S %d.%m.%Y",
            "[08:15:30 03.11.2025] y",
            "2025-11-03T08:15:30Z",
        ),
        (
            "%b %d %H:%M:%S",
            "INFO Nov  3 08:15:30 y",
            "2025-11-03T08:15:30Z",
        ),
        (
            "%Y-%m-%d %H:%M:%S.%f",
            "2025-11-03 08:15:30.25 y",
            "2025-11-03T08:15:30.25Z",
        ),
        ("%Y%m%d%H%M%S", "20251103081530 y", "2025-11-03T08:15:30Z"),
        ("%s", "1762157730 y", "2025-11-03T08:15:30Z"),
        (
            "%a %b %d %H:%M:%S %Z %Y",
            "Mon Nov  3 08:15:30 UTC 2025 y",
            "2025-11-03T08:15:30Z",
        ),
        (
            "%I:%M:%S %p %m/%d/%Y",
            "08:15:30 PM 11/03/2025 y",
            "2025-11-03T20:15:30Z",
        ),
        (
            "<%Y-%m-%d %H:%M:%S>",
            "a <2025-11-03 08:15:30> y",
            "2025-11-03T08:15:30Z",
        ),
        ("%d.%m.%Y %H:%M:%S", "2025-11-03 08:15:30 y", "none"),
    ] {
        let options = Arc::new(TimeOptions {
            zone: Zone::utc(),
            format: Some(Format::new(format).unwrap()),
        });
        let mut reader = TimeReader::new(&options, InputKind::File, ns(WRITTEN));
        for _ in 0..2 {
            assert_eq!(shown(reader.read_line(line)), expected, "{format}: {line}");
        }
    }
    for wrong in ["", "%!", "%Y-%m-%d", "no directive"] {
        assert!(Format::new(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn ten_lines_off_by_whole_quarter_hours_suggest_a_time_zone() {
    let mut live = reader("utc", InputKind::Live, "2026-03-01T12:00:00Z");
    for n in 0..10 {
        assert_eq!(live.take_hint(), None, "line {n}");
        live.read_line(&format!("2026-03-01 14:00:0{n} x"));
        live.set_now(ns("2026-03-01T12:00:05Z"));
    }
    assert_eq!(
        live.take_hint().map(|hint| hint.zone()).as_deref(),
        Some("+02:00")
    );
    assert_eq!(live.take_hint(), None);
    for line in [
        "2026-03-01 12:00:01 x",
        "2026-03-01T14:00:01Z x",
        "2026-03-01 09:52:00 x",
    ] {
        let mut live = reader("utc", InputKind::Live, "2026-03-01T12:00:00Z");
        for _ in 0..20 {
            live.read_line(line);
        }
        assert_eq!(live.take_hint(), None, "{line}");
    }
}

#[test]
fn long_and_strange_lines_cost_no_more() {
    for line in [
        "2025-".repeat(50_000),
        "[".repeat(200_000),
        "9".repeat(200_000),
        " Nov".repeat(50_000),
        "\"".repeat(200_000),
        "time=".repeat(50_000),
        "\u{1b}[1m".repeat(50_000),
    ] {
        let begin = std::time::Instant::now();
        let mut reader = reader("utc", InputKind::File, WRITTEN);
        for _ in 0..200 {
            assert_eq!(reader.read_line(&line), None);
        }
        assert!(begin.elapsed().as_millis() < 500, "{}", &line[..10]);
    }
}

#[test]
fn a_field_is_a_time_only_as_a_whole() {
    let mut reader = reader("utc", InputKind::File, WRITTEN);
    for (value, expected) in [
        ("2025-11-03T08:15:30Z", "2025-11-03T08:15:30Z"),
        (" 1762157730.25 ", "2025-11-03T08:15:30.25Z"),
        ("03/Nov/2025:08:15:30 +0000", "2025-11-03T08:15:30Z"),
        ("2025-11-03T08:15:30Z ready", "none"),
        ("200", "none"),
        ("1.7e9", "none"),
        ("-1762157730", "none"),
        ("", "none"),
        ("99999999999999999999", "none"),
        ("9223372036854775807", "none"),
    ] {
        assert_eq!(shown(reader.read_value(value)), expected, "{value}");
    }
}

#[test]
fn what_is_written_is_read_back() {
    let mut reader = reader("utc", InputKind::File, WRITTEN);
    let mut random = Random::new(1);
    for _ in 0..2_000 {
        let ns = 700_000_000_000_000_000 + (random.next() >> 4) as i64;
        let mut text = String::new();
        format_rfc3339(ns, &mut text);
        assert_eq!(reader.read_value(&text), Some(ns), "{text}");
    }
    let mut text = String::new();
    format_rfc3339(6, &mut text);
    assert_eq!(text, "1970-01-01T00:00:00.000000006Z");
}

#[test]
fn any_line_is_read_without_harm() {
    let alphabet = [
        '2', '0', '1', '-', ':', 'T', ' ', '.', ',', '+', 'Z', '[', ']', 'é', '\0', '9', '"', '/',
        '=',
    ];
    let mut random = Random::new(1);
    let mut reader = reader("Europe/Berlin", InputKind::Live, WRITTEN);
    for _ in 0..200 {
        for (line, _) in LINES.iter().filter(|(line, _)| !line.is_empty()) {
            let mut line: Vec<char> = line.chars().collect();
            for _ in 0..3 {
                let at = random.below(line.len());
                line[at] = random.pick(&alphabet);
            }
            line.truncate(random.below(line.len() + 1));
            let line: String = line.into_iter().collect();
            reader.read_line(&line);
            reader.read_value(&line);
        }
    }
}

#[test]
fn a_time_like_the_one_before_is_read_as_if_it_were_the_first() {
    const TIMES: &[&str] = &[
        "2026-11-23 10:00:05",
        "2026-11-23 10:00:05.1",
        "2026-11-23 10:00:05.123",
        "2026-11-23 10:00:05.999",
        "2026-11-23 10:00:05,123456789",
        "2026-11-23 10:00:05,1234567891",
        "2026-11-23 10:00:06.123",
        "2026-11-23T10:00:05.123Z",
        "2026-11-23T10:00:05.124Z",
        "2026-11-23 10:00:05.12x",
        "2026-11-23 10:00:05+02",
        "2026-11-23 10:00:05+02:30",
        "2026-11-23 10:00:05 CET",
        "2026-11-23 10:00:05 PM",
        "2026-11-23 10:00:05 pm",
        "[2026-11-23 10:00:05.5]",
        "[2026-11-23 10:00:05.6]",
        "2026/11/23 10:00:05",
        "2026/11/23 10:00:05 -0700",
        "Nov 23 10:00:05",
        "Nov 23 10:00:05.5",
        "Nov 23 10:00:05 2024",
        "Nov 23 10:00:05 CET 2024",
        "17.06.00 20:10:40",
        "17.06.01 20:10:40",
        "17.06.2001 20:10:40",
        "1700000000.5",
        "1700000000.6",
        "10:00:05.1",
        "10:00:05.2",
    ];
    let lines: Vec<String> = TIMES
        .iter()
        .flat_map(|time| ["", " up", " UP", " 12", " am", "]"].map(|rest| format!("{time}{rest}")))
        .collect();
    for first in &lines {
        for second in &lines {
            let [mut quick, mut slow] =
                [0, 1].map(|_| reader("Europe/Berlin", InputKind::Live, WRITTEN));
            let before = [quick.read_line(first), slow.read_line(first)];
            // This forgets the line before.
            slow.set_now(ns(WRITTEN));
            let times = [quick.read_line(second), slow.read_line(second)];
            assert_eq!(before[0], before[1], "{first}");
            assert_eq!(times[0], times[1], "{first} | {second}");
        }
    }
}
