//! TCP connections for ureq: chooses the address of a host, and reads and writes the socket.
//!
//! ureq's own transport reads only after it has written the whole request. It would never see the
//! response of a server that answers after the head of a request and reads no further.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ureq::unversioned::transport::time::Instant as UreqInstant;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, ShutdownHandle,
    Transport,
};
use ureq::{Error, Timeout};

use crate::http::dns::{Dns, UnknownHost};
use crate::http::exchange::{grow_if_full, is_closed};

/// How long each of several addresses is tried in the first round.
const FIRST_ROUND: Duration = Duration::from_millis(250);

/// How often a blocked write checks for an early response.
const LOOK: Duration = Duration::from_millis(100);

/// Opens connections to a server, or to the proxy in front of it. Clones share their state.
#[derive(Clone)]
pub struct TcpConnector {
    dns: Dns,
    /// The address that last accepted a connection.
    last_good: Arc<Mutex<Option<SocketAddr>>>,
    /// The number of connections being opened.
    connecting: Arc<AtomicUsize>,
}

/// Why there is no connection.
pub enum ConnectError {
    /// The name has no address.
    UnknownHost(UnknownHost),
    /// None of the addresses accepts connections.
    Refused {
        /// The addresses that were tried.
        #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "for --check"))]
        addresses: Vec<SocketAddr>,
        /// The error of the last one.
        error: io::Error,
    },
}

impl TcpConnector {
    /// Creates a connector that looks names up with `dns`.
    pub fn new(dns: Dns) -> Self {
        Self {
            dns,
            last_good: Arc::default(),
            connecting: Arc::default(),
        }
    }

    /// Returns the number of connections being opened.
    pub fn connecting(&self) -> usize {
        self.connecting.load(Ordering::Relaxed)
    }

    /// Looks a host up and connects to one of its addresses.
    ///
    /// # Errors
    /// If the host is unknown, or none of its addresses accepts the connection in time.
    pub fn open(
        &self,
        host: &str,
        port: u16,
        deadline: Option<Instant>,
    ) -> Result<(TcpStream, SocketAddr), ConnectError> {
        self.connecting.fetch_add(1, Ordering::Relaxed);
        let opened = self.open_uncounted(host, port, deadline);
        self.connecting.fetch_sub(1, Ordering::Relaxed);
        opened
    }

    fn open_uncounted(
        &self,
        host: &str,
        port: u16,
        deadline: Option<Instant>,
    ) -> Result<(TcpStream, SocketAddr), ConnectError> {
        let found = self.dns.lookup(host, port, deadline);
        let mut addresses = found.map_err(ConnectError::UnknownHost)?;
        let last_good = *self.last_good();
        addresses.sort_by_key(|address| Some(*address) != last_good);
        let connect = |address: &SocketAddr, limit: Option<Duration>| match limit {
            Some(limit) => TcpStream::connect_timeout(address, limit),
            None => TcpStream::connect(address),
        };
        match connect_to_one(&addresses, deadline, Instant::now, connect) {
            Ok((stream, address)) => {
                *self.last_good() = Some(address);
                Ok((stream, address))
            }
            Err(error) => Err(ConnectError::Refused { addresses, error }),
        }
    }

