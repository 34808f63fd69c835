//! Addresses of a server's name, asked for once in a while.
//!
//! ureq asks for every request, also where it then goes over a connection that it has; and as a
//! request has a time limit, it starts a thread to ask. Knows ureq's resolver interface. Knows
//! nothing of requests.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::http::url::this_machine;

/// How long an answer is believed. Names that move are given lifetimes of this order.
const BELIEVED: Duration = Duration::from_secs(10);

/// Remembers what names stand for; clones share it.
#[derive(Clone, Default)]
pub struct DnsCache {
    known: Arc<Mutex<Vec<Known>>>,
    ask: Arc<DefaultResolver>,
}

/// What was answered for a name with its port.
struct Known {
    name: String,
    addresses: ResolvedSocketAddrs,
    asked: Instant,
}

impl DnsCache {
    /// Forgets everything: what a name stood for may be what does not answer any more.
    pub fn forget(&self) {
        self.known().clear();
    }

    /// What is known of a name and still believed at `now`.
    fn recall(&self, name: &str, now: Instant) -> Option<ResolvedSocketAddrs> {
        let mut known = self.known();
        known.retain(|known| now.saturating_duration_since(known.asked) < BELIEVED);
        let found = known.iter().find(|known| known.name == name)?;
        Some(found.addresses.clone())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Vec<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for DnsCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

impl Resolver for DnsCache {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let place = uri.scheme().zip(uri.authority());
        let name =
            place.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority));
        let Some(name) = name else {
            return self.ask.resolve(uri, config, timeout);
        };
        if let Some(address) = literal(&name) {
            let mut addresses = self.empty();
            addresses.push(address);
            return Ok(addresses);
        }
        let now = Instant::now();
        if let Some(addresses) = self.recall(&name, now) {
            return Ok(addresses);
        }
        let addresses = match self.ask.resolve(uri, config, timeout) {
            Ok(addresses) => addresses,
            Err(error) => {
                let mut addresses = self.empty();
                let here = this_machine(&name).ok_or(error)?;
                here.into_iter().for_each(|here| addresses.push(here));
                addresses
            }
        };
        self.known().push(Known {
            name,
            addresses: addresses.clone(),
            asked: now,
        });
        Ok(addresses)
    }
}

/// The address that a name with its port is, if it is one already.
fn literal(name: &str) -> Option<SocketAddr> {
    let (host, port) = name.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(host).parse().ok()?;
    Some(SocketAddr::new(address, port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(names: &DnsCache, name: &str, asked: Instant) {
        let mut addresses = names.empty();
        addresses.push(literal("10.0.0.1:3100").expect("an address"));
        names.known().push(Known {
            name: name.into(),
            addresses,
            asked,
        });
    }

    #[test]
    fn an_address_is_no_name() {
        for (name, is_address) in [
            ("127.0.0.1:3100", true),
            ("[::1]:3100", true),
            ("localhost:3100", false),
            ("loki-1.example:443", false),
            ("127.0.0.1:99999", false),
        ] {
            assert_eq!(literal(name).is_some(), is_address, "{name}");
        }
    }

    #[test]
    fn an_answer_is_believed_for_a_while_or_until_it_fails() {
        let (names, asked) = (DnsCache::default(), Instant::now());
        known(&names, "loki:3100", asked);
        assert!(names.recall("loki:3100", asked).is_some());
        assert!(names.recall("loki:3101", asked).is_none());
        assert!(names.recall("loki:3100", asked + BELIEVED).is_none());
        known(&names, "loki:3100", asked);
        names.clone().forget();
        assert!(names.recall("loki:3100", asked).is_none());
    }
}
