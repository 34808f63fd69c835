//! `--check`: each thing that can be wrong on the way has an answer of its own.

use crate::support::loki::{Answer, Auth, Fault};
use crate::support::tls::{self, Authority, Flaw};
use crate::support::{Finished, Loki, LokiPush, Proxy, stranger, with_patience};

fn check(run: LokiPush) -> Finished {
    run.args(["--check", "--app", "api"]).run()
}

/// A stand-in that lets a request without entries pass, as Loki does.
fn tolerant() -> Loki {
    let loki = Loki::start();
    loki.limits(|limits| limits.probes = true);
    loki
}

/// Expects this status, and a sheet with these texts and no other failure than those.
#[track_caller]
fn says(finished: &Finished, status: i32, texts: &[&str]) {
    finished.clone().expect(status).expect_silence();
    let sheet = finished.stdout_text();
    for text in texts {
        assert!(sheet.contains(text), "no {text:?} in\n{sheet}");
    }
    let failures = sheet.lines().filter(|line| line.starts_with('✗')).count();
    assert_eq!(failures, usize::from(status != 0), "{sheet}");
    let mut lines = sheet.lines();
    while let Some(line) = lines.next() {
        let remedy = line.starts_with('✗').then(|| lines.next());
        let told = remedy.is_none_or(|next| next.is_some_and(|next| next.contains("→ ")));
        assert!(told, "what to do about {line:?}?\n{sheet}");
    }
}

