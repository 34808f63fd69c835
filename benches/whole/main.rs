//! The whole program against the floor: the table of what it may cost.
//!
//! ```text
//! cargo bench --bench whole                 # all but `flat` and `peers`, about five minutes
//! cargo bench --bench whole -- bulk parse   # some: bulk, parse, start, steady, curve, files, peers
//! cargo bench --bench whole -- flat         # 10 GB, and the batches of a day: some minutes more
//! PATH=…:$PATH cargo bench --bench whole -- peers   # the other shippers that are on the PATH
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

mod bulk;
mod curve;
mod flat;
mod floor;
mod lines;
mod measure;
mod peers;
mod sink;
mod steady;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use measure::Cost;
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
    let parts: [(&str, Part); 8] = [
        ("bulk", bulk::bulk),
        ("parse", bulk::parse),
        ("start", steady::start),
        ("steady", steady::steady),
        ("curve", curve::curve),
        ("files", curve::files),
        ("flat", flat::flat),
        ("peers", peers::peers),
    ];
    for (name, part) in parts {
        let wanted = args.iter().any(|arg| arg == name);
        if wanted || (args.is_empty() && !["flat", "peers"].contains(&name)) {
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
