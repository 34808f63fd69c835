//! Formats the counters and gauges of a run for `--metrics-file`, in Prometheus' text format.

use std::fmt::Write as _;
use std::time::Duration;

use crate::report::counters::Counts;

/// The current state of delivery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Bytes in the buffer and in the spool.
    pub bytes: u64,
    /// Time since a request last succeeded, or since the start.
    pub since_delivery: Duration,
}

/// The text of the metrics file. `app` is the label that tells several runs on a host apart.
pub fn render(counts: &Counts, waiting: Waiting, app: &str) -> String {
    let mut app_label = String::new();
    for c in app.chars() {
        match c {
            '\\' => app_label.push_str("\\\\"),
            '"' => app_label.push_str("\\\""),
            '\n' => app_label.push_str("\\n"),
            c => app_label.push(c),
        }
    }
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, values: &[(&str, String)]| {
        let _ = writeln!(text, "# HELP loki_push_{name} {help}");
        let _ = writeln!(text, "# TYPE loki_push_{name} {kind}");
        for (outcome, value) in values {
            let outcome = match *outcome {
                "" => String::new(),
                outcome => format!(",outcome=\"{outcome}\""),
            };
            let _ = writeln!(
                text,
                "loki_push_{name}{{app=\"{app_label}\"{outcome}}} {value}"
            );
        }
    };
    let one = |value: u64| [("", value.to_string())];
    metric(
        "entries_total",
        "counter",
        "Entries read in this run, by outcome.",
        &[
            ("delivered", counts.delivered.to_string()),
            ("refused", counts.refused.to_string()),
            ("dropped", counts.dropped.to_string()),
            ("spooled", counts.spooled.to_string()),
            ("filtered", counts.filtered.to_string()),
        ],
    );
    metric(
        "recovered_entries_total",
        "counter",
        "Entries of earlier runs taken over from the spool, by outcome.",
        &[
            ("delivered", counts.adopted_delivered.to_string()),
            ("refused", counts.adopted_refused.to_string()),
        ],
    );
    for (name, help, value) in [
        ("entries_read_total", "Entries read.", counts.read),
        (
            "untimed_entries_total",
            "Entries that got the time of arrival although --time asked for another.",
            counts.untimed,
        ),
        (
            "bytes_read_total",
            "Bytes of input read.",
            counts.bytes_read,
        ),
        (
            "bytes_sent_total",
            "Bytes of request bodies sent, retries included.",
            counts.bytes_sent,
        ),
        (
            "requests_total",
            "HTTP requests made, retries included.",
            counts.requests,
        ),
        (
            "retries_total",
            "HTTP requests that were retries.",
            counts.retries,
        ),
    ] {
        metric(name, "counter", help, &one(value));
    }
    for (name, help, value) in [
        (
            "entries_waiting",
            "Entries read or taken over that have no outcome yet.",
            counts.left() + counts.adopted_left(),
        ),
        (
            "bytes_waiting",
            "Bytes of batches waiting in memory and in the spool.",
            waiting.bytes,
        ),
    ] {
        metric(name, "gauge", help, &one(value));
    }
    let seconds = format!("{:.3}", waiting.since_delivery.as_secs_f64());
    metric(
        "seconds_since_last_delivery",
        "gauge",
        "Seconds since Loki last accepted entries, or since the start.",
        &[("", seconds)],
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_help_type_and_escaped_labels() {
        let counts = Counts {
            read: 10,
            delivered: 7,
            refused: 1,
            ..Counts::default()
        };
        let waiting = Waiting {
            bytes: 99,
            since_delivery: Duration::from_millis(1_500),
        };
        let text = render(&counts, waiting, "a\"b\\c\nd");
        let app = r#"app="a\"b\\c\nd""#;
        for line in [
            "# TYPE loki_push_entries_total counter".to_owned(),
            format!("loki_push_entries_total{{{app},outcome=\"delivered\"}} 7"),
            format!("loki_push_entries_waiting{{{app}}} 2"),
            format!("loki_push_bytes_waiting{{{app}}} 99"),
            format!("loki_push_seconds_since_last_delivery{{{app}}} 1.500"),
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "no {line} in\n{text}"
            );
        }
        assert!(text.ends_with('\n'));
    }
}
