//! The stage that prints, in place of the one that ships.
//!
//! Sees each shipment through to its fate, as shipping does. Knows nothing of how an entry looks.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::delivery::dry;
use crate::delivery::queue::DeliveryQueue;
use crate::report::counters::Fate;
use crate::report::messages::{Message, Reporter};
use crate::sync::queue::Pop;
use crate::sync::shutdown::{Phase, Shutdown};

/// Printing, and whether anybody reads it.
#[derive(Debug, Default)]
pub struct StdoutSink {
    unread: AtomicBool,
}

impl StdoutSink {
    /// Whether the reader has gone: what is not printed by then is not wanted.
    pub fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    /// Prints what comes, in place of shipping it, until a second signal, or until nobody reads it.
    pub fn run(&self, backlog: &DeliveryQueue, stop: &Shutdown, reporter: Reporter) {
        let mut said = false;
        let mut complain = |why: &str| {
            if !std::mem::replace(&mut said, true) {
                reporter.say(&Message::Unwritable {
                    what: "standard output",
                    why,
                });
            }
        };
        // Past the buffer of the standard library, so that it is known how much was written.
        let mut out = match io::stdout().as_fd().try_clone_to_owned() {
            Ok(out) => File::from(out),
            Err(why) => return complain(&why.to_string()),
        };
        loop {
            let taken = match backlog.pop(None) {
                Pop::Item(taken) => taken,
                Pop::Woken if stop.state().phase == Phase::Aborting => break,
                Pop::Woken | Pop::TimedOut => continue,
                Pop::Ended => break,
            };
            let Err(unprinted) = dry::print(&taken.shipment, &mut out) else {
                taken.ticket.settle_all(Fate::Delivered);
                continue;
            };
            taken.ticket.settle(unprinted.printed, Fate::Delivered);
            // `loki-push --dry-run | head` is a good way to look, and no loss.
            if unprinted.is_closed() {
                taken.ticket.settle_all(Fate::Filtered);
                self.unread.store(true, Ordering::Release);
                break;
            }
            complain(&format!("{:#}", unprinted.why));
        }
        backlog.close_and_keep();
    }
}
