//! The way to Loki with everything that can go wrong on it: each entry arrives once, in order, or
//! is counted and named.

use std::io::Write as _;
use std::time::{Duration, Instant};

use crate::support::loki::{Answer, Answered, Rate, Rules, rate_limit_text, stream_limit_text};
use crate::support::{Dir, Fault, Finished, Loki, LokiPush, Summary, with_patience};

fn numbered(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("line {i:06}")).collect()
}

/// A run with quick retries and a summary. Unless it says otherwise, no batch is sealed for its
/// age, so that their number is that of the test on a slow machine, too.
fn run(loki: &Loki) -> LokiPush {
    let run = LokiPush::new(loki).impatient().summed();
    run.env("LOKI_PUSH_FLUSH_INTERVAL", "1h")
}

/// All of these lines are at Loki, in order, and the program says so.
#[track_caller]
fn assert_all_there(loki: &Loki, ended: Finished, lines: &[String]) -> Summary {
    let ended = ended.expect(0);
    assert!(loki.lines() == lines, "{}", ended.report());
    loki.assert_clean();
    let summary = ended.summary();
    assert_eq!(summary.delivered, lines.len() as u64);
    summary
}

/// From the end of each request to the beginning of the next.
fn gaps(loki: &Loki) -> Vec<Duration> {
    let requests = loki.requests();
    let pairs = requests.windows(2);
    pairs
        .map(|two| two[1].began.duration_since(two[0].ended.expect("an end")))
        .collect()
}

/// How many milliseconds what is answered may take, and what is not has to.
const TIMEOUTS: [u64; 3] = [400, 2_500, 15_000];

const BEGAN: &str = "cannot deliver to";
const ENDED: &str = "is accepting entries again after";

#[track_caller]
fn assert_told_begin_and_end(ended: &Finished, began: &str) {
    let said: Vec<&str> = ended
        .stderr
        .lines()
        .filter(|line| !line.starts_with('{'))
        .collect();
    let two = matches!(said[..], [first, last] if first.contains(began) && last.contains(ENDED));
    assert!(two, "not just a begin and an end:\n{}", ended.report());
}

#[test]
fn fifty_thousand_lines_pass_through_errors_resets_and_lost_answers() {
    let loki = Loki::start();
    loki.faults([
        Fault::Status(503),
        Fault::Status(500),
        Fault::Status(429),
        Fault::Reset,
        Fault::ResetMidBody,
        Fault::Pass,
        Fault::Reset,
        Fault::LostAnswer,
        Fault::Pass,
        Fault::LostAnswer,
    ]);
    let lines = numbered(50_000);
    let ended = run(&loki).stdin_bytes(lines.join("\n")).run();
    let summary = assert_all_there(&loki, ended, &lines);
    // Three of the requests found their connection closed and went over a fresh one at once, which is
    // no retry of the sender's.
    assert_eq!((summary.requests, summary.retries), (10, 5));
}

