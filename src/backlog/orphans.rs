//! Orphans: shipments that earlier runs left in the spool, to be sent before our own.
//!
//! Knows how they are taken over. Knows nothing of what this run brings.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::accounts::Accounts;
use super::ticket::Ticket;
use super::waiting::Waiting;
use crate::entry::Marks;
use crate::note::{Message, Note};

/// Those that wait, oldest first.
#[derive(Default)]
pub struct Orphans(Mutex<VecDeque<Waiting>>);

impl Orphans {
    /// Takes over what earlier runs left; tells how many shipments.
    pub fn adopt(&self, accounts: &Arc<Accounts>, note: Note) -> usize {
        let Some(disk) = &accounts.disk else {
            return 0;
        };
        let found = disk.spool.adopt();
        let entries: usize = found.iter().map(|stored| stored.entries).sum();
        let shipments = found.len();
        for stored in found {
            disk.room.occupy(stored.bytes as usize);
            if stored.entries == 0 {
                // A receipt: all there is to do is to wait for the checkpoint.
                disk.settled(stored);
                continue;
            }
            let ticket = Ticket::new(accounts, stored.entries, 0, Some(stored), true);
            self.lock().push_back(Waiting {
                shipment: None,
                marks: Marks::default(),
                ticket,
            });
        }
        if entries > 0 {
            accounts.ledger.adopted(entries);
            let spool = &disk.spool.dir().display().to_string();
            note.say(&Message::Adopting { entries, spool });
        }
        disk.measure();
        shipments
    }

    /// The oldest.
    pub fn next(&self) -> Option<Waiting> {
        self.lock().pop_front()
    }

    /// Lets go of them: they stay in the spool.
    pub fn abandon(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
