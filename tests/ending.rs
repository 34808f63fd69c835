//! The end of a run: of its input, by a signal, without a Loki, and what a full buffer does until
//! then. Nothing hangs, nothing read goes uncounted, no writer meets a closed pipe.

use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Dir, Fault, Finished, Loki, LokiPush, Running, once_in_a_few};

fn run(loki: &Loki) -> LokiPush {
    LokiPush::new(loki).impatient().summed()
}

/// A run that hears signals and has read one line, which it ships at once only if asked to stop.
fn listening(loki: &Loki, args: &[&str]) -> Running {
    let run = run(loki)
        .args(["--tee", "--flush-interval", "1h"])
        .args(args);
    let run = run.stdin_open().spawn();
    run.write("first\n");
    run.wait_for_stdout("first\n");
    run
}

/// With a spool in this directory, or without one.
fn spooling(run: LokiPush, dir: &Dir, spools: bool) -> LokiPush {
    if spools {
        run.arg("--spool").arg(dir.join("spool"))
    } else {
        run
    }
}

/// Lines of a hundred bytes with their ends.
fn fat_lines(n: usize) -> Vec<String> {
    (0..n).map(|i| format!("{i:099}")).collect()
}

/// A small buffer that fills as lines come.
const SMALL: [&str; 6] = [
    "--gzip-level",
    "0",
    "--buffer",
    "256KiB",
    "--batch-bytes",
    "32KiB",
];

#[track_caller]
fn assert_all_there(loki: &Loki, ended: Finished, lines: &[impl AsRef<str>]) {
    let ended = ended.expect(0);
    assert!(
        loki.lines().iter().eq(lines.iter().map(AsRef::as_ref)),
        "{}",
        ended.report()
    );
    assert_eq!(ended.summary().delivered, lines.len() as u64);
    loki.assert_clean();
}

#[test]
fn without_any_loki_it_gives_up_in_time_and_says_what_to_do() {
    let loki = Loki::reserve();
    let run = run(&loki).args(["--flush-timeout", "500ms"]);
    let ended = run.stdin_bytes("a\nb\nc\n").run().expect(1);
    assert!(
        ended.elapsed >= Duration::from_millis(500),
        "{:?}",
        ended.elapsed
    );
    let summary = ended.summary();
    assert_eq!((summary.read, summary.left, summary.delivered), (3, 3, 0));
    let target = format!("3 entries not delivered to {}", loki.url());
    ended.expect_stderr([
        &target,
        "connection refused",
        "3 not sent",
        "--url",
        "--spool",
    ]);
}

#[test]
fn a_missing_port_is_hinted_at() {
    if TcpStream::connect(("127.0.0.1", 80)).is_ok() {
        eprintln!("skipped: something listens on port 80");
        return;
    }
    let run = LokiPush::at("http://127.0.0.1").args(["-m", "x", "--flush-timeout", "100ms"]);
    let ended = run.run().expect(1);
    ended.expect_stderr(["connection refused on port 80; Loki's default port is 3100"]);
}

#[test]
fn a_loki_that_never_answers_cannot_hold_up_the_end() {
    let loki = Loki::start();
    loki.always(Fault::Hang);
    let args = ["--flush-timeout", "500ms", "--timeout", "1s"];
    let ended = run(&loki).args(args).stdin_bytes("a\nb\n").run().expect(1);
    let summary = ended.summary();
    assert_eq!((summary.left, summary.delivered), (2, 0));
    ended.expect_stderr(["2 entries not delivered", "no answer in time"]);
}

/// What a run may overrun its time by on a machine that does other things too.
const SLACK: Duration = Duration::from_millis(250);

