//! Who refuses: every status and body that can come back from between us and Loki, in every mode.
//! Only Loki refuses; what anybody else answers loses nothing and is sent again.

use std::path::Path;
use std::time::Duration;

use crate::support::loki::{Answer, Push};
use crate::support::tls::{Authority, Flaw};
use crate::support::{Dir, Fault, Finished, Loki, LokiPush};

/// What a body says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    Empty,
    Braces,
    Ok,
    Plain,
    Json,
    Html,
    /// A page without a title that says something.
    Blank,
    Refusal,
    Tenant,
    TooLarge,
}

const BODIES: [Body; 10] = [
    Body::Empty,
    Body::Braces,
    Body::Ok,
    Body::Plain,
    Body::Json,
    Body::Html,
    Body::Blank,
    Body::Refusal,
    Body::Tenant,
    Body::TooLarge,
];

impl Body {
    fn text(self) -> &'static str {
        match self {
            Self::Empty => "",
            Self::Braces => "{}",
            Self::Ok => "ok",
            Self::Plain => "no upstream for you",
            Self::Json => r#"{"error":"denied","code":17}"#,
            Self::Html => "<html><head><title>Sign in</title></head><body>ok</body></html>",
            Self::Blank => "<!DOCTYPE html><html><title></title><body></body></html>",
            Self::Refusal => {
                "entry for stream '{app=\"default\"}' has timestamp too new: \
                              2036-08-14T20:45:11Z"
            }
            Self::Tenant => "tenant ID 'a/b' contains unsupported character '/'",
            Self::TooLarge => {
                "rpc error: code = ResourceExhausted desc = grpc: received message \
                               larger than max (4210357 vs. 4194304)"
            }
        }
    }
}

/// What an answer means for an entry alone in its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Law {
    Delivered,
    Refused,
    SentAgain,
}

fn law(status: u16, body: Body) -> Law {
    let says_nothing = matches!(body, Body::Empty | Body::Braces | Body::Ok);
    match status {
        204 => Law::Delivered,
        200..=206 if says_nothing => Law::Delivered,
        260 | 413 => Law::Refused,
        400 if body == Body::Refusal => Law::Refused,
        _ => Law::SentAgain,
    }
}

/// Every answer there is.
fn answers() -> Vec<(u16, Body)> {
    let statuses = 200..=599;
    let answers = statuses.flat_map(|status| BODIES.map(|body| (status, body)));
    // What has no body by its status cannot say anything.
    answers
        .filter(|&(status, body)| body == Body::Empty || !matches!(status, 204 | 205 | 304))
        .collect()
}

