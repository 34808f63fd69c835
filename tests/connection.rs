//! The way to Loki: credentials, tenant, headers, TLS and proxies, each in both directions: what
//! works, and what is said when it does not.

use crate::support::loki::Auth;
use crate::support::tls::{self, Authority, Flaw};
use crate::support::{Dir, Finished, Loki, LokiPush, Proxy, stranger};

/// A run that ends soon when it cannot deliver.
fn push(loki: &Loki) -> LokiPush {
    impatient(LokiPush::new(loki))
}

fn impatient(run: LokiPush) -> LokiPush {
    run.args(["-m", "hello", "--flush-timeout", "0s", "--timeout", "20s"])
}

#[track_caller]
fn arrives(run: LokiPush, loki: &Loki) -> Finished {
    let finished = run.run().expect(0);
    assert_eq!(loki.lines(), ["hello"], "{}", finished.report());
    loki.assert_clean();
    finished
}

#[track_caller]
fn fails(run: LokiPush, words: &[&str]) {
    run.run().expect(1).expect_stderr(words);
}

fn basic(user: &str, password: &str) -> Auth {
    Auth::Basic {
        user: user.into(),
        password: password.into(),
    }
}

#[test]
fn basic_auth_comes_from_options_files_environment_and_the_address() {
    let dir = Dir::new();
    let file = dir.write("password", "p:w\n");
    let with = |change: &dyn Fn(LokiPush, &Loki) -> LokiPush| {
        let loki = Loki::start();
        loki.require(basic("me", "p:w"));
        arrives(change(push(&loki), &loki), &loki).expect_silence();
    };
    with(&|run, _| run.args(["--username", "me", "--password", "p:w"]));
    with(&|run, _| run.args(["--username", "me", "--password-file"]).arg(&file));
    with(&|run, _| run.env("LOKI_USERNAME", "me").env("LOKI_PASSWORD", "p:w"));
    with(&|run, _| {
        run.env("LOKI_PUSH_USERNAME", "me")
            .env("LOKI_PUSH_PASSWORD", "p:w")
            .env("LOKI_BEARER_TOKEN", "weaker")
    });
    with(&|_, loki| {
        let address = format!("http://me:p%3Aw@127.0.0.1:{}", loki.port());
        impatient(LokiPush::bare().env("LOKI_ADDR", address))
    });
}

#[test]
fn a_bearer_token_comes_from_an_option_a_file_and_the_environment() {
    let dir = Dir::new();
    let file = dir.write("token", "  t0ken\n");
    let with = |change: &dyn Fn(LokiPush) -> LokiPush| {
        let loki = Loki::start();
        loki.require(Auth::Bearer("t0ken".into()));
        arrives(change(push(&loki)), &loki).expect_silence();
    };
    with(&|run| run.args(["--bearer-token", "t0ken"]));
    with(&|run| run.arg("--bearer-token-file").arg(&file));
    with(&|run| run.env("LOKI_BEARER_TOKEN", "t0ken"));
    with(&|run| run.env("LOKI_BEARER_TOKEN_FILE", &file));
    with(&|run| {
        run.args(["--bearer-token", "t0ken"])
            .env("LOKI_USERNAME", "x")
            .env("LOKI_PASSWORD", "y")
    });
}

#[test]
fn tenant_and_headers_go_with_every_request() {
    let loki = Loki::start();
    loki.require_tenant();
    let run = push(&loki)
        .env("LOKI_ORG_ID", "team-a")
        .args(["--header", "X-One: 1"])
        .args(["--header", "X-Two:a: b"]);
    arrives(run, &loki);
    let request = &loki.requests()[0];
    assert_eq!(request.tenant, "team-a");
    assert_eq!(request.headers.get("X-One"), Some("1"));
    assert_eq!(request.headers.get("X-Two"), Some("a: b"));
}

