//! Addresses of host names, looked up whenever a connection is opened. The last good answer is kept
//! for a time when the lookup fails.
//!
//! ureq resolves the name for every request, also where a connection is open: it would fail with
//! the name server. So it gets no addresses here, and the connector asks when it needs them.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, ProxyProtocol};

use crate::http::url::is_localhost;

/// Looks up names. Clones share what they remember.
#[derive(Clone, Default)]
pub struct Dns {
    known: Arc<Mutex<Vec<Known>>>,
    /// A link-local host without its zone, as HTTP wants it, and with it, as the socket needs it.
    zone: Option<(String, String)>,
}

/// The last good answer for a name.
struct Known {
    host: String,
    addresses: Vec<IpAddr>,
}

/// A name has no address.
#[derive(Debug)]
pub struct UnknownHost {
    /// The name.
    pub host: String,
    /// Why.
    #[cfg_attr(not(feature = "cli"), expect(dead_code, reason = "for --check"))]
    pub error: io::Error,
}

impl fmt::Display for UnknownHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host not found: {}", self.host)
    }
}

impl std::error::Error for UnknownHost {}

impl Dns {
    /// Lookups for a URL whose host is a link-local address with a zone: `fe80::1` is connected to
    /// as `fe80::1%eth0`.
    pub fn with_zone(host: &str, zone: Option<&str>) -> Self {
        let host = bare(host);
        Self {
            known: Arc::default(),
            zone: zone.map(|zone| (host.to_owned(), format!("{host}%{zone}"))),
        }
    }

    /// The addresses of a host.
    ///
    /// # Errors
    /// If the lookup fails and has never succeeded.
    pub fn lookup(
        &self,
        host: &str,
        port: u16,
        deadline: Option<Instant>,
    ) -> Result<Vec<SocketAddr>, UnknownHost> {
        let host = bare(host);
        if let Some((_, name)) = self.zone.as_ref().filter(|(own, _)| own == host) {
            let found = (name.as_str(), port).to_socket_addrs();
            let unknown = |error| UnknownHost {
                host: name.clone(),
                error,
            };
            return Ok(found.map_err(unknown)?.collect());
        }
        let addresses = match host.parse() {
            Ok(address) => vec![address],
            // RFC 6761: a name for this machine whatever the resolver says.
            Err(_) if host.eq_ignore_ascii_case("localhost") => LOOPBACK.to_vec(),
            Err(_) => self.lookup_name(host, deadline)?,
        };
        let with_port = |address| SocketAddr::new(address, port);
        Ok(addresses.into_iter().map(with_port).collect())
    }

    fn lookup_name(
        &self,
        host: &str,
        deadline: Option<Instant>,
    ) -> Result<Vec<IpAddr>, UnknownHost> {
        let former = self.recall(host);
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
        // Where there is an older answer, half the time is kept for connecting to it.
        let limit = left.map(|left| if former.is_some() { left / 2 } else { left });
        let mut found = ask(host, limit);
        if is_localhost(host) {
            let mut addresses = found.unwrap_or_default();
            for own in LOOPBACK {
                if !addresses.contains(&own) {
                    addresses.push(own);
                }
            }
            found = Ok(addresses);
        }
        match (found, former) {
            (Ok(addresses), _) => {
                self.remember(host, &addresses);
                Ok(addresses)
            }
            (Err(_), Some(former)) => Ok(former),
            (Err(error), None) => Err(UnknownHost {
                host: host.to_owned(),
                error,
            }),
        }
    }

    fn recall(&self, host: &str) -> Option<Vec<IpAddr>> {
        let known = self.known();
        let found = known.iter().find(|known| known.host == host)?;
        Some(found.addresses.clone())
    }

    fn remember(&self, host: &str, addresses: &[IpAddr]) {
        let mut known = self.known();
        known.retain(|known| known.host != host);
        known.push(Known {
            host: host.to_owned(),
            addresses: addresses.to_vec(),
        });
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The addresses of this machine.
const LOOPBACK: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Asks the system. Its lookups have no time limit, so a thread makes them; where none can be
/// started, this one does.
fn ask(host: &str, limit: Option<Duration>) -> io::Result<Vec<IpAddr>> {
    let Some(limit) = limit else {
        return ask_system(host);
    };
    let (sender, answer) = mpsc::sync_channel(1);
    let name = host.to_owned();
    let lookup = move || drop(sender.send(ask_system(&name)));
    if thread::Builder::new()
        .name("dns".into())
        .spawn(lookup)
        .is_err()
    {
        return ask_system(host);
    }
    answer.recv_timeout(limit).unwrap_or_else(|error| {
        Err(match error {
            RecvTimeoutError::Timeout => io::ErrorKind::TimedOut.into(),
            RecvTimeoutError::Disconnected => io::Error::other("the lookup failed"),
        })
    })
}

fn ask_system(host: &str) -> io::Result<Vec<IpAddr>> {
    let found: Vec<IpAddr> = (host, 0).to_socket_addrs()?.map(|at| at.ip()).collect();
    if found.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(found)
}

/// An IPv6 address without the brackets it has in a URL.
fn bare(host: &str) -> &str {
    let inside = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inside.unwrap_or(host)
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dns")
    }
}

impl Resolver for Dns {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        // Only ureq's SOCKS connector takes addresses from here.
        let is_http = |protocol| matches!(protocol, ProxyProtocol::Http | ProxyProtocol::Https);
        if config.proxy().is_none_or(|proxy| is_http(proxy.protocol())) {
            return Ok(addresses);
        }
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => 1080,
        });
        let deadline = Instant::now().checked_add(*timeout.after);
        let found = self.lookup(uri.host().unwrap_or_default(), port, deadline);
        let found = found.map_err(|unknown| Error::Other(Box::new(unknown)))?;
        for address in found.into_iter().take(16) {
            addresses.push(address);
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(dns: &Dns, host: &str) -> Vec<String> {
        let soon = Instant::now() + Duration::from_secs(20);
        let found = dns.lookup(host, 3100, Some(soon)).expect("an address");
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_and_this_machine_are_not_looked_up() {
        let dns = Dns::default();
        assert_eq!(lookup(&dns, "127.0.0.9"), ["127.0.0.9:3100"]);
        assert_eq!(lookup(&dns, "[::1]"), ["[::1]:3100"]);
        for name in ["localhost", "LOCALHOST"] {
            assert_eq!(lookup(&dns, name), ["127.0.0.1:3100", "[::1]:3100"]);
        }
        assert_eq!(lookup(&dns, "loki.localhost").len(), 2);
    }

    #[test]
    fn the_last_good_answer_is_kept_while_lookups_fail() {
        let dns = Dns::default();
        let host = "loki.invalid";
        let soon = Some(Instant::now() + Duration::from_secs(20));
        let unknown = dns.lookup(host, 3100, soon).expect_err("no such host");
        assert_eq!(unknown.to_string(), "host not found: loki.invalid");
        dns.remember(host, &[IpAddr::from([10, 0, 0, 1])]);
        assert_eq!(lookup(&dns.clone(), host), ["10.0.0.1:3100"]);
    }

    #[test]
    fn a_zone_is_added_to_the_host_it_belongs_to() {
        let dns = Dns::with_zone("[fe80::1]", Some("1"));
        assert_eq!(lookup(&dns, "[fe80::1]"), ["[fe80::1%1]:3100"]);
        assert_eq!(lookup(&dns, "[fe80::2]"), ["[fe80::2]:3100"]);
    }
}
