//! What stands between the program and Loki, each driven as it is: HAProxy, nginx, Caddy and squid,
//! where they are installed, and servers that behave like them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::daemon::{Daemon, installed};
use crate::support::loki::{Answer, Fault};
use crate::support::tls::{Authority, Flaw};
use crate::support::{Dir, Finished, Loki, LokiPush, stranger};

/// Lines that make a request of some megabytes: more than sockets take on the way.
fn many_lines() -> String {
    texts(40_000, |n| format!("line {n:06} {n:0>90}\n"))
}

fn texts(n: usize, text: impl Fn(usize) -> String) -> String {
    (0..n).map(text).collect::<Vec<_>>().concat()
}

/// Ships them in one request, uncompressed.
fn ship(run: LokiPush, lines: &str) -> Finished {
    let run = run.args([
        "--gzip-level",
        "0",
        "--batch-bytes",
        "16MiB",
        "--batch-size",
        "1000000",
    ]);
    let run = run.args(["--flush-interval", "1m"]).impatient();
    run.stdin_bytes(lines).run()
}

/// Answers the head of every request with this, and closes with the body unread.
fn head_only(answer: &'static str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            _ = client.read(&mut [0; 1024]);
            _ = client.write_all(answer.as_bytes());
        }
    });
    format!("http://127.0.0.1:{port}")
}

#[test]
fn an_answer_to_the_head_of_a_request_is_heard() {
    for (answer, word) in [
        (
            "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
            "401",
        ),
        (
            "HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy",
            "503",
        ),
    ] {
        let run = LokiPush::at(head_only(answer)).args(["--flush-timeout", "3s", "-v"]);
        let ended = ship(run, &many_lines()).expect(1).expect_stderr([word]);
        assert!(!ended.stderr.contains("closed"), "{}", ended.report());
        assert!(!ended.stderr.contains("reset"), "{}", ended.report());
    }
}

#[test]
fn an_answer_is_heard_while_nobody_reads_the_request() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        // Kept open, and never read again.
        let mut open = Vec::new();
        for mut client in listener.incoming().flatten() {
            _ = client.read(&mut [0; 1024]);
            _ = client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
            open.push(client);
        }
    });
    let lines = many_lines().repeat(4);
    let run = LokiPush::at(format!("http://127.0.0.1:{port}"));
    let ended = ship(run.args(["--flush-timeout", "0s"]), &lines).expect(1);
    let ended = ended.expect_stderr(["403"]);
    assert!(ended.elapsed.as_secs() < 9, "{}", ended.report());
}

#[test]
fn haproxy_answers_at_the_head_and_is_obeyed() {
    let lines = many_lines();
    let authority = Authority::new();
    let pair = authority.sign(Flaw::None);
    for (bind, scheme) in [("", "http"), (" ssl crt DIR/pair.pem", "https")] {
        let loki = Loki::start();
        let dir = Dir::new();
        dir.write("pair.pem", format!("{}{}", pair.cert, pair.key));
        let frontend = format!(
            " bind 127.0.0.1:PORT{bind}\n\
             http-request deny deny_status 413 if {{ req.hdr_val(content-length) gt 1000000 }}\n\
             default_backend b\nbackend b\n server s 127.0.0.1:{}",
            loki.port()
        );
        let Some(haproxy) = Daemon::haproxy(dir, &frontend) else {
            return;
        };
        let run = LokiPush::at(haproxy.url(scheme))
            .arg("--ca-cert")
            .arg(authority.file());
        let ended = ship(run.summed(), &lines).expect(0);
        assert_eq!(ended.summary().delivered, 40_000);
        assert_eq!(loki.lines().len(), 40_000, "{}", ended.report());
        loki.assert_clean();

        let dir = Dir::new();
        dir.write("pair.pem", format!("{}{}", pair.cert, pair.key));
        let frontend = format!(" bind 127.0.0.1:PORT{bind}\n http-request auth realm Loki");
        let Some(haproxy) = Daemon::haproxy(dir, &frontend) else {
            return;
        };
        let run = LokiPush::at(haproxy.url(scheme))
            .arg("--ca-cert")
            .arg(authority.file());
        let ended = ship(run.args(["--flush-timeout", "0s"]), &lines).expect(1);
        ended.expect_stderr(["401", "--username"]);
    }
}

