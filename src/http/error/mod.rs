//! Explains why a request failed: what went wrong, at which step, and what to do.
//!
//! TLS errors are explained in `handshake`. Explanations contain no secrets.

mod certificate;
mod handshake;

use std::fmt;
use std::io;

use ureq::{Error, Timeout};

use crate::http::dns::UnknownHost;
use crate::http::error::handshake::{at_name, is_lasting, maybe_certificate, maybe_plain};
use crate::http::setting_names::SettingNames;

/// The properties of a connection that explanations depend on.
#[derive(Debug, Clone, Default)]
pub struct Endpoint {
    /// The host of the URL.
    pub host: String,
    /// The port of the URL.
    pub port: u16,
    /// Whether the URL is https.
    pub secure: bool,
    /// Host and port of the proxy, if one is used.
    pub proxy: Option<String>,
    /// Whether the proxy comes from the environment, so that NO_PROXY applies.
    pub proxy_from_env: bool,
    /// Whether a CA file replaces the system's CAs.
    pub own_authority: bool,
    /// Whether there is a client certificate.
    pub client_certificate: bool,
    /// The names of the settings, for remedies.
    pub terms: SettingNames,
}

/// The step at which a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Connecting to the server.
    Reach,
    /// Connecting through the proxy.
    Proxy,
    /// The TLS handshake.
    Tls,
    /// Parsing the response: it is not HTTP.
    Http,
    /// Waiting for the response.
    Answer,
}

/// A request that got no valid response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportError {
    /// The step that failed.
    pub stage: Step,
    /// What went wrong.
    pub text: String,
    /// What to do.
    pub remedy: String,
    /// Whether it is a configuration fault, so that the next attempt will fail in the same way.
    pub lasting: bool,
}

impl TransportError {
    /// What went wrong, with the remedy unless that is just to check that the server is running and
    /// reachable, which the sender reports itself.
    pub fn told(self) -> String {
        match self.stage {
            Step::Reach | Step::Answer => self.text,
            Step::Proxy | Step::Tls | Step::Http => {
                format!("{}: {}", self.text, self.remedy)
            }
        }
    }
}

/// Whether the connection ended during the TLS handshake.
#[derive(Debug)]
pub struct CutShort;

impl fmt::Display for CutShort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was closed in the TLS handshake")
    }
}

impl std::error::Error for CutShort {}

/// An explanation: what went wrong, and what to do.
type Words = (String, String);

/// Explains an error of ureq.
pub fn explain(error: &Error, way: &Endpoint) -> TransportError {
    let lasting = match error {
        Error::Io(error) => of_tls(error).is_some_and(is_lasting),
        Error::Other(error) => error.downcast_ref().is_some_and(is_lasting),
        Error::ConnectProxyFailed(reason) => {
            matches!(status_of(reason).as_str(), "401" | "403" | "405" | "407")
        }
        Error::Tls(_) => true,
        _ => false,
    };
    let (stage, (text, remedy)) = match error {
        Error::Io(error) => io_error(error, way),
        Error::Other(error) => other(error.as_ref(), way),
        Error::Timeout(which @ (Timeout::Connect | Timeout::Resolve)) => {
            let text = format!("no connection in time (timeout: {which})");
            (Step::Reach, (text, unreached(way)))
        }
        Error::Timeout(Timeout::Global | Timeout::PerWrite) => {
            let text = format!("no answer in time ({})", way.terms.timeout);
            (Step::Answer, (text, too_slow(way)))
        }
        Error::Timeout(which) => {
            let text = format!("no answer in time (timeout: {which})");
            (Step::Answer, (text, too_slow(way)))
        }
        Error::ConnectionFailed => (Step::Reach, ("no connection".into(), unreached(way))),
        Error::ConnectProxyFailed(reason) => (Step::Proxy, proxy(reason, way)),
        Error::Tls(what) => (Step::Tls, ((*what).to_owned(), at_name(way))),
        Error::LargeResponseHeader(..) => (Step::Answer, large_headers("64 KiB", way)),
        Error::Protocol(error) if error.to_string().contains("too many headers") => {
            (Step::Answer, large_headers("128 lines", way))
        }
        Error::Protocol(error) => {
            let text = format!("the server does not speak HTTP ({error})");
            (Step::Http, (text, no_http(way)))
        }
        other => (Step::Answer, (other.to_string(), unanswered(way))),
    };
    TransportError {
        stage,
        text,
        remedy,
        lasting,
    }
}

/// The explanation for a response that says that the port requires TLS.
pub fn wants_tls(way: &Endpoint) -> TransportError {
    TransportError {
        stage: Step::Tls,
        text: "the server requires TLS".into(),
        remedy: format!("{} should start with https://", way.terms.url),
        lasting: true,
    }
}

/// The explanation for a response that was cut off although it must be complete.
pub fn cut_off(status: u16, way: &Endpoint) -> TransportError {
    TransportError {
        stage: Step::Answer,
        text: format!("connection closed in the middle of a {status} response"),
        remedy: unanswered(way),
        lasting: false,
    }
}