#[test]
fn every_fault_alone_and_in_pairs_keeps_the_law() {
    /// Faults that the same bytes, or their halves, get over; and those that settle a request.
    fn faults() -> Vec<(Fault, bool)> {
        let odd = Answer::error(400, "couldn't parse labels: something odd");
        let odd = Fault::Answer(odd);
        let too_large = "rpc error: code = ResourceExhausted desc = grpc: received message larger \
                         than max (4210357 vs. 4194304)";
        vec![
            (Fault::Status(500), false),
            (Fault::Status(503), false),
            (Fault::Status(429), false),
            (Fault::Status(408), false),
            (Fault::Status(401), false),
            (Fault::Redirect("http://127.0.0.1:1/".into(), 302), false),
            (Fault::store_then(503), false),
            (Fault::retry_after(503, "0"), false),
            (Fault::LostAnswer, false),
            (Fault::Reset, false),
            (Fault::ResetMidBody, false),
            (Fault::Slow(Duration::from_millis(20)), false),
            (Fault::nginx_too_large(), false),
            (Fault::Answer(Answer::error(500, too_large)), false),
            (Fault::Status(260), true),
            (odd, true),
        ]
    }
    let mut scripts: Vec<Vec<(Fault, bool)>> = faults().into_iter().map(|f| vec![f]).collect();
    for first in faults() {
        scripts.extend(
            faults()
                .into_iter()
                .map(|second| vec![first.clone(), second]),
        );
    }
    let try_one = |script: &[(Fault, bool)]| {
        let loki = Loki::start();
        loki.faults(script.iter().map(|(fault, _)| fault.clone()));
        let lines = numbered(30);
        let quick = [
            "--retry-backoff",
            "5ms",
            "--max-backoff",
            "10ms",
            "--batch-size",
            "10",
        ];
        let run = LokiPush::new(&loki).args(quick).summed();
        let ended = run.stdin_bytes(lines.join("\n")).run();
        let refused = script.iter().any(|(_, refuses)| *refuses);
        let ended = ended.expect(i32::from(refused));
        let summary = ended.summary();
        let settled = summary.delivered + summary.refused;
        assert_eq!((summary.read, settled), (30, 30), "{script:?}");
        assert_eq!(summary.refused > 0, refused, "{script:?}");
        let arrived = loki.lines();
        // What was stored unseen, and refused when it came again, is not called delivered.
        assert!(arrived.len() as u64 >= summary.delivered, "{script:?}");
        assert!(refused || arrived == lines, "{script:?}");
        assert!(arrived.is_sorted(), "{script:?}");
        loki.assert_clean();
    };
    std::thread::scope(|scope| {
        for part in scripts.chunks(scripts.len().div_ceil(3)) {
            scope.spawn(move || part.iter().for_each(|script| try_one(script)));
        }
    });
}

#[test]
fn a_trouble_that_the_next_try_mends_is_not_spoken_of() {
    let loki = Loki::start();
    loki.fault(Fault::Status(503));
    let ended = run(&loki).stdin_bytes("a\n").run().expect_no_message();
    assert_all_there(&loki, ended, &["a".into()]);
}

#[test]
fn waits_grow_and_stay_under_their_bound() {
    let loki = Loki::start();
    loki.faults(vec![Fault::Status(503); 6]);
    let args = ["--retry-backoff", "40ms", "--max-backoff", "200ms"];
    let ended = LokiPush::new(&loki)
        .args(args)
        .summed()
        .stdin_bytes("a")
        .run();
    assert_told_begin_and_end(&ended, BEGAN);
    assert_all_there(&loki, ended, &["a".into()]);
    // Nothing but the machine's load lengthens a wait: only their least is sure.
    let least = [30, 60, 120, 150, 150, 150].map(Duration::from_millis);
    let gaps = gaps(&loki);
    assert!(
        gaps.iter().zip(least).all(|(gap, least)| *gap >= least),
        "{gaps:?}"
    );
    assert_eq!(gaps.len(), 6);
}

#[test]
fn what_retry_after_asks_for_is_honoured() {
    for status in [429, 503] {
        let loki = Loki::start();
        loki.fault(Fault::retry_after(status, "1"));
        let ended = run(&loki).stdin_bytes("a").run();
        assert_all_there(&loki, ended, &["a".into()]);
        assert!(gaps(&loki)[0] >= Duration::from_secs(1), "{status}");
    }
}

#[test]
fn after_max_retries_a_batch_is_dropped_and_counted() {
    let loki = Loki::start();
    loki.faults(vec![Fault::Status(503); 3]);
    let args = ["--max-retries", "2", "--batch-size", "2"];
    let ended = run(&loki)
        .args(args)
        .stdin_bytes("a\nb\nc\n")
        .run()
        .expect(1);
    let ended = ended.expect_stderr([
        "gave up on 2 entries after 2 retries (--max-retries): 503",
        "2 dropped",
    ]);
    let summary = ended.summary();
    assert_eq!(
        (summary.delivered, summary.dropped, summary.left),
        (1, 2, 0)
    );
    assert_eq!(
        summary.reasons.into_iter().collect::<Vec<_>>(),
        [("retries exhausted".into(), 2)]
    );
    assert_eq!((summary.requests, summary.retries), (4, 2));
    assert_eq!(loki.lines(), ["c"]);
    loki.assert_clean();
}

