//! JSON string escaping.

/// Appends the text as the contents of a JSON string, escaped.
///
/// Eight bytes are copied at once and checked together; from the first special one on they are taken
/// back. Special bytes are some twenty bytes apart, too close for a copy of each run to pay off.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + rest.len() / 8 + 8);
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        out.extend_from_slice(word);
        let found = specials(u64::from_le_bytes(*word));
        if found == 0 {
            rest = after;
            continue;
        }
        let plain = found.trailing_zeros() as usize / 8;
        out.truncate(out.len() - (word.len() - plain));
        write_special(out, word[plain]);
        rest = &rest[plain + 1..];
    }
    for &byte in rest {
        // The first byte of a word that has no others.
        if specials(u64::from(byte)) & 0x80 != 0 {
            write_special(out, byte);
        } else {
            out.push(byte);
        }
    }
}

fn write_special(out: &mut Vec<u8>, byte: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Returns a word with one bit set in each byte of `word` that must be escaped in a JSON string: control
/// characters, quotes and backslashes. No carry crosses bytes, so every bit is exact.
const fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const LOW: u64 = ONES * 0x7f;
    const fn zeros(word: u64) -> u64 {
        !(((word & LOW) + LOW) | word | LOW)
    }
    zeros(word & (ONES * 0xe0))
        | zeros(word ^ (ONES * b'"' as u64))
        | zeros(word ^ (ONES * b'\\' as u64))
}
