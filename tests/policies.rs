//! What happens when the buffer or the spool is full, or a batch has had its retries, while other
//! things go wrong: the counts stay exact, and nothing counted as safe is missing.

use std::time::Duration;

use crate::support::loki::{Answer, Rate, Rules, rate_limit_text, stream_limit_text};
use crate::support::{Dir, Fault, Loki, LokiPush};

/// What can go wrong, each gone with the next request or never.
fn faults() -> Vec<Fault> {
    let labels = [("app".to_owned(), "default".to_owned())].into();
    vec![
        Fault::Status(503),
        Fault::LostAnswer,
        Fault::ResetMidBody,
        Fault::nginx_too_large(),
        Fault::Answer(Answer::error(400, "couldn't parse labels: something odd")),
        Fault::Answer(Answer::error(429, rate_limit_text(10_000_000, 5, 500))),
        Fault::Answer(Answer::error(429, stream_limit_text(&labels))),
        Fault::Status(401),
    ]
}

/// A run in a situation.
#[derive(Debug, Clone, Copy)]
struct Case {
    policy: &'static str,
    spools: bool,
    retries: Option<&'static str>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for policy in ["block", "drop-newest", "drop-oldest"] {
        for spools in [false, true] {
            for retries in [None, Some("0")] {
                cases.push(Case {
                    policy,
                    spools,
                    retries,
                });
            }
        }
    }
    cases
}

/// One run of 100 lines in batches of five that find room for a few, and what a drain brings then.
fn try_one(case: Case, script: &[Fault]) {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.faults(script.iter().cloned());
    let lines: Vec<String> = (0..100)
        .map(|n| format!("{n:03} {}", "x".repeat(100)))
        .collect();
    let base = |run: LokiPush| {
        let quick = ["--retry-backoff", "5ms", "--max-backoff", "10ms"];
        let run = run.args(quick).args(["--gzip-level", "0"]).summed();
        if case.spools {
            let run = run.args(["--spool-size", "8KiB", "--spool"]);
            run.arg(dir.join("spool"))
        } else {
            run.args(["--buffer", "4KiB"])
        }
    };
    let mut run = base(LokiPush::new(&loki)).args(["--batch-size", "5", "--on-full", case.policy]);
    if let Some(retries) = case.retries {
        run = run.args(["--max-retries", retries]);
    }
    let ended = run.stdin_bytes(lines.join("\n")).run();
    // Its law is asserted as it is read.
    let summary = ended.summary();
    let what = format!("{case:?} {script:?}\n{}", ended.report());
    assert_eq!((summary.read, summary.left), (100, 0), "{what}");
    let lost = summary.dropped + summary.refused;
    assert_eq!(ended.status, i32::from(lost > 0), "{what}");
    let named: u64 = summary.reasons.values().sum();
    assert_eq!(named, lost, "{what}");
    if case.policy == "block" && case.retries.is_none() && !script.contains(&Fault::Status(401)) {
        assert_eq!(summary.dropped, 0, "{what}");
    }
    if case.spools {
        let drained = base(LokiPush::new(&loki)).arg("--drain").run().expect(0);
        assert_eq!(
            drained.summary().adopted_delivered,
            summary.spooled,
            "{what}"
        );
    }
    let arrived = loki.lines();
    // What was stored unseen and then given up is there, too.
    let unseen = summary.delivered + summary.spooled + lost;
    assert!(
        arrived.len() as u64 >= summary.delivered + summary.spooled,
        "{what}"
    );
    assert!(arrived.len() as u64 <= unseen, "{what}");
    assert!(arrived.is_sorted(), "{what}");
    loki.assert_clean();
}

#[test]
fn every_policy_keeps_the_law_under_every_pair_of_faults() {
    let mut runs = Vec::new();
    for case in cases() {
        for (n, first) in faults().into_iter().enumerate() {
            let others = faults().into_iter().skip(n);
            runs.extend(others.map(|second| (case, vec![first.clone(), second])));
        }
    }
    std::thread::scope(|scope| {
        for part in runs.chunks(runs.len().div_ceil(12)) {
            scope.spawn(move || {
                for (case, script) in part {
                    try_one(*case, script);
                }
            });
        }
    });
}

/// What files gave is never dropped, whatever the policy, the retries and the trouble.
#[test]
fn of_files_nothing_is_dropped_under_any_policy() {
    for case in cases() {
        let (loki, dir) = (Loki::start(), Dir::new());
        loki.validate(Rules {
            rate: Some(Rate::new(200_000, 20_000)),
            ..Rules::default()
        });
        loki.faults([Fault::Status(503), Fault::LostAnswer, Fault::Status(503)]);
        let lines: Vec<String> = (0..400)
            .map(|n| format!("{n:03} {}", "x".repeat(100)))
            .collect();
        let log = dir.write("app.log", lines.join("\n"));
        let mut run = LokiPush::new(&loki).impatient().summed();
        run = run.args([
            "--gzip-level",
            "0",
            "--batch-size",
            "5",
            "--on-full",
            case.policy,
        ]);
        run = run.args(["--buffer", "8KiB", "--spool-size", "16KiB"]);
        if case.spools {
            run = run.arg("--spool").arg(dir.join("spool"));
        }
        if let Some(retries) = case.retries {
            run = run.args(["--max-retries", retries]);
        }
        let ended = run
            .arg(log)
            .deadline(Duration::from_mins(1))
            .run()
            .expect(0);
        assert_eq!(ended.summary().delivered, 400, "{case:?}");
        assert_eq!(loki.lines(), lines, "{case:?}");
        loki.assert_clean();
    }
}