#[test]
fn a_run_ends_after_the_flush_timeout_and_the_last_request_timeout() {
    let try_one = |hangs: bool, spools: bool, flush: u64| {
        let (loki, dir) = (Loki::reserve(), Dir::new());
        if hangs {
            loki.restart();
            loki.always(Fault::Hang);
        }
        let run = run(&loki).args(["--flush-timeout", &format!("{flush}ms")]);
        let run = spooling(run.args(["--timeout", "1s"]), &dir, spools);
        let ended = run.stdin_bytes("a\nb\nc\n").run();
        let ended = ended.expect(i32::from(!spools));
        let summary = ended.summary();
        let kept = if spools {
            summary.spooled
        } else {
            summary.left
        };
        assert_eq!((summary.read, kept), (3, 3), "{}", ended.report());
        let time = Duration::from_millis(flush);
        assert!(ended.elapsed >= time, "{:?} of {time:?}", ended.elapsed);
        // Each request is given its whole time, the one that is under way at the end too.
        let tries = loki.requests().len() as u64;
        let seconds = flush / 1_000;
        if hangs && !(seconds.max(1)..=seconds + 1).contains(&tries) {
            return Err(format!("{tries} tries in {time:?}"));
        }
        let most = if hangs {
            time + Duration::from_secs(1)
        } else {
            time
        };
        let (took, most) = (ended.elapsed, most + SLACK);
        let kept = took < most;
        kept.then_some(())
            .ok_or_else(|| format!("{took:?}, not within {most:?}"))
    };
    std::thread::scope(|scope| {
        for (hangs, spools) in [(false, false), (false, true), (true, false), (true, true)] {
            scope.spawn(move || {
                for flush in [0, 500, 1_000, 3_000] {
                    once_in_a_few(|| try_one(hangs, spools, flush));
                }
            });
        }
    });
}

#[test]
fn after_a_signal_a_hanging_loki_costs_the_flush_timeout() {
    for spools in [false, true] {
        once_in_a_few(|| {
            let (loki, dir) = (Loki::start(), Dir::new());
            loki.always(Fault::Hang);
            let spool = dir.path().display().to_string();
            let args = ["--linger", "0s", "--flush-timeout", "1s"];
            let spool = ["--spool", &spool];
            let spool = if spools { &spool[..] } else { &[] };
            let run = listening(&loki, &[&args[..], spool].concat());
            let asked = Instant::now();
            run.signal("TERM");
            let ended = run.wait_to_end().expect(i32::from(!spools));
            let (took, summary) = (asked.elapsed(), ended.summary());
            assert_eq!(summary.left + summary.spooled, 1);
            // A pipe is given a breath first.
            let most = Duration::from_millis(1_200) + SLACK;
            let kept = took < most;
            kept.then_some(())
                .ok_or_else(|| format!("{took:?}, not within {most:?}"))
        });
    }
}

#[test]
fn a_request_under_way_when_input_ends_has_until_its_own_timeout() {
    let loki = Loki::start();
    loki.always(Fault::Slow(Duration::from_secs(3)));
    let args = ["--flush-interval", "10ms", "--flush-timeout", "500ms"];
    let run = run(&loki).args(args).stdin_open().spawn();
    run.write("a\n");
    loki.wait_for_requests(1);
    assert_all_there(&loki, run.wait(), &["a"]);
    assert_eq!(loki.requests().len(), 1);
}

#[test]
fn a_request_in_flight_at_a_signal_leaves_time_for_another_attempt() {
    for spools in [false, true] {
        once_in_a_few(|| {
            let (loki, dir) = (Loki::start(), Dir::new());
            loki.always(Fault::Hang);
            let run = run(&loki).args(["--flush-interval", "10ms", "--flush-timeout", "2s"]);
            let run = spooling(run, &dir, spools);
            let run = run.args(["--timeout", "1h", "--linger", "0s"]);
            let run = run.stdin_open().spawn();
            run.write("a\n");
            loki.wait_for_requests(1);
            let ended = Instant::now();
            run.signal("TERM");
            let ended_with = run.wait().expect(i32::from(!spools));
            let took = ended.elapsed();
            let summary = ended_with.summary();
            assert_eq!(summary.left + summary.spooled, 1);
            if !spools {
                ended_with.expect_stderr(["no answer in time"]);
            }
            let tries = loki.requests().len();
            // One more at the signal, perhaps, and the last.
            let kept = took < Duration::from_secs(2) + SLACK && (2..=3).contains(&tries);
            kept.then_some(())
                .ok_or_else(|| format!("{tries} tries in {took:?}"))
        });
    }
}

