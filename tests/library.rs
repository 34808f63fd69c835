//! The library in a program of few lines, against the strict stand-in and against transports of
//! its own: nothing is lost uncounted, nothing waits for Loki, nothing shows a secret.

use std::error::Error;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use loki_push::{Auth, Config, Level, Loki, OnFull, Record, Request, Response, Stats, Transport};

use crate::support::in_time;
use crate::support::loki::{Auth as Wanted, Fault, Loki as StandIn};
use crate::support::tls::{self, Authority, Flaw};

/// No test waits longer.
const LONG: Duration = Duration::from_secs(30);

fn config(loki: &StandIn) -> Config {
    Config::new(loki.url())
        .app("api")
        .flush_timeout(LONG)
        .retry_backoff(Duration::from_millis(10))
}

fn adds_up(stats: &Stats) {
    let known = stats.sent + stats.refused + stats.dropped + stats.pending;
    assert_eq!(stats.logged, known, "{stats}");
    assert!(stats.retrying <= stats.pending, "{stats:?}");
}

/// Waits until it is so.
fn until(so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !so() {
        assert!(Instant::now() < deadline, "waited {LONG:?} in vain");
        thread::yield_now();
    }
}

/// A transport that keeps what it is given, and can hold everything up.
#[derive(Default)]
struct Kept {
    lines: Mutex<Vec<String>>,
    held: Mutex<bool>,
    released: Condvar,
}

impl Kept {
    fn holding() -> Arc<Self> {
        let kept = Self::default();
        *kept.held.lock().expect("a lock") = true;
        Arc::new(kept)
    }

    fn release(&self) {
        *self.held.lock().expect("a lock") = false;
        self.released.notify_all();
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("a lock").clone()
    }
}

impl Transport for Kept {
    fn send(&self, request: &Request, _timeout: Duration) -> Response {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.released.wait_while(held, |held| *held));
        let lines = request.lines();
        assert_eq!(lines.len(), request.entries());
        self.lines.lock().expect("a lock").extend(lines);
        Response::status(204)
    }
}

/// What a program does, in as many lines as the promise has.
fn program(url: String, patience: Duration) -> Result<Stats, Box<dyn Error>> {
    let config = Config::new(url)
        .app("api")
        .environment("prod")
        .flush_timeout(patience);
    let loki = Loki::new(config)?;
    loki.info("user logged in", &[("user_id", &42), ("path", &"/a b")]);
    loki.error("payment failed", &[("order", &"A-17")]);
    #[cfg(feature = "log")]
    {
        let logger = loki.logger();
        let record = log::Record::builder().args(format_args!("paid")).build();
        log::Log::log(&logger, &record);
    }
    loki.log(Record::new(Level::Critical, "disk is full").metadata("trace_id", "0af7"));
    let _ = loki.flush();
    Ok(loki.stop())
}

const LOGGED: u64 = if cfg!(feature = "log") { 4 } else { 3 };

#[test]
fn a_program_of_few_lines_logs() {
    let loki = StandIn::start();
    let stats = program(loki.url(), LONG).expect("a configuration");
    assert_eq!((stats.logged, stats.sent), (LOGGED, LOGGED), "{stats}");
    adds_up(&stats);
    let of = |level| loki.lines_of(&[("app", "api"), ("env", "prod"), ("level", level)]);
    let first = r#"user logged in | user_id=42 path="/a b""#;
    assert_eq!(of("info")[0], first);
    assert_eq!(of("error"), ["payment failed | order=A-17"]);
    assert_eq!(of("critical"), ["disk is full"]);
    let entries = loki.entries();
    let disk = entries.iter().find(|entry| entry.line == "disk is full");
    assert_eq!(disk.expect("an entry").metadata["trace_id"], "0af7");
    loki.assert_clean();
}

#[test]
fn a_program_is_hurt_by_nothing_when_loki_is_away() {
    let away = StandIn::reserve();
    in_time(Duration::from_secs(10), || {
        let began = Instant::now();
        let patience = Duration::from_millis(300);
        let stats = program(away.url(), patience).expect("a configuration");
        let took = began.elapsed();
        assert_eq!((stats.sent, stats.dropped), (0, LOGGED), "{stats}");
        assert_eq!(stats.reasons["left at the stop"], LOGGED);
        assert_eq!(stats.trouble.as_deref(), Some("connection refused"));
        adds_up(&stats);
        took
    });
}

#[test]
fn what_was_logged_while_loki_was_away_arrives_later() {
    let stand_in = StandIn::reserve();
    let loki = Loki::new(config(&stand_in).flush_timeout(Duration::from_millis(200))).unwrap();
    loki.info("early", &[]);
    let error = loki.flush().expect_err("nobody is there");
    assert_eq!(error.pending(), 1);
    assert!(error.to_string().contains("connection refused"), "{error}");
    let stats = loki.stats();
    assert_eq!((stats.pending, stats.retrying), (1, 1), "{stats:?}");
    stand_in.restart();
    stand_in.wait_for_entries(1);
    loki.info("late", &[]);
    // A drop would wait for no longer than a flush.
    stand_in.wait_for_entries(2);
    assert_eq!(stand_in.lines(), ["early", "late"]);
}