#[test]
fn an_own_authority_is_trusted_when_it_is_given() {
    let authority = Authority::new();
    let loki = authority.loki(Flaw::None, None);
    fails(
        push(&loki),
        &[
            "signed by a CA that this machine does not trust, `authority ",
            "--ca-cert FILE",
            "--tls-skip-verify",
        ],
    );
    let other = Authority::new();
    fails(
        push(&loki).arg("--ca-cert").arg(other.file()),
        &[
            "not signed by the CA in --ca-cert, but by `authority ",
            "--tls-skip-verify",
        ],
    );
    let run = push(&loki).env("LOKI_CA_CERT_PATH", authority.file());
    arrives(run, &loki).expect_silence();
}

#[test]
fn the_systems_authorities_are_trusted() {
    let authority = Authority::new();
    let loki = authority.loki(Flaw::None, None);
    let run = push(&loki).env("SSL_CERT_FILE", authority.file());
    arrives(run, &loki).expect_silence();
    // One that is its own authority, too, as `update-ca-certificates` puts it there.
    let dir = Dir::new();
    let pair = tls::self_signed();
    let loki = tls::serve(&pair, None);
    let file = std::fs::read_to_string(authority.file()).expect("a file") + &pair.cert;
    let bundle = tls::file(&dir, "bundle.pem", &file);
    arrives(push(&loki).env("SSL_CERT_FILE", bundle), &loki).expect_silence();
}

#[test]
fn a_self_signed_server_is_trusted_by_its_own_certificate() {
    let dir = Dir::new();
    for make in [tls::self_signed, tls::self_signed_leaf] {
        let pair = make();
        let loki = tls::serve(&pair, None);
        fails(
            push(&loki),
            &["is self-signed", "--ca-cert FILE", "--tls-skip-verify"],
        );
        let another = tls::file(&dir, "another.pem", &make().cert);
        fails(
            push(&loki).arg("--ca-cert").arg(&another),
            &["self-signed, and not the one in --ca-cert"],
        );
        fails(
            push(&loki).env("LOKI_CA_CERT_PATH", another),
            &["not the one in LOKI_CA_CERT_PATH"],
        );
        // As editors of other systems leave it, and beside others.
        let file = tls::self_signed().cert + &pair.cert;
        let own = tls::file(&dir, "own.pem", &file.replace('\n', "\r\n"));
        arrives(push(&loki).arg("--ca-cert").arg(own), &loki).expect_silence();
    }
}

#[test]
fn a_common_name_is_no_name_any_more() {
    let dir = Dir::new();
    let pair = tls::self_signed_common_name();
    let loki = tls::serve(&pair, None);
    fails(push(&loki), &["is self-signed", "--ca-cert FILE"]);
    let own = tls::file(&dir, "own.pem", &pair.cert);
    let run = push(&loki).arg("--ca-cert").arg(own);
    fails(
        run,
        &[
            "common name (CN) is not enough",
            "subjectAltName=IP:127.0.0.1",
        ],
    );
}

#[test]
fn verifying_can_be_skipped_and_unskipped() {
    for flaw in [Flaw::None, Flaw::OtherHost, Flaw::Expired] {
        let loki = Authority::new().loki(flaw, None);
        arrives(push(&loki).arg("--tls-skip-verify"), &loki).expect_silence();
    }
    let loki = Authority::new().loki(Flaw::None, None);
    let run = || push(&loki).env("LOKI_TLS_SKIP_VERIFY", "true");
    fails(
        run().env("LOKI_PUSH_TLS_SKIP_VERIFY", "false"),
        &["authority"],
    );
    arrives(run(), &loki);
}

#[test]
fn what_openssl_and_go_trust_is_trusted() {
    // A certificate that somebody signed is trusted when it is given itself …
    let dir = Dir::new();
    let (authority, theirs) = (Authority::new(), Authority::new());
    let pair = authority.sign(Flaw::None);
    let loki = tls::serve(&pair, None);
    let own = tls::file(&dir, "own.pem", &pair.cert);
    arrives(push(&loki).arg("--ca-cert").arg(own), &loki).expect_silence();
    // … but not beyond its own names and dates.
    for (flaw, words) in [
        (Flaw::OtherHost, "is for loki.example"),
        (Flaw::Expired, "has expired"),
    ] {
        let pair = authority.sign(flaw);
        let own = tls::file(&dir, "own.pem", &pair.cert);
        let loki = tls::serve(&pair, None);
        fails(push(&loki).arg("--ca-cert").arg(own), &[words]);
    }
    // One of ours that the server does not take is said, whenever it says so.
    let loki = theirs.loki(Flaw::None, Some(&theirs));
    let (cert, key) = authority.client_files("stranger");
    let run = push(&loki).arg("--ca-cert").arg(theirs.file());
    fails(
        run.arg("--cert").arg(cert).arg("--key").arg(key),
        &["does not accept our certificate (UnknownCA)"],
    );
}

