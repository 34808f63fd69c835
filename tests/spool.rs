//! The spool, from outside: nothing sealed is lost and nothing shows twice, over outages, kills
//! and neighbours.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::loki::{Answer, PATIENCE};
use crate::support::{Dir, Fault, Finished, Loki, LokiPush, Random, in_time, soon};

/// A run with a spool that gives up soon where there is no Loki.
fn with_spool(loki: &Loki, dir: &Dir) -> LokiPush {
    let patience = if loki.is_open() {
        Duration::from_secs(30)
    } else {
        soon()
    };
    let patience = format!("{}ms", patience.as_millis());
    LokiPush::new(loki)
        .args(["--summary", "json", "--flush-timeout", &patience])
        .args(["--retry-backoff", "50ms", "--spool"])
        .arg(dir.join("spool"))
}

fn lines(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name} {n:03}")).collect()
}

fn text(lines: &[String]) -> String {
    let add = |text: String, line: &String| text + line + "\n";
    lines.iter().fold(String::new(), add)
}

fn batches(dir: &Dir) -> Vec<PathBuf> {
    let mut files = dir.files();
    files.retain(|path| path.extension().is_some_and(|e| e == "batch"));
    files
}

/// Every line once, whatever was sent twice: what a log query shows.
fn shown(loki: &Loki) -> Vec<String> {
    let mut entries = loki.entries();
    entries.sort_by_key(|entry| entry.time);
    let mut seen = BTreeSet::new();
    entries.retain(|e| seen.insert((e.labels.clone(), e.time, e.line.clone(), e.metadata.clone())));
    entries.into_iter().map(|entry| entry.line).collect()
}

fn assert_nothing_left(dir: &Dir) {
    assert_eq!(dir.files(), Vec::<PathBuf>::new());
}

#[test]
fn a_run_without_loki_is_safe_and_the_next_one_delivers_it_first() {
    let (loki, mut dir) = (Loki::reserve(), Dir::new());
    let (first, second) = (lines("first", 10), lines("second", 5));
    in_time(Duration::from_secs(5), || {
        dir = Dir::new();
        let run = with_spool(&loki, &dir)
            .args(["--batch-size", "3"])
            .stdin_bytes(text(&first))
            .run()
            .expect(0)
            .expect_stderr(["cannot deliver", "10 entries kept in", "--drain"]);
        assert_eq!((run.summary().read, run.summary().spooled), (10, 10));
        assert_eq!(batches(&dir).len(), 4);
        run.elapsed
    });

    loki.restart();
    let run = with_spool(&loki, &dir)
        .stdin_bytes(text(&second))
        .run()
        .expect(0)
        .expect_stderr(["\"adopted\":10"]);
    let summary = run.summary();
    assert_eq!((summary.read, summary.delivered), (5, 5));
    assert_eq!((summary.adopted, summary.adopted_delivered), (10, 10));
    let arrived: Vec<String> = loki.entries().into_iter().map(|e| e.line).collect();
    assert_eq!(arrived, [first, second].concat());
    assert_nothing_left(&dir);
    loki.assert_clean();
}

#[test]
fn with_loki_there_nothing_stays_and_nothing_is_said() {
    let (loki, dir) = (Loki::start(), Dir::new());
    for sync in ["--batch-size=10", "--spool-sync"] {
        let run = LokiPush::new(&loki)
            .args([sync, "--spool"])
            .arg(dir.join("spool"))
            .stdin_bytes(text(&lines(sync, 100)));
        run.run().expect(0).expect_silence();
    }
    assert_eq!(loki.entries().len(), 200);
    assert_nothing_left(&dir);
    loki.assert_clean();
}

