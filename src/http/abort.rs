//! The ureq agent that requests go through, and how requests in flight are aborted.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ureq::Agent;

/// Creates an agent without connections.
type Make = Box<dyn Fn() -> Agent + Send + Sync>;

/// The ureq agent in use. To abort requests that block in a socket, the agent is shut down and
/// replaced by a new one.
pub struct AbortableAgent {
    make: Make,
    used: Mutex<Used>,
}

struct Used {
    agent: Agent,
    /// Number of agents before this one.
    number: usize,
    /// The deadline of each request in flight, with the number of its agent.
    under_way: Vec<(Instant, Agent)>,
}

impl AbortableAgent {
    /// Uses agents that are made by this function.
    pub fn new(make: impl Fn() -> Agent + Send + Sync + 'static) -> Self {
        let used = Used {
            agent: make(),
            number: 0,
            under_way: Vec::new(),
        };
        Self {
            make: Box::new(make),
            used: Mutex::new(used),
        }
    }

    /// Registers a request with this deadline.
    pub fn begin(&self, until: Instant) -> InFlightRequest<'_> {
        let mut used = self.lock();
        let agent = used.agent.clone();
        used.under_way.push((until, agent));
        InFlightRequest {
            agent: used.agent.clone(),
            number: used.number,
            until,
            wire: self,
        }
    }

    /// Number of requests in flight, including those whose connection is being opened.
    pub fn in_flight(&self) -> usize {
        self.lock().under_way.len()
    }

    /// Aborts all requests in flight if one of them may take until after `later_than`. One that is
    /// still connecting is aborted when it has connected.
    pub fn abort_slow(&self, later_than: Instant) {
        let mut used = self.lock();
        if used.under_way.iter().any(|(until, _)| *until > later_than) {
            used.number += 1;
            used.agent = (self.make)();
            used.under_way
                .iter()
                .for_each(|(_, agent)| agent.clone().shutdown());
        }
    }

    /// Sends all further requests over new connections. Requests in flight are not affected.
    pub fn renew(&self) {
        self.lock().agent = (self.make)();
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registers a request as in flight until it is dropped.
pub struct InFlightRequest<'a> {
    /// The agent to send it with.
    pub agent: Agent,
    number: usize,
    until: Instant,
    wire: &'a AbortableAgent,
}

impl InFlightRequest<'_> {
    /// Whether the request was aborted.
    pub fn is_aborted(&self) -> bool {
        self.wire.lock().number != self.number
    }
}

impl Drop for InFlightRequest<'_> {
    fn drop(&mut self) {
        let under_way = &mut self.wire.lock().under_way;
        if let Some(at) = under_way.iter().position(|(until, _)| *until == self.until) {
            under_way.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_what_may_take_longer_is_aborted() {
        let wire = AbortableAgent::new(Agent::new_with_defaults);
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let early = wire.begin(now + second);
        wire.abort_slow(now + second);
        assert!(!early.is_aborted());
        let late = wire.begin(now + second * 3);
        wire.abort_slow(now + second * 2);
        assert!(late.is_aborted() && early.is_aborted());
        drop(late);
        let next = wire.begin(now + second * 2);
        wire.abort_slow(now + second * 2);
        assert!(!next.is_aborted());
    }
}