#[test]
fn each_flaw_of_a_certificate_is_told_apart() {
    let authority = Authority::new();
    for (flaw, words) in [
        (
            Flaw::OtherHost,
            &["is for loki.example, not for 127.0.0.1", "--url"][..],
        ),
        (Flaw::Expired, &["has expired", "days ago", "renew it"]),
        (Flaw::NotYet, &["not valid yet", "clock"]),
    ] {
        let loki = authority.loki(flaw, None);
        fails(push(&loki).arg("--ca-cert").arg(authority.file()), words);
    }
}

#[test]
fn a_client_certificate_is_shown_where_it_is_wanted() {
    let (authority, theirs) = (Authority::new(), Authority::new());
    let loki = authority.loki(Flaw::None, Some(&theirs));
    let run = || push(&loki).arg("--ca-cert").arg(authority.file());
    fails(
        run(),
        &["requires a client certificate", "--cert and --key"],
    );
    let (cert, key) = authority.client_files("stranger");
    fails(
        run().arg("--cert").arg(cert).arg("--key").arg(key),
        &["does not accept our certificate", "--cert"],
    );
    let (cert, key) = theirs.client_files("friend");
    let friend = run()
        .env("LOKI_CLIENT_CERT_PATH", cert)
        .env("LOKI_CLIENT_KEY_PATH", key);
    arrives(friend, &loki).expect_silence();
}

#[test]
fn certificates_that_cannot_be_used_are_wrong_usage() {
    let dir = Dir::new();
    let (one, two) = (tls::self_signed(), tls::self_signed());
    let cert = tls::file(&dir, "cert.pem", &one.cert);
    let key = tls::file(&dir, "key.pem", &two.key);
    let junk = tls::file(&dir, "junk.pem", "no pem\n");
    let run = || LokiPush::at("https://127.0.0.1:1").args(["-m", "hello"]);
    let pair = run().arg("--cert").arg(&cert).arg("--key").arg(&key).run();
    pair.expect(2).expect_stderr(["do not belong together"]);
    // `openssl x509 -req` makes certificates of version 1, whose keys must fit as well.
    let first = tls::file(&dir, "v1.pem", tls::VERSION_1);
    let pair = run().arg("--cert").arg(&first).arg("--key").arg(&key).run();
    pair.expect(2).expect_stderr(["do not belong together"]);
    let der = dir.write("cert.der", [0x30, 0x82, 1, 2, 3]);
    let ca = run().env("LOKI_CA_CERT_PATH", &der).run();
    ca.expect(2).expect_stderr(["LOKI_CA_CERT_PATH", "DER"]);
    let pair = run().arg("--cert").arg(&cert).arg("--key").arg(&junk).run();
    pair.expect(2).expect_stderr(["--key", "no private key"]);
    let ca = run().arg("--ca-cert").arg(&junk).run();
    ca.expect(2).expect_stderr(["--ca-cert", "no certificate"]);
    let half = run().arg("--cert").arg(&cert).run();
    half.expect(2).expect_stderr(["--cert", "--key"]);
}

#[test]
fn http_and_https_are_told_apart() {
    let go = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 48\r\n\r\n\
               Client sent an HTTP request to an HTTPS server.\n";
    for (scheme, words) in [
        ("https", &["does not speak TLS", "http://"][..]),
        ("http", &["requires TLS", "https://"]),
    ] {
        let address = format!("{scheme}://127.0.0.1:{}", stranger(go));
        fails(impatient(LokiPush::at(address)), words);
    }
}

