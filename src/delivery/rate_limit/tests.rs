//! What many paces do that share a limit, in virtual time.

use crate::delivery::rate_limit::*;
use crate::random::Random;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

const MIB: u64 = 1 << 20;

impl Random {
    /// A number from 0 to 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// golang.org/x/time/rate, as Loki's distributor uses it.
struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    last: f64,
}

impl Bucket {
    fn allow(&mut self, now: f64, bytes: f64) -> bool {
        self.tokens = (self.tokens + (now - self.last) * self.rate).min(self.burst);
        self.last = now;
        let ok = bytes <= self.tokens;
        if ok {
            self.tokens -= bytes;
        }
        ok
    }
}

struct World {
    shippers: usize,
    batches: usize,
    connections: usize,
    /// Bytes of a request, from, to.
    size: (u64, u64),
    /// Bytes a second and burst; the text names the first divided by `named`.
    rate: f64,
    burst: f64,
    named: f64,
    /// Seconds from sending a request to its answer, from, to.
    latency: (f64, f64),
    /// When the limit is lifted.
    lifted: f64,
    seed: u64,
}

impl Default for World {
    fn default() -> Self {
        let (rate, burst) = (4.0 * MIB as f64, 6.0 * MIB as f64);
        Self {
            shippers: 1,
            batches: 1,
            connections: 1,
            size: (MIB, MIB),
            rate,
            burst,
            named: 1.0,
            latency: (0.005, 0.02),
            lifted: f64::INFINITY,
            seed: 7,
        }
    }
}

#[derive(Default, Debug)]
struct Seen {
    tries: usize,
    refused: usize,
    bytes: f64,
    /// When the first one tried.
    began: f64,
    /// When the first and the last shipper was done, and when all were served but a tenth.
    first: f64,
    last: f64,
    median: f64,
    nine_tenths: f64,
    /// The bytes accepted until then.
    bytes_then: f64,
    /// The most shippers that tried within one second: after the first, the tenth and the
    /// sixtieth.
    crowd_first: usize,
    crowd_early: usize,
    crowd: usize,
    longest_wait: f64,
    /// After the limit was lifted: when the last shipper got its next request accepted, and
    /// the longest wait that was in use then.
    recovered: f64,
    in_use: f64,
}

