//! Encodes a batch into gzipped JSON push requests, and decodes them again.
//!
//! The only user of sirocco, which compresses; flate2 decompresses.

use crate::entry::json::write_escaped;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use serde_json::value::RawValue;
use sirocco::Format;
use sirocco::deflate::{Encoder as DeflateEncoder, Flush, Level};

use crate::batch::Batch;
use crate::entry::Entry;
use crate::entry::labels::Labels;
use crate::entry::request::{EncodedBatch, LargestEntry, Request};

/// The default gzip level. It and the compressor were chosen by this table, measured on one core with
/// bodies of 1 MiB: MB of lines per second, and the compressed share (100,000 lines of `benches/whole`,
/// best of five alternating runs):
///
/// ```text
/// level          1           2           3           4           5           6           9
/// sirocco     332 .264    278 .259    224 .247    167 .247    139 .231    120 .226     88 .218
/// libdeflate  262 .259    190 .252    174 .246    161 .240    139 .225    116 .217     59 .214
/// zlib-rs     374 .358    217 .263    146 .248    125 .240    114 .232    101 .230     66 .238
/// zlib-ng     352 .358    227 .263    155 .248    139 .240    109 .232     97 .230     57 .238
/// miniz_oxide 228 .313    113 .271     82 .248     77 .238     62 .235     42 .232     35 .231
/// ```
///
/// At level 2 sirocco compresses better than zlib-rs in three quarters of its time; level 1 would make a
/// whole run 3 to 8 % shorter for 2 % more bytes. It is safe Rust and accepts its input in pieces.
/// libdeflate needs the whole input, as much memory again and a C compiler; zlib-ng needs cmake too; and
/// Intel's ISA-L, more than twice as fast, needs nasm and autotools.
pub const GZIP_LEVEL: u8 = 2;

/// The amount of JSON that is handed to the compressor at once. It looks back at up to 100 KiB, which
/// stay in the buffer ([`sirocco::deflate::MIN_BUFFER_LEN`]); the rest is new.
const PIECE: usize = 192 * 1024;

/// The step by which the body grows for the output of the compressor.
const ROOM: usize = 32 * 1024;

/// Counts of what a request holds so far.
#[derive(Default)]
struct RequestCounts {
    entries: usize,
    /// Bytes of lines and metadata.
    bytes: usize,
    largest: LargestEntry,
}

/// Encodes requests, reusing its buffers and its compressor.
pub struct Encoder {
    gzip: Option<DeflateEncoder>,
    keeps_order: bool,
    json: Vec<u8>,
    body: Vec<u8>,
}

