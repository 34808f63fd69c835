//! Finds out whether the system's CA bundle contains a server's own certificate.
//!
//! rustls accepts the certificates of the bundle only as CAs. OpenSSL and Go also trust a self-signed
//! server certificate that was added there (`update-ca-certificates`), and so does loki-push. The
//! bundle is searched only if verification has failed.

use std::ffi::OsString;
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The paths of the bundle: Debian and Alpine, Fedora and related systems, older ones, openSUSE.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Whether the bundle contains this certificate.
pub fn holds(certificate: &CertificateDer<'_>) -> bool {
    bundle(std::env::var_os("SSL_CERT_FILE"))
        .and_then(|path| CertificateDer::pem_file_iter(path).ok())
        .is_some_and(|mut held| held.any(|held| held.is_ok_and(|held| held == *certificate)))
}

fn bundle(given: Option<OsString>) -> Option<PathBuf> {
    let given = given.filter(|path| !path.is_empty()).map(PathBuf::from);
    given.or_else(|| {
        let mut bundles = BUNDLES.iter().map(PathBuf::from);
        bundles.find(|path| path.exists())
    })
}
