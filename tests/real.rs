//! The same program against a real Loki, whose address `LOKI_TEST_URL` holds, read back by query.
//! Without it these tests say that they were skipped.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::LokiPush;

/// How long a real Loki may take to show what it took.
const SHOWN: Duration = Duration::from_mins(1);

/// A real Loki and an `app` label of this test's own.
struct Real {
    url: String,
    app: String,
}

/// An entry as Loki gives it back: stream labels, time, line, metadata.
#[derive(Debug, PartialEq)]
struct Found {
    labels: BTreeMap<String, String>,
    time: i64,
    line: String,
    metadata: BTreeMap<String, String>,
}

impl Real {
    fn new(test: &str) -> Option<Self> {
        let Ok(url) = std::env::var("LOKI_TEST_URL") else {
            eprintln!("skipped: LOKI_TEST_URL names no Loki");
            return None;
        };
        let now = jiff::Timestamp::now().as_nanosecond();
        let app = format!("loki-push-{test}-{now}");
        Some(Self { url, app })
    }

    fn run(&self) -> LokiPush {
        LokiPush::at(&self.url).args(["--app", &self.app]).summed()
    }

    /// Waits until so many entries are there, and gives them by time.
    fn entries(&self, expected: usize) -> Vec<Found> {
        let deadline = Instant::now() + SHOWN;
        loop {
            let found = self.query();
            if found.len() >= expected {
                return found;
            }
            let here = found.len();
            assert!(
                Instant::now() < deadline,
                "{here} of {expected} entries of {}",
                self.app
            );
        }
    }

    fn lines(&self, expected: usize) -> Vec<String> {
        let found = self.entries(expected).into_iter();
        found.map(|entry| entry.line).collect()
    }

    /// All entries of the last two days, by pages.
    fn query(&self) -> Vec<Found> {
        const PAGE: usize = 5_000;
        let now = jiff::Timestamp::now().as_nanosecond() as i64;
        let (mut start, end) = (now - 2 * 86_400_000_000_000, now + 600_000_000_000);
        let mut all = Vec::new();
        loop {
            let page = self.page(start, end, PAGE);
            let full = page.len() == PAGE;
            start = page.last().map_or(end, |entry| entry.time + 1);
            all.extend(page);
            if !full {
                return all;
            }
        }
    }

    fn page(&self, start: i64, end: i64, limit: usize) -> Vec<Found> {
        let target = format!(
            "/loki/api/v1/query_range?query=%7Bapp%3D%22{}%22%7D&start={start}&end={end}\
             &limit={limit}&direction=forward",
            self.app
        );
        let answer: Value = serde_json::from_str(&self.get(&target)).expect("JSON");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let map = |value: &Value| -> BTreeMap<String, String> {
            let members = value.as_object().into_iter().flatten();
            members
                .map(|(name, value)| (name.clone(), text(value)))
                .collect()
        };
        let mut found = Vec::new();
        for stream in answer["data"]["result"].as_array().into_iter().flatten() {
            for value in stream["values"].as_array().into_iter().flatten() {
                found.push(Found {
                    labels: map(&stream["stream"]),
                    time: text(&value[0]).parse().expect("a time"),
                    line: text(&value[1]),
                    metadata: map(&value[2]["structuredMetadata"]),
                });
            }
        }
        found.sort_by_key(|entry| entry.time);
        found
    }

