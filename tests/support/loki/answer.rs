//! HTTP answers, and how they are written to any connection.

use std::fmt;
use std::io::{self, Write};

use super::http::Headers;

/// An answer: status, headers beyond the usual ones, body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Headers,
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer without a body.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Headers::default(),
            body: Vec::new(),
        }
    }

    /// An error as Go's `http.Error` writes it, which is how Loki writes all of its.
    pub fn error(status: u16, text: impl AsRef<str>) -> Self {
        Self::new(status)
            .header("Content-Type", "text/plain; charset=utf-8")
            .header("X-Content-Type-Options", "nosniff")
            .body(format!("{}\n", text.as_ref()))
    }

    /// A JSON document.
    pub fn json(text: impl Into<Vec<u8>>) -> Self {
        Self::new(200)
            .header("Content-Type", "application/json; charset=UTF-8")
            .body(text)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.headers.push(name, value.as_ref());
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Writes the answer; `date` is the value of the `Date` header.
    pub fn write_to(&self, to: &mut impl Write, date: &str, close: bool) -> io::Result<()> {
        use fmt::Write as _;

        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in self.headers.iter() {
            _ = write!(head, "{name}: {value}\r\n");
        }
        if self.headers.get("Date").is_none() {
            _ = write!(head, "Date: {date}\r\n");
        }
        if self.status != 204 {
            _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        if close {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        to.write_all(&bytes)?;
        to.flush()
    }
}

impl From<u16> for Answer {
    fn from(status: u16) -> Self {
        match status {
            200 | 204 | 260 => Self::new(status),
            _ => Self::error(status, reason(status)),
        }
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Request Entity Too Large",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Answer",
    }
}
