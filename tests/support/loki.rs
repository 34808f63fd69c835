//! A strict stand-in for Loki. It speaks Loki's side of the push API over a real socket,
//! checks every request against the contract (`check.rs`, `history.rs`), keeps what it is sent
//! as Loki would (`rules.rs`), fails in every way a test asks for (`fault.rs`), and tells what
//! it saw (`state.rs`). A test that ends without [`Loki::assert_clean`] fails all the same if
//! the contract was broken.
//!
//! ```ignore
//! let loki = Loki::start();
//! loki.faults([Fault::Status(503), Fault::LostAnswer]);
//! // ... let a client push to loki.url() ...
//! loki.wait_for_entries(3);
//! assert_eq!(loki.lines(), ["one", "two", "three"]);
//! loki.assert_clean();
//! ```
#![allow(
    dead_code,
    unused_imports,
    reason = "no user of the stand-in needs all of it"
)]

#[path = "loki/answer.rs"]
mod answer;
#[path = "loki/check.rs"]
mod check;
#[path = "loki/fault.rs"]
mod fault;
#[path = "loki/history.rs"]
mod history;
#[path = "loki/http.rs"]
mod http;
#[path = "loki/json.rs"]
mod json;
#[path = "loki/picture.rs"]
mod picture;
#[path = "loki/query.rs"]
mod query;
#[path = "loki/rules.rs"]
mod rules;
#[path = "loki/serve.rs"]
mod serve;
#[path = "loki/state.rs"]
mod state;
#[path = "loki/texts.rs"]
mod texts;
#[path = "loki/time.rs"]
mod time;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use answer::Answer;
pub use check::{Entry, Labels, Limits};
pub use fault::{Auth, Fault};
pub use http::Headers;
pub use json::{Json, parse as parse_json};
pub use rules::{Rate, Rules};
pub use serve::{Conn, Wire};
pub use state::{Answered, Other, Push, Seen};
pub use texts::{message_text, rate_limit_text, stream_limit_text, stream_name, stream_rate_text};

use serve::{Serving, Shared};
use state::State;

/// How long a test waits for something that must come.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A running, or for the moment stopped, stand-in for Loki.
pub struct Loki {
    shared: Arc<Shared>,
    port: u16,
    scheme: &'static str,
    /// The accepting thread, which gives the threads of its connections when it ends.
    accepting: Mutex<Option<JoinHandle<Vec<JoinHandle<()>>>>>,
}

/// Opening and closing.
impl Loki {
    /// Listens on a free port of 127.0.0.1.
    pub fn start() -> Self {
        Self::plain(free_port())
    }

    /// A port to listen on later, with [`Loki::restart`]; until then nothing listens there.
    pub fn reserve() -> Self {
        let (port, listener) = free_port();
        close(listener);
        Self::new(port, "http", Box::new(|wire| Ok(Box::new(wire))))
    }

    /// Listens on this port.
    pub fn start_on(port: u16) -> Self {
        Self::plain((port, listen_again(port)))
    }

    /// Listens with something around each connection: TLS.
    pub fn start_secure(
        wrap: impl Fn(Wire) -> io::Result<Box<dyn Conn>> + Send + Sync + 'static,
    ) -> Self {
        let (port, listener) = free_port();
        let loki = Self::new(port, "https", Box::new(wrap));
        loki.open(listener);
        loki
    }

    fn plain((port, listener): (u16, TcpListener)) -> Self {
        let loki = Self::new(port, "http", Box::new(|wire| Ok(Box::new(wire))));
        loki.open(listener);
        loki
    }

    fn new(port: u16, scheme: &'static str, wrap: Box<serve::Wrap>) -> Self {
        let shared = Shared {
            state: Mutex::default(),
            changed: Condvar::new(),
            wrap,
        };
        Self {
            shared: Arc::new(shared),
            port,
            scheme,
            accepting: Mutex::new(None),
        }
    }

    /// Opens again on the same port, with everything that was stored.
    pub fn restart(&self) {
        self.stop();
        self.open(listen_again(self.port));
    }

    fn open(&self, listener: TcpListener) {
        let generation = self.shared.change(|state| {
            state.open = true;
            state.generation
        });
        let shared = Arc::clone(&self.shared);
        let thread = thread::spawn(move || {
            let connections = accept(&listener, &shared, generation);
            close(listener);
            connections
        });
        *self.slot() = Some(thread);
    }

    /// Closes the port and all connections, as a Loki that is killed. Not for use in a hook:
    /// it waits for the threads of the connections.
    pub fn stop(&self) {
        let Some(accepting) = self.slot().take() else {
            return;
        };
        self.shared.change(|state| {
            state.open = false;
            state.generation += 1;
        });
        // The accepting thread sleeps in the kernel; a connection wakes it.
        _ = TcpStream::connect_timeout(&self.address(), PATIENCE);
        let connections = accepting.join().expect("the accepting thread ended");
        self.hang_up();
        let ends = connections.into_iter().map(JoinHandle::join);
        let failed = ends.filter(Result::is_err).count();
        if failed > 0 {
            let text = format!("{failed} connections ended in a panic: a bug of the test");
            self.shared.change(|state| state.violation(text));
        }
    }

