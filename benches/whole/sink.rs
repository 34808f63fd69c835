//! A stand-in for a Loki that takes everything at once: answers 204 and counts.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What came.
#[derive(Default)]
pub struct Seen {
    requests: AtomicU64,
    bytes: AtomicU64,
}

/// A server on this machine, for as long as the process lives.
pub struct Sink {
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl Sink {
    /// Starts to listen.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, seen) = (listener.local_addr()?, Arc::new(Seen::default()));
        thread::spawn({
            let seen = Arc::clone(&seen);
            move || {
                for stream in listener.incoming().flatten() {
                    let seen = Arc::clone(&seen);
                    thread::spawn(move || serve(&stream, &seen));
                }
            }
        });
        Ok(Self { address, seen })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests and bytes of bodies since the last time.
    pub fn take(&self) -> (u64, u64) {
        (
            self.seen.requests.swap(0, Ordering::SeqCst),
            self.seen.bytes.swap(0, Ordering::SeqCst),
        )
    }
}

fn serve(stream: &TcpStream, seen: &Seen) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    let mut writer = stream;
    loop {
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let Some((name, value)) = line.split_once(':') else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().ok()?;
            }
        }
        io::copy(&mut (&mut reader).take(length), &mut io::sink()).ok()?;
        seen.requests.fetch_add(1, Ordering::SeqCst);
        seen.bytes.fetch_add(length, Ordering::SeqCst);
        writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
    }
}
