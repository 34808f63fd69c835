//! What went wrong on the way to the server, in words that name the remedy.
//!
//! Knows the errors of ureq and rustls. Shows no secret.

use std::io;

use rustls::{AlertDescription as Alert, CertificateError};
use ureq::{Error, Timeout};

use super::tls::is_own_authority;

/// What the words need to know of the connection.
#[derive(Debug, Clone, Default)]
pub struct Way {
    /// The host of the address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The proxy's host and port, where there is one.
    pub proxy: Option<String>,
    /// Whether `--ca-cert` replaces the system's authorities.
    pub own_authority: bool,
    /// Whether we have a certificate to show.
    pub client_certificate: bool,
}

/// How far a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The server was not reached.
    Reach,
    /// The proxy was in the way.
    Proxy,
    /// TLS could not be agreed on.
    Tls,
    /// Something answered, but not in HTTP.
    Http,
    /// The answer did not come, or not in time.
    Answer,
}

/// A request that got no answer that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// How far it came.
    pub stage: Stage,
    /// What went wrong, and what to do.
    pub text: String,
    /// Whether only a person can mend it: it will be the same at the next try.
    pub lasting: bool,
}

/// Says what went wrong in the words of the field.
pub fn explain(error: &Error, way: &Way) -> Failed {
    let lasting = match error {
        Error::Io(error) => of_tls(error).is_some_and(is_lasting),
        Error::Other(error) => error.downcast_ref().is_some_and(is_lasting),
        Error::ConnectProxyFailed(reason) => {
            matches!(status_of(reason).as_str(), "401" | "403" | "405" | "407")
        }
        Error::Tls(_) => true,
        _ => false,
    };
    let (stage, text) = match error {
        Error::Io(error) => io_error(error, way),
        Error::Other(error) => match error.downcast_ref() {
            Some(error) => (Stage::Tls, tls(error, way)),
            None => (Stage::Answer, error.to_string()),
        },
        Error::HostNotFound => (Stage::Reach, not_found(way)),
        Error::Timeout(which @ (Timeout::Connect | Timeout::Resolve)) => (
            Stage::Reach,
            format!("no connection in time (timeout: {which})"),
        ),
        Error::Timeout(Timeout::Global) => (Stage::Answer, "no answer in time (--timeout)".into()),
        Error::Timeout(which) => (
            Stage::Answer,
            format!("no answer in time (timeout: {which})"),
        ),
        Error::ConnectionFailed => (Stage::Reach, "no connection".into()),
        Error::ConnectProxyFailed(reason) => (Stage::Proxy, proxy(reason, way)),
        Error::Tls(what) => (Stage::Tls, (*what).to_owned()),
        Error::Protocol(error) => {
            let what = match &way.proxy {
                Some(proxy) => {
                    format!("the proxy {proxy} (--proxy-url), and host and port in --url")
                }
                None => "host and port in --url".into(),
            };
            let text = format!("what answers does not speak HTTP ({error}): check {what}");
            (Stage::Http, text)
        }
        other => (Stage::Answer, other.to_string()),
    };
    Failed {
        stage,
        text,
        lasting,
    }
}

/// What TLS has to do with an error.
fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Whether TLS will fail the same way until somebody changes a certificate, an option or the
/// address. A connection that ends in the middle of it is none of that.
fn is_lasting(error: &rustls::Error) -> bool {
    use rustls::Error;
    match error {
        Error::InvalidCertificate(_)
        | Error::InvalidMessage(_)
        | Error::PeerIncompatible(_)
        | Error::NoCertificatesPresented
        | Error::UnsupportedNameType => true,
        Error::AlertReceived(alert) => is_about_us(*alert),
        _ => false,
    }
}

fn io_error(error: &io::Error, way: &Way) -> (Stage, String) {
    if let Some(error) = of_tls(error) {
        return (Stage::Tls, tls(error, way));
    }
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            let text = match &way.proxy {
                Some(proxy) => format!("the proxy {proxy} refuses connections"),
                None => "connection refused".into(),
            };
            return (Stage::Reach, text);
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            return (Stage::Reach, error.kind().to_string());
        }
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::ConnectionAborted => "connection aborted".into(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            "connection closed without an answer".into()
        }
        _ => {
            let text = error.to_string();
            if text.starts_with("failed to lookup address") {
                return (Stage::Reach, not_found(way));
            }
            text
        }
    };
    (Stage::Answer, text)
}

