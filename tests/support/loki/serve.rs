//! One connection: reads request after request, lets `state.rs` decide, makes the faults
//! happen. It waits only on the stand-in's condition variable and on its socket.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::check::check;
use super::fault::Fault;
use super::http::{Framing, Head, Headers, WireError, read_body, read_half, read_head};
use super::query;
use super::state::{Answered, Other, State, is_closed};
use super::texts;
use super::time;

/// A connection to serve: plain, or with TLS around it.
pub trait Conn: Read + Write {}

impl<T: Read + Write> Conn for T {}

/// A socket that can be read and written while another thread may end it.
#[derive(Clone)]
pub struct Wire(pub(super) Arc<TcpStream>);

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What goes around a socket before HTTP is spoken over it: TLS, or nothing.
pub type Wrap = dyn Fn(Wire) -> io::Result<Box<dyn Conn>> + Send + Sync;

/// What the threads of a stand-in share.
pub struct Shared {
    pub state: Mutex<State>,
    /// Told of every change of the state.
    pub changed: Condvar,
    pub wrap: Box<Wrap>,
}

impl Shared {
    /// The state, for a moment. A test that panicked with the lock must not hide its reason.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, for a change others may wait for.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

/// Whether the connection goes on after a request.
#[derive(PartialEq, Eq)]
enum Next {
    Keep,
    /// Drop it as it is: with bytes unread in the socket this is a reset.
    Close,
}

/// One connection's circumstances.
pub struct Serving {
    pub shared: Arc<Shared>,
    pub connection: usize,
    pub generation: usize,
    pub socket: Arc<TcpStream>,
}

impl Serving {
    /// Serves the connection to its end.
    pub fn run(self) {
        match (self.shared.wrap)(Wire(Arc::clone(&self.socket))) {
            Ok(mut conn) => while matches!(self.serve_one(&mut conn), Ok(Next::Keep)) {},
            Err(error) => self.shared.change(|state| {
                // A client may refuse our certificate: no violation, but worth a line.
                let text = format!("connection {}: {error}", self.connection);
                state.seen.others.push(Other {
                    method: "HANDSHAKE".into(),
                    target: text,
                    headers: Headers::default(),
                    status: 0,
                });
            }),
        }
        let Self {
            shared, connection, ..
        } = self;
        shared.change(|state| {
            state.sockets.remove(&connection);
            state.seen.open -= 1;
        });
    }

    fn serve_one(&self, conn: &mut impl Conn) -> Result<Next, WireError> {
        let head = match read_head(conn) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(Next::Close),
            Err(error) => return self.malformed(conn, error),
        };
        let push = head.path().ends_with("/loki/api/v1/push");
        if head.path().contains("//") || !push || head.method != "POST" {
            return self.other(conn, &head);
        }
        self.push(conn, &head)
    }

    /// The client's HTTP is broken: said, and the connection ends.
    fn malformed(&self, conn: &mut impl Conn, error: WireError) -> Result<Next, WireError> {
        if let WireError::Malformed(_) = &error {
            let text = format!("connection {}: {error}", self.connection);
            self.shared.change(|state| state.violation(text.clone()));
            self.write(conn, &Answer::error(400, text), true)?;
        }
        Err(error)
    }

    fn write(&self, conn: &mut impl Conn, answer: &Answer, close: bool) -> io::Result<()> {
        let now = self.shared.lock().now();
        answer.write_to(conn, &time::http_date(now), close)
    }

    /// A request that is no push.
    fn other(&self, conn: &mut impl Conn, head: &Head) -> Result<Next, WireError> {
        body(conn, head)?;
        let answer = self.shared.change(|state| {
            let answer = route(head, state);
            state.seen.others.push(Other {
                method: head.method.clone(),
                target: head.target.clone(),
                headers: head.headers.clone(),
                status: answer.status,
            });
            answer
        });
        self.write(conn, &answer, head.close)?;
        Ok(keep(head))
    }