    fn last_good(&self) -> MutexGuard<'_, Option<SocketAddr>> {
        self.last_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries each address briefly, then uses the remaining time for those that did not respond. A dead
/// address among several costs no more than [`FIRST_ROUND`].
fn connect_to_one<T>(
    addresses: &[SocketAddr],
    deadline: Option<Instant>,
    now: impl Fn() -> Instant,
    mut connect: impl FnMut(&SocketAddr, Option<Duration>) -> io::Result<T>,
) -> io::Result<(T, SocketAddr)> {
    let left = || deadline.map(|end| end.saturating_duration_since(now()));
    let is_over = |limit: Option<Duration>| limit.is_some_and(|limit| limit.is_zero());
    let mut silent = Vec::new();
    let mut failed = None;
    if let [only] = addresses {
        silent.push(only);
    } else {
        for address in addresses {
            let limit = left().map_or(FIRST_ROUND, |left| left.min(FIRST_ROUND));
            if limit.is_zero() {
                break;
            }
            match connect(address, Some(limit)) {
                Ok(stream) => return Ok((stream, *address)),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => silent.push(address),
                Err(error) => failed = Some(error),
            }
        }
    }
    for (at, address) in silent.iter().enumerate() {
        let limit = left().map(|left| left / (silent.len() - at) as u32);
        if is_over(limit) {
            break;
        }
        match connect(address, limit) {
            Ok(stream) => return Ok((stream, **address)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| io::ErrorKind::TimedOut.into()))
}

impl<In: Transport> Connector<In> for TcpConnector {
    type Out = Either<In, TcpTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        // A proxy's connector has connected already.
        if let Some(transport) = chained {
            return Ok(Some(Either::A(transport)));
        }
        let uri = details.uri;
        let https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let began = match details.now {
            UreqInstant::Exact(began) => began,
            _ => Instant::now(),
        };
        let deadline = began.checked_add(*details.timeout.after);
        let (stream, _) = self
            .open(uri.host().unwrap_or_default(), port, deadline)
            .map_err(|error| match error {
                ConnectError::UnknownHost(unknown) => Error::Other(Box::new(unknown)),
                ConnectError::Refused { error, .. } if error.kind() == io::ErrorKind::TimedOut => {
                    Error::Timeout(Timeout::Connect)
                }
                ConnectError::Refused { error, .. } => Error::Io(error),
            })?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(LOOK))?;
        let config = details.config;
        let transport = TcpTransport {
            stream: Arc::new(stream),
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
            read_timeout: None,
            unsent: Vec::new(),
        };
        let handle: Arc<dyn ShutdownHandle> = transport.stream.clone();
        let handle: Weak<dyn ShutdownHandle> = Arc::downgrade(&handle);
        (details.register_shutdown)(handle)?;
        Ok(Some(Either::B(transport)))
    }
}

impl fmt::Debug for TcpConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TcpConnector")
    }
}

/// A socket. If input arrives while its send buffer is full, the rest of the output is kept and sent
/// later, so that the layer above can read the input first.
pub struct TcpTransport {
    /// Shared with ureq, which shuts it down to abort a request.
    stream: Arc<TcpStream>,
    buffers: LazyBuffers,
    /// The read timeout currently set on the socket.
    read_timeout: Option<Duration>,
    unsent: Vec<u8>,
}

