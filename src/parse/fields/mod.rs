//! Reads and writes the fields of a line: the `key=val` tokens of text (logfmt) and the members of
//! a JSON object.
//!
//! Every function accepts any text and any depth of nesting without recursion, in time linear in
//! the length of the line. The library writes fields, and only the program reads them.

#[cfg(feature = "cli")]
mod json;
#[cfg(feature = "cli")]
mod level_field;
#[cfg(feature = "cli")]
mod line;
#[cfg(feature = "cli")]
mod logfmt;
mod loki_names;
#[cfg(feature = "cli")]
mod quoted;
#[cfg(all(test, feature = "cli"))]
mod tests;
mod write;

#[cfg(feature = "cli")]
pub use crate::parse::fields::level_field::{level_of, read_level};
#[cfg(feature = "cli")]
pub use crate::parse::fields::line::*;
#[cfg(feature = "cli")]
pub use crate::parse::fields::loki_names::label_name;
pub use crate::parse::fields::loki_names::metadata_name;
pub use crate::parse::fields::write::write_field;
