//! Explains why a server's certificate was rejected by `tls` or rustls.

use rustls::CertificateError;

use crate::http::error::{Endpoint, Words};
use crate::http::tls::UntrustedReason;

/// Explains a certificate error: what is wrong, and what to do.
pub fn words(error: &CertificateError, way: &Endpoint) -> Words {
    use CertificateError as E;
    match error {
        E::UnknownIssuer | E::BadSignature => stranger(&UntrustedReason::SignedBy(None), way),
        E::NotValidForName => other_name(&[], way),
        E::NotValidForNameContext { presented, .. } => other_name(presented, way),
        E::Expired | E::ExpiredContext { .. } => {
            let since = match error {
                E::ExpiredContext { time, not_after } => {
                    format!(
                        " {} ago",
                        span(time.as_secs().saturating_sub(not_after.as_secs()))
                    )
                }
                _ => String::new(),
            };
            (
                format!("the server's certificate has expired{since}"),
                format!(
                    "renew it on the server, or {} (is this machine's clock right?)",
                    anybody(way)
                ),
            )
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            let until = match error {
                E::NotValidYetContext { time, not_before } => {
                    let seconds = not_before.as_secs().saturating_sub(time.as_secs());
                    format!(", but in {}", span(seconds))
                }
                _ => String::new(),
            };
            (
                format!("the server's certificate is not valid yet{until}"),
                format!("is this machine's clock right? If it is, {}", anybody(way)),
            )
        }
        E::Revoked => (
            "the server's certificate was revoked".into(),
            format!(
                "install a new certificate on the server, or {}",
                anybody(way)
            ),
        ),
        E::Other(other) => match other.0.downcast_ref() {
            Some(unknown) => stranger(unknown, way),
            // rustls does not expose webpki's error type.
            None if format!("{other:?}").contains("UnsupportedCertVersion") => (
                "the server's certificate is X.509 version 1, which has no subjectAltName".into(),
                with_names(way),
            ),
            None => distrusted(&other.0.to_string(), way),
        },
        error => distrusted(&error.to_string(), way),
    }
}

/// Explains a certificate that no trusted CA has signed.
fn stranger(unknown: &UntrustedReason, way: &Endpoint) -> Words {
    let own = &way.terms.authority;
    match unknown {
        UntrustedReason::SelfSigned if way.own_authority => (
            format!("the server's certificate is self-signed, and not the one in {own}"),
            format!(
                "put the server's certificate into {own}, or {}",
                anybody(way)
            ),
        ),
        UntrustedReason::SelfSigned => (
            "the server's certificate is self-signed".into(),
            trust_it(way),
        ),
        UntrustedReason::SignedBy(issuer) if way.own_authority => (
            format!(
                "the server's certificate is not signed by the CA in {own}{}",
                quoted(issuer.as_deref(), ", but by ")
            ),
            format!(
                "put the CA that signed it into {own} (the server has to send intermediate \
                 certificates), or {}",
                anybody(way)
            ),
        ),
        UntrustedReason::SignedBy(issuer) => (
            format!(
                "the server's certificate is signed by a CA that this machine does not \
                 trust{}",
                quoted(issuer.as_deref(), ", ")
            ),
            trust_it(way),
        ),
    }
}

fn quoted(name: Option<&str>, before: &str) -> String {
    name.map_or(String::new(), |name| format!("{before}`{name}`"))
}

/// Explains a certificate for other names than the host in the URL.
fn other_name(presented: &[String], way: &Endpoint) -> Words {
    let (host, url) = (&way.host, &way.terms.url);
    if presented.is_empty() {
        return (
            "the server's certificate names no host in its subjectAltName; a common name (CN) is \
             not enough"
                .into(),
            with_names(way),
        );
    }
    (
        format!(
            "the server's certificate is for {}, not for {host}",
            names(presented)
        ),
        format!("use one of its names in {url}, or {}", anybody(way)),
    )
}

fn with_names(way: &Endpoint) -> String {
    let bare = way.host.trim_matches(['[', ']']);
    let kind = match bare.parse::<std::net::IpAddr>() {
        Ok(_) => "IP",
        Err(_) => "DNS",
    };
    format!(
        "issue it again with subjectAltName={kind}:{bare} (openssl req -addext), or {}",
        anybody(way)
    )
}

fn distrusted(error: &str, way: &Endpoint) -> Words {
    (
        format!("the server's certificate cannot be trusted ({error})"),
        format!(
            "install another certificate on the server, or {}",
            anybody(way)
        ),
    )
}

fn trust_it(way: &Endpoint) -> String {
    format!(
        "trust it with {}, or {}",
        way.terms.trust_with,
        anybody(way)
    )
}

fn anybody(way: &Endpoint) -> String {
    format!("disable verification with {}", way.terms.skip_verify)
}

/// The names in a certificate, shortened. rustls formats them as `DnsName("a")`.
fn names(presented: &[String]) -> String {
    let name = |text: &String| {
        let inside = text
            .split_once('(')
            .map_or(text.as_str(), |(_, inside)| inside);
        inside.trim_end_matches(')').trim_matches('"').to_owned()
    };
    let mut shown: Vec<String> = presented.iter().take(3).map(name).collect();
    if presented.len() > shown.len() {
        shown.push("…".into());
    }
    shown.join(", ")
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7_199 => format!("{} minutes", seconds / 60),
        7_200..=172_799 => format!("{} hours", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