    fn push(&self, conn: &mut impl Conn, head: &Head) -> Result<Next, WireError> {
        let (number, barred, fault) = self.shared.change(|state| {
            let number = state.begin(self.connection, head, &self.socket);
            let barred = state.bar(head);
            let fault = match barred {
                None => state.next_fault(),
                Some(_) => None,
            };
            (number, barred, fault)
        });
        if let Some(Fault::Early(answer)) = &fault {
            self.await_body(head)?;
            self.end(number, Answered::Foreign(answer.status));
            self.write(conn, answer, true)?;
            return Ok(Next::Close);
        }
        let early = match fault {
            Some(Fault::Reset) => self.await_body(head),
            Some(Fault::ResetMidBody) => go_on(conn, head)
                .map_err(WireError::Io)
                .and_then(|()| read_half(conn, head.framing))
                .and_then(|()| self.await_body(head)),
            _ => Ok(()),
        };
        if let Some(Fault::Reset | Fault::ResetMidBody) = fault {
            self.end(number, Answered::Reset);
            return early.map(|()| Next::Close);
        }
        let body = match body(conn, head) {
            Ok(body) => body,
            Err(error) => {
                self.end(number, Answered::Gone);
                return self.malformed(conn, error);
            }
        };
        let limits = self.shared.lock().limits.clone();
        let checked = check(head, &body, &limits);
        let wrong = self
            .shared
            .change(|state| state.receive(number, body, checked));
        if let Some(answer) = barred {
            return self.answer(conn, head, number, &answer);
        }
        if !wrong.is_empty() {
            let answer = Answer::error(400, wrong.join("; "));
            return self.answer(conn, head, number, &answer);
        }
        let fault = fault.or_else(|| self.ask_hook(number));
        self.act(conn, head, number, fault.unwrap_or(Fault::Pass))
    }

    /// Waits until the next part of a body is in the socket, so that it can be left unread.
    fn await_body(&self, head: &Head) -> Result<(), WireError> {
        if head.framing != Framing::None && !head.expects_continue {
            self.socket.peek(&mut [0])?;
        }
        Ok(())
    }

    fn ask_hook(&self, number: usize) -> Option<Fault> {
        let (hook, push, standing) = {
            let state = self.shared.lock();
            let push = state.seen.requests[number - 1].clone();
            (state.hook.clone()?, push, state.standing.clone())
        };
        hook(&push).or(standing)
    }

    fn act(
        &self,
        conn: &mut impl Conn,
        head: &Head,
        number: usize,
        fault: Fault,
    ) -> Result<Next, WireError> {
        let store = || self.shared.change(|state| state.store(number));
        let answer = match fault {
            Fault::Pass => store(),
            Fault::Status(status) => Answer::from(status),
            Fault::Answer(answer) | Fault::Early(answer) => answer,
            Fault::StoreThen(answer) => {
                store();
                answer
            }
            Fault::LostAnswer => {
                store();
                self.end(number, Answered::Dropped);
                return Ok(Next::Close);
            }
            Fault::Reset | Fault::ResetMidBody => {
                self.end(number, Answered::Reset);
                return Ok(Next::Close);
            }
            Fault::Redirect(url, status) => Answer::new(status).header("Location", url),
            Fault::Slow(time) => {
                let answer = store();
                if !self.hold(number, Some(time)) {
                    return Ok(Next::Close);
                }
                answer
            }
            Fault::Hang => {
                if !self.hold(number, None) {
                    return Ok(Next::Close);
                }
                store()
            }
        };
        self.answer(conn, head, number, &answer)
    }

