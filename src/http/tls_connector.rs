//! TLS around a connection, like ureq's own connector, but with a configuration that is checked and
//! made by us (`tls`): ureq's panics on a key that does not fit its certificate, and accepts no
//! verifier. It also reads without writing first.

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

/// Wraps connections to https addresses. None where no address of a run is https.
pub struct TlsConnector(pub CurrentTls);

/// The configuration for the next connection, which a renewed certificate replaces.
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

/// A connection that ends here ends for a reason of its own.
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

/// A connection with TLS around it. It is read without being written first, so that what a server
/// has said is heard although it takes nothing more.
pub struct TlsTransport {
    conn: ClientConnection,
    sock: TransportAdapter,
    buffers: LazyBuffers,
}

impl TlsTransport {
    /// Decrypts what lies in the buffer of the connection below, without waiting for more.
    fn decrypt(&mut self) -> Result<(), Error> {
        loop {
            let below = self.sock.get_mut().buffers();
            // rustls would take reading nothing for the end.
            if below.input().is_empty() {
                return Ok(());
            }
            let amount = self.conn.read_tls(&mut below.input())?;
            below.input_consume(amount);
            self.conn.process_new_packets().map_err(broken)?;
            self.take_plaintext()?;
        }
    }

    /// Moves decrypted bytes to our own buffer. None if there are none, and more may come.
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
