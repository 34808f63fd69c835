//! Adds TLS to a connection, like ureq's own connector, but with the configuration made and checked in
//! `tls`: ureq's panics if a key does not match its certificate, and accepts no verifier of ours. It can
//! also read before pending output is written.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
    TransportAdapter,
};

use crate::http::error::CutShort;
use crate::http::exchange::grow_if_full;

/// Wraps connections to https URLs.
pub struct TlsConnector(pub CurrentTls);

/// The configuration for the next connection, replaced when a certificate is renewed. `None` if neither
/// the URL nor the proxy is https.
pub type CurrentTls = Arc<Mutex<Option<Arc<ClientConfig>>>>;

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let current = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let config = current.ok_or(Error::TlsRequired)?;
        let host = details.uri.host().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let name = ServerName::try_from(bare.unwrap_or(host).to_owned())
            .map_err(|_| Error::Tls("the host's name cannot stand in a certificate"))?;
        let mut conn = ClientConnection::new(config, name).map_err(broken)?;
        let mut sock = TransportAdapter::new(transport.boxed(), Arc::clone(&details.current_time));
        sock.set_timeout(details.timeout);
        conn.complete_io(&mut sock).map_err(in_handshake)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Either::B(TlsTransport {
            conn,
            sock,
            buffers,
        })))
    }
}

/// Turns a connection closed during the handshake into an error of its own, [`CutShort`].
fn in_handshake(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => Error::Other(Box::new(CutShort)),
        _ => error.into(),
    }
}

fn broken(error: rustls::Error) -> Error {
    Error::Other(Box::new(error))
}

/// A TLS connection. Input can be read while output is still pending, so that a response is seen even
/// if the server has stopped reading.
pub struct TlsTransport {
    conn: ClientConnection,
    sock: TransportAdapter,
    buffers: LazyBuffers,
}

impl TlsTransport {
    /// Decrypts the input that the underlying connection has already buffered, without waiting for more.
    fn decrypt(&mut self) -> Result<(), Error> {
        loop {
            let below = self.sock.get_mut().buffers();
            // rustls would treat an empty read as the end of the connection.
            if below.input().is_empty() {
                return Ok(());
            }
            let amount = self.conn.read_tls(&mut below.input())?;
            below.input_consume(amount);
            self.conn.process_new_packets().map_err(broken)?;
            self.take_plaintext()?;
        }
    }

    /// Moves decrypted bytes to our own buffer. Returns `None` if there are none yet.
    fn take_plaintext(&mut self) -> io::Result<Option<usize>> {
        grow_if_full(&mut self.buffers);
        match self.conn.reader().read(self.buffers.input_append_buf()) {
            Ok(amount) => {
                self.buffers.input_appended(amount);
                Ok(Some(amount))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.sock.set_timeout(timeout);
        let output = &self.buffers.output()[..amount];
        self.conn.writer().write_all(output)?;
        while self.conn.wants_write() {
            self.conn.write_tls(&mut self.sock)?;
        }
        self.decrypt()
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.sock.set_timeout(timeout);
        loop {
            if let Some(amount) = self.take_plaintext()? {
                return Ok(amount > 0);
            }
            self.conn.read_tls(&mut self.sock)?;
            self.conn.process_new_packets().map_err(broken)?;
        }
    }

    fn is_open(&mut self) -> bool {
        self.sock.get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
