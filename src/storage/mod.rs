//! Everything the program keeps on disk: the spool, the checkpoint and the dead letter. The library
//! keeps nothing.

#[cfg(not(feature = "cli"))]
mod absent;
#[cfg(feature = "cli")]
pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod dead_letter;
#[cfg(feature = "cli")]
pub mod file_identity;
#[cfg(feature = "cli")]
pub mod lock;
#[cfg(feature = "cli")]
pub mod private_files;
#[cfg(feature = "cli")]
pub mod spool;

#[cfg(not(feature = "cli"))]
pub use absent::{checkpoint, dead_letter, spool};