    /// Ends all connections, and goes on listening.
    pub fn hang_up(&self) {
        let sockets: Vec<_> = self.shared.lock().sockets.values().cloned().collect();
        for socket in sockets.iter().filter_map(std::sync::Weak::upgrade) {
            _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<JoinHandle<Vec<JoinHandle<()>>>>> {
        self.accepting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The base address, `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address())
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it listens.
    pub fn is_open(&self) -> bool {
        self.shared.lock().open
    }
}

/// What goes wrong.
impl Loki {
    /// One more fault in the script: each push request takes one, in order.
    pub fn fault(&self, fault: Fault) {
        self.faults([fault]);
    }

    /// More faults in the script.
    pub fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.change(|state| state.script.extend(faults));
    }

    /// What happens to every request for which the script and the hook have nothing.
    pub fn always(&self, fault: Fault) {
        self.shared.change(|state| state.standing = Some(fault));
    }

    /// Asks this for every request the script has nothing for; `None` leaves it to `always`.
    pub fn respond_with(&self, hook: impl Fn(&Push) -> Option<Fault> + Send + Sync + 'static) {
        self.shared
            .change(|state| state.hook = Some(Arc::new(hook)));
    }

    /// No more faults: script, hook and standing rule are gone. Loki's rules stay.
    pub fn clear(&self) {
        self.shared.change(|state| {
            state.script.clear();
            state.standing = None;
            state.hook = None;
        });
    }

    /// Lets all answers go that `Slow` or `Hang` hold back.
    pub fn release(&self) {
        self.shared.change(|state| state.releases += 1);
    }

    /// Judges entries by Loki's rules from now on.
    pub fn validate(&self, rules: Rules) {
        self.shared.change(|state| state.rules = rules);
    }

    /// Moves what the contract checks measure by.
    pub fn limits(&self, change: impl FnOnce(&mut Limits)) {
        self.shared.change(|state| change(&mut state.limits));
    }

    /// Lets in only requests with these credentials; others get a gateway's 401.
    pub fn require(&self, auth: Auth) {
        self.shared.change(|state| state.auth = Some(auth));
    }

    /// Answers 401 `no org id` to requests without `X-Scope-OrgID`.
    pub fn require_tenant(&self) {
        self.shared.change(|state| state.wants_tenant = true);
    }

    /// Answers requests to paths that end so, push aside, with this.
    pub fn answer(&self, path: &str, answer: Answer) {
        self.shared
            .change(|state| state.set_answers.insert(path.to_owned(), answer));
    }

    /// Moves the stand-in's clock: its `Date` header and the rules' now.
    pub fn clock_ahead(&self, seconds: i64) {
        self.shared
            .change(|state| state.clock_ahead = seconds * 1_000_000_000);
    }

    /// The client is another process from now on, and the one before may have been killed
    /// between an answer and noting it: what was answered may come again.
    pub fn client_restarted(&self) {
        self.shared.change(State::client_restarted);
    }

    /// The same after a kill, whose last requests may still lie in a socket: they are not read.
    pub fn client_killed(&self) {
        self.stop();
        self.client_restarted();
        self.restart();
    }
}

/// Waiting.
impl Loki {
    /// Waits until so many entries are stored.
    pub fn wait_for_entries(&self, n: usize) {
        self.wait_until(&format!("{n} entries"), |seen| seen.entries.len() >= n);
    }

    /// Waits until so many push requests have begun.
    pub fn wait_for_requests(&self, n: usize) {
        self.wait_until(&format!("{n} requests"), |seen| seen.requests.len() >= n);
    }

    /// Waits until so many push requests have been answered, or otherwise ended.
    pub fn wait_for_answers(&self, n: usize) {
        self.wait_until(&format!("{n} answers"), |seen| {
            let ended = seen.requests.iter().filter(|push| push.ended.is_some());
            ended.count() >= n
        });
    }

    /// Waits until `Slow` or `Hang` hold back so many answers, ready for [`Loki::release`].
    pub fn wait_for_held(&self, n: usize) {
        self.wait_until(&format!("{n} held answers"), |seen| seen.held >= n);
    }

    /// Waits until what the stand-in saw is so; `what` says it in the message if it never is.
    pub fn wait_until(&self, what: &str, mut so: impl FnMut(&Seen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while !so(&state.seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let picture = state.to_string();
                drop(state);
                panic!("waited {PATIENCE:?} for {what}\n{picture}");
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Looking.
impl Loki {
    /// Looks at what the stand-in saw.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.shared.lock().seen)
    }

    /// All entries, in the order they were stored.
    pub fn entries(&self) -> Vec<Entry> {
        self.look(|seen| seen.entries.iter().map(|e| (**e).clone()).collect())
    }

    /// All lines, by time, equal times by arrival.
    pub fn lines(&self) -> Vec<String> {
        self.lines_of(&[])
    }

    /// The lines with these labels, by time, equal times by arrival.
    pub fn lines_of(&self, labels: &[(&str, &str)]) -> Vec<String> {
        let mut entries = self.entries();
        entries.retain(|entry| {
            let has =
                |(name, value): &(&str, &str)| entry.labels.get(*name).is_some_and(|v| v == value);
            labels.iter().all(has)
        });
        entries.sort_by_key(|entry| entry.time);
        entries.into_iter().map(|entry| entry.line).collect()
    }

    /// The label sets that have entries, sorted.
    pub fn streams(&self) -> Vec<Labels> {
        self.look(|seen| {
            let mut all: Vec<Labels> = seen.entries.iter().map(|e| (*e.labels).clone()).collect();
            all.sort();
            all.dedup();
            all
        })
    }

    /// All push requests.
    pub fn requests(&self) -> Vec<Push> {
        self.look(|seen| seen.requests.clone())
    }

    /// All other requests.
    pub fn others(&self) -> Vec<Other> {
        self.look(|seen| seen.others.clone())
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.look(|seen| seen.connections)
    }

    /// The most push requests that were under way at once.
    pub fn max_concurrent(&self) -> usize {
        self.look(|seen| seen.most_under_way)
    }

    /// Every breach of the contract so far; from here on these are the test's business.
    pub fn violations(&self) -> Vec<String> {
        let mut state = self.shared.lock();
        state.looked_at = state.seen.violations.len();
        state.seen.violations.clone()
    }

    /// Panics with every breach of the contract, if there was one.
    pub fn assert_clean(&self) {
        let violations = self.violations();
        assert!(
            violations.is_empty(),
            "the contract was broken:\n  {}\n{}",
            violations.join("\n  "),
            self.picture()
        );
    }

    /// Everything the stand-in saw, as text.
    pub fn picture(&self) -> String {
        self.shared.lock().to_string()
    }

    /// A picture that can be taken later, from anywhere.
    pub fn viewer(&self) -> impl Fn() -> String + Send + Sync + 'static {
        let shared = Arc::clone(&self.shared);
        move || shared.lock().to_string()
    }
}

impl fmt::Debug for Loki {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.picture())
    }
}

impl Drop for Loki {
    fn drop(&mut self) {
        self.stop();
        let state = self.shared.lock();
        let unseen = state.seen.violations.len() > state.looked_at;
        drop(state);
        if unseen && !thread::panicking() {
            self.assert_clean();
        }
    }
}

/// Accepts until the stand-in is stopped; gives the threads of its connections.
fn accept(listener: &TcpListener, shared: &Arc<Shared>, generation: usize) -> Vec<JoinHandle<()>> {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    loop {
        let accepted = listener.accept();
        let mut state = shared.lock();
        if state.generation != generation {
            return threads;
        }
        // A client that was gone before it was accepted is no matter of ours.
        let Ok((socket, _)) = accepted else { continue };
        _ = socket.set_nodelay(true);
        let socket = Arc::new(socket);
        state.seen.connections += 1;
        state.seen.open += 1;
        let connection = state.seen.connections;
        state.sockets.insert(connection, Arc::downgrade(&socket));
        drop(state);
        shared.changed.notify_all();
        let serving = Serving {
            shared: Arc::clone(shared),
            connection,
            generation,
            socket,
        };
        threads.push(thread::spawn(move || serving.run()));
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

/// Listens no more, whoever else holds a copy of the socket: a child that another test just starts
/// has one from its fork to its exec, and would let clients in for that long.
fn close(listener: TcpListener) {
    // It is a socket; the standard library has this call for connected ones only.
    let socket = TcpStream::from(OwnedFd::from(listener));
    // Where the system does not know it of a listening socket, closing has to do.
    _ = socket.shutdown(Shutdown::Both);
}

/// Listens where one listened before. A child that another test just starts holds a copy of the
/// old socket from its fork to its exec.
fn listen_again(port: u16) -> TcpListener {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match listen(port) {
            Ok(listener) => return listener,
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                thread::yield_now();
            }
            Err(e) => panic!("port {port}: {e}"),
        }
    }
}

/// A port nobody else is given, with the listener that proves it free.
///
/// Not one of the kernel's ephemeral ports: while the stand-in is stopped, the kernel could
/// give such a port to somebody else, and a client that retries on it would sooner or later
/// connect to itself.
fn free_port() -> (u16, TcpListener) {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let nth = start.wrapping_add(u32::from(NEXT.fetch_add(1, Ordering::Relaxed)));
        let port = (FIRST + nth % COUNT) as u16;
        if let Ok(listener) = listen(port) {
            return (port, listener);
        }
    }
    panic!("no free port from {FIRST} to {}", FIRST + COUNT);
}