#[test]
fn dropping_the_last_clone_delivers() {
    let stand_in = StandIn::start();
    let loki = Loki::new(config(&stand_in).flush_interval(LONG)).unwrap();
    let clone = loki.clone();
    loki.info("one", &[]);
    drop(loki);
    clone.info("two", &[]);
    drop(clone);
    assert_eq!(stand_in.lines(), ["one", "two"]);
}

#[test]
fn stopping_twice_is_stopping_once() {
    let stand_in = StandIn::start();
    let loki = Loki::new(config(&stand_in)).unwrap();
    loki.info("one", &[]);
    let first = loki.stop();
    assert_eq!(loki.stop(), first);
    loki.info("too late", &[]);
    let stats = loki.stats();
    assert_eq!((stats.logged, stats.sent, stats.dropped), (2, 1, 1));
    assert_eq!(stats.reasons["stopped"], 1);
    assert!(loki.flush().is_ok(), "nothing waits");
    assert_eq!(stand_in.lines(), ["one"]);
}

#[test]
fn a_stop_leaves_time_for_a_last_try_of_a_request_that_hangs() {
    let stand_in = StandIn::start();
    stand_in.fault(Fault::Hang);
    let time = Duration::from_secs(2);
    let config = config(&stand_in).flush_interval(Duration::from_millis(1));
    let loki = Loki::new(config.timeout(LONG).flush_timeout(time)).unwrap();
    loki.info("one", &[]);
    stand_in.wait_for_requests(1);
    let began = Instant::now();
    let stats = loki.stop();
    assert_eq!((stats.sent, stats.pending), (1, 0), "{stats:?}");
    // Three quarters of the time are for the request, the rest for the last try.
    assert!(began.elapsed() < time, "{:?}", began.elapsed());
    assert_eq!(stand_in.lines(), ["one"]);
}

#[test]
fn a_flush_sends_at_once_and_waits_until_all_is_settled() {
    let kept = Kept::holding();
    let config = Config::new("http://loki").flush_interval(LONG);
    let loki = Loki::with_transport(config.flush_timeout(LONG), kept.clone()).unwrap();
    loki.info("one", &[]);
    loki.warn("two", &[]);
    thread::scope(|scope| {
        let flush = scope.spawn(|| (loki.flush(), kept.lines().len()));
        until(|| loki.stats().batches == 1);
        adds_up(&loki.stats());
        assert_eq!(loki.stats().pending, 2);
        kept.release();
        assert_eq!(flush.join().expect("a thread"), (Ok(()), 2));
    });
    let stats = loki.stats();
    assert_eq!((stats.sent, stats.pending, stats.batches), (2, 0, 1));
    assert!(loki.flush().is_ok(), "there is nothing to do");
}

#[test]
fn many_threads_lose_nothing_and_keep_their_order() {
    const THREADS: usize = 8;
    const EACH: usize = 5_000;
    let stand_in = StandIn::start();
    let loki = Loki::new(config(&stand_in)).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let loki = &loki;
            scope.spawn(move || {
                for n in 0..EACH {
                    loki.info("work", &[("thread", &thread), ("n", &n)]);
                    if n % 1_000 == 0 {
                        adds_up(&loki.stats());
                    }
                }
            });
        }
    });
    loki.flush().expect("a flush");
    let stats = loki.stop();
    assert_eq!(stats.sent, (THREADS * EACH) as u64, "{stats}");
    adds_up(&stats);
    // By time, as a query shows them.
    let lines = stand_in.lines();
    for thread in 0..THREADS {
        let own = format!("work | thread={thread} n=");
        let order = lines.iter().filter_map(|line| line.strip_prefix(&own));
        assert!(
            order.map(|n| n.parse::<usize>().unwrap()).eq(0..EACH),
            "{thread}"
        );
    }
    stand_in.assert_clean();
}

#[test]
fn a_full_buffer_drops_and_counts_and_never_blocks() {
    for policy in [OnFull::DropNewest, OnFull::DropOldest] {
        let kept = Kept::holding();
        let config = Config::new("http://loki")
            .buffer(8 * 1024)
            .batch_size(10)
            .gzip_level(0)
            .on_full(policy)
            .flush_timeout(LONG);
        let loki = Loki::with_transport(config, kept.clone()).unwrap();
        for n in 0..2_000 {
            loki.info("work", &[("n", &n)]);
        }
        let before = loki.stats();
        adds_up(&before);
        assert_eq!(before.logged, 2_000);
        kept.release();
        loki.flush().expect("a flush");
        let stats = loki.stats();
        adds_up(&stats);
        assert!(stats.dropped > 0 && stats.sent > 0, "{stats}");
        assert_eq!((stats.pending, stats.sent), (0, kept.lines().len() as u64));
        assert_eq!(stats.reasons["buffer full"], stats.dropped);
    }
}