#[test]
fn of_a_gateways_page_only_its_title_is_shown() {
    let said = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 84\r\n\r\n\
        <html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>nginx</body></html>";
    let run = LokiPush::at(format!("http://127.0.0.1:{}", stranger(said)));
    let ended = impatient(run).run().expect(1);
    assert!(!ended.stderr.contains('<'), "{}", ended.report());
    ended.expect_stderr(["returned 401 (Authorization Required): check --username"]);
}

#[test]
fn the_base_address_of_a_victorialogs_loses_nothing() {
    let said = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 61\r\n\r\n\
        remoteAddr: \"\"; unsupported path requested: \"/loki/api/v1/push\"\n";
    let run = LokiPush::at(format!("http://127.0.0.1:{}", stranger(said)));
    let ended = impatient(run).summed().run().expect(1);
    let ended = ended.expect_stderr(["unsupported path", "/insert/loki/api/v1/push"]);
    let summary = ended.summary();
    assert_eq!((summary.left, summary.refused), (1, 0));
}

#[test]
fn a_port_that_speaks_tls_is_told_by_whatever_it_does() {
    // What speaks TLS and is spoken to in plain http sends an alert, or hangs up.
    let secure = tls::serve(&tls::self_signed(), None);
    let address = secure.url().replace("https://", "http://");
    fails(impatient(LokiPush::at(address)), &["https://"]);
    let silent = stranger(b"");
    let address = format!("https://127.0.0.1:{silent}");
    fails(
        impatient(LokiPush::at(address)),
        &["closed in the TLS handshake", "http://", "--cert and --key"],
    );
}

#[test]
fn a_proxy_is_used_as_options_and_environment_say() {
    let with = |change: &dyn Fn(LokiPush, &Proxy) -> LokiPush, through: bool| {
        let loki = Loki::start();
        let proxy = Proxy::to(loki.port());
        let run = impatient(LokiPush::at("http://loki.invalid:3100"));
        let finished = change(run, &proxy).run();
        let heads = proxy.heads();
        assert_eq!(
            finished.status,
            i32::from(!through),
            "{}",
            finished.report()
        );
        assert_eq!(!heads.is_empty(), through, "{heads:?}");
        if through {
            assert!(
                heads[0].starts_with("CONNECT loki.invalid:3100 HTTP/1.1\r\n"),
                "{heads:?}"
            );
            assert_eq!(loki.lines(), ["hello"]);
        } else {
            finished.expect_stderr(["host not found: loki.invalid"]);
        }
    };
    with(&|run, proxy| run.args(["--proxy-url", &proxy.url()]), true);
    with(
        &|run, proxy| run.env("LOKI_HTTP_PROXY_URL", proxy.url()),
        true,
    );
    with(&|run, proxy| run.env("HTTP_PROXY", proxy.url()), true);
    with(&|run, proxy| run.env("http_proxy", proxy.url()), true);
    with(&|run, proxy| run.env("HTTPS_PROXY", proxy.url()), false);
    let excepted = |list: &'static str| {
        move |run: LokiPush, proxy: &Proxy| run.env("HTTP_PROXY", proxy.url()).env("NO_PROXY", list)
    };
    with(&excepted("a, .invalid"), false);
    with(&excepted("example.com"), true);
}

#[test]
fn tls_goes_through_a_proxy_untouched() {
    let authority = Authority::new();
    let loki = authority.loki(Flaw::None, None);
    let proxy = Proxy::to(loki.port());
    let address = proxy.url().replace("http://", "http://user:s3cret@");
    let run = impatient(LokiPush::at("https://localhost.invalid:3100"))
        .arg("--tls-skip-verify")
        .env("HTTPS_PROXY", address);
    arrives(run, &loki).expect_silence();
    let heads = proxy.heads();
    assert!(
        heads[0].contains("\r\nProxy-Authorization: Basic dXNlcjpzM2NyZXQ=\r\n"),
        "{heads:?}"
    );
}

