//! A spool that cannot be written, for a time or from the start: nothing is held up, nothing is
//! lost, and it is used again once it can be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::io::Errno;

use crate::support::broken_disk::BrokenDisk;
use crate::support::users::{STRANGER, chmod, two_users};
use crate::support::{Dir, Fault, Loki, LokiPush, Random, Running};

/// A small disk, which only root can make, and not on every machine.
struct SmallDisk(Dir);

impl SmallDisk {
    fn new(options: &str) -> Option<Self> {
        let dir = Dir::new();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]);
        let mounted = mount.arg(dir.path()).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(dir));
        }
        eprintln!("skipped: no file system can be mounted here");
        None
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Takes the room that is left.
    fn fill(&self) {
        let _ = fs::write(self.join("filler"), vec![b'x'; 8 << 20]);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn lines(name: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{name} {n:06}")).collect()
}

fn text(lines: &[String]) -> String {
    lines
        .iter()
        .fold(String::new(), |text, line| text + line + "\n")
}

fn with_spool(loki: &Loki, spool: impl AsRef<Path>) -> LokiPush {
    LokiPush::new(loki)
        .summed()
        .impatient()
        .deadline(Duration::from_secs(60))
        .arg("--spool")
        .arg(spool.as_ref())
}

/// Every line that arrived, with how often a log query shows it.
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

#[track_caller]
fn assert_each_once(loki: &Loki, all: &[String]) {
    let shown = shown(loki);
    let missing = all.iter().filter(|line| !shown.contains_key(*line)).count();
    let twice = shown.values().filter(|times| **times > 1).count();
    assert_eq!((missing, twice), (0, 0), "of {} lines", all.len());
    assert_eq!(shown.len(), all.len());
}

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// A spool that cannot be written from the start: the job runs with its own status, its output is
/// shipped, and it is said once, with the reason. `RUNS=100 cargo test a_job_runs` takes longer.
fn a_job_runs(loki: &Loki, make: &dyn Fn() -> LokiPush, spool: &Path, why: &str) {
    for _ in 0..number("RUNS").unwrap_or(1) {
        let before = loki.entries().len();
        let job = ["--", "sh", "-c", "echo saved; echo all; exit 7"];
        let run = make().args(job).run().expect(7);
        let run = run.expect_stderr(["spool", spool.to_str().unwrap(), "memory", why]);
        assert_eq!(run.messages().len(), 1, "{run:?}");
        assert_eq!(run.summary().delivered, 3, "{run:?}");
        // In a pipe nobody dies of SIGPIPE, and what is delivered is status 0.
        let run = make().stdin_bytes(text(&lines("pipe", 50))).run().expect(0);
        assert_eq!(run.messages().len(), 1, "{run:?}");
        assert_eq!(loki.entries().len() - before, 53);
    }
}

#[test]
fn a_job_runs_though_its_spool_has_no_room() {
    let loki = Loki::start();
    let dir = Dir::new();
    let spool = dir.join("spool");
    let limited = || with_spool(&loki, &spool).after("ulimit -f 0");
    // A folder can still be made; what names its destination cannot.
    a_job_runs(&loki, &limited, &spool, "File too large");
    let Some(disk) = SmallDisk::new("size=64k,nr_inodes=10") else {
        return;
    };
    disk.fill();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
        let _ = fs::write(disk.join(name), "");
    }
    let spool = disk.join("deep/spool");
    let full = "No space left on device";
    a_job_runs(&loki, &|| with_spool(&loki, &spool), &spool, full);
}

#[test]
fn a_job_runs_though_its_spool_is_read_only() {
    let Some(disk) = SmallDisk::new("ro,size=64k") else {
        return;
    };
    let loki = Loki::start();
    let spool = disk.join("spool");
    let read_only = "Read-only file system";
    a_job_runs(&loki, &|| with_spool(&loki, &spool), &spool, read_only);
}

#[test]
fn a_job_runs_though_its_spool_is_over_quota_or_broken() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let spool = dir.join("spool");
    for (error, why) in [
        (Errno::DQUOT, "Disk quota exceeded"),
        (Errno::IO, "Input/output error"),
    ] {
        let Some(disk) = BrokenDisk::new(&dir, &spool, &[error], 100) else {
            return;
        };
        let make = || disk.run(with_spool(&loki, &spool));
        a_job_runs(&loki, &make, &spool, why);
    }
}

