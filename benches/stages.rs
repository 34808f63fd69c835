//! The pure stages one by one, over 20,000 mixed lines: how many bytes of them a second each takes.
//!
//! ```text
//! cargo bench --features bench --bench stages
//! cargo bench --features bench --bench stages -- seal
//! ```
//!
//! For figures that do not depend on the neighbours, count instructions: each bench takes
//! `--sample-count 1 --sample-size 1`, so that this counts one run of one stage:
//!
//! ```text
//! valgrind --tool=callgrind target/release/deps/stages-… --sample-count 1 --sample-size 1 escape
//! ```
//!
//! divan rather than criterion: a tenth of the dependencies, throughput in its table, and no plots
//! that nobody looks at.

#[path = "whole/lines.rs"]
mod lines;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::BytesCount;
use loki_push::bench::{
    Batch, BatchLimits, Batcher, Chunk, Encoder, Labels, LineSplitter, Parse, level_of_text, parse,
    read_level, write_escaped,
};

fn main() {
    divan::main();
}

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = Vec::new();
    lines::write(&mut text, 20_000).expect("writing to memory");
    String::from_utf8(text).expect("lines are ASCII")
});

/// Cutting lines, as from a pipe.
#[divan::bench]
fn split(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(TEXT.as_str()))
        .bench_local(|| {
            let (mut from, mut lines) = (TEXT.as_bytes(), LineSplitter::new(b'\n', 256 * 1024));
            let mut count = 0;
            while lines.read(&mut from).expect("reading memory") > 0 {
                while lines.next_piece().is_some() {
                    count += 1;
                }
            }
            count
        });
}

/// The level alone: what every line of the quick way pays.
#[divan::bench]
fn fields_read_level(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(TEXT.as_str()))
        .bench_local(|| {
            let levels = TEXT
                .lines()
                .filter_map(|line| read_level(line, Parse::Auto));
            levels.count()
        });
}

/// All fields, as `--layout line` reads them.
#[divan::bench]
fn fields_parse(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(TEXT.as_str()))
        .bench_local(|| {
            let mut fields = Vec::new();
            for line in TEXT.lines() {
                divan::black_box(parse(line, Parse::Auto, &mut fields));
                fields.clear();
            }
        });
}

/// Level words.
#[divan::bench]
fn level_from_text(bencher: Bencher<'_, '_>) {
    bencher
        .counter(BytesCount::of_str(TEXT.as_str()))
        .bench_local(|| TEXT.lines().filter_map(level_of_text).count());
}

/// The one escape pass, …
#[divan::bench]
fn escape(bencher: Bencher<'_, '_>) {
    let mut out = Vec::new();
    bencher
        .counter(BytesCount::of_str(TEXT.as_str()))
        .bench_local(move || {
            out.clear();
            TEXT.lines().for_each(|line| write_escaped(&mut out, line));
            out.len()
        });
}

/// … and `serde_json`'s.
#[divan::bench]
fn escape_serde_json(bencher: Bencher<'_, '_>) {
    let mut out = Vec::new();
    bencher
        .counter(BytesCount::of_str(TEXT.as_str()))
        .bench_local(move || {
            out.clear();
            for line in TEXT.lines() {
                serde_json::to_writer(&mut out, line).expect("writing to memory");
            }
            out.len()
        });
}

/// A batch becomes a gzipped shipment.
#[divan::bench(args = [0, 1, 2, 6])]
fn encode(bencher: Bencher<'_, '_>, level: u8) {
    let mut encoder = Encoder::new(level);
    bencher
        .with_inputs(batch)
        .counter(BytesCount::of_str(TEXT.as_str()))
        .bench_local_values(|batch| encoder.encode(batch, |_| {}));
}

fn batch() -> Batch {
    let now = Instant::now();
    let mut chunk = Chunk::new(None, now);
    let stream = chunk.stream(&Arc::new(Labels::new([("app", "bench")])));
    for (n, line) in TEXT.lines().enumerate() {
        chunk.push(stream, 1_790_000_000_000_000_000 + n as i64, 0, &[line], "");
    }
    let limits = BatchLimits {
        entries: usize::MAX,
        bytes: usize::MAX,
        age: Duration::MAX,
    };
    let mut batcher = Batcher::new(limits, false);
    batcher.add(chunk, drop);
    batcher.close().expect("an open batch")
}