#[test]
fn localhost_resolves_even_if_the_system_does_not_know_it() {
    let loki = Loki::start();
    loki.limits(|limits| limits.probes = true);
    let address = format!("http://loki.localhost:{}", loki.port());
    arrives(impatient(LokiPush::at(&address)), &loki).expect_silence();
    let sheet = LokiPush::at(&address).arg("--check").run().expect(0);
    let sheet = sheet.stdout_text();
    assert!(
        sheet.contains("✓ address       loki.localhost: 127.0.0.1"),
        "{sheet}"
    );
}

#[test]
fn a_loopback_address_needs_no_proxy() {
    let loki = Loki::start();
    let proxy = Proxy::denying("403 Forbidden");
    let run = push(&loki).args(["--proxy-url", &proxy.url()]);
    arrives(run.env("HTTP_PROXY", proxy.url()), &loki).expect_silence();
    assert_eq!(proxy.heads(), Vec::<String>::new());
}

#[test]
fn a_proxy_that_denies_is_named_with_the_port() {
    for (answer, words) in [
        (
            "403 Forbidden",
            &[
                "does not allow CONNECT to port 3100",
                "403",
                "omit --proxy-url",
            ][..],
        ),
        ("407 Authenticate", &["requires credentials", "--proxy-url"]),
        ("502 Bad Gateway", &["cannot reach loki.invalid:3100"]),
    ] {
        let proxy = Proxy::denying(answer);
        let address = proxy.url().replace("http://", "http://user:s3cret@");
        let run = impatient(LokiPush::at("http://loki.invalid:3100"));
        let finished = run.args(["-v", "--proxy-url", &address]).run().expect(1);
        let said = &finished.stderr;
        assert!(!said.contains("s3cret"), "{}", finished.report());
        // It is for what the environment says only.
        assert!(!said.contains("NO_PROXY"), "{}", finished.report());
        finished.expect_stderr(words);
    }
    let proxy = Proxy::denying("403 Forbidden");
    let run = impatient(LokiPush::at("http://loki.invalid:3100"));
    fails(
        run.env("HTTP_PROXY", proxy.url()),
        &["does not allow CONNECT", "NO_PROXY=loki.invalid"],
    );
    let nowhere = Loki::reserve();
    let run = impatient(LokiPush::at("http://loki.invalid:3100"));
    fails(
        run.args(["--proxy-url", &nowhere.url()]),
        &[&format!("the proxy 127.0.0.1:{} refuses", nowhere.port())],
    );
}

