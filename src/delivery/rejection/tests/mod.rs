//! Which entries a refusal means, compared with a model that gives Loki's texts and the truth.

mod model;

use crate::delivery::rejection::tests::model::{
    HOUR, Loki, NOW, all, at, now, request, stock_with_past,
};
use crate::delivery::rejection::*;
use crate::random::Random;

#[test]
fn finds_exactly_what_a_stock_loki_refuses() {
    let mut random = Random::new(1);
    let (mut refusals, mut hidden, mut whole) = (0, 0, 0);
    for round in 0..5_000 {
        let loki = stock_with_past(&mut random);
        let ascending = !random.one_in(4);
        let entries = request(&mut random, &loki, ascending);
        let (Some(text), truth) = loki.push(&entries) else {
            continue;
        };
        refusals += 1;
        let ingester = text.contains("total ignored");
        hidden += usize::from(ingester && truth.iter().any(|one| one.1 != Reason::TooFarBehind));
        whole += usize::from(truth.len() == entries.len());
        let got = read(&text, &entries, &now());
        let want = RejectedEntries {
            refused: truth,
            exact: true,
        };
        assert_eq!(
            got.as_ref(),
            Some(&want),
            "round {round}, ascending {ascending}: {text}"
        );
    }
    println!("{refusals} refusals, {hidden} with hidden reasons, {whole} of the whole request");
    assert!(refusals > 3_000 && hidden > 1_000 && whole > 500);
}

#[test]
fn other_limits_are_read_from_the_text() {
    let mut random = Random::new(2);
    let mut seen = 0;
    for round in 0..2_000 {
        let mut loki = stock_with_past(&mut random);
        loki.max_age = random.pick(&[24, 24 * 30, 24 * 400]) * HOUR;
        loki.grace = random.pick(&[60 * SECOND, HOUR]);
        loki.max_line = random.pick(&[100, 1 << 20]);
        loki.max_metadata = 25;
        loki.allow_metadata = random.one_in(2);
        loki.window = random.pick(&[HOUR / 2, HOUR, 6 * HOUR]);
        loki.list = random.pick(&[10, 3, 1000]);
        let ascending = !random.one_in(3);
        let entries = request(&mut random, &loki, ascending);
        let (Some(text), truth) = loki.push(&entries) else {
            continue;
        };
        let got = read(&text, &entries, &now()).unwrap();
        let count = truth.len();
        let behind = truth.iter().any(|one| one.1 == Reason::TooFarBehind);
        let unseen = behind && truth.iter().any(|one| one.1 != Reason::TooFarBehind);
        assert_eq!(got.refused.len(), count, "round {round}: {text}");
        if !unseen && (ascending || !behind) {
            seen += 1;
            assert_eq!(
                got,
                RejectedEntries {
                    refused: truth,
                    exact: true
                },
                "round {round}: {text}"
            );
        }
    }
    assert!(seen > 1_000);
}

#[test]
fn a_clock_that_is_off_is_corrected_by_the_counts() {
    let mut random = Random::new(3);
    for round in 0..500 {
        let mut loki = Loki::stock();
        loki.highest = Some(NOW);
        let mut entries: Vec<SentEntry> = (0..40)
            .map(|_| at(random.near(NOW - MAX_AGE, 30 * SECOND)))
            .collect();
        entries.extend((0..5).map(|_| at(random.near(NOW, SECOND))));
        entries.sort_by_key(|entry| entry.time);
        let hints = Context {
            now: Some(random.near(NOW, 60 * SECOND)),
            ..Context::default()
        };
        let (text, truth) = loki.push(&entries);
        let got = read(&text.unwrap(), &entries, &hints);
        assert_eq!(
            got,
            Some(RejectedEntries {
                refused: truth,
                exact: true
            }),
            "round {round}"
        );
    }
}

