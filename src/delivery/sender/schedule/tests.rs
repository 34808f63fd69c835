//! What the schedule promises, in simulated time.

use super::*;
use crate::batch::encode::{Encoder, open};
use crate::delivery::backoff::Jitter;
use crate::delivery::sender::bad_entry::{CONVINCING, Verdict};
use crate::delivery::sender::split::split_in_two;
use crate::entry::request::EncodedBatch;
use crate::entry::{Entry, FilePositions};

const LONGEST: Duration = Duration::from_secs(30);

fn labels(name: &str) -> Arc<Labels> {
    Arc::new(Labels::new([("app", name)]))
}

/// A request of these lines of a stream.
fn request(stream: &str, lines: &[String]) -> Request {
    let entries = lines.iter().enumerate().map(|(n, line)| Entry {
        time: n as i64,
        line,
        metadata: "",
    });
    Encoder::new(0).request(&labels(stream), entries)
}

fn add(in_flight: &mut InFlight, requests: Vec<Request>, now: Instant) {
    let queued = QueuedBatch::alone(EncodedBatch {
        number: 0,
        requests: Vec::new(),
        positions: FilePositions::default(),
        input_order: Vec::new(),
    });
    let requests = requests.into_iter().map(PendingRequest::new).collect();
    in_flight.add(queued, requests, now);
}

/// A sender over simulated time: what became of each line, and when.
struct Simulation {
    in_flight: InFlight,
    now: Instant,
    began: Instant,
    tries: usize,
    attempt: usize,
    delivered: Vec<(String, Duration)>,
    refused: Vec<(String, Duration)>,
}

impl Simulation {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            in_flight: InFlight::new(CONVINCING),
            now,
            began: now,
            tries: 0,
            attempt: 0,
            delivered: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn lines(request: &Request) -> Vec<String> {
        let decoded = open(request).unwrap();
        decoded
            .entries()
            .map(|entry| entry.line.to_owned())
            .collect()
    }

    /// Sends what may be sent, round by round as the sender does, until nothing may or `until`;
    /// `answer` gives the status for the lines of a request.
    fn run(&mut self, until: Duration, answer: &mut dyn FnMut(&str, &[String]) -> u16) {
        while self.now < self.began + until {
            while self.in_flight.next_completed().is_some() {}
            let mut ready = self.in_flight.next_requests(self.now);
            if self.attempt > 0 {
                let probes = self.in_flight.probes();
                ready = probes
                    .get(self.attempt % probes.len().max(1))
                    .copied()
                    .into_iter()
                    .collect();
            }
            if ready.is_empty() {
                match self.in_flight.next_due() {
                    Some(due) => self.now = self.now.max(due),
                    None => return,
                }
                continue;
            }
            let began = self.now;
            self.now += Duration::from_millis(10);
            let (mut failed, mut passed) = (Vec::new(), false);
            for id in ready {
                self.tries += 1;
                let pending = self.in_flight.request(id);
                let lines = Self::lines(&pending.request);
                match answer(pending.request.labels.get("app").unwrap(), &lines) {
                    204 => {
                        passed = true;
                        self.in_flight.passed(id, self.now);
                        self.in_flight.complete(id);
                        let after = self.now - self.began;
                        self.delivered
                            .extend(lines.into_iter().map(|line| (line, after)));
                    }
                    status => failed.push((id, status, lines)),
                }
            }
            if passed {
                self.attempt = 0;
            }
            let mut blocked = false;
            for (id, status, lines) in failed {
                blocked |= self.failed(id, status, lines, began);
            }
            if blocked {
                self.attempt += 1;
                self.now += Duration::from_secs(1 << (self.attempt - 1).min(5)).min(LONGEST);
            }
        }
    }

