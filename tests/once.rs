//! Exactly once: a followed file comes out whole and without repeats over any number of kills, with
//! a spool and a checkpoint, whatever Loki does meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use crate::support::{Dir, Loki, LokiPush, Random, Running};

/// What the lines of the log are, and with which options they are read.
#[derive(Debug, Clone, Copy)]
enum Input {
    /// A line is an entry.
    Lines,
    /// Lines with a time of their own, and others that continue them.
    Timed,
    /// Lines of a container runtime, some of them in parts, of two streams.
    Cri,
    /// Traces of several lines.
    Traces,
    /// Such traces in the lines of a container runtime, in parts, between those of another stream.
    CriTraces,
}

impl Input {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Lines => &[],
            Self::Timed => &["--time", "auto", "--time-zone", "Europe/Berlin"],
            Self::Cri => &["--unwrap", "cri"],
            Self::Traces => &["--multiline", "auto"],
            Self::CriTraces => &["--unwrap", "cri", "--multiline", "auto"],
        }
    }

    /// How many entries are held for a second, in case they continue.
    fn held(self) -> usize {
        match self {
            Self::Lines | Self::Timed | Self::Cri => 0,
            Self::Traces => 1,
            Self::CriTraces => 2,
        }
    }

    /// The lines that are written for the next entries, and these entries.
    fn next(self, n: i64, is_first: bool, random: &mut Random) -> (Vec<String>, Vec<Shown>) {
        let level = ["INFO", "WARN", "ERROR"][random.below(3)];
        let text = format!("{level} line {n:06}");
        let time = |n: i64| {
            let time = jiff::Timestamp::from_millisecond(1_772_300_000_000 + n).unwrap();
            (time, i64::try_from(time.as_nanosecond()).unwrap())
        };
        match self {
            Self::Lines => (vec![text.clone()], vec![(text, None)]),
            Self::Timed => {
                let (own, ns) = time(n);
                let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
                let local = zone.to_datetime(own).strftime("%Y-%m-%d %H:%M:%S.%3f");
                let lines: Vec<String> = match random.below(4) {
                    0 if !is_first => vec![format!("  continues {n:06}")],
                    0 | 1 => vec![format!("{local} {text}"), format!("  more {n:06}")],
                    _ => vec![format!("{local} {text}")],
                };
                let is_own = !lines[0].starts_with(' ');
                let shown = lines
                    .iter()
                    .map(|line| (line.clone(), is_own.then_some(ns)));
                let shown = shown.collect();
                (lines, shown)
            }
            Self::Cri => {
                let ((out, out_ns), (err, err_ns)) = (time(2 * n), time(2 * n + 1));
                let (head, tail) = text.split_at(8);
                let lines = match random.below(3) {
                    0 => vec![
                        format!("{out} stdout F {text}"),
                        format!("{err} stderr F e{text}"),
                    ],
                    1 => vec![
                        format!("{out} stdout P {head}"),
                        format!("{err} stderr F e{text}"),
                        format!("{err} stdout F {tail}"),
                    ],
                    _ => vec![
                        format!("{out} stdout P {head}"),
                        format!("{err} stderr P e{head}"),
                        format!("{out} stdout F {tail}"),
                        format!("{out} stderr F {tail}"),
                    ],
                };
                let shown = [
                    (text.clone(), Some(out_ns)),
                    (format!("e{text}"), Some(err_ns)),
                ];
                (lines, shown.to_vec())
            }
            Self::Traces => {
                let frames = (0..random.below(4)).map(|at| format!("\tat frame {at} of {n:06}"));
                let lines: Vec<String> = std::iter::once(text).chain(frames).collect();
                (lines.clone(), vec![(lines.join("\n"), None)])
            }
            Self::CriTraces => {
                let ((out, out_ns), (err, err_ns)) = (time(2 * n), time(2 * n + 1));
                let (head, tail) = text.split_at(8);
                let mut lines = vec![
                    format!("{out} stdout P {head}"),
                    format!("{err} stdout F {tail}"),
                ];
                let mut trace = text.clone();
                for at in 0..random.below(3) {
                    let _ = write!(trace, "\n\tat frame {at} of {n:06}");
                    lines.push(format!("{err} stdout P \tat frame {at}"));
                    lines.push(format!("{err} stdout F  of {n:06}"));
                }
                // In one or two parts, anywhere between those.
                let at = random.below(lines.len() + 1);
                if random.below(2) == 0 {
                    lines.insert(at, format!("{err} stderr F e{text}"));
                } else {
                    lines.insert(at, format!("{err} stderr P e{head}"));
                    let later = at + 1 + random.below(lines.len() - at);
                    lines.insert(later, format!("{out} stderr F {tail}"));
                }
                let shown = [(trace, Some(out_ns)), (format!("e{text}"), Some(err_ns))];
                (lines, shown.to_vec())
            }
        }
    }
}