#[test]
fn secrets_are_nowhere() {
    let loki = Loki::start();
    loki.require(basic("other", "other"));
    let finished = push(&loki)
        .arg("-v")
        .env("LOKI_PUSH_USERNAME", "me")
        .env("LOKI_PUSH_PASSWORD", "s3cret")
        .env("LOKI_PUSH_HEADER", "X-Key: s3cret")
        .run()
        .expect(1);
    assert!(!finished.stderr.contains("s3cret"), "{}", finished.report());
    finished.expect_stderr(["401", "--username and --password"]);
    for help in ["-h", "--help", "--nonsense"] {
        let said = LokiPush::bare()
            .arg(help)
            .env("LOKI_PUSH_PASSWORD", "s3cret")
            .env("LOKI_PUSH_BEARER_TOKEN", "s3cret")
            .run();
        let said = said.stdout_text() + &said.stderr;
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[test]
fn credentials_over_plain_http_are_warned_of() {
    let loki = Loki::start();
    let proxy = Proxy::to(loki.port());
    let run = impatient(LokiPush::at("http://me:pw@loki.invalid:3100"));
    let run = run.args(["--proxy-url", &proxy.url()]);
    arrives(run, &loki).expect_stderr(["plain HTTP", "https"]);
}

/// What only a person can mend about TLS, and how each is told.
fn untrusted() -> Vec<(Loki, &'static str)> {
    let authority = Authority::new();
    vec![
        (authority.loki(Flaw::None, None), "signed by a CA"),
        (tls::serve(&tls::self_signed(), None), "self-signed"),
    ]
}

#[test]
fn a_certificate_that_is_not_trusted_is_said_at_once() {
    let authority = Authority::new();
    let trusting = |flaw, clients| (authority.loki(flaw, clients), Some(authority.file()));
    let theirs = Authority::new();
    let mut cases: Vec<_> = [
        (trusting(Flaw::OtherHost, None), "is for loki.example"),
        (trusting(Flaw::Expired, None), "has expired"),
        (trusting(Flaw::NotYet, None), "not valid yet"),
        (trusting(Flaw::None, Some(&theirs)), "set --cert and --key"),
    ]
    .into();
    cases.extend(
        untrusted()
            .into_iter()
            .map(|(loki, words)| ((loki, None), words)),
    );
    for ((loki, authority), words) in cases {
        // So quiet, and with such a wait before a second try, a passing trouble would not be said.
        let mut run = LokiPush::new(&loki).args(["-q", "--flush-interval", "10ms"]);
        run = run.args(["--retry-backoff", "1h", "--flush-timeout", "0s"]);
        if let Some(file) = authority {
            run = run.arg("--ca-cert").arg(file);
        }
        let run = run.stdin_open().spawn();
        run.write("a\n");
        run.wait_for_stderr(words);
        run.wait_for_stderr("(retrying slowly)");
        assert!(run.is_running());
        let ended = run.wait().expect(1);
        assert_eq!(
            ended.stderr.matches("retrying").count(),
            1,
            "{}",
            ended.report()
        );
        assert!(
            !ended.stderr.contains("check that Loki is running"),
            "{}",
            ended.report()
        );
    }
}

#[test]
fn a_pipe_is_not_held_up_by_a_certificate() {
    for (loki, words) in untrusted() {
        let run = LokiPush::new(&loki)
            .args([
                "--buffer",
                "64KiB",
                "--batch-bytes",
                "16KiB",
                "--gzip-level",
                "0",
            ])
            .args(["--flush-interval", "10ms", "--flush-timeout", "0s"])
            .summed()
            .stdin_open()
            .spawn();
        run.write("a line of some length, and more\n".repeat(60_000));
        run.wait_for_fed(1_900_000);
        run.wait_for_stderr("dropping the newest");
        let ended = run.wait().expect(1).expect_stderr([words]);
        let summary = ended.summary();
        assert_eq!(summary.reasons["buffer full"], summary.dropped);
        assert_eq!((summary.read, summary.delivered), (60_000, 0));
    }
}

#[test]
fn files_end_at_once_where_the_certificate_is_not_trusted() {
    let dir = Dir::new();
    let file = dir.write("app.log", "a\nb\n");
    for (loki, words) in untrusted() {
        let run = LokiPush::new(&loki)
            .arg(&file)
            .args(["--flush-timeout", "1h"]);
        let checkpoint = dir.join("checkpoint.json");
        let ended = run.arg("--checkpoint").arg(checkpoint).summed().run();
        let ended = ended
            .expect(1)
            .expect_stderr([words, "2 entries not delivered"]);
        assert_eq!((ended.summary().left, ended.summary().read), (2, 2));
    }
}

#[test]
fn a_wrong_scheme_is_said_at_once() {
    let go = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 48\r\n\r\n\
               Client sent an HTTP request to an HTTPS server.\n";
    for (scheme, words) in [("https", "does not speak TLS"), ("http", "requires TLS")] {
        let run = LokiPush::at(format!("{scheme}://127.0.0.1:{}", stranger(go)));
        let run = run.args(["-q", "--flush-interval", "10ms", "--flush-timeout", "0s"]);
        let run = run.args(["--retry-backoff", "1h"]).stdin_open().spawn();
        run.write("a\n");
        run.wait_for_stderr(words);
        run.wait().expect(1);
    }
}

#[test]
fn a_machine_without_authorities_is_told_what_to_give() {
    let dir = Dir::new();
    let run = LokiPush::at("https://127.0.0.1:1").args(["-m", "hello"]);
    let empty = dir.write("none.pem", "");
    let run = run.env("SSL_CERT_DIR", dir.path().join("no"));
    let ended = run.env("SSL_CERT_FILE", empty).run().expect(2);
    let ended = ended.expect_stderr(["No CA certificates", "--ca-cert FILE"]);
    assert!(!ended.stderr.contains("unexpected"), "{}", ended.report());
}

#[test]
fn a_token_that_is_renewed_in_its_file_is_taken_at_once() {
    let dir = Dir::new();
    let file = dir.write("token", "first\n");
    let loki = Loki::start();
    loki.require(Auth::Bearer("first".into()));
    let mut run = LokiPush::new(&loki)
        .args(["--flush-interval", "10ms", "--bearer-token-file"])
        .arg(&file)
        .stdin_open()
        .spawn();
    run.write("a\n");
    loki.wait_for_entries(1);
    // As Kubernetes does it: the name stands for another file from one moment to the next.
    let next = dir.write("next", "second\n");
    std::fs::rename(next, &file).expect("a renewal");
    loki.require(Auth::Bearer("second".into()));
    run.write("b\n");
    loki.wait_for_entries(2);
    // One that is gone or empty for a moment is believed still.
    dir.write("token", "");
    run.write("c\n");
    loki.wait_for_entries(3);
    std::fs::remove_file(&file).expect("a file");
    run.write("d\n");
    run.close_stdin();
    run.wait_to_end().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["a", "b", "c", "d"]);
}

#[test]
fn a_password_in_a_file_is_renewed_and_one_in_a_pipe_is_kept() {
    let dir = Dir::new();
    let file = dir.write("password", "first");
    let loki = Loki::start();
    loki.require(basic("me", "first"));
    let run = LokiPush::new(&loki)
        .args(["--flush-interval", "10ms", "--retry-backoff", "20ms"])
        .args(["--username", "me", "--password-file"]);
    let mut run = run.arg(&file).stdin_open().spawn();
    run.write("a\n");
    loki.wait_for_entries(1);
    // Refused first, as a password is changed on one side before the other.
    loki.require(basic("me", "second"));
    run.write("b\n");
    run.wait_for_stderr("401");
    dir.write("password", "second");
    loki.wait_for_entries(2);
    run.close_stdin();
    run.wait_to_end().expect(0);

    let loki = Loki::start();
    loki.require(basic("me", "piped"));
    let run = LokiPush::new(&loki)
        .args(["--username", "me", "--password-file", "/dev/fd/3"])
        .args(["--batch-size", "1", "-0"])
        .stdin_bytes("a\0b\0")
        .in_shell("exec 3<<E\npiped\nE\nexec \"$@\"");
    run.run().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["a", "b"]);
}