#[test]
fn a_request_in_flight_at_the_end_of_input_gets_the_usual_time() {
    once_in_a_few(|| {
        let loki = Loki::start();
        loki.always(Fault::Slow(Duration::from_millis(1_400)));
        let args = ["--flush-interval", "10ms", "--flush-timeout", "1600ms"];
        let run = run(&loki).args(args).stdin_open().spawn();
        run.write("a\n");
        loki.wait_for_answers(1);
        run.write("b\n");
        loki.wait_for_requests(2);
        let ended = run.wait();
        // Three quarters of the time are over before it is answered.
        if ended.status != 0 {
            return Err(ended.report().to_owned());
        }
        assert_eq!(loki.requests().len(), 2);
        assert_all_there(&loki, ended, &["a", "b"]);
        Ok(())
    });
}

#[test]
fn twenty_streams_to_a_loki_that_hangs_take_no_longer_than_one() {
    once_in_a_few(|| {
        let loki = Loki::start();
        loki.always(Fault::Hang);
        let lines: Vec<String> = (0..20).map(|n| format!("user={n} text")).collect();
        let run = run(&loki).args(["--label-field", "user", "--flush-timeout", "1s"]);
        let run = run.args(["--timeout", "1s"]);
        let ended = run.stdin_bytes(lines.join("\n")).run().expect(1);
        assert_eq!(ended.summary().left, 20);
        let took = ended.elapsed;
        let kept = took < Duration::from_secs(2) + SLACK;
        kept.then_some(()).ok_or_else(|| format!("{took:?}"))
    });
}

#[test]
fn one_last_try_is_made_when_the_time_is_over() {
    let loki = Loki::start();
    loki.fault(Fault::Status(503));
    let args = [
        "--flush-timeout",
        "700ms",
        "--retry-backoff",
        "1h",
        "--max-backoff",
        "1h",
    ];
    let ended = LokiPush::new(&loki)
        .args(args)
        .summed()
        .stdin_bytes("a\n")
        .run();
    let requests = loki.requests();
    assert!(requests[1].began - requests[0].began >= Duration::from_millis(500));
    assert_all_there(&loki, ended, &["a"]);
}

#[test]
fn one_last_try_is_made_when_the_time_is_over_after_a_signal_too() {
    let loki = Loki::start();
    // One when it comes, and one when the signal asks for what waits.
    loki.faults([Fault::Status(503), Fault::Status(503)]);
    let args = ["--flush-timeout", "700ms", "--flush-interval", "10ms"];
    let run = LokiPush::new(&loki).args(args).summed();
    let run = run.args(["--retry-backoff", "1h", "--max-backoff", "1h"]);
    let run = run.args(["--linger", "0s"]).stdin_open().spawn();
    run.write("a\n");
    loki.wait_for_answers(1);
    run.signal("TERM");
    loki.wait_for_answers(2);
    let ended = run.wait_to_end();
    assert_all_there(&loki, ended, &["a"]);
}

#[test]
fn a_full_buffer_at_a_signal_is_not_called_a_stuck_tee() {
    let loki = Loki::start();
    loki.always(Fault::Status(500));
    let args = ["--flush-timeout", "300ms", "--linger", "100ms"];
    let run = run(&loki).args(SMALL).args(args).stdin_open().spawn();
    run.write(fat_lines(40_000).join("\n"));
    run.wait_for_fed(500_000);
    run.wait_for_stderr("; retrying");
    run.signal("TERM");
    let ended = run.wait_to_end().expect(1);
    assert!(!ended.stderr.contains("passed on"), "{}", ended.report());
    assert_eq!(ended.summary().read, ended.summary().left);
}

#[test]
fn what_a_stuck_tee_holds_back_at_a_signal_is_no_success() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let pid = dir.join("pid");
    let script = format!(
        "{{ sh -c 'echo $$ >{}; exec \"$@\"' sh \"$@\"; echo ended with $? >&2; }} |
        {{ read -r line; exec tail -f /dev/null; }}",
        pid.display()
    );
    let args = ["--tee", "--linger", "100ms", "--flush-interval", "10ms"];
    let run = run(&loki).args(args).in_shell(&script);
    let run = run.own_group().stdin_open().spawn();
    run.write(fat_lines(20_000).join("\n"));
    // Both pipes are full, and what is between them is read.
    loki.wait_for_entries(1);
    run.wait_for_fed(128 << 10);
    let pid = dir.read_text("pid");
    let told = Command::new("kill").arg(pid.trim()).status();
    assert!(told.expect("kill").success());
    run.wait_for_stderr("ended with 1");
    assert!(run.stderr().contains("passed on"), "{}", run.stderr());
    run.signal_group("KILL");
    run.wait_to_end();
}

