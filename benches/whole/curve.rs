//! Growth: over lines, their length, streams and followed files.

use std::fs::{self, File};
use std::io::{self, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::measure::{self, Cost, best};
use crate::{Bench, mib};

/// Item 6: cost over lines, their length, and streams; each figure should stand still.
pub fn curve(bench: &Bench) -> io::Result<()> {
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

/// Item 6 again, over followed files: the same lines in ever more of them, and then nothing.
pub fn files(bench: &Bench) -> io::Result<()> {
    const QUIET: Duration = Duration::from_secs(3);
    let dir = bench.file.with_file_name("followed");
    let text = fs::read(&bench.file)?;
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let count = lines.len().min(100_000);
    println!("{count} lines in                          ns/line       peak   idle");
    for files in [1, 10, 100, 1_000] {
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir)?;
        for (n, part) in lines[..count].chunks(count.div_ceil(files)).enumerate() {
            fs::write(dir.join(format!("{n}.log")), part.concat())?;
        }
        let pattern = format!("{}/*.log", dir.display());
        let follow = |quiet: Duration| {
            let mut command = bench.program(&["-f", "--from", "start", &pattern]);
            bench.sink.take();
            measure::run(command.stdin(Stdio::null()), |child| {
                // All is there when nothing more comes.
                let (mut came, mut since) = (0, Instant::now());
                while since.elapsed() < quiet {
                    std::thread::sleep(Duration::from_millis(20));
                    let now = bench.sink.requests();
                    if now != came {
                        (came, since) = (now, Instant::now());
                    }
                }
                let pid = child.id().to_string();
                let _ = Command::new("kill").arg(pid).status();
            })
        };
        let short = follow(QUIET);
        let long = follow(2 * QUIET);
        let idle = long.cpu.saturating_sub(short.cpu).as_secs_f64() / QUIET.as_secs_f64();
        println!(
            "{files:>5} files {:>36.0} {:>6.1} MiB  {:.2} % of a core",
            short.cpu.as_secs_f64() * 1e9 / count as f64,
            mib(short.peak),
            idle * 100.0
        );
    }
    fs::remove_dir_all(&dir)
}
