//! Removes byte order marks and colour codes from lines before fields and times are parsed.

use std::borrow::Cow;

use crate::parse::ansi;
use crate::parse::fields;
use crate::parse::fields::Parse;
use crate::parse::level::BOM;
use crate::process::entry_builder::Layout;

const ESC: u8 = 0x1b;

/// Returns the text to parse for fields, times and the message: without a byte order mark and,
/// where they hide fields, without colour codes.
///
/// In a layout that moves fields out of the line, the rest is shipped as the message. Colour codes
/// that hide no fields stay there, as Grafana renders them.
pub fn without_decoration(text: &str, parse: Parse, layout: Layout) -> Cow<'_, str> {
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
        let of = |text, layout| without_decoration(text, Parse::Auto, layout).into_owned();
        let painted = "\x1b[36mlevel\x1b[0m=info x";
        let from_envelope = "\x1b[32mstarted\x1b[0m a=1";
        for layout in [Layout::Keep, Layout::Line, Layout::Metadata] {
            assert_eq!(of("\u{feff}a=1", layout), "a=1");
            assert_eq!(of(painted, layout), "level=info x");
        }
        assert_eq!(of(from_envelope, Layout::Keep), "started a=1");
        assert_eq!(of(from_envelope, Layout::Line), from_envelope);
    }
}