#[test]
fn a_rate_limit_counts_as_a_retry_too() {
    let loki = Loki::start();
    let text = rate_limit_text(1_000_000, 1, 1);
    loki.always(Fault::Answer(Answer::error(429, text)));
    let args = ["--max-retries", "1", "--batch-size", "1"];
    let ended = run(&loki).args(args).stdin_bytes("a\n").run().expect(1);
    let ended = ended.expect_stderr(["gave up on 1 entry after 1 retry (--max-retries): 429"]);
    let summary = ended.summary();
    assert_eq!((summary.dropped, summary.requests), (1, 2));
}

#[test]
fn abandoned_batches_are_reported_once_with_the_reason() {
    let loki = Loki::start();
    loki.faults(vec![Fault::Status(503); 5]);
    let args = ["--max-retries", "0", "--batch-size", "1"];
    let ended = run(&loki).args(args).stdin_bytes("a\nb\nc\nd\ne\nf\n");
    let ended = ended.run().expect(1).expect_stderr(["5 dropped"]);
    let said = &ended.stderr;
    assert_eq!(said.matches("(--max-retries): 503").count(), 1, "{said}");
    assert_eq!((ended.summary().delivered, ended.summary().dropped), (1, 5));
    assert_eq!(loki.lines(), ["f"]);
    loki.assert_clean();
}

#[test]
fn what_loki_refuses_is_told_in_its_words_and_not_sent_again() {
    for (status, text) in [
        (400, "couldn't parse labels: something odd"),
        (
            260,
            "ingestion blocked for user fake until 2026-12-01T00:00:00Z",
        ),
    ] {
        let loki = Loki::start();
        loki.fault(Fault::Answer(Answer::error(status, text)));
        let args = ["--batch-size", "2"];
        let ended = run(&loki)
            .args(args)
            .stdin_bytes("a\nb\nc\n")
            .run()
            .expect(1);
        let summary = ended.summary();
        assert_eq!((summary.refused, summary.delivered), (2, 1));
        assert_eq!((summary.requests, summary.retries), (2, 0));
        let ended = ended.expect_stderr([text, "2 entries", &status.to_string(), "refused"]);
        assert_eq!(ended.messages().len(), 2, "{}", ended.report());
        assert_eq!(loki.lines(), ["c"]);
    }
}

#[test]
fn what_only_a_person_can_mend_is_said_at_once_and_tried_on() {
    for status in [401, 403, 404] {
        let loki = Loki::start();
        loki.faults(vec![Fault::Status(status); 3]);
        let ended = run(&loki).stdin_bytes("a\n").run();
        assert_told_begin_and_end(&ended, &format!("/push returned {status}"));
        let summary = assert_all_there(&loki, ended, &["a".into()]);
        assert_eq!(summary.retries, 3);
    }
    let loki = Loki::start();
    loki.always(Fault::Answer(Answer::error(401, "no org id")));
    let run = run(&loki).args(["--flush-interval", "10ms"]);
    let run = run.stdin_open().spawn();
    run.write("a\n");
    run.wait_for_stderr("set --org-id");
    loki.clear();
    assert_all_there(&loki, run.wait(), &["a".into()]);
}

