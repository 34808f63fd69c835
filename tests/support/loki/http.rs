//! The wire: reads HTTP/1.1 requests from any connection. It knows nothing of Loki, and refuses
//! what a careful proxy would refuse.

use std::fmt;
use std::io::{self, Read};

/// Header lines in the order they came; names compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of the first header with this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut lines = self.iter();
        let found = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value)
    }

    /// The values of all headers with this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Adds a header line.
    pub fn push(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// All lines, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

/// The first line and the headers of a request.
#[derive(Clone, Debug)]
pub struct Head {
    pub method: String,
    /// Path and query, as sent.
    pub target: String,
    pub headers: Headers,
    /// How the body's end is told.
    pub framing: Framing,
    /// The client goes on only after `100 Continue`.
    pub expects_continue: bool,
    /// The client wants the connection closed after the answer.
    pub close: bool,
}

impl Head {
    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The query, without `?`.
    pub fn query(&self) -> &str {
        self.target.split_once('?').map_or("", |(_, query)| query)
    }
}

/// How a body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(usize),
    Chunked,
}

/// Why no request could be read.
#[derive(Debug)]
pub enum WireError {
    /// The connection ended or failed: nothing the client did wrong.
    Io(io::Error),
    /// The client sent what is not HTTP/1.1.
    Malformed(String),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        WireError::Io(error)
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Io(error) => write!(f, "connection: {error}"),
            WireError::Malformed(why) => write!(f, "not HTTP/1.1: {why}"),
        }
    }
}

fn malformed<T>(why: impl Into<String>) -> Result<T, WireError> {
    Err(WireError::Malformed(why.into()))
}

const LONGEST_HEAD: usize = 64 << 10;
const LONGEST_BODY: usize = 256 << 20;

/// Reads the head of the next request; `None` when the connection ends before its first byte.
///
/// Byte by byte, so that the body stays in the kernel: dropping a connection with bytes
/// unread is how a reset is made without `unsafe`.
pub fn read_head(from: &mut impl Read) -> Result<Option<Head>, WireError> {
    let mut lines = Vec::new();
    loop {
        let room = LONGEST_HEAD - lines.iter().map(String::len).sum::<usize>();
        match read_line(from, room)? {
            None if lines.is_empty() => return Ok(None),
            None => return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into())),
            Some(line) if line.is_empty() => break,
            Some(line) => lines.push(line),
        }
    }
    let Some((first, rest)) = lines.split_first() else {
        return malformed("a request begins with an empty line");
    };
    parse_head(first, rest).map(Some)
}

fn parse_head(first: &str, rest: &[String]) -> Result<Head, WireError> {
    let parts: Vec<&str> = first.split(' ').collect();
    let [method, target, "HTTP/1.1"] = parts[..] else {
        return malformed(format!("request line {first:?}"));
    };
    let mut headers = Headers::default();
    for line in rest {
        let Some((name, value)) = line.split_once(':') else {
            return malformed(format!("header line {line:?}"));
        };
        if name.is_empty() || !name.bytes().all(is_token) {
            return malformed(format!("header name {name:?}"));
        }
        headers.push(name, value.trim_matches([' ', '\t']));
    }
    if headers.all("Host").count() != 1 {
        return malformed("one Host header is required");
    }
    let says = |name, what| {
        let mut values = headers.all(name);
        values.any(|value: &str| value.eq_ignore_ascii_case(what))
    };
    Ok(Head {
        method: method.to_owned(),
        target: target.to_owned(),
        framing: framing(&headers)?,
        expects_continue: says("Expect", "100-continue"),
        close: says("Connection", "close"),
        headers,
    })
}

fn framing(headers: &Headers) -> Result<Framing, WireError> {
    let lengths: Vec<&str> = headers.all("Content-Length").collect();
    let codings: Vec<&str> = headers.all("Transfer-Encoding").collect();
    match (lengths[..].as_ref(), codings[..].as_ref()) {
        ([], []) => Ok(Framing::None),
        ([length], []) => match length.parse() {
            Ok(n) if n <= LONGEST_BODY => Ok(Framing::Length(n)),
            _ => malformed(format!("Content-Length {length:?}")),
        },
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        _ => malformed("Content-Length and Transfer-Encoding: one of them, once"),
    }
}

/// The bytes a header name may have (RFC 9110, token).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn read_line(from: &mut impl Read, room: usize) -> Result<Option<String>, WireError> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        if read_some(from, &mut byte)? == 0 {
            return if line.is_empty() {
                Ok(None)
            } else {
                Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()))
            };
        }
        line.push(byte[0]);
        if line.ends_with(b"\r\n") {
            line.truncate(line.len() - 2);
            return match String::from_utf8(line) {
                Ok(line) => Ok(Some(line)),
                Err(_) => malformed("a head that is not UTF-8"),
            };
        }
        if line.len() > room {
            return malformed("the head is too long");
        }
    }
}

/// One read, made again where a probe's short timeout on the same socket ended it early.
fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) => {}
            result => return result,
        }
    }
}

fn read_exactly(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read_some(from, &mut buffer[filled..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => filled += n,
        }
    }
    Ok(())
}

/// Reads the whole body.
pub fn read_body(from: &mut impl Read, framing: Framing) -> Result<Vec<u8>, WireError> {
    match framing {
        Framing::None => Ok(Vec::new()),
        Framing::Length(n) => {
            let mut body = vec![0; n];
            read_exactly(from, &mut body)?;
            Ok(body)
        }
        Framing::Chunked => read_chunks(from),
    }
}

/// Reads the first half of a body and leaves the rest unread.
pub fn read_half(from: &mut impl Read, framing: Framing) -> Result<(), WireError> {
    let half = match framing {
        Framing::None => 0,
        Framing::Length(n) => n / 2,
        Framing::Chunked => 1,
    };
    read_exactly(from, &mut vec![0; half])?;
    Ok(())
}

fn read_chunks(from: &mut impl Read) -> Result<Vec<u8>, WireError> {
    let mut body = Vec::new();
    loop {
        let line = chunk_line(from)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let Ok(size) = usize::from_str_radix(size, 16) else {
            return malformed(format!("chunk size {line:?}"));
        };
        if size == 0 {
            while !chunk_line(from)?.is_empty() {}
            return Ok(body);
        }
        if body.len() + size > LONGEST_BODY {
            return malformed("the body is too long");
        }
        let start = body.len();
        body.resize(start + size, 0);
        read_exactly(from, &mut body[start..])?;
        if !chunk_line(from)?.is_empty() {
            return malformed("a chunk does not end where its size says");
        }
    }
}

fn chunk_line(from: &mut impl Read) -> Result<String, WireError> {
    match read_line(from, 4096)? {
        Some(line) => Ok(line),
        None => Err(WireError::Io(io::ErrorKind::UnexpectedEof.into())),
    }
}