#[test]
fn a_shell_reads_what_is_spooled() {
    for level in ["0", "6"] {
        let (loki, dir) = (Loki::reserve(), Dir::new());
        with_spool(&loki, &dir)
            .args(["--gzip-level", level])
            .stdin_bytes("one\nERROR two\n")
            .run()
            .expect(0);
        let files = batches(&dir);
        assert_eq!(files.len(), 1, "one batch, though of two streams");
        let head = dir.read(&files[0]);
        let head = head.split(|byte| *byte == b'\n').next().unwrap();
        let head: serde_json::Value = serde_json::from_slice(head).unwrap();
        assert_eq!(head["requests"].as_array().unwrap().len(), 2);
        let pipe = if level == "0" { "cat" } else { "zcat" };
        let shown = Command::new("sh")
            .args(["-c", &format!("tail -n +2 \"$0\" | {pipe}")])
            .arg(dir.join(&files[0]))
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(
            shown.contains("\"one\"") && shown.contains("\"ERROR two\""),
            "{shown}"
        );
    }
}

#[test]
fn eight_jobs_end_at_once_and_four_drains_deliver_each_entry_once() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let jobs: Vec<_> = (0..8)
        .map(|job| {
            let name = format!("job{job}");
            with_spool(&loki, &dir)
                .args(["--app", &name, "--batch-size", "7"])
                .stdin_bytes(text(&lines(&name, 50)))
                .spawn()
        })
        .collect();
    for job in jobs {
        let summary = job.wait().expect(0).summary();
        assert_eq!((summary.read, summary.spooled), (50, 50));
    }
    loki.restart();
    let drains: Vec<_> = (0..4)
        .map(|_| with_spool(&loki, &dir).arg("--drain").spawn())
        .collect();
    let mut delivered = 0;
    for drain in drains {
        let summary = drain.wait().expect(0).summary();
        assert_eq!(summary.read, 0);
        delivered += summary.adopted_delivered;
    }
    // A folder that another was just looking at may have been left: the next drain has it.
    let last = with_spool(&loki, &dir).arg("--drain").run().expect(0);
    assert_eq!(delivered + last.summary().adopted_delivered, 400);
    for job in 0..8 {
        let name = format!("job{job}");
        assert_eq!(loki.lines_of(&[("app", &name)]), lines(&name, 50));
    }
    assert_nothing_left(&dir);
    loki.assert_clean();
}

#[test]
fn a_drain_without_loki_changes_nothing() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let all = lines("x", 9);
    let spooled = with_spool(&loki, &dir).stdin_bytes(text(&all)).run();
    spooled.expect(0);
    let before: Vec<_> = batches(&dir).iter().map(|path| dir.read(path)).collect();
    let run = with_spool(&loki, &dir).arg("--drain").run().expect(1);
    let summary = run.summary();
    assert_eq!((summary.adopted, summary.adopted_left), (9, 9));
    let after: Vec<_> = batches(&dir).iter().map(|path| dir.read(path)).collect();
    assert_eq!(before, after);
    loki.restart();
    with_spool(&loki, &dir).arg("--drain").run().expect(0);
    assert_eq!(loki.lines(), all);
    loki.assert_clean();
}

#[test]
fn a_neighbour_with_another_tenant_is_not_touched() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let spooled = with_spool(&loki, &dir)
        .args(["--org-id", "other"])
        .stdin_bytes("theirs\n")
        .run();
    spooled.expect(0);
    let before: BTreeMap<_, _> = dir
        .files()
        .into_iter()
        .map(|path| (path.clone(), dir.read(&path)))
        .collect();
    loki.restart();
    with_spool(&loki, &dir)
        .stdin_bytes("ours\n")
        .run()
        .expect(0);
    with_spool(&loki, &dir)
        .arg("--drain")
        .run()
        .expect(0)
        .expect_stderr(["also holds entries for", "tenant other; to deliver them"]);
    let after: BTreeMap<_, _> = dir
        .files()
        .into_iter()
        .map(|path| (path.clone(), dir.read(&path)))
        .collect();
    assert_eq!(before, after);
    assert_eq!(loki.lines(), ["ours"]);
    with_spool(&loki, &dir)
        .args(["--org-id", "other", "--drain"])
        .run()
        .expect(0)
        .expect_no_message();
    assert_eq!(loki.requests().last().unwrap().tenant, "other");
    assert_nothing_left(&dir);
    loki.assert_clean();
}