#[test]
fn a_redirect_is_never_followed() {
    for status in [301, 302, 303, 307, 308] {
        let (loki, elsewhere) = (Loki::start(), Loki::start());
        let address = format!("{}/loki/api/v1/push", elsewhere.url());
        loki.fault(Fault::Redirect(address.clone(), status));
        let ended = run(&loki).stdin_bytes("a\n").run();
        assert_told_begin_and_end(&ended, &format!("/push returned {status}"));
        let ended = ended.expect_stderr([address]);
        assert_all_there(&loki, ended, &["a".into()]);
        assert_eq!(elsewhere.connections(), 0);
    }
}

#[test]
fn what_is_too_large_is_split() {
    let lines = numbered(1_000);
    let limits = [
        Rules {
            max_message: Some(20_000),
            ..Rules::default()
        },
        Rules {
            max_plain_body: Some(10_000),
            ..Rules::default()
        },
        Rules {
            max_body: Some(1_000),
            ..Rules::default()
        },
    ];
    for rules in limits {
        let loki = Loki::start();
        loki.validate(rules);
        let ended = run(&loki)
            .stdin_bytes(lines.join("\n"))
            .run()
            .expect_no_message();
        let summary = assert_all_there(&loki, ended, &lines);
        assert!(summary.requests > 3, "{summary:?}");
    }
}

#[test]
fn an_entry_too_large_by_itself_is_refused_and_the_others_pass() {
    let loki = Loki::start();
    loki.validate(Rules {
        max_plain_body: Some(500),
        ..Rules::default()
    });
    let input = format!("before\n{}\nafter\n", "x".repeat(600));
    let ended = run(&loki).stdin_bytes(input).run().expect(1);
    let ended = ended.expect_stderr(["size too large than max", "1 entry"]);
    let summary = ended.summary();
    assert_eq!((summary.delivered, summary.refused), (2, 1));
    assert_eq!(summary.reasons["too large"], 1);
    assert_eq!(loki.lines(), ["before", "after"]);
    loki.assert_clean();
}

#[test]
fn a_rate_limit_sets_the_pace_and_is_no_news() {
    let loki = Loki::start();
    loki.validate(Rules {
        rate: Some(Rate::new(300_000, 450_000)),
        ..Rules::default()
    });
    let lines: Vec<String> = (0..900).map(|i| format!("{i:0999}")).collect();
    let args = ["--batch-bytes", "100KB", "--buffer", "1MiB"];
    let began = Instant::now();
    let ended = run(&loki).args(args).stdin_bytes(lines.join("\n")).run();
    let ended = ended.expect_no_message();
    let summary = assert_all_there(&loki, ended, &lines);
    assert!(
        began.elapsed() >= Duration::from_millis(1_450),
        "the limit was kept"
    );
    let refused = loki.look(|seen| {
        let refused = seen.requests.iter();
        refused
            .filter(|push| push.answered == Answered::Status(429))
            .count()
    });
    assert!(
        refused <= 8,
        "{refused} refusals of {} requests",
        summary.requests
    );
}

#[test]
fn a_batch_above_the_burst_is_split() {
    let loki = Loki::start();
    loki.validate(Rules {
        rate: Some(Rate::new(500_000, 600_000)),
        ..Rules::default()
    });
    let lines: Vec<String> = (0..1_000).map(|i| format!("{i:0999}")).collect();
    let args = ["--batch-bytes", "2MiB"];
    let ended = run(&loki).args(args).stdin_bytes(lines.join("\n")).run();
    let summary = assert_all_there(&loki, ended.expect_no_message(), &lines);
    assert!(summary.requests >= 3, "{summary:?}");
}

#[test]
fn ten_batches_above_the_burst_pass_and_the_size_is_learned_once() {
    let loki = Loki::start();
    loki.validate(Rules {
        rate: Some(Rate::new(4_000_000, 60_000)),
        ..Rules::default()
    });
    let lines: Vec<String> = (0..2_000).map(|i| format!("{i:0999}")).collect();
    let args = ["--batch-bytes", "212KB", "--flush-timeout", "5s"];
    let ended = run(&loki).args(args).stdin_bytes(lines.join("\n")).run();
    assert_all_there(&loki, ended.expect_no_message(), &lines);
    let refused = loki.look(|seen| {
        let refused = seen.requests.iter();
        refused
            .filter(|push| push.answered == Answered::Status(429))
            .count()
    });
    assert!(refused <= 10, "{refused} refusals");
}