#[expect(
    clippy::too_many_lines,
    reason = "one loop over events, with what is seen of each"
)]
fn run(world: &World) -> Seen {
    let mut random = Random::new(world.seed);
    let mut bucket = Bucket {
        rate: world.rate,
        burst: world.burst,
        tokens: world.burst,
        last: 0.0,
    };
    let mut paces = vec![RateLimiter::default(); world.shippers];
    let mut left = vec![world.batches; world.shippers];
    let mut next_after_lift = vec![false; world.shippers];
    let mut seen = Seen::default();
    let total =
        (world.shippers * world.batches) as f64 * (world.size.0 + world.size.1) as f64 / 2.0;
    let (mut done, mut served) = (0, 0.0);
    // For each shipper the parts that were split off its requests and are sent next.
    let mut cut = vec![Vec::new(); world.shippers];
    // (time in ns, shipper, size, the wait before it in ns, when it was first refused, what it was
    // cut from and in how many more pieces)
    let mut events = BinaryHeap::new();
    let ns = |t: f64| (t * 1e9) as u64;
    let size = |random: &mut Random| {
        let (from, to) = world.size;
        from + ((to - from) as f64 * random.fraction()) as u64
    };
    let latency = |random: &mut Random| {
        let (from, to) = world.latency;
        from + (to - from) * random.fraction()
    };
    for (shipper, left) in left.iter_mut().enumerate() {
        // Cron jobs start within a tenth of a second.
        for _ in 0..world.connections.min(world.batches) {
            *left -= 1;
            events.push(Reverse((
                ns(random.fraction() * 0.1),
                shipper,
                size(&mut random),
                0,
                None,
                None,
            )));
        }
    }
    let mut second: (u64, HashSet<usize>) = (0, HashSet::new());
    while let Some(Reverse((at, shipper, bytes, waited, first, whole))) = events.pop() {
        let sent = Duration::from_nanos(at);
        let t = sent.as_secs_f64();
        seen.began = if seen.tries == 0 { t } else { seen.began };
        seen.tries += 1;
        if second.0 != at / 1_000_000_000 {
            second = (at / 1_000_000_000, HashSet::new());
        }
        second.1.insert(shipper);
        match second.0 {
            0 => {} // All of them do.
            1..10 => seen.crowd_first = seen.crowd_first.max(second.1.len()),
            10..60 => seen.crowd_early = seen.crowd_early.max(second.1.len()),
            _ => seen.crowd = seen.crowd.max(second.1.len()),
        }
        let now = sent + Duration::from_secs_f64(latency(&mut random));
        let pace = &mut paces[shipper];
        let (wait, bytes, first, whole) = if t >= world.lifted || bucket.allow(t, bytes as f64) {
            seen.bytes += bytes as f64;
            served += bytes as f64;
            if served <= 0.9 * total {
                (seen.nine_tenths, seen.bytes_then) = (t, seen.bytes);
            }
            if t >= world.lifted && !next_after_lift[shipper] {
                next_after_lift[shipper] = true;
                seen.recovered = t - world.lifted;
                seen.in_use = seen.in_use.max(waited as f64 / 1e9);
            }
            pace.accepted(now, sent, bytes);
            if left[shipper] == 0 && cut[shipper].is_empty() {
                done += 1;
                if done == world.shippers / 2 {
                    seen.median = t;
                }
                if done == 1 {
                    seen.first = t;
                }
                seen.last = t;
                continue;
            }
            let bytes = cut[shipper].pop().unwrap_or_else(|| {
                left[shipper] -= 1;
                size(&mut random)
            });
            let (bytes, whole) = cut_to(pace, bytes, None, &mut cut[shipper]);
            let wait = pace.before_next(now, bytes, random.fraction());
            (wait, bytes, None, whole)
        } else {
            seen.refused += 1;
            let limit = (world.rate / world.named) as u64;
            let refused = divisible(sent, first, bytes);
            let wait = pace.limited(now, limit, &refused, random.fraction());
            let (bytes, whole) = cut_to(pace, bytes, whole, &mut cut[shipper]);
            (wait, bytes, first.or(Some(now)), whole)
        };
        seen.longest_wait = seen.longest_wait.max(wait.as_secs_f64());
        events.push(Reverse((
            (now + wait).as_nanos() as u64,
            shipper,
            bytes,
            wait.as_nanos() as u64,
            first,
            whole,
        )));
    }
    seen
}

fn divisible(sent: Duration, first: Option<Duration>, bytes: u64) -> LimitedRequest {
    LimitedRequest {
        sent,
        first,
        bytes,
        shared: true,
        divisible: true,
    }
}

/// What a piece was cut from, and how many others were.
type Whole = Option<(u64, usize)>;

/// The first piece of so many bytes; the others go next. What was cut in vain is whole again.
fn cut_to(pace: &RateLimiter, bytes: u64, whole: Whole, rest: &mut Vec<u64>) -> (u64, Whole) {
    let most = pace.most().unwrap_or(u64::MAX);
    if let Some((all, parts)) = whole.filter(|_| most > bytes) {
        rest.truncate(rest.len() - parts);
        return cut_to(pace, all, None, rest);
    }
    if bytes <= most {
        return (bytes, whole);
    }
    let most = pace.piece_of(bytes);
    if !pace.is_sure() {
        rest.push(bytes - most);
        let (all, parts) = whole.unwrap_or((bytes, 0));
        return (most, Some((all, parts + 1)));
    }
    let mut left = bytes;
    while left > most {
        let piece = most.min(left - most);
        rest.push(piece);
        left -= piece;
    }
    (left, None)
}

