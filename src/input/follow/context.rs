//! What all followed files share: the options, one buffer, the history, and how many may be open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::input::SourceOptions;
use crate::input::line_splitter::LineSplitter;
use crate::input::rotation::history::History;

/// Descriptors that are not for followed files: connections, the spool, the checkpoint.
const RESERVED: usize = 32;

/// What all followed files share.
pub struct FollowContext {
    /// How files are read.
    pub options: SourceOptions,
    /// The buffer for all of them.
    pub lines: LineSplitter,
    /// Every file that was met.
    pub history: History,
    /// How many files may be open.
    pub most_open: usize,
    /// Whether bytes are known to be lost.
    pub has_lost: bool,
}

impl FollowContext {
    /// Nothing is open yet. The limit of open files is raised.
    pub fn new(mut options: SourceOptions) -> Self {
        options.intake = options.intake.without_waiting();
        Self {
            lines: options.lines().without_padding(),
            history: History::new(options.checkpoint.clone()),
            options,
            most_open: raise_file_limit(),
            has_lost: false,
        }
    }
}

/// Followed files are kept open, so that nothing is lost when they are renamed; so the limit of open
/// files is raised as far as possible. Returns how many files that allows.
fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    let _ = setrlimit(Resource::Nofile, raised);
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.map_or(usize::MAX, |limit| {
        usize::try_from(limit).unwrap_or(usize::MAX)
    });
    limit.saturating_sub(RESERVED).max(1)
}