#[test]
fn a_job_runs_though_writes_to_its_spool_fail_now_and_then() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let spool = dir.join("spool");
    let errors = [Errno::DQUOT, Errno::IO, Errno::NOSPC];
    let Some(disk) = BrokenDisk::new(&dir, &spool, &errors, 50) else {
        return;
    };
    for n in 0..number("RUNS").unwrap_or(5) {
        let run = disk.run(with_spool(&loki, &spool));
        let run = run.args(["--spool-sync", "--batch-size", "3", "--"]);
        let run = run.args(["sh", "-c", "seq 1 20; exit 7"]).run().expect(7);
        assert_eq!(run.summary().delivered, 21, "{run:?}");
        assert_eq!(loki.entries().len(), 21 * (n + 1), "{run:?}");
    }
    loki.assert_clean();
    let left = dir.files().len();
    assert_eq!(left, 2, "the library and its source");
}

#[test]
fn a_job_runs_though_its_spool_belongs_to_another_user() {
    if !two_users() {
        return;
    }
    let (loki, dir) = (Loki::start(), Dir::new());
    chmod(dir.path(), 0o755);
    // Not to be written, not to be entered, and not to be made.
    for (name, mode) in [("written", 0o755), ("entered", 0o700)] {
        fs::create_dir(dir.join(name)).unwrap();
        chmod(dir.join(name), mode);
    }
    for spool in ["written", "entered", "written/made", "entered/made"] {
        let spool = dir.join(spool);
        let make = || with_spool(&loki, &spool).user(STRANGER);
        a_job_runs(&loki, &make, &spool, "Permission denied");
    }
}

#[test]
fn the_spool_is_used_once_its_disk_has_room() {
    let Some(disk) = SmallDisk::new("size=256k") else {
        return;
    };
    let loki = Loki::reserve();
    disk.fill();
    let spool = disk.join("spool");
    let run = with_spool(&loki, &spool)
        .args(["--flush-interval", "10ms", "--flush-timeout", "300ms"])
        .stdin_open()
        .spawn();
    run.write("one\n");
    // It is in memory when it is tried.
    run.wait_for_stderr(&loki.url());
    fs::remove_file(disk.join("filler")).unwrap();
    run.write("two\n");
    run.wait_for_stderr("writable again");
    let run = run.wait().expect(0);
    assert_eq!(run.summary().spooled, 2, "{run:?}");
    loki.restart();
    with_spool(&loki, &spool).arg("--drain").run().expect(0);
    assert_eq!(loki.lines(), ["one", "two"]);
    loki.assert_clean();
}

#[test]
fn a_spool_that_has_room_again_at_the_end_keeps_what_is_in_memory() {
    let Some(disk) = SmallDisk::new("size=256k") else {
        return;
    };
    let loki = Loki::reserve();
    disk.fill();
    let spool = disk.join("spool");
    let run = with_spool(&loki, &spool)
        .args(["--flush-interval", "10ms", "--flush-timeout", "300ms"])
        .stdin_open()
        .spawn();
    run.write("one\n");
    run.wait_for_stderr(&loki.url());
    fs::remove_file(disk.join("filler")).unwrap();
    let run = run.wait().expect(0);
    assert_eq!(run.summary().spooled, 1, "{run:?}");
    loki.restart();
    with_spool(&loki, &spool).arg("--drain").run().expect(0);
    assert_eq!(loki.lines(), ["one"]);
}

#[test]
fn a_disk_that_fills_leaves_no_gap_behind_the_checkpoint() {
    let Some(disk) = SmallDisk::new("size=512k") else {
        return;
    };
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let all = lines(&"long ".repeat(15), 20_000);
    let log = dir.write("app.log", text(&all));
    let run = |patience: &str| {
        with_spool(&loki, disk.join("spool"))
            .args(["--gzip-level", "0", "--batch-size", "500"])
            .args(["--flush-timeout", patience, "--checkpoint"])
            .arg(disk.join("state"))
            .arg(&log)
            .run()
    };
    let first = run("1s");
    assert!(first.summary().spooled > 0, "{first:?}");
    loki.restart();
    run("30s").expect(0);
    assert_each_once(&loki, &all);
    loki.assert_clean();
}