impl Encoder {
    /// An encoder with a gzip level from 1 to 9; 0 leaves the JSON uncompressed.
    pub fn new(level: u8) -> Self {
        let gzip = (level > 0).then(|| DeflateEncoder::new(Format::Gzip, Level::new(level)));
        Self {
            gzip,
            keeps_order: false,
            json: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Whether the batches keep the order in which their entries were read.
    #[must_use]
    pub fn keeping_order(self, keeps_order: bool) -> Self {
        Self {
            keeps_order,
            ..self
        }
    }

    /// Encodes a batch, one request per stream. See [`Batch::give_out`] for `freed`.
    pub fn encode(&mut self, mut batch: Batch, mut freed: impl FnMut(usize)) -> EncodedBatch {
        let mut requests = Vec::with_capacity(batch.groups.len());
        let input_order = if self.keeps_order {
            batch.input_order()
        } else {
            Vec::new()
        };
        for at in 0..batch.groups.len() {
            if batch.groups[at].is_empty() {
                continue;
            }
            let labels = Arc::clone(&batch.groups[at].labels);
            let mut counted = self.begin(&labels);
            batch.give_out(at, |entry| self.put(entry, &mut counted), &mut freed);
            requests.push(self.finish(labels, &counted));
        }
        EncodedBatch {
            number: batch.number,
            requests,
            positions: batch.positions,
            input_order,
        }
    }

    /// Encodes the request for entries of one stream, which are sorted by time.
    pub fn request<'a>(
        &mut self,
        labels: &Arc<Labels>,
        entries: impl IntoIterator<Item = Entry<'a>>,
    ) -> Request {
        let mut counted = self.begin(labels);
        for entry in entries {
            self.put(&entry, &mut counted);
        }
        self.finish(Arc::clone(labels), &counted)
    }

    fn begin(&mut self, labels: &Labels) -> RequestCounts {
        self.json.clear();
        self.body.clear();
        if let Some(gzip) = &mut self.gzip {
            gzip.reset();
        }
        self.json.extend_from_slice(b"{\"streams\":[{\"stream\":");
        self.json.extend_from_slice(labels.json().as_bytes());
        self.json.extend_from_slice(b",\"values\":[");
        RequestCounts::default()
    }

    fn put(&mut self, entry: &Entry<'_>, counted: &mut RequestCounts) {
        if counted.entries > 0 {
            self.json.push(b',');
        }
        write_entry(&mut self.json, entry);
        counted.entries += 1;
        counted.bytes += entry.line.len() + entry.metadata.len();
        let largest = &mut counted.largest;
        largest.line = largest.line.max(entry.line.len());
        largest.metadata = largest.metadata.max(entry.metadata.len());
        if self.json.len() >= PIECE {
            self.drain(Flush::None);
        }
    }

    fn finish(&mut self, labels: Arc<Labels>, counted: &RequestCounts) -> Request {
        self.json.extend_from_slice(b"]}]}");
        self.drain(Flush::Finish);
        Request {
            labels,
            body: self.body.as_slice().into(),
            gzip: self.gzip.is_some(),
            entries: counted.entries,
            bytes: counted.bytes,
            largest: Some(counted.largest),
        }
    }

    /// Compresses the JSON written so far into the body.
    fn drain(&mut self, flush: Flush) {
        let Some(gzip) = &mut self.gzip else {
            self.body.append(&mut self.json);
            return;
        };
        let mut full = true;
        while full {
            let at = self.body.len();
            self.body.resize(at + ROOM, 0);
            let progress = gzip.compress(&self.json, &mut self.body[at..], flush);
            full = progress.full;
            let written = progress.output.len();
            self.body.truncate(at + written);
        }
        let dropped = match flush {
            Flush::Finish => self.json.len(),
            _ => gzip.make_room(&mut self.json),
        };
        self.json.truncate(self.json.len() - dropped);
    }
}

/// Writes `["<ns>","<line>"]`, with the metadata as a third element only if there is some: a `null`
/// there makes Loki reject the whole request.
fn write_entry(json: &mut Vec<u8>, entry: &Entry<'_>) {
    json.extend_from_slice(b"[\"");
    json.extend_from_slice(itoa::Buffer::new().format(entry.time).as_bytes());
    json.extend_from_slice(b"\",\"");
    write_escaped(json, entry.line);
    json.push(b'"');
    if !entry.metadata.is_empty() {
        json.push(b',');
        json.extend_from_slice(entry.metadata.as_bytes());
    }
    json.push(b']');
}

/// The entries of an encoded request, decoded from its body.
#[derive(Debug)]
pub struct DecodedRequest(Vec<(i64, String, String)>);

impl DecodedRequest {
    /// The entries, in the order in which they were encoded.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.0.iter().map(|(time, line, metadata)| Entry {
            time: *time,
            line,
            metadata,
        })
    }
}

/// A push request, parsed no deeper than the members of its streams.
type Streams<'a> = BTreeMap<String, Vec<BTreeMap<String, &'a RawValue>>>;

