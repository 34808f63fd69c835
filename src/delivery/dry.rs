//! The dry run: prints the entries of shipments instead of sending them.
//!
//! Knows how an entry is shown. It replaces the sender thread, not the connection, because entries
//! are printed in the order of the input over all streams.

use std::io;

use anyhow::Result;

use crate::batch::encode;
use crate::entry::request::EncodedBatch;
use crate::sync::blocking_write;
use crate::sync::blocking_write::{Cut, PollableWrite};

/// Why a shipment was not printed, or not to its end.
#[derive(Debug)]
pub struct Unprinted {
    /// How many of its entries were.
    pub printed: usize,
    /// What went wrong.
    pub why: anyhow::Error,
}

impl Unprinted {
    /// Whether the reader of the output has gone, as `head` does: no failure of ours.
    pub fn is_closed(&self) -> bool {
        let why = self.why.downcast_ref::<io::Error>();
        why.is_some_and(|why| why.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Prints a shipment's entries in the order of the input, as `TIME {labels} line`.
///
/// # Errors
/// If the output is closed, or the disk behind it full.
pub fn print(shipment: &EncodedBatch, out: &mut dyn PollableWrite) -> Result<(), Unprinted> {
    let (text, ends) = shown(shipment).map_err(|why| Unprinted { printed: 0, why })?;
    blocking_write::write_all(text.as_bytes(), out).map_err(|Cut { written, why }| Unprinted {
        printed: ends.partition_point(|&end| end <= written),
        why: why.into(),
    })
}

/// The entries as they are printed, and where each of them ends.
fn shown(shipment: &EncodedBatch) -> Result<(String, Vec<usize>)> {
    let opened: Vec<_> = shipment
        .requests
        .iter()
        .map(encode::open)
        .collect::<Result<_>>()?;
    let mut entries: Vec<_> = shipment
        .requests
        .iter()
        .zip(&opened)
        .flat_map(|(request, opened)| opened.entries().map(move |entry| (request, entry)))
        .zip(&shipment.input_order)
        .map(|((request, entry), place)| (place, request, entry))
        .collect();
    entries.sort_by_key(|(place, ..)| *place);
    let (mut text, mut ends) = (String::new(), Vec::with_capacity(entries.len()));
    for (_, request, entry) in entries {
        crate::parse::timestamp::format_rfc3339(entry.time, &mut text);
        text.push(' ');
        text.push_str(&request.labels.to_string());
        text.push(' ');
        text.push_str(entry.line);
        if !entry.metadata.is_empty() {
            text.push(' ');
            text.push_str(entry.metadata);
        }
        text.push('\n');
        ends.push(text.len());
    }
    Ok((text, ends))
}