#[test]
fn a_caller_that_asked_for_it_waits_for_room() {
    let kept = Kept::holding();
    let config = Config::new("http://loki")
        .buffer(8 * 1024)
        .batch_size(10)
        .gzip_level(0)
        .on_full(OnFull::Block)
        .flush_timeout(LONG);
    let loki = Loki::with_transport(config, kept.clone()).unwrap();
    thread::scope(|scope| {
        let log = || (0..2_000).for_each(|n| loki.info("work", &[("n", &n)]));
        let callers = [scope.spawn(log), scope.spawn(log)];
        until(|| loki.stats().logged >= 50);
        assert!(!callers[0].is_finished(), "{}", loki.stats());
        kept.release();
    });
    let stats = loki.stop();
    assert_eq!((stats.sent, stats.dropped), (4_000, 0), "{stats}");
}

#[test]
fn a_stop_frees_callers_that_wait() {
    let kept = Kept::holding();
    let config = Config::new("http://loki")
        .buffer(1024)
        .on_full(OnFull::Block)
        .flush_timeout(Duration::from_millis(50));
    let loki = Loki::with_transport(config, kept.clone()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| (0..1_000).for_each(|n| loki.info("work", &[("n", &n)])));
        until(|| loki.stats().logged > 0);
        adds_up(&loki.stop());
    });
    let stats = loki.stats();
    assert_eq!((stats.logged, stats.pending), (1_000, 0), "{stats}");
    adds_up(&stats);
    kept.release();
}

#[test]
fn refusals_are_errors_and_say_why() {
    struct No;
    impl Transport for No {
        fn send(&self, _: &Request, _: Duration) -> Response {
            Response::status(400).with_text("couldn't parse labels: no such thing")
        }
    }
    let loki = Loki::with_transport(Config::new("http://loki"), Arc::new(No)).unwrap();
    loki.error("one", &[]);
    loki.flush().expect("a refusal settles");
    let stats = loki.stats();
    assert_eq!((stats.refused, stats.sent), (1, 0), "{stats}");
    assert_eq!(stats.reasons["status 400"], 1);
    adds_up(&stats);
}

#[test]
fn retries_come_to_an_end_where_they_are_told_to() {
    struct Down;
    impl Transport for Down {
        fn send(&self, _: &Request, _: Duration) -> Response {
            Response::failed("down")
        }
    }
    let config = Config::new("http://loki")
        .max_retries(2)
        .retry_backoff(Duration::from_millis(1))
        .flush_timeout(LONG);
    let loki = Loki::with_transport(config, Arc::new(Down)).unwrap();
    loki.info("one", &[]);
    loki.flush().expect("given up is settled");
    let stats = loki.stats();
    assert_eq!((stats.dropped, stats.retries), (1, 2), "{stats}");
    assert_eq!(stats.reasons["retries exhausted"], 1);
}

#[test]
fn credentials_tenant_and_own_times_arrive() {
    let stand_in = StandIn::start();
    stand_in.require(Wanted::Bearer("t0ken".into()));
    stand_in.require_tenant();
    let config = config(&stand_in)
        .auth(Auth::bearer("t0ken"))
        .tenant("acme")
        .label("host", "web-1");
    let loki = Loki::new(config).unwrap();
    assert!(loki.warnings().is_empty(), "this machine is no other host");
    let time = SystemTime::now() - Duration::from_secs(60);
    loki.log(Record::new(Level::Info, "then").timestamp(time));
    loki.log(Record::new(Level::Info, "then").timestamp(time));
    loki.flush().expect("a flush");
    let entries = stand_in.entries();
    let nanoseconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(entries[0].time, nanoseconds.as_nanos() as i64);
    assert_eq!(entries[1].time, entries[0].time + 1, "equal ones are two");
    assert_eq!(entries[0].labels["host"], "web-1");
    assert_eq!(stand_in.requests()[0].tenant, "acme");
    stand_in.assert_clean();
}

/// A transport that answers as it is told, and then takes everything.
struct Script(Mutex<Vec<Response>>);

impl Transport for Script {
    fn send(&self, _: &Request, _: Duration) -> Response {
        let mut answers = self.0.lock().expect("a lock");
        answers.pop().unwrap_or(Response::status(204))
    }
}

#[test]
fn what_only_a_person_mends_is_tried_on_until_it_is_mended() {
    let untrusted = || Response::Failed {
        text: "nobody trusts it".into(),
        permanent: true,
    };
    let script = Arc::new(Script(Mutex::default()));
    let config = Config::new("https://loki")
        .retry_backoff(Duration::from_millis(10))
        .max_backoff(Duration::from_millis(20))
        .flush_timeout(LONG);
    let loki = Loki::with_transport(config, script.clone()).expect("a configuration");
    // Before anything has passed, and after.
    for sent in [1, 2] {
        *script.0.lock().expect("a lock") = vec![untrusted(), untrusted()];
        loki.info("hello", &[]);
        loki.flush().expect("a delivery");
        let stats = loki.stats();
        assert_eq!((stats.sent, stats.retries), (sent, 2 * sent), "{stats}");
    }
    let stats = loki.stop();
    assert_eq!(stats.trouble, None);
    adds_up(&stats);
}

