//! Name and connection, apart from all that is spoken over it.
//!
//! Knows sockets. Knows nothing of HTTP, nor what is said of it.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use crate::http::client::Endpoint;
use crate::http::url::this_machine;

/// How far we came.
pub enum ConnectResult {
    /// This address takes connections.
    Connected(SocketAddr),
    /// The name is not known.
    NoName(io::Error),
    /// None of these addresses takes connections.
    NoConnection(Vec<SocketAddr>, io::Error),
}

/// Looks the host up, or the proxy where one is used, and connects to the first address that lets
/// us.
pub fn reach(way: &Endpoint, timeout: Duration) -> ConnectResult {
    let target = match &way.proxy {
        Some(proxy) => proxy.clone(),
        None => format!("{}:{}", way.host, way.port),
    };
    let addresses: Vec<SocketAddr> = match target.to_socket_addrs() {
        Ok(addresses) => addresses.collect(),
        Err(error) => match this_machine(&target) {
            Some(here) => here.into(),
            None => return ConnectResult::NoName(error),
        },
    };
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in &addresses {
        match TcpStream::connect_timeout(address, timeout) {
            Ok(_) => return ConnectResult::Connected(*address),
            Err(error) => last = error,
        }
    }
    ConnectResult::NoConnection(addresses, last)
}
