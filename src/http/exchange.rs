//! Handles what ureq does not: responses that arrive before the whole request was sent, idle connections
//! that the server closes just as they are used, and a 204 with oversized headers.

use std::fmt;
use std::io;

use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};

/// The size of the input buffer for large headers. It exceeds ureq's limit, so that ureq reports headers
/// that are too large.
const LARGEST_HEADERS: usize = 65 * 1024;

/// ureq's limits on the bytes and the lines of a response's headers.
const MAX_BYTES: usize = 64 * 1024;
const MAX_LINES: usize = 128;

/// Wraps connections to the server. It is the last connector in the chain.
#[derive(Debug)]
pub struct ExchangeConnector {
    /// Whether they go through a proxy. ureq connects to the proxy itself with no proxy configured.
    pub proxied: bool,
}

impl<In: Transport> Connector<In> for ExchangeConnector {
    type Out = Either<In, Exchange<In>>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let is_to_proxy = self.proxied && details.config.proxy().is_none();
        Ok(chained.map(|transport| {
            if is_to_proxy {
                return Either::A(transport);
            }
            Either::B(Exchange {
                transport,
                used: false,
                answering: false,
                writing: true,
                early: false,
            })
        }))
    }
}

/// A connection kept open from an earlier request was closed before it returned a response to this one.
/// That says nothing about the server, so the request may be sent over a new connection at once.
#[derive(Debug)]
pub struct StaleConnection;

impl fmt::Display for StaleConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection closed without a response")
    }
}

impl std::error::Error for StaleConnection {}

/// A connection that carries one request and response after another.
#[derive(Debug)]
pub struct Exchange<T> {
    transport: T,
    /// Whether the connection has already carried a request and its response.
    used: bool,
    /// Whether the response to the current request has begun.
    answering: bool,
    /// Whether the server still reads: it has neither closed the connection nor responded before the
    /// request was sent.
    writing: bool,
    /// Whether a response came before the request was sent, and ureq has not read it yet.
    early: bool,
}

impl<T: Transport> Transport for Exchange<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if std::mem::take(&mut self.answering) {
            self.used = true;
        }
        // ureq reads only after it has written everything, so the rest is discarded.
        if !self.writing {
            return Ok(());
        }
        match self.transport.transmit_output(amount, timeout) {
            Ok(()) => {
                self.early = is_final(self.transport.buffers().input());
                self.writing = !self.early;
            }
            Err(Error::Io(error)) if is_closed(&error) => self.writing = false,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let came = if std::mem::take(&mut self.early) {
            Ok(true)
        } else {
            self.transport.await_input(timeout)
        };
        let closed = match &came {
            Ok(came) => !came,
            Err(Error::Io(error)) => is_closed(error),
            Err(_) => false,
        };
        if closed && self.used && !self.answering {
            return Err(Error::Other(Box::new(StaleConnection)));
        }
        self.answering |= matches!(came, Ok(true));
        if matches!(came, Ok(true)) && is_accepted_at_length(self.transport.buffers().input()) {
            replace_input(self.transport.buffers(), ACCEPTED);
        }
        came
    }

    fn is_open(&mut self) -> bool {
        self.writing && self.transport.is_open()
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}

/// Whether an error means that the peer has closed the connection.
pub fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    let kind = error.kind();
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

/// Whether this is the beginning of a final response, after which the server need not read any more. A
/// 1xx response precedes another one.
fn is_final(input: &[u8]) -> bool {
    const VERSION: &[u8] = b"HTTP/1.1 ";
    match input.get(VERSION.len()) {
        Some(status) => *status != b'1',
        None => false,
    }
}

/// What ureq reads instead of a 204 whose headers are beyond its limits.
const ACCEPTED: &[u8] = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";

/// Whether this is a 204 with headers that ureq would not read. They say nothing that matters, and
/// nothing follows them; entries that Loki has accepted would be sent for ever.
fn is_accepted_at_length(input: &[u8]) -> bool {
    let Some(end) = input.windows(2).position(|at| at == b"\r\n") else {
        return false;
    };
    let status = &input[..end];
    let mut words = status.split(|byte| *byte == b' ');
    let is_http = words
        .next()
        .is_some_and(|word| word.starts_with(b"HTTP/1."));
    if !is_http || words.next() != Some(b"204") {
        return false;
    }
    let lines = input[end + 2..].split(|byte| *byte == b'\n');
    let lines = lines.take_while(|line| !matches!(*line, b"" | b"\r"));
    let (mut count, mut bytes) = (0, end + b"\r\n\r\n".len());
    for line in lines {
        count += 1;
        bytes += line.len() + 1;
    }
    count > MAX_LINES || bytes > MAX_BYTES
}

fn replace_input(buffers: &mut dyn Buffers, by: &[u8]) {
    buffers.input_consume(buffers.input().len());
    buffers.input_append_buf()[..by.len()].copy_from_slice(by);
    buffers.input_appended(by.len());
}

/// Enlarges a full input buffer, for headers that are larger than usual.
pub fn grow_if_full(buffers: &mut LazyBuffers) {
    if !buffers.input_append_buf().is_empty() {
        return;
    }
    let mut larger = LazyBuffers::new(LARGEST_HEADERS, buffers.output().len());
    let input = buffers.input();
    larger.input_append_buf()[..input.len()].copy_from_slice(input);
    larger.input_appended(input.len());
    *buffers = larger;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_that_only_announces_another_is_not_final() {
        for (input, expected) in [
            ("HTTP/1.1 413 Too Large\r\n", true),
            ("HTTP/1.1 204", true),
            ("HTTP/1.0 4", true),
            ("HTTP/1.1 100 Continue\r\n", false),
            ("HTTP/1.1 ", false),
            ("", false),
        ] {
            assert_eq!(is_final(input.as_bytes()), expected, "{input}");
        }
    }

    #[test]
    fn a_204_beyond_the_limits_is_known_by_its_status() {
        let response = |status: &str, lines: usize, end: &str| {
            let headers = "X-Filler: 1\r\n".repeat(lines);
            format!("HTTP/1.1 {status}\r\n{headers}{end}").into_bytes()
        };
        let is = |response: Vec<u8>| is_accepted_at_length(&response);
        assert!(is(response("204 No Content", 129, "\r\n")));
        assert!(is(response("204", 129, "")) && is(response("204", 128, "X")));
        assert!(is(response("204", 1, &"x".repeat(64 * 1024))));
        assert!(!is(response("204 No Content", 128, "\r\n")));
        assert!(!is(response("204 No Content", 128, "")));
        assert!(!is(response("2040", 129, "\r\n")) && !is(response("500 204", 129, "\r\n")));
        assert!(!is(b"HTTP/1.1 204".to_vec()) && !is(Vec::new()));
    }

    #[test]
    fn a_full_buffer_keeps_its_input_as_it_grows() {
        let mut buffers = LazyBuffers::new(8, 16);
        grow_if_full(&mut buffers);
        assert_eq!(buffers.input_append_buf().len(), 8);
        buffers.input_append_buf().copy_from_slice(b"HTTP/1.1");
        buffers.input_appended(8);
        grow_if_full(&mut buffers);
        assert_eq!(buffers.input(), b"HTTP/1.1");
        assert!(buffers.input_append_buf().len() > 64 * 1024);
        assert_eq!(buffers.output().len(), 16);
    }
}
