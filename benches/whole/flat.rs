//! Memory over a long run: it must not grow.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::thread;
use std::time::Duration;

use crate::measure::{self, high_water};
use crate::{Bench, mib};

/// Item 3: 10 GB at full speed, and as many batches as a trickle seals in 24 hours at one a second.
pub fn flat(bench: &Bench) -> io::Result<()> {
    flood(bench)?;
    day(bench)
}

fn flood(bench: &Bench) -> io::Result<()> {
    const BYTES: u64 = 10_000_000_000;
    let size = fs::metadata(&bench.file)?.len();
    let rounds = BYTES.div_ceil(size);
    let mut first = 0;
    let cost = measure::run(&mut bench.program(&[]), |child| {
        let mut pipe = child.stdin.take().expect("a pipe");
        let mut buffer = vec![0; 256 * 1024];
        for round in 0..rounds {
            let mut file = File::open(&bench.file).expect("the file of lines");
            while let Ok(read @ 1..) = file.read(&mut buffer) {
                pipe.write_all(&buffer[..read]).expect("a reader");
            }
            if round == 0 {
                first = high_water(child.id()).unwrap_or_default();
            }
        }
    });
    println!(
        "{:.1} GB in {:.0} s: {:.1} MiB at most; after the first {:.1} GB {:.1} MiB",
        (rounds * size) as f64 / 1e9,
        cost.wall.as_secs_f64(),
        mib(cost.peak),
        size as f64 / 1e9,
        mib(first)
    );
    Ok(())
}

fn day(bench: &Bench) -> io::Result<()> {
    const BATCHES: u64 = 24 * 60 * 60;
    // Some at once, each a batch of its own: after a write of one line the program rests for 40 ms.
    const AT_ONCE: usize = 48;
    let text = fs::read_to_string(&bench.file)?;
    let mut lines = text.lines().cycle();
    let mut first = 0;
    bench.sink.take();
    let cost = measure::run(&mut bench.program(&["--batch-size", "1"]), |child| {
        let mut pipe = child.stdin.take().expect("a pipe");
        for n in (0..BATCHES).step_by(AT_ONCE) {
            let some: Vec<&str> = lines.by_ref().take(AT_ONCE).collect();
            pipe.write_all((some.join("\n") + "\n").as_bytes())
                .expect("a reader");
            while bench.sink.requests() < n + AT_ONCE as u64 {
                thread::sleep(Duration::from_micros(200));
            }
            if n <= BATCHES / 100 {
                first = high_water(child.id()).unwrap_or_default();
            }
        }
    });
    println!(
        "{BATCHES} batches of a line each: {:.1} MiB at most; after a hundredth {:.1} MiB",
        mib(cost.peak),
        mib(first)
    );
    Ok(())
}
