//! The TLS configuration: which servers are trusted, and the client certificate.

use std::fmt;
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
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};

use crate::http::client::TlsSettings;
use crate::http::setting_names::SettingNames;
use crate::http::system_roots;
use crate::http::x509::Parts;

/// The name of webpki's error for a server certificate that is a CA itself. rustls does not expose the
/// error type, so it is recognized by this name.
const OWN_AUTHORITY: &str = "CaUsedAsEndEntity";

/// Creates the configuration for all connections. Loading the system's CAs takes milliseconds.
///
/// # Errors
/// If a certificate or a key is invalid, or the two do not belong together.
pub fn client_config(tls: &TlsSettings, terms: &SettingNames) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier(tls, terms, &provider)?);
    let config = match client_pair(tls, terms, &provider)? {
        None => builder.with_no_client_auth(),
        Some(pair) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair))),
    };
    Ok(Arc::new(config))
}

fn verifier(
    tls: &TlsSettings,
    terms: &SettingNames,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>> {
    if tls.skip_verify {
        return Ok(Arc::new(NoVerifier(Arc::clone(provider))));
    }
    let Some((roots, own)) = authorities(tls, terms)? else {
        let system = rustls_platform_verifier::Verifier::new(Arc::clone(provider));
        let system = system.map_err(|error| {
            // Without this, rustls would prefix the message with `unexpected error`.
            let why = match error {
                Error::General(why) => why,
                error => error.to_string(),
            };
            let with = terms.trust_with;
            anyhow!("{why}; give the authority to trust with {with}")
        })?;
        return Ok(Arc::new(PinnedOrCaVerifier {
            inner: Arc::new(system),
            own: None,
        }));
    };
    let inner = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider))
        .build()
        .with_context(|| terms.authority.to_string())?;
    let own = Some(own);
    Ok(Arc::new(PinnedOrCaVerifier { inner, own }))
}

/// The CAs that replace the system's, if any are set, and their certificates.
fn authorities(
    tls: &TlsSettings,
    terms: &SettingNames,
) -> Result<Option<(RootCertStore, Vec<CertificateDer<'static>>)>> {
    let Some(pem) = &tls.authority else {
        return Ok(None);
    };
    let name = &terms.authority;
    let own = certificates(pem).with_context(|| name.to_string())?;
    let mut roots = RootCertStore::empty();
    for certificate in &own {
        roots
            .add(certificate.clone())
            .map_err(|error| anyhow!("{name}: a certificate cannot be read ({error})"))?;
    }
    Ok(Some((roots, own)))
}

fn client_pair(
    tls: &TlsSettings,
    terms: &SettingNames,
    provider: &CryptoProvider,
) -> Result<Option<CertifiedKey>> {
    let Some((chain, key)) = &tls.client else {
        return Ok(None);
    };
    let chain = certificates(chain).with_context(|| terms.certificate.to_string())?;
    let name = &terms.key;
    if key.windows(19).any(|part| part == b"ENCRYPTED PRIVATE K")
        || key.windows(11).any(|part| part == b"4,ENCRYPTED")
    {
        bail!("{name}: the key is encrypted; take its passphrase off (openssl pkey)");
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .ok()
        .with_context(|| format!("{name}: no private key in PEM found{}", if_binary(key)))?;
    let unusable = |error| anyhow!("{} cannot be used: {error}", terms.pair());
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(unusable)?;
    // Not checked by rustls, since webpki rejects certificates of version 1, which `openssl x509
    // -req` creates and servers accept.
    let first = Parts::of(&chain[0])
        .with_context(|| format!("{}: a certificate cannot be read", terms.certificate))?;
    ensure!(
        key.public_key().is_none_or(|public| first.is_for(&public)),
        "{}: certificate and key do not belong together",
        terms.pair()
    );
    Ok(Some(CertifiedKey::new(chain, key)))
}

/// All certificates in a PEM file.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| anyhow!("no PEM: {error}"))?;
    ensure!(
        !certificates.is_empty(),
        "no certificate in PEM found{}",
        if_binary(pem)
    );
    Ok(certificates)
}

/// The remedy for a file that is not in PEM.
fn if_binary(file: &[u8]) -> &'static str {
    if file.first() == Some(&0x30) {
        "; it looks like DER (make it PEM: openssl x509 or pkey, -inform der)"
    } else {
        ""
    }
}

/// Why a certificate is not trusted.
#[derive(Debug)]
pub enum UntrustedReason {
    /// It is self-signed.
    SelfSigned,
    /// It is signed by a CA of this name that is not trusted.
    SignedBy(Option<String>),
}

impl UntrustedReason {
    /// What there is to say of a certificate.
    fn of(certificate: &CertificateDer<'_>) -> Self {
        match Parts::of(certificate) {
            Some(parts) if parts.is_self_signed() => Self::SelfSigned,
            parts => Self::SignedBy(parts.and_then(|parts| parts.issuer())),
        }
    }
}

impl fmt::Display for UntrustedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody speaks for it who is trusted")
    }
}

impl std::error::Error for UntrustedReason {}

/// Whether a certificate was turned down because it is its own authority.
fn is_own_authority(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if other.to_string().contains(OWN_AUTHORITY)
        || format!("{other:?}").contains(OWN_AUTHORITY))
}

/// Trusts authorities that are known, and a server that shows just a certificate that was given with
/// them, whoever signed it, itself for instance: OpenSSL and Go take it, webpki alone does not.
#[derive(Debug)]
struct PinnedOrCaVerifier {
    inner: Arc<dyn ServerCertVerifier>,
    /// Those of `--ca-cert`; None where the system's are trusted.
    own: Option<Vec<CertificateDer<'static>>>,
}

impl PinnedOrCaVerifier {
    fn holds(&self, certificate: &CertificateDer<'_>) -> bool {
        match &self.own {
            Some(own) => own.contains(certificate),
            None => system_roots::holds(certificate),
        }
    }
}

impl ServerCertVerifier for PinnedOrCaVerifier {
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
        let error = match verified {
            Err(Error::InvalidCertificate(error)) => error,
            verified => return verified,
        };
        let unknown = match error {
            error if is_own_authority(&error) => UntrustedReason::SelfSigned,
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                UntrustedReason::of(end_entity)
            }
            error => return Err(error.into()),
        };
        // Its dates were looked at before this was found.
        if self.holds(end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::Other(OtherError(Arc::new(unknown))).into())
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
struct NoVerifier(Arc<CryptoProvider>);

impl ServerCertVerifier for NoVerifier {
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
