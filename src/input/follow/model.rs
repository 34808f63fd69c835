//! A model of rotation: random histories of files are followed by the real code, with a real folder
//! and simulated time.
//!
//! Each history is made from a seed. `HISTORY=seed cargo test --lib model` runs that one again and
//! prints what happened in it. A line may only be missing if no file held it any more when the
//! follower could have read it, and it may only come twice where the argument in
//! [`crate::input::rotation::history`] says so.

mod shipper;
mod world;

use std::env;
use std::ops::Range;

use world::World;

/// Runs the history of a seed. Returns what is wrong with its outcome.
fn run(seed: u64, is_shown: bool) -> Result<(), String> {
    World::new(seed, is_shown).run()
}

fn run_all(seeds: Range<u64>) {
    if let Some(seed) = env::var("HISTORY").ok().and_then(|seed| seed.parse().ok()) {
        return run(seed, true).unwrap_or_else(|why| panic!("history {seed}: {why}"));
    }
    let seeds = match env::var("HISTORIES").ok().and_then(|end| end.parse().ok()) {
        Some(end) => seeds.start..end,
        None => seeds,
    };
    let failed: Vec<String> = seeds
        .filter_map(|seed| Some(format!("history {seed}: {}", run(seed, false).err()?)))
        .collect();
    assert!(
        failed.is_empty(),
        "{} failed\n{}",
        failed.len(),
        failed[..failed.len().min(20)].join("\n")
    );
}

#[test]
fn hundreds_of_random_histories_come_out_whole_and_once() {
    run_all(0..300);
}

#[test]
#[ignore = "takes minutes"]
fn ten_thousand_random_histories_come_out_whole_and_once() {
    run_all(0..10_000);
}