fn fault(status: u16, body: Body) -> Fault {
    let answer = Answer::new(status).body(body.text());
    match law(status, body) {
        Law::Delivered => Fault::StoreThen(answer),
        _ => Fault::Answer(answer),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Pipe,
    PipeWithSpool,
    File,
    FileWithSpool,
    Command,
}

const MODES: [Mode; 5] = [
    Mode::Pipe,
    Mode::PipeWithSpool,
    Mode::File,
    Mode::FileWithSpool,
    Mode::Command,
];

impl Mode {
    /// A run that reads this text.
    fn read(self, run: LokiPush, dir: &Dir, text: &str) -> LokiPush {
        let run = match self {
            Self::PipeWithSpool | Self::FileWithSpool => run.arg("--spool").arg(dir.join("spool")),
            _ => run,
        };
        let log = dir.write("app.log", text);
        match self {
            Self::Pipe | Self::PipeWithSpool => run.stdin_bytes(text),
            Self::File | Self::FileWithSpool => {
                run.arg("--checkpoint").arg(dir.join("cp")).arg(log)
            }
            Self::Command => {
                let run = run.args(["--no-exit-entry", "--app=default", "--", "cat"]);
                run.arg(log)
            }
        }
    }

    fn is_file(self) -> bool {
        matches!(self, Self::File | Self::FileWithSpool)
    }
}

/// Runs these lines in a mode, one entry a request.
fn run(run: LokiPush, mode: Mode, dir: &Dir, lines: &[String]) -> Finished {
    let run = run.summed().args([
        "--flush-timeout=5m",
        "--retry-backoff=1ms",
        "--max-backoff=1ms",
        "--batch-size=1",
        "--connections=1",
        "--parse=none",
    ]);
    let run = mode.read(run, dir, &(lines.join("\n") + "\n"));
    run.deadline(Duration::from_mins(5)).run()
}

/// Every answer to a request of its own: what it means shows in whether the same bytes come again.
fn all_answers_mean_what_the_law_says(loki: &Loki, base: LokiPush, mode: Mode) {
    let dir = Dir::new();
    let answers = answers();
    let settles = |&&(status, body): &&(u16, Body)| law(status, body) != Law::SentAgain;
    let settled = answers.iter().filter(settles).count();
    let refused = answers
        .iter()
        .filter(|&&(status, body)| law(status, body) == Law::Refused)
        .count();
    // The first passes: a run over files ends at once where nothing ever did.
    loki.fault(Fault::Pass);
    loki.faults(answers.iter().map(|&(status, body)| fault(status, body)));
    let lines: Vec<String> = (0..settled + 2).map(|n| format!("line {n:04}")).collect();
    let ended = run(base, mode, &dir, &lines);
    let summary = ended.summary();
    let status = i32::from(mode != Mode::Command);
    assert_eq!(ended.status, status, "{mode:?} {}", ended.report());
    assert_eq!(summary.refused, refused as u64, "{mode:?} {summary:?}");
    let others = (lines.len() - refused) as u64;
    assert_eq!(summary.delivered, others, "{mode:?} {summary:?}");
    let requests = loki.requests();
    let same = |a: &Push, b: &Push| a.body == b.body;
    for (n, &(status, body)) in answers.iter().enumerate() {
        let again = same(&requests[n + 1], &requests[n + 2]);
        let what = format!("{mode:?}: {status} with {body:?}");
        assert_eq!(again, law(status, body) == Law::SentAgain, "{what}");
    }
    assert_eq!(loki.lines().len() as u64, others, "{mode:?}");
    loki.assert_clean();
}

#[test]
fn every_answer_means_the_same_in_every_mode() {
    for mode in MODES {
        let loki = Loki::start();
        all_answers_mean_what_the_law_says(&loki, LokiPush::new(&loki), mode);
    }
}

fn over_tls(mode: Mode) {
    let authority = Authority::new();
    let loki = authority.loki(Flaw::None, None);
    let run = LokiPush::new(&loki).arg("--ca-cert").arg(authority.file());
    all_answers_mean_what_the_law_says(&loki, run, mode);
}

#[test]
fn every_answer_means_the_same_over_tls() {
    over_tls(Mode::Pipe);
}

#[test]
#[ignore = "takes a minute"]
fn every_answer_means_the_same_over_tls_in_every_mode() {
    MODES.into_iter().for_each(over_tls);
}

/// The statuses that gateways and proxies answer with, and some that they never should. A 408 is left
/// out: what took too long comes again in halves.
const EARLY: [u16; 39] = [
    200, 201, 207, 226, 300, 301, 302, 303, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 409,
    410, 411, 417, 418, 421, 422, 423, 425, 426, 429, 431, 451, 499, 500, 501, 502, 503, 504, 511,
    599,
];

/// Answers to the head of a request of 4 MB, whose body nobody reads: each is heard, nothing is
/// lost, and the same bytes come again until all of it is delivered.
fn early_answers_mean_the_same(loki: &Loki, base: LokiPush, mode: Mode) {
    const BODIES: [Body; 4] = [Body::Html, Body::Plain, Body::Json, Body::Blank];
    let answers: Vec<(u16, Body)> = EARLY.into_iter().zip(BODIES.into_iter().cycle()).collect();
    loki.faults(answers.iter().map(|&(status, body)| {
        assert_eq!(law(status, body), Law::SentAgain);
        Fault::Early(Answer::new(status).body(body.text()))
    }));
    let dir = Dir::new();
    let lines: Vec<String> = (0..3_800).map(|n| format!("line {n:0>990}\n")).collect();
    let lines = lines.concat();
    let run = base.summed().args([
        "--flush-timeout=5m",
        "--retry-backoff=1ms",
        "--max-backoff=1ms",
        "--gzip-level=0",
        "--batch-bytes=16MiB",
        "--batch-size=3800",
        "--flush-interval=1m",
        "--parse=none",
        "-v",
    ]);
    // A run over files that ends by itself would give up at the first configuration fault.
    let follow: &[&str] = if mode.is_file() {
        &["-f", "--from", "start"]
    } else {
        &[]
    };
    let run = run.args(follow);
    let run = mode.read(run, &dir, &lines).spawn();
    loki.wait_for_entries(3_800);
    if mode.is_file() {
        run.signal("TERM");
    }
    let ended = run.wait_to_end().expect(0);
    assert_eq!(ended.summary().delivered, 3_800, "{}", ended.report());
    assert_eq!(loki.lines().len(), 3_800);
    assert_eq!(loki.requests().len(), EARLY.len() + 1, "{}", ended.report());
    for (status, body) in answers {
        let heard = format!(" {status} ");
        assert!(
            ended.stderr.contains(&heard),
            "{status} {body:?}: {}",
            ended.report()
        );
    }
    loki.assert_clean();
}

#[test]
fn an_answer_before_the_body_was_read_means_the_same() {
    for mode in MODES {
        let loki = Loki::start();
        early_answers_mean_the_same(&loki, LokiPush::new(&loki), mode);
    }
}

#[test]
fn an_answer_before_the_body_was_read_means_the_same_over_tls() {
    for mode in MODES {
        let authority = Authority::new();
        let loki = authority.loki(Flaw::None, None);
        let run = LokiPush::new(&loki).arg("--ca-cert").arg(authority.file());
        early_answers_mean_the_same(&loki, run, mode);
    }
}

/// Answers that only a person can do something about, and a word of what to do.
fn configuration_faults() -> Vec<(Answer, &'static str)> {
    let nginx = "<html>\r\n<head><title>400 No required SSL certificate was sent</title></head>\
                 <body>No required SSL certificate was sent</body></html>";
    let portal = "<html><head><title>Sign in</title></head></html>";
    vec![
        (Answer::new(400).body(nginx), "No required SSL certificate"),
        (Answer::error(400, "multiple org IDs present"), "--org-id"),
        (Answer::error(402, "pay first"), "pay first"),
        (Answer::error(409, "conflict"), "409"),
        (Answer::error(411, "length required"), "411"),
        (Answer::error(421, "misdirected"), "421"),
        (Answer::error(422, "error at least one valid stream"), "422"),
        (Answer::error(431, "header too large"), "431"),
        (Answer::new(200).body(portal), "Sign in"),
        (Answer::new(207), "207"),
        (Answer::error(401, "who"), "--username"),
        (Answer::error(403, "no"), "403"),
        (Answer::error(404, "404 page not found"), "--url"),
        (Answer::error(405, ""), "405"),
        (Answer::error(407, ""), "--proxy-url"),
    ]
}

#[test]
fn a_configuration_fault_is_reported_at_once_with_method_and_url() {
    for (answer, said) in configuration_faults() {
        let loki = Loki::start();
        let url = format!(
            "POST {}/loki/api/v1/push returned {}",
            loki.url(),
            answer.status
        );
        loki.always(Fault::Answer(answer));
        let run = LokiPush::new(&loki)
            .args(["--flush-interval=10ms"])
            .summed();
        let run = run.stdin_open().spawn();
        run.write("a\n");
        run.wait_for_stderr(&url);
        run.wait_for_stderr(said);
        // It is retried at the longest interval; a stop asks for a last try.
        loki.clear();
        run.signal("TERM");
        let ended = run.wait();
        assert_eq!(ended.summary().delivered, 1, "{}", ended.report());
        assert_eq!(loki.lines(), ["a"]);
    }
}

#[test]
fn a_status_is_said_once() {
    let loki = Loki::start();
    loki.always(Fault::Answer(Answer::error(404, "404 page not found")));
    let run = LokiPush::new(&loki).args(["--flush-timeout=100ms"]);
    let ended = run.stdin_bytes("a\n").run().expect(1);
    assert!(!ended.stderr.contains("404 404"), "{}", ended.report());
    assert!(!ended.stderr.contains("404 (404"), "{}", ended.report());
}

#[test]
fn a_configuration_fault_at_the_end_is_status_1() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.fault(Fault::Pass);
    loki.always(Fault::Status(403));
    let args = ["--batch-size=1", "--flush-timeout=300ms", "--spool"];
    let run = LokiPush::new(&loki).args(args).arg(dir.join("spool"));
    let ended = run.summed().stdin_bytes("a\nb\n").run().expect(1);
    let summary = ended.summary();
    assert_eq!((summary.delivered, summary.spooled), (1, 1));
    loki.clear();
    let run = LokiPush::new(&loki).arg("--drain").arg("--spool");
    run.arg(dir.join("spool")).run().expect(0);
    assert_eq!(loki.lines(), ["a", "b"]);
    loki.assert_clean();
}

