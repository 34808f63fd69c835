//! The stage that prints, in place of the one that ships.
//!
//! Sees each shipment through to its fate, as shipping does. Knows nothing of how an entry looks.

use crate::backlog::Backlog;
use crate::ledger::Fate;
use crate::note::{Message, Note};
use crate::push::dry;
use crate::queue::Pop;
use crate::stop::{Phase, Stop};

/// Prints what comes, in place of shipping it, until a second signal.
pub fn print(backlog: &Backlog, stop: &Stop, note: Note) {
    let mut out = std::io::stdout();
    let (mut closed, mut said) = (false, false);
    loop {
        let taken = match backlog.take(None) {
            Pop::Item(taken) => taken,
            Pop::Kicked if stop.view().phase == Phase::Now => break,
            Pop::Kicked | Pop::TimedOut => continue,
            Pop::Ended => break,
        };
        match dry::print(&taken.shipment, &mut out) {
            Ok(()) => taken.ticket.settle_all(Fate::Delivered),
            // `loki-push --dry-run | head` is a good way to look, and no loss.
            Err(error) if closed || dry::is_closed(&error) => {
                closed = true;
                taken.ticket.settle_all(Fate::Filtered);
            }
            Err(error) if !std::mem::replace(&mut said, true) => note.say(&Message::Unwritable {
                what: "standard output",
                why: &format!("{error:#}"),
            }),
            Err(_) => {}
        }
    }
    backlog.abandon();
}
