//! Everything the stand-in remembers, behind one lock: the requests it saw, the entries it
//! keeps, what a test told it to do. What may not happen across requests is in `history.rs`.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::check::{Checked, Entry, Labels, Limits};
use super::fault::{Auth, Fault};
use super::http::{Head, Headers};
use super::rules::{Memory, Offered, Rules};
use super::time;

/// One push request as the stand-in saw it.
#[derive(Clone, Debug)]
pub struct Push {
    /// Its place among the push requests, from 1.
    pub number: usize,
    /// The connection it came over, from 1.
    pub connection: usize,
    pub path: String,
    pub headers: Headers,
    /// The value of `Content-Encoding`.
    pub encoding: Option<String>,
    /// The value of `X-Scope-OrgID`, or nothing.
    pub tenant: String,
    /// The body as it came over the wire.
    pub body: Arc<[u8]>,
    /// Size of the body without its gzip.
    pub plain_size: usize,
    pub labels: Arc<Labels>,
    pub entries: Vec<Arc<Entry>>,
    pub answered: Answered,
    /// When its head had been read.
    pub began: Instant,
    /// When its answer was about to be written, or its connection ended.
    pub ended: Option<Instant>,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Under way.
    NotYet,
    /// This status was written.
    Status(u16),
    /// This status was written, with words that are not Loki's: nobody may take it for a success
    /// or a refusal.
    Foreign(u16),
    /// The connection was closed instead.
    Dropped,
    /// The connection was reset instead.
    Reset,
    /// The client went away before the answer.
    Gone,
}

impl Answered {
    /// A success the client has surely been told: such a request must never come again.
    pub fn delivered(self) -> bool {
        matches!(self, Answered::Status(200..=206))
    }

    /// An answer that says the same bytes will never do.
    pub fn refused(self) -> bool {
        matches!(self, Answered::Status(400))
    }
}

/// A request that was no push.
#[derive(Clone, Debug)]
pub struct Other {
    pub method: String,
    pub target: String,
    pub headers: Headers,
    pub status: u16,
}

/// What a test may look at and wait for.
#[derive(Debug, Default)]
pub struct Seen {
    /// All push requests, in the order their heads came.
    pub requests: Vec<Push>,
    /// All other requests.
    pub others: Vec<Other>,
    /// The entries kept, in the order they were stored; equal ones once.
    pub entries: Vec<Arc<Entry>>,
    /// Connections so far, and those open now.
    pub connections: usize,
    pub open: usize,
    /// Push requests under way now, and the most at any time.
    pub under_way: usize,
    pub most_under_way: usize,
    /// Answers that `Slow` or `Hang` hold back now.
    pub held: usize,
    /// Everything the contract forbids that happened all the same.
    pub violations: Vec<String>,
}

/// A rule that looks at the request.
pub type Hook = Arc<dyn Fn(&Push) -> Option<Fault> + Send + Sync>;

/// The whole memory of a stand-in.
#[derive(Default)]
pub struct State {
    pub seen: Seen,
    pub limits: Limits,
    pub rules: Rules,
    pub memory: Memory,
    pub script: VecDeque<Fault>,
    pub standing: Option<Fault>,
    pub hook: Option<Hook>,
    pub auth: Option<Auth>,
    pub wants_tenant: bool,
    /// Answers set for paths other than push.
    pub set_answers: BTreeMap<String, Answer>,
    /// How far the stand-in's clock is ahead, in nanoseconds.
    pub clock_ahead: i64,
    /// Which opening of the port this is; grows with every stop.
    pub generation: usize,
    pub open: bool,
    /// Grows with every release of waiting answers.
    pub releases: usize,
    /// How many of the violations somebody looked at.
    pub looked_at: usize,
    /// Sockets by connection, and of the requests under way.
    pub sockets: HashMap<usize, Weak<TcpStream>>,
    pub(super) under_way: HashMap<usize, UnderWay>,
    /// Who stored an entry (tenant and entry → number of the request).
    pub(super) stored: HashMap<(String, Arc<Entry>), usize>,
    /// Requests by their body.
    pub(super) bodies: HashMap<Arc<[u8]>, Vec<usize>>,
    /// Requests by their tenant, labels and texts without times.
    pub(super) texts: HashMap<u64, Vec<usize>>,
    /// The newest stored time of a stream since the client started.
    pub(super) newest: HashMap<(String, Arc<Labels>), i64>,
    /// Requests up to this one may come again: the client was killed after it.
    pub(super) forgiven: usize,
}

pub(super) struct UnderWay {
    socket: Weak<TcpStream>,
    /// Its answer is held back by a fault.
    held: bool,
}

impl State {
    /// The stand-in's time in nanoseconds since 1970.
    pub fn now(&self) -> i64 {
        time::now() + self.clock_ahead
    }

    /// Records a violation.
    pub fn violation(&mut self, text: String) {
        self.seen.violations.push(text);
    }

    /// What a request is answered that may not come in.
    pub fn bar(&self, head: &Head) -> Option<Answer> {
        if let Some(auth) = &self.auth
            && head.headers.get("Authorization") != Some(&auth.header())
        {
            return Some(auth.refusal());
        }
        let tenant = head.headers.get("X-Scope-OrgID").unwrap_or_default();
        (self.wants_tenant && tenant.is_empty()).then(|| Answer::error(401, "no org id"))
    }

