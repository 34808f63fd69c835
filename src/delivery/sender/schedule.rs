//! The desk: what is under way, and which request may go next. Pure; told the time.
//!
//! Shipments go one after another. Only a stream that Loki has no place for (its limit of active
//! streams can last half an hour) is put aside, so that its trouble stays its own: its requests
//! keep their order and wait, while those of other streams go on. Shipments are settled in order
//! all the same. Knows no socket and no text.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::delivery::queue::QueuedBatch;
use crate::entry::labels::Labels;
use crate::entry::request::Request;

/// How long a stream is tried for which Loki has no place.
pub const PARKED_FOR: Duration = Duration::from_mins(1);

/// A request under way.
#[derive(Debug)]
pub struct PendingRequest {
    /// The request.
    pub request: Request,
    /// How often it was tried.
    pub tries: u32,
    /// When a rate limit first refused it, or what it was cut from.
    pub limited: Option<Instant>,
    /// What it was cut from on trial, and how many parcels behind it were cut from that too.
    pub whole: Option<(Box<Request>, usize)>,
}

impl PendingRequest {
    /// A request that was not tried yet.
    pub fn new(request: Request) -> Self {
        Self {
            request,
            tries: 0,
            limited: None,
            whole: None,
        }
    }
}

/// A shipment under way: its requests that are not settled.
#[derive(Debug)]
pub struct InFlightBatch {
    /// The shipment, without its requests.
    pub taken: QueuedBatch,
    /// What is not settled.
    pub parcels: Vec<PendingRequest>,
    /// When it was begun.
    pub began: Instant,
    /// How many requests, entries and bytes it began with.
    pub size: (usize, usize, usize),
}

/// A place on the desk: tray and parcel.
pub type RequestId = (usize, usize);

/// A stream that was put aside.
#[derive(Debug)]
struct SuspendedStream {
    since: Instant,
    due: Instant,
}

/// What is under way.
#[derive(Debug, Default)]
pub struct InFlight {
    trays: VecDeque<InFlightBatch>,
    parked: HashMap<Arc<Labels>, SuspendedStream>,
    /// Streams that stood aside for their whole time in vain: tried once for each request.
    given_up: HashSet<Arc<Labels>>,
}

impl InFlight {
    /// Puts a shipment on the desk.
    pub fn add(&mut self, mut taken: QueuedBatch, now: Instant) {
        let requests = std::mem::take(&mut taken.shipment.requests);
        let size = (
            requests.len(),
            requests.iter().map(|request| request.entries).sum(),
            requests.iter().map(|request| request.body.len()).sum(),
        );
        let parcels = requests.into_iter().map(PendingRequest::new).collect();
        self.trays.push_back(InFlightBatch {
            taken,
            parcels,
            began: now,
            size,
        });
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.trays.is_empty()
    }

    /// The requests that may go now, side by side: of the first shipment that has some, the first
    /// of each stream; and of streams put aside whose time has come, the first.
    pub fn ready(&self, now: Instant) -> Vec<RequestId> {
        let mut ready = Vec::new();
        let mut seen: HashSet<&Labels> = HashSet::new();
        let mut from = None;
        for (t, tray) in self.trays.iter().enumerate() {
            for (p, parcel) in tray.parcels.iter().enumerate() {
                let labels = &parcel.request.labels;
                if !seen.insert(labels) {
                    continue;
                }
                let may_go = match self.parked.get(labels) {
                    Some(parked) => parked.due <= now,
                    None => *from.get_or_insert(t) == t,
                };
                if may_go {
                    ready.push((t, p));
                }
            }
        }
        ready
    }

    /// When the next stream that was put aside is to be tried.
    pub fn next_due(&self) -> Option<Instant> {
        self.parked.values().map(|parked| parked.due).min()
    }

    /// Makes every stream that was put aside due, for a last try.
    pub fn hurry(&mut self, now: Instant) {
        self.parked.values_mut().for_each(|parked| parked.due = now);
    }

    /// How many entries were tried already.
    pub fn retrying(&self) -> usize {
        let parcels = self.trays.iter().flat_map(|tray| &tray.parcels);
        let tried = parcels.filter(|parcel| parcel.tries > 0);
        tried.map(|parcel| parcel.request.entries).sum()
    }

    /// The parcel at a place.
    pub fn parcel(&self, (tray, parcel): RequestId) -> &PendingRequest {
        &self.trays[tray].parcels[parcel]
    }

