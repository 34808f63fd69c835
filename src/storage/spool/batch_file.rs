//! The file of a shipment: one header line of JSON, then the request bodies one behind the other,
//! exactly as they go over the wire.
//!
//! Knows the format and how damage shows. Knows nothing of folders, of locks or of who owns what.

use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::entry::FilePositions;
use crate::entry::labels::Labels;
use crate::entry::request::{EncodedBatch, Request};
use crate::storage::spool::destination::Destination;
use crate::storage::spool::private;

/// The format's version. A file of a later one is left to the program that wrote it.
const VERSION: u64 = 1;

/// What stands between the checked part of a header and its checksum.
const CHECK: &str = r#","check":""#;

/// What the header line says.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The shipment's number in the run that sealed it.
    pub number: u64,
    /// When it was stored, in nanoseconds since the epoch.
    pub stored: u64,
    /// Where it goes.
    pub destination: Destination,
    /// The checkpoint that the marks belong to.
    pub checkpoint: Option<String>,
    /// How far the files it came from are read with it, as the checkpoint describes them.
    pub positions: Vec<Value>,
    /// The bodies that follow, in order. Without one the file is a receipt: the shipment is
    /// settled, and its marks wait for their checkpoint.
    pub parts: Vec<BodyInfo>,
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

/// Why a file gives no shipment.
#[derive(Debug)]
pub enum ReadError {
    /// It is not what was written; in a few words.
    Damaged(String),
    /// A later version of this program wrote it.
    Later,
    /// It cannot be read now.
    Failed(io::Error),
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("it is cut short".into()),
            _ => Self::Failed(error),
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(why) => f.write_str(why),
            Self::Later => f.write_str("a later version of loki-push wrote it"),
            Self::Failed(error) => write!(f, "{error}"),
        }
    }
}

impl Header {
    /// How many entries the file holds.
    pub fn entries(&self) -> usize {
        self.parts.iter().map(|part| part.entries).sum()
    }

    /// How many bytes of bodies follow the header.
    pub fn length(&self) -> u64 {
        self.parts.iter().map(|part| part.length as u64).sum()
    }

    /// The header line, with its newline. It ends in a checksum of all that stands before it.
    pub fn to_line(&self) -> String {
        let mut line = json!({
            "version": VERSION, "number": self.number, "stored": self.stored,
            "destination": self.destination.to_json(), "checkpoint": self.checkpoint,
            "marks": self.positions,
            "requests": self.parts.iter().map(BodyInfo::to_json).collect::<Vec<_>>(),
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
        let (head, tail) = line.split_at(at.ok_or_else(|| damaged("it has no header"))?);
        let expected = format!("{CHECK}{:08x}\"}}\n", crc32fast::hash(head));
        if tail != expected.as_bytes() {
            return Err(damaged("its header is damaged"));
        }
        let value: Value =
            serde_json::from_slice(line).map_err(|_| damaged("its header is no JSON object"))?;
        if value["version"] != VERSION {
            return Err(ReadError::Later);
        }
        Self::from_json(&value).ok_or_else(|| damaged("its header lacks what it should say"))
    }

    fn from_json(value: &Value) -> Option<Self> {
        let parts = value.get("requests")?.as_array()?.iter();
        Some(Self {
            number: value.get("number")?.as_u64()?,
            stored: value.get("stored")?.as_u64()?,
            destination: Destination::from_json(value.get("destination")?)?,
            checkpoint: value
                .get("checkpoint")
                .and_then(Value::as_str)
                .map(str::to_owned),
            positions: value.get("marks")?.as_array()?.clone(),
            parts: parts.map(BodyInfo::from_json).collect::<Option<_>>()?,
        })
    }
}

/// Writes a file that nobody else may read, under a temporary name, and gives it its own when it
/// is whole. With `sync` it is then on the disk, name and all.
pub fn write(path: &Path, head: &str, bodies: &[Request], sync: bool) -> io::Result<()> {
    let temporary = path.with_extension(crate::storage::spool::TEMPORARY);
    let written = write_whole(&temporary, head, bodies, sync);
    let renamed = written.and_then(|()| fs::rename(&temporary, path));
    if renamed.is_err() {
        // What is in the way of the next try, and takes room on a full disk.
        let _ = fs::remove_file(&temporary);
        return renamed;
    }
    match path.parent().filter(|_| sync) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn write_whole(path: &Path, head: &str, bodies: &[Request], sync: bool) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(64 * 1024, private::make_file(path)?);
    out.write_all(head.as_bytes())?;
    for request in bodies {
        out.write_all(&request.body)?;
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    if sync { file.sync_data() } else { Ok(()) }
}

/// Reads a file's header, and checks that as much follows it as it says.
pub fn read_head(path: &Path) -> Result<Header, ReadError> {
    let (head, ..) = open(path)?;
    Ok(head)
}

/// Reads a file's header, whatever follows it. Gives the file's length too.
pub fn peek(path: &Path) -> Result<(Header, u64), ReadError> {
    let (head, _, _, length) = begin(path)?;
    Ok((head, length))
}

/// Reads a file, and checks every byte of it.
pub fn load(path: &Path) -> Result<EncodedBatch, ReadError> {
    let (head, mut rest) = open(path)?;
    let mut requests = Vec::with_capacity(head.parts.len());
    for part in head.parts {
        let mut body = vec![0; part.length];
        rest.read_exact(&mut body)?;
        if crc32fast::hash(&body) != part.checksum {
            return Err(ReadError::Damaged("a request in it is damaged".into()));
        }
        requests.push(Request {
            labels: part.labels,
            body: body.into(),
            gzip: part.gzip,
            entries: part.entries,
            bytes: part.bytes,
        });
    }
    Ok(EncodedBatch {
        number: head.number,
        requests,
        positions: FilePositions::default(),
    })
}

fn open(path: &Path) -> Result<(Header, BufReader<File>), ReadError> {
    let (head, rest, begins, length) = begin(path)?;
    if begins + head.length() != length {
        return Err(ReadError::Damaged("its length is not what it says".into()));
    }
    Ok((head, rest))
}

/// Reads the header. Gives what follows it, where that begins, and the file's length too.
fn begin(path: &Path) -> Result<(Header, BufReader<File>, u64, u64), ReadError> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line)?;
    let head = Header::from_line(&line)?;
    Ok((head, reader, line.len() as u64, length))
}