    /// Whether everything must wait.
    fn failed(&mut self, id: RequestId, status: u16, lines: Vec<String>, began: Instant) -> bool {
        let labels = Arc::clone(&self.in_flight.request(id).request.labels);
        self.in_flight.request_mut(id).tries += 1;
        let times = (began, self.now);
        match self
            .in_flight
            .answered_badly(id, status, times, LONGEST, false)
        {
            Verdict::Wait if self.attempt == 0 && self.in_flight.others_pass(&labels) => {
                let tries = self.in_flight.request(id).tries - 1;
                let wait = Duration::from_secs(1 << tries.min(5)).min(LONGEST);
                self.in_flight.suspend(&labels, self.now + wait);
            }
            Verdict::Wait => return true,
            Verdict::Halve => {
                let halves = split_in_two(self.in_flight.request(id), 0);
                self.in_flight.search_halves(id, halves, self.now);
            }
            Verdict::Beside { .. } => return self.attempt > 0,
            Verdict::Refuse(answers) => {
                let (count, over) = answers.count();
                assert!(count >= 5 && over >= Duration::from_mins(1));
                self.in_flight.complete(id);
                let after = self.now - self.began;
                self.refused
                    .extend(lines.into_iter().map(|line| (line, after)));
            }
        }
        false
    }
}

fn numbered(from: usize, to: usize) -> Vec<String> {
    (from..to).map(|n| format!("line {n}")).collect()
}

const MINUTES: fn(u64) -> Duration = Duration::from_mins;

#[test]
fn batches_go_one_after_another_and_a_stream_in_order() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(CONVINCING);
    let one = |stream| request(stream, &numbered(0, 1));
    add(&mut in_flight, vec![one("a"), one("b"), one("a")], now);
    add(&mut in_flight, vec![one("c")], now);
    let first = in_flight.next_requests(now);
    assert_eq!(first.len(), 2);
    first.iter().for_each(|&id| drop(in_flight.complete(id)));
    let second = in_flight.next_requests(now);
    assert_eq!(second.len(), 1);
    assert!(in_flight.next_completed().is_none());
    in_flight.complete(second[0]);
    assert!(in_flight.next_completed().is_some());
    assert_eq!(in_flight.next_requests(now).len(), 1);
}

#[test]
fn a_stream_without_room_stands_aside_and_the_others_continue() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(CONVINCING);
    let one = |stream| request(stream, &numbered(0, 1));
    add(&mut in_flight, vec![one("a"), one("b")], now);
    add(&mut in_flight, vec![one("a"), one("b")], now);
    let due = now + Duration::from_secs(5);
    let [a, b] = in_flight.next_requests(now)[..] else {
        panic!("two streams");
    };
    assert!(in_flight.suspend_without_room(&labels("a"), now, due));
    assert!(!in_flight.all_have_room());
    assert_eq!(in_flight.next_requests(now), [b]);
    in_flight.complete(b);
    let later = in_flight.next_requests(now);
    assert_eq!(later.len(), 1, "the next batch's other stream");
    assert_eq!(in_flight.next_due(), Some(due));
    assert_eq!(
        in_flight.next_requests(due),
        [a, later[0]],
        "its own order is kept"
    );
    assert!(
        in_flight.next_completed().is_none(),
        "batches are completed in order"
    );
    in_flight.passed(a, due);
    assert_eq!(in_flight.next_requests(now), [a]);
}

#[test]
fn after_a_minute_aside_a_stream_is_given_up_request_by_request() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(CONVINCING);
    let a = labels("a");
    let (half, end) = (now + NO_ROOM_RETRIED_FOR / 2, now + NO_ROOM_RETRIED_FOR);
    add(&mut in_flight, vec![request("a", &numbered(0, 1))], now);
    assert!(in_flight.suspend_without_room(&a, now, half));
    assert!(in_flight.suspend_without_room(&a, half, half + NO_ROOM_RETRIED_FOR));
    assert_eq!(
        in_flight.next_due(),
        Some(end),
        "however long the waits have grown"
    );
    assert!(!in_flight.suspend_without_room(&a, end, end));
    assert!(
        !in_flight.suspend_without_room(&a, end, end),
        "no second minute"
    );
    let id = in_flight.next_requests(end)[0];
    in_flight.passed(id, end);
    assert!(in_flight.suspend_without_room(&a, end, end));
}