    /// A push request's head was read: gives its number.
    pub fn begin(&mut self, connection: usize, head: &Head, socket: &Arc<TcpStream>) -> usize {
        self.forget_gone();
        let header = |name| head.headers.get(name).map(str::to_owned);
        let number = self.seen.requests.len() + 1;
        self.seen.requests.push(Push {
            number,
            connection,
            path: head.path().to_owned(),
            headers: head.headers.clone(),
            encoding: header("Content-Encoding"),
            tenant: header("X-Scope-OrgID").unwrap_or_default(),
            body: Arc::default(),
            plain_size: 0,
            labels: Arc::default(),
            entries: Vec::new(),
            answered: Answered::NotYet,
            began: Instant::now(),
            ended: None,
        });
        let socket = Arc::downgrade(socket);
        let under_way = UnderWay {
            socket,
            held: false,
        };
        self.under_way.insert(number, under_way);
        self.count();
        number
    }

    /// The fault for this request as far as it can be told before its body is read.
    pub fn next_fault(&mut self) -> Option<Fault> {
        let scripted = self.script.pop_front();
        scripted.or_else(|| self.standing.clone().filter(|_| self.hook.is_none()))
    }

    /// A push request's body was read and checked: gives what is wrong with it.
    pub fn receive(&mut self, number: usize, body: Vec<u8>, checked: Checked) -> Vec<String> {
        let mut wrong = checked.wrong;
        let push = &mut self.seen.requests[number - 1];
        push.body = body.into();
        push.plain_size = checked.plain_size;
        push.labels = checked.labels;
        push.entries = checked.entries;
        if !push.entries.is_empty() {
            self.end_gone_rivals(number);
            wrong.extend(self.against_history(number));
            self.remember(number);
        }
        for why in &wrong {
            self.violation(format!("request {number}: {why}"));
        }
        wrong
    }

    /// Lets Loki's rules judge a request and stores what they let in; gives the answer.
    pub fn store(&mut self, number: usize) -> Answer {
        let now = self.now();
        let push = &self.seen.requests[number - 1];
        let offered = Offered {
            labels: &push.labels,
            entries: &push.entries,
            body: push.body.len(),
            plain_body: push.plain_size,
            now,
            at: Instant::now(),
        };
        let verdict = self.rules.judge(&offered, &mut self.memory);
        let (tenant, labels) = (push.tenant.clone(), Arc::clone(&push.labels));
        for entry in verdict.store {
            let newest = (tenant.clone(), Arc::clone(&labels));
            let newest = self.newest.entry(newest).or_insert(entry.time);
            *newest = entry.time.max(*newest);
            let key = (tenant.clone(), Arc::clone(&entry));
            if let std::collections::hash_map::Entry::Vacant(slot) = self.stored.entry(key) {
                slot.insert(number);
                self.seen.entries.push(entry);
            }
        }
        verdict.answer
    }

    /// The answer of this request is held back from now on.
    pub fn hold(&mut self, number: usize) {
        if let Some(under_way) = self.under_way.get_mut(&number) {
            under_way.held = true;
        }
        self.count();
    }

    /// A push request ended, unless it had before.
    pub fn end(&mut self, number: usize, answered: Answered) {
        let push = &mut self.seen.requests[number - 1];
        if push.answered == Answered::NotYet {
            push.answered = answered;
            push.ended = Some(Instant::now());
        }
        self.under_way.remove(&number);
        self.count();
    }

    /// The answer could not be written after all.
    pub fn unanswered(&mut self, number: usize) {
        self.seen.requests[number - 1].answered = Answered::Gone;
    }

    /// Ends what is under way for the same stream on a connection the client has closed.
    fn end_gone_rivals(&mut self, number: usize) {
        for rival in self.rivals(number) {
            if self.is_gone(rival, Duration::from_millis(250)) {
                self.end(rival, Answered::Gone);
            }
        }
    }

    /// Ends held requests whose client has closed the connection.
    fn forget_gone(&mut self) {
        let held = self.under_way.iter().filter(|(_, it)| it.held);
        let held: Vec<usize> = held.map(|(number, _)| *number).collect();
        for number in held {
            if self.is_gone(number, Duration::from_millis(1)) {
                self.end(number, Answered::Gone);
            }
        }
    }

    fn is_gone(&self, number: usize, patience: Duration) -> bool {
        let socket = self
            .under_way
            .get(&number)
            .and_then(|it| it.socket.upgrade());
        socket.is_none_or(|socket| is_closed(&socket, patience))
    }

    fn count(&mut self) {
        let now = self.under_way.len();
        self.seen.under_way = now;
        self.seen.held = self.under_way.values().filter(|it| it.held).count();
        self.seen.most_under_way = now.max(self.seen.most_under_way);
    }
}

/// Whether the other side has closed this connection, on which an answer is owed.
pub fn is_closed(socket: &TcpStream, patience: Duration) -> bool {
    const TLS_ALERT: u8 = 21;
    let mut first = [0];
    _ = socket.set_read_timeout(Some(patience));
    let peeked = socket.peek(&mut first);
    _ = socket.set_read_timeout(None);
    match peeked {
        Ok(0) => true,
        Ok(_) => first[0] == TLS_ALERT,
        Err(error) => !matches!(
            error.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
        ),
    }
}