#[test]
fn files_with_a_checkpoint_are_resumed_after_a_configuration_fault() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let file = dir.write("a.log", "a\nb\n");
    let run = |status| {
        let run = LokiPush::new(&loki).arg("--checkpoint").arg(dir.join("cp"));
        run.arg(&file).summed().run().expect(status)
    };
    loki.always(Fault::Status(403));
    let ended = run(1).expect_stderr(["the next run with this --checkpoint resumes there"]);
    assert!(!ended.stderr.contains("--spool"), "{}", ended.report());
    assert_eq!(ended.summary().left, 2);
    loki.clear();
    loki.client_restarted();
    run(0);
    assert_eq!(loki.lines(), ["a", "b"]);
}

fn drop_newest(spool: Option<&Path>) {
    let loki = Loki::start();
    loki.always(Fault::Answer(Answer::new(200).body("<html>portal</html>")));
    let mut run = LokiPush::new(&loki).args(["--batch-size=1", "--buffer=2KiB", "--summary=json"]);
    run = run.args(["--flush-timeout=3s"]);
    if let Some(spool) = spool {
        run = run.args(["--spool-size=2KiB", "--spool"]).arg(spool);
    }
    let lines: Vec<String> = (0..200).map(|n| format!("line {n:04}")).collect();
    let ended = run.stdin_bytes(lines.join("\n")).run().expect(1);
    let summary = ended.summary();
    assert!(summary.dropped > 100, "{}", ended.report());
    assert_eq!(
        (summary.read, summary.refused, summary.delivered),
        (200, 0, 0)
    );
}

#[test]
fn a_full_buffer_drops_the_newest_during_a_configuration_fault() {
    drop_newest(None);
    let dir = Dir::new();
    drop_newest(Some(&dir.join("spool")));
}