#[test]
fn haproxy_without_a_server_is_an_outage() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let backend = format!(
        " bind 127.0.0.1:PORT\n default_backend b\nbackend b\n retries 0\n\
         server s 127.0.0.1:{}",
        loki.port()
    );
    let Some(haproxy) = Daemon::haproxy(Dir::new(), &backend) else {
        return;
    };
    let log = dir.write("app.log", texts(50, |n| format!("line {n}\n")));
    let run = LokiPush::at(haproxy.url("http")).impatient().summed();
    let run = run.arg("--checkpoint").arg(dir.join("cp")).arg(log).spawn();
    run.wait_for_stderr("503");
    loki.restart();
    assert_eq!(run.wait_to_end().expect(0).summary().delivered, 50);
    assert_eq!(loki.lines().len(), 50);
    loki.assert_clean();
}

#[test]
fn haproxy_limits_the_rate_of_requests_and_is_obeyed() {
    let loki = Loki::start();
    let frontend = format!(
        " bind 127.0.0.1:PORT\n stick-table type ip size 10 expire 10s store http_req_rate(1s)\n\
         http-request track-sc0 src\n\
         http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 3 }}\n\
         default_backend b\nbackend b\n server s 127.0.0.1:{}",
        loki.port()
    );
    let Some(haproxy) = Daemon::haproxy(Dir::new(), &frontend) else {
        return;
    };
    let run = LokiPush::at(haproxy.url("http")).summed();
    let run = run.args(["--batch-size", "1", "--retry-backoff", "100ms"]);
    let run = run.args(["--max-backoff", "1s"]);
    let ended = run.stdin_bytes(texts(8, |n| format!("line {n}\n"))).run();
    let summary = ended.expect(0).summary();
    assert_eq!(summary.delivered, 8);
    assert!(summary.retries > 0);
    assert_eq!(loki.lines().len(), 8);
    loki.assert_clean();
}

#[test]
fn a_reload_of_haproxy_loses_and_repeats_nothing() {
    let loki = Loki::start();
    let frontend = format!(
        " bind 127.0.0.1:PORT\n # closed\n default_backend b\nbackend b\n server s 127.0.0.1:{}",
        loki.port()
    );
    let Some(haproxy) = Daemon::haproxy(Dir::new(), &frontend) else {
        return;
    };
    let (open, closed) = ("# closed", "http-request deny deny_status 503");
    let run = LokiPush::at(haproxy.url("http")).args(["--flush-interval", "1ms"]);
    let mut run = run.impatient().summed().stdin_open().spawn();
    run.write("line 0\n");
    loki.wait_for_entries(1);
    haproxy.reload(open, closed);
    let mut lines = 1;
    let deadline = Instant::now() + Duration::from_mins(1);
    // The process of before goes on with its connection until it has answered once more.
    while !run.stderr().contains("503") {
        assert!(Instant::now() < deadline, "{}", run.report());
        run.write(format!("line {lines}\n"));
        lines += 1;
        let is_seen = || loki.look(|seen| seen.entries.len() >= lines);
        while !is_seen() && !run.stderr().contains("503") && Instant::now() < deadline {
            thread::yield_now();
        }
    }
    haproxy.reload(closed, open);
    loki.wait_for_entries(lines);
    run.close_stdin();
    assert_eq!(
        run.wait_to_end().expect(0).summary().delivered,
        lines as u64
    );
    let expected: Vec<String> = (0..lines).map(|n| format!("line {n}")).collect();
    assert_eq!(loki.lines(), expected);
    loki.assert_clean();
}

