//! Halves: what is too large for Loki goes as two requests of half as many entries, or in pieces
//! of a known size.
//!
//! Knows how a request is opened and sealed again. Knows nothing of why it is too large.

use crate::batch::encode;
use crate::batch::encode::{DecodedRequest, Encoder};
use crate::delivery::sender::schedule::PendingRequest;
use crate::entry::request::Request;

/// A request as two of half as many entries; empty if it has but one, or cannot be read.
pub fn halves(request: &Request, gzip_level: u8) -> Vec<PendingRequest> {
    let Some((opened, mut sealer)) = cut_open(request, gzip_level) else {
        return Vec::new();
    };
    let half = opened.entries().len() / 2;
    let first = sealer.request(&request.labels, opened.entries().take(half));
    let second = sealer.request(&request.labels, opened.entries().skip(half));
    vec![PendingRequest::new(first), PendingRequest::new(second)]
}

/// A request in pieces of at most so many bytes of lines and metadata each, an entry at least; or,
/// if not `all`, such a piece and the rest. Empty if it cannot be cut.
pub fn pieces(request: &Request, most: u64, all: bool, gzip_level: u8) -> Vec<PendingRequest> {
    let Some((opened, mut sealer)) = cut_open(request, gzip_level) else {
        return Vec::new();
    };
    let mut entries = opened.entries().peekable();
    let mut pieces = Vec::new();
    while entries.peek().is_some() {
        let most = if all || pieces.is_empty() {
            most
        } else {
            u64::MAX
        };
        let mut bytes = 0;
        let piece = std::iter::from_fn(|| {
            entries.next_if(|entry| {
                let first = bytes == 0;
                bytes += (entry.line.len() + entry.metadata.len()).max(1) as u64;
                first || bytes <= most
            })
        });
        pieces.push(PendingRequest::new(sealer.request(&request.labels, piece)));
    }
    pieces
}

/// The entries of a request that has more than one, and what seals them again.
fn cut_open(request: &Request, gzip_level: u8) -> Option<(DecodedRequest, Encoder)> {
    let opened = encode::open(request).ok()?;
    let sealer = Encoder::new(if request.gzip { gzip_level } else { 0 });
    let is_divisible = opened.entries().len() > 1;
    is_divisible.then_some((opened, sealer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;
    use crate::entry::labels::Labels;
    use std::sync::Arc;

    /// A request of lines of these lengths.
    fn request(lengths: &[usize]) -> Request {
        let lines: Vec<String> = lengths.iter().map(|&length| "x".repeat(length)).collect();
        let entries = lines.iter().enumerate().map(|(at, line)| Entry {
            time: at as i64,
            line,
            metadata: "",
        });
        Encoder::new(1).request(&Arc::new(Labels::new([("app", "a")])), entries)
    }

    /// The lengths of the lines of each parcel, whose counts must be right.
    fn lengths(parcels: &[PendingRequest]) -> Vec<Vec<usize>> {
        let mut next = 0;
        let mut of_one = |parcel: &PendingRequest| {
            let opened = encode::open(&parcel.request).unwrap();
            for entry in opened.entries() {
                assert_eq!(entry.time, next, "none is lost, and none moves");
                next += 1;
            }
            let lengths: Vec<usize> = opened.entries().map(|entry| entry.line.len()).collect();
            assert_eq!(parcel.request.entries, lengths.len());
            assert_eq!(parcel.request.bytes, lengths.iter().sum::<usize>());
            assert_eq!((parcel.tries, parcel.request.gzip), (0, true));
            lengths
        };
        parcels.iter().map(&mut of_one).collect()
    }

    #[test]
    fn halves_have_half_as_many_entries_and_one_has_none() {
        assert_eq!(
            lengths(&halves(&request(&[5, 6, 7]), 1)),
            [vec![5], vec![6, 7]]
        );
        assert!(halves(&request(&[5]), 1).is_empty());
    }

    #[test]
    fn pieces_are_as_large_as_may_be_and_an_entry_at_least() {
        let request = request(&[10, 10, 10, 50, 10, 0, 20]);
        let of = |most, all| lengths(&pieces(&request, most, all, 1));
        assert_eq!(
            of(20, true),
            [vec![10, 10], vec![10], vec![50], vec![10, 0], vec![20]]
        );
        assert_eq!(of(20, false), [vec![10, 10], vec![10, 50, 10, 0, 20]]);
        assert_eq!(of(1, true).len(), 7, "one by one");
        assert_eq!(of(1_000, true).len(), 1);
    }

    #[test]
    fn one_entry_is_not_cut() {
        assert!(pieces(&request(&[500]), 20, true, 1).is_empty());
        assert!(pieces(&request(&[500]), 20, false, 1).is_empty());
    }

    #[test]
    fn what_is_no_request_is_not_cut() {
        let broken = Request {
            body: (*b"broken").into(),
            ..request(&[1, 2])
        };
        assert!(halves(&broken, 1).is_empty() && pieces(&broken, 1, true, 1).is_empty());
    }
}
