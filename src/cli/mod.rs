//! The command line: arguments as typed, and the configuration resolved from them.

pub mod args;
pub mod config;

pub use args::{Cli, command, env_name};
