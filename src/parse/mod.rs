//! Reading a line: its time, fields and level. Pure functions over bytes.

pub mod ansi;
pub mod fields;
pub mod level;
pub mod stack_trace;
pub mod timestamp;
pub mod units;
