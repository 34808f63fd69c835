//! Little at a time: one line from nothing, an idle pipe, lines that come steadily.

use std::fs;
use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::{self, Cost};
use crate::{Bench, mib, row};

/// Item 4: one line from nothing, beside curl.
pub fn start(bench: &Bench) -> io::Result<()> {
    println!("one line from nothing                    wall       cpu      peak");
    let rounds = 15 * bench.rounds;
    let (mut ours, mut curls) = (vec![], vec![]);
    for _ in 0..rounds {
        ours.push(measure::run(
            &mut bench.program(&["-m", "one line"]),
            |_| (),
        ));
        let mut curl = Command::new("curl");
        curl.args([
            "-s",
            "-H",
            "Content-Type: application/json",
            "--data-binary",
        ])
        .arg(
            r#"{"streams":[{"stream":{"app":"x"},"values":[["1790000000000000000","one line"]]}]}"#,
        )
        .arg(format!("{}/loki/api/v1/push", bench.sink.url()))
        .stdin(Stdio::null());
        if curl.output().is_ok() {
            curls.push(measure::run(&mut curl, |_| ()));
        }
    }
    let median = |mut runs: Vec<Cost>| {
        runs.sort_by_key(|run| run.wall);
        runs.get(runs.len() / 2).copied()
    };
    let curl = median(curls);
    if let Some(curl) = curl {
        row("curl", curl, None, "median");
    }
    row(
        "loki-push -m",
        median(ours).unwrap_or_default(),
        curl,
        "median",
    );
    println!("target: wall ×0.60 of curl");
    Ok(())
}

/// Items 3 and 5: a pipe into which nothing is written, and one into which lines are, each by
/// itself.
pub fn steady(bench: &Bench) -> io::Result<()> {
    let mut peak = 0;
    let cost = measure::run(&mut bench.program(&[]), |child| {
        thread::sleep(Duration::from_secs(2));
        peak = measure::high_water(child.id()).unwrap_or_default();
    });
    println!(
        "idle pipe: {:.1} MiB (target 5), {:.1} ms CPU in all of 2 s",
        mib(peak),
        cost.cpu.as_secs_f64() * 1e3
    );
    let text = fs::read_to_string(&bench.file)?;
    for (rate, target) in [(100, 0.5), (10_000, 2.5)] {
        trickle(bench, &text, rate, target);
    }
    Ok(())
}

fn trickle(bench: &Bench, text: &str, rate: u64, target: f64) {
    const SECONDS: u64 = 5;
    let mut lines = text.lines().cycle();
    let mut longest = Duration::ZERO;
    let mut written = Vec::new();
    bench.sink.keep(true);
    let started = Instant::now();
    let cost = measure::run(&mut bench.program(&[]), |child: &mut Child| {
        let mut pipe = child.stdin.take().expect("a pipe");
        let began = Instant::now();
        for n in 0..rate * SECONDS {
            let due = Duration::from_nanos(n * 1_000_000_000 / rate);
            if let Some(early) = due.checked_sub(began.elapsed()) {
                thread::sleep(early);
            }
            let line = format!("{} {n}\n", lines.next().unwrap_or_default());
            let write = Instant::now();
            pipe.write_all(line.as_bytes()).expect("a reader");
            longest = longest.max(write.elapsed());
            written.push(write);
        }
    });
    let gone = started + cost.wall;
    let end = gone - bench.sink.last_answer().unwrap_or(gone);
    let mut late: Vec<Duration> = Vec::new();
    for (came, body) in bench.sink.keep(false) {
        let at = numbers(&body).map(|n| came - written[n]);
        late.extend(at);
    }
    assert_eq!(late.len(), written.len(), "all lines came, once");
    late.sort();
    // With what starting and ending cost.
    let share = cost.cpu.as_secs_f64() / SECONDS as f64 * 100.0;
    println!(
        "{rate:>6} lines/s: {share:.2} % of a core (target {target}), {:.1} MiB; longest write \
         {:.2} ms; at Loki {:.0} ms later at the 99th percentile (target 1100), gone {:.1} ms after \
         the last answer (target 10)",
        mib(cost.peak),
        longest.as_secs_f64() * 1e3,
        late[late.len() * 99 / 100].as_secs_f64() * 1e3,
        end.as_secs_f64() * 1e3,
    );
}

/// The numbers at the ends of the lines in a gzipped body.
fn numbers(body: &[u8]) -> impl Iterator<Item = usize> {
    let mut json = String::new();
    let mut body = flate2::read::GzDecoder::new(body);
    body.read_to_string(&mut json).expect("gzipped JSON");
    let push: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let values = push["streams"][0]["values"].as_array().cloned();
    values.expect("entries").into_iter().map(|entry| {
        let line = entry[1].as_str().unwrap_or_default();
        let number = line.rsplit(' ').next();
        number.and_then(|n| n.parse().ok()).expect("a number")
    })
}
