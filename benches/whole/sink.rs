//! A stand-in for a Loki that takes everything at once: answers 204 and counts.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

/// What came.
#[derive(Default)]
pub struct Seen {
    requests: AtomicU64,
    bytes: AtomicU64,
    last_answer: Mutex<Option<Instant>>,
    keeps: AtomicBool,
    kept: Mutex<Vec<Kept>>,
}

/// A body, and when it had come.
type Kept = (Instant, Vec<u8>);

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

    /// Requests since they were last taken.
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// When the last answer was given.
    pub fn last_answer(&self) -> Option<Instant> {
        *lock(&self.seen.last_answer)
    }

    /// Keeps the bodies that come from now on, or no longer; gives those it kept.
    pub fn keep(&self, keeps: bool) -> Vec<Kept> {
        self.seen.keeps.store(keeps, Ordering::SeqCst);
        std::mem::take(&mut lock(&self.seen.kept))
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
        let (mut length, mut asks) = (0, false);
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            // `GET /ready`: some ask before they send.
            asks |= line.starts_with("GET ");
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
        if asks {
            let ready = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            writer.write_all(ready).ok()?;
            continue;
        }
        let mut body = (&mut reader).take(length);
        if seen.keeps.load(Ordering::SeqCst) {
            let mut kept = Vec::new();
            body.read_to_end(&mut kept).ok()?;
            lock(&seen.kept).push((Instant::now(), kept));
        } else {
            io::copy(&mut body, &mut io::sink()).ok()?;
        }
        seen.requests.fetch_add(1, Ordering::SeqCst);
        seen.bytes.fetch_add(length, Ordering::SeqCst);
        writer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()?;
        *lock(&seen.last_answer) = Some(Instant::now());
    }
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
