//! What every test stands on: the strict stand-in for Loki, the real binary in a clean
//! environment, and a directory that goes away. Nothing here sleeps; every wait is for a
//! condition, with a deadline that ends in a full picture.
#![allow(dead_code, unused_imports, reason = "no test needs all of it")]

pub mod broken_disk;
mod chance;
pub mod daemon;
pub mod dir;
pub mod finished;
pub mod loki;
mod pipes;
pub mod proxy;
pub mod random;
pub mod run;
pub mod running;
mod signals;
mod stranger;
pub mod summary;
pub mod terminal;
pub mod time;
pub mod tls;
pub mod users;

pub use dir::Dir;
pub use finished::Finished;
pub use loki::{Fault, Loki};
pub use proxy::Proxy;
pub use random::Random;
pub use run::LokiPush;
pub use running::Running;
pub use stranger::stranger;
pub use summary::{Summary, assert_law};
pub use terminal::Terminal;
pub use time::{in_time, once_in_a_few, soon, with_patience};
