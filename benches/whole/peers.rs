//! The same lines through other shippers, in turns with ours: item 2. A peer that is not on the PATH
//! is left out; none is ever fetched or built from here.
//!
//! Each gets the least it can be asked for: one label, the line as it is, no parsing. Its wall time
//! ends with the last answer it got, not with its exit, for some wait seconds for nothing. First comes
//! a run of each that is not timed and counts the entries that arrived.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::measure::{self, Cost};
use crate::{Bench, DEFAULT_LEVEL, floor, row};

/// A shipper, as it is started: the program, its arguments, its configuration.
struct Peer {
    name: &'static str,
    /// One it can be told, or the only one it has.
    compression: &'static str,
    program: &'static str,
    /// What comes before the path of the configuration.
    arguments: &'static [&'static str],
    /// The configuration's file name, which says its format.
    file: &'static str,
    /// `URL`, `PORT`, `LINES`, `FOLDER` and `COMPRESSION` stand for what is filled in.
    configuration: &'static str,
}

const VECTOR: Peer = Peer {
    name: "Vector",
    compression: "snappy",
    program: "vector",
    arguments: &["--quiet", "--config"],
    file: "vector.yaml",
    configuration: "\
data_dir: FOLDER
sources: {in: {type: stdin}}
sinks:
  loki:
    {type: loki, inputs: [in], endpoint: 'URL', encoding: {codec: text}, labels: {app: bench},
     compression: COMPRESSION}
",
};

const PEERS: [Peer; 4] = [
    VECTOR,
    Peer {
        compression: "gzip",
        ..VECTOR
    },
    Peer {
        name: "promtail",
        compression: "snappy",
        program: "promtail",
        arguments: &["-stdin", "-log.level=error", "-config.file"],
        file: "promtail.yaml",
        configuration: "\
server: {disable: true}
positions: {filename: FOLDER/positions.yaml}
clients: [{url: 'URL/loki/api/v1/push'}]
scrape_configs: [{job_name: bench, static_configs: [{labels: {app: bench}}]}]
",
    },
    Peer {
        name: "Fluent Bit",
        compression: "gzip",
        program: "fluent-bit",
        arguments: &["--quiet", "--config"],
        file: "fluent-bit.conf",
        configuration: "\
[SERVICE]
    flush 1
[INPUT]
    name tail
    path LINES
    read_from_head on
    exit_on_eof on
[OUTPUT]
    name loki
    match *
    host 127.0.0.1
    port PORT
    labels app=bench
    compress COMPRESSION
    drop_single_key raw
",
    },
];

/// What one of them took, run after run.
struct Lane {
    name: String,
    peer: Option<(&'static Peer, PathBuf)>,
    runs: Vec<Cost>,
    entries: u64,
    sent: u64,
}

/// Item 2: the peers that are on this machine, in turns with ours.
pub fn peers(bench: &Bench) -> io::Result<()> {
    let folder = bench.file.with_file_name("peers");
    let mut lanes = vec![Lane::new("loki-push".to_owned(), None)];
    for peer in &PEERS {
        let name = format!("{} ({})", peer.name, peer.compression);
        if let Some(program) = on_the_path(peer.program) {
            lanes.push(Lane::new(name, Some((peer, program))));
        } else {
            println!("{name:<34} is not on the PATH");
        }
    }
    for lane in &mut lanes {
        bench.sink.take();
        bench.sink.keep(true);
        lane.once(bench, &folder)?;
        lane.sent = bench.sink.take().1;
        for (_, body) in bench.sink.keep(false) {
            lane.entries += entries(&body)?;
        }
    }
    let mut floors = Vec::new();
    for _ in 0..bench.rounds {
        floors.push(floor(&bench.file, DEFAULT_LEVEL));
        for lane in &mut lanes {
            let cost = lane.once(bench, &folder)?;
            lane.runs.push(cost);
        }
    }
    let size = fs::metadata(&bench.file)?.len();
    let floor = measure::least(&floors);
    println!("{} lines, in turns; best of {}", bench.count, bench.rounds);
    row("floor", floor, None, "");
    let ours = measure::least(&lanes[0].runs);
    for lane in &lanes {
        let cost = measure::least(&lane.runs);
        let more = format!(
            "{} of {} lines came, sent {:.3}; of ours: wall ×{:.2}, cpu ×{:.2}",
            lane.entries,
            bench.count,
            lane.sent as f64 / size as f64,
            cost.wall.as_secs_f64() / ours.wall.as_secs_f64(),
            cost.cpu.as_secs_f64() / ours.cpu.as_secs_f64(),
        );
        row(&lane.name, cost, Some(floor), &more);
    }
    println!("target: 4 times the fastest peer's wall and processor time over ours");
    Ok(())
}

impl Lane {
    fn new(name: String, peer: Option<(&'static Peer, PathBuf)>) -> Self {
        Self {
            name,
            peer,
            runs: Vec::new(),
            entries: 0,
            sent: 0,
        }
    }

    fn once(&self, bench: &Bench, folder: &Path) -> io::Result<Cost> {
        let Some((peer, program)) = &self.peer else {
            return Ok(bench.over(&bench.file, &[]));
        };
        let url = bench.sink.url();
        let (_, port) = url.rsplit_once(':').unwrap_or_default();
        // A folder of its own for each run: what the last run remembered would spare work, or lines.
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder)?;
        let configuration = folder.join(peer.file);
        let text = peer
            .configuration
            .replace("URL", &url)
            .replace("PORT", port)
            .replace("LINES", &bench.file.to_string_lossy())
            .replace("FOLDER", &folder.to_string_lossy())
            .replace("COMPRESSION", peer.compression);
        fs::write(&configuration, text)?;
        let mut command = Command::new(program);
        command.args(peer.arguments).arg(configuration);
        command.stdin(File::open(&bench.file)?);
        command.stdout(Stdio::null());
        let began = Instant::now();
        let mut cost = measure::run(&mut command, |_| ());
        if let Some(last) = bench.sink.last_answer().filter(|last| *last > began) {
            cost.wall = cost.wall.min(last - began);
        }
        Ok(cost)
    }
}

fn on_the_path(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// How many entries a push holds, in either of the two forms that Loki takes.
fn entries(body: &[u8]) -> io::Result<u64> {
    if body.starts_with(&[0x1f, 0x8b]) {
        let mut json = Vec::new();
        GzDecoder::new(body).read_to_end(&mut json)?;
        let push: Value = serde_json::from_slice(&json)?;
        let streams = push["streams"].as_array().into_iter().flatten();
        let values = streams.filter_map(|stream| stream["values"].as_array());
        return Ok(values.map(|values| values.len() as u64).sum());
    }
    if body.is_empty() {
        return Ok(0);
    }
    let push = snap::raw::Decoder::new().decompress_vec(body)?;
    // `PushRequest.streams` is field 1, `StreamAdapter.entries` field 2 (pkg/push/push.proto).
    Ok(messages(&push, 1)
        .map(|stream| messages(stream, 2).count() as u64)
        .sum())
}

/// The messages of one number among the fields of a protobuf message, as far as it can be read.
fn messages(mut message: &[u8], wanted: u64) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        loop {
            let key = varint(&mut message)?;
            let (number, form) = (key >> 3, key & 7);
            let length = match form {
                0 => {
                    varint(&mut message)?;
                    continue;
                }
                1 => 8,
                2 => varint(&mut message)? as usize,
                5 => 4,
                _ => return None,
            };
            let (field, rest) = message.split_at_checked(length)?;
            message = rest;
            if number == wanted && form == 2 {
                return Some(field);
            }
        }
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}