#[test]
fn what_was_split_for_a_burst_waits_for_a_half() {
    let loki = Loki::start();
    loki.always(Fault::Answer(Answer::error(
        429,
        rate_limit_text(1_000, 2, 20_000),
    )));
    let lines = [format!("{:010000}", 1), format!("{:010000}", 2)];
    let run = run(&loki).args(["-v", "--flush-timeout", "100ms"]);
    let ended = run.stdin_bytes(lines.join("\n")).run().expect(1);
    // An eighth more than what the bytes of one line need, or with jitter up to a half more; for
    // both lines it would be 25 s.
    let (_, wait) = ended.stderr.split_once("retrying in ").expect("a wait");
    let seconds: String = wait
        .chars()
        .take_while(|c| *c != '.' && *c != 's')
        .collect();
    let seconds: u32 = seconds.parse().expect("seconds");
    assert!((11..=15).contains(&seconds), "{}", ended.report());
}

#[test]
fn a_stream_without_a_place_waits_while_the_others_go_on() {
    let loki = Loki::start();
    loki.respond_with(|push| {
        let full = push
            .labels
            .get("level")
            .is_some_and(|level| level == "error");
        full.then(|| Fault::Answer(Answer::error(429, stream_limit_text(&push.labels))))
    });
    let run = run(&loki)
        .args(["--flush-interval", "10ms"])
        .stdin_open()
        .spawn();
    run.write("INFO 1\nERROR 1\n");
    loki.wait_for_entries(1);
    run.write("ERROR 2\nINFO 2\n");
    loki.wait_for_entries(2);
    run.write("INFO 3\n");
    loki.wait_for_entries(3);
    assert_eq!(loki.lines(), ["INFO 1", "INFO 2", "INFO 3"]);
    loki.clear();
    let ended = run.wait().expect(0);
    assert_eq!(loki.lines_of(&[("level", "error")]), ["ERROR 1", "ERROR 2"]);
    let summary = ended.summary();
    assert_eq!((summary.read, summary.delivered), (5, 5));
    loki.assert_clean();
}

/// Has no place for the stream of errors.
fn without_a_place_for_errors() -> Loki {
    let loki = Loki::start();
    loki.respond_with(|push| {
        let level = push.labels.get("level");
        let full = level.is_some_and(|level| level == "error");
        full.then(|| Fault::Answer(Answer::error(429, stream_limit_text(&push.labels))))
    });
    loki
}

const TWO_STREAMS: &str = "ERROR 1\nINFO 1\nINFO 2\nERROR 2\n";

#[test]
fn a_stream_without_a_place_at_the_end_is_refused_alone_and_kept() {
    with_patience(&TIMEOUTS, |timeout| {
        let (loki, dir) = (without_a_place_for_errors(), Dir::new());
        let timeout = format!("{}ms", timeout.as_millis());
        let args = ["--batch-size", "2", "--flush-timeout", &timeout];
        let run = run(&loki).args(args).arg("--dead-letter");
        let run = run.arg(dir.join("refused"));
        let ended = run.stdin_bytes(TWO_STREAMS).run().expect(1);
        let summary = ended.summary();
        assert_eq!((summary.delivered, summary.refused), (2, 2));
        assert_eq!(summary.reasons["stream limit"], 2);
        ended.expect_stderr(["2 refused", "maximum active stream limit"]);
        let kept = dir.read_text("refused");
        assert_eq!(kept.matches("\"ERROR ").count(), 2, "{kept}");
        assert_eq!(loki.lines(), ["INFO 1", "INFO 2"]);
        loki.assert_clean();
    });
}

