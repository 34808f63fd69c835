//! The dry run: prints the entries of shipments instead of sending them.
//!
//! Knows how an entry is shown. Stands at the end of the line in place of the shipping thread, not
//! of a connection, because what is printed should be in the order of time over all streams.

use std::io::{self, Write};

use anyhow::Result;

use crate::seal;
use crate::shipment::Shipment;

/// Prints a shipment's entries, oldest first, as `TIME {labels} line`.
///
/// # Errors
/// If the output is closed, or the disk behind it full.
pub fn print(shipment: &Shipment, out: &mut impl Write) -> Result<()> {
    let opened: Vec<_> = shipment
        .requests
        .iter()
        .map(seal::open)
        .collect::<Result<_>>()?;
    let mut entries: Vec<_> = shipment
        .requests
        .iter()
        .zip(&opened)
        .flat_map(|(request, opened)| opened.entries().map(move |entry| (request, entry)))
        .collect();
    entries.sort_by_key(|(_, entry)| entry.time);
    let mut text = String::new();
    for (request, entry) in entries {
        crate::time::format_rfc3339(entry.time, &mut text);
        text.push(' ');
        text.push_str(&request.labels.to_string());
        text.push(' ');
        text.push_str(entry.line);
        if !entry.metadata.is_empty() {
            text.push(' ');
            text.push_str(entry.metadata);
        }
        text.push('\n');
    }
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}

/// Whether the reader of the output has gone, as `head` does: no failure of ours.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
