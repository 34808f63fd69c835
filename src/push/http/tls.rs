//! TLS: whom we trust, and how we show ourselves.
//!
//! Knows certificates and rustls. Knows nothing of HTTP or of sockets.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, InconsistentKeys, RootCertStore,
    SignatureScheme,
};

use super::Tls;

/// What webpki calls a certificate that is its own authority. Its error type is not rustls' to
/// show, so its name is all there is to know it by.
const OWN_AUTHORITY: &str = "CaUsedAsEndEntity";

/// Makes what a connection needs, once for all of them: reading the system's authorities takes
/// milliseconds.
///
/// # Errors
/// If a certificate or a key is none, or they do not belong together.
pub fn client_config(tls: &Tls) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier(tls, &provider)?);
    let config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let pair = client_pair(chain, key, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
        }
    };
    Ok(Arc::new(config))
}

fn verifier(tls: &Tls, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>> {
    if tls.skip_verify {
        return Ok(Arc::new(Anybody(Arc::clone(provider))));
    }
    let Some(pem) = &tls.authority else {
        let system = rustls_platform_verifier::Verifier::new(Arc::clone(provider));
        return Ok(Arc::new(system.map_err(|error| {
            // rustls would put `unexpected error` before it.
            let why = match error {
                Error::General(why) => why,
                error => error.to_string(),
            };
            anyhow!("{why}; give the authority to trust with --ca-cert FILE")
        })?));
    };
    let own = certificates(pem).context("--ca-cert")?;
    let mut roots = RootCertStore::empty();
    for certificate in &own {
        roots
            .add(certificate.clone())
            .map_err(|error| anyhow!("--ca-cert: a certificate cannot be read ({error})"))?;
    }
    let inner = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
        .build()
        .context("--ca-cert")?;
    Ok(Arc::new(Own { inner, own }))
}

fn client_pair(chain: &[u8], key: &[u8], provider: &CryptoProvider) -> Result<CertifiedKey> {
    let chain = certificates(chain).context("--cert")?;
    if key.windows(19).any(|part| part == b"ENCRYPTED PRIVATE K")
        || key.windows(14).any(|part| part == b"4,ENCRYPTED\nDE")
    {
        bail!("--key: the key is encrypted; take its passphrase off (openssl pkey)");
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .ok()
        .context("--key: no private key in PEM found")?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            anyhow!("--cert and --key do not belong together")
        }
        error => anyhow!("--cert and --key cannot be used: {error}"),
    })
}

/// All certificates in a PEM file.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("no PEM: {error}"))?;
    ensure!(!certificates.is_empty(), "no certificate in PEM found");
    Ok(certificates)
}

/// Whether a certificate was turned down because it is its own authority.
pub fn is_own_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if other.to_string().contains(OWN_AUTHORITY)
        || format!("{other:?}").contains(OWN_AUTHORITY))
}

/// Trusts the authorities in `--ca-cert`, and a server that shows just a certificate of that file,
/// as a self-signed one does: OpenSSL and Go take it, webpki alone does not.
#[derive(Debug)]
struct Own {
    inner: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Own {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified =
            self.inner
                .verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        match &verified {
            // Its dates were looked at before this was found.
            Err(Error::InvalidCertificate(error))
                if is_own_authority(error) && self.own.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            _ => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Trusts any certificate: `--tls-skip-verify`.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