#[test]
fn a_response_with_large_headers_is_read() {
    let filler = texts(60, |n| format!("X-Filler-{n}: {}\r\n", "x".repeat(1_000)));
    let answer = format!("HTTP/1.1 204 No Content\r\n{filler}\r\n").leak();
    let run = LokiPush::at(format!("http://127.0.0.1:{}", stranger(answer.as_bytes())));
    run.args(["-m", "hello", "--flush-timeout", "0s"])
        .run()
        .expect(0)
        .expect_silence();

    let many = texts(129, |n| format!("X-{n}: 1\r\n"));
    let large = texts(70, |n| format!("X-{n}: {}\r\n", "x".repeat(1_000)));
    let run = |status: &str, filler: &str| {
        let answer = format!("HTTP/1.1 {status}\r\n{filler}\r\n").leak();
        let run = LokiPush::at(format!("http://127.0.0.1:{}", stranger(answer.as_bytes())));
        run.args(["-m", "hello", "--flush-timeout", "0s"]).run()
    };
    // What Loki has accepted is not sent again.
    for filler in [&many, &large] {
        run("204 No Content", filler).expect(0).expect_silence();
    }
    let ended = run("500 Oh", &many).expect(1);
    ended.expect_stderr(["more than 128 lines of headers"]);
    let ended = run("500 Oh", &large).expect(1);
    ended.expect_stderr(["more than 64 KiB of headers"]);
}

#[test]
fn a_connection_closed_while_idle_is_replaced_at_once() {
    let loki = Loki::start();
    // As a server does that closes at the moment the request arrives.
    loki.faults([Fault::Pass, Fault::Reset]);
    let run = LokiPush::new(&loki).args(["--flush-interval", "10ms", "--retry-backoff", "1h"]);
    let mut run = run.stdin_open().spawn();
    run.write("a\n");
    loki.wait_for_entries(1);
    run.write("b\n");
    loki.wait_for_entries(2);
    run.close_stdin();
    run.wait_to_end().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["a", "b"]);
    // On a new connection it is an outage.
    let loki = Loki::start();
    loki.faults([Fault::Reset, Fault::Reset]);
    let run = LokiPush::new(&loki).args(["-m", "x", "-v"]).impatient();
    run.run().expect(0).expect_stderr(["retrying"]);
}

#[test]
fn squid_allows_connect_to_443_only_and_says_so() {
    let Some(squid) = installed("squid") else {
        return;
    };
    let dir = Dir::new();
    let config = "http_port 127.0.0.1:PORT\nacl SSL_ports port 443\nacl CONNECT method CONNECT\n\
        http_access deny CONNECT !SSL_ports\nhttp_access allow all\npid_filename DIR/squid.pid\n\
        cache_log DIR/cache.log\naccess_log none\nvisible_hostname x\n\
        coredump_dir DIR\nnetdb_filename none\npinger_enable off\n";
    let squid = Daemon::start(
        &squid,
        &["-N", "-n", "squidPORT", "-f", "DIR/config"],
        dir,
        config,
    );
    let proxy = squid.url("http");
    let run = LokiPush::at("http://loki.invalid:3100").env("HTTP_PROXY", &proxy);
    let ended = run
        .args(["-m", "x", "--flush-timeout", "0s"])
        .run()
        .expect(1);
    ended.expect_stderr([
        "CONNECT to port 3100",
        "acl SSL_ports port 3100",
        "NO_PROXY=loki.invalid",
    ]);
}

#[test]
fn squid_asks_for_credentials_and_passes_on() {
    let helper = Path::new("/usr/lib/squid/basic_fake_auth");
    let Some(squid) = installed("squid").filter(|_| helper.exists()) else {
        return;
    };
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("hosts", "127.0.0.1 loki.test\n");
    let config = format!(
        "http_port 127.0.0.1:PORT\nauth_param basic program {}\nacl known proxy_auth REQUIRED\n\
         http_access allow known\nhttp_access deny all\nhosts_file DIR/hosts\n\
         pid_filename DIR/squid.pid\ncache_log DIR/cache.log\naccess_log none\n\
         visible_hostname x\ncoredump_dir DIR\nnetdb_filename none\npinger_enable off\n",
        helper.display()
    );
    let args = ["-N", "-n", "squidPORT", "-f", "DIR/config"];
    let squid = Daemon::start(&squid, &args, dir, &config);
    let run = |proxy: String| {
        let run = LokiPush::at(format!("http://loki.test:{}", loki.port()));
        let run = run.env("HTTP_PROXY", proxy);
        run.args(["-m", "x", "--flush-timeout", "0s"]).run()
    };
    let ended = run(squid.url("http")).expect(1);
    ended.expect_stderr(["requires credentials (407)", "USER:PASSWORD"]);
    run(format!("http://me:secret@127.0.0.1:{}", squid.port)).expect(0);
    assert_eq!(loki.lines(), ["x"]);
}