/// The time that all of it takes at the limit, after the full bucket is used up.
fn ideal(world: &World, bytes: f64) -> f64 {
    (bytes - world.burst) / world.rate
}

/// How much of the limit was used while nine tenths of the requests were served.
fn used(world: &World, seen: &Seen) -> f64 {
    ideal(world, seen.bytes_then) / seen.nine_tenths
}

#[test]
fn alone_it_runs_at_the_limit_with_a_handful_of_refusals() {
    for (batches, connections, refusals) in
        [(100, 1, 6), (100, 4, 12), (2400, 1, 20), (2400, 4, 30)]
    {
        for seed in 0..10 {
            let world = World {
                batches,
                connections,
                seed,
                ..World::default()
            };
            let seen = run(&world);
            let over = seen.last / ideal(&world, seen.bytes);
            println!(
                "{batches} MiB, {connections} connections: {over:.3} of the ideal, {} refusals",
                seen.refused
            );
            assert!(over <= 1.05, "{over}");
            assert!(seen.refused <= refusals, "{}", seen.refused);
        }
    }
}

#[test]
fn thirty_mebibytes_take_little_more_than_the_stock_limits_allow() {
    const SEEDS: u64 = 100;
    let three_quarters = 3 * MIB / 4;
    // The shorter the answers take, the less is left in the bucket at the first refusal.
    for (connections, size, latency) in [
        (1, MIB, (0.005, 0.02)),
        (1, MIB, (0.001, 0.001)),
        (1, three_quarters, (0.005, 0.02)),
        (1, three_quarters, (0.001, 0.001)),
        (4, MIB, (0.005, 0.02)),
        (4, MIB, (0.001, 0.001)),
        (4, three_quarters, (0.005, 0.02)),
        (4, three_quarters, (0.001, 0.001)),
    ] {
        let (mut all_over, mut worst) = (0.0, 0.0_f64);
        for seed in 0..SEEDS {
            let world = World {
                batches: (30 * MIB / size) as usize,
                size: (size, size),
                connections,
                latency,
                seed,
                ..World::default()
            };
            let seen = run(&world);
            let over = (seen.last - seen.began) / ideal(&world, seen.bytes);
            all_over += over / SEEDS as f64;
            worst = worst.max(over);
            // Each one's first, and one more to find out what the bucket held then.
            assert!((connections..=connections + 1).contains(&seen.refused));
        }
        println!(
            "30 MiB, {connections} connections, {size} bytes, {latency:?} s: {all_over:.3} of the ideal, {worst:.3} at most"
        );
        assert!(worst <= 1.05, "{worst}");
        assert!(all_over <= 1.03, "{all_over}");
    }
}

#[test]
fn a_burst_below_the_batch_costs_a_second_or_two_and_a_few_refusals() {
    let (mib, mut worst) = (MIB as f64, 0.0_f64);
    for (rate, burst) in [
        (4.0, 0.9),
        (4.0, 0.5),
        (4.0, 0.2),
        (4.0, 0.05),
        (1.0, 1.5),
        (1.0, 0.5),
        (1.0, 0.05),
        (0.5, 1.0),
        (0.05, 0.06),
        (0.1, 0.2),
    ] {
        let (mut most, mut over) = (0, 0.0_f64);
        for seed in 0..20 {
            let world = World {
                batches: 10,
                rate: rate * mib,
                burst: burst * mib,
                seed,
                ..World::default()
            };
            let seen = run(&world);
            assert!((seen.bytes - 10.0 * mib).abs() < 1.0, "all is delivered");
            let ideal = ideal(&world, seen.bytes);
            most = most.max(seen.refused);
            over = over.max(seen.last - 1.25 * ideal);
            if seed == 0 {
                println!(
                    "{rate}/{burst}: {:.1} s, ideal {ideal:.1}, {} refusals of {}",
                    seen.last, seen.refused, seen.tries
                );
            }
        }
        println!("{rate}/{burst}: {over:.1} s over at most, {most} refusals at most");
        assert!(most <= 20, "{most}");
        // So small a burst takes two steps to find, and one more second for the second.
        let found = if burst < rate / 64.0 { 4.0 } else { 0.0 };
        worst = worst.max(over - found);
    }
    assert!(worst <= 2.0, "{worst}");
}