    /// The parcel at a place, to be changed.
    pub fn parcel_mut(&mut self, (tray, parcel): RequestId) -> &mut PendingRequest {
        &mut self.trays[tray].parcels[parcel]
    }

    /// The shipment of a place.
    pub fn tray(&self, (tray, _): RequestId) -> &InFlightBatch {
        &self.trays[tray]
    }

    /// Takes a settled request away and puts `instead` in its place. Places behind it in the same
    /// tray move: settle from the last to the first.
    ///
    /// With its last request a stream that stands aside has nothing to come back for.
    pub fn settle(
        &mut self,
        (tray, parcel): RequestId,
        instead: Vec<PendingRequest>,
    ) -> PendingRequest {
        let parcels = &mut self.trays[tray].parcels;
        let settled = parcels.remove(parcel);
        parcels.splice(parcel..parcel, instead);
        let labels = &settled.request.labels;
        if self.parked.contains_key(labels) && !self.has(labels) {
            self.parked.remove(labels);
        }
        settled
    }

    /// Puts what a request was cut from on trial back in the place of its pieces. None of the others
    /// was tried: they go after it.
    pub fn rejoin(&mut self, (tray, parcel): RequestId) {
        let parcels = &mut self.trays[tray].parcels;
        if let Some((whole, behind)) = parcels[parcel].whole.take() {
            parcels.drain(parcel + 1..=parcel + behind);
            parcels[parcel].request = *whole;
        }
    }

    /// Whether a request of this stream is under way.
    fn has(&self, labels: &Labels) -> bool {
        let mut parcels = self.trays.iter().flat_map(|tray| &tray.parcels);
        parcels.any(|parcel| *parcel.request.labels == *labels)
    }

    /// Whether this stream neither stands aside nor was given up.
    pub fn is_new_trouble(&self, labels: &Labels) -> bool {
        !self.parked.contains_key(labels) && !self.given_up.contains(labels)
    }

    /// Puts a stream aside, to be tried again at `due`, or when its time is over. False when it is:
    /// then its requests are to be given up, one by one.
    pub fn park(&mut self, labels: &Arc<Labels>, now: Instant, due: Instant) -> bool {
        if self.given_up.contains(labels) {
            return false;
        }
        let parked = SuspendedStream { since: now, due };
        let parked = self.parked.entry(Arc::clone(labels)).or_insert(parked);
        parked.due = due.min(parked.since + PARKED_FOR);
        if now.duration_since(parked.since) < PARKED_FOR {
            return true;
        }
        self.parked.remove(labels);
        self.given_up.insert(Arc::clone(labels));
        false
    }

    /// A request of this stream passed: it is no longer aside.
    pub fn unpark(&mut self, labels: &Labels) {
        self.parked.remove(labels);
        self.given_up.remove(labels);
    }