/// Decodes the entries of a request. They are kept only in encoded form, so splitting a request, or
/// finding the entries that were refused, decodes the body.
///
/// # Errors
/// If the body is not what [`Encoder`] writes, such as that of a damaged file.
pub fn open(request: &Request) -> Result<DecodedRequest> {
    let mut json = Vec::new();
    if request.gzip {
        flate2::read::GzDecoder::new(&*request.body)
            .read_to_end(&mut json)
            .context("the body is no gzip")?;
    } else {
        json.extend_from_slice(&request.body);
    }
    let push: Streams<'_> = serde_json::from_slice(&json).context("the body is no push request")?;
    let [stream] = push.get("streams").map(Vec::as_slice).unwrap_or_default() else {
        bail!("the body does not hold one stream");
    };
    let values = stream.get("values").context("the stream has no values")?;
    let values: Vec<Vec<&RawValue>> = serde_json::from_str(values.get())?;
    let mut entries = Vec::with_capacity(values.len());
    for value in values {
        ensure!(
            value.len() == 2 || value.len() == 3,
            "a value has {} elements",
            value.len()
        );
        let time: String = serde_json::from_str(value[0].get())?;
        let line: String = serde_json::from_str(value[1].get())?;
        let metadata = value.get(2).map_or("", |object| object.get()).to_owned();
        entries.push((time.parse().context("a time is no number")?, line, metadata));
    }
    Ok(DecodedRequest(entries))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn labels() -> Arc<Labels> {
        Arc::new(Labels::new([("app", "a\"b")]))
    }

    fn entry<'a>(time: i64, line: &'a str, metadata: &'a str) -> Entry<'a> {
        Entry {
            time,
            line,
            metadata,
        }
    }

    #[test]
    fn plain_json_has_lokis_shape() {
        let entries = [
            entry(1, "a\t\"\\\u{1}é\0", ""),
            entry(20, "", r#"{"k":"v"}"#),
        ];
        let request = Encoder::new(0).request(&labels(), entries);
        assert_eq!(
            String::from_utf8_lossy(&request.body),
            r#"{"streams":[{"stream":{"app":"a\"b"},"values":[["1","a\t\"\\\u0001é\u0000"],["20","",{"k":"v"}]]}]}"#
        );
        assert!(!request.gzip);
        assert_eq!((request.entries, request.bytes), (2, 8 + 9));
    }

    #[test]
    fn what_is_encoded_opens_again_at_every_level() {
        let long: Vec<String> = (0..3_000)
            .map(|n| format!("line {n} {}", "x".repeat(n % 97)))
            .collect();
        for level in 0..=9 {
            let mut encoder = Encoder::new(level);
            for round in 0..2 {
                let entries = long
                    .iter()
                    .enumerate()
                    .map(|(n, line)| entry(n as i64, line, ""));
                let request = encoder.request(&labels(), entries);
                let opened = open(&request).unwrap();
                let lines: Vec<_> = opened
                    .entries()
                    .map(|entry| entry.line.to_owned())
                    .collect();
                assert_eq!(lines, long, "level {level}, round {round}");
            }
        }
    }

    /// Random streams through the compressor at all levels, read back by a decoder of another make:
    /// Loki does not check gzip's sum, so nobody after us would notice a wrong byte. Streams of noise
    /// and of repeats, of lines of any length, some larger than several pieces, and some that repeat
    /// themselves at the edge of the compressor's window. `SEED` tries others.
    fn random_streams_come_back(rounds: u64) {
        const WINDOW: u64 = 32 * 1024;
        let seed = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
        let mut random = Random::new(seed);
        let mut below = move |bound: u64| random.next() % bound;
        let mut encoders: Vec<Encoder> = (0..=9).map(Encoder::new).collect();
        for round in 0..rounds {
            let (alphabet, longest) = (1 + below(96) as u8, 1 << below(19));
            let noise = |length: u64, below: &mut dyn FnMut(u64) -> u64| -> String {
                let byte = |_| char::from(b' ' + below(u64::from(alphabet)) as u8);
                (0..length).map(byte).collect()
            };
            let mut lines: Vec<String> = Vec::new();
            if round % 20 == 1 {
                // Around each line are 26 bytes of JSON.
                let line = noise(WINDOW - 60 + below(70), &mut below);
                lines.extend([line.clone(), line.clone(), line]);
            }
            let large = round % 40 == 0;
            let mut left = below(if large { PIECE as u64 * 4 } else { WINDOW });
            while left > 0 {
                let length = 1 + below(longest).min(left - 1);
                left -= length;
                // Half of them as random as they can be, half after one that was there before.
                let again = lines.len() > 1 && below(2) == 0;
                let line = if again {
                    let before = &lines[below(lines.len() as u64) as usize];
                    before[below(before.len() as u64) as usize..].to_owned()
                } else {
                    noise(length, &mut below)
                };
                lines.push(line);
            }
            let encoder = &mut encoders[below(10) as usize];
            let entries = lines.iter().map(|line| entry(7, line, ""));
            let request = encoder.request(&labels(), entries);
            let opened = open(&request).unwrap();
            assert!(
                opened.entries().map(|entry| entry.line).eq(&lines),
                "round {round}"
            );
        }
    }

    #[test]
    fn a_thousand_random_streams_come_back_from_the_compressor() {
        random_streams_come_back(1_000);
    }

    #[test]
    #[ignore = "takes minutes: to be run before the version of sirocco changes"]
    fn fifty_thousand_random_streams_come_back_from_the_compressor() {
        random_streams_come_back(50_000);
    }

    #[test]
    fn escaping_agrees_with_serde_json_on_any_text() {
        let mut numbers = Random::new(7);
        let mut random = || numbers.next();
        let alphabet = [
            'a', ' ', '"', '\\', '\n', '\0', '\u{1f}', '\u{7f}', 'é', '😀', '\u{2028}',
        ];
        for _ in 0..4_000 {
            let length = random() % 120;
            let dense = random() % 2 == 0;
            let text: String = (0..length)
                .map(|_| match random() as usize {
                    n if dense || n % 16 == 0 => alphabet[n % alphabet.len()],
                    n => char::from(b'a' + (n % 26) as u8),
                })
                .collect();
            let mut out = Vec::new();
            write_escaped(&mut out, &text);
            let back: String =
                serde_json::from_str(&format!("\"{}\"", String::from_utf8(out).unwrap())).unwrap();
            assert_eq!(back, text);
        }
    }

    #[test]
    fn a_damaged_body_is_an_error_and_no_panic() {
        let mut request = Encoder::new(6).request(&labels(), [entry(1, "x", "")]);
        for at in 0..request.body.len() {
            let mut body = request.body.to_vec();
            body[at] ^= 0x55;
            let damaged = Request {
                body: body.into(),
                ..request.clone()
            };
            drop(open(&damaged));
        }
        request.body = b"{}".as_slice().into();
        request.gzip = false;
        assert!(open(&request).is_err());
    }
}
