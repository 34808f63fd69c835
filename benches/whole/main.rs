//! The whole program against the floor: the table of what it may cost.
//!
//! ```text
//! cargo bench --bench whole                 # everything, about three minutes
//! cargo bench --bench whole -- bulk         # only: bulk, parse, start, idle, trickle, curve
//! LOKI_PUSH_BENCH_LINES=100000 cargo bench --bench whole
//! cargo bench --bench whole -- --sink       # only the server, for a profiler
//! ```
//!
//! Deterministic lines go through the built binary to a loopback server in this process that
//! answers 204 at once, and through the floor (`floor.rs`) in a process of its own. Each figure is
//! the best of a few runs that take turns, for the neighbours of a shared machine only ever add;
//! memory is the highest. Judge by the ratios: seconds are this machine's.
//!
//! Linux only: processor time comes from wait4, memory from `/proc`.

#![allow(
    clippy::unnecessary_wraps,
    reason = "the parts of the table have one form"
)]

mod floor;
mod lines;
mod measure;
mod sink;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use measure::{Cost, best};
use sink::Sink;

/// The gzip level loki-push takes by default.
const DEFAULT_LEVEL: &str = "2";

const PROGRAM: &str = env!("CARGO_BIN_EXE_loki-push");

/// A part of the table.
type Part = fn(&Bench) -> io::Result<()>;

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    if let [first, level] = args.as_slice()
        && first == "--floor"
    {
        let sent = floor::run(level.parse().unwrap_or(2))?;
        println!("{sent}");
        return Ok(());
    }
    if args == ["--sink"] {
        println!("{}", Sink::start()?.url());
        loop {
            thread::park();
        }
    }
    let count = number("LOKI_PUSH_BENCH_LINES", 1_000_000);
    let bench = Bench {
        file: lines_file(count)?,
        count,
        rounds: number("LOKI_PUSH_BENCH_ROUNDS", 5) as usize,
        sink: Sink::start()?,
    };
    let parts: [(&str, Part); 6] = [
        ("bulk", bulk),
        ("parse", parse),
        ("start", start),
        ("idle", idle),
        ("trickle", trickle),
        ("curve", curve),
    ];
    for (name, part) in parts {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            part(&bench)?;
            println!();
        }
    }
    Ok(())
}

struct Bench {
    file: PathBuf,
    count: u64,
    rounds: usize,
    sink: Sink,
}

impl Bench {
    fn program(&self, options: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["--url", &self.sink.url()]).args(options);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command
    }

    /// The program over a file, as its standard input.
    fn over(&self, path: &Path, options: &[&str]) -> Cost {
        let input = File::open(path).expect("the file of lines");
        measure::run(self.program(options).stdin(input), |_| ())
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is no number"))
    })
}

/// The file of lines, made at the first run.
fn lines_file(count: u64) -> io::Result<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lines-{count}.log"));
    if !path.exists() {
        let new = path.with_extension("new");
        lines::write(&mut io::BufWriter::new(File::create(&new)?), count)?;
        fs::rename(new, &path)?;
    }
    Ok(path)
}

fn floor(path: &Path, level: &str) -> Cost {
    let mut command = Command::new(std::env::current_exe().expect("our own path"));
    command.args(["--floor", level]).stdout(Stdio::null());
    command.stdin(File::open(path).expect("the file of lines"));
    measure::run(&mut command, |_| ())
}