    /// Holds an answer back for this time, or until it is released. Gives whether it is
    /// still wanted: the stand-in was not stopped and the client is still there.
    fn hold(&self, number: usize, time: Option<Duration>) -> bool {
        let until = time.map(|time| Instant::now() + time);
        let mut state = self.shared.lock();
        state.hold(number);
        self.shared.changed.notify_all();
        let releases = state.releases;
        let held = |state: &State| {
            let over = until.is_some_and(|until| Instant::now() >= until);
            !over && state.releases == releases && state.generation == self.generation
        };
        while held(&state) {
            // Without a deadline the wait ends with a release or a stop.
            let left = until.map_or(Duration::from_hours(1), |until| {
                until.saturating_duration_since(Instant::now())
            });
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let stopped = state.generation != self.generation;
        drop(state);
        if stopped {
            self.end(number, Answered::Dropped);
            return false;
        }
        if is_closed(&self.socket, Duration::from_millis(1)) {
            self.end(number, Answered::Gone);
            return false;
        }
        true
    }

    fn end(&self, number: usize, answered: Answered) {
        self.shared.change(|state| state.end(number, answered));
    }

    /// Ends a request and answers it, in this order: the client may send its next one on
    /// another connection before this thread runs again.
    fn answer(
        &self,
        conn: &mut impl Conn,
        head: &Head,
        number: usize,
        answer: &Answer,
    ) -> Result<Next, WireError> {
        let body = String::from_utf8_lossy(&answer.body);
        let is_foreign = match answer.status {
            200..=206 => !matches!(body.trim(), "" | "{}" | "ok"),
            400 => !texts::is_refusal(&body),
            _ => false,
        };
        let answered = if is_foreign {
            Answered::Foreign(answer.status)
        } else {
            Answered::Status(answer.status)
        };
        self.end(number, answered);
        if let Err(error) = self.write(conn, answer, head.close) {
            self.shared.change(|state| state.unanswered(number));
            return Err(error.into());
        }
        Ok(keep(head))
    }
}

/// Reads a body, asked for first where the client waits for that.
fn body(conn: &mut impl Conn, head: &Head) -> Result<Vec<u8>, WireError> {
    go_on(conn, head)?;
    read_body(conn, head.framing)
}

/// Asks for the body where the client waits for that.
fn go_on(conn: &mut impl Conn, head: &Head) -> io::Result<()> {
    if head.expects_continue {
        conn.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        conn.flush()?;
    }
    Ok(())
}

fn keep(head: &Head) -> Next {
    if head.close { Next::Close } else { Next::Keep }
}

/// Answers what is no push.
fn route(head: &Head, state: &mut State) -> Answer {
    const PATHS: [&str; 5] = [
        "/loki/api/v1/push",
        "/ready",
        "/loki/api/v1/status/buildinfo",
        "/loki/api/v1/query_range",
        "/loki/api/v1/labels",
    ];
    if head.path().contains("//") {
        state.violation(format!("a path with an empty part: {}", head.target));
        let parts = head.target.split('/').filter(|part| !part.is_empty());
        let clean = parts.fold(String::new(), |path, part| path + "/" + part);
        return Answer::new(301).header("Location", clean);
    }
    let set = state.set_answers.iter();
    let mut set = set.filter(|(path, _)| head.path().ends_with(path.as_str()));
    if let Some((_, answer)) = set.next() {
        return answer.clone();
    }
    let known = PATHS.into_iter().find(|path| head.path().ends_with(path));
    let Some(path) = known else {
        return Answer::error(404, "404 page not found");
    };
    if head.method != "GET" || path == PATHS[0] {
        return Answer::new(405);
    }
    if let Some(answer) = state.bar(head)
        && path.starts_with("/loki")
    {
        return answer;
    }
    let now = state.now();
    match path {
        "/ready" => Answer::new(200)
            .header("Content-Type", "text/plain; charset=utf-8")
            .body("ready\n"),
        "/loki/api/v1/status/buildinfo" => Answer::json(
            r#"{"version":"3.8.0","revision":"stand-in","branch":"main","buildUser":"","buildDate":"","goVersion":""}"#,
        ),
        "/loki/api/v1/labels" => query::labels(&state.seen.entries),
        _ => query::query_range(head, &state.seen.entries, now),
    }
}
