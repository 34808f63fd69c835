//! Pushing over HTTP: the one user of ureq.
//!
//! Knows the connection and how its answers and errors are read. Knows nothing of what an answer
//! means, of retrying, of queues or of counters.

mod connection;
mod connector;
mod explain;
mod proxy;
mod resolver;
mod secret;
mod system;
mod terms;
mod tls;
mod x509;

use std::io::{self, Read};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use ureq::http::{HeaderName, HeaderValue, Response, Uri};
use ureq::unversioned::transport::{
    ConnectProxyConnector, Connector as _, SocksConnector, TcpConnector,
};
use ureq::{Agent, Body, Proxy, ProxyProtocol};

use super::Push;
use crate::shipment::{Answer, Request};
use crate::time::from_http_date;
pub use connection::{Connection, Tls};
use connector::TlsConnector;
pub use explain::{Failed, Stage, Way};
use explain::{explain, wants_tls};
use resolver::Names;
use secret::Renewed;
pub use secret::{Scheme, SecretFile};
pub use terms::Terms;

/// How much of an error's body is read.
const TEXT: usize = 4 * 1024;

/// How much is read of a 400's: it lists each rule that was broken, about 190 bytes a second of too
/// old entries, and is cut before its counts if less is read.
pub const REFUSAL_TEXT: usize = 512 * 1024;

/// How much more of it is read away, so that the connection can be used again.
const DRAIN: u64 = 1024 * 1024;

/// What servers say to plain http on a TLS port: nginx, and Go.
const EXPECTS_HTTPS: [&str; 2] = [
    "plain HTTP request was sent to HTTPS port",
    "sent an HTTP request to an HTTPS server",
];

/// What a connection copies a request through. ureq's own 128 KiB, times the connections, is memory
/// that buys nothing: the kernel takes less at once.
const OUTPUT: usize = 32 * 1024;

/// And what it reads an answer through, which is a line or a page.
const INPUT: usize = 16 * 1024;

/// Pushes to a Loki, and asks it.
pub struct Http {
    agent: Agent,
    names: Names,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    secret: Option<Renewed>,
    way: Way,
}

/// The answer to a question.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The body, or where a redirect points.
    pub text: String,
    /// The header `Date`.
    pub date: Option<String>,
    retry_after: Option<Duration>,
}

impl Http {
    /// Makes the agent; opens no connection.
    ///
    /// # Errors
    /// If a header, a certificate or the proxy's address is none.
    pub fn new(connection: &Connection) -> Result<Self> {
        let headers = connection.headers.iter().map(read_header);
        let mut headers = headers.collect::<Result<Vec<_>>>()?;
        let secret = connection.secret.clone().and_then(|file| {
            let is_its = |(name, _): &(HeaderName, _)| *name == *file.header.to_ascii_lowercase();
            let at = headers.iter().position(is_its)?;
            Some(Renewed::new(file, headers.remove(at)))
        });
        let mut terms = connection.terms.clone();
        let url: Uri = connection
            .url
            .parse()
            .with_context(|| format!("{} is no address", terms.url))?;
        let https = url.scheme_str() == Some("https");
        let host = url.host().unwrap_or_default().to_owned();
        let port = url.port_u16().unwrap_or(if https { 443 } else { 80 });
        let (proxy, from_env) = find_proxy(connection, https, &host, port)?.unzip();
        let from_env = from_env.flatten();
        if let Some(name) = from_env {
            terms.proxy = name.into();
        }
        let proxy_tls = proxy
            .as_ref()
            .is_some_and(|proxy| proxy.protocol() == ProxyProtocol::Https);
        let tls = if https || proxy_tls {
            Some(tls::client_config(&connection.tls, &terms)?)
        } else {
            None
        };
        let way = Way {
            host,
            port,
            secure: https,
            proxy: proxy.as_ref().map(|p| format!("{}:{}", p.host(), p.port())),
            proxy_from_env: from_env.is_some(),
            own_authority: connection.tls.authority.is_some(),
            client_certificate: connection.tls.client.is_some(),
            terms,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // A POST that follows a redirect goes on as a GET and loses its entries.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("loki-push/", env!("CARGO_PKG_VERSION")))
            .accept("")
            .accept_encoding("")
            .output_buffer_size(OUTPUT)
            .input_buffer_size(INPUT)
            .max_idle_connections(connection.connections)
            .max_idle_connections_per_host(connection.connections)
            .timeout_connect(Some(connection.timeout))
            .timeout_global(Some(connection.timeout))
            .proxy(proxy)
            .build();
        let connector =
            ().chain(SocksConnector::default())
                .chain(ConnectProxyConnector::default())
                .chain(TcpConnector::default())
                .chain(TlsConnector(tls));
        let names = Names::default();
        Ok(Self {
            agent: Agent::with_parts(config, connector, names.clone()),
            names,
            url: connection.url.clone(),
            headers,
            secret,
            way,
        })
    }

    /// The server's host and port, and the proxy's where one is used: what a connection is made to.
    pub fn way(&self) -> &Way {
        &self.way
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// If no answer came that can be read.
    pub fn post(&self, request: &Request, timeout: Duration) -> Result<Page, Failed> {
        let mut post = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json");
        if request.gzip {
            post = post.header("content-encoding", "gzip");
        }
        for (name, value) in self.headers() {
            post = post.header(name, value);
        }
        let post = post
            .config()
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout))
            .build();
        self.page(post.send(&*request.body), TEXT)
    }