#[test]
fn a_few_share_the_limit() {
    const SEEDS: u64 = 32;
    for (shippers, batches) in [(2, 200), (3, 150), (5, 100), (10, 60), (20, 40), (50, 40)] {
        let (mut all_over, mut all_used, mut all_each) = (0.0, 0.0, 0.0);
        for seed in 0..SEEDS {
            let world = World {
                shippers,
                batches,
                seed,
                ..World::default()
            };
            let seen = run(&world);
            let (over, used) = (seen.last / ideal(&world, seen.bytes), used(&world, &seen));
            let each = seen.refused as f64 / (shippers * batches) as f64;
            println!(
                "{shippers} x {batches} MiB: used {used:.3}, all done at {over:.2} of the ideal, first {:.0} s, half {:.0} s, last {:.0} s, {each:.2} refusals a request",
                seen.first, seen.median, seen.last
            );
            all_over += over / SEEDS as f64;
            all_used += used / SEEDS as f64;
            all_each += each / SEEDS as f64;
            assert!(seen.last <= 2.5 * seen.median);
        }
        // One in thirty goes worse, whatever the numbers are: chance decides who is alone for a while.
        assert!(all_over <= 1.15, "{all_over}");
        assert!(all_used >= 0.95, "{all_used}");
        assert!(all_each <= 1.25, "{all_each}");
    }
}

#[test]
fn a_thousand_senders_that_start_at_once_use_the_whole_limit() {
    const SEEDS: u64 = 5;
    let tenth = MIB / 10;
    for (batches, size, most, least) in [
        (1, (MIB, MIB), 1.15, 0.98),
        (4, (MIB, MIB), 1.1, 0.98),
        (4, (MIB / 16, MIB), 1.1, 0.98),
        (10, (tenth, tenth), 1.2, 0.98),
        (1, (tenth, tenth), 1.5, 0.95),
    ] {
        let (mut over, mut used, mut each) = (0.0, 0.0, 0.0);
        let (mut first, mut early) = (0, 0);
        for seed in 0..SEEDS {
            let world = World {
                shippers: 1000,
                batches,
                size,
                seed,
                ..World::default()
            };
            let seen = run(&world);
            over += seen.last / ideal(&world, seen.bytes) / SEEDS as f64;
            used += self::used(&world, &seen) / SEEDS as f64;
            each += seen.refused as f64 / (1000 * batches) as f64 / SEEDS as f64;
            first += seen.crowd_first / SEEDS as usize;
            early += seen.crowd_early / SEEDS as usize;
            assert!(seen.crowd <= 200, "{}", seen.crowd);
            assert!(seen.longest_wait <= 60.0);
        }
        println!(
            "1000 x {batches} x {size:?}: used {used:.3}, all done at {over:.2} of the ideal, {each:.1} refusals a request, at most {first}, {early} of them in a second after 1, 10 s"
        );
        assert!(used >= least, "{used}");
        assert!(over <= most, "{over}");
        assert!(each <= 13.0, "{each}");
        // Many small ones come back sooner.
        let most_early = if batches == 10 { 310 } else { 300 };
        assert!(first <= 800 && early <= most_early, "{first}, {early}");
    }
}