#[test]
fn an_empty_name_is_no_name() {
    let stand_in = StandIn::start();
    let loki = Loki::new(config(&stand_in).app("")).expect("a configuration");
    loki.info("hello", &[]);
    loki.flush().expect("a delivery");
    let labels = [("app", "default"), ("level", "info")];
    assert_eq!(stand_in.lines_of(&labels), ["hello"]);
}

#[test]
fn a_long_message_loses_nothing() {
    let kept = Arc::new(Kept::default());
    let config = Config::new("http://loki").max_message_size(100);
    let loki = Loki::with_transport(config, kept.clone()).unwrap();
    loki.info(&"0123456789".repeat(30), &[("k", &"v")]);
    loki.flush().expect("a flush");
    let lines = kept.lines();
    assert!(
        lines
            .iter()
            .all(|line| line.len() <= 100 && line.ends_with(" | k=v"))
    );
    let text: String = lines.iter().map(|line| &line[..line.len() - 6]).collect();
    assert_eq!(text, "0123456789".repeat(30));
    assert_eq!(loki.stats().logged, lines.len() as u64);
}

#[test]
fn secrets_show_nowhere() {
    let config = Config::new("http://bob:s3cret@loki.example.com");
    let loki = Loki::new(config.clone()).unwrap();
    let other = Config::new("http://loki.example.com").auth(Auth::basic("bob", "s3cret"));
    let both = config.clone().auth(Auth::bearer("s3cret"));
    let bad = other.clone().auth(Auth::bearer("s3cret\n"));
    let texts = [
        format!("{config:?} {loki:?} {other:?} {both:?} {bad:?}"),
        format!("{:?}", Auth::basic("bob", "s3cret")),
        format!("{:?}", loki.warnings()),
        Loki::new(both).expect_err("two of them").to_string(),
        Loki::new(bad).expect_err("a line end").to_string(),
    ];
    assert!(
        texts.iter().all(|text| !text.contains("s3cret")),
        "{texts:?}"
    );
    let warned = "sending credentials to loki.example.com over plain HTTP";
    assert!(texts[2].contains(warned), "{}", texts[2]);
    let unverified = Config::new("https://bob:s3cret@loki.example.com").tls_skip_verify(true);
    let warnings = format!("{:?}", Loki::new(unverified).unwrap().warnings());
    let warned = "sending credentials to loki.example.com without verifying its certificate";
    assert!(
        warnings.contains(warned) && !warnings.contains("s3cret"),
        "{warnings}"
    );
}

#[test]
fn errors_name_the_setting_and_the_remedy() {
    let base = || Config::new("http://localhost:3100");
    let secure = || Config::new("https://loki.example");
    let (one, two) = (tls::self_signed(), tls::self_signed());
    for (config, setting, remedy) in [
        (Config::new("localhost:3100"), "endpoint", "http://"),
        (base().app("a\u{FFFD}"), "app", "UTF-8"),
        (base().environment("x".repeat(3000)), "environment", "2048"),
        (base().label("a-b", "c"), "label", "letters"),
        (base().label("level", "info"), "label", "remove it"),
        (base().batch_size(0), "batch_size", "at least 1"),
        (base().max_batch_bytes(0), "max_batch_bytes", "at least 1"),
        (base().buffer(0), "buffer", "at least 1"),
        (base().max_message_size(9), "max_message_size", "at least"),
        (
            base().max_message_size(2 << 30),
            "max_message_size",
            "1 GiB",
        ),
        (base().gzip_level(10), "gzip_level", "1 (fast) to 9"),
        (base().timeout(Duration::ZERO), "timeout", "more than 0"),
        (
            base().max_backoff(Duration::from_millis(1)),
            "max_backoff",
            "increase it",
        ),
        (base().tenant("a\nb"), "tenant", "letters, digits"),
        (secure().ca_certificate("junk"), "ca_certificate", "in PEM"),
        (
            secure().client_certificate("junk", "junk"),
            "client_certificate",
            "in PEM",
        ),
        (
            secure().client_certificate(one.cert, two.key),
            "client_certificate",
            "belong together",
        ),
        (secure().proxy("http://"), "proxy", "http://HOST:PORT"),
        (base().auth(Auth::bearer("")), "auth", "omit auth"),
        (base().auth(Auth::basic("a:b", "c")), "auth", "`:`"),
    ] {
        let error = Loki::new(config).expect_err(setting);
        assert_eq!(error.setting(), setting);
        let text = error.to_string();
        assert!(text.starts_with(setting) && text.contains(remedy), "{text}");
        assert!(!text.contains("--"), "a program has no options: {text}");
    }
}

/// What keeps an entry from a Loki, in the client's words.
fn trouble(config: Config) -> String {
    let config = config
        .timeout(Duration::from_secs(20))
        .flush_timeout(Duration::ZERO);
    let loki = Loki::new(config).expect("a configuration");
    loki.info("hello", &[]);
    loki.stop().trouble.expect("a trouble")
}