#[test]
fn a_response_that_ends_too_early_is_no_answer() {
    let cut = "HTTP/1.1 400 Bad Request\r\nContent-Length: 500\r\n\r\nentry for stream";
    let run = LokiPush::at(format!("http://127.0.0.1:{}", stranger(cut.as_bytes())));
    let ended = run
        .args(["-m", "x", "--flush-timeout", "0s"])
        .summed()
        .run()
        .expect(1);
    assert_eq!(
        (ended.summary().left, ended.summary().refused),
        (1, 0),
        "{}",
        ended.report()
    );
}

#[test]
fn nginx_without_our_certificate_loses_nothing() {
    let (authority, loki) = (Authority::new(), Loki::start());
    let pair = authority.sign(Flaw::None);
    let dir = Dir::new();
    dir.write("cert.pem", &pair.cert);
    dir.write("key.pem", &pair.key);
    let server = format!(
        "listen 127.0.0.1:PORT ssl; ssl_certificate DIR/cert.pem; ssl_certificate_key DIR/key.pem;\n\
         ssl_client_certificate {}; ssl_verify_client on;\n\
         location / {{ proxy_pass http://127.0.0.1:{}; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; }}",
        authority.file().display(),
        loki.port()
    );
    let Some(nginx) = Daemon::nginx(dir, &server) else {
        return;
    };
    let dir = Dir::new();
    let log = dir.write("app.log", "x\n");
    let run = |client: Option<(PathBuf, PathBuf)>| {
        let run = LokiPush::at(nginx.url("https")).args(["--flush-timeout", "0s"]);
        let run = run.arg("--ca-cert").arg(authority.file()).summed();
        let run = run.arg("--checkpoint").arg(dir.join("cp")).arg(&log);
        match client {
            Some((cert, key)) => run.arg("--cert").arg(cert).arg("--key").arg(key).run(),
            None => run.run(),
        }
    };
    let expired = authority.sign(Flaw::Expired);
    let expired = (
        dir.write("old.pem", expired.cert),
        dir.write("old-key.pem", expired.key),
    );
    let other = Authority::new();
    for (client, remedy) in [
        (None, "--cert and --key"),
        (Some(expired), "--cert"),
        (Some(other.client_files("other")), "--cert"),
    ] {
        let ended = run(client).expect(1).expect_stderr(["400", remedy]);
        let summary = ended.summary();
        assert_eq!((summary.left, summary.refused), (1, 0), "{ended:?}");
    }
    run(Some(authority.client_files("client"))).expect(0);
    assert_eq!(loki.lines(), ["x"]);
    loki.assert_clean();
}

#[test]
fn nginx_limits_size_and_rate_and_is_obeyed() {
    let loki = Loki::start();
    let server = format!(
        "listen 127.0.0.1:PORT; client_max_body_size 200k; limit_req zone=z burst=2 nodelay;\n\
         location / {{ proxy_pass http://127.0.0.1:{}; proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\"; }} }}\n\
         limit_req_zone $server_port zone=z:32k rate=20r/s; server {{",
        loki.port()
    );
    let Some(nginx) = Daemon::nginx(Dir::new(), &server) else {
        return;
    };
    let lines = texts(20_000, |n| format!("line {n:06} {n:0>90}\n"));
    let ended = ship(LokiPush::at(nginx.url("http")).summed(), &lines).expect(0);
    assert_eq!(ended.summary().delivered, 20_000, "{ended:?}");
    assert_eq!(loki.lines().len(), 20_000);
    loki.assert_clean();
}

#[test]
fn caddy_passes_requests_on_and_its_outage_is_one() {
    let Some(caddy) = installed("caddy") else {
        return;
    };
    let loki = Loki::start();
    let config = format!(
        "{{\n admin off\n auto_https off\n}}\nhttp://127.0.0.1:PORT {{\n reverse_proxy 127.0.0.1:{}\n}}\n",
        loki.port()
    );
    let args = ["run", "--config", "DIR/config", "--adapter", "caddyfile"];
    let caddy = Daemon::start(&caddy, &args, Dir::new(), &config);
    let run = || LokiPush::at(caddy.url("http")).args(["-m", "x", "--flush-timeout", "0s"]);
    run().run().expect(0).expect_silence();
    assert_eq!(loki.lines(), ["x"]);
    loki.stop();
    let ended = run().summed().run().expect(1).expect_stderr(["502"]);
    assert_eq!(ended.summary().left, 1, "{}", ended.report());
}

