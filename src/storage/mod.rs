//! Everything the program keeps on disk: the spool, the checkpoint and the dead letter.

pub mod checkpoint;
pub mod dead_letter;
pub mod file_identity;
pub mod lock;
pub mod spool;
