//! The tests of the test support: that each check of the stand-in fails when it should, that
//! each fault does what it says, that Loki's rules are Loki's, that the driver drives.

mod checks;
mod client;
mod driver;
mod faults;
mod history;
mod reading;
mod rules;