#[test]
fn a_cut_text_errs_only_in_the_second_of_the_limit() {
    let mut random = Random::new(4);
    let mut cut = 0;
    for round in 0..2_000 {
        let loki = stock_with_past(&mut random);
        let ascending = !random.one_in(4);
        let entries = request(&mut random, &loki, ascending);
        let (Some(text), truth) = loki.push(&entries) else {
            continue;
        };
        let mut end = 400 + random.below(3600);
        if end >= text.trim_end().len() {
            continue;
        }
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let hints = Context { cut: true, ..now() };
        let Some(got) = read(&text[..end], &entries, &hints) else {
            panic!("round {round}: {}", &text[..end]);
        };
        cut += 1;
        if got.exact {
            assert_eq!(got.refused, truth, "round {round}: {}", &text[..end]);
            continue;
        }
        let lost = truth
            .iter()
            .find(|&&one| !got.refused.iter().any(|&(i, _)| i == one.0));
        assert_eq!(lost, None, "round {round}: {}", &text[..end]);
        let limits = [
            loki.now - loki.max_age,
            loki.now + loki.grace,
            loki.highest.unwrap_or(0) - loki.window,
        ];
        for &(i, reason) in &got.refused {
            let time = entries[i].time;
            let close = limits.iter().any(|limit| (time - limit).abs() <= SECOND);
            assert!(
                close || truth.contains(&(i, reason)),
                "round {round}, entry {i} {reason:?}: {}",
                &text[..end]
            );
        }
    }
    assert!(cut > 500, "{cut}");
}

#[test]
fn no_text_makes_it_panic() {
    let mut random = Random::new(5);
    for _ in 0..12 {
        let loki = stock_with_past(&mut random);
        let entries = request(&mut random, &loki, false);
        let (Some(text), _) = loki.push(&entries) else {
            continue;
        };
        for end in (0..text.len().min(3000)).filter(|&end| text.is_char_boundary(end)) {
            for cut in [false, true] {
                let _ = read(
                    &text[..end],
                    &entries[..entries.len().min(5)],
                    &Context {
                        cut,
                        ..Context::default()
                    },
                );
            }
            let _ = limit(&text[..end]);
        }
    }
}

/// pkg/distributor/validator.go, pkg/validation/validate.go
#[test]
fn two_of_two_thousand_are_too_old() {
    let mut entries: Vec<SentEntry> = (0..2_000).map(|i| at(NOW + i)).collect();
    entries[700].time = NOW - 8 * 24 * HOUR;
    entries[701].time = NOW - 8 * 24 * HOUR + 5;
    let text = "2 errors like: entry for stream '{job=\"a\"}' has timestamp too old: 2026-08-14T20:45:11Z, oldest acceptable timestamp is: 2026-08-15T20:45:11Z\n";
    let refused = vec![(700, Reason::TooOld), (701, Reason::TooOld)];
    assert_eq!(
        read(text, &entries, &Context::default()),
        Some(RejectedEntries {
            refused,
            exact: true
        })
    );
}

#[test]
fn a_count_that_disagrees_with_the_rule_wins_and_is_said() {
    let entries = [at(NOW - 8 * 24 * HOUR), at(NOW), at(NOW + 1)];
    let text = "2 errors like: entry for stream '{job=\"a\"}' has timestamp too old: 2026-08-14T20:45:11Z, oldest acceptable timestamp is: 2026-08-15T20:45:11Z";
    let got = read(text, &entries, &now()).unwrap();
    assert_eq!((got.refused.len(), got.exact), (2, false));
    assert_eq!(got.refused[0].0, 0);
}

/// pkg/ingester/stream.go, pkg/chunkenc/interface.go
#[test]
fn the_ingester_hides_what_the_distributor_refused() {
    let old = NOW - 9 * 24 * HOUR;
    let entries = [at(old), at(NOW - 2 * HOUR), at(NOW)];
    let text = "entry with timestamp 2026-08-22 18:45:11.345678901 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-08-22T18:45:11Z, oldest acceptable timestamp is: 2026-08-22T19:45:00Z',\nuser 'fake', total ignored: 1 out of 2 for stream: {job=\"a\"}\n";
    let refused = vec![(0, Reason::TooOld), (1, Reason::TooFarBehind)];
    let want = Some(RejectedEntries {
        refused,
        exact: true,
    });
    assert_eq!(read(text, &entries, &now()), want);
    // Even without a clock: in order, it would have been listed first.
    assert_eq!(read(text, &entries, &Context::default()), want);
}

#[test]
fn what_was_seen_accepted_narrows_the_limit_of_a_cut_text() {
    let second = 1_787_427_900 * SECOND; // 2026-08-22T19:45:00Z
    let entries = [
        at(NOW - 2 * HOUR),
        at(second + 100),
        at(second + 300),
        at(NOW),
    ];
    let text = "entry with timestamp 2026-08-22 18:45:11.345678901 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-08-22T18:45:11Z, oldest acceptable timestamp is: 2026-08-22T19:45:00Z',\nentry with time";
    for (newest_before, refused) in [
        (None, 3),
        (Some(second + 200 + HOUR), 2),
        (Some(second - HOUR), 3),
    ] {
        let hints = Context {
            newest_before,
            cut: true,
            ..now()
        };
        let want = RejectedEntries {
            refused: all(refused, Reason::TooFarBehind),
            exact: false,
        };
        assert_eq!(read(text, &entries, &hints), Some(want));
    }
}