/// The text of an entry, and its time, if that is known.
type Shown = (String, Option<i64>);

/// A follower with a spool and a checkpoint, and little batches.
fn follow(loki: &Loki, dir: &Dir, log: &Path, input: Input) -> Running {
    LokiPush::new(loki)
        .args(input.options())
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
fn shown(loki: &Loki) -> BTreeMap<String, Vec<i64>> {
    let mut entries = loki.entries();
    let mut seen = BTreeSet::new();
    entries.retain(|e| seen.insert((e.labels.clone(), e.time, e.line.clone())));
    let mut times: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for entry in entries {
        times.entry(entry.line).or_default().push(entry.time);
    }
    times
}

/// Kills a follower at `kills` random moments while lines of several levels are written and the
/// file is rotated now and then.
fn kill_at_random(input: Input, kills: usize, seed: u64) {
    let (loki, dir) = (Loki::start(), Dir::new());
    if matches!(input, Input::Cri | Input::CriTraces) {
        // What is between the parts of a line is read again with them, and has the same times.
        loki.limits(|limits| limits.no_repeats = false);
    }
    let log = dir.write("app.log", "");
    let mut random = Random::new(seed);
    let mut written: Vec<Shown> = Vec::new();
    let (mut number, mut last) = (0, None);
    let mut write = |random: &mut Random, written: &mut Vec<Shown>| {
        for _ in 0..random.below(30) {
            let is_first = std::fs::metadata(&log).unwrap().len() == 0;
            let (lines, entries) = input.next(number, is_first, random);
            number += 1;
            for line in lines {
                dir.append("app.log", format!("{line}\n"));
            }
            for (text, time) in entries {
                // A line without a time continues the last one that has one.
                last = time.or(last);
                written.push((text, last));
            }
        }
    };
    for round in 0..kills {
        loki.faults((0..4).map(|_| random.fault()).collect::<Vec<_>>());
        write(&mut random, &mut written);
        let running = follow(&loki, &dir, &log, input);
        random.moment();
        write(&mut random, &mut written);
        if round % 11 == 10 {
            // A file that no run has met is lost when it goes, as it must be.
            loki.wait_for_requests(1);
            dir.rename("app.log", format!("app.log.{round:04}"));
            dir.write("app.log", "");
        }
        random.moment();
        running.kill();
        loki.client_killed();
    }
    loki.clear();
    write(&mut random, &mut written);
    let running = follow(&loki, &dir, &log, input);
    loki.wait_until("every line", |seen| {
        let lines: BTreeSet<&str> = seen.entries.iter().map(|e| e.line.as_str()).collect();
        lines.len() + input.held() >= written.len()
    });
    running.signal("TERM");
    running.wait_to_end().expect(0);
    let shown = shown(&loki);
    let wrong: Vec<_> = written
        .iter()
        .filter(|(text, time)| match shown.get(text).map(Vec::as_slice) {
            Some([own]) => time.is_some_and(|time| time != *own),
            _ => true,
        })
        .map(|(text, time)| (text, time, shown.get(text)))
        .collect();
    assert_eq!(wrong, [], "{input:?}, seed {seed}");
    let written: BTreeSet<&String> = written.iter().map(|(text, _)| text).collect();
    let torn: Vec<_> = shown
        .iter()
        .filter(|(text, _)| !written.contains(text))
        .collect();
    assert_eq!(torn, [], "{input:?}, seed {seed}");
    loki.assert_clean();
}

#[test]
fn twelve_kills_of_a_follower_with_spool_and_checkpoint_show_every_line_once() {
    kill_at_random(Input::Lines, 12, 42);
}

#[test]
fn kills_show_lines_with_times_envelopes_and_traces_once_and_at_their_times() {
    for input in [Input::Timed, Input::Cri, Input::Traces, Input::CriTraces] {
        kill_at_random(input, number("KILLS").unwrap_or(12), 42);
    }
}

/// `KILLS=1000 cargo test hundreds` goes on for longer, `SEED` takes another path.
#[test]
fn hundreds_of_random_kill_points_show_every_line_once() {
    let seed = number("SEED").unwrap_or(7);
    kill_at_random(Input::Lines, number("KILLS").unwrap_or(200), seed as u64);
}

fn number(name: &str) -> Option<usize> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}