    fn get(&self, target: &str) -> String {
        let address = self
            .url
            .strip_prefix("http://")
            .expect("an http:// address");
        let mut socket = TcpStream::connect(address.trim_end_matches('/')).expect("Loki is there");
        let flags = "X-Loki-Response-Encoding-Flags: categorize-labels";
        let request = format!("GET {target} HTTP/1.0\r\nHost: {address}\r\n{flags}\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("a request");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
        assert!(head.contains(" 200 "), "{answer}");
        body.to_owned()
    }
}

#[test]
fn lines_of_every_kind_come_back_as_they_went() {
    let Some(loki) = Real::new("kinds") else {
        return;
    };
    let input =
        b"a\n\r\n\ntab\t\"quotes\" \\ back\nnul\0\nbad \xff\n\xf0\x9f\x98\x80 \xe2\x80\xa8\nlast";
    let ended = loki
        .run()
        .stdin_bytes(input)
        .run()
        .expect(0)
        .expect_no_message();
    assert_eq!(ended.summary().delivered, 8);
    let expected = [
        "a",
        "",
        "",
        "tab\t\"quotes\" \\ back",
        "nul\0",
        "bad \u{fffd}",
        "\u{1f600} \u{2028}",
        "last",
    ];
    assert_eq!(loki.lines(8), expected);
}

#[test]
fn fifty_thousand_lines_are_there_once_and_in_order() {
    let Some(loki) = Real::new("many") else {
        return;
    };
    let lines: Vec<String> = (0..50_000).map(|i| format!("line {i:06}")).collect();
    let ended = loki.run().stdin_bytes(lines.join("\n")).run().expect(0);
    assert_eq!(ended.summary().delivered, 50_000);
    assert!(loki.lines(50_000) == lines);
}

#[test]
fn levels_are_streams_and_metadata_can_be_queried() {
    let Some(loki) = Real::new("fields") else {
        return;
    };
    let input =
        "user login level=error user_id=42 ip=1.2.3.4\n{\"msg\":\"m\",\"a.b\":1,\"日本\":2}\n";
    let args = ["--env", "test", "--layout", "metadata"];
    loki.run()
        .args(args)
        .stdin_bytes(input)
        .run()
        .expect(0)
        .expect_no_message();
    let entries = loki.entries(2);
    assert_eq!(entries[0].line, "user login");
    assert_eq!(entries[0].labels["level"], "error");
    assert_eq!(entries[0].labels["env"], "test");
    assert_eq!(entries[0].metadata["user_id"], "42");
    assert_eq!(entries[0].metadata["ip"], "1.2.3.4");
    assert!(entries[1].line.starts_with("m | "), "{}", entries[1].line);
    assert_eq!(entries[1].metadata["a_b"], "1");
}

#[test]
fn equal_lines_at_equal_times_are_all_kept() {
    let Some(loki) = Real::new("equal") else {
        return;
    };
    let now = jiff::Timestamp::now();
    let input = format!("{now:.0} same\n").repeat(200);
    let args = ["--time", "prefix", "--batch-size", "30"];
    let ended = loki.run().args(args).stdin_bytes(input).run().expect(0);
    assert_eq!(ended.summary().delivered, 200);
    assert_eq!(loki.entries(200).len(), 200);
}

#[test]
fn shuffled_and_old_entries_are_accounted_for() {
    let Some(loki) = Real::new("dated") else {
        return;
    };
    let now = jiff::Timestamp::now();
    let dated = |age: i64, text: String| {
        format!("{:.9} {text}", now - jiff::SignedDuration::from_secs(age))
    };
    // Shuffled by a step that shares no factor with their number.
    let lines: Vec<String> = (0..2_000)
        .map(|i| i * 777 % 2_000)
        .map(|i| match i {
            500 | 1_500 => dated(8 * 86_400 + i, format!("old {i}")),
            _ => dated(2_000 - i, format!("line {i}")),
        })
        .collect();
    let run = loki.run().args(["--time", "prefix"]);
    let ended = run.stdin_bytes(lines.join("\n")).run().expect(1);
    let summary = ended.summary();
    assert_eq!(
        (summary.delivered, summary.refused),
        (1_998, 2),
        "{}",
        ended.report()
    );
    assert_eq!(summary.reasons["too old"], 2);
    assert_eq!((summary.requests, summary.retries), (1, 0));
    let arrived = loki.lines(1_998);
    assert_eq!(arrived.len(), 1_998);
    assert!(arrived.is_sorted(), "they begin with their times");
}

#[test]
fn entries_too_far_behind_are_told_from_those_too_old() {
    let Some(loki) = Real::new("behind") else {
        return;
    };
    let now = jiff::Timestamp::now();
    let lines = (0..2_000).map(|i| {
        let age = match i {
            1_100..1_103 => 8 * 86_400 + 3_000 - i,
            1_200..1_205 => 2 * 3_600 + 3_000 - i,
            _ => 3_000 - i,
        };
        format!(
            "{:.9} line {i}\n",
            now - jiff::SignedDuration::from_secs(age)
        )
    });
    let args = ["--time", "prefix", "--batch-size", "1000"];
    let run = loki.run().args(args).stdin_bytes(lines.collect::<String>());
    let ended = run.run().expect(1);
    let summary = ended.summary();
    assert_eq!(
        (summary.delivered, summary.refused),
        (1_992, 8),
        "{}",
        ended.report()
    );
    assert_eq!(
        (
            summary.reasons["too old"],
            summary.reasons["too far behind"]
        ),
        (3, 5)
    );
    assert_eq!(loki.entries(1_992).len(), 1_992);
}

#[test]
fn the_longest_line_passes() {
    let Some(loki) = Real::new("long") else {
        return;
    };
    let line = "é".repeat(200_000);
    let run = loki
        .run()
        .args(["-k", "host=web1"])
        .stdin_bytes(line.as_str());
    let ended = run.run().expect(0).expect_no_message();
    assert_eq!(ended.summary().delivered, 2);
    let parts = loki.lines(2);
    let text: String = parts
        .iter()
        .filter_map(|part| part.strip_suffix(" | host=web1"))
        .collect();
    assert!(text == line);
    assert!(parts.iter().all(|part| part.len() <= 262_144));
}