#[test]
fn troubles_speak_of_settings_and_not_of_options() {
    let (authority, theirs) = (Authority::new(), Authority::new());
    let pem = |authority: &Authority| std::fs::read(authority.file()).expect("a file");
    let secure = authority.loki(Flaw::None, None);
    let choosy = authority.loki(Flaw::None, Some(&theirs));
    let away = StandIn::reserve();
    for (config, words) in [
        (
            Config::new(secure.url()),
            &[
                "trust it with Config::ca_certificate",
                "Config::tls_skip_verify",
            ][..],
        ),
        (
            Config::new(secure.url()).ca_certificate(pem(&theirs)),
            &["not signed by the CA in Config::ca_certificate"],
        ),
        (
            Config::new(choosy.url()).ca_certificate(pem(&authority)),
            &["set Config::client_certificate"],
        ),
        (
            Config::new("http://loki.invalid").proxy(away.url()),
            &["the proxy 127.0.0.1", "refuses connections"],
        ),
        (
            Config::new(secure.url().replace("https", "http")),
            &["the endpoint", "https://"],
        ),
    ] {
        let said = trouble(config);
        let all = words.iter().all(|word| said.contains(word));
        assert!(all && !said.contains("--"), "{said}");
    }
}

#[test]
fn certificates_are_settings() {
    let (authority, theirs) = (Authority::new(), Authority::new());
    let pem = |path| std::fs::read(path).expect("a file");
    let (cert, key) = theirs.client_files("friend");
    let delivers = |stand_in: &StandIn, change: &dyn Fn(Config) -> Config| {
        let loki = Loki::new(change(config(stand_in))).expect("a configuration");
        loki.info("hello", &[]);
        assert_eq!(loki.stop().sent, 1, "{}", loki.stats());
    };
    let stand_in = authority.loki(Flaw::None, Some(&theirs));
    delivers(&stand_in, &|config| {
        config
            .ca_certificate(pem(authority.file()))
            .client_certificate(pem(cert.clone()), pem(key.clone()))
    });
    let stand_in = authority.loki(Flaw::Expired, None);
    delivers(&stand_in, &|config| config.tls_skip_verify(true));
    let shown = format!(
        "{:?}",
        Config::new("https://loki")
            .client_certificate("s3cret", "s3cret")
            .proxy("http://me:s3cret@proxy:3128")
    );
    assert!(
        shown.contains("proxy:3128") && !shown.contains("s3cret"),
        "{shown}"
    );
}

#[test]
fn a_transport_that_panics_has_failed() {
    /// Panics so many times.
    struct Mine(Mutex<u32>);
    impl Transport for Mine {
        fn send(&self, _: &Request, _: Duration) -> Response {
            let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *left = left.saturating_sub(1);
            assert!(*left == 0, "the disk of the test is full");
            Response::status(204)
        }
    }
    let config = || Config::new("http://loki").retry_backoff(Duration::from_millis(1));
    let mine = Arc::new(Mine(Mutex::new(3)));
    let loki = Loki::with_transport(config().flush_timeout(LONG), mine).unwrap();
    loki.info("one", &[]);
    loki.flush().expect("it passes at the third try");
    let stats = loki.stop();
    assert_eq!((stats.sent, stats.retries), (1, 2), "{stats}");
    let never = Arc::new(Mine(Mutex::new(u32::MAX)));
    let config = config().retry_backoff(LONG).max_backoff(LONG);
    let loki = Loki::with_transport(config.flush_timeout(Duration::from_millis(50)), never);
    let loki = loki.unwrap();
    loki.info("one", &[]);
    let error = loki.flush().expect_err("it panics").to_string();
    assert!(error.contains("the disk of the test is full"), "{error}");
    let stats = loki.stats();
    assert_eq!((stats.pending, stats.retrying), (1, 1), "{stats:?}");
    adds_up(&stats);
    let stats = loki.stop();
    assert_eq!((stats.pending, stats.dropped), (0, 1), "{stats:?}");
    let trouble = stats.trouble.expect("a trouble");
    assert!(trouble.starts_with("the transport panicked: "), "{trouble}");
}

#[test]
fn a_flush_after_a_stop_tells_what_that_left() {
    let away = StandIn::reserve();
    let loki = Loki::new(config(&away).flush_timeout(Duration::from_millis(50))).unwrap();
    loki.info("one", &[]);
    assert_eq!(loki.stop().dropped, 1);
    let error = loki.flush().expect_err("one is lost");
    assert_eq!(error.pending(), 1);
    let said = error.to_string();
    let expected = format!(
        "1 entry was left at the stop, not delivered to {}: connection refused",
        away.url()
    );
    assert_eq!(said, expected);
    let kept = Arc::new(Kept::default());
    let loki = Loki::with_transport(Config::new("http://loki"), kept).unwrap();
    loki.info("one", &[]);
    loki.stop();
    loki.info("late", &[]);
    assert!(loki.flush().is_ok(), "what came late is no flush's");
}

