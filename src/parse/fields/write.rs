//! Writes fields in the layout `message | key=val key=val`.

use std::fmt::Write as _;

/// Appends `key=val` as `--layout line` writes it.
///
/// The value is quoted if it could not be read back otherwise: if it is empty, contains white
/// space, a quote, `|`, `=`, a control character or unbalanced brackets, or ends in `,` or `;`.
/// Inside quotes, `"` and `\` are escaped with a backslash and control characters as `\n`, `\t`,
/// `\r` or `\u00XX`. In the name each invalid character becomes `_`, and a name that starts with a
/// character that cannot start a key is prefixed with `_`, so that the output always parses as a
/// field again.
pub fn write_field(out: &mut String, name: &str, value: &str) {
    write_key(out, name);
    out.push('=');
    if needs_quotes(value) {
        out.push('"');
        write_escaped(out, value);
        out.push('"');
    } else {
        out.push_str(value);
    }
}

/// Whether a key in logfmt may contain this byte.
pub(super) fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

fn needs_quotes(value: &str) -> bool {
    /// Deeper nesting is not tracked: the value is quoted.
    const DEEP: usize = 8;
    let (mut open, mut depth) = ([0; DEEP], 0);
    for byte in value.bytes() {
        match byte {
            0..=b' ' | b'|' | b'=' | b'"' | b'`' | b'\'' | 0x7f => return true,
            b'(' | b'[' | b'{' if depth == DEEP => return true,
            b'(' | b'[' | b'{' => {
                open[depth] = byte;
                depth += 1;
            }
            b')' | b']' | b'}' => {
                // In ASCII each closing bracket is one or two after its opening one.
                if depth == 0 || !matches!(byte.wrapping_sub(open[depth - 1]), 1 | 2) {
                    return true;
                }
                depth -= 1;
            }
            _ => {}
        }
    }
    value.is_empty() || depth != 0 || value.ends_with([',', ';'])
}

/// Appends the message, ` | ` and the fields; without a message only the fields, without fields
/// only the message. The complete layout, for round-trip tests.
#[cfg(test)]
pub fn write_line<'f>(
    out: &mut String,
    message: &str,
    fields: impl IntoIterator<Item = (&'f str, &'f str)>,
) {
    out.push_str(message);
    let mut separator = if message.is_empty() { "" } else { " | " };
    for (name, value) in fields {
        out.push_str(separator);
        write_field(out, name, value);
        separator = " ";
    }
}

fn write_key(out: &mut String, name: &str) {
    if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        out.push('_');
    }
    if name.bytes().all(is_key_byte) {
        out.push_str(name);
        return;
    }
    let safe = |c: char| {
        if c.is_ascii() && is_key_byte(c as u8) {
            c
        } else {
            '_'
        }
    };
    out.extend(name.chars().map(safe));
}

fn write_escaped(out: &mut String, value: &str) {
    let mut written = 0;
    for (at, byte) in value.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\t' => "\\t",
            b'\r' => "\\r",
            ..b' ' | 0x7f => "",
            _ => continue,
        };
        out.push_str(&value[written..at]);
        written = at + 1;
        if escape.is_empty() {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&value[written..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::fields::Parse;
    use crate::parse::fields::tests::parsed;

    #[test]
    fn how_fields_are_written() {
        let cases = [
            ("a", "x", "a=x"),
            ("a", "", "a=\"\""),
            ("a", "x y", "a=\"x y\""),
            ("a", "x|y", "a=\"x|y\""),
            ("a", "x=y", "a=\"x=y\""),
            ("a", "x\"y", "a=\"x\\\"y\""),
            ("a", "C:\\x", "a=C:\\x"),
            ("a", "f(x)[1]{}", "a=f(x)[1]{}"),
            ("a", "f(x", "a=\"f(x\""),
            ("a", ")(", "a=\")(\""),
            ("a", "x,y", "a=x,y"),
            ("a", "x,", "a=\"x,\""),
            ("a", "it's", "a=\"it's\""),
            ("a", "C:\\x y", "a=\"C:\\\\x y\""),
            ("a", "x\ny\t\r\0\x1b", "a=\"x\\ny\\t\\r\\u0000\\u001b\""),
            ("a b", "1", "a_b=1"),
            ("é=", "1", "___=1"),
            ("9a", "1", "_9a=1"),
            ("", "1", "_=1"),
            ("@timestamp", "1", "__timestamp=1"),
            ("http.status-code", "1", "http.status-code=1"),
        ];
        for (name, value, written) in cases {
            let mut out = String::new();
            write_field(&mut out, name, value);
            assert_eq!(out, written);
            assert_eq!(parsed(&out, Parse::Auto).1.len(), 1, "{out}");
        }
        let line = |message: &str, fields: &[(&str, &str)]| {
            let mut out = String::new();
            write_line(&mut out, message, fields.iter().copied());
            out
        };
        assert_eq!(line("m n", &[("a", "1"), ("b", "2")]), "m n | a=1 b=2");
        assert_eq!(line("", &[("a", "1"), ("b", "2")]), "a=1 b=2");
        assert_eq!(line("m", &[]), "m");
    }
}
