//! Something on a port that is no Loki: it says the same to whoever speaks to it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

/// Answers the first bytes of every connection with these, and hangs up. Gives its port.
pub fn stranger(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            // A client's request is small: read whole, so that it meets an answer and not a reset.
            _ = client.read(&mut [0; 8 * 1024]);
            _ = client.write_all(answer);
        }
    });
    port
}