fn not_found(way: &Way) -> String {
    match &way.proxy {
        Some(proxy) => format!("host not found: {proxy}, the proxy"),
        None => format!("host not found: {}", way.host),
    }
}

/// What a proxy says to CONNECT, which is how it is asked for http addresses too.
fn proxy(reason: &str, way: &Way) -> String {
    let status = status_of(reason);
    let name = way.proxy.as_deref().unwrap_or_default();
    let (host, port) = (&way.host, way.port);
    match status.as_str() {
        "407" => format!(
            "the proxy {name} wants credentials (407): http://USER:PASSWORD@HOST:PORT in --proxy-url"
        ),
        "502" | "503" | "504" => {
            format!("the proxy {name} does not reach {host}:{port} ({status})")
        }
        "" => format!("the proxy {name} fails: {reason}"),
        _ => format!(
            "the proxy {name} does not allow CONNECT to port {port} (it answers {status}): have it \
             allowed there, or leave the proxy out with NO_PROXY={host}"
        ),
    }
}

/// The status in what ureq says of a proxy's answer; empty if there is none.
fn status_of(reason: &str) -> String {
    reason
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect()
}

fn tls(error: &rustls::Error, way: &Way) -> String {
    use rustls::Error;
    match error {
        Error::InvalidCertificate(error) => certificate(error, way),
        Error::AlertReceived(alert) => refused(*alert, way),
        Error::InvalidMessage(_) => {
            "what answers does not speak TLS: should --url begin with http://?".into()
        }
        error => format!("TLS failed: {error}"),
    }
}

fn certificate(error: &CertificateError, way: &Way) -> String {
    use CertificateError as E;
    const REMEDY: &str = "trust it with --ca-cert FILE, or trust anybody with --tls-skip-verify";
    match error {
        E::UnknownIssuer | E::BadSignature if way.own_authority => {
            "the server's certificate is not signed by the authority in --ca-cert".into()
        }
        E::UnknownIssuer | E::BadSignature => format!(
            "the server's certificate is signed by an authority that this machine does not know: \
             {REMEDY}"
        ),
        error if is_own_authority(error) && way.own_authority => {
            "the server's certificate is self-signed, and not the one in --ca-cert".into()
        }
        error if is_own_authority(error) => {
            format!("the server's certificate is self-signed: {REMEDY}")
        }
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            let names = match error {
                E::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                    names(presented)
                }
                _ => "no host at all".into(),
            };
            format!(
                "the server's certificate is for {names}, not for {}: use a name it has in --url, \
                 or trust anybody with --tls-skip-verify",
                way.host
            )
        }
        E::Expired | E::ExpiredContext { .. } => {
            let since = match error {
                E::ExpiredContext { time, not_after } => {
                    ago(time.as_secs().saturating_sub(not_after.as_secs()))
                }
                _ => String::new(),
            };
            format!(
                "the server's certificate has expired{since}: renew it there, or trust anybody \
                 with --tls-skip-verify (is this machine's clock right?)"
            )
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet: is this machine's clock right?".into()
        }
        E::Revoked => "the server's certificate was revoked".into(),
        error => format!("the server's certificate cannot be trusted ({error}): {REMEDY}"),
    }
}

/// The names in a certificate, in a few words. rustls shows them as `DnsName("a")`.
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

fn ago(seconds: u64) -> String {
    match seconds {
        0..=119 => " just now".into(),
        120..=7_199 => format!(" {} minutes ago", seconds / 60),
        7_200..=172_799 => format!(" {} hours ago", seconds / 3_600),
        _ => format!(" {} days ago", seconds / 86_400),
    }
}

/// The server ended the handshake.
fn refused(alert: Alert, way: &Way) -> String {
    match (is_about_us(alert), way.client_certificate) {
        (true, true) => {
            format!("the server does not accept our certificate ({alert:?}): check --cert")
        }
        (true, false) => format!(
            "the server ends TLS ({alert:?}): if it wants a client certificate, give --cert and --key"
        ),
        (false, _) => format!("the server ends TLS ({alert:?})"),
    }
}

/// Whether the server wants another certificate of ours, or one at all.
fn is_about_us(alert: Alert) -> bool {
    matches!(
        alert,
        Alert::CertificateRequired
            | Alert::HandshakeFailure
            | Alert::BadCertificate
            | Alert::UnknownCA
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::AccessDenied
    )
}
