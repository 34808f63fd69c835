//! The system's own trust, once more: whether a certificate stands in its bundle itself.
//!
//! rustls takes what stands there for authorities only. A self-signed server that somebody put there
//! (`update-ca-certificates`) is trusted by OpenSSL and by Go. Asked only when all else has failed.

use std::ffi::OsString;
use std::path::PathBuf;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Where systems have it: Debian and Alpine, Fedora and its kin, older ones, openSUSE.
const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
];

/// Whether the system trusts this very certificate.
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
