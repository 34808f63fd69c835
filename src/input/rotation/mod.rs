//! Log rotation: identifies files across renames, copies and compression, and finds what is left to read.

pub mod history;
pub mod names;
pub mod resume;