impl TcpTransport {
    /// Writes the unsent output. Returns `true` early if input arrives while the send buffer is full.
    fn write_unsent(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let began = Instant::now();
        let deadline = began.checked_add(*timeout.after);
        let stall = timeout.per_write.map(|limit| *limit);
        let mut last_progress = began;
        let mut sent = 0;
        let result = loop {
            match (&*self.stream).write(&self.unsent[sent..]) {
                Ok(0) => break Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(amount) => {
                    sent += amount;
                    last_progress = Instant::now();
                    if sent == self.unsent.len() {
                        break Ok(false);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_blocked(&error) => match self.read_what_is_there() {
                    Ok(0) => {}
                    Ok(_) => break Ok(true),
                    Err(error) => break Err(error.into()),
                },
                Err(error) => break Err(error.into()),
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                break Err(Error::Timeout(timeout.reason));
            }
            if stall.is_some_and(|limit| now - last_progress >= limit) {
                break Err(Error::Timeout(Timeout::PerWrite));
            }
        };
        self.unsent.drain(..sent);
        result
    }

    /// Reads available input without waiting. It is an error if the peer has closed the connection.
    fn read_what_is_there(&mut self) -> io::Result<usize> {
        self.stream.set_nonblocking(true)?;
        let input = self.buffers.input_append_buf();
        let full = input.is_empty();
        let result = (&*self.stream).read(input);
        self.stream.set_nonblocking(false)?;
        match result {
            Ok(0) if !full => Err(io::ErrorKind::ConnectionAborted.into()),
            Ok(amount) => {
                self.buffers.input_appended(amount);
                Ok(amount)
            }
            Err(error) if is_blocked(&error) || error.kind() == io::ErrorKind::Interrupted => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        if timeout == self.read_timeout {
            return Ok(());
        }
        match self.stream.set_read_timeout(timeout) {
            Ok(()) => self.read_timeout = timeout,
            // macOS returns this for a socket whose peer has closed, although input may be left.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Whether an operation failed because it would block, or because its timeout expired.
fn is_blocked(error: &io::Error) -> bool {
    use io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut)
}

impl Transport for TcpTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    /// Accepts all of the output, and usually sends it. If input arrives while the send buffer is full,
    /// the rest stays unsent until the next call.
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let mut sent = 0;
        if self.unsent.is_empty() {
            let output = &self.buffers.output()[..amount];
            // The usual case: the send buffer has room for all of it.
            sent = match (&*self.stream).write(output) {
                Ok(sent) => sent,
                Err(error) if is_blocked(&error) || error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => return Err(error.into()),
            };
        }
        if sent < amount {
            self.unsent
                .extend_from_slice(&self.buffers.output()[sent..amount]);
            self.write_unsent(timeout)?;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        grow_if_full(&mut self.buffers);
        let deadline = Instant::now().checked_add(*timeout.after);
        if !self.unsent.is_empty() {
            match self.write_unsent(timeout) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                // Input that arrived before the peer closed can still be read.
                Err(Error::Io(error)) if is_closed(&error) => self.unsent.clear(),
                Err(error) => return Err(error),
            }
        }
        loop {
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Error::Timeout(timeout.reason));
            }
            self.set_read_timeout(left)?;
            match (&*self.stream).read(self.buffers.input_append_buf()) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(amount > 0);
                }
                Err(error) if is_blocked(&error) || error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // Unexpected input makes the connection unusable, too.
        let probe = || {
            self.stream.set_nonblocking(true)?;
            let silent = self.stream.peek(&mut [0]);
            self.stream.set_nonblocking(false)?;
            silent.map(drop)
        };
        self.unsent.is_empty() && probe().is_err_and(|error| is_blocked(&error))
    }
}

impl fmt::Debug for TcpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let peer = self.stream.peer_addr().ok();
        f.debug_struct("TcpTransport")
            .field("peer", &peer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// How an address behaves, and the rounds that are expected: which address, and for how long.
    fn rounds(answers: &[(&str, Option<io::ErrorKind>)], limit: u64) -> (String, Vec<(u8, u64)>) {
        let start = Instant::now();
        let clock = Cell::new(start);
        let addresses: Vec<SocketAddr> = (0..answers.len())
            .map(|at| SocketAddr::from(([10, 0, 0, at as u8], 3100)))
            .collect();
        let mut tried = Vec::new();
        let connect = |address: &SocketAddr, limit: Option<Duration>| {
            let at = addresses
                .iter()
                .position(|own| own == address)
                .expect("ours");
            let limit = limit.expect("a limit");
            tried.push((at as u8, limit.as_millis() as u64));
            match answers[at] {
                ("silent", _) => {
                    clock.set(clock.get() + limit);
                    Err(io::ErrorKind::TimedOut.into())
                }
                ("slow", _) if limit < Duration::from_millis(600) => {
                    clock.set(clock.get() + limit);
                    Err(io::ErrorKind::TimedOut.into())
                }
                (_, Some(kind)) => Err(kind.into()),
                (_, None) => Ok(()),
            }
        };
        let deadline = Some(start + Duration::from_millis(limit));
        let result = connect_to_one(&addresses, deadline, || clock.get(), connect);
        let result = match result {
            Ok(((), address)) => address.to_string(),
            Err(error) => error.kind().to_string(),
        };
        (result, tried)
    }

    #[test]
    fn a_silent_address_costs_a_moment() {
        let (result, tried) = rounds(&[("silent", None), ("good", None)], 10_000);
        assert_eq!(result, "10.0.0.1:3100");
        assert_eq!(tried, [(0, 250), (1, 250)]);
    }

    #[test]
    fn one_address_has_all_the_time() {
        let (result, tried) = rounds(&[("silent", None)], 10_000);
        assert_eq!(result, "timed out");
        assert_eq!(tried, [(0, 10_000)]);
    }

    #[test]
    fn a_slow_link_is_connected_in_the_second_round() {
        let refused = Some(io::ErrorKind::ConnectionRefused);
        let (result, tried) = rounds(
            &[("silent", None), ("refuses", refused), ("slow", None)],
            10_500,
        );
        assert_eq!(result, "10.0.0.2:3100");
        let expected = [(0, 250), (1, 250), (2, 250), (0, 5_000), (2, 5_000)];
        assert_eq!(tried, expected);
    }

    #[test]
    fn an_error_says_more_than_silence() {
        let refused = Some(io::ErrorKind::ConnectionRefused);
        let (result, tried) = rounds(&[("refuses", refused), ("silent", None)], 400);
        assert_eq!(result, "connection refused");
        assert_eq!(tried, [(0, 250), (1, 250), (1, 150)]);
    }
}