#[test]
fn a_renewed_certificate_is_used_for_the_next_connection() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = Authority::new();
    let dir = Dir::new();
    let place = |pair: &tls::Pair| {
        dir.write("cert.pem", &pair.cert);
        dir.write("key.pem", &pair.key);
    };
    place(&old.sign(Flaw::None));
    let loki = server.loki(Flaw::None, Some(&old));
    let run = LokiPush::new(&loki)
        .args([
            "--flush-interval",
            "10ms",
            "--retry-backoff",
            "20ms",
            "--max-backoff",
            "20ms",
        ])
        .arg("--ca-cert")
        .arg(server.file());
    let run = run.arg("--cert").arg(dir.join("cert.pem"));
    let run = run.arg("--key").arg(dir.join("key.pem"));
    let mut run = run.stdin_open().spawn();
    run.write("a\n");
    loki.wait_for_entries(1);
    // Half of a renewal: the pair does not fit, and the old one stays in use.
    let renewed = old.sign(Flaw::None);
    dir.write("cert.pem", &renewed.cert);
    run.write("b\n");
    loki.wait_for_entries(2);
    run.wait_for_stderr("do not belong together: still using the previous certificates");
    let connections = loki.connections();
    dir.write("key.pem", &renewed.key);
    run.write("c\n");
    loki.wait_for_entries(3);
    assert_eq!(loki.connections(), connections + 1, "{loki:?}");
    // One that the server does not trust is noticed, and mended by another renewal.
    place(&new.sign(Flaw::None));
    run.write("d\n");
    run.wait_for_stderr("does not accept our certificate");
    place(&renewed);
    loki.wait_for_entries(4);
    run.close_stdin();
    run.wait_to_end().expect(0);
    assert_eq!(loki.lines(), ["a", "b", "c", "d"]);
}