#[test]
fn a_stream_without_a_place_at_the_end_stays_in_the_spool() {
    with_patience(&TIMEOUTS, |timeout| {
        let (loki, dir) = (without_a_place_for_errors(), Dir::new());
        let timeout = format!("{}ms", timeout.as_millis());
        let run = run(&loki).args(["--flush-timeout", &timeout, "--spool"]);
        let run = run.arg(dir.join("spool"));
        let ended = run.stdin_bytes(TWO_STREAMS).run().expect(0);
        let summary = ended.summary();
        assert_eq!((summary.delivered, summary.spooled), (2, 2));
    });
}

/// Lines with a time in front, so many seconds ago each.
fn dated(ages: impl IntoIterator<Item = (i64, String)>) -> Vec<String> {
    let now = jiff::Timestamp::now();
    let line = |(age, text): (i64, String)| {
        let time = now - jiff::SignedDuration::from_secs(age);
        format!("{time:.9} {text}")
    };
    ages.into_iter().map(line).collect()
}

const DAY: i64 = 86_400;

#[test]
fn two_entries_too_old_among_two_thousand_are_found_and_named() {
    let loki = Loki::start();
    loki.validate(Rules::of_loki());
    let lines = dated((0..2_000).map(|i| match i {
        700 | 1_300 => (8 * DAY + i, format!("old {i}")),
        _ => (2_000 - i, format!("line {i}")),
    }));
    let run = run(&loki).args(["--time", "prefix", "-v"]);
    let ended = run.stdin_bytes(lines.join("\n")).run().expect(1);
    let summary = ended.summary();
    assert_eq!((summary.delivered, summary.refused), (1_998, 2));
    assert_eq!((summary.requests, summary.retries), (1, 0));
    assert_eq!(summary.reasons["too old"], 2);
    let old = |line: &&String| line.contains(" old ");
    let named = lines
        .iter()
        .filter(old)
        .map(|line| format!("refused (too old): {line}"));
    let ended = ended.expect_stderr(named);
    ended.expect_stderr(["Loki refused 2 entries (400)", "2 refused by Loki"]);
    let expected: Vec<&String> = lines.iter().filter(|line| !old(line)).collect();
    assert!(loki.lines().iter().eq(expected));
    loki.assert_clean();
}

#[test]
fn entries_too_far_behind_their_stream_are_found_and_counted() {
    let loki = Loki::start();
    loki.validate(Rules::of_loki());
    let lines = dated((0..2_000).map(|i| match i {
        1_200..1_205 => (2 * 3_600 + 3_000 - i, format!("late {i}")),
        _ => (3_000 - i, format!("line {i}")),
    }));
    let args = ["--time", "prefix", "--batch-size", "1000"];
    let ended = run(&loki)
        .args(args)
        .stdin_bytes(lines.join("\n"))
        .run()
        .expect(1);
    let summary = ended.summary();
    assert_eq!((summary.delivered, summary.refused), (1_995, 5));
    assert_eq!(summary.reasons["too far behind"], 5);
    assert_eq!((summary.requests, summary.retries), (3, 0));
    assert_eq!(loki.entries().len(), 1_995);
    loki.assert_clean();
}

#[test]
fn reasons_that_hide_one_another_are_told_apart() {
    let loki = Loki::start();
    loki.validate(Rules::of_loki());
    let lines = dated((0..2_000).map(|i| match i {
        1_100..1_103 => (8 * DAY + 3_000 - i, format!("old {i}")),
        1_200..1_205 => (2 * 3_600 + 3_000 - i, format!("late {i}")),
        _ => (3_000 - i, format!("line {i}")),
    }));
    let args = ["--time", "prefix", "--batch-size", "1000"];
    let ended = run(&loki)
        .args(args)
        .stdin_bytes(lines.join("\n"))
        .run()
        .expect(1);
    let summary = ended.summary();
    assert_eq!((summary.delivered, summary.refused), (1_992, 8));
    assert_eq!(
        (
            summary.reasons["too old"],
            summary.reasons["too far behind"]
        ),
        (3, 5)
    );
    assert_eq!(summary.retries, 0);
    assert_eq!(loki.entries().len(), 1_992);
    loki.assert_clean();
}