#[test]
fn a_spool_that_cannot_be_written_is_wrong_configuration() {
    let (loki, dir) = (Loki::start(), Dir::new());
    dir.write("spool", "a file");
    with_spool(&loki, &dir)
        .stdin_bytes("x\n")
        .run()
        .expect(2)
        .expect_stderr(["--spool:", "is a file", "name a directory"]);
    assert!(loki.entries().is_empty());
}

#[test]
fn a_disk_that_fills_is_said_once_and_memory_carries_on() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let all = lines(&"long ".repeat(20), 300);
    let full = |run: LokiPush| {
        run.after("trap '' XFSZ; ulimit -f 1")
            .args(["--gzip-level", "0", "--batch-size", "30"])
            .stdin_bytes(text(&all))
            .run()
    };
    let run = full(with_spool(&loki, &dir)).expect(0);
    let said = run.stderr.matches("cannot write to the spool").count();
    assert_eq!(said, 1, "{run:?}");
    assert_eq!(run.summary().delivered, 300);
    assert_eq!(loki.lines(), all);
    assert_nothing_left(&dir);
    loki.stop();
    let run = full(with_spool(&loki, &dir)).expect(1);
    assert_eq!(run.summary().left, 300);
    assert_nothing_left(&dir);
    loki.assert_clean();
}

#[test]
fn what_somebody_removed_from_the_spool_is_not_called_safe() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let run = with_spool(&loki, &dir).args(["--flush-interval", "10ms"]);
    let run = run.stdin_open().spawn();
    run.write("one\n");
    // It is stored before it is tried.
    run.wait_for_stderr("cannot deliver to");
    std::fs::remove_dir_all(dir.join("spool")).unwrap();
    let summary = run.wait().expect(1).summary();
    assert_eq!((summary.left, summary.spooled), (1, 0));
}

#[test]
fn a_drain_delivers_from_a_disk_that_is_full() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let all = lines("x", 9);
    let spooled = with_spool(&loki, &dir).stdin_bytes(text(&all)).run();
    spooled.expect(0);
    loki.restart();
    let full = |run: LokiPush| run.after("trap '' XFSZ; ulimit -f 0");
    full(with_spool(&loki, &dir).arg("--drain")).run().expect(0);
    assert_eq!(loki.lines(), all);
    assert_nothing_left(&dir);
    let run = full(with_spool(&loki, &dir)).run().expect(0);
    run.expect_stderr(["cannot write to the spool"]);
    loki.assert_clean();
}

#[test]
fn past_its_size_the_policy_rules() {
    for (policy, kept) in [("drop-newest", "00 "), ("drop-oldest", "99 ")] {
        let (loki, dir) = (Loki::reserve(), Dir::new());
        let all: Vec<String> = (0..100)
            .map(|n| format!("{n:02} {}", "x".repeat(100)))
            .collect();
        let run = LokiPush::new(&loki)
            .args(["--gzip-level", "0", "--batch-size", "5"])
            .args(["--spool-size", "8KiB", "--on-full", policy, "--spool"])
            .arg(dir.join("spool"))
            // Time for all to be sealed once it is full.
            .args(["--flush-timeout", "1s", "--summary", "json"])
            .stdin_open()
            .spawn();
        run.write(text(&all));
        run.wait_for_stderr("the 8 KiB spool is full");
        let run = run.wait().expect(1);
        let summary = run.summary();
        assert_eq!(summary.reasons.get("spool full"), Some(&summary.dropped));
        let sizes = batches(&dir).into_iter().map(|path| dir.read(path).len());
        assert!(sizes.sum::<usize>() <= 8 << 10);
        loki.restart();
        with_spool(&loki, &dir).arg("--drain").run().expect(0);
        let arrived = loki.lines();
        assert_eq!(arrived.len() as u64, summary.spooled);
        assert!(
            arrived.iter().any(|line| line.starts_with(kept)),
            "{policy}: {arrived:?}"
        );
        loki.assert_clean();
    }
}