#[test]
fn a_wrong_password_blocks_nobody() {
    let stand_in = StandIn::start();
    stand_in.always(Fault::Status(401));
    let config = config(&stand_in)
        .on_full(OnFull::Block)
        .buffer(1024)
        .flush_timeout(Duration::from_millis(100));
    let loki = Loki::new(config).unwrap();
    for n in 0..500 {
        loki.info("work", &[("n", &n)]);
    }
    let stats = loki.stop();
    assert_eq!((stats.logged, stats.sent), (500, 0), "{stats}");
    assert!(stats.trouble.is_some_and(|why| why.starts_with("401")));
}

#[test]
fn the_readme_shows_the_example() {
    let at = |path: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(path).expect("a file")
    };
    let (readme, example) = (at("README.md"), at("examples/library.rs"));
    let (_, block) = readme.split_once("```rust\n").expect("a block");
    let (block, _) = block.split_once("```").expect("its end");
    let (_, code) = example.split_once("\n\n").expect("code behind a comment");
    assert_eq!(block, code);
    assert!(block.lines().count() <= 16);
    let manifest = at("Cargo.toml");
    let version =
        env!("CARGO_PKG_VERSION_MAJOR").to_owned() + "." + env!("CARGO_PKG_VERSION_MINOR");
    assert!(readme.contains(&format!(
        "loki-push = {{ version = \"{version}\", default-features"
    )));
    assert!(manifest.contains("default = [\"cli\"]"));
}

#[cfg(feature = "log")]
mod bridge {
    //! The bridge from the `log` crate.

    use super::*;
    use crate::support::Proxy;
    use log::{Log, RecordBuilder};

