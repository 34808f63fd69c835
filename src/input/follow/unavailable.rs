//! The absence of a followed name: that nothing bears it, or that what does cannot be read; each
//! said once when it begins.
//!
//! Knows errors and when a name was lost. Opens nothing; it is looked for again and again.

use std::io;
use std::path::Path;
use std::time::Instant;

use rustix::io::Errno;

use crate::input::follow::context::FollowContext;
use crate::report::messages::Message;

/// Why a name cannot be read now, if it cannot.
#[derive(Default)]
pub struct PathStatus {
    gone: Option<Instant>,
    failing: Option<String>,
}

impl PathStatus {
    /// Since when nothing bears the name.
    pub fn since(&self) -> Option<Instant> {
        self.gone
    }

    /// Whether what bears the name cannot be read.
    pub fn is_failing(&self) -> bool {
        self.failing.is_some()
    }

    /// What bears the name is open.
    pub fn opened(&mut self) {
        self.failing = None;
    }

    /// It is followed.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// The name could not be looked at.
    pub fn missed(
        &mut self,
        name: &Path,
        error: &io::Error,
        shared: &mut FollowContext,
        now: Instant,
    ) {
        if error.kind() != io::ErrorKind::NotFound {
            self.failed(name, error, shared);
            return;
        }
        self.failing = None;
        if self.gone.is_none() {
            self.gone = Some(now);
            let what = &*name.to_string_lossy();
            shared.setting.reporter.say(&Message::Awaited { what });
        }
    }

    /// What bears the name cannot be read.
    pub fn failed(&mut self, name: &Path, error: &io::Error, shared: &mut FollowContext) {
        let mut why = error.to_string();
        if self.failing.as_ref() == Some(&why) {
            return;
        }
        self.failing = Some(why.clone());
        let full = Errno::from_io_error(error) == Some(Errno::MFILE);
        if full {
            why.push_str("; it and further ones wait: raise the limit with `ulimit -n`");
        }
        if !(full && std::mem::replace(&mut shared.said_full, true)) {
            let what = &*name.to_string_lossy();
            let why = &why;
            shared
                .setting
                .reporter
                .say(&Message::Unreadable { what, why });
        }
    }
}