    /// The shipments that are settled, in order: those before which nothing is under way.
    pub fn finished(&mut self) -> Option<InFlightBatch> {
        self.trays.pop_front_if(|tray| tray.parcels.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::FilePositions;
    use crate::entry::request::EncodedBatch;

    fn labels(name: &str) -> Arc<Labels> {
        Arc::new(Labels::new([("app", name)]))
    }

    fn taken(number: u64, streams: &[&str]) -> QueuedBatch {
        let request = |name: &&str| Request {
            labels: labels(name),
            body: Arc::default(),
            gzip: false,
            entries: 1,
            bytes: 1,
        };
        let requests = streams.iter().map(request).collect();
        QueuedBatch::alone(EncodedBatch {
            number,
            requests,
            positions: FilePositions::default(),
        })
    }

    #[test]
    fn shipments_go_one_after_another_and_a_stream_in_order() {
        let now = Instant::now();
        let mut desk = InFlight::default();
        desk.add(taken(0, &["a", "b", "a"]), now);
        desk.add(taken(1, &["c"]), now);
        assert_eq!(desk.ready(now), [(0, 0), (0, 1)]);
        desk.settle((0, 1), Vec::new());
        desk.settle((0, 0), Vec::new());
        assert_eq!(desk.ready(now), [(0, 0)]);
        assert!(desk.finished().is_none());
        desk.settle((0, 0), Vec::new());
        assert_eq!(
            desk.finished().map(|tray| tray.taken.shipment.number),
            Some(0)
        );
        assert_eq!(desk.ready(now), [(0, 0)]);
    }

    #[test]
    fn a_stream_without_a_place_stands_aside_and_the_others_go_on() {
        let now = Instant::now();
        let mut desk = InFlight::default();
        desk.add(taken(0, &["a", "b"]), now);
        desk.add(taken(1, &["a", "b"]), now);
        let due = now + Duration::from_secs(5);
        assert!(desk.park(&labels("a"), now, due));
        assert_eq!(desk.ready(now), [(0, 1)]);
        desk.settle((0, 1), Vec::new());
        assert_eq!(
            desk.ready(now),
            [(1, 1)],
            "the next shipment's other stream"
        );
        assert_eq!(desk.ready(due), [(0, 0), (1, 1)], "its own order is kept");
        assert!(desk.finished().is_none(), "shipments are settled in order");
        desk.unpark(&labels("a"));
        assert_eq!(desk.ready(now), [(0, 0)]);
    }

    #[test]
    fn after_a_minute_aside_a_stream_is_given_up_request_by_request() {
        let now = Instant::now();
        let mut desk = InFlight::default();
        assert!(desk.park(&labels("a"), now, now));
        assert!(desk.park(&labels("a"), now + PARKED_FOR / 2, now));
        assert!(!desk.park(&labels("a"), now + PARKED_FOR, now));
        assert!(
            !desk.park(&labels("a"), now + PARKED_FOR, now),
            "no second minute"
        );
        desk.unpark(&labels("a"));
        assert!(desk.park(&labels("a"), now + PARKED_FOR, now));
    }

    #[test]
    fn a_stream_aside_is_tried_when_its_minute_is_over_however_long_the_waits_have_grown() {
        let now = Instant::now();
        let mut desk = InFlight::default();
        desk.add(taken(0, &["a", "b"]), now);
        let (half, end) = (now + PARKED_FOR / 2, now + PARKED_FOR);
        assert!(desk.park(&labels("a"), now, half));
        assert_eq!(desk.next_due(), Some(half));
        assert!(desk.park(&labels("a"), half, half + PARKED_FOR));
        assert_eq!(desk.next_due(), Some(end));
        assert!(!desk.park(&labels("a"), end, end + PARKED_FOR));
    }

    #[test]
    fn nobody_waits_for_a_stream_aside_of_which_nothing_is_left() {
        let now = Instant::now();
        let mut desk = InFlight::default();
        desk.add(taken(0, &["a", "b", "a"]), now);
        assert!(desk.park(&labels("a"), now, now));
        desk.settle((0, 2), Vec::new());
        assert_eq!(desk.next_due(), Some(now));
        desk.settle((0, 0), Vec::new());
        assert_eq!(desk.next_due(), None, "it was given up, not delivered");
    }

    #[test]
    fn halves_take_the_place_of_what_was_split() {
        let now = Instant::now();
        let mut desk = InFlight::default();
        desk.add(taken(0, &["a"]), now);
        let halves = taken(9, &["a", "a"])
            .shipment
            .requests
            .into_iter()
            .map(PendingRequest::new)
            .collect();
        desk.settle((0, 0), halves);
        assert_eq!(desk.ready(now), [(0, 0)], "one after the other");
    }

    #[test]
    fn what_was_cut_on_trial_is_whole_again_without_its_pieces() {
        let mut desk = InFlight::default();
        desk.add(taken(0, &["a", "b"]), Instant::now());
        let mut whole = desk.parcel((0, 0)).request.clone();
        whole.entries = 3;
        let mut pieces: Vec<PendingRequest> = taken(9, &["a", "a", "a"])
            .shipment
            .requests
            .into_iter()
            .map(PendingRequest::new)
            .collect();
        pieces[0].whole = Some((Box::new(whole), 2));
        desk.settle((0, 0), pieces);
        desk.rejoin((0, 1));
        assert_eq!(desk.tray((0, 0)).parcels.len(), 4, "it is no first piece");
        desk.parcel_mut((0, 0)).tries = 1;
        desk.rejoin((0, 0));
        let left = desk.tray((0, 0)).parcels.iter();
        let left: Vec<_> = left
            .map(|parcel| (parcel.request.labels.to_string(), parcel.request.entries))
            .collect();
        assert_eq!(left, [("{app=\"a\"}".into(), 3), ("{app=\"b\"}".into(), 1)]);
        assert_eq!(desk.parcel((0, 0)).tries, 1, "it was tried");
        desk.rejoin((0, 0));
        assert_eq!(desk.tray((0, 0)).parcels.len(), 2, "once");
    }
}
