//! Limits that Loki names in its refusals: what exceeds them is changed to fit, and nothing is lost.

use crate::support::loki::{Answered, Rules};
use crate::support::{Dir, Finished, Loki, LokiPush};

fn run(loki: &Loki) -> LokiPush {
    let run = LokiPush::new(loki).impatient().summed();
    run.env("LOKI_PUSH_FLUSH_INTERVAL", "1h")
}

/// All were delivered, without a word.
#[track_caller]
fn assert_delivered(ended: Finished, entries: u64) {
    let ended = ended.expect(0).expect_no_message();
    let summary = ended.summary();
    assert_eq!((summary.read, summary.delivered), (entries, entries));
}

fn refusals(loki: &Loki) -> usize {
    let requests = loki.requests();
    let refused = |answered| answered == Answered::Status(400);
    requests
        .iter()
        .filter(|push| refused(push.answered))
        .count()
}

#[test]
fn a_line_longer_than_lokis_limit_is_cut_and_the_limit_remembered() {
    let loki = Loki::start();
    loki.validate(Rules {
        max_line: Some(100),
        ..Rules::default()
    });
    // Characters of two bytes, which a cut must not tear.
    let long = |n: usize| format!("{n} {}", "é".repeat(120));
    let lines: Vec<String> = (0..30)
        .map(|n| {
            if n % 3 == 0 {
                long(n)
            } else {
                format!("{n} short")
            }
        })
        .collect();
    let args = ["--batch-size=10"];
    let ended = run(&loki).args(args).stdin_bytes(lines.join("\n")).run();
    assert_delivered(ended, 30);
    assert_eq!(refusals(&loki), 1, "later batches are fitted before");
    let entries = loki.entries();
    assert!(entries.iter().all(|entry| entry.line.len() <= 100));
    for line in &lines {
        let mut parts: Vec<_> = entries.iter().filter(|e| line.contains(&e.line)).collect();
        let number = line.split(' ').next().unwrap();
        parts.sort_by_key(|entry| entry.time);
        let first = parts
            .iter()
            .position(|e| e.line.starts_with(&format!("{number} ")));
        let first = parts[first.expect("its beginning")].time;
        let count = line.len().div_ceil(99).max(1) as i64;
        let own: Vec<_> = (0..count)
            .map(|n| {
                parts
                    .iter()
                    .find(|e| e.time == first + n && (n == 0) == e.line.contains(' '))
            })
            .map(|entry| entry.expect("a part a nanosecond later").line.as_str())
            .collect();
        assert_eq!(own.concat(), *line);
    }
    loki.assert_clean();
}

#[test]
fn lines_that_are_equal_stay_apart_when_they_are_cut() {
    let loki = Loki::start();
    loki.validate(Rules {
        max_line: Some(10),
        ..Rules::default()
    });
    let input = format!("{}\n", "x".repeat(35)).repeat(5);
    let ended = run(&loki).stdin_bytes(input).run();
    assert_delivered(ended, 5);
    assert_eq!(loki.lines().concat().len(), 5 * 35);
    loki.assert_clean();
}

#[test]
fn metadata_beyond_lokis_limit_goes_into_the_line() {
    for rules in [
        Rules {
            max_metadata_size: Some(10),
            ..Rules::default()
        },
        Rules {
            max_metadata_count: Some(2),
            ..Rules::default()
        },
    ] {
        let loki = Loki::start();
        loki.validate(rules);
        let args = ["--layout=metadata", "--batch-size=2"];
        let run = run(&loki).args(args);
        let input = "one a=1 b=\"2 2\" c=333333333\ntwo a=1\nthree a=1 b=2 c=444444444\nfour\n";
        let ended = run.stdin_bytes(input).run();
        assert_delivered(ended, 4);
        assert_eq!(refusals(&loki), 1);
        let lines = loki.lines();
        assert!(
            lines.contains(&"one | a=1 b=\"2 2\" c=333333333".into()),
            "{lines:?}"
        );
        assert!(
            lines.contains(&"three | a=1 b=2 c=444444444".into()),
            "{lines:?}"
        );
        assert!(
            lines.contains(&"two".into()),
            "what fits stays as it is: {lines:?}"
        );
        loki.assert_clean();
    }
}

#[test]
fn what_does_not_fit_for_another_reason_is_still_refused() {
    let loki = Loki::start();
    loki.validate(Rules {
        max_line: Some(40),
        ..Rules::of_loki()
    });
    let now = jiff::Timestamp::now();
    let input = format!("2020-01-01T00:00:00Z old and much too long\n{now} new\n");
    let run = run(&loki).args(["--time=prefix"]);
    let ended = run.stdin_bytes(input).run().expect(1);
    let summary = ended.summary();
    assert_eq!(summary.reasons.get("too old"), Some(&1), "{summary:?}");
    assert_eq!(summary.delivered, 1);
}

#[test]
fn positions_stay_right_where_lines_were_cut() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.validate(Rules {
        max_line: Some(50),
        ..Rules::default()
    });
    let lines: Vec<String> = (0..40)
        .map(|n| format!("{n:03} {}", "x".repeat(4 * n)))
        .collect();
    let log = dir.write("app.log", lines.join("\n") + "\n");
    let shipped = |entries| {
        let run = run(&loki).args(["--batch-size=7", "--checkpoint"]);
        let run = run.arg(dir.join("cp")).arg(&log);
        assert_delivered(run.run(), entries);
    };
    shipped(40);
    dir.append("app.log", format!("end {}\n", "y".repeat(100)));
    shipped(1);
    let text: usize = lines.iter().map(String::len).sum();
    assert_eq!(loki.lines().concat().len(), text + 104);
    loki.client_restarted();
    loki.assert_clean();
}

#[test]
fn a_spool_that_is_drained_is_fitted_too() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.validate(Rules {
        max_line: Some(50),
        ..Rules::default()
    });
    loki.stop();
    let input = format!("{}\nshort\n", "z".repeat(120));
    let spooled = run(&loki).args(["--flush-timeout=100ms", "--spool"]);
    spooled
        .arg(dir.join("spool"))
        .stdin_bytes(input)
        .run()
        .expect(0);
    loki.restart();
    let drain = run(&loki)
        .args(["--drain", "--spool"])
        .arg(dir.join("spool"));
    let summary = drain.run().expect(0).summary();
    assert_eq!((summary.adopted, summary.adopted_delivered), (2, 2));
    assert_eq!(loki.lines().concat().len(), 125);
    loki.assert_clean();
}