    /// Runs the README's program.
    fn example(loki: &StandIn) -> String {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args([
            "run",
            "--quiet",
            "--example",
            "library",
            "--features",
            "log",
        ]);
        cargo
            .env("LOKI_ADDR", loki.url())
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        let done = cargo.output().expect("cargo");
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{}\n{errors}", done.status);
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    #[test]
    fn the_readmes_program_works_with_and_without_a_loki() {
        let loki = StandIn::start();
        let said = example(&loki);
        assert_eq!(said, "logged 2, sent 2, refused 0, dropped 0, pending 0\n");
        let labels = |level| [("app", "shop"), ("env", "prod"), ("level", level)];
        assert_eq!(loki.lines_of(&labels("info")), ["listening | port=8080"]);
        let line = &loki.lines_of(&labels("warn"))[0];
        let start = "payment is slow | order=17 target=library module=library line=";
        assert!(line.starts_with(start), "{line}");
        loki.assert_clean();
        let said = example(&StandIn::reserve());
        let expected = "logged 2, sent 0, refused 0, dropped 2, pending 0; left at the stop: 2\n";
        assert_eq!(said, expected);
    }

    fn bridged() -> (Arc<Kept>, Loki) {
        let kept = Arc::new(Kept::default());
        let loki = Loki::with_transport(Config::new("http://loki"), kept.clone()).unwrap();
        (kept, loki)
    }

    #[test]
    fn a_record_has_its_level_and_fields() {
        let stand_in = StandIn::start();
        let loki = Loki::new(config(&stand_in)).unwrap();
        let logger = loki.logger();
        let pairs = [("user_id", "42"), ("path", "/a b")];
        for level in log::Level::iter() {
            logger.log(
                &RecordBuilder::new()
                    .level(level)
                    .target("shop")
                    .module_path(Some("shop::cart"))
                    .line(Some(7))
                    .key_values(&pairs)
                    .args(format_args!("bought {level}"))
                    .build(),
            );
        }
        logger.flush();
        let expected = [
            ("error", "ERROR"),
            ("warn", "WARN"),
            ("info", "INFO"),
            ("debug", "DEBUG"),
            ("trace", "TRACE"),
        ];
        for (level, shown) in expected {
            let line = format!(
                "bought {shown} | user_id=42 path=\"/a b\" target=shop module=shop::cart line=7"
            );
            assert_eq!(stand_in.lines_of(&[("level", level)]), [line]);
        }
    }

    /// A transport that logs whatever it does, as an HTTP stack does.
    struct Chatty {
        logger: std::sync::OnceLock<loki_push::log_bridge::Logger>,
        kept: Kept,
    }

    impl Transport for Chatty {
        fn send(&self, request: &Request, timeout: Duration) -> Response {
            assert!(loki_push::is_own_thread());
            let logger = self.logger.get().expect("set before the first request");
            for target in ["loki_push", "ureq::run", "rustls::client"] {
                let record = RecordBuilder::new().target(target).build();
                assert!(!logger.enabled(record.metadata()));
                logger.log(&record);
            }
            self.kept.send(request, timeout)
        }
    }

    #[test]
    fn records_of_own_threads_are_skipped_and_others_kept() {
        let chatty = Arc::new(Chatty {
            logger: std::sync::OnceLock::new(),
            kept: Kept::default(),
        });
        let config = Config::new("http://x").flush_timeout(LONG);
        let loki = Loki::with_transport(config, chatty.clone()).expect("a client");
        assert!(chatty.logger.set(loki.logger()).is_ok());
        assert!(!loki_push::is_own_thread());
        // The application's own use of the same libraries is its business.
        let record = RecordBuilder::new()
            .target("rustls::client")
            .args(format_args!("mine"))
            .build();
        loki.logger().log(&record);
        loki.flush().expect("it passes");
        loki.info("a second request", &[]);
        loki.flush().expect("it passes");
        let lines = chatty.kept.lines();
        assert_eq!(lines, ["mine | target=rustls::client", "a second request"]);
        assert_eq!(loki.stats().logged, 2);
    }

    #[test]
    fn a_bridge_keeps_the_level_it_was_given() {
        let (kept, loki) = bridged();
        let logger = loki.logger().with_level(log::LevelFilter::Info);
        // tracing's `log` feature calls the logger without asking for the macros' level first.
        for (level, text) in [
            (log::Level::Trace, "below"),
            (log::Level::Debug, "below"),
            (log::Level::Info, "at the level"),
        ] {
            logger.log(
                &RecordBuilder::new()
                    .level(level)
                    .target("x")
                    .args(format_args!("{text}"))
                    .build(),
            );
        }
        logger.flush();
        assert_eq!(kept.lines(), ["at the level | target=x"]);
    }

    #[test]
    fn it_keeps_no_client_alive() {
        let (kept, loki) = bridged();
        let logger = loki.logger();
        logger.log(&RecordBuilder::new().args(format_args!("one")).build());
        drop(loki);
        assert_eq!(kept.lines().len(), 1);
        logger.log(&RecordBuilder::new().args(format_args!("two")).build());
        logger.flush();
        assert_eq!(kept.lines().len(), 1);
    }

    #[test]
    fn it_stands_alone_for_the_macros() {
        let stand_in = StandIn::start();
        let proxy = Proxy::to(stand_in.port());
        let config = || {
            Config::new("http://me:s3cret@loki.invalid:3100")
                .proxy(proxy.url())
                .flush_timeout(LONG)
        };
        let loki = loki_push::log_bridge::init(config()).expect("the only logger here");
        log::info!(target: "shop", order = 7, price = 9.5; "paid");
        log::debug!("below the level");
        drop(loki);
        let warned = &stand_in.lines_of(&[("level", "warn")])[0];
        let expected = "sending credentials to loki.invalid over plain HTTP";
        assert!(warned.starts_with(expected), "{warned}");
        assert!(!warned.contains("s3cret"), "{warned}");
        let lines = stand_in.lines_of(&[("level", "info")]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let begin =
            "paid | order=7 price=9.5 target=shop module=integration::library::bridge line=";
        assert!(lines[0].starts_with(begin), "{lines:?}");
        let again = loki_push::log_bridge::init(config()).expect_err("one is there");
        assert!(again.to_string().contains("logger"), "{again}");
    }
}

#[test]
fn for_ever_is_no_time_too_long() {
    let standin = StandIn::start();
    standin.fault(Fault::Status(503));
    let config = config(&standin)
        .flush_interval(Duration::MAX)
        .timeout(Duration::MAX)
        .flush_timeout(Duration::MAX)
        .max_backoff(Duration::MAX);
    let loki = Loki::new(config).expect("a client");
    loki.info("one", &[]);
    loki.flush().expect("it passes at the second try");
    let stats = loki.stop();
    assert_eq!((stats.logged, stats.sent), (1, 1));
    adds_up(&stats);
}

#[test]
fn a_burst_that_fits_into_the_buffer_is_not_dropped() {
    let standin = StandIn::start();
    let loki = Loki::new(config(&standin)).expect("a client");
    let line = "x".repeat(54);
    (0..160_000).for_each(|_| loki.info(&line, &[]));
    let stats = loki.stop();
    adds_up(&stats);
    assert_eq!((stats.logged, stats.sent), (160_000, 160_000), "{stats}");
}

#[test]
fn a_hook_hears_of_trouble_and_of_its_end() {
    let standin = StandIn::start();
    standin.fault(Fault::Status(503));
    let (tell, heard) = std::sync::mpsc::channel();
    let config = config(&standin).on_trouble(move |trouble| {
        let _ = tell.send(trouble.map(str::to_owned));
        panic!("a hook's panic is its own business");
    });
    let loki = Loki::new(config).expect("a client");
    loki.info("one", &[]);
    loki.flush().expect("it passes at the second try");
    let trouble = heard.recv_timeout(LONG).expect("trouble");
    assert!(trouble.is_some_and(|why| why.contains("503")));
    assert_eq!(heard.recv_timeout(LONG).expect("its end"), None);
    assert_eq!(loki.stop().sent, 1);
}

#[test]
fn a_guard_stops_a_client_that_is_never_dropped() {
    let kept = Arc::new(Kept::default());
    let config = Config::new("http://x").flush_timeout(LONG);
    let loki: &'static Loki = Box::leak(Box::new(
        Loki::with_transport(config, kept.clone()).expect("a client"),
    ));
    {
        let _guard = loki.stop_on_drop();
        loki.info("one", &[]);
    }
    assert_eq!(kept.lines(), ["one"]);
}