#[test]
fn nobody_waits_for_a_stream_of_which_nothing_is_left() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(CONVINCING);
    add(&mut in_flight, vec![request("a", &numbered(0, 1))], now);
    let id = in_flight.next_requests(now)[0];
    assert!(in_flight.suspend_without_room(&labels("a"), now, now));
    in_flight.complete(id);
    assert_eq!(in_flight.next_due(), None, "it was given up, not delivered");
}

#[test]
fn what_was_split_on_trial_is_whole_again_without_its_pieces() {
    let now = Instant::now();
    let mut in_flight = InFlight::new(CONVINCING);
    let lines = numbered(0, 3);
    add(
        &mut in_flight,
        vec![request("a", &lines), request("b", &lines)],
        now,
    );
    let id = in_flight.next_requests(now)[0];
    let whole = in_flight.request(id).request.clone();
    let piece = || PendingRequest::new(request("a", &numbered(0, 1)));
    let (_, pieces) = in_flight.replace(id, vec![piece(), piece(), piece()]);
    let first = in_flight.request_mut(pieces[0]);
    first.whole = Some((Box::new((whole, None)), pieces[1..].to_vec()));
    first.tries = 1;
    in_flight.undo_split(pieces[1]);
    assert_eq!(in_flight.all().count(), 4, "it is not the first piece");
    in_flight.undo_split(pieces[0]);
    in_flight.undo_split(pieces[0]);
    let left: Vec<_> = in_flight
        .all()
        .map(|(_, own)| (own.entries(), own.tries))
        .collect();
    assert_eq!(left, [(3, 1), (3, 0)]);
}

/// A gateway that refuses what shows an attack.
fn firewall(_: &str, lines: &[String]) -> u16 {
    let bad = lines.iter().any(|line| line.contains("attack"));
    if bad { 403 } else { 204 }
}

#[test]
fn one_bad_entry_is_found_and_its_siblings_are_delivered() {
    for at in [0, 1, 499, 998, 999] {
        let mut simulation = Simulation::new();
        let mut lines = numbered(0, 1_000);
        lines[at] = "attack".into();
        add(
            &mut simulation.in_flight,
            vec![request("a", &lines)],
            simulation.now,
        );
        simulation.run(MINUTES(5), &mut firewall);
        let refused: Vec<_> = simulation.refused.iter().map(|(line, _)| line).collect();
        assert_eq!(refused, ["attack"], "{at}");
        assert_eq!(simulation.delivered.len(), 999, "{at}");
        let last = simulation.delivered.iter().map(|(_, after)| *after).max();
        assert!(last < Some(MINUTES(2)), "{at}: {last:?}");
        assert!(simulation.tries < 60, "{at}: {}", simulation.tries);
    }
}

#[test]
fn other_streams_and_later_entries_do_not_wait_for_a_bad_one() {
    let mut simulation = Simulation::new();
    let now = simulation.now;
    let bad = ["attack".to_owned()];
    add(
        &mut simulation.in_flight,
        vec![request("a", &bad), request("b", &numbered(0, 5))],
        now,
    );
    for n in 1..20 {
        let lines = numbered(n * 5, n * 5 + 5);
        let requests = vec![request("a", &lines), request("b", &lines)];
        add(&mut simulation.in_flight, requests, now);
    }
    simulation.run(MINUTES(5), &mut firewall);
    assert_eq!(simulation.refused.len(), 1);
    assert_eq!(simulation.delivered.len(), 195);
    let soon = simulation
        .delivered
        .iter()
        .filter(|(_, after)| *after < Duration::from_secs(1));
    assert_eq!(soon.count(), 100, "the other stream");
    let last = simulation.delivered.iter().map(|(_, after)| *after).max();
    assert!(last < Some(MINUTES(2)), "{last:?}");
}

