//! Late ones: predecessors that are drained, which whoever writes may hold open for a while.
//!
//! Knows how long they are looked at still. Knows nothing of the name they bore.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::input::follow::context::FollowContext;
use crate::input::follow::tail::{ReadResult, TailedFile};
use crate::storage::file_identity::DevInode;

/// How long a drained predecessor is looked at still: whoever writes may hold it open for a while.
pub const WATCH_AFTER_ROTATION: Duration = Duration::from_secs(5);

/// How many drained predecessors are looked at still.
const MOST_LATE: usize = 8;

/// Drained predecessors of a name.
#[derive(Default)]
pub struct RotatedFiles(Vec<TailedFile>);

impl RotatedFiles {
    /// A predecessor was drained.
    pub fn push(&mut self, tail: TailedFile) {
        self.0.push(tail);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut TailedFile> {
        self.0.iter_mut()
    }

    /// Reads what still comes to them, and lets them go after a while. Gives the most that was
    /// found: more, news or nothing.
    pub fn read(&mut self, shared: &mut FollowContext, now: Instant) -> ReadResult {
        let mut most = ReadResult::Nothing;
        let mut at = 0;
        while let Some(tail) = self.0.get_mut(at) {
            let found = tail
                .meta()
                .and_then(|meta| tail.read(&meta, &mut shared.lines, &shared.setting, now));
            let idle = match found {
                Ok(ReadResult::More) => {
                    most = ReadResult::More;
                    false
                }
                Ok(ReadResult::News) => {
                    if most == ReadResult::Nothing {
                        most = ReadResult::News;
                    }
                    false
                }
                Ok(ReadResult::Nothing | ReadResult::Cut) | Err(_) => true,
            };
            let too_many = self.0.len() > MOST_LATE;
            let tail = &mut self.0[at];
            if idle && (too_many || now > tail.changed + WATCH_AFTER_ROTATION) {
                let _ = tail.finish(&mut shared.lines, &shared.setting, now);
                shared.let_go(tail);
                self.0.remove(at);
            } else {
                at += 1;
            }
        }
        most
    }

    /// Those that are `wanted`, each with who wants it.
    pub fn give_away(&mut self, wanted: &mut HashMap<DevInode, usize>) -> Vec<(TailedFile, usize)> {
        let mut given = Vec::new();
        for tail in std::mem::take(&mut self.0) {
            match wanted.remove(&tail.place) {
                Some(to) => given.push((tail, to)),
                None => self.0.push(tail),
            }
        }
        given
    }
}
