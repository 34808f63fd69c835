//! `--unwrap`: what container runtimes and journald put around each line.

use crate::support::{Dir, Loki, LokiPush};

/// 2025-11-03T08:15:30Z.
const AT: i64 = 1_762_157_730_000_000_000;

#[test]
fn the_log_of_a_container_gives_lines_times_and_streams() {
    let cri = "2025-11-03T08:15:30Z stdout P one \n2025-11-03T08:15:31Z stderr F ERROR other\n\
               2025-11-03T08:15:32Z stdout F two\n";
    let docker = r#"{"log":"one ","stream":"stdout","time":"2025-11-03T08:15:30Z"}
{"log":"ERROR other\n","stream":"stderr","time":"2025-11-03T08:15:31Z"}
{"log":"two\n","stream":"stdout","time":"2025-11-03T08:15:32Z"}
"#;
    for (kind, text) in [("cri", cri), ("docker", docker)] {
        for unwrap in [kind, "auto"] {
            let (loki, dir) = (Loki::start(), Dir::new());
            let file = dir.write("a.log", text);
            let checkpoint = dir.join("checkpoint");
            let run = LokiPush::new(&loki).args(["--unwrap", unwrap]).arg(file);
            let run = run.arg("--checkpoint").arg(checkpoint);
            run.run().expect(0).expect_silence();
            let entries = loki.entries();
            let of = |line: &str| entries.iter().find(|entry| entry.line == line).unwrap();
            let (out, err) = (of("one two"), of("ERROR other"));
            assert_eq!(
                (out.time - AT, err.time - AT),
                (0, 1_000_000_000),
                "{unwrap}"
            );
            assert_eq!(
                (&*out.labels["stream"], &*err.labels["stream"]),
                ("stdout", "stderr")
            );
            assert_eq!(&*err.labels["level"], "error");
            assert_eq!(entries.len(), 2);
        }
    }
}

#[test]
fn the_journal_gives_messages_levels_and_fields() {
    let line = r#"{"MESSAGE":"started","PRIORITY":"4","__REALTIME_TIMESTAMP":"1762157730000000","_SYSTEMD_UNIT":"a.service"}"#;
    for (layout, expected) in [
        ("keep", "started | _SYSTEMD_UNIT=a.service"),
        ("line", "started | _SYSTEMD_UNIT=a.service"),
        ("metadata", "started"),
    ] {
        let loki = Loki::start();
        let run = LokiPush::new(&loki).args(["--unwrap", "journald", "--layout", layout]);
        run.stdin_bytes(format!("{line}\n"))
            .run()
            .expect(0)
            .expect_silence();
        let entry = loki.entries().remove(0);
        assert_eq!(
            (entry.line.as_str(), entry.time),
            (expected, AT),
            "{layout}"
        );
        assert_eq!(&*entry.labels["level"], "warn");
    }
}

#[test]
fn lines_of_one_stream_are_joined_whatever_another_writes() {
    let text = "2025-11-03T08:15:30Z stdout F Error: x\n2025-11-03T08:15:31Z stderr F other\n\
                2025-11-03T08:15:32Z stdout F   at a\n2025-11-03T08:15:33Z stdout F next\n";
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--unwrap", "cri", "--multiline", r"^\S"]);
    run.stdin_bytes(text).run().expect(0).expect_silence();
    let mut lines = loki.lines();
    lines.sort_unstable();
    assert_eq!(lines, ["Error: x\n  at a", "next", "other"]);
    let entries = loki.entries();
    let trace = entries
        .iter()
        .find(|entry| entry.line.starts_with("Error"))
        .unwrap();
    assert_eq!((trace.time, &*trace.labels["stream"]), (AT, "stdout"));
}

#[test]
fn with_a_time_of_the_lines_own_that_one_counts() {
    let loki = Loki::start();
    let args = ["--unwrap", "cri", "--time", "auto", "--time-zone", "utc"];
    let run = LokiPush::new(&loki).args(args);
    let line = "2025-11-03T09:00:00Z stdout F 2025-11-03 08:15:30 x\n";
    run.stdin_bytes(line).run().expect(0).expect_silence();
    assert_eq!(loki.entries()[0].time, AT);
}

#[test]
fn a_prefix_before_json_becomes_a_field_or_stays() {
    let line = "web-1  | {\"msg\":\"x\",\"level\":\"error\"}\n";
    for (layout, expected) in [
        ("keep", "web-1  | {\"msg\":\"x\",\"level\":\"error\"}"),
        ("line", "x | prefix=\"web-1  |\""),
    ] {
        let loki = Loki::start();
        let run = LokiPush::new(&loki).args(["--unwrap", "auto", "--layout", layout]);
        run.stdin_bytes(line).run().expect(0).expect_silence();
        assert_eq!(loki.lines(), [expected]);
        assert_eq!(&*loki.entries()[0].labels["level"], "error");
    }
}

#[test]
fn an_envelope_has_no_say_where_another_time_is_asked_for() {
    let line = |text: &str| {
        format!(
            "{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2025-11-03T08:15:30Z\"}}\n"
        )
    };
    let text = line("2025-11-03T08:15:35Z one");
    for (args, time) in [
        (&[][..], Some(0)),
        (&["--time", "auto"], Some(5_000_000_000)),
        (&["--time", "arrival"], None),
    ] {
        let loki = Loki::start();
        let run = LokiPush::new(&loki).args(["--unwrap", "docker"]).args(args);
        run.stdin_bytes(text.clone()).run().expect(0);
        let found = loki.entries()[0].time - AT;
        match time {
            Some(time) => assert_eq!(found, time, "{args:?}"),
            None => assert!(found > 60_000_000_000, "{args:?}: {found}"),
        }
    }
    // In the environment the same.
    let loki = Loki::start();
    let run = LokiPush::new(&loki).env("LOKI_PUSH_TIME", "arrival");
    let run = run.args(["--unwrap", "auto"]).stdin_bytes(text);
    run.run().expect(0);
    assert!(loki.entries()[0].time - AT > 60_000_000_000);
}