fn row(name: &str, cost: Cost, against: Option<Cost>, more: &str) {
    let ratio = |ours: Duration, theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
    let ratios = against.map_or(String::new(), |floor| {
        format!(
            "wall ×{:.2}  cpu ×{:.2}",
            ratio(cost.wall, floor.wall),
            ratio(cost.cpu, floor.cpu)
        )
    });
    println!(
        "{name:<34} {:>8.3} s {:>8.3} s {:>6.1} MiB  {ratios}  {more}",
        cost.wall.as_secs_f64(),
        cost.cpu.as_secs_f64(),
        mib(cost.peak),
    );
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Items 1, 2 and 3: much at once.
fn bulk(bench: &Bench) -> io::Result<()> {
    let size = fs::metadata(&bench.file)?.len();
    println!(
        "{} lines, {:.0} MB; best of {}            wall       cpu      peak",
        bench.count,
        size as f64 / 1e6,
        bench.rounds
    );
    let (mut floors, mut ours, mut plain, mut gzips, mut pipes) =
        (vec![], vec![], vec![], vec![], vec![]);
    let mut sent = (0, 0);
    // In turns, so that a busy moment of the machine does not fall on one of them alone.
    for _ in 0..bench.rounds {
        floors.push(floor(&bench.file, DEFAULT_LEVEL));
        bench.sink.take();
        ours.push(bench.over(&bench.file, &[]));
        sent = bench.sink.take();
        plain.push(bench.over(&bench.file, &["--parse", "none"]));
        let mut gzip = Command::new("gzip");
        gzip.arg("-1")
            .stdin(File::open(&bench.file)?)
            .stdout(Stdio::null());
        gzips.push(measure::run(&mut gzip, |_| ()));
        pipes.push(through_a_pipe(bench)?);
    }
    let of = |runs: Vec<Cost>| {
        let mut runs = runs.into_iter();
        best(bench.rounds, || runs.next().unwrap_or_default())
    };
    let floor = of(floors);
    row("floor", floor, None, "");
    let bytes = format!(
        "{} requests, sent {:.3} of the bytes read",
        sent.0,
        sent.1 as f64 / size as f64
    );
    row("loki-push", of(ours), Some(floor), &bytes);
    row("loki-push --parse none", of(plain), Some(floor), "");
    row(
        "loki-push, through a pipe",
        of(pipes),
        Some(floor),
        "(without the writer's own)",
    );
    row("gzip -1", of(gzips), Some(floor), "");
    println!("target: wall ×0.80; cpu ×1.25 with --parse none, ×1.40; 12 MiB; 0.26");
    Ok(())
}

fn through_a_pipe(bench: &Bench) -> io::Result<Cost> {
    let mut file = File::open(&bench.file)?;
    Ok(measure::run(&mut bench.program(&[]), |child| {
        let mut pipe = child.stdin.take().expect("a pipe");
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = io::Read::read(&mut file, &mut buffer) {
            pipe.write_all(&buffer[..read]).expect("a reader");
        }
    }))
}

/// Item 1 again, and the share that reading levels takes, in instructions: callgrind counts
/// them whatever the neighbours do. A twentieth of the lines is enough.
fn parse(bench: &Bench) -> io::Result<()> {
    let path = bench.file.with_file_name("part.log");
    let count = (bench.count / 20).max(1);
    lines::write(&mut io::BufWriter::new(File::create(&path)?), count)?;
    let url = bench.sink.url();
    let counted = |program: &[&str]| -> Option<u64> {
        let out = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .args(program)
            .stdin(File::open(&path).ok()?)
            .output()
            .ok()?;
        let said = String::from_utf8_lossy(&out.stderr);
        let line = said.lines().find(|line| line.contains("Collected"))?;
        line.rsplit(':').next()?.trim().parse().ok()
    };
    let ourselves = std::env::current_exe()?;
    let counts = counted(&[&ourselves.to_string_lossy(), "--floor", DEFAULT_LEVEL])
        .zip(counted(&[PROGRAM, "--url", &url, "--parse", "none"]))
        .zip(counted(&[PROGRAM, "--url", &url]));
    println!("instructions a line (callgrind, {count} lines)");
    match counts {
        Some(((floor, none), all)) => {
            let show = |name: &str, ours: u64| {
                let ratio = ours as f64 / floor as f64;
                println!("{name:<34} {:>8}   ×{ratio:.3} of the floor", ours / count);
            };
            show("floor", floor);
            show("loki-push --parse none", none);
            show("loki-push", all);
            let ratio = all as f64 / none as f64;
            println!("reading levels: ×{ratio:.3} (target ×1.15)");
        }
        None => println!("  valgrind is not here"),
    }
    fs::remove_file(&path)
}

/// Item 4: one line from nothing, beside curl.
fn start(bench: &Bench) -> io::Result<()> {
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

/// Item 3: a pipe into which nothing is written.
fn idle(bench: &Bench) -> io::Result<()> {
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
    Ok(())
}

/// Item 5: lines that come steadily, each written by itself.
fn trickle(bench: &Bench) -> io::Result<()> {
    const SECONDS: u64 = 5;
    let text = fs::read_to_string(&bench.file)?;
    for (rate, target) in [(100, 0.5), (10_000, 2.5)] {
        let mut lines = text.lines().cycle();
        let mut longest = Duration::ZERO;
        let cost = measure::run(&mut bench.program(&[]), |child: &mut Child| {
            let mut pipe = child.stdin.take().expect("a pipe");
            let began = Instant::now();
            for n in 0..rate * SECONDS {
                let due = Duration::from_nanos(n * 1_000_000_000 / rate);
                if let Some(early) = due.checked_sub(began.elapsed()) {
                    thread::sleep(early);
                }
                let line = format!("{}\n", lines.next().unwrap_or_default());
                let write = Instant::now();
                pipe.write_all(line.as_bytes()).expect("a reader");
                longest = longest.max(write.elapsed());
            }
        });
        // What starting and ending cost is not the trickle's.
        let share = cost.cpu.as_secs_f64() / SECONDS as f64 * 100.0;
        println!(
            "{rate:>6} lines/s: {share:.2} % of a core (target {target}), {:.1} MiB, longest write {:.2} ms",
            mib(cost.peak),
            longest.as_secs_f64() * 1e3
        );
    }
    Ok(())
}

/// Item 6: cost over lines, their length, and streams; each figure should stand still.
fn curve(bench: &Bench) -> io::Result<()> {
    let path = bench.file.with_file_name("curve.log");
    let bytes: u64 = (bench.count * 64).max(1 << 20);
    println!("cost of                                 ns/line   ns/byte       peak");
    let show = |name: &str, lines: u64, size: u64, cost: Cost| {
        println!(
            "{name:<36} {:>10.0} {:>9.2} {:>6.1} MiB",
            cost.cpu.as_secs_f64() * 1e9 / lines as f64,
            cost.cpu.as_secs_f64() * 1e9 / size as f64,
            mib(cost.peak)
        );
    };
    let text = fs::read(&bench.file)?;
    for part in [100, 10, 1] {
        let end = text.len() / part;
        let end = memchr::memrchr(b'\n', &text[..end]).map_or(end, |at| at + 1);
        fs::write(&path, &text[..end])?;
        let lines = memchr::memchr_iter(b'\n', &text[..end]).count() as u64;
        let cost = best(3, || bench.over(&path, &[]));
        show(&format!("{lines} lines"), lines, end as u64, cost);
    }
    for length in [10, 100, 1_000, 10_000, 100_000, 262_144] {
        let count = bytes / (length + 1);
        let mut out = io::BufWriter::new(File::create(&path)?);
        for n in 0..count {
            let from = (n as usize * 7_919) % (text.len() - length as usize);
            let line: Vec<u8> = text[from..from + length as usize]
                .iter()
                .map(|byte| if *byte == b'\n' { b' ' } else { *byte })
                .collect();
            out.write_all(&line)?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
        let cost = best(3, || bench.over(&path, &[]));
        show(
            &format!("lines of {length} bytes"),
            count,
            count * (length + 1),
            cost,
        );
    }
    for streams in [1, 10, 100] {
        let mut out = io::BufWriter::new(File::create(&path)?);
        let (mut size, mut count) = (0, 0);
        for (n, line) in text
            .split(|byte| *byte == b'\n')
            .enumerate()
            .take(bench.count as usize / 2)
        {
            let tag = format!(" tenant=t{}\n", n % streams);
            out.write_all(line)?;
            out.write_all(tag.as_bytes())?;
            size += (line.len() + tag.len()) as u64;
            count += 1;
        }
        out.flush()?;
        let options = [
            "--label-field",
            "tenant",
            "--max-streams",
            "1000",
            "--parse",
            "logfmt",
            "--level",
            "info",
        ];
        let cost = best(3, || bench.over(&path, &options));
        show(
            &format!("{streams} values of a label field"),
            count,
            size,
            cost,
        );
    }
    fs::remove_file(&path)
}