#[test]
fn a_full_spool_does_not_wait_for_a_checkpoint_that_nobody_saves() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let all = lines(&"long ".repeat(15), 100_000);
    let log = dir.write("app.log", text(&all));
    for (size, batch) in [("64KiB", "100"), ("512KiB", "2000"), ("1KiB", "1000")] {
        let checkpoint = dir.join(format!("state-{size}"));
        let run = with_spool(&loki, dir.join("spool"))
            .args(["--spool-size", size, "--batch-size", batch])
            .args(["--app", size, "--checkpoint"])
            .arg(checkpoint)
            .arg(&log)
            .run()
            .expect(0);
        assert_eq!(run.summary().delivered, 100_000);
        assert_eq!(loki.lines_of(&[("app", size)]), all);
    }
    loki.assert_clean();
}

#[test]
fn a_spool_full_of_other_entries_does_not_hold_up_a_healthy_run() {
    let (loki, dir) = (Loki::reserve(), Dir::new());
    let spool = dir.join("spool");
    let backlog = lines(&"long ".repeat(15), 2_000);
    let left = with_spool(&loki, &spool)
        .args(["--org-id", "other", "--gzip-level", "0"])
        .args(["--flush-timeout", "300ms"]);
    left.stdin_bytes(text(&backlog)).run().expect(0);
    loki.restart();
    let all = lines(&"ours ".repeat(15), 50_000);
    let log = dir.write("app.log", text(&all));
    for checkpoint in [true, false] {
        let app = checkpoint.to_string();
        let mut run = with_spool(&loki, &spool).args(["--spool-size", "100KiB", "--app", &app]);
        run = if checkpoint {
            run.arg("--checkpoint").arg(dir.join("state")).arg(&log)
        } else {
            run.stdin_bytes(text(&all))
        };
        let run = run.run().expect(0).expect_stderr(["full", "memory"]);
        assert_eq!(run.messages().len(), 1, "{run:?}");
        assert_eq!(loki.lines_of(&[("app", &app)]), all);
    }
    with_spool(&loki, &spool)
        .args(["--org-id", "other", "--drain"])
        .run()
        .expect(0);
    assert_eq!(loki.entries().len(), 102_000);
    loki.assert_clean();
}

#[test]
fn a_checkpoint_on_the_same_full_disk_holds_nothing_up() {
    let Some(disk) = SmallDisk::new("size=300k") else {
        return;
    };
    let (loki, dir) = (Loki::start(), Dir::new());
    let all = lines(&"long ".repeat(15), 20_000);
    let log = dir.write("app.log", text(&all));
    let run = |spool_size: &str| {
        with_spool(&loki, disk.join("spool"))
            .args(["--gzip-level", "0", "--batch-size", "500"])
            .args(["--spool-size", spool_size, "--checkpoint"])
            .arg(disk.join("state"))
            .arg(&log)
            .run()
    };
    disk.fill();
    assert_eq!(run("1GiB").summary().delivered, 20_000);
    assert_eq!(loki.lines(), all);
}

/// What happens to the spool of a follower.
enum Trouble {
    /// Its disk fills and empties at random.
    Full(SmallDisk),
    /// Some writes fail.
    Broken(BrokenDisk),
}

impl Trouble {
    fn spool(&self, dir: &Dir) -> PathBuf {
        match self {
            Self::Full(disk) => disk.join("spool"),
            Self::Broken(_) => dir.join("spool"),
        }
    }

    /// A follower with a spool and a checkpoint, and little batches.
    fn follow(&self, loki: &Loki, dir: &Dir, log: &Path) -> Running {
        let run = LokiPush::new(loki)
            .args(["--follow", "--from", "start", "--batch-size", "7"])
            .args(["--flush-interval", "5ms", "--retry-backoff", "5ms"])
            .args(["--max-backoff", "20ms", "--checkpoint"])
            .arg(dir.join("state"))
            .arg("--spool")
            .arg(self.spool(dir))
            .arg(log);
        match self {
            Self::Full(_) => run.spawn(),
            Self::Broken(disk) => disk.run(run).spawn(),
        }
    }

    fn change(&self, random: &mut Random) {
        match self {
            Self::Full(disk) if random.below(2) == 0 => disk.fill(),
            Self::Full(_) => self.end(),
            Self::Broken(_) => {}
        }
    }

    fn end(&self) {
        if let Self::Full(disk) = self {
            let _ = fs::remove_file(disk.join("filler"));
        }
    }
}

