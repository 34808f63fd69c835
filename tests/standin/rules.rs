//! Loki's rules are Loki's, and so are its words.

use std::time::Duration;

use super::client::{Reply, T, lines, push, stream};
use crate::support::loki::{Rate, Rules};
use crate::support::{Fault, Loki};

const HOUR: i64 = 3_600_000_000_000;
// T is 2025-10-09T08:53:20Z.

fn with(rules: Rules) -> Loki {
    let loki = Loki::start();
    loki.validate(rules);
    loki
}

#[track_caller]
fn said(reply: &Reply, status: u16, text: &str) {
    assert_eq!(reply.status, status, "{reply:?}");
    assert_eq!(reply.body, format!("{text}\n"));
    assert!(
        reply
            .head
            .contains("Content-Type: text/plain; charset=utf-8\r\n")
    );
}

#[test]
fn too_old_and_too_new() {
    let loki = with(Rules {
        now: Some(T),
        ..Rules::of_loki()
    });
    let old = T - 8 * 24 * HOUR;
    let entries = [(old, "a"), (old + 1, "b"), (T, "c"), (T + HOUR, "d")];
    said(
        &push(&loki, lines(&entries)),
        400,
        "2 errors like: entry for stream '{app=\"a\", service_name=\"a\"}' has timestamp too old: \
         2025-10-01T08:53:20Z, oldest acceptable timestamp is: 2025-10-02T08:53:20Z; \
         1 errors like: entry for stream '{app=\"a\", service_name=\"a\"}' has timestamp too new: \
         2025-10-09T09:53:20Z",
    );
    assert_eq!(loki.lines(), ["c"]);
    said(
        &push(&loki, lines(&[(old + 2, "e")])),
        400,
        "entry for stream '{app=\"a\", service_name=\"a\"}' has timestamp too old: \
         2025-10-01T08:53:20Z, oldest acceptable timestamp is: 2025-10-02T08:53:20Z",
    );
    let edge = T - 7 * 24 * HOUR;
    let other = stream(r#"{"x":"\"\n\u0007"}"#, &[(edge, "f"), (T + HOUR / 6, "g")]);
    assert_eq!(push(&loki, other).status, 204);
    let other = stream(r#"{"x":"\"\n\u0007"}"#, &[(T + HOUR, "f")]);
    said(
        &push(&loki, other),
        400,
        "entry for stream '{service_name=\"unknown_service\", x=\"\\\"\\n\\a\"}' \
         has timestamp too new: 2025-10-09T09:53:20Z",
    );
    loki.assert_clean();
}

#[test]
fn too_long() {
    let loki = with(Rules {
        max_line: Some(4),
        ..Rules::default()
    });
    said(
        &push(&loki, lines(&[(T, "12345"), (T, "54321"), (T, "1234")])),
        400,
        "2 errors like: max entry size '4' bytes exceeded for stream \
         '{app=\"a\", service_name=\"a\"}' while adding an entry with length '5' bytes",
    );
    assert_eq!(loki.lines(), ["1234"]);
}

#[test]
fn metadata() {
    let json = format!(
        r#"{{"streams":[{{"stream":{{"app":"a"}},"values":[["{T}","x",{{"a":"1","b":"2"}}]]}}]}}"#
    );
    let limits = "or contact your Loki administrator to";
    let name = "{app=\"a\", service_name=\"a\"}";
    let cases = [
        (
            Rules {
                refuse_metadata: true,
                ..Rules::default()
            },
            format!(
                "stream '{name}' includes structured metadata, but this feature is disallowed. \
                 Please see `limits_config.allow_structured_metadata` {limits} enable it"
            ),
        ),
        (
            Rules {
                max_metadata_size: Some(3),
                ..Rules::default()
            },
            format!(
                "stream '{name}' has structured metadata too large: '4' bytes, limit: '3' bytes. \
                 Please see `limits_config.max_structured_metadata_size` {limits} increase it"
            ),
        ),
        (
            Rules {
                max_metadata_count: Some(1),
                ..Rules::default()
            },
            format!(
                "stream '{name}' has too many structured metadata labels: '2', limit: '1'. Please \
                 see `limits_config.max_structured_metadata_entries_count` {limits} increase it"
            ),
        ),
    ];
    for (rules, text) in cases {
        let loki = with(rules);
        said(&push(&loki, &json), 400, &text);
        assert!(loki.entries().is_empty());
    }
}

#[test]
fn too_far_behind() {
    let loki = with(Rules {
        window: Some(Duration::from_hours(1)),
        ..Rules::default()
    });
    // A new stream has no newest entry yet: ascending, all go in.
    let first = lines(&[(T - 2 * HOUR, "a"), (T - HOUR, "b"), (T + 500, "c")]);
    assert_eq!(push(&loki, first).status, 204);
    loki.limits(|limits| limits.old_apart = false);
    let old: Vec<(i64, String)> = (0..12)
        .map(|i| (T - 2 * HOUR + 1 + i, i.to_string()))
        .collect();
    let mut entries: Vec<(i64, &str)> = old.iter().map(|(t, l)| (*t, &**l)).collect();
    entries.push((T - HOUR + 500, "d"));
    let reply = push(&loki, lines(&entries));
    let mut text = String::new();
    for i in 1..=10 {
        text += &format!(
            "entry with timestamp 2025-10-09 06:53:20.{i:09} +0000 UTC ignored, reason: \
             'entry too far behind, entry timestamp is: 2025-10-09T06:53:20Z, \
             oldest acceptable timestamp is: 2025-10-09T07:53:20Z',\n"
        )
        .replace("000000010 ", "00000001 ");
    }
    text += "user 'fake', total ignored: 12 out of 13 for stream: \
             {app=\"a\", service_name=\"a\"}";
    said(&reply, 400, &text);
    assert_eq!(loki.lines(), ["a", "b", "d", "c"]);
    loki.assert_clean();
}

#[test]
fn one_reason_hides_another() {
    let loki = with(Rules {
        now: Some(T),
        ..Rules::of_loki()
    });
    loki.limits(|limits| limits.old_apart = false);
    assert_eq!(push(&loki, lines(&[(T, "a")])).status, 204);
    let entries = [(T - 8 * 24 * HOUR, "b"), (T - 2 * HOUR, "c"), (T, "d")];
    let reply = push(&loki, lines(&entries));
    assert_eq!(reply.status, 400);
    assert!(!reply.body.contains("too old"), "{reply:?}");
    assert!(reply.body.contains("total ignored: 1 out of 2 for"));
}

#[test]
fn the_ingestion_rate() {
    let loki = with(Rules {
        rate: Some(Rate::new(1, 10)),
        ..Rules::default()
    });
    assert_eq!(push(&loki, lines(&[(T, "123456")])).status, 204);
    said(
        &push(&loki, lines(&[(T + 1, "12345"), (T + 2, "1234")])),
        429,
        "ingestion rate limit exceeded for user fake (limit: 1 bytes/sec) while attempting to \
         ingest '2' lines totaling '9' bytes, reduce log volume or contact your Loki \
         administrator to see if the limit can be increased",
    );
    assert_eq!(loki.lines(), ["123456"]);
    // The refusal cost nothing: four are left.
    assert_eq!(push(&loki, lines(&[(T + 3, "1234")])).status, 204);
    loki.assert_clean();
}

#[test]
fn the_rate_of_a_stream() {
    let loki = with(Rules {
        stream_rate: Some(Rate::new(3 << 20, 1500)),
        ..Rules::default()
    });
    let long = "x".repeat(1501);
    said(
        &push(&loki, lines(&[(T, &long)])),
        429,
        "entry with timestamp 2025-10-09 08:53:20 +0000 UTC ignored, reason: 'Per stream rate \
         limit exceeded (limit: 3MB/sec) while attempting to ingest for stream \
         '{app=\"a\", service_name=\"a\"}' totaling 1501B, consider splitting a stream via \
         additional labels or contact your Loki administrator to see if the limit can be \
         increased',\nuser 'fake', total ignored: 1 out of 1 for stream: \
         {app=\"a\", service_name=\"a\"}",
    );
    assert!(loki.entries().is_empty());
}

#[test]
fn the_last_line_again_costs_nothing() {
    let loki = with(Rules {
        stream_rate: Some(Rate::new(1, 10)),
        ..Rules::default()
    });
    loki.fault(Fault::store_then(503));
    let json = lines(&[(T, "12345678")]);
    assert_eq!(push(&loki, &json).status, 503);
    assert_eq!(push(&loki, &json).status, 204);
    loki.assert_clean();
}

#[test]
fn the_number_of_streams() {
    let loki = with(Rules {
        max_streams: Some(1),
        ..Rules::default()
    });
    assert_eq!(push(&loki, lines(&[(T, "a")])).status, 204);
    said(
        &push(&loki, stream(r#"{"b":"c"}"#, &[(T, "b")])),
        429,
        "maximum active stream limit exceeded when trying to create stream \
         {b=\"c\", service_name=\"unknown_service\"}, reduce the number of active streams (reduce \
         labels or reduce label values), or contact your Loki administrator to see if the limit \
         can be increased, user: 'fake'",
    );
    assert_eq!(push(&loki, lines(&[(T + 1, "c")])).status, 204);
    assert_eq!(loki.streams().len(), 1);
}

#[test]
fn sizes() {
    let loki = with(Rules {
        max_message: Some(100),
        ..Rules::default()
    });
    said(
        &push(&loki, lines(&[(T, "12345"), (T, "1234")])),
        500,
        "rpc error: code = ResourceExhausted desc = grpc: \
         received message larger than max (101 vs. 100)",
    );
    loki.validate(Rules {
        max_body: Some(10),
        ..Rules::default()
    });
    said(
        &push(&loki, lines(&[(T, "1")])),
        413,
        "request body too large: message size too large than max (11 vs 10)",
    );
    loki.validate(Rules {
        max_plain_body: Some(10),
        ..Rules::default()
    });
    said(
        &push(&loki, lines(&[(T, "2")])),
        413,
        "request body too large: decompressed message size too large than max (11 vs 10)",
    );
    assert!(loki.entries().is_empty());
    loki.assert_clean();
}