#[test]
fn what_a_proxy_gzipped_or_dressed_up_is_read_all_the_same() {
    let loki = Loki::start();
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped
        .write_all(b"couldn't parse labels: something odd")
        .expect("in memory");
    let zipped = zipped.finish().expect("in memory");
    let odd = Answer::new(400).header("Content-Encoding", "gzip");
    let page = "<html><head><title>502 Bad Gateway</title></head><body></body></html>";
    let bad = Fault::Answer(Answer::new(502).body(page));
    loki.faults([bad.clone(), bad, Fault::Answer(odd.body(zipped))]);
    let ended = run(&loki).stdin_bytes("a\n").run().expect(1);
    let ended = ended.expect_stderr([
        "(400): couldn't parse labels: something odd",
        ": 502 Bad Gateway; retrying",
    ]);
    assert!(!ended.stderr.contains('<'), "{}", ended.report());
}

#[test]
fn a_guess_at_what_was_refused_is_called_one() {
    let (loki, dir) = (Loki::start(), Dir::new());
    // One of them breaks the rule, and two are said to.
    let text = "2 errors like: entry for stream '{app=\"default\"}' has timestamp too old: \
                2026-08-14T20:45:11Z, oldest acceptable timestamp is: 2026-08-15T20:45:11Z";
    loki.fault(Fault::Answer(Answer::error(400, text)));
    let input = "2026-08-14T20:45:11Z old\n2026-09-01T00:00:00Z a\n2026-09-01T00:00:01Z b\n";
    let run = run(&loki).args(["--time", "prefix", "-v", "--dead-letter"]);
    let run = run.arg(dir.join("refused"));
    let ended = run.stdin_bytes(input).run().expect(1);
    let summary = ended.summary();
    assert_eq!((summary.delivered, summary.refused), (1, 2));
    assert_eq!(summary.reasons["too old"], 2);
    let guess = "too old (which entry of the request is not certain)";
    ended.expect_stderr([&format!("refused ({guess}): 2026-08-14T20:45:11Z old")]);
    let kept = dir.read_text("refused");
    let marked = kept.matches(&format!("\"reason\":\"{guess}\"")).count();
    assert_eq!(marked, 2, "{kept}");
}

#[test]
fn a_loki_that_is_down_for_a_while_costs_nothing_but_time() {
    let loki = Loki::start();
    let run = run(&loki)
        .args(["--flush-interval", "10ms"])
        .stdin_open()
        .spawn();
    let lines = numbered(3_000);
    let write = |part: &[String]| run.write(part.join("\n") + "\n");
    write(&lines[..1_000]);
    loki.wait_for_entries(1_000);
    loki.stop();
    write(&lines[1_000..2_000]);
    run.wait_for_stderr(BEGAN);
    write(&lines[2_000..]);
    loki.restart();
    loki.wait_for_entries(3_000);
    let ended = run.wait();
    assert_told_begin_and_end(&ended, "connection refused");
    assert_all_there(&loki, ended, &lines);
}

#[test]
fn a_loki_that_hangs_for_a_while_costs_nothing_but_time() {
    with_patience(&TIMEOUTS, |timeout| {
        let loki = Loki::start();
        let timeout = format!("{}ms", timeout.as_millis());
        let args = ["--flush-interval", "10ms", "--timeout", &timeout];
        let run = run(&loki).args(args).stdin_open().spawn();
        let lines = numbered(2_000);
        let write = |part: &[String]| run.write(part.join("\n") + "\n");
        write(&lines[..1_000]);
        loki.wait_for_entries(1_000);
        loki.always(Fault::Hang);
        write(&lines[1_000..]);
        run.wait_for_stderr(BEGAN);
        loki.clear();
        loki.release();
        loki.wait_for_entries(2_000);
        let ended = run.wait();
        assert_told_begin_and_end(&ended, "no answer in time");
        assert_all_there(&loki, ended, &lines);
    });
}