#[test]
fn secrets_in_files_are_read_again_for_each_request() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("token");
    std::fs::write(&path, "first\n").expect("written");
    let standin = StandIn::start();
    standin.require(Wanted::Bearer("first".into()));
    let auth = Auth::bearer_file(&path);
    let loki = Loki::new(config(&standin).auth(auth)).expect("a client");
    loki.info("one", &[]);
    loki.flush().expect("the first token passes");
    standin.require(Wanted::Bearer("second".into()));
    std::fs::write(&path, "second\n").expect("written");
    loki.info("two", &[]);
    loki.flush().expect("the renewed token passes");
    assert_eq!(loki.stop().sent, 2);
}

#[test]
fn labels_are_checked_together() {
    let error = |config: Config| Loki::new(config).expect_err("invalid").to_string();
    let base = || Config::new("http://x");
    let twice = error(base().label("host", "a").label("host", "b"));
    assert!(twice.contains("`host` is set twice"), "{twice}");
    let app = error(base().app("a").label("app", "b"));
    assert!(app.contains("`app` is set twice"), "{app}");
    let empty = error(base().label("host", ""));
    assert!(empty.contains("`host` is empty"), "{empty}");
    let many = (0..14).fold(base(), |config, n| config.label(format!("l{n}"), "v"));
    let many = error(many);
    assert!(many.contains("16 labels"), "{many}");
    let own = error(base().header("content-type", "text/plain"));
    assert!(own.contains("content-type is set by loki-push"), "{own}");
}

#[test]
fn a_request_shows_times_and_metadata_but_no_bytes_in_debug() {
    struct Looks(Mutex<Vec<loki_push::SentEntry>>, Mutex<String>);
    impl Transport for Looks {
        fn send(&self, request: &Request, _: Duration) -> Response {
            self.0.lock().expect("a lock").extend(request.decode());
            *self.1.lock().expect("a lock") = format!("{request:?}");
            Response::status(204)
        }
    }
    let looks = Arc::new(Looks(Mutex::default(), Mutex::default()));
    let loki = Loki::with_transport(Config::new("http://x"), looks.clone()).expect("a client");
    let time = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    loki.log(
        Record::new(Level::Info, "m")
            .timestamp(time)
            .metadata("trace_id", "7f"),
    );
    loki.stop();
    let entries = looks.0.lock().expect("a lock");
    assert_eq!(entries[0].nanoseconds, 1_700_000_000_000_000_000);
    assert_eq!(entries[0].metadata["trace_id"], "7f");
    let shown = looks.1.lock().expect("a lock");
    assert!(shown.contains("body_bytes") && shown.len() < 300, "{shown}");
}

#[cfg(feature = "tracing")]
mod layer {
    use super::*;
    use tracing_subscriber::prelude::*;

    #[test]
    fn events_have_the_fields_of_their_spans() {
        let kept = Arc::new(Kept::default());
        let config = Config::new("http://x").flush_timeout(LONG);
        let loki = Loki::with_transport(config, kept.clone()).expect("a client");
        let subscriber = tracing_subscriber::registry().with(loki.layer());
        tracing::subscriber::with_default(subscriber, || {
            let request =
                tracing::info_span!("request", method = "GET", status = tracing::field::Empty);
            let _entered = request.enter();
            request.record("status", 200);
            let inner = tracing::info_span!("cart", id = 7, method = "inner");
            let _inner = inner.enter();
            tracing::warn!(target: "shop", items = 3, "cart {}", "shown");
        });
        loki.stop();
        let expected =
            "cart shown | items=3 id=7 method=inner status=200 span=request:cart target=shop";
        assert_eq!(kept.lines(), [expected]);
    }

    /// A transport that makes events whatever it does.
    struct Chatty(Kept, tracing::Dispatch);

    impl Transport for Chatty {
        fn send(&self, request: &Request, timeout: Duration) -> Response {
            tracing::dispatcher::with_default(&self.1, || {
                let span = tracing::info_span!("request");
                let _entered = span.enter();
                tracing::error!("of the HTTP stack");
            });
            self.0.send(request, timeout)
        }
    }

    #[test]
    fn a_layer_does_not_feed_itself() {
        let kept = Arc::new(Kept::default());
        let config = || Config::new("http://x").flush_timeout(LONG);
        let target = Loki::with_transport(config(), kept.clone()).expect("a client");
        let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(target.layer()));
        let chatty = Arc::new(Chatty(Kept::default(), dispatch));
        let loki = Loki::with_transport(config(), chatty).expect("a client");
        loki.info("one", &[]);
        assert_eq!(loki.stop().sent, 1);
        assert_eq!(target.stop().logged, 0);
    }
}