    /// Asks for an address, with the same headers.
    ///
    /// # Errors
    /// If no answer came that can be read.
    pub fn get(&self, url: &str, timeout: Duration) -> Result<Page, Failed> {
        let mut get = self.agent.get(url);
        for (name, value) in self.headers() {
            get = get.header(name, value);
        }
        let get = get
            .config()
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout))
            .build();
        self.page(get.call(), REFUSAL_TEXT)
    }

    /// The headers for a request that is made now.
    fn headers(&self) -> impl Iterator<Item = (&HeaderName, HeaderValue)> {
        let same = self
            .headers
            .iter()
            .map(|(name, value)| (name, value.clone()));
        same.chain(self.secret.as_ref().map(Renewed::header))
    }

    /// Reads an answer, and of its body at most so much.
    fn page(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
        most: usize,
    ) -> Result<Page, Failed> {
        let response = answer.map_err(|error| {
            self.names.forget();
            explain(&error, &self.way)
        })?;
        let status = response.status().as_u16();
        let header = |name| {
            let value = response.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let date = header("date");
        let asked = header("retry-after");
        let retry_after = asked.and_then(|value| read_retry_after(&value, date.as_deref()));
        let location = header("location").filter(|_| (300..400).contains(&status));
        let most = if status == 400 { REFUSAL_TEXT } else { most };
        let text = read_text(response.into_body(), most);
        if status == 400 && EXPECTS_HTTPS.iter().any(|said| text.contains(said)) {
            return Err(wants_tls(&self.way));
        }
        Ok(Page {
            status,
            text: location.map_or(text, |to| format!("to {to}")),
            date,
            retry_after,
        })
    }
}

impl Push for Http {
    fn push(&self, request: &Request, timeout: Duration) -> Answer {
        match self.post(request, timeout) {
            Ok(page) => page.into(),
            Err(failed) => Answer::Failed {
                lasting: failed.lasting,
                text: failed.told(),
            },
        }
    }
}

impl From<Page> for Answer {
    fn from(page: Page) -> Self {
        Self::Status {
            code: page.status,
            retry_after: page.retry_after,
            text: page.text,
        }
    }
}

fn read_header((name, value): &(String, String)) -> Result<(HeaderName, HeaderValue)> {
    let header = HeaderName::try_from(name.as_str()).ok().with_context(|| {
        let name = name.escape_debug();
        format!("`{name}` is no header name (--header, --auth-header)")
    })?;
    // The value may be a secret: it is not shown.
    let mut value = HeaderValue::try_from(value.as_str())
        .ok()
        .with_context(|| {
            format!(
                "the value for header `{name}` holds a character that a header cannot carry, perhaps \
                 a line end"
            )
        })?;
    value.set_sensitive(true);
    Ok((header, value))
}

/// The proxy to go through: the one given, or the environment's, with the variable that asks for it.
fn find_proxy(
    connection: &Connection,
    https: bool,
    host: &str,
    port: u16,
) -> Result<Option<(Proxy, Option<&'static str>)>> {
    let env = |name: &str| std::env::var(name).ok();
    let (variable, address) = match &connection.proxy {
        _ if connection.no_proxy => return Ok(None),
        Some(address) => (None, address.clone()),
        None => match proxy::from_env(https, host, port, &env) {
            Some((name, address)) => (Some(name), address),
            None => return Ok(None),
        },
    };
    // The address may hold credentials: it is not shown.
    let proxy = Proxy::new(&address).ok().with_context(|| {
        let name = variable.unwrap_or(&connection.terms.proxy);
        format!("{name} is no proxy address (http://HOST:PORT)")
    })?;
    Ok(Some((proxy, variable)))
}

/// `Retry-After`: seconds, or a date, which is counted from when the server says it is now (`Date`),
/// by our own clock if it does not say.
fn read_retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = from_http_date(value)?;
    let now = date.and_then(from_http_date).unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default().as_nanos() as i64
    });
    // One that is over asks for nothing.
    let wait = u64::try_from(until.checked_sub(now)?).ok()?;
    Some(Duration::from_nanos(wait))
}

/// The beginning of a body; the rest is read away.
fn read_text(mut body: Body, most: usize) -> String {
    let mut reader = body.as_reader();
    let mut text = Vec::new();
    // What was read before an error is still worth showing.
    let _ = (&mut reader).take(most as u64).read_to_end(&mut text);
    let _ = io::copy(&mut reader.take(DRAIN), &mut io::sink());
    String::from_utf8_lossy(&text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date() {
        let read = |value, date| read_retry_after(value, date).map(|wait| wait.as_secs());
        let (now, soon) = (
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "Wed, 21 Oct 2015 07:30:07 GMT",
        );
        assert_eq!(read(" 7 ", None), Some(7));
        assert_eq!(read(soon, Some(now)), Some(127));
        assert_eq!(read(now, Some(soon)), None, "it is over");
        assert_eq!(read(now, None), None, "by our own clock");
        assert!(read("Tue, 21 Oct 2155 07:28:00 GMT", None) > Some(300));
        assert_eq!([read("-1", None), read("soon", None)], [None, None]);
    }

    #[test]
    fn a_bad_header_is_named_without_its_value() {
        let connection = |name: &str, value: &str| Connection {
            url: "http://localhost:3100/loki/api/v1/push".into(),
            headers: vec![(name.into(), value.into())],
            secret: None,
            timeout: Duration::from_secs(1),
            connections: 1,
            tls: Tls::default(),
            proxy: None,
            no_proxy: true,
            terms: Terms::default(),
        };
        let text = |error: anyhow::Error| format!("{error:#}");
        let error = Http::new(&connection("bad name", "x"))
            .err()
            .map(text)
            .unwrap();
        assert!(error.contains("bad name"), "{error}");
        let error = Http::new(&connection("x-secret", "s3cr\net"))
            .err()
            .map(text)
            .unwrap();
        assert!(
            error.contains("x-secret") && !error.contains("s3cr"),
            "{error}"
        );
    }
}
