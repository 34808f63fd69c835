//! Halves: what is too large for Loki goes as two requests of half as many entries.
//!
//! Knows how a request is opened and sealed again. Knows nothing of why it is too large.

use super::desk::Parcel;
use crate::seal::{self, Sealer};
use crate::shipment::Request;

/// A request as two of half as many entries; empty if it has but one, or cannot be read.
pub fn halves(request: &Request, gzip_level: u8) -> Vec<Parcel> {
    let Some(opened) = seal::open(request)
        .ok()
        .filter(|opened| opened.entries().len() > 1)
    else {
        return Vec::new();
    };
    let mut sealer = Sealer::new(if request.gzip { gzip_level } else { 0 });
    let half = opened.entries().len() / 2;
    let first = sealer.request(&request.labels, opened.entries().take(half));
    let second = sealer.request(&request.labels, opened.entries().skip(half));
    vec![Parcel::new(first), Parcel::new(second)]
}