/// Kills a follower at random moments while its spool fails and Loki is down at random.
fn kill_at_random(dir: &Dir, trouble: &Trouble, kills: usize, seed: u64) {
    let loki = Loki::start();
    let log = dir.write("app.log", "");
    let mut random = Random::new(seed);
    let levels = ["INFO", "WARN", "ERROR"];
    let mut all = Vec::new();
    let mut write = |random: &mut Random| {
        for _ in 0..random.below(30) {
            let level = levels[random.below(3)];
            all.push(format!("{level} line {:06}", all.len()));
            dir.append("app.log", format!("{}\n", all[all.len() - 1]));
        }
        all.clone()
    };
    for _ in 0..kills {
        let down = random.below(3) == 0;
        if down {
            loki.stop();
        } else {
            loki.faults((0..4).map(|_| random.fault()).collect::<Vec<_>>());
        }
        write(&mut random);
        let running = trouble.follow(&loki, dir, &log);
        for _ in 0..random.below(5) {
            trouble.change(&mut random);
            write(&mut random);
            random.moment();
        }
        if random.below(4) == 0 {
            running.signal("TERM");
            random.moment();
        }
        // Killed, unless it has ended.
        drop(running);
        loki.client_killed();
        loki.clear();
    }
    trouble.end();
    let all = write(&mut random);
    let running = trouble.follow(&loki, dir, &log);
    loki.wait_until("every line", |seen| {
        let lines: BTreeSet<&str> = seen.entries.iter().map(|e| e.line.as_str()).collect();
        lines.len() == all.len()
    });
    running.signal("TERM");
    running.wait_to_end().expect(0);
    assert_each_once(&loki, &all);
    assert!(!dir.join("state.sending").exists());
    eprintln!("{} lines, {kills} kills", all.len());
    loki.assert_clean();
}

/// `KILLS=1000 SEED=3 cargo test kills_while` goes on for longer and takes another path.
fn kills_and_seed() -> (usize, u64) {
    let seed = number("SEED").unwrap_or(11);
    (number("KILLS").unwrap_or(40), seed as u64)
}

#[test]
fn kills_while_the_disk_of_the_spool_fills_show_every_line_once() {
    let Some(disk) = SmallDisk::new("size=64k") else {
        return;
    };
    let (kills, seed) = kills_and_seed();
    kill_at_random(&Dir::new(), &Trouble::Full(disk), kills, seed);
}

#[test]
fn kills_while_writes_to_the_spool_fail_show_every_line_once() {
    let dir = Dir::new();
    let errors = [Errno::NOSPC, Errno::IO];
    let Some(disk) = BrokenDisk::new(&dir, &dir.join("spool"), &errors, 97) else {
        return;
    };
    let (kills, seed) = kills_and_seed();
    kill_at_random(&dir, &Trouble::Broken(disk), kills, seed);
}

#[test]
fn a_kill_after_a_batch_that_the_spool_could_not_take_shows_its_lines_once() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let log = dir.write("app.log", "one\ntwo\n");
    let state = dir.join("state");
    let run = |name: &str| {
        // Nobody can create a folder there.
        with_spool(&loki, "/proc/loki-push/spool")
            .args(["--checkpoint"])
            .arg(dir.join(name))
            .arg(&log)
    };
    loki.fault(Fault::Slow(Duration::from_secs(60)));
    let killed = run("state").spawn();
    loki.wait_for_entries(2);
    killed.kill();
    loki.stop();
    loki.client_restarted();
    loki.restart();
    let other = run("state").args(["--org-id", "other"]).run().expect(0);
    other.expect_stderr(["state.sending also holds entries", "--drain --spool"]);
    assert_eq!(loki.entries().len(), 2);
    let next = run("state").run().expect(0);
    let summary = next.summary();
    assert_eq!(
        (summary.read, summary.adopted_delivered),
        (0, 2),
        "{next:?}"
    );
    assert_each_once(&loki, &["one".into(), "two".into()]);
    assert!(!dir.join("state.sending").exists());
    assert!(state.exists());
    loki.assert_clean();
}

#[test]
fn an_answer_lost_while_the_spool_fails_is_shown_once() {
    let (loki, dir) = (Loki::start(), Dir::new());
    let log = dir.write("app.log", "one\ntwo\n");
    loki.fault(Fault::LostAnswer);
    let run = with_spool(&loki, dir.join("spool"))
        .after("ulimit -f 0")
        .arg("--checkpoint")
        .arg(dir.join("state"))
        .arg(&log);
    run.run();
    assert_each_once(&loki, &["one".into(), "two".into()]);
}