/// Finds the TLS error in an error, if there is one.
pub fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn other(error: &(dyn std::error::Error + 'static), way: &Endpoint) -> (Step, Words) {
    if let Some(error) = error.downcast_ref() {
        return (Step::Tls, crate::http::error::handshake::words(error, way));
    }
    if error.is::<CutShort>() {
        let remedy = format!("{}; {}", maybe_plain(way), maybe_certificate(way));
        return (Step::Tls, (error.to_string(), remedy));
    }
    if let Some(unknown) = error.downcast_ref::<UnknownHost>() {
        return (Step::Reach, not_found(&unknown.host, way));
    }
    (Step::Answer, (error.to_string(), unanswered(way)))
}

fn large_headers(limit: &str, way: &Endpoint) -> Words {
    (
        format!("the response has more than {limit} of headers"),
        format!(
            "check what the server, or a proxy in front of it, adds there; check host and port in {}",
            way.terms.url
        ),
    )
}

fn io_error(error: &io::Error, way: &Endpoint) -> (Step, Words) {
    if let Some(error) = of_tls(error) {
        return (Step::Tls, crate::http::error::handshake::words(error, way));
    }
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            let text = match &way.proxy {
                Some(proxy) => format!("the proxy {proxy} refuses connections"),
                // A URL without a port, most likely.
                None if way.port == 80 => {
                    "connection refused on port 80; Loki's default port is 3100".into()
                }
                None => "connection refused".into(),
            };
            return (Step::Reach, (text, unreached(way)));
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            return (Step::Reach, (error.kind().to_string(), unreached(way)));
        }
        io::ErrorKind::ConnectionReset => "connection reset".into(),
        io::ErrorKind::ConnectionAborted => "connection aborted".into(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => {
            "connection closed without an answer".into()
        }
        _ => error.to_string(),
    };
    (Step::Answer, (text, unanswered(way)))
}

fn not_found(host: &str, way: &Endpoint) -> Words {
    let terms = &way.terms;
    let is_proxy = |proxy: &String| proxy.rsplit_once(':').is_some_and(|(name, _)| name == host);
    if way.proxy.as_ref().is_some_and(is_proxy) {
        return (
            format!("host not found: {host}, the proxy"),
            format!("check {}, and this machine's DNS", terms.proxy),
        );
    }
    (
        format!("host not found: {host}"),
        format!("check the host in {}, and this machine's DNS", terms.url),
    )
}

fn unreached(way: &Endpoint) -> String {
    match &way.proxy {
        Some(_) => format!(
            "check that the proxy is running, or check {}",
            way.terms.proxy
        ),
        None => format!(
            "check that Loki is running, and check host and port in {}",
            way.terms.url
        ),
    }
}

/// Explains connections that are accepted and closed before a response.
fn unanswered(way: &Endpoint) -> String {
    let url = &way.terms.url;
    // With TLS 1.3 a server may reject the handshake only after our side has completed it.
    let or = if way.secure {
        maybe_certificate(way)
    } else {
        "for a port that speaks TLS it starts with https://".into()
    };
    format!(
        "something accepts connections there, but does not answer HTTP requests: check host and \
         port in {url}; {or}"
    )
}

fn too_slow(way: &Endpoint) -> String {
    format!(
        "check whether the server is overloaded, or increase {}; check host and port in {}",
        way.terms.timeout, way.terms.url
    )
}

fn no_http(way: &Endpoint) -> String {
    let terms = &way.terms;
    let what = match &way.proxy {
        Some(proxy) => format!(
            "the proxy {proxy} ({}), and host and port in {}",
            terms.proxy, terms.url
        ),
        None => format!("host and port in {}", terms.url),
    };
    if way.secure {
        format!("check {what}")
    } else {
        format!("check {what}, which starts with https:// if the port speaks TLS")
    }
}

/// Explains the response of a proxy to CONNECT, which is used for http URLs too.
fn proxy(reason: &str, way: &Endpoint) -> Words {
    let status = status_of(reason);
    let name = way.proxy.as_deref().unwrap_or_default();
    let (host, port, by) = (&way.host, way.port, &way.terms.proxy);
    let leave_out = if way.proxy_from_env {
        format!("bypass the proxy with NO_PROXY={host}")
    } else {
        format!("omit {by} if {host} can be reached without it")
    };
    match status.as_str() {
        "407" => (
            format!("the proxy {name} requires credentials (407)"),
            format!("set http://USER:PASSWORD@HOST:PORT in {by}"),
        ),
        "502" | "503" | "504" => (
            format!("the proxy {name} cannot reach {host}:{port} ({status})"),
            format!(
                "check that Loki is running and that the proxy may reach it, check host and port in \
                 {}, or {leave_out}",
                way.terms.url
            ),
        ),
        "" => (
            format!("the proxy {name} failed ({reason})"),
            format!("check {by}, or {leave_out}"),
        ),
        _ => (
            format!(
                "the proxy {name} does not allow CONNECT to port {port} (it returned {status})"
            ),
            format!(
                "allow it there (squid: acl SSL_ports port {port}; tinyproxy: ConnectPort {port}), \
                 or {leave_out}"
            ),
        ),
    }
}

/// The status in ureq's error about a proxy's response, or an empty string.
fn status_of(reason: &str) -> String {
    reason
        .chars()
        .skip_while(|c| !c.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect()
}