/// A gateway that never lets one line through, and everything else.
fn firewall(status: u16) -> Loki {
    let loki = Loki::start();
    loki.respond_with(move |push| {
        let is_bad = push
            .entries
            .iter()
            .any(|entry| entry.line.contains("attack"));
        let page = "<html><head><title>Blocked</title></head></html>";
        is_bad.then(|| Fault::Answer(Answer::new(status).body(page)))
    });
    loki
}

/// Lines of two streams, with one attack.
fn with_an_attack() -> String {
    texts(600, |n| match n {
        337 => "level=info GET /?q=attack\n".into(),
        n if n % 10 == 0 => format!("level=error failed {n}\n"),
        n => format!("level=info GET /{n}\n"),
    })
}

fn assert_found(loki: &Loki, dir: &Dir, refused: u64, ended: &Finished) {
    let minutes = Duration::from_mins(1)..Duration::from_mins(5);
    assert!(minutes.contains(&ended.elapsed), "{}", ended.report());
    assert_eq!(refused, 1, "{}", ended.report());
    assert_eq!(loki.lines().len(), 599, "{}", ended.report());
    let dead = std::fs::read_to_string(dir.join("refused.log")).expect("a dead letter");
    assert_eq!(dead.lines().count(), 1, "{dead}");
    assert!(dead.contains("attack"), "{dead}");
    loki.assert_clean();
}

/// `cargo test --test integration real_minute -- --ignored`: `delivery::sender::tests` has the same
/// with a minute of one second.
#[test]
#[ignore = "takes up to three minutes"]
fn in_a_real_minute_one_entry_that_never_passes_is_found() {
    fn run(loki: &Loki, dir: &Dir) -> LokiPush {
        let run = LokiPush::new(loki).summed().arg("--dead-letter");
        run.arg(dir.join("refused.log"))
            .deadline(Duration::from_mins(6))
    }
    thread::scope(|scope| {
        for status in [403, 500] {
            scope.spawn(move || {
                let (loki, dir) = (firewall(status), Dir::new());
                let ended = run(&loki, &dir)
                    .stdin_bytes(with_an_attack())
                    .run()
                    .expect(1);
                assert_found(&loki, &dir, ended.summary().refused, &ended);
            });
            scope.spawn(move || {
                let (loki, dir) = (firewall(status), Dir::new());
                let log = dir.write("app.log", with_an_attack());
                let again = || {
                    run(&loki, &dir)
                        .arg("--checkpoint")
                        .arg(dir.join("cp"))
                        .arg(&log)
                };
                let ended = again().run().expect(1);
                assert_found(&loki, &dir, ended.summary().refused, &ended);
                assert_eq!(again().run().expect(0).summary().read, 0);
            });
            scope.spawn(move || {
                let (loki, dir) = (firewall(status), Dir::new());
                let log = dir.write("app.log", with_an_attack());
                let job = ["--no-exit-entry", "--app=default", "--", "sh", "-c"];
                let run = run(&loki, &dir).args(job);
                let run = run.arg("cat \"$0\"; exit 7").arg(log);
                let ended = run.run().expect(7);
                assert_found(&loki, &dir, ended.summary().refused, &ended);
            });
            scope.spawn(move || {
                let (loki, dir) = (firewall(status), Dir::new());
                let spool = |run: LokiPush| run.arg("--spool").arg(dir.join("spool"));
                let down = LokiPush::at("http://127.0.0.1:1").args(["--flush-timeout=100ms"]);
                spool(down).stdin_bytes(with_an_attack()).run().expect(0);
                let run = run(&loki, &dir).arg("--drain=all");
                let ended = spool(run).run().expect(1);
                assert_found(&loki, &dir, ended.summary().adopted_refused, &ended);
            });
        }
    });
}
