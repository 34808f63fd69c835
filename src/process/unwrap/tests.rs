//! What comes out of each envelope, by table.

use super::*;

const AT: i64 = 1_762_157_730_000_000_000;

/// Each line that comes out: its text, stream, the seconds after [`AT`] and the position after it.
fn unwrapped(unwrap: Unwrap, room: usize, lines: &[&str]) -> Vec<(String, String, i64, u64)> {
    let mut unwrapper = Unwrapper::new(unwrap, room, false);
    let (mut end, mut found) = (0, Vec::new());
    let mut out = |line: Unwrapped<'_>| {
        let text = String::from_utf8_lossy(line.fragment.bytes).into_owned();
        let none = Envelope::default();
        let envelope = line.envelope.unwrap_or(&none);
        let stream = envelope.stream.clone().unwrap_or_default();
        let seconds = envelope.time.map_or(-1, |time| (time - AT) / 1_000_000_000);
        found.push((text, stream, seconds, line.fragment.end));
    };
    for line in lines {
        end += line.len() as u64 + 1;
        let fragment = LineFragment {
            bytes: line.as_bytes(),
            first: true,
            end,
        };
        unwrapper.push(fragment, Instant::now(), &mut out);
    }
    unwrapper.close(&mut out);
    found
}

fn expected(lines: &[(&str, &str, i64, u64)]) -> Vec<(String, String, i64, u64)> {
    let lines = lines.iter();
    let owned = lines.map(|(text, stream, at, end)| ((*text).into(), (*stream).into(), *at, *end));
    owned.collect()
}

#[test]
fn parts_are_joined_by_stream_and_no_position_passes_held_lines() {
    let lines = [
        "2025-11-03T08:15:30.000000001Z stdout P one ",
        "2025-11-03T08:15:31Z stderr F other",
        "2025-11-03T08:15:32Z stdout P two ",
        "2025-11-03T08:15:33Z stdout F three",
        "2025-11-03T08:15:34Z stderr F",
        "no envelope",
    ];
    let ends: Vec<u64> = lines
        .iter()
        .scan(0, |end, line| {
            *end += line.len() as u64 + 1;
            Some(*end)
        })
        .collect();
    for unwrap in [Unwrap::Auto, Unwrap::Only(Kind::Cri)] {
        assert_eq!(
            unwrapped(unwrap, 1_000, &lines),
            expected(&[
                ("other", "stderr", 1, 0),
                ("one two three", "stdout", 0, ends[3]),
                ("", "stderr", 4, ends[4]),
                ("no envelope", "", -1, ends[5]),
            ])
        );
    }
}

#[test]
fn dockers_lines_end_with_their_newline() {
    let line = |log: &str, second: u8| {
        format!(
            r#"{{"log":"{log}","stream":"stdout","attrs":{{"tag":"x"}},"time":"2025-11-03T08:15:{second}.5Z"}}"#
        )
    };
    let lines = [line("a ", 30), line(r"b\n", 31), line(r"c\r\n", 32)];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let found = unwrapped(Unwrap::Auto, 1_000, &lines);
    let texts: Vec<(&str, i64)> = found.iter().map(|own| (own.0.as_str(), own.2)).collect();
    assert_eq!(texts, [("a b", 0), ("c", 2)]);
    let opened = open(lines[0].as_bytes(), Kind::Docker).unwrap();
    assert_eq!(opened.envelope.fields, [("tag".into(), "x".into())]);
}

#[test]
fn the_journal_has_messages_priorities_and_fields() {
    let line = br#"{"MESSAGE":[104,195,40],"PRIORITY":"3","__REALTIME_TIMESTAMP":"1762157730000000","_PID":"7","_HOSTNAME":"box"}"#;
    let opened = open(line, Kind::Journald).unwrap();
    assert_eq!(&*opened.text, b"h\xc3(");
    assert_eq!(opened.envelope.time, Some(AT));
    assert_eq!(
        opened
            .envelope
            .level
            .map(crate::parse::level::Level::as_str),
        Some("error")
    );
    let fields = [("_PID", "7"), ("_HOSTNAME", "box")];
    assert_eq!(
        opened.envelope.fields,
        fields.map(|(name, value)| (name.into(), value.into()))
    );
    assert!(open(br#"{"MESSAGE":"x"}"#, Kind::Journald).is_none());
}

#[test]
fn a_prefix_before_json_is_taken_off() {
    for (line, prefix) in [
        (r#"web-1  | {"msg":"x"}"#, "web-1  | "),
        (
            r#"Jan  1 00:00:00 box app[1]: {"msg":"x"}"#,
            "Jan  1 00:00:00 box app[1]: ",
        ),
        (r#"@cee: {"msg":"x"}"#, "@cee: "),
        (r#"[pod/web-1/app] {"msg":"x"}"#, "[pod/web-1/app] "),
    ] {
        let opened = open(line.as_bytes(), Kind::Prefix).unwrap();
        assert_eq!(&*opened.text, br#"{"msg":"x"}"#);
        let field = ("prefix".to_owned(), prefix.trim_ascii_end().to_owned());
        assert_eq!(opened.envelope.fields, [field]);
    }
    for line in ["fn main() { x }", r#"{"msg":"x"}"#, "a: {b}", "a: {"] {
        assert!(open(line.as_bytes(), Kind::Prefix).is_none(), "{line}");
    }
}

#[test]
fn what_never_ends_is_bounded_and_loses_nothing() {
    let part = "2025-11-03T08:15:30Z stdout P 0123456é";
    let lines = vec![part; 100];
    for room in [4, 10, 33] {
        let found = unwrapped(Unwrap::Only(Kind::Cri), room, &lines);
        let text: String = found.iter().map(|own| own.0.as_str()).collect();
        assert_eq!(text, "0123456é".repeat(100), "room for {room}");
        assert!(found.iter().all(|own| own.0.len() <= room.max(9) + 9));
    }
    // A part whose line never goes on does not hold back the others for ever.
    let mut lines = vec![part];
    lines.extend(vec!["2025-11-03T08:15:30Z stderr F x"; 2_000]);
    let found = unwrapped(Unwrap::Only(Kind::Cri), 100, &lines);
    assert!(found[1_500].3 > 40_000, "{:?}", found[1_500]);
    assert_eq!(found.len(), 2_001);
}

#[test]
fn with_auto_an_input_without_envelopes_is_left_alone() {
    let mut lines = vec!["plain"; 20];
    lines.push("2025-11-03T08:15:30Z stdout F x");
    let found = unwrapped(Unwrap::Auto, 100, &lines);
    assert_eq!(found[20].0, lines[20]);
}
