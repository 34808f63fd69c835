//! The HTTP client, and the only user of ureq: sends one request and returns the response, or an
//! explanation of what went wrong. It does not retry, but for a connection that was closed while idle.

#[cfg(feature = "cli")]
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use ureq::http::{HeaderName, HeaderValue, Uri};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector as _, SocksConnector};
use ureq::{Agent, Body, Proxy, ProxyProtocol, Timeout};

use crate::entry::request::Request;
use crate::http::Response;
use crate::http::Transport;
use crate::http::abort::{AbortableAgent, InFlightRequest};
use crate::http::credentials::ReloadedHeader;
pub use crate::http::credentials::{Scheme, SecretFile};
use crate::http::dns::Dns;
#[cfg(feature = "cli")]
pub use crate::http::error::Step;
pub use crate::http::error::{Endpoint, TransportError};
use crate::http::error::{cut_off, explain, wants_tls};
use crate::http::exchange::{ExchangeConnector, StaleConnection};
use crate::http::response::TEXT;
pub use crate::http::response::{HttpResponse, REFUSAL_TEXT};
pub use crate::http::setting_names::SettingNames;
pub use crate::http::settings::{HttpSettings, TlsSettings};
#[cfg(feature = "cli")]
pub use crate::http::tcp::ConnectError;
use crate::http::tcp::TcpConnector;
use crate::http::tls_connector::{CurrentTls, TlsConnector};
use crate::http::tls_reload::ReloadedTls;
pub use crate::http::tls_reload::TlsFiles;
use crate::http::url::without_query;
use crate::report::messages::{Message, Reporter};

/// The buffer for requests of a connection. ureq's own 128 KiB, times the connections, is memory
/// that gains nothing: the kernel takes less at once.
const OUTPUT: usize = 32 * 1024;

/// The buffer for responses of a connection: a line or a page. It grows for larger headers.
const INPUT: usize = 16 * 1024;

/// The longest time that a request may take.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);

/// Sends requests to a Loki over HTTP.
pub struct HttpTransport {
    wire: AbortableAgent,
    tls: CurrentTls,
    tls_files: Option<ReloadedTls>,
    reporter: Reporter,
    tcp: TcpConnector,
    timeout: Duration,
    url: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    secret: Option<ReloadedHeader>,
    way: Endpoint,
}