#[test]
fn six_states_get_six_answers() {
    let stopped = Loki::reserve();
    let sheet = check(LokiPush::new(&stopped));
    says(
        &sheet,
        1,
        &[
            "✗ address",
            "nothing listens",
            "connection refused",
            "start Loki",
        ],
    );

    let web = stranger(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nnope\n");
    let sheet = check(LokiPush::at(format!("http://127.0.0.1:{web}")));
    says(
        &sheet,
        1,
        &[
            "✗ push endpoint",
            "answers 404: nope",
            "something else is listening",
        ],
    );

    let locked = tolerant();
    locked.require(Auth::Basic {
        user: "me".into(),
        password: "right".into(),
    });
    let wrong = ["--username", "me", "--password", "wrong"];
    let sheet = check(LokiPush::new(&locked).args(wrong));
    says(&sheet, 1, &["✗ credentials   not accepted", "--password"]);
    assert!(!sheet.stdout_text().contains("wrong"));

    let tenants = tolerant();
    tenants.require_tenant();
    let sheet = check(LokiPush::new(&tenants));
    says(&sheet, 1, &["✗ tenant", "no org id", "--org-id"]);

    let own = Authority::new().loki(Flaw::None, None);
    let sheet = check(LokiPush::new(&own));
    says(&sheet, 1, &["✗ TLS", "--ca-cert FILE", "--tls-skip-verify"]);

    let healthy = tolerant();
    let sheet = check(LokiPush::new(&healthy));
    let texts = [
        "✓ address",
        "✓ push endpoint accepts pushes",
        "✓ clock",
        "✓ entry         accepted: {app=\"api\"} loki-push check",
        "✓ read back",
        "✓ version       Loki 3.8.0",
    ];
    says(&sheet, 0, &texts);
    assert_eq!(healthy.lines().len(), 1, "the probe stores nothing");
    healthy.assert_clean();
}

#[test]
fn other_strangers_and_missing_names_are_told_apart() {
    let ssh = stranger(b"SSH-2.0-OpenSSH_9.9\r\n");
    let sheet = check(LokiPush::at(format!("http://127.0.0.1:{ssh}")));
    says(&sheet, 1, &["✗ server", "does not speak HTTP", "port"]);
    let sheet = check(LokiPush::at(format!("https://127.0.0.1:{ssh}")));
    says(&sheet, 1, &["✗ TLS", "does not speak TLS"]);
    let sheet = check(LokiPush::at("http://nowhere.invalid:3100"));
    says(
        &sheet,
        1,
        &["✗ address", "host not found: nowhere.invalid", "DNS"],
    );
    let loki = tolerant();
    loki.require(Auth::Bearer("t".into()));
    let sheet = check(LokiPush::new(&loki));
    says(&sheet, 1, &["✗ credentials   none set", "--bearer-token"]);
    let loki = tolerant();
    loki.always(Fault::Status(403));
    let sheet = check(LokiPush::new(&loki));
    says(&sheet, 1, &["✗ credentials   none set", "--bearer-token"]);
    let sheet = check(LokiPush::new(&loki).args(["--bearer-token", "t"]));
    says(
        &sheet,
        1,
        &["✗ credentials   valid, but not allowed", "--org-id"],
    );
}

#[test]
fn what_cannot_be_read_back_is_no_failure_of_pushing() {
    for (answer, texts) in [
        (403, &["- read back", "may push, but not read (403)"][..]),
        (
            404,
            &["- read back", "only accepts pushes (it returned 404)"],
        ),
    ] {
        let loki = tolerant();
        loki.answer("/query_range", Answer::from(answer));
        loki.answer("/buildinfo", Answer::from(404));
        let sheet = check(LokiPush::new(&loki));
        says(&sheet, 0, texts);
        says(&sheet, 0, &["✓ entry", "- version       not reported"]);
    }
}

#[test]
fn a_victorialogs_url_is_checked_as_far_as_possible() {
    let loki = tolerant();
    let unsupported = || Answer::from(400).body("unsupported path requested");
    loki.answer("/insert/loki/api/v1/query_range", unsupported());
    loki.answer("/insert/loki/api/v1/status/buildinfo", unsupported());
    let address = format!("{}/insert/loki/api/v1/push", loki.url());
    says(
        &check(LokiPush::at(address)),
        0,
        &["✓ entry", "- read back", "only accepts pushes"],
    );
    assert_eq!(loki.lines().len(), 1);
}

#[test]
fn a_missing_entry_is_a_failure_and_a_failed_query_a_warning() {
    with_patience(&[400, 5_000], |timeout| {
        let check = |loki: &Loki| {
            let timeout = format!("{}ms", timeout.as_millis());
            check(LokiPush::new(loki).args(["--timeout", &timeout]))
        };
        let loki = tolerant();
        let nothing = r#"{"status":"success","data":{"resultType":"streams","result":[]}}"#;
        loki.answer("/query_range", Answer::json(nothing));
        says(
            &check(&loki),
            1,
            &["✗ read back", "accepted, but a query does not find it"],
        );
        let loki = tolerant();
        loki.answer("/query_range", Answer::from(503));
        says(&check(&loki), 0, &["! read back", "503", "queriers"]);
    });
}

#[test]
fn a_server_that_says_yes_to_everything_is_no_loki() {
    let loki = tolerant();
    loki.answer(
        "/query_range",
        Answer::new(200).body("<html>welcome</html>"),
    );
    let sheet = check(LokiPush::new(&loki));
    says(&sheet, 1, &["✗ read back", "not by Loki", "--url"]);
}

#[test]
fn a_proxy_that_is_away_is_what_the_remedy_is_about() {
    let away = Loki::reserve();
    let run = LokiPush::at("http://loki.invalid:3100").args(["--proxy-url", &away.url()]);
    let sheet = check(run);
    says(
        &sheet,
        1,
        &["✗ address", "the proxy 127.0.0.1", "--proxy-url"],
    );
    assert!(!sheet.stdout_text().contains("start Loki"), "{sheet:?}");
}

#[test]
fn what_a_proxy_says_comes_with_a_remedy() {
    for (answer, texts) in [
        ("502 Bad Gateway", &["cannot reach", "omit --proxy-url"][..]),
        ("403 Forbidden", &["CONNECT to port 3100", "allow it there"]),
        (
            "407 Authenticate",
            &["requires credentials", "USER:PASSWORD@"],
        ),
        ("200", &["✗ server", "closed without an answer"]),
    ] {
        let proxy = Proxy::denying(answer);
        let run = LokiPush::at("http://loki.invalid:3100");
        says(&check(run.args(["--proxy-url", &proxy.url()])), 1, texts);
    }
}

#[test]
fn each_failure_of_tls_says_what_to_do() {
    let (authority, theirs) = (Authority::new(), Authority::new());
    let trusting = |run: LokiPush| run.arg("--ca-cert").arg(authority.file());
    for (flaw, texts) in [
        (Flaw::OtherHost, &["is for loki.example", "--url"][..]),
        (Flaw::Expired, &["has expired", "renew it"]),
        (Flaw::NotYet, &["not valid yet", "clock"]),
    ] {
        let loki = authority.loki(flaw, None);
        says(&check(trusting(LokiPush::new(&loki))), 1, texts);
    }
    let loki = theirs.loki(Flaw::None, None);
    let sheet = check(trusting(LokiPush::new(&loki)));
    says(&sheet, 1, &["✗ TLS", "not signed by", "into --ca-cert"]);
    let loki = tls::serve(&tls::self_signed_leaf(), None);
    let sheet = check(trusting(LokiPush::new(&loki)));
    says(&sheet, 1, &["✗ TLS", "self-signed, and not the one"]);
    let loki = authority.loki(Flaw::None, Some(&theirs));
    let sheet = check(trusting(LokiPush::new(&loki)));
    says(&sheet, 1, &["✗ TLS", "set --cert and --key"]);
    let sheet = check(LokiPush::at(loki.url().replace("https", "http")));
    says(&sheet, 1, &["✗ server", "https://"]);
    let silent = format!("https://127.0.0.1:{}", stranger(b""));
    says(&check(LokiPush::at(silent)), 1, &["✗ TLS", "http://"]);
}

#[test]
fn the_base_address_of_a_victorialogs_is_mended() {
    let said = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 70\r\n\r\n\
        remoteAddr: \"127.0.0.1:1\"; unsupported path requested: \"/loki/api/v1\"\n";
    let address = format!("http://127.0.0.1:{}", stranger(said));
    let texts = ["✗ push endpoint", "/insert/loki/api/v1/push"];
    says(&check(LokiPush::at(address)), 1, &texts);
}

#[test]
fn a_header_that_authorizes_counts_as_credentials() {
    let loki = tolerant();
    loki.require(Auth::Bearer("right".into()));
    let header = |value: &str| {
        let header = format!("Authorization: {value}");
        check(LokiPush::new(&loki).args(["--header", &header]))
    };
    let texts = ["✗ credentials   not accepted", "--header"];
    says(&header("ApiKey wrong"), 1, &texts);
    says(&header("Bearer right"), 0, &["✓ credentials   accepted"]);
}

#[test]
fn a_push_that_gets_no_answer_comes_with_a_remedy() {
    let loki = tolerant();
    // The first over the connection that was open from the question before, which is no trouble.
    loki.faults([Fault::Reset, Fault::Reset]);
    let sheet = check(LokiPush::new(&loki));
    says(
        &sheet,
        1,
        &["✗ push endpoint", "connection reset", "gateway"],
    );
}

#[test]
fn an_entry_that_is_refused_comes_with_lokis_words() {
    let loki = tolerant();
    loki.faults([
        Fault::Pass,
        Fault::Answer(Answer::error(
            400,
            "entry for stream '{}' has 16 label names; limit 15",
        )),
    ]);
    says(
        &check(LokiPush::new(&loki)),
        1,
        &[
            "✗ entry",
            "refused (400): entry for stream '{}' has 16 label names",
        ],
    );
    let loki = tolerant();
    loki.faults([Fault::Pass, Fault::Status(429)]);
    says(
        &check(LokiPush::new(&loki)),
        1,
        &["✗ entry", "not accepted: 429"],
    );
}

#[test]
fn clocks_apart_are_said() {
    let loki = tolerant();
    loki.clock_ahead(120);
    let sheet = check(LokiPush::new(&loki));
    says(&sheet, 0, &["! clock", "m", "behind the server", "NTP"]);
    let loki = tolerant();
    loki.clock_ahead(-3_600);
    let sheet = check(LokiPush::new(&loki)).expect(1).stdout_text();
    assert!(
        sheet.contains("✗ clock") && sheet.contains("ahead of the server"),
        "{sheet}"
    );
}

#[test]
fn the_sheet_is_plain_in_a_pipe_and_where_the_locale_is() {
    let loki = tolerant();
    let run = LokiPush::new(&loki).env("LC_ALL", "C").env("TERM", "xterm");
    let sheet = check(run).expect(0).stdout_text();
    assert!(sheet.is_ascii() && !sheet.contains('\x1b'), "{sheet}");
    assert!(sheet.contains("\nok   address"), "{sheet}");
    let quiet = check(LokiPush::new(&loki).arg("-q")).expect(0);
    assert_eq!(quiet.stdout_text(), "");
}

#[test]
fn checking_reads_nothing_and_excludes_what_does() {
    let loki = tolerant();
    let run = LokiPush::new(&loki).stdin_open().arg("--check").spawn();
    run.wait_to_end().expect(0);
    // 125 is what command mode has for wrong usage.
    for (args, status, word) in [
        (&["file"][..], 2, "FILE"),
        (&["-m", "x"], 2, "--message"),
        (&["--dry-run"], 2, "--dry-run"),
        (&["--drain", "--spool", "x"], 2, "--drain"),
        (&["--", "true"], 125, "COMMAND"),
    ] {
        let run = LokiPush::new(&loki).arg("--check").args(args).run();
        run.expect(status).expect_stderr(["--check", word]);
    }
}
