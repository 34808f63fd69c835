//! What becomes of lines, by table.

use crate::parse::fields::Parse;
use crate::parse::timestamp::{TimeOptions, Zone};
use crate::process::entry_builder::*;
use crate::report::messages::Verbosity;

fn shape() -> EntryOptions {
    EntryOptions {
        labels: Labels::new([("app", "x")]),
        level: None,
        read_level: true,
        fields: Vec::new(),
        max_line: 1_000,
        parse: Parse::Auto,
        layout: Layout::Keep,
        label_fields: Vec::new(),
        stream_limit: Arc::new(StreamLimit::new(
            100,
            crate::report::messages::Reporter::new(Verbosity::Quiet),
        )),
        time: TimeSource::Arrival,
        uses_envelope_time: true,
        redactor: None,
        path_labels: None,
        hold_time: std::time::Duration::from_secs(1),
        reports_times: false,
    }
}

fn in_utc() -> Arc<TimeOptions> {
    Arc::new(TimeOptions {
        zone: Zone::utc(),
        format: None,
    })
}

fn given(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// Each entry as `{labels} line metadata @time`.
fn shaped(shape: EntryOptions, lines: &[&[u8]]) -> Vec<String> {
    let mut shaper = EntryBuilder::new(&Arc::new(shape), &[], None);
    for bytes in lines {
        shaper.push(
            LineFragment {
                bytes,
                first: true,
                end: 1,
            },
            Instant::now(),
        );
    }
    let chunk = shaper.chunk.take().unwrap();
    (0..chunk.len())
        .map(|at| {
            let entry = chunk.entry(at);
            let labels = chunk.streams().nth(chunk.stream_of(at)).unwrap();
            let time = if entry.time == UNSTAMPED {
                String::new()
            } else {
                format!(" @{}", entry.time)
            };
            format!("{labels} {}{}{time}", entry.line, entry.metadata)
        })
        .collect()
}

#[test]
fn given_fields_are_appended_and_quoted() {
    let shape = EntryOptions {
        fields: given(&[("a", "1"), ("b", "x y")]),
        ..shape()
    };
    assert_eq!(
        shaped(shape, &[b"hello"]),
        [r#"{app="x"} hello | a=1 b="x y""#]
    );
}

#[test]
fn the_limit_is_that_of_the_entry_as_shipped() {
    let shape = EntryOptions {
        fields: given(&[("a", "1")]),
        max_line: 20,
        ..shape()
    };
    let bytes = [b"0123456789012".as_slice(), &[0xff; 5]].concat();
    let cut = shaped(shape, &[&bytes]);
    let lines: Vec<_> = cut
        .iter()
        .map(|entry| entry.strip_prefix("{app=\"x\"} ").unwrap())
        .collect();
    assert!(
        lines
            .iter()
            .all(|line| line.len() <= 20 && line.ends_with(" | a=1")),
        "{cut:?}"
    );
    let joined: String = lines
        .iter()
        .map(|line| line.strip_suffix(" | a=1").unwrap())
        .collect();
    assert_eq!(joined, String::from_utf8_lossy(&bytes));
}

#[test]
fn the_example_of_the_promise() {
    let line: &[u8] = b"user login level=error user_id=42 ip=1.2.3.4";
    assert_eq!(
        shaped(
            EntryOptions {
                layout: Layout::Line,
                ..shape()
            },
            &[line]
        ),
        [r#"{app="x",level="error"} user login | user_id=42 ip=1.2.3.4"#]
    );
    assert_eq!(
        shaped(
            EntryOptions {
                layout: Layout::Metadata,
                ..shape()
            },
            &[line]
        ),
        [r#"{app="x",level="error"} user login{"user_id":"42","ip":"1.2.3.4"}"#]
    );
    assert_eq!(
        shaped(shape(), &[line]),
        [r#"{app="x",level="error"} user login level=error user_id=42 ip=1.2.3.4"#]
    );
}

#[test]
fn json_lines_give_message_and_members() {
    let line: &[u8] = br#"{"level":"warn","msg":"slow","db":{"ms":1.50},"none":null}"#;
    assert_eq!(
        shaped(
            EntryOptions {
                layout: Layout::Line,
                ..shape()
            },
            &[line, br#"{"a":1}"#]
        ),
        [
            r#"{app="x",level="warn"} slow | db_ms=1.50"#,
            r#"{app="x"} a=1"#
        ]
    );
}

#[test]
fn an_indented_line_goes_with_the_one_before() {
    let lines: [&[u8]; 5] = [
        b"ERROR boom",
        b"  at a.b.c",
        b"\tat d",
        b"plain",
        b"  indented",
    ];
    let levels: Vec<_> = shaped(
        EntryOptions {
            level: Some(Level::Debug),
            ..shape()
        },
        &lines,
    )
    .iter()
    .map(|entry| entry.split('"').nth(3).unwrap().to_owned())
    .collect();
    assert_eq!(levels, ["error", "error", "error", "debug", "debug"]);
}

#[test]
fn no_level_is_read_when_nobody_asked() {
    let lines: [&[u8]; 1] = [b"ERROR level=warn"];
    assert_eq!(
        shaped(
            EntryOptions {
                parse: Parse::None,
                ..shape()
            },
            &lines
        ),
        [r#"{app="x"} ERROR level=warn"#]
    );
    assert_eq!(
        shaped(
            EntryOptions {
                read_level: false,
                layout: Layout::Line,
                ..shape()
            },
            &lines
        ),
        [r#"{app="x"} ERROR | level=warn"#]
    );
}

#[test]
fn label_fields_make_streams_up_to_the_limit() {
    let label_fields = vec![LabelField {
        field: "user.id".into(),
        label: "user_id".into(),
    }];
    let reporter = crate::report::messages::Reporter::new(Verbosity::Quiet);
    let shape = EntryOptions {
        label_fields,
        layout: Layout::Line,
        stream_limit: Arc::new(StreamLimit::new(2, reporter)),
        ..shape()
    };
    let long = format!("m user.id={}", "x".repeat(2049));
    let lines: [&[u8]; 7] = [
        b"m user.id=1",
        b"m user.id=2",
        b"m user.id=3",
        b"m user.id=1 a=b",
        b"m user.id=",
        "m user.id=\u{fffd}".as_bytes(),
        &long.as_bytes()[..900],
    ];
    assert_eq!(
        shaped(shape, &lines)[..6],
        [
            r#"{app="x",user_id="1"} m"#,
            r#"{app="x",user_id="2"} m"#,
            r#"{app="x"} m | user.id=3"#,
            r#"{app="x",user_id="1"} m | a=b"#,
            r#"{app="x"} m | user.id="""#,
            "{app=\"x\"} m | user.id=\u{fffd}",
        ]
    );
}

#[test]
fn times_are_carried_on_and_back() {
    let shape = EntryOptions {
        time: TimeSource::Line(in_utc()),
        parse: Parse::None,
        ..shape()
    };
    let lines: [&[u8]; 5] = [b"banner", b"10 a", b"no time", b"1700000000.5 b", b"  at c"];
    let times: Vec<_> = shaped(shape, &lines)
        .iter()
        .map(|entry| entry.rsplit_once('@').unwrap().1.to_owned())
        .collect();
    let (ten, late) = ("1700000000500000000", "1700000000500000000");
    assert_eq!(times[3..], [late, late]);
    assert_eq!(
        times[0], times[1],
        "the line before the first time takes it"
    );
    assert!(times[0] == ten || times[0] == "10000000000");
}

#[test]
fn a_field_can_hold_the_time() {
    let shape = EntryOptions {
        time: TimeSource::Field("ts".into(), in_utc()),
        ..shape()
    };
    let lines: [&[u8]; 2] = [b"a ts=2026-01-02T03:04:05Z", br#"{"ts":1767323045.25}"#];
    let shaped = shaped(shape, &lines);
    assert!(shaped[0].ends_with("@1767323045000000000"), "{}", shaped[0]);
    assert!(shaped[1].ends_with("@1767323045250000000"), "{}", shaped[1]);
}