#[test]
fn a_slow_loki_that_accepts_is_not_given_up() {
    once_in_a_few(|| {
        let loki = Loki::start();
        // Six answers take twice the time; each comes within a third of it, unless the machine is
        // so busy that it is given up with good reason.
        loki.always(Fault::Slow(Duration::from_millis(500)));
        let args = ["--flush-timeout", "1500ms", "--batch-size", "1"];
        let run = run(&loki).args(args);
        let ended = run.stdin_bytes("1\n2\n3\n4\n5\n6\n").run();
        if ended.status != 0 {
            return Err(ended.report().to_owned());
        }
        assert_all_there(&loki, ended, &["1", "2", "3", "4", "5", "6"]);
        Ok(())
    });
}

#[test]
fn after_a_signal_what_a_checkpoint_covers_is_not_waited_for_longer_than_5_seconds() {
    let dir = Dir::new();
    let log = dir.write("app.log", "one\n");
    let checkpoint = dir.join("state");
    let loki = Loki::start();
    loki.always(Fault::Status(503));
    let run = LokiPush::new(&loki)
        .args([
            "-f",
            "--from",
            "start",
            "--flush-interval",
            "10ms",
            "--checkpoint",
        ])
        .arg(&checkpoint)
        .arg(&log)
        .spawn();
    loki.wait_for_requests(1);
    run.signal("TERM");
    let asked = Instant::now();
    let ended = run
        .wait()
        .expect(0)
        .expect_stderr(["1 entry not delivered", "--checkpoint"]);
    let elapsed = asked.elapsed();
    // The default of 30 s applies where entries would be lost.
    assert!(
        elapsed < Duration::from_secs(12),
        "{elapsed:?}: {}",
        ended.report()
    );
}

#[test]
fn after_a_signal_the_last_words_are_shipped() {
    for signal in ["INT", "TERM", "HUP"] {
        let loki = Loki::start();
        let run = listening(&loki, &["--linger", "1h"]);
        assert!(loki.entries().is_empty());
        run.signal(signal);
        // What was read is sent at once, and so is what still comes.
        loki.wait_for_entries(1);
        run.write("last words\n");
        loki.wait_for_entries(2);
        assert!(run.is_running());
        run.write("without a newline");
        assert_all_there(
            &loki,
            run.wait().expect_no_message(),
            &["first", "last words", "without a newline"],
        );
    }
}

#[test]
fn a_pipe_that_stays_open_after_a_signal_is_read_for_the_linger() {
    let loki = Loki::start();
    let run = listening(&loki, &["--linger", "400ms"]);
    run.signal("TERM");
    loki.wait_for_entries(1);
    let ended = run.wait_to_end().expect_no_message();
    assert!(ended.elapsed >= Duration::from_millis(400));
    assert_all_there(&loki, ended, &["first"]);
}

#[test]
fn after_a_signal_the_flush_timeout_is_the_total() {
    let loki = Loki::start();
    loki.always(Fault::Status(503));
    let run = listening(&loki, &["--linger", "0s", "--flush-timeout", "500ms"]);
    run.signal("INT");
    let ended = run
        .wait_to_end()
        .expect(1)
        .expect_stderr(["1 entry not delivered"]);
    assert_eq!(ended.summary().left, 1);
}

#[test]
fn after_a_signal_the_flush_timeout_is_the_total_despite_progress() {
    let loki = Loki::start();
    // Slow, but it takes everything.
    loki.always(Fault::Slow(Duration::from_millis(200)));
    let args = ["--batch-size", "1", "--flush-timeout", "600ms", "--tee"];
    let run = run(&loki).args(args).stdin_open().spawn();
    let lines = fat_lines(60);
    run.write(lines.join("\n") + "\n");
    run.wait_for_stdout(&lines[59]);
    loki.wait_for_requests(1);
    run.signal("TERM");
    let ended = run.wait().expect(1);
    let summary = ended.summary();
    assert_eq!(summary.delivered + summary.left, 60);
    // What Loki was asked to take by then, it has taken, and nothing is left in doubt.
    assert_eq!(summary.delivered, loki.entries().len() as u64);
}