#[test]
fn a_damaged_file_is_set_aside_and_said() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let spooled = with_spool(&loki, &dir)
        .args(["--batch-size", "1", "--gzip-level", "0"])
        .stdin_bytes("one\ntwo\nthree\nfour\n")
        .run();
    spooled.expect(0);
    let files = batches(&dir);
    let mut bytes = dir.read(&files[1]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    dir.write(&files[1], &bytes);
    dir.write(&files[2], "nonsense");
    loki.restart();
    let run = with_spool(&loki, &dir)
        .arg("--drain")
        .run()
        .expect(1)
        .expect_stderr(["damaged spool file", ".damaged"]);
    assert!(!run.stderr.contains("the next run"), "{}", run.stderr);
    assert_eq!(run.summary().adopted_delivered, 2);
    assert_eq!(loki.lines(), ["one", "four"]);
    let left = dir.files();
    assert_eq!(left.len(), 2);
    assert!(
        left.iter()
            .all(|path| path.extension().is_some_and(|e| e == "damaged"))
    );
    with_spool(&loki, &dir).arg("--drain").run().expect(0);
    loki.assert_clean();
}

#[test]
fn a_file_cut_short_is_counted_as_its_header_tells() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let spooled = with_spool(&loki, &dir).stdin_bytes("one\ntwo\n").run();
    spooled.expect(0);
    let file = batches(&dir).remove(0);
    let mut bytes = dir.read(&file);
    bytes.truncate(bytes.len() - 5);
    dir.write(&file, &bytes);
    loki.restart();
    let run = with_spool(&loki, &dir).arg("--drain").run();
    let run = run
        .expect(1)
        .expect_stderr(["damaged spool file", ".damaged"]);
    let summary = run.summary();
    assert_eq!((summary.adopted, summary.adopted_left), (2, 2));
    assert!(loki.entries().is_empty());
    with_spool(&loki, &dir).arg("--drain").run().expect(0);
    loki.assert_clean();
}

#[test]
fn a_second_signal_puts_what_is_in_memory_into_the_spool() {
    let (loki, dir) = (Loki::start(), Dir::new());
    loki.always(Fault::Hang);
    let run = LokiPush::new(&loki)
        .args([
            "--summary",
            "json",
            "--flush-interval",
            "1h",
            "--batch-size",
            "2",
            "--spool",
        ])
        .arg(dir.join("spool"))
        // Nothing else ends it.
        .args(["--timeout", "1h", "--flush-timeout", "1h", "--linger", "1h"])
        .stdin_open()
        .spawn();
    let all = lines("x", 5);
    run.write(text(&all));
    loki.wait_for_held(1);
    run.wait_for_fed(text(&all).len());
    run.signal("TERM");
    // Two signals at once may be one to the kernel. The first shows in what it makes sealed.
    let soon = Instant::now() + PATIENCE;
    while batches(&dir).len() < 3 {
        assert!(Instant::now() < soon, "{}", run.report());
        std::thread::yield_now();
    }
    run.signal("TERM");
    let run = run.wait_to_end().expect(0);
    let summary = run.summary();
    assert_eq!((summary.read, summary.spooled), (5, 5), "{run:?}");
    loki.clear();
    loki.hang_up();
    loki.release();
    loki.client_restarted();
    with_spool(&loki, &dir).arg("--drain").run().expect(0);
    assert_eq!(shown(&loki), all);
    assert_nothing_left(&dir);
    loki.assert_clean();
}

#[test]
fn what_loki_refuses_goes_to_the_dead_letter_file() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    with_spool(&loki, &dir)
        .stdin_bytes("one\ntwo\n")
        .run()
        .expect(0);
    loki.restart();
    let refusal = Answer::error(400, "couldn't parse labels: odd");
    loki.fault(Fault::Answer(refusal));
    let run = with_spool(&loki, &dir)
        .arg("--dead-letter")
        .arg(dir.join("dead"))
        .stdin_bytes("three\n")
        .run()
        .expect(1);
    let summary = run.summary();
    assert_eq!((summary.delivered, summary.adopted_refused), (1, 2));
    let dead = dir.read_text("dead");
    let dead: Vec<serde_json::Value> = dead
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let lines: Vec<_> = dead
        .iter()
        .map(|entry| entry["line"].as_str().unwrap())
        .collect();
    assert_eq!(lines, ["one", "two"]);
    assert_eq!(dead[0]["reason"], "status 400");
    assert!(
        !Path::new(&dir.join("spool"))
            .read_dir()
            .unwrap()
            .any(|_| true)
    );
    with_spool(&loki, &dir)
        .args(["--dead-letter", "/"])
        .stdin_bytes("x\n")
        .run()
        .expect(2)
        .expect_stderr(["--dead-letter"]);
}