#[test]
fn several_bad_entries_are_found_too() {
    let mut simulation = Simulation::new();
    let mut lines = numbered(0, 2_000);
    for at in [3, 4, 700, 1_500, 1_999] {
        lines[at] = format!("attack {at}");
    }
    add(
        &mut simulation.in_flight,
        vec![request("a", &lines)],
        simulation.now,
    );
    simulation.run(MINUTES(10), &mut firewall);
    assert_eq!(simulation.refused.len(), 5);
    assert_eq!(simulation.delivered.len(), 1_995);
    let last = simulation.delivered.iter().map(|(_, after)| *after).max();
    assert!(last < Some(MINUTES(5)), "{last:?}");
}

/// A batch of three streams every five seconds.
fn run_for_half_an_hour(answer: &mut dyn FnMut(&str, &[String], Duration) -> u16) -> Simulation {
    let mut simulation = Simulation::new();
    for second in (0..1_800).step_by(5) {
        let lines = numbered(second * 3, second * 3 + 3);
        let one = [format!("alone {second}")];
        let requests = vec![
            request("a", &lines),
            request("b", &lines),
            request("c", &one),
        ];
        add(&mut simulation.in_flight, requests, simulation.now);
        let until = Duration::from_secs(second as u64);
        let began = simulation.began;
        let at = simulation.now.max(began + until) - began;
        simulation.now = began + at;
        simulation.run(until + Duration::from_secs(5), &mut |stream, lines| {
            answer(stream, lines, at)
        });
    }
    simulation
}

#[test]
fn half_an_hour_of_a_500_for_one_stream_refuses_nothing() {
    let mut simulation = run_for_half_an_hour(&mut |stream, _, _| match stream {
        "a" => 500,
        _ => 204,
    });
    assert!(simulation.refused.is_empty(), "{:?}", simulation.refused);
    let others = simulation.delivered.len();
    assert!(others >= 358 * 4, "{others}");
    simulation.run(MINUTES(40), &mut |_, _| 204);
    assert_eq!(simulation.delivered.len(), 360 * 7, "and then it arrives");
}

#[test]
fn half_an_hour_with_one_bad_server_of_three_refuses_nothing() {
    for (seed, status) in (1..25).zip([500, 403, 200].into_iter().cycle()) {
        let mut random = Jitter::new(seed);
        let simulation = run_for_half_an_hour(&mut |_, _, _| {
            if random.next() < 1.0 / 3.0 {
                status
            } else {
                204
            }
        });
        assert!(simulation.refused.is_empty(), "{:?}", simulation.refused);
        assert!(
            simulation.delivered.len() > 2_000,
            "{}",
            simulation.delivered.len()
        );
    }
    // In turns.
    let mut turn = 0;
    let simulation = run_for_half_an_hour(&mut |_, _, _| {
        turn += 1;
        if turn % 3 == 0 { 500 } else { 204 }
    });
    assert!(simulation.refused.is_empty(), "{:?}", simulation.refused);
}

#[test]
fn a_stream_that_fails_now_and_then_loses_nothing() {
    for period in [70, 130, 200, 400] {
        let simulation = run_for_half_an_hour(&mut |stream, _, at| {
            let is_down = at.as_secs() % period < period / 2;
            if stream != "b" && is_down { 500 } else { 204 }
        });
        assert!(simulation.refused.is_empty(), "{:?}", simulation.refused);
    }
}

#[test]
fn an_outage_refuses_nothing_and_is_no_load() {
    let mut simulation = run_for_half_an_hour(&mut |_, _, _| 403);
    assert!(simulation.refused.is_empty() && simulation.delivered.is_empty());
    assert!(simulation.tries < 1_000, "{}", simulation.tries);
    simulation.run(MINUTES(40), &mut |_, _| 204);
    assert_eq!(simulation.delivered.len(), 360 * 7);
}