#[test]
fn after_a_signal_a_full_buffer_of_files_obeys_the_flush_timeout() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.always(Fault::Status(500));
    let log = dir.write("app.log", fat_lines(40_000).join("\n"));
    let args = ["--follow", "--from", "start", "--flush-timeout", "500ms"];
    let run = run(&loki).args(SMALL).args(args).args(["--linger", "1h"]);
    let run = run.arg(log).spawn();
    run.wait_for_stderr("; retrying");
    let asked = Instant::now();
    run.signal("TERM");
    run.wait_to_end().expect(1);
    assert!(asked.elapsed() < Duration::from_secs(10), "no linger");
}

#[test]
fn files_larger_than_the_buffer_wait_and_report_it_once() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let log = dir.write("app.log", fat_lines(40_000).join("\n"));
    let run = run(&loki).args(SMALL).args(["--flush-timeout", "300ms"]);
    let run = run.arg(log).spawn();
    run.wait_for_stderr("reading stops until Loki accepts entries");
    assert!(run.is_running(), "they are not read to their end");
    let asked = Instant::now();
    run.signal("TERM");
    let ended = run.wait_to_end().expect(1);
    assert!(asked.elapsed() < Duration::from_secs(10), "no linger");
    let said = ended.stderr.matches("reading stops until").count();
    assert_eq!(said, 1, "{}", ended.report());
    let ended = ended.expect_stderr(["the 256 KiB buffer is full", "--spool DIR"]);
    assert_eq!(ended.summary().read, ended.summary().left);
}

#[test]
fn a_second_signal_stops_at_once() {
    let loki = Loki::start();
    loki.always(Fault::Hang);
    let args = ["--linger", "1h", "--flush-timeout", "1h", "--timeout", "1h"];
    let run = listening(&loki, &args);
    run.signal("TERM");
    // Its request shows that the first signal was heard.
    loki.wait_for_held(1);
    run.signal("INT");
    let ended = run
        .wait_to_end()
        .expect(1)
        .expect_stderr(["1 entry not delivered", "1 not sent"]);
    let summary = ended.summary();
    assert_eq!((summary.read, summary.left), (1, 1));
}

#[test]
fn a_line_without_its_end_is_counted_at_a_second_signal_too() {
    let loki = Loki::start();
    let run = listening(&loki, &["--linger", "1h"]);
    run.write("second\nunterminated");
    run.wait_for_stdout("unterminated");
    run.signal("TERM");
    // What was read is sent at the first one.
    loki.wait_for_entries(2);
    run.signal("TERM");
    let summary = run.wait_to_end().summary();
    assert_eq!(summary.read, 3);
    assert_eq!(summary.delivered + summary.left, 3);
}

#[test]
fn ctrl_c_hits_the_application_too_and_its_last_words_are_shipped() {
    let loki = Loki::start();
    let app = "trap : INT
        (trap 'echo last words; exit 0' INT; echo ready; while :; do sleep 1; done) | \"$@\"";
    let run = run(&loki)
        .args(["--flush-interval", "10ms"])
        .in_shell(app)
        .own_group();
    let run = run.spawn();
    loki.wait_for_entries(1);
    run.signal_group("INT");
    let ended = run.wait().expect_no_message();
    assert_all_there(&loki, ended, &["ready", "last words"]);
}

#[test]
fn a_signal_that_was_ignored_at_the_start_stays_ignored() {
    for signal in ["HUP", "INT"] {
        let loki = Loki::start();
        let run = run(&loki).args(["--tee", "--flush-interval", "1h", "--linger", "0s"]);
        let run = run.after(&format!("trap '' {signal}")).stdin_open().spawn();
        run.write("one\n");
        run.wait_for_stdout("one\n");
        run.signal(signal);
        run.write("two\n");
        run.wait_for_stdout("two\n");
        assert_all_there(&loki, run.wait().expect_no_message(), &["one", "two"]);
        assert_eq!(loki.requests().len(), 1, "nothing was hurried");
    }
}

