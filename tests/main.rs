//! Drives the real program against a strict stand-in for Loki.

mod answers;
mod check;
mod command;
mod connection;
mod delivery;
mod docs;
mod ending;
mod fields;
mod files;
mod help;
mod house;
mod install;
mod library;
mod multiline;
mod once;
mod output;
mod pipe;
mod policies;
mod progress;
mod real;
mod recipes;
mod shells;
mod spool;
mod standin;
mod support;
mod usage;
