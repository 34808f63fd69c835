//! The documents that are made from the command line: man page and completion scripts.

mod completions;
mod docs;
