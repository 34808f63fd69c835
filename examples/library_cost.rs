//! What a call costs the thread that logs: `cargo run --release --example library_cost`.
//!
//! Measures the client alone: its transport takes everything at once. Knows only the public names.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use loki_push::{Config, Loki, Request, Response, Transport};

const CALLS: u32 = 200_000;

struct Nowhere;

impl Transport for Nowhere {
    fn send(&self, _: &Request, _: Duration) -> Response {
        Response::status(204)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    for (name, threads, burst) in [
        ("one thread, without a pause", 1, CALLS),
        ("four threads, without a pause", 4, CALLS),
        ("one thread, bursts of 100, then 1 ms", 1, 100),
        ("one thread, one call, then 1 ms", 1, 1),
    ] {
        let loki = Loki::with_transport(Config::new("http://localhost"), Arc::new(Nowhere))?;
        let mut times: Vec<u64> = thread::scope(|scope| {
            let run = || calls(&loki, burst);
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
            let times = threads.into_iter().map(thread::ScopedJoinHandle::join);
            times.flat_map(Result::unwrap_or_default).collect()
        });
        times.sort_unstable();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
        let mean = times.iter().sum::<u64>() / times.len() as u64;
        let stats = loki.stop();
        println!(
            "{name}: mean {mean} ns, median {} ns, 99 % {} ns, 99.9 % {} ns; {stats}",
            at(0.5),
            at(0.99),
            at(0.999),
        );
    }
    Ok(())
}

/// Times each call, the clock's own reading of some 25 ns with it.
fn calls(loki: &Loki, burst: u32) -> Vec<u64> {
    let total = if burst < CALLS {
        burst.max(10) * 200
    } else {
        burst
    };
    let mut times = Vec::with_capacity(total as usize);
    for n in 0..total {
        if n % burst == 0 && burst < CALLS {
            thread::park_timeout(Duration::from_millis(1));
        }
        let began = Instant::now();
        loki.info(
            black_box("GET /api/users/12345 answered from the cache"),
            &[("user_id", &n), ("path", &"/api/users"), ("took_ms", &12.5)],
        );
        times.push(began.elapsed().as_nanos() as u64);
    }
    times
}
