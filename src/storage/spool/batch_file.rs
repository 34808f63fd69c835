//! The file of a batch: one header line of JSON, then the request bodies one after the other, exactly
//! as they are sent.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::destination::DestinationRecord;
use crate::entry::FilePositions;
use crate::entry::labels::Labels;
use crate::entry::request::{EncodedBatch, Request};
use crate::storage::private_files::Dir;

/// The version of the format. A file of a later version is left to the program that wrote it.
const VERSION: u64 = 1;

/// The text between the checked part of a header and its checksum.
const CHECK: &str = r#","check":""#;

/// The longest header that is written or read: that of 10,000 files and 100 streams with long names
/// has a tenth of this.
const MAX_HEADER: u64 = 64 << 20;

/// The longest body that is read, ten times what Loki accepts.
const MAX_BODY: usize = 1 << 30;

/// The header line of a batch file.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The batch's number in the run that encoded it.
    pub number: u64,
    /// When it was stored, in nanoseconds since the epoch.
    pub stored_at: u64,
    /// Where it is to be sent.
    pub destination: DestinationRecord,
    /// The checkpoint that the positions belong to.
    pub checkpoint: Option<String>,
    /// The file positions that are reached with it, as the checkpoint describes them.
    pub positions: Vec<Value>,
    /// The bodies that follow, in order. Without any the file is a tombstone: the batch is settled,
    /// and its positions wait for their checkpoint.
    pub bodies: Vec<BodyInfo>,
}

/// One body as the header describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct BodyInfo {
    labels: Arc<Labels>,
    entries: usize,
    bytes: usize,
    length: usize,
    gzip: bool,
    checksum: u32,
}

impl BodyInfo {
    /// Describes a request's body.
    pub fn of(request: &Request) -> Self {
        Self {
            labels: Arc::clone(&request.labels),
            entries: request.entries,
            bytes: request.bytes,
            length: request.body.len(),
            gzip: request.gzip,
            checksum: crc32fast::hash(&request.body),
        }
    }

    fn to_json(&self) -> Value {
        let labels: Map<String, Value> = self
            .labels
            .pairs()
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().into()))
            .collect();
        json!({
            "labels": labels, "entries": self.entries, "bytes": self.bytes,
            "length": self.length, "gzip": self.gzip, "crc32": format!("{:08x}", self.checksum),
        })
    }

    fn from_json(value: &Value) -> Option<Self> {
        let mut pairs = Vec::new();
        for (name, value) in value.get("labels")?.as_object()? {
            pairs.push((name.as_str(), value.as_str()?));
        }
        let count = |key: &str| usize::try_from(value.get(key)?.as_u64()?).ok();
        Some(Self {
            labels: Arc::new(Labels::new(pairs)),
            entries: count("entries")?,
            bytes: count("bytes")?,
            length: count("length")?,
            gzip: value.get("gzip")?.as_bool()?,
            checksum: u32::from_str_radix(value.get("crc32")?.as_str()?, 16).ok()?,
        })
    }
}

