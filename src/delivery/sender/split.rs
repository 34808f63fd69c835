//! Splits requests: in two halves, or into pieces of a known size.

use crate::batch::encode::{self, DecodedRequest, Encoder};
use crate::delivery::sender::schedule::PendingRequest;

/// Splits a request into two with half as many entries each. Returns nothing if it has only one entry
/// or cannot be decoded.
pub fn split_in_two(pending: &PendingRequest, gzip_level: u8) -> Vec<PendingRequest> {
    let Some((opened, mut pieces)) = decode_for_split(pending, gzip_level) else {
        return Vec::new();
    };
    let entries = opened.entries().len();
    vec![
        pieces.next(&opened, entries / 2),
        pieces.next(&opened, entries),
    ]
}

/// Splits a request into pieces with at most this many bytes of lines and metadata, but at least one
/// entry; unless `all` is set, into one such piece and the rest. Returns nothing if it cannot be split.
pub fn split_by_bytes(
    pending: &PendingRequest,
    most: u64,
    all: bool,
    gzip_level: u8,
) -> Vec<PendingRequest> {
    let Some((opened, mut pieces)) = decode_for_split(pending, gzip_level) else {
        return Vec::new();
    };
    let mut split = Vec::new();
    let mut bytes = 0;
    for (at, entry) in opened.entries().enumerate() {
        let size = (entry.line.len() + entry.metadata.len()).max(1) as u64;
        let is_full = bytes > 0 && bytes + size > most;
        if is_full && (all || split.is_empty()) {
            split.push(pieces.next(&opened, at));
            bytes = 0;
        }
        bytes += size;
    }
    split.push(pieces.next(&opened, opened.entries().len()));
    split
}

/// Decodes a request with more than one entry, for encoding its entries again.
fn decode_for_split(
    pending: &PendingRequest,
    gzip_level: u8,
) -> Option<(DecodedRequest, Pieces<'_>)> {
    let request = &pending.request;
    let opened = encode::open(request).ok()?;
    let encoder = Encoder::new(if request.gzip { gzip_level } else { 0 });
    let pieces = Pieces {
        whole: pending,
        encoder,
        from: 0,
    };
    let is_divisible = opened.entries().len() > 1;
    is_divisible.then_some((opened, pieces))
}

/// Encodes the pieces of a request.
struct Pieces<'a> {
    whole: &'a PendingRequest,
    encoder: Encoder,
    from: usize,
}

impl Pieces<'_> {
    /// The next piece, up to the entry with index `to`.
    fn next(&mut self, opened: &DecodedRequest, to: usize) -> PendingRequest {
        let from = std::mem::replace(&mut self.from, to);
        let entries = opened.entries().skip(from).take(to - from);
        let request = self.encoder.request(&self.whole.request.labels, entries);
        let ends = self.whole.ends.as_ref();
        PendingRequest {
            ends: ends.map(|ends| ends[from..to].to_vec()),
            ..PendingRequest::new(request)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Entry;
    use crate::entry::labels::Labels;
    use crate::entry::request::Request;
    use std::sync::Arc;

    /// A request of lines of these lengths.
    fn request(lengths: &[usize]) -> PendingRequest {
        let lines: Vec<String> = lengths.iter().map(|&length| "x".repeat(length)).collect();
        let entries = lines.iter().enumerate().map(|(at, line)| Entry {
            time: at as i64,
            line,
            metadata: "",
        });
        let request = Encoder::new(1).request(&Arc::new(Labels::new([("app", "a")])), entries);
        PendingRequest::new(request)
    }

    /// The lengths of the lines of each piece, whose counts must be right.
    fn lengths(pieces: &[PendingRequest]) -> Vec<Vec<usize>> {
        let mut next = 0;
        let mut of_one = |piece: &PendingRequest| {
            let opened = encode::open(&piece.request).unwrap();
            for entry in opened.entries() {
                assert_eq!(entry.time, next, "none is lost, and none moves");
                next += 1;
            }
            let lengths: Vec<usize> = opened.entries().map(|entry| entry.line.len()).collect();
            assert_eq!(piece.request.entries, lengths.len());
            assert_eq!(piece.request.bytes, lengths.iter().sum::<usize>());
            assert_eq!((piece.tries, piece.request.gzip), (0, true));
            lengths
        };
        pieces.iter().map(&mut of_one).collect()
    }

    #[test]
    fn halves_have_half_as_many_entries_and_one_has_none() {
        assert_eq!(
            lengths(&split_in_two(&request(&[5, 6, 7]), 1)),
            [vec![5], vec![6, 7]]
        );
        assert!(split_in_two(&request(&[5]), 1).is_empty());
    }

    #[test]
    fn pieces_are_as_large_as_may_be_and_an_entry_at_least() {
        let request = request(&[10, 10, 10, 50, 10, 0, 20]);
        let of = |most, all| lengths(&split_by_bytes(&request, most, all, 1));
        assert_eq!(
            of(20, true),
            [vec![10, 10], vec![10], vec![50], vec![10, 0], vec![20]]
        );
        assert_eq!(of(20, false), [vec![10, 10], vec![10, 50, 10, 0, 20]]);
        assert_eq!(of(1, true).len(), 7, "one by one");
        assert_eq!(of(1_000, true).len(), 1);
    }

    #[test]
    fn what_is_owed_for_entries_that_were_cut_is_split_with_them() {
        let whole = PendingRequest {
            ends: Some(vec![false, true, true, false, true]),
            ..request(&[1, 1, 1, 1, 1])
        };
        let owed: Vec<_> = split_by_bytes(&whole, 2, true, 1)
            .iter()
            .map(PendingRequest::entries)
            .collect();
        assert_eq!(owed, [1, 1, 1]);
        assert_eq!(whole.entries(), 3);
    }

    #[test]
    fn one_entry_is_not_split() {
        assert!(split_by_bytes(&request(&[500]), 20, true, 1).is_empty());
        assert!(split_by_bytes(&request(&[500]), 20, false, 1).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_not_split() {
        let broken = PendingRequest::new(Request {
            body: (*b"broken").into(),
            ..request(&[1, 2]).request
        });
        assert!(split_in_two(&broken, 1).is_empty());
        assert!(split_by_bytes(&broken, 1, true, 1).is_empty());
    }
}
