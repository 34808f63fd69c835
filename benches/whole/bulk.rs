//! Much at once: wall, processor time, memory and bytes sent, beside the floor and gzip.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::{Command, Stdio};

use crate::measure::{self, Cost, least};
use crate::{Bench, DEFAULT_LEVEL, PROGRAM, floor, lines, row};

/// Items 1, 2 and 3: much at once.
pub fn bulk(bench: &Bench) -> io::Result<()> {
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
    let floor = least(&floors);
    row("floor", floor, None, "");
    let bytes = format!(
        "{} requests, sent {:.3} of the bytes read",
        sent.0,
        sent.1 as f64 / size as f64
    );
    let (ours, plain) = (least(&ours), least(&plain));
    row("loki-push", ours, Some(floor), &bytes);
    row("loki-push --parse none", plain, Some(floor), "");
    row(
        "loki-push, through a pipe",
        least(&pipes),
        Some(floor),
        "(without the writer's own)",
    );
    row("gzip -1", least(&gzips), Some(floor), "");
    let ratio = ours.cpu.as_secs_f64() / plain.cpu.as_secs_f64();
    println!("reading levels: cpu ×{ratio:.2} (target ×1.15)");
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
/// them whatever the neighbours do. A twentieth of the lines is enough. (It counts a `rep stosb` by
/// the byte: clearing the compressor for each of more requests looks dearer than it is.)
pub fn parse(bench: &Bench) -> io::Result<()> {
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