/// Kills a run at random moments again and again; more often with KILLS=300.
#[test]
fn kills_at_any_moment_lose_nothing_sealed_and_show_nothing_twice() {
    let kills = std::env::var("KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok());
    let kills: usize = kills.unwrap_or(30);
    let seed = 0x5eed ^ u64::from(std::process::id());
    let mut random = Random::new(seed);
    let (loki, dir) = (Loki::start(), Dir::new());
    let quick = |loki: &Loki, dir: &Dir| {
        LokiPush::new(loki)
            .args([
                "--summary",
                "json",
                "--retry-backoff",
                "20ms",
                "--max-backoff",
                "40ms",
            ])
            .arg("--spool")
            .arg(dir.join("spool"))
    };
    let mut fed = Vec::new();
    for round in 0..kills {
        let faults: Vec<Fault> = (0..6).map(|_| random.fault()).collect();
        loki.faults(faults);
        let mut all = lines(&format!("round{round:04}"), 1 + random.below(60));
        let level = ["info", "error"][random.below(2)];
        all.iter_mut().for_each(|line| line.push_str(level));
        let size = [1, 3, 10][random.below(3)];
        let run = quick(&loki, &dir)
            .args(["--batch-size", &size.to_string()])
            .args(["--gzip-level", ["0", "2"][random.below(2)]])
            .stdin_open()
            .spawn();
        let before = loki.requests().len();
        run.write(text(&all));
        run.wait_for_fed(1);
        match random.below(4) {
            0 => {}
            1 => run.wait_for_fed(text(&all).len()),
            _ => {
                let batches = all.len().div_ceil(size);
                loki.wait_for_requests(before + 1 + random.below(batches.min(2)));
            }
        }
        // Some are killed with their input still open, some when they are about to end.
        if run.is_running() {
            let ended: Finished = run.kill();
            assert_eq!(ended.signal, Some(9));
        }
        loki.client_killed();
        fed.push(all);
    }
    loki.clear();
    quick(&loki, &dir).arg("--drain").run().expect(0);
    assert_nothing_left(&dir);
    loki.assert_clean();

    // Of each run a gapless beginning arrived, at least as far as it was ever sent.
    let shown = shown(&loki);
    let mut bodies: BTreeMap<&str, BTreeSet<&[u8]>> = BTreeMap::new();
    let requests = loki.requests();
    for push in &requests {
        for entry in &push.entries {
            bodies.entry(&entry.line).or_default().insert(&push.body);
        }
    }
    for all in &fed {
        let prefix = &all[0][..10];
        let arrived: Vec<_> = shown
            .iter()
            .filter(|line| line.starts_with(prefix))
            .collect();
        assert!(
            arrived.iter().copied().eq(&all[..arrived.len()]),
            "seed {seed}: {arrived:?}"
        );
        let sent = all
            .iter()
            .filter(|line| bodies.contains_key(line.as_str()))
            .count();
        assert_eq!(sent, arrived.len(), "seed {seed}");
    }
    let changed = bodies.iter().find(|(_, bodies)| bodies.len() > 1);
    assert!(
        changed.is_none(),
        "seed {seed}: other bytes for {:?}",
        changed.map(|(line, _)| line)
    );
}

/// A follower with spool and checkpoint, killed again and again: every line once, though its lines
/// go to two streams, the file is rotated, and answers are lost.
#[test]
fn a_killed_follower_with_a_checkpoint_ships_every_line_once() {
    let kills = std::env::var("KILLS")
        .ok()
        .and_then(|kills| kills.parse().ok());
    let kills: usize = kills.unwrap_or(12);
    let seed = (0xf011 ^ u64::from(std::process::id())) | 1;
    let mut random = Random::new(seed);
    let (loki, dir) = (Loki::start(), Dir::new());
    let log = dir.write("app.log", "");
    let start = || {
        LokiPush::new(&loki)
            .args(["-f", "--from", "start", "--flush-interval", "20ms"])
            .args(["--retry-backoff", "20ms", "--max-backoff", "40ms"])
            .args(["--batch-size", "25", "--summary", "json", "--checkpoint"])
            .arg(dir.join("checkpoint"))
            .arg("--spool")
            .arg(dir.join("spool"))
            .arg(&log)
            .spawn()
    };
    let mut all = Vec::new();
    for round in 0..kills {
        loki.faults((0..6).map(|_| random.fault()));
        let before = loki.requests().len();
        let run = start();
        for _ in 0..=random.below(4) {
            let more: Vec<String> = (0..=random.below(60))
                .map(|n| {
                    format!(
                        "{:06} {}",
                        all.len() + n,
                        ["INFO", "ERROR"][random.below(2)]
                    )
                })
                .collect();
            dir.append("app.log", text(&more));
            all.extend(more);
            let last = all.last().unwrap();
            match random.below(3) {
                0 => loki.wait_for_requests(before + 1),
                1 => loki.wait_until("what was written", |seen| {
                    seen.entries.iter().rev().any(|entry| entry.line == *last)
                }),
                _ => {}
            }
        }
        // A file that no run has met is lost when it goes, as it must be.
        if random.below(3) > 0 || round == 0 {
            loki.wait_for_answers(before + 1);
        }
        assert_eq!(run.kill().signal, Some(9));
        loki.client_killed();
        if random.below(4) == 0 {
            dir.rename("app.log", format!("app.log.{round}"));
            dir.write("app.log", "");
        }
    }
    loki.clear();
    let run = start();
    // A last line shows that it is up, and takes signals.
    let last = format!("{:06} INFO", all.len());
    dir.append("app.log", text(std::slice::from_ref(&last)));
    loki.wait_until("the last line", |seen| {
        seen.entries.iter().rev().any(|entry| entry.line == last)
    });
    all.push(last);
    assert_eq!(loki.streams().len(), 2);
    run.signal("TERM");
    run.wait_to_end().expect(0);
    let mut shown = shown(&loki);
    shown.sort();
    let twice: Vec<_> = shown.windows(2).filter(|two| two[0] == two[1]).collect();
    assert!(
        twice.is_empty(),
        "seed {seed}: {} lines twice: {twice:?}",
        twice.len()
    );
    assert!(
        shown == all,
        "seed {seed}: {} of {} lines",
        shown.len(),
        all.len()
    );
    assert_eq!(batches(&dir), Vec::<PathBuf>::new(), "seed {seed}");
    loki.assert_clean();
}

#[test]
fn a_spool_that_was_too_small_is_what_the_advice_is_about() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let ended = with_spool(&loki, &dir)
        .args(["--gzip-level", "0", "--batch-size", "1"])
        .args(["--spool-size", "1KiB", "--buffer", "1KiB"])
        .stdin_bytes(text(&lines("a line of some length", 100)))
        .run()
        .expect(1);
    let summary = ended.summary();
    assert!(
        summary.left > 0 && summary.spooled > 0,
        "{}",
        ended.report()
    );
    let advice = ended
        .messages()
        .into_iter()
        .find(|said| said.contains("not delivered to"));
    let advice = advice.expect("an advice");
    assert!(advice.contains("--spool-size"), "{advice}");
    assert!(!advice.contains("--spool DIR"), "{advice}");
}

#[test]
fn entries_for_another_place_are_hinted_at_when_all_is_told() {
    let (away, loki, dir) = (Loki::reserve(), Loki::start(), Dir::new());
    let left = with_spool(&away, &dir).args(["--org-id", "red", "-m", "x"]);
    left.run().expect(0);
    let run = || with_spool(&loki, &dir).args(["-m", "y"]);
    run().run().expect(0).expect_no_message();
    let ended = run().arg("-v").run().expect(0);
    let hint = format!(
        "also holds entries for {}/loki/api/v1/push, tenant red",
        away.url()
    );
    assert_eq!(ended.stderr.matches(&hint).count(), 1, "{}", ended.report());
    assert_eq!(loki.lines(), ["y", "y"]);
}