#[test]
fn a_signal_ends_the_wait_between_retries() {
    let loki = Loki::start();
    loki.fault(Fault::Status(503));
    let slow = [
        "--retry-backoff",
        "1h",
        "--max-backoff",
        "1h",
        "--flush-timeout",
        "1h",
    ];
    let run = LokiPush::new(&loki)
        .args(slow)
        .args(["-v", "--flush-interval", "1ms"])
        .summed();
    let run = run.stdin_open().spawn();
    run.write("a\n");
    run.wait_for_stderr("retrying in");
    run.signal("TERM");
    loki.wait_for_entries(1);
    assert_all_there(&loki, run.wait(), &["a"]);
}

#[test]
fn sigusr1_asks_for_the_summary_so_far() {
    let loki = Loki::start();
    let run = listening(&loki, &[]);
    let too_early = run.ask_until("\"read\":1,");
    run.write("second\n");
    let ended = run.wait().expect_no_message();
    let reads: Vec<(u64, u64)> = ended.summaries().iter().map(|s| (s.read, s.left)).collect();
    assert_eq!(reads[too_early..], [(1, 1), (2, 0)]);
    assert_all_there(&loki, ended, &["first", "second"]);

    let run = LokiPush::new(&loki).args(["--tee"]).stdin_open().spawn();
    run.write("third\n");
    run.wait_for_stdout("third\n");
    let too_early = run.ask_until("read 1, delivered ");
    let ended = run.wait().expect(0);
    let said = ended.stderr.lines().count();
    assert_eq!(said, too_early + 1, "{}", ended.report());
}

#[test]
fn it_never_exits_before_its_pipe_ends_nor_holds_up_a_hopeless_one() {
    for status in [401, 404] {
        let loki = Loki::start();
        loki.always(Fault::Status(status));
        let run = run(&loki).args(SMALL).args(["--flush-interval", "10ms"]);
        let run = run.stdin_open().spawn();
        let lines = fat_lines(40_000);
        run.write(lines.join("\n") + "\n");
        // The writer is through, though nothing was taken.
        run.wait_for_fed(4_000_000);
        run.wait_for_stderr("dropping the newest");
        assert!(run.is_running() && loki.entries().is_empty());
        loki.clear();
        loki.wait_until("deliveries", |seen| !seen.entries.is_empty());
        run.write("last\n");
        let ended = run.wait().expect(1).expect_stderr(["dropped"]);
        let summary = ended.summary();
        assert_eq!((summary.read, summary.left), (40_001, 0));
        assert_eq!(summary.reasons["buffer full"], summary.dropped);
        let arrived = loki.lines();
        assert_eq!(arrived.len() as u64, summary.delivered);
        assert!(arrived[..1_000] == lines[..1_000], "the oldest were kept");
        loki.assert_clean();
    }
}

#[test]
fn a_writer_that_is_gone_is_not_waited_for_although_the_buffer_is_full() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    // What it has written it notes in a file, after the fact: at least that much is in the pipe.
    let (pid, written) = (dir.join("pid"), dir.join("written"));
    let writer = format!(
        "sh -c 'echo $$ >{}; exec tee {}'",
        pid.display(),
        written.display()
    );
    let run = run(&loki).args(SMALL).args(["--flush-timeout", "300ms"]);
    let run = run.in_shell(&format!("{writer} | \"$@\"")).stdin_open();
    let run = run.spawn();
    run.write(fat_lines(100_000).join("\n"));
    run.wait_for_fed(500_000);
    run.wait_for_stderr("; retrying");
    let pid = dir.read_text("pid");
    let killed = Command::new("kill").args(["-9", pid.trim()]).status();
    assert!(killed.expect("kill").success());
    let ended = run.wait_to_end().expect(1).expect_stderr(["not sent"]);
    let summary = ended.summary();
    // What the writer left in the pipe is counted, too: all that it wrote.
    let written = dir.read("written").len() as u64;
    assert!(written > 250_000, "{written} bytes\n{}", ended.report());
    assert!(summary.read >= written / 100, "{}", ended.report());
    assert_eq!(summary.read, summary.left);
}

/// What stands beside the buffer in memory, in KiB. A debug build takes a little more than the
/// 16 MiB that are promised.
const BESIDE: u64 = 20 << 10;

#[track_caller]
fn assert_little_memory(ended: &Finished, buffer_kib: u64) {
    if let Some(peak) = ended.peak_kib {
        assert!(peak < buffer_kib + BESIDE, "{peak} KiB\n{}", ended.report());
    }
}

