//! State shared by all followed files: the options, one read buffer, the history, and the limit of open
//! files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::input::SourceOptions;
use crate::input::line_splitter::LineSplitter;
use crate::input::rotation::history::History;

/// Descriptors reserved for connections, the spool, the checkpoint and the like.
const RESERVED: usize = 32;

/// State shared by all followed files.
pub struct FollowContext {
    /// The options for reading.
    pub options: SourceOptions,
    /// The line splitter, whose buffer all files share.
    pub lines: LineSplitter,
    /// All known files.
    pub history: History,
    /// Maximum number of open files.
    pub most_open: usize,
    /// Whether bytes are known to be lost.
    pub has_lost: bool,
}

impl FollowContext {
    /// Creates the state, and raises the limit of open files.
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

/// Raises the limit of open files as far as possible, since followed files stay open so that nothing is
/// lost when they are renamed. Returns the number of files that may be open.
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
