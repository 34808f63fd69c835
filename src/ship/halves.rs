//! Halves: what is too large for Loki goes as two requests of half as many entries, or in pieces
//! of a known size.
//!
//! Knows how a request is opened and sealed again. Knows nothing of why it is too large.

use super::desk::Parcel;
use crate::seal::{self, Opened, Sealer};
use crate::shipment::Request;

/// A request as two of half as many entries; empty if it has but one, or cannot be read.
pub fn halves(request: &Request, gzip_level: u8) -> Vec<Parcel> {
    let Some((opened, mut sealer)) = cut_open(request, gzip_level) else {
        return Vec::new();
    };
    let half = opened.entries().len() / 2;
    let first = sealer.request(&request.labels, opened.entries().take(half));
    let second = sealer.request(&request.labels, opened.entries().skip(half));
    vec![Parcel::new(first), Parcel::new(second)]
}

/// A request in pieces of at most so many bytes of lines and metadata each, an entry at least; or,
/// if not `all`, such a piece and the rest. Empty if it cannot be cut.
pub fn pieces(request: &Request, most: u64, all: bool, gzip_level: u8) -> Vec<Parcel> {
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
        pieces.push(Parcel::new(sealer.request(&request.labels, piece)));
    }
    pieces
}

/// The entries of a request that has more than one, and what seals them again.
fn cut_open(request: &Request, gzip_level: u8) -> Option<(Opened, Sealer)> {
    let opened = seal::open(request).ok()?;
    let sealer = Sealer::new(if request.gzip { gzip_level } else { 0 });
    let is_divisible = opened.entries().len() > 1;
    is_divisible.then_some((opened, sealer))
}
