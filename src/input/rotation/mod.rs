//! Log rotation: names, copytruncate copies, and what to read of a file on resume.

pub mod copytruncate;
pub mod names;
pub mod resume;