impl HttpTransport {
    /// Makes the agent; opens no connection.
    ///
    /// # Errors
    /// If a header, a certificate or the proxy's URL is invalid.
    pub fn new(connection: &HttpSettings) -> Result<Self> {
        let headers = connection.headers.iter().map(read_header);
        let mut headers = headers.collect::<Result<Vec<_>>>()?;
        let secret = connection.secret.clone().and_then(|file| {
            let is_its = |(name, _): &(HeaderName, _)| *name == *file.header.to_ascii_lowercase();
            let at = headers.iter().position(is_its)?;
            Some(ReloadedHeader::new(file, headers.remove(at)))
        });
        let mut terms = connection.terms.clone();
        let url: Uri = connection
            .url
            .parse()
            .with_context(|| format!("{} is not a valid URL", terms.url))?;
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
            Some(crate::http::tls::client_config(&connection.tls, &terms)?)
        } else {
            None
        };
        let has_files = connection.tls.files != TlsFiles::default();
        let tls_files = (tls.is_some() && has_files)
            .then(|| ReloadedTls::new(connection.tls.clone(), terms.clone()));
        let tls: CurrentTls = Arc::new(Mutex::new(tls));
        let way = Endpoint {
            host,
            port,
            secure: https,
            proxy: proxy.as_ref().map(|p| format!("{}:{}", p.host(), p.port())),
            proxy_from_env: from_env.is_some(),
            own_authority: connection.tls.authority.is_some(),
            client_certificate: connection.tls.client.is_some(),
            terms,
        };
        let proxied = proxy.is_some();
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
        let dns = Dns::with_zone(&way.host, connection.zone.as_deref());
        let tcp = TcpConnector::new(dns.clone());
        let (of_agents, tls_of_agents) = (tcp.clone(), Arc::clone(&tls));
        let wire = AbortableAgent::new(move || {
            let connector =
                ().chain(SocksConnector::default())
                    .chain(ConnectProxyConnector::default())
                    .chain(of_agents.clone())
                    .chain(TlsConnector(Arc::clone(&tls_of_agents)))
                    .chain(ExchangeConnector { proxied });
            Agent::with_parts(config.clone(), connector, dns.clone())
        });
        Ok(Self {
            wire,
            tls,
            tls_files,
            reporter: connection.tls.reporter,
            tcp,
            timeout: connection.timeout,
            url: connection.url.clone(),
            headers,
            secret,
            way,
        })
    }

    /// The server's host and port, and the proxy's where one is used: what a connection is made to.
    #[cfg(feature = "cli")]
    pub fn way(&self) -> &Endpoint {
        &self.way
    }

    /// Opens a connection to the server, or to the proxy in front of it, and closes it again.
    ///
    /// # Errors
    /// If there is no connection.
    #[cfg(feature = "cli")]
    pub fn connect(&self, timeout: Duration) -> Result<SocketAddr, ConnectError> {
        let (host, port) = match &self.way.proxy {
            Some(proxy) => proxy.rsplit_once(':').unwrap_or((proxy, "80")),
            None => (self.way.host.as_str(), ""),
        };
        let port = port.parse().unwrap_or(self.way.port);
        let deadline = Instant::now().checked_add(timeout);
        self.tcp
            .open(host, port, deadline)
            .map(|(_, address)| address)
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// If no response came that can be read.
    pub fn post(
        &self,
        request: &Request,
        timeout: Duration,
    ) -> Result<HttpResponse, TransportError> {
        self.exchange(timeout, TEXT, |agent, left| {
            let mut post = agent
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
                .timeout_global(Some(left))
                .timeout_connect(Some(left.min(self.timeout)))
                .timeout_per_write(Some(left.min(self.timeout)))
                .build();
            post.send(&*request.body)
        })
    }

    /// Requests a URL with the same headers.
    ///
    /// # Errors
    /// If no response came that can be read.
    #[cfg(feature = "cli")]
    pub fn get(&self, url: &str, timeout: Duration) -> Result<HttpResponse, TransportError> {
        self.exchange(timeout, REFUSAL_TEXT, |agent, left| {
            let mut get = agent.get(url);
            for (name, value) in self.headers() {
                get = get.header(name, value);
            }
            let get = get
                .config()
                .timeout_global(Some(left))
                .timeout_connect(Some(left))
                .build();
            get.call()
        })
    }

    /// Sends a request and reads the response, of whose body at most this much. A connection that
    /// the server closed while it was idle is replaced by another at once.
    fn exchange(
        &self,
        timeout: Duration,
        most: usize,
        send: impl Fn(&Agent, Duration) -> Result<ureq::http::Response<Body>, ureq::Error>,
    ) -> Result<HttpResponse, TransportError> {
        let began = Instant::now();
        let in_flight = self.begin(timeout);
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            match send(&in_flight.agent, left) {
                Err(ureq::Error::Other(error))
                    if error.is::<StaleConnection>() && !in_flight.is_aborted() => {}
                answer => return self.page(answer, &in_flight, most),
            }
        }
    }

    /// Registers a request that may take this long, and reloads certificates that have changed.
    fn begin(&self, timeout: Duration) -> InFlightRequest<'_> {
        let now = Instant::now();
        match self.tls_files.as_ref().and_then(|files| files.changed(now)) {
            None => {}
            Some(Ok(config)) => {
                *self.tls.lock().unwrap_or_else(PoisonError::into_inner) = Some(config);
                self.wire.renew();
            }
            Some(Err(error)) => self.reporter.say(&Message::Warning {
                text: &format!("{error:#}: still using the previous certificates"),
            }),
        }
        self.wire.begin(now + timeout.min(FOR_EVER))
    }

    /// The headers for a request that is made now.
    fn headers(&self) -> impl Iterator<Item = (&HeaderName, HeaderValue)> {
        let same = self
            .headers
            .iter()
            .map(|(name, value)| (name, value.clone()));
        same.chain(self.secret.as_ref().map(ReloadedHeader::header))
    }

    /// Reads an answer, and of its body at most so much.
    fn page(
        &self,
        answer: Result<ureq::http::Response<Body>, ureq::Error>,
        under_way: &InFlightRequest<'_>,
        most: usize,
    ) -> Result<HttpResponse, TransportError> {
        let response = answer.map_err(|error| {
            // What we broke off ourselves took too long.
            let is_ours = under_way.is_aborted();
            let error = if is_ours {
                ureq::Error::Timeout(Timeout::Global)
            } else {
                error
            };
            explain(&error, &self.way)
        })?;
        let page = HttpResponse::read(response, most);
        if page.wants_tls {
            return Err(wants_tls(&self.way));
        }
        // What decides whether entries are stored must be whole.
        if page.is_cut_off && matches!(page.status, 200..300 | 400) {
            return Err(cut_off(page.status, &self.way));
        }
        Ok(page)
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: &Request, timeout: Duration) -> Response {
        match self.post(request, timeout) {
            Ok(page) => page.into(),
            Err(failed) => Response::Failed {
                permanent: failed.lasting,
                text: failed.told(),
            },
        }
    }

    fn url(&self) -> Option<&str> {
        Some(without_query(&self.url))
    }

    fn is_sending(&self) -> bool {
        self.wire.in_flight() > self.tcp.connecting()
    }

    fn abort_slow(&self, later_than: Instant) {
        self.wire.abort_slow(later_than);
    }
}

