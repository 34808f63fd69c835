//! Exactly once: a followed file comes out whole and without repeats over any number of kills, with
//! a spool and a checkpoint, whatever Loki does meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{Dir, Loki, LokiPush, Random, Running};

/// A follower with a spool and a checkpoint, and little batches.
fn follow(loki: &Loki, dir: &Dir, log: &Path) -> Running {
    LokiPush::new(loki)
        .args(["--follow", "--from", "start", "--batch-size", "7"])
        .args(["--flush-interval", "5ms", "--retry-backoff", "5ms"])
        .args(["--max-backoff", "20ms", "--checkpoint"])
        .arg(dir.join("state"))
        .arg("--spool")
        .arg(dir.join("spool"))
        .arg(log)
        .spawn()
}

/// What a log query shows: equal entries (stream, time, line) once.
fn shown(loki: &Loki) -> BTreeMap<String, usize> {
    let mut entries = loki.entries();
    let mut seen = BTreeSet::new();
    entries.retain(|e| seen.insert((e.labels.clone(), e.time, e.line.clone())));
    let mut times = BTreeMap::new();
    for entry in entries {
        *times.entry(entry.line).or_default() += 1;
    }
    times
}

/// Kills a follower at `kills` random moments while lines of several levels are written and the
/// file is rotated now and then.
fn kill_at_random(kills: usize, seed: u64) {
    let (loki, dir) = (Loki::start(), Dir::new());
    let log = dir.write("app.log", "");
    let mut random = Random::new(seed);
    let levels = ["INFO", "WARN", "ERROR"];
    let mut written = 0;
    let mut write = |random: &mut Random| {
        for _ in 0..random.below(30) {
            let level = levels[random.below(3)];
            dir.append("app.log", format!("{level} line {written:06}\n"));
            written += 1;
        }
        written
    };
    for round in 0..kills {
        loki.faults((0..4).map(|_| random.fault()).collect::<Vec<_>>());
        write(&mut random);
        let running = follow(&loki, &dir, &log);
        random.moment();
        write(&mut random);
        if round % 11 == 10 {
            // A file that no run has met is lost when it goes, as it must be.
            loki.wait_for_requests(1);
            dir.rename("app.log", format!("app.log.{round:04}"));
            dir.write("app.log", "");
        }
        random.moment();
        running.kill();
        // What still lies in a socket is from before the kill: nothing of it is read later.
        loki.stop();
        loki.client_restarted();
        loki.restart();
    }
    loki.clear();
    let total = write(&mut random);
    let running = follow(&loki, &dir, &log);
    loki.wait_until("every line", |seen| {
        let lines: BTreeSet<&str> = seen.entries.iter().map(|e| e.line.as_str()).collect();
        lines.len() == total
    });
    running.signal("TERM");
    running.wait_to_end().expect(0);
    let repeated: Vec<_> = shown(&loki)
        .into_iter()
        .filter(|(_, times)| *times > 1)
        .collect();
    assert_eq!(repeated, [], "seed {seed}");
    loki.assert_clean();
}

#[test]
fn twelve_kills_of_a_follower_show_every_line_once() {
    kill_at_random(12, 42);
}

/// `KILLS=1000 cargo test hundreds` goes on for longer, `SEED` takes another path.
#[test]
fn hundreds_of_random_kill_points_show_every_line_once() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    kill_at_random(
        number("KILLS").unwrap_or(200) as usize,
        number("SEED").unwrap_or(7),
    );
}
