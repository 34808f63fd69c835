//! What is read of a line: its text without what programs put there for the eye.
//!
//! Knows byte order marks and terminal escape sequences. Must not know what is shipped.

use std::borrow::Cow;

use crate::parse::ansi;
use crate::parse::fields;
use crate::parse::fields::Parse;
use crate::parse::level::BOM;
use crate::process::entry_builder::Layout;

const ESC: u8 = 0x1b;

/// The text in which fields and times are looked for, and in which messages are: without a byte
/// order mark at its start and, where they hide fields, without colours.
///
/// A layout that takes the fields out makes a message of the rest. Colours hide nothing of a line
/// whose fields they stand outside of: there they stay, for Grafana shows them.
pub fn of_fields(text: &str, parse: Parse, layout: Layout) -> Cow<'_, str> {
    let text = text.strip_prefix(BOM).unwrap_or(text);
    if memchr::memchr(ESC, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let plain = ansi::strip(text);
    if layout == Layout::Keep {
        return plain;
    }
    let count = |text: &str| {
        let mut fields = Vec::new();
        fields::parse(text, parse, &mut fields);
        fields.len()
    };
    if count(&plain) > count(text) {
        plain
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_only_where_they_hide_fields() {
        let of = |text, layout| of_fields(text, Parse::Auto, layout).into_owned();
        let painted = "\x1b[36mlevel\x1b[0m=info x";
        let around = "\x1b[32mstarted\x1b[0m a=1";
        for layout in [Layout::Keep, Layout::Line, Layout::Metadata] {
            assert_eq!(of("\u{feff}a=1", layout), "a=1");
            assert_eq!(of(painted, layout), "level=info x");
        }
        assert_eq!(of(around, Layout::Keep), "started a=1");
        assert_eq!(of(around, Layout::Line), around);
    }
}
