//! The metrics file, for node_exporter's textfile collector.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use crate::support::{Dir, Fault, Loki, LokiPush};

/// The value of a metric, by its name and whatever of its labels is given.
fn value(text: &str, name: &str, label: &str) -> f64 {
    let start = format!("loki_push_{name}{{");
    let mut lines = text.lines().filter(|line| line.starts_with(&start));
    let line = lines.find(|line| line.contains(label));
    let line = line.unwrap_or_else(|| panic!("no {name} {label} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().expect("a number")
}

#[test]
fn metrics_are_written_at_the_end_for_everybody_to_read() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let file = dir.join("loki.prom");
    let run = LokiPush::new(&loki).args(["--app", "api", "--exclude", "^debug", "--metrics-file"]);
    let run = run.arg(&file).after("umask 077");
    run.stdin_bytes("a\nb\ndebug c\n")
        .run()
        .expect(0)
        .expect_silence();
    let text = dir.read_text("loki.prom");
    for (name, label, expected) in [
        ("entries_total", "app=\"api\",outcome=\"delivered\"", 2.0),
        ("entries_total", "outcome=\"filtered\"", 1.0),
        ("entries_total", "outcome=\"refused\"", 0.0),
        ("entries_read_total", "", 3.0),
        ("bytes_read_total", "", 12.0),
        ("requests_total", "", 1.0),
        ("retries_total", "", 0.0),
        ("untimed_entries_total", "", 0.0),
        ("entries_waiting", "", 0.0),
        ("bytes_waiting", "", 0.0),
    ] {
        assert!(
            (value(&text, name, label) - expected).abs() < 0.5,
            "{name} {label}\n{text}"
        );
    }
    assert!(value(&text, "seconds_since_last_delivery", "") < 60.0);
    assert!(value(&text, "bytes_sent_total", "") > 20.0);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert_eq!(dir.files().len(), 1, "nothing unfinished is left");
}

#[test]
fn metrics_tell_what_is_waiting_while_loki_is_down() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.always(Fault::Status(503));
    let file = dir.join("loki.prom");
    let run = LokiPush::new(&loki)
        .impatient()
        .args(["--flush-timeout", "300ms"]);
    let run = run.arg("--metrics-file").arg(&file).stdin_bytes("a\nb\n");
    run.run().expect(1);
    let text = dir.read_text("loki.prom");
    assert!(
        (value(&text, "entries_waiting", "") - 2.0).abs() < 0.5,
        "{text}"
    );
    assert!(value(&text, "retries_total", "") >= 1.0, "{text}");
}

#[test]
fn only_a_regular_file_of_ours_becomes_a_metrics_file() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("own.prom", "old");
    let target = dir.write("target", "kept");
    symlink(&target, dir.join("link.prom")).unwrap();
    let _socket = UnixListener::bind(dir.join("socket.prom")).unwrap();
    std::fs::create_dir(dir.join("folder.prom")).unwrap();
    for (name, why) in [
        ("link.prom", "is a symbolic link"),
        ("socket.prom", "is not a regular file"),
        ("folder.prom", "is a directory"),
    ] {
        let kind = || dir.join(name).symlink_metadata().unwrap().file_type();
        let before = kind();
        let run = LokiPush::new(&loki).args(["-m", "x", "--metrics-file"]);
        let run = run.arg(dir.join(name)).run();
        run.expect(0)
            .expect_stderr(["cannot write the metrics file", why]);
        assert_eq!(kind(), before, "{name}");
    }
    assert_eq!(dir.read_text("target"), "kept");
    let run = LokiPush::new(&loki).args(["-m", "x", "--metrics-file"]);
    run.arg(dir.join("own.prom"))
        .run()
        .expect(0)
        .expect_silence();
    assert!(dir.read_text("own.prom").contains("loki_push_"));
}

/// What `examples/` watches a run by.
const WATCHING: [&str; 3] = [
    "grafana-dashboard.json",
    "prometheus-alerts.yaml",
    "loki-alerts.yaml",
];

#[test]
fn a_metrics_file_is_no_input() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let log = dir.write("a.log", "one\n");
    let run = LokiPush::new(&loki)
        .arg("--metrics-file")
        .arg(&log)
        .arg(&log);
    run.run()
        .expect(2)
        .expect_stderr(["--metrics-file would overwrite the input"]);
    assert_eq!(dir.read_text("a.log"), "one\n");
    dir.write("run.prom.1.tmp", "left behind\n");
    for _ in 0..2 {
        let run = LokiPush::new(&loki).arg("--metrics-file");
        let run = run.arg(dir.join("run.prom")).arg(dir.join("*"));
        run.run().expect(0).expect_silence();
    }
    assert_eq!(loki.lines(), ["one", "one"]);
}

#[test]
fn the_dashboard_and_the_alert_rules_use_what_the_program_writes() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let run = LokiPush::new(&loki)
        .arg("--metrics-file")
        .arg(dir.join("x.prom"));
    run.args(["--", "sh", "-c", "exit 3"]).run().expect(3);
    let text = dir.read_text("x.prom");
    let mut metrics = 0;
    for name in WATCHING {
        let path = format!("{}/examples/{name}", env!("CARGO_MANIFEST_DIR"));
        let file = std::fs::read_to_string(path).expect(name);
        if name.contains("dashboard") {
            serde_json::from_str::<serde_json::Value>(&file).expect("JSON");
        }
        for used in after(&file, "loki_push_") {
            let written = format!("# TYPE loki_push_{used} ");
            assert!(text.contains(&written), "{name} uses loki_push_{used}");
            metrics += 1;
        }
        // Outcomes, which may be alternatives of an expression.
        let quoted = file.replace('\\', "");
        for outcome in quoted.split("outcome=").skip(1) {
            let value = outcome.split('"').nth(1).expect("a value in quotes");
            for outcome in value.split('|') {
                let written = format!("outcome=\"{outcome}\"");
                assert!(text.contains(&written), "{name} has outcome={outcome}");
            }
        }
    }
    assert!(metrics > 8, "{metrics} metrics");
    // The rules for Loki select the exit entry and read its fields.
    let exit = loki.entries().pop().expect("the exit entry");
    assert_eq!(exit.labels["stream"], "exit");
    let rules = std::fs::read_to_string(format!(
        "{}/examples/loki-alerts.yaml",
        env!("CARGO_MANIFEST_DIR")
    ));
    let rules = rules.expect("the rules for Loki");
    assert!(rules.contains("stream=\"exit\"") && rules.contains("| exit_code != 0"));
    assert!(exit.line.contains(" exit_code=3"), "{}", exit.line);
}

/// The names in a text that begin with `prefix`, without it.
fn after<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    let rest = text.split(prefix).skip(1);
    rest.map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
    .collect()
}

#[test]
fn a_metrics_file_that_cannot_be_written_is_reported_once() {
    let loki = Loki::start();
    let run = LokiPush::new(&loki).args(["--metrics-file", "/nonexistent/loki.prom"]);
    let done = run.stdin_bytes("a\n").run().expect(0);
    let done = done.expect_stderr(["cannot write the metrics file /nonexistent/loki.prom"]);
    assert_eq!(done.stderr.lines().count(), 1, "{}", done.report());
}