/// Why a file contains no readable batch.
#[derive(Debug)]
pub enum ReadError {
    /// It is damaged; with a short description.
    Damaged(String),
    /// A later version of this program wrote it.
    Later,
    /// Reading it failed.
    Failed(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("incomplete".into()),
            _ => Self::Failed(error),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(why) => f.write_str(why),
            Self::Later => f.write_str("written by a later version of loki-push"),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl Header {
    /// The number of entries in the file.
    pub fn entries(&self) -> usize {
        let entries = self.bodies.iter().map(|body| body.entries);
        entries.fold(0, usize::saturating_add)
    }

    /// The number of bytes after the header.
    pub fn body_bytes(&self) -> u64 {
        let lengths = self.bodies.iter().map(|body| body.length as u64);
        lengths.fold(0, u64::saturating_add)
    }

    /// The header line, with its newline. It ends in a checksum of all that is before it.
    pub fn to_line(&self) -> String {
        let mut line = json!({
            "version": VERSION, "number": self.number, "stored": self.stored_at,
            "destination": self.destination.to_json(), "checkpoint": self.checkpoint,
            "marks": self.positions,
            "requests": self.bodies.iter().map(BodyInfo::to_json).collect::<Vec<_>>(),
        })
        .to_string();
        line.pop();
        let checksum = crc32fast::hash(line.as_bytes());
        line.push_str(CHECK);
        // Writing into a String cannot fail.
        let _ = writeln!(line, "{checksum:08x}\"}}");
        line
    }

    /// Reads a header line.
    pub fn from_line(line: &[u8]) -> Result<Self, ReadError> {
        let damaged = |why: &str| ReadError::Damaged(why.into());
        let tail = CHECK.len() + "01234567\"}\n".len();
        let at = line.len().checked_sub(tail);
        let (head, tail) = line.split_at(at.ok_or_else(|| damaged("no header"))?);
        let expected = format!("{CHECK}{:08x}\"}}\n", crc32fast::hash(head));
        if tail != expected.as_bytes() {
            return Err(damaged("damaged header"));
        }
        let value: Value =
            serde_json::from_slice(line).map_err(|_| damaged("the header is not JSON"))?;
        if value["version"] != VERSION {
            return Err(ReadError::Later);
        }
        Self::from_json(&value).ok_or_else(|| damaged("incomplete header"))
    }

    fn from_json(value: &Value) -> Option<Self> {
        let bodies = value.get("requests")?.as_array()?.iter();
        Some(Self {
            number: value.get("number")?.as_u64()?,
            stored_at: value.get("stored")?.as_u64()?,
            destination: DestinationRecord::from_json(value.get("destination")?)?,
            checkpoint: value
                .get("checkpoint")
                .and_then(Value::as_str)
                .map(str::to_owned),
            positions: value.get("marks")?.as_array()?.clone(),
            bodies: bodies.map(BodyInfo::from_json).collect::<Option<_>>()?,
        })
    }
}

/// Writes a file under a temporary name, and renames it when it is whole. With `sync` it is on the
/// disk when this returns, name and all.
pub fn write(
    dir: &Dir,
    name: &OsStr,
    header: &str,
    bodies: &[Request],
    sync: bool,
) -> io::Result<()> {
    if header.len() as u64 > MAX_HEADER {
        return Err(io::Error::other("the header of the batch is too long"));
    }
    let temporary = Path::new(name).with_extension(super::TEMPORARY);
    dir.replace_file(name, &temporary, sync, |file| {
        let mut out = BufWriter::with_capacity(64 * 1024, file);
        out.write_all(header.as_bytes())?;
        for request in bodies {
            out.write_all(&request.body)?;
        }
        out.flush()
    })?;
    if sync {
        dir.sync().inspect_err(|_| {
            let _ = dir.remove_file(name);
        })?;
    }
    Ok(())
}

/// Reads a file's header, and checks that as many bytes follow it as it says.
pub fn read_header(dir: &Dir, name: &OsStr) -> Result<Header, ReadError> {
    let (header, _) = open(dir, name)?;
    Ok(header)
}

/// Reads a file's header, whatever follows it, and the file's length.
pub fn peek(dir: &Dir, name: &OsStr) -> Result<(Header, u64), ReadError> {
    let start = Start::read(dir, name)?;
    Ok((start.header, start.file_length))
}

/// Reads a file, and checks every byte of it.
pub fn load(dir: &Dir, name: &OsStr) -> Result<EncodedBatch, ReadError> {
    let (header, mut rest) = open(dir, name)?;
    let mut requests = Vec::with_capacity(header.bodies.len());
    for info in header.bodies {
        let mut body = vec![0; info.length];
        rest.read_exact(&mut body)?;
        if crc32fast::hash(&body) != info.checksum {
            return Err(ReadError::Damaged("a request in it is damaged".into()));
        }
        requests.push(Request {
            labels: info.labels,
            body: body.into(),
            gzip: info.gzip,
            entries: info.entries,
            bytes: info.bytes,
            largest: None,
        });
    }
    Ok(EncodedBatch {
        number: header.number,
        requests,
        positions: FilePositions::default(),
        input_order: Vec::new(),
    })
}

fn open(dir: &Dir, name: &OsStr) -> Result<(Header, BufReader<File>), ReadError> {
    let start = Start::read(dir, name)?;
    let ends_at = start.header_length.checked_add(start.header.body_bytes());
    let is_long = |body: &BodyInfo| body.length > MAX_BODY;
    if ends_at != Some(start.file_length) || start.header.bodies.iter().any(is_long) {
        return Err(ReadError::Damaged("wrong length".into()));
    }
    Ok((start.header, start.rest))
}

/// The beginning of a file.
struct Start {
    header: Header,
    header_length: u64,
    rest: BufReader<File>,
    file_length: u64,
}

impl Start {
    fn read(dir: &Dir, name: &OsStr) -> Result<Self, ReadError> {
        let file = dir.open_file(name)?;
        let file_length = file.metadata()?.len();
        let mut rest = BufReader::new(file);
        let mut line = Vec::new();
        (&mut rest).take(MAX_HEADER).read_until(b'\n', &mut line)?;
        Ok(Self {
            header: Header::from_line(&line)?,
            header_length: line.len() as u64,
            rest,
            file_length,
        })
    }
}
