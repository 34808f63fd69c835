//! A tiny CONNECT proxy, which lets one target through, whatever name it is asked for, or denies; and
//! a slow link.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// A running proxy. Its threads end with the process.
pub struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Connects every CONNECT to this port of this machine.
    pub fn to(port: u16) -> Self {
        Self::start(Ok(port))
    }

    /// Answers every CONNECT with this status line.
    pub fn denying(answer: &'static str) -> Self {
        Self::start(Err(answer))
    }

    fn start(behaviour: Result<u16, &'static str>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&heads);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                thread::spawn(move || serve(client, behaviour, &seen));
            }
        });
        Self { port, heads }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn serve(
    mut client: TcpStream,
    behaviour: Result<u16, &'static str>,
    seen: &Mutex<Vec<String>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let connect = head.starts_with("CONNECT ");
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(head);
    let port = match behaviour {
        Ok(port) if connect => port,
        Ok(_) => {
            return client.write_all(b"HTTP/1.1 405 Only CONNECT\r\nContent-Length: 0\r\n\r\n");
        }
        Err(answer) => {
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
            client.write_all(answer.as_bytes())?;
            // To close while the client still sends would be a reset.
            client.shutdown(Shutdown::Write)?;
            io::copy(&mut reader, &mut io::sink())?;
            return Ok(());
        }
    };
    let server = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut up, mut back) = (server.try_clone()?, client.try_clone()?);
    let upward = thread::spawn(move || {
        _ = io::copy(&mut reader, &mut up);
        _ = up.shutdown(Shutdown::Write);
    });
    _ = io::copy(&mut &server, &mut back);
    _ = back.shutdown(Shutdown::Both);
    _ = upward.join();
    Ok(())
}

/// A link to a port of this machine that carries so many bytes a second towards it, on all its
/// connections together. Returns its own port. It ends with the process.
pub fn slow_link(target: u16, bytes_per_second: u64) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let free = Arc::new(Mutex::new(Instant::now()));
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let free = Arc::clone(&free);
            thread::spawn(move || carry(&client, target, bytes_per_second, &free));
        }
    });
    port
}

fn carry(client: &TcpStream, target: u16, rate: u64, free: &Mutex<Instant>) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, target))?;
    let (mut back, mut answers) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        _ = io::copy(&mut answers, &mut back);
        _ = back.shutdown(Shutdown::Write);
    });
    // Nobody sends: a wait on it is a wait for the time.
    let (_clock, time) = mpsc::channel::<()>();
    let mut buffer = [0; 512];
    let (mut client, mut server) = (client, server);
    loop {
        let amount = client.read(&mut buffer)?;
        if amount == 0 {
            return server.shutdown(Shutdown::Write);
        }
        let done = {
            let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
            let took = Duration::from_micros(amount as u64 * 1_000_000 / rate);
            *free = (*free).max(Instant::now()) + took;
            *free
        };
        _ = time.recv_timeout(done.saturating_duration_since(Instant::now()));
        server.write_all(&buffer[..amount])?;
    }
}