#[test]
fn a_shards_answer_speaks_of_a_part() {
    let entries = [at(NOW - 3 * HOUR), at(NOW - 2 * HOUR), at(NOW), at(NOW + 1)];
    let text = "entry with timestamp 2026-08-22 18:45:11.345678901 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-08-22T18:45:11Z, oldest acceptable timestamp is: 2026-08-22T19:45:00Z',\nuser 'fake', total ignored: 1 out of 2 for stream: {__stream_shard__=\"1\", job=\"a\"}\n";
    let refused = all(2, Reason::TooFarBehind);
    assert_eq!(
        read(text, &entries, &now()),
        Some(RejectedEntries {
            refused,
            exact: false
        })
    );
}

/// Sharding off: rate limit and order in one answer; the last one's kind gives the status.
#[test]
fn a_rate_limit_among_them_is_told_apart() {
    let entries = [at(NOW), at(NOW - 2 * HOUR), at(NOW + 1)];
    let text = "entry with timestamp 2026-08-22 20:45:11.345678901 +0000 UTC ignored, reason: 'Per stream rate limit exceeded (limit: 3MB/sec) while attempting to ingest for stream '{a=\"b\"}' totaling 20B, consider splitting a stream via additional labels or contact your Loki administrator to see if the limit can be increased',\nentry with timestamp 2026-08-22 18:45:11.345678901 +0000 UTC ignored, reason: 'entry too far behind, entry timestamp is: 2026-08-22T18:45:11Z, oldest acceptable timestamp is: 2026-08-22T19:45:00Z',\nuser 'fake', total ignored: 2 out of 3 for stream: {a=\"b\"}";
    let refused = vec![(0, Reason::StreamRate), (1, Reason::TooFarBehind)];
    assert_eq!(
        read(text, &entries, &now()),
        Some(RejectedEntries {
            refused,
            exact: true
        })
    );
    assert_eq!(limit(text), Limit::StreamRate { limit: 3 << 20 });
}

/// `ValidateLabels` in pkg/distributor/validator.go, `missingEnforcedLabels` in distributor.go
#[test]
fn bad_labels_refuse_the_whole_stream() {
    let entries = [at(NOW); 3];
    for text in [
        "entry for stream '{a=\"b\"}' has 16 label names; limit 15\n",
        "stream '{a=\"b\"}' has label name too long: 'aaaa'",
        "stream '{a=\"b}'\"}' has label value too long: 'b; }'",
        "stream '{a=\"b\"}' has duplicate label name: 'a'",
        "error at least one label pair is required per stream",
        "missing required labels 'team' for user 'fake' for stream '{a=\"b\"}' (policy: '')",
    ] {
        let want = RejectedEntries {
            refused: all(3, Reason::Labels),
            exact: true,
        };
        assert_eq!(read(text, &entries, &now()), Some(want), "{text}");
    }
}

#[test]
fn an_unknown_text_states_no_rule() {
    for text in [
        "",
        "\n",
        "couldn't parse labels: 1:2: parse error: unexpected character",
        "tenant ID is too long: max 150 characters",
        "loghttp.PushRequest.Streams: []loghttp.LogProtoStream: Value looks like Number",
        "<html><body>400 Bad Request</body></html>",
        "entry for stream '{a=\"b\"}' has timestamp too odd: 2026-08-22T20:45:11Z",
        "max entry size '9' bytes exceeded for stream '{a=\"b\"}' while adding an entry with length '99' bytes; something new",
    ] {
        assert_eq!(read(text, &[at(NOW)], &now()), None, "{text}");
    }
}

#[test]
fn reasons_have_names_of_their_own() {
    use Reason::{
        Labels, LineTooLong, MetadataDisallowed, MetadataTooLarge, MetadataTooMany, Other,
        StreamLimit, StreamRate, TooFarBehind, TooNew, TooOld,
    };
    let every = [
        TooOld,
        TooNew,
        TooFarBehind,
        LineTooLong,
        MetadataTooLarge,
        MetadataTooMany,
        MetadataDisallowed,
        StreamRate,
        StreamLimit,
        Labels,
        Other,
    ];
    let names: std::collections::BTreeSet<&str> =
        every.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), every.len());
}
