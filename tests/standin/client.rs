//! A client of a few lines over a raw socket, which can also send what no client should.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::Loki;

/// A time in nanoseconds that no check minds.
pub const T: i64 = 1_760_000_000_000_000_000;
pub const PUSH: &str = "/loki/api/v1/push";

/// A request to be sent.
#[derive(Clone)]
pub struct Request {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// A push of this JSON, gzipped, in every way as it should be.
    pub fn push(json: impl AsRef<[u8]>) -> Self {
        Self::raw(gzip(json.as_ref())).with("Content-Encoding", "gzip")
    }

    /// A push of these bytes, with nothing said about their encoding.
    pub fn raw(body: Vec<u8>) -> Self {
        let request = Self {
            method: "POST",
            path: PUSH.into(),
            headers: Vec::new(),
            body,
        };
        request
            .with("Host", "localhost")
            .with("Content-Type", "application/json")
            .with("User-Agent", "loki-push/0")
    }

    pub fn get(path: &str) -> Self {
        let mut request = Self::raw(Vec::new());
        (request.method, request.path) = ("GET", path.into());
        request
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(key, _)| *key != name);
        self
    }

    pub fn to(mut self, path: &str) -> Self {
        self.path = path.into();
        self
    }

    /// The bytes of the head, with a `Content-Length` unless the framing is said otherwise.
    pub fn head(&self) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            _ = write!(head, "{name}: {value}\r\n");
        }
        if !self.headers.iter().any(|(n, _)| *n == "Transfer-Encoding") {
            _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head + "\r\n"
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// One connection.
pub struct Client(pub TcpStream);

/// Gone, it is gone at once: a child that another test just starts holds a copy of the socket from
/// its fork to its exec.
impl Drop for Client {
    fn drop(&mut self) {
        _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Client {
    pub fn connect(loki: &Loki) -> Self {
        Self(TcpStream::connect(("127.0.0.1", loki.port())).expect("the stand-in listens"))
    }

    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        self.0.write_all(request.head().as_bytes())?;
        self.0.write_all(&request.body)
    }

    pub fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        self.send(request)?;
        self.reply()
    }

    pub fn reply(&mut self) -> io::Result<Reply> {
        let mut head = String::new();
        let mut byte = [0];
        while !head.ends_with("\r\n\r\n") {
            self.0.read_exact(&mut byte)?;
            head.push(byte[0] as char);
        }
        let lines = head.lines().map(str::to_ascii_lowercase);
        let length =
            lines.filter_map(|l| l.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let mut body = vec![0; length.sum()];
        self.0.read_exact(&mut body)?;
        Ok(Reply {
            status: head[9..12].parse().expect("a status"),
            head,
            body: String::from_utf8(body).expect("text"),
        })
    }
}

/// Sends one request over a connection of its own.
pub fn ask(loki: &Loki, request: &Request) -> Reply {
    Client::connect(loki).ask(request).expect("an answer")
}

/// Sends one push of this JSON over a connection of its own.
pub fn push(loki: &Loki, json: impl AsRef<[u8]>) -> Reply {
    ask(loki, &Request::push(json))
}

/// The JSON of a push to the stream `{app="a"}`.
pub fn lines(entries: &[(i64, &str)]) -> String {
    stream(r#"{"app":"a"}"#, entries)
}

/// The JSON of a push to a stream.
pub fn stream(labels: &str, entries: &[(i64, &str)]) -> String {
    let values = entries
        .iter()
        .map(|(time, line)| serde_json::json!([time.to_string(), line]));
    let values: serde_json::Value = values.collect();
    format!(r#"{{"streams":[{{"stream":{labels},"values":{values}}}]}}"#)
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}