#[test]
fn all_recover_within_two_backoffs_when_the_limit_is_lifted() {
    for seed in 0..3 {
        let world = World {
            shippers: 1000,
            batches: 6,
            lifted: 400.0,
            seed,
            ..World::default()
        };
        let seen = run(&world);
        println!(
            "lifted: the last one's next request after {:.0} s, waits in use up to {:.0} s, all done after {:.0} s",
            seen.recovered,
            seen.in_use,
            seen.last - world.lifted
        );
        assert!(seen.recovered <= 2.0 * seen.in_use);
        assert!(seen.last - world.lifted <= 2.0 * 60.0);
    }
}

#[test]
fn one_that_is_alone_notices_a_lifted_limit_and_a_larger_one() {
    let world = World {
        batches: 2000,
        lifted: 20.0,
        ..World::default()
    };
    let seen = run(&world);
    println!("lifted at 20 s: done at {:.0} s", seen.last);
    assert!(seen.last < 100.0, "{}", seen.last);
    // Three distributors: each names a third of what all take together.
    let world = World {
        batches: 1000,
        named: 3.0,
        ..World::default()
    };
    let seen = run(&world);
    let over = seen.last / ideal(&world, seen.bytes);
    println!(
        "named a third: {over:.2} of the ideal, {} refusals",
        seen.refused
    );
    assert!(over < 1.4 && seen.refused < 20);
}

const ZERO: Duration = Duration::ZERO;

/// One that cannot be cut.
fn whole(sent: Duration, bytes: u64) -> LimitedRequest {
    LimitedRequest {
        sent,
        first: None,
        bytes,
        shared: true,
        divisible: false,
    }
}

#[test]
fn without_a_refusal_there_is_no_wait() {
    let mut pace = RateLimiter::default();
    for i in 0..1000 {
        let now = Duration::from_millis(i);
        assert_eq!(pace.before_next(now, 100 * MIB, 0.99), ZERO);
        pace.accepted(now, now, MIB);
    }
}

#[test]
fn parallel_requests_get_slots_one_after_another() {
    let mut pace = RateLimiter::default();
    let (sent, now) = (Duration::from_secs(1), Duration::from_secs(2));
    let waits: Vec<f64> = (0..4)
        .map(|_| {
            pace.limited(now, 4 * MIB, &whole(sent, MIB), 0.5)
                .as_secs_f64()
        })
        .collect();
    assert!((waits[0] - FIRST_WAIT).abs() < 1e-6);
    // The others were sent before that was known: no more backoff, a place for each.
    for pair in waits.windows(2) {
        assert!((pair[1] - pair[0] - 0.25 / ALONE).abs() < 1e-6, "{waits:?}");
    }
    assert!(pace.before_next(now, MIB, 0.5).as_secs_f64() > waits[3]);
}

#[test]
fn one_request_waits_as_long_as_its_bytes_need() {
    let mut pace = RateLimiter::default();
    let wait = pace
        .limited(ZERO, MIB / 100, &whole(ZERO, MIB), 0.0)
        .as_secs_f64();
    assert!((100.0..=200.1).contains(&wait), "{wait}");
    // A limit of nothing does not mean for ever.
    let mut pace = RateLimiter::default();
    assert!(
        pace.limited(ZERO, 0, &whole(ZERO, u64::MAX), 0.99)
            .as_secs_f64()
            <= 2.0 * OWN_MAX
    );
    assert!(pace.before_next(ZERO, u64::MAX, 0.99).as_secs_f64() <= 5.0 * OWN_MAX);
}

#[test]
fn pieces_are_even_and_no_larger_than_is_worth_sending() {
    let mut pace = RateLimiter::default();
    assert_eq!((pace.most(), pace.piece_of(10 * MIB)), (None, 10 * MIB));
    pace.limited(ZERO, 4 * MIB, &whole(ZERO, MIB), 0.5);
    assert_eq!(pace.most(), Some(MIB), "a quarter of a second");
    for (bytes, piece) in [(1, 1), (MIB, MIB), (MIB + 2, MIB / 2 + 1), (3 * MIB, MIB)] {
        assert_eq!(pace.piece_of(bytes), piece, "{bytes}");
    }
}