fn read_header((name, value): &(String, String)) -> Result<(HeaderName, HeaderValue)> {
    let header = HeaderName::try_from(name.as_str()).ok().with_context(|| {
        let name = name.escape_debug();
        format!("`{name}` is not a valid header name (--header, --auth-header)")
    })?;
    // The value may be a secret: it is not shown.
    let mut value = HeaderValue::try_from(value.as_str())
        .ok()
        .with_context(|| {
            format!(
                "the value for header `{name}` contains a character that a header cannot carry, \
                 perhaps a line end"
            )
        })?;
    value.set_sensitive(true);
    Ok((header, value))
}

/// The proxy to go through: the one given, or the environment's, with the variable that asks for it.
fn find_proxy(
    connection: &HttpSettings,
    https: bool,
    host: &str,
    port: u16,
) -> Result<Option<(Proxy, Option<&'static str>)>> {
    let env = |name: &str| std::env::var(name).ok();
    let (variable, address) = match &connection.proxy {
        _ if connection.no_proxy => return Ok(None),
        Some(address) => (None, address.clone()),
        None => match crate::http::proxy::from_env(https, host, port, &env) {
            Some((name, address)) => (Some(name), address),
            None => return Ok(None),
        },
    };
    // The address may hold credentials: it is not shown.
    let name = variable.unwrap_or(&connection.terms.proxy);
    crate::http::proxy::check_port(&address).map_err(|why| anyhow!("{name}: {why}"))?;
    let proxy = Proxy::new(&address)
        .ok()
        .with_context(|| format!("{name} is not a valid proxy URL (http://HOST:PORT)"))?;
    Ok(Some((proxy, variable)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_header_is_named_without_its_value() {
        let connection = |name: &str, value: &str| HttpSettings {
            url: "http://localhost:3100/loki/api/v1/push".into(),
            headers: vec![(name.into(), value.into())],
            secret: None,
            timeout: Duration::from_secs(1),
            connections: 1,
            tls: TlsSettings::default(),
            proxy: None,
            no_proxy: true,
            zone: None,
            terms: SettingNames::default(),
        };
        let text = |error: anyhow::Error| format!("{error:#}");
        let error = HttpTransport::new(&connection("bad name", "x"))
            .err()
            .map(text)
            .unwrap();
        assert!(error.contains("bad name"), "{error}");
        let error = HttpTransport::new(&connection("x-secret", "s3cr\net"))
            .err()
            .map(text)
            .unwrap();
        assert!(
            error.contains("x-secret") && !error.contains("s3cr"),
            "{error}"
        );
    }
}