#[test]
fn a_request_without_an_answer_ends_with_the_timeout() {
    with_patience(&TIMEOUTS, |timeout| {
        let loki = Loki::start();
        loki.fault(Fault::Hang);
        let ended = run(&loki)
            .args(["--timeout", &format!("{}ms", timeout.as_millis())])
            .stdin_bytes("a\n")
            .run();
        assert!(ended.elapsed >= timeout);
        let summary = assert_all_there(&loki, ended, &["a".into()]);
        assert_eq!((summary.requests, summary.retries), (2, 1));
        assert_eq!(loki.requests()[0].answered, Answered::Gone);
    });
}

#[test]
fn the_user_agent_and_the_path_are_ours() {
    let loki = Loki::start();
    for (url, path) in [
        (loki.url(), "/loki/api/v1/push"),
        (format!("{}/", loki.url()), "/loki/api/v1/push"),
        (
            format!("{}/pre/fix", loki.url()),
            "/pre/fix/loki/api/v1/push",
        ),
        (
            format!("{}/x/loki/api/v1/push", loki.url()),
            "/x/loki/api/v1/push",
        ),
    ] {
        LokiPush::at(url)
            .args(["-m", path])
            .run()
            .expect(0)
            .expect_silence();
        let last = loki.requests().pop().expect("a request");
        assert_eq!(last.path, path);
        let agent = concat!("loki-push/", env!("CARGO_PKG_VERSION"));
        assert_eq!(last.headers.get("User-Agent"), Some(agent));
    }
    loki.assert_clean();
}

/// Lines of twenty streams.
fn of_twenty_users() -> Vec<String> {
    let line = |i| format!("user={} n={i:02}", i % 20);
    (0..40).map(line).collect()
}

#[test]
fn requests_of_different_streams_travel_side_by_side_in_bounds() {
    for connections in [1, 4, 16] {
        let loki = Loki::start();
        loki.always(Fault::Hang);
        let lines = of_twenty_users();
        let run = run(&loki).args(["--label-field", "user"]);
        let run = run.args(["--connections", &connections.to_string()]);
        let run = run.stdin_bytes(lines.join("\n")).spawn();
        loki.wait_for_held(connections);
        loki.clear();
        loki.release();
        let summary = assert_all_there(&loki, run.wait().expect_no_message(), &lines);
        assert_eq!((summary.requests, summary.retries), (20, 0));
        assert_eq!(loki.max_concurrent(), connections);
    }
}

#[test]
fn twenty_streams_share_round_trips_on_a_slow_link() {
    let loki = Loki::start();
    loki.always(Fault::Hang);
    let lines = of_twenty_users();
    let run = run(&loki).args(["--label-field", "user"]);
    let run = run.stdin_bytes(lines.join("\n")).spawn();
    // Nothing comes back before four are under way: one round trip for four streams.
    for trip in 0..5 {
        loki.wait_for_answers(4 * trip);
        loki.wait_for_held(4);
        loki.release();
    }
    let ended = run.wait().expect_no_message();
    let summary = assert_all_there(&loki, ended, &lines);
    assert_eq!(summary.requests, 20);
}

#[test]
fn a_trickle_keeps_one_connection() {
    let loki = Loki::start();
    let run = run(&loki)
        .args(["--flush-interval", "1ms"])
        .stdin_open()
        .spawn();
    for n in 1..=20 {
        run.write(format!("{n}\n"));
        loki.wait_for_entries(n);
    }
    run.wait().expect(0).expect_no_message();
    assert_eq!(loki.connections(), 1);
    loki.assert_clean();
}
