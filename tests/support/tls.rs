//! TLS for the stand-in: an authority made at test time, and certificates it signs.

use std::fs;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::dir::Dir;
use super::loki::{Conn, Loki, Wire};

/// A certificate with its key, both in PEM.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

/// An authority, with a directory for files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    dir: Dir,
}

/// How a server's certificate is wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    OtherHost,
    Expired,
    NotYet,
}

/// Counts authorities.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities are two names.
        let name = format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, key()).expect("an authority");
        Self {
            issuer,
            dir: Dir::new(),
        }
    }

    /// The authority's certificate as a file.
    pub fn file(&self) -> PathBuf {
        self.dir.write("authority.pem", self.issuer.pem())
    }

    /// Signs a certificate for 127.0.0.1 and localhost, with a flaw or without.
    pub fn sign(&self, flaw: Flaw) -> Pair {
        let key = key();
        let params = params(flaw);
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        }
    }

    /// A client's certificate and key as files.
    pub fn client_files(&self, name: &str) -> (PathBuf, PathBuf) {
        let pair = self.sign(Flaw::None);
        (
            self.dir.write(format!("{name}.pem"), pair.cert),
            self.dir.write(format!("{name}-key.pem"), pair.key),
        )
    }

    /// A stand-in with a certificate of this authority; `clients` must show one of that authority.
    pub fn loki(&self, flaw: Flaw, clients: Option<&Authority>) -> Loki {
        serve(&self.sign(flaw), clients)
    }
}

/// A certificate that is its own authority, as `openssl req -x509` makes it.
pub fn self_signed() -> Pair {
    self_signed_as(
        IsCa::Ca(BasicConstraints::Unconstrained),
        params(Flaw::None),
    )
}

/// One that signed itself and is no authority, as most programs make it for themselves.
pub fn self_signed_leaf() -> Pair {
    self_signed_as(IsCa::ExplicitNoCa, params(Flaw::None))
}

/// One that names its host as was usual once: `openssl req -x509 -subj /CN=localhost`.
pub fn self_signed_common_name() -> Pair {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params
        .distinguished_name
        .push(DnType::CommonName, "localhost");
    self_signed_as(IsCa::Ca(BasicConstraints::Unconstrained), params)
}

fn self_signed_as(is_ca: IsCa, mut params: CertificateParams) -> Pair {
    let key = key();
    params.is_ca = is_ca;
    Pair {
        cert: params.self_signed(&key).expect("a certificate").pem(),
        key: key.serialize_pem(),
    }
}

/// A certificate of X.509 version 1, which no maker here makes.
pub const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBHjCBxQIUY/SscdZAMMWGv5u/F3mgEMJSCL0wCgYIKoZIzj0EAwIwETEPMA0G
A1UEAwwGY2xpZW50MCAXDTI2MTEyNjE4MDUyM1oYDzIxMjYxMTAyMTgwNTIzWjAR
MQ8wDQYDVQQDDAZjbGllbnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT31dRk
rJ1+pdE4wB13MNtyo04h/Zi7BPrFiEEgM6eVzOc/K4ruAgDDf6R8GmJXGfjW9Gp+
JkOhwvE2SUzlMgFzMAoGCCqGSM49BAMCA0gAMEUCIQDqgcop6Mb3szAEJ8zLIBOI
f+ETdx2BcgWT5rzjSta5egIgfmCcjGJJ31K8nq0ZS9HLEgGJjUouKdWVhIWj/wNe
9j8=
-----END CERTIFICATE-----
";

fn params(flaw: Flaw) -> CertificateParams {
    let names = match flaw {
        Flaw::OtherHost => vec!["loki.example".to_owned()],
        _ => vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
    };
    let mut params = CertificateParams::new(names).expect("parameters");
    match flaw {
        Flaw::Expired => params.not_after = date_time_ymd(2020, 1, 2),
        Flaw::NotYet => params.not_before = date_time_ymd(4000, 1, 1),
        Flaw::None | Flaw::OtherHost => {}
    }
    params
}

/// A stand-in that speaks TLS with this certificate.
pub fn serve(pair: &Pair, clients: Option<&Authority>) -> Loki {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.issuer.der().clone()).expect("a root");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        }
    };
    let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
    let config = builder.with_single_cert(vec![cert], key).expect("a pair");
    let config = Arc::new(config);
    Loki::start_secure(move |wire| wrap(wire, Arc::clone(&config)))
}

fn wrap(mut wire: Wire, config: Arc<ServerConfig>) -> io::Result<Box<dyn Conn>> {
    let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        if let Err(error) = connection.complete_io(&mut wire) {
            // The client must read the alert: with its bytes unread it would meet a reset.
            _ = io::copy(&mut wire, &mut io::sink());
            return Err(error);
        }
    }
    Ok(Box::new(Quiet(StreamOwned::new(connection, wire))))
}

/// A client that ends without TLS's own goodbye ends all the same.
struct Quiet(StreamOwned<ServerConnection, Wire>);

impl Read for Quiet {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            result => result,
        }
    }
}

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes a certificate into a directory.
pub fn file(dir: &Dir, name: &str, pem: &str) -> PathBuf {
    let path = dir.write(name, pem);
    assert!(fs::metadata(&path).is_ok());
    path
}
