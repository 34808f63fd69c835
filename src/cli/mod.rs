//! The command line: arguments as typed, and the configuration resolved from them.

pub mod args;
pub mod config;

#[cfg(test)]
mod tests;

#[cfg(test)]
use args::{Cli, command};
