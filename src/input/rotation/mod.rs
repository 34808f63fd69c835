//! Log rotation: which file is which, and what is to be read of those that had a name before.

pub mod history;
pub mod names;
pub mod resume;
