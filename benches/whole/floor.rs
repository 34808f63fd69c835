//! The floor: the straight single-threaded loop that does the work no shipper of gzipped JSON can
//! avoid, and nothing else. Read, split, escape, compress; no network, no levels, no accounting.
//!
//! It stays with zlib-rs, by which the budgets were set, whatever loki-push compresses with.

use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;

/// The cost at which a body is full, counted as loki-push counts.
const FULL: usize = 1024 * 1024;

/// What a chunk is read in.
const READ: usize = 64 * 1024;

/// Runs standard input through it; gives the bytes that would have been sent.
pub fn run(level: u32) -> io::Result<usize> {
    let mut input = io::stdin().lock();
    let mut buffer = vec![0; READ];
    let mut filled = 0;
    let mut body = Vec::new();
    let (mut cost, mut sent) = (0, 0);
    let mut stamp = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos();
    loop {
        if filled == buffer.len() {
            buffer.resize(buffer.len() + READ, 0);
        }
        let read = input.read(&mut buffer[filled..])?;
        if read == 0 {
            break;
        }
        let end = filled + read;
        let mut start = 0;
        while let Some(at) = memchr::memchr(b'\n', &buffer[start..end]) {
            let line = &buffer[start..start + at];
            start += at + 1;
            body.extend_from_slice(if body.is_empty() {
                b"{\"streams\":[{\"stream\":{\"app\":\"default\"},\"values\":[[\""
            } else {
                b",[\""
            });
            stamp += 1;
            write!(body, "{stamp}\",")?;
            serde_json::to_writer(&mut body, &String::from_utf8_lossy(line))?;
            body.push(b']');
            cost += line.len() + 64;
            if cost >= FULL {
                sent += finish(&mut body, level)?;
                cost = 0;
            }
        }
        buffer.copy_within(start..end, 0);
        filled = end - start;
    }
    Ok(sent + finish(&mut body, level)?)
}

fn finish(body: &mut Vec<u8>, level: u32) -> io::Result<usize> {
    body.extend_from_slice(b"]}]}");
    let length = if level == 0 {
        body.len()
    } else {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::new(level));
        gzip.write_all(body)?;
        gzip.finish()?.len()
    };
    body.clear();
    Ok(length)
}