#[test]
fn block_makes_the_writer_wait_and_loses_nothing() {
    let loki = Loki::reserve();
    let lines = fat_lines(100_000);
    let run = run(&loki).args(SMALL).watch_memory().stdin_open().spawn();
    run.write(lines.join("\n"));
    run.wait_for_stderr("cannot deliver");
    // What fits into the pipe, the queues and the buffer.
    run.wait_for_fed(256 << 10);
    assert!(run.fed() < 6_000_000, "{} bytes were taken", run.fed());
    loki.restart();
    let ended = run.wait();
    assert_little_memory(&ended, 256);
    assert_all_there(&loki, ended, &lines);
}

/// Ten megabytes with Loki away, then Loki comes back.
fn overrun(policy: &str) -> (Loki, Finished, Vec<String>) {
    let loki = Loki::reserve();
    let lines = fat_lines(100_000);
    let run = run(&loki).args(SMALL).args(["--on-full", policy]);
    let run = run.watch_memory().stdin_open().spawn();
    run.write(lines[..1_000].join("\n") + "\n");
    // The first batch is under way.
    run.wait_for_stderr("cannot deliver");
    run.write(lines[1_000..].join("\n"));
    run.wait_for_fed(9_999_999);
    run.wait_for_stderr("the 256 KiB buffer is full");
    assert!(loki.entries().is_empty());
    loki.restart();
    let ended = run.wait().expect(1);
    assert_little_memory(&ended, 256);
    let summary = ended.summary();
    assert_eq!(
        (summary.read, summary.left),
        (100_000, 0),
        "{}",
        ended.report()
    );
    assert_eq!(summary.delivered, loki.entries().len() as u64);
    assert!(summary.dropped > 70_000, "{}", ended.report());
    let reasons: Vec<_> = summary.reasons.into_iter().collect();
    assert_eq!(reasons, [("buffer full".to_owned(), summary.dropped)]);
    assert!(loki.lines().is_sorted());
    loki.assert_clean();
    (loki, ended, lines)
}

#[test]
fn drop_newest_keeps_what_came_first_and_counts_the_rest() {
    let (loki, ended, lines) = overrun("drop-newest");
    ended.expect_stderr(["dropping the newest entries"]);
    assert!(loki.lines()[..1_000] == lines[..1_000]);
}

#[test]
fn drop_oldest_keeps_what_came_last_and_counts_the_rest() {
    let (loki, ended, lines) = overrun("drop-oldest");
    ended.expect_stderr(["dropping the oldest entries"]);
    let arrived = loki.lines();
    assert!(arrived.ends_with(&lines[99_000..]));
    // What was under way is not dropped.
    assert_eq!(arrived[0], lines[0]);
}

#[test]
fn lines_of_nothing_take_little_memory_too() {
    let loki = Loki::reserve();
    let args = ["--buffer", "256KiB", "--on-full", "drop-newest"];
    let run = run(&loki).args(args).args(["--flush-timeout", "100ms"]);
    let run = run.watch_memory().stdin_bytes("\n".repeat(4_000_000));
    let ended = run.run().expect(1);
    assert_eq!(ended.summary().read, 4_000_000);
    if let Some(peak) = ended.peak_kib {
        assert!(peak < 18 << 10, "{peak} KiB");
    }
}

#[test]
fn an_empty_buffer_takes_a_batch_of_any_size() {
    let lines = fat_lines(2_000);
    for policy in ["block", "drop-newest", "drop-oldest"] {
        let loki = Loki::start();
        let args = ["--buffer", "1", "--gzip-level", "0", "--on-full", policy];
        let ended = run(&loki).args(args).stdin_bytes(lines.join("\n")).run();
        assert_all_there(&loki, ended.expect_no_message(), &lines);
    }
}

#[test]
fn what_is_given_up_is_not_waited_for() {
    let loki = Loki::start();
    loki.always(Fault::Status(503));
    let args = ["--max-retries", "0", "--retry-backoff", "30s", "-m", "x"];
    let ended = LokiPush::new(&loki).args(args).summed().run().expect(1);
    assert!(
        ended.elapsed < Duration::from_secs(15),
        "{}",
        ended.report()
    );
    let summary = ended.summary();
    assert_eq!((summary.requests, summary.dropped), (1, 1));
}
