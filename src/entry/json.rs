//! JSON string escaping.

/// The number of bytes that are checked at once. Compilers make vector instructions of it.
const CHUNK: usize = 32;

/// Appends the text as the contents of a JSON string, escaped.
pub fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + bytes.len() / 8 + 8);
    let (chunks, rest) = bytes.as_chunks::<CHUNK>();
    for chunk in chunks {
        if chunk
            .iter()
            .fold(false, |any, &byte| any | is_special(byte))
        {
            write_words(out, chunk);
        } else {
            out.extend_from_slice(chunk);
        }
    }
    write_words(out, rest);
}

/// Appends text that needs escaping.
///
/// Eight bytes are copied at once and checked together; from the first special one on they are taken
/// back. Special bytes are some twenty bytes apart, too close for a copy of each run to pay off.
fn write_words(out: &mut Vec<u8>, mut rest: &[u8]) {
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
        if is_special(byte) {
            write_special(out, byte);
        } else {
            out.push(byte);
        }
    }
}

/// Whether a byte must be escaped in a JSON string.
const fn is_special(byte: u8) -> bool {
    byte < b' ' || byte == b'"' || byte == b'\\'
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

/// Returns a word with one bit set in each byte of `word` that must be escaped, as in [`is_special`]. No
/// carry crosses bytes, so every bit is exact.
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
