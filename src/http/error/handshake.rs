//! Explains failed TLS handshakes. Errors about certificates are explained in `certificate`.

use rustls::{AlertDescription as Alert, Error, PeerIncompatible};

use crate::http::error::{Endpoint, Words, certificate};

/// Whether TLS will fail in the same way until somebody changes a certificate, an option or the URL,
/// unlike when the connection just ended during the handshake.
pub fn is_lasting(error: &rustls::Error) -> bool {
    match error {
        Error::InvalidCertificate(_)
        | Error::InvalidMessage(_)
        | Error::PeerIncompatible(_)
        | Error::NoCertificatesPresented
        | Error::UnsupportedNameType => true,
        Error::AlertReceived(alert) => is_about_us(*alert) || *alert == Alert::ProtocolVersion,
        _ => false,
    }
}

/// Explains a TLS error: what went wrong, and what to do.
pub fn words(error: &rustls::Error, way: &Endpoint) -> Words {
    match error {
        Error::InvalidCertificate(error) => certificate::words(error, way),
        Error::AlertReceived(alert) => refused(*alert, way),
        Error::InvalidMessage(_) => (
            "the server does not speak TLS".into(),
            format!("did you mean http:// in {}?", way.terms.url),
        ),
        Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => (
            "the server does not support TLS 1.2 or later".into(),
            too_old(),
        ),
        error => (
            format!("TLS failed ({error})"),
            format!("see the server's log; {}", maybe_plain(way)),
        ),
    }
}

/// Explains an alert with which the server ended the handshake.
fn refused(alert: Alert, way: &Endpoint) -> Words {
    let text = format!("the server closed the TLS handshake ({alert:?})");
    match alert {
        alert if is_about_us(alert) && way.client_certificate => (
            format!("the server does not accept our certificate ({alert:?})"),
            format!(
                "check {}: is it signed by a CA that the server trusts, and still valid?",
                way.terms.certificate
            ),
        ),
        alert if is_about_us(alert) => (text, maybe_certificate(way)),
        Alert::ProtocolVersion => (text, too_old()),
        Alert::UnrecognisedName => (text, at_name(way)),
        _ => (
            text,
            format!("see the server's log; {}", maybe_certificate(way)),
        ),
    }
}

/// The remedy if the server may require a client certificate.
pub fn maybe_certificate(way: &Endpoint) -> String {
    let pair = way.terms.pair();
    if way.client_certificate {
        format!("if it does not accept our certificate, check {pair}")
    } else {
        format!("if it requires a client certificate, set {pair}")
    }
}

/// The remedy if the port may not speak TLS.
pub fn maybe_plain(way: &Endpoint) -> String {
    format!(
        "if the port speaks plain HTTP, {} should start with http://",
        way.terms.url
    )
}

fn too_old() -> String {
    "enable TLS 1.2 or 1.3 there: older versions are not safe".into()
}

/// The remedy if the server does not have this name.
pub fn at_name(way: &Endpoint) -> String {
    format!(
        "use a name that the server's certificate has in {}",
        way.terms.url
    )
}

/// Whether the alert means that the server requires a client certificate, or another one.
fn is_about_us(alert: Alert) -> bool {
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::HandshakeFailure
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate
            | Alert::AccessDenied
    )
}
