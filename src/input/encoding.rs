//! Text encodings: UTF-8, and UTF-16 in an input that begins with its byte order mark.

use crate::storage::file_identity::Content;

/// The encoding of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// UTF-8, or anything else without a byte order mark.
    #[default]
    Utf8,
    /// UTF-16, low byte first.
    Utf16Le,
    /// UTF-16, high byte first.
    Utf16Be,
}

/// The byte order marks.
const MARKS: [(&[u8], Encoding); 3] = [
    (b"\xef\xbb\xbf", Encoding::Utf8),
    (b"\xff\xfe", Encoding::Utf16Le),
    (b"\xfe\xff", Encoding::Utf16Be),
];

/// A byte that is never valid in UTF-8. It replaces a code unit that cannot be decoded, and becomes
/// U+FFFD like any other invalid byte.
const INVALID: u8 = 0xff;

impl Encoding {
    /// The encoding of the byte order mark at the beginning of a text, and the length of the mark.
    pub fn of_mark(text: &[u8]) -> Option<(Self, usize)> {
        let mark = MARKS.iter().find(|(mark, _)| text.starts_with(mark));
        mark.map(|(mark, encoding)| (*encoding, mark.len()))
    }

    /// The encoding of a file, by its first bytes. An error in reading them will occur again later.
    pub fn of(content: &mut impl Content) -> Self {
        let head = content.read_bytes(0, 2).unwrap_or_default();
        Self::of_mark(&head).map_or(Self::Utf8, |(encoding, _)| encoding)
    }

    /// The size of a code unit in bytes.
    pub fn unit(self) -> usize {
        match self {
            Self::Utf8 => 1,
            Self::Utf16Le | Self::Utf16Be => 2,
        }
    }

    /// The index of the first code unit with the value `unit` in text that begins with a whole unit.
    pub fn find(self, text: &[u8], unit: u8) -> Option<usize> {
        // The positions of its byte and of the other byte, which must be 0.
        let (at, other) = match self {
            Self::Utf8 => return memchr::memchr(unit, text),
            Self::Utf16Le => (0, 1),
            Self::Utf16Be => (1, 0),
        };
        memchr::memchr_iter(unit, text).find_map(|found| {
            let start = found.checked_sub(at)?;
            (start.is_multiple_of(2) && text.get(start + other) == Some(&0)).then_some(start)
        })
    }

    /// Whether text of whole code units ends in `unit`.
    pub fn ends_in(self, text: &[u8], unit: u8) -> bool {
        let last = &text[text.len().saturating_sub(self.unit())..];
        text.len().is_multiple_of(self.unit()) && self.find(last, unit) == Some(0)
    }

    /// Decodes UTF-16 to at most `limit` bytes of UTF-8. Returns how many bytes of `text` these are.
    /// An odd last byte is invalid.
    pub fn decode(self, text: &[u8], limit: usize, out: &mut Vec<u8>) -> usize {
        out.clear();
        let mut read = 0;
        let units = text.chunks(2).map(|pair| match *pair {
            [low, high] if self == Self::Utf16Le => u16::from_le_bytes([low, high]),
            [high, low] => u16::from_be_bytes([high, low]),
            // A surrogate without its other half.
            _ => 0xd800,
        });
        for decoded in char::decode_utf16(units) {
            let mut buffer = [INVALID; 4];
            let (utf8, units) = match decoded {
                Ok(char) => (char.encode_utf8(&mut buffer).as_bytes(), char.len_utf16()),
                Err(_) => (&buffer[..1], 1),
            };
            if out.len() + utf8.len() > limit {
                break;
            }
            out.extend_from_slice(utf8);
            read += 2 * units;
        }
        read.min(text.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str, encoding: Encoding) -> Vec<u8> {
        let units = text.encode_utf16();
        let bytes = units.map(|unit| match encoding {
            Encoding::Utf16Be => unit.to_be_bytes(),
            _ => unit.to_le_bytes(),
        });
        bytes.flatten().collect()
    }

    #[test]
    fn only_a_whole_unit_is_found() {
        // U+0A0D, U+0D0A, U+000A: only the last one is a newline.
        let text = "\u{a0d}\u{d0a}\u{100}\n";
        for encoding in [Encoding::Utf16Le, Encoding::Utf16Be] {
            let bytes = encoded(text, encoding);
            assert_eq!(encoding.find(&bytes, b'\n'), Some(6), "{encoding:?}");
            assert_eq!(encoding.find(&bytes[..7], b'\n'), None);
            assert_eq!(encoding.find(&encoded("\u{a00}\u{a}", encoding), 0), None);
            assert_eq!(encoding.find(&encoded("a\0", encoding), 0), Some(2));
        }
    }

    #[test]
    fn what_is_decoded_keeps_to_the_limit_and_what_is_invalid_is_marked() {
        let mut out = Vec::new();
        for encoding in [Encoding::Utf16Le, Encoding::Utf16Be] {
            let bytes = encoded("aé日😀", encoding);
            for (limit, read, text) in [
                (100, 10, "aé日😀"),
                (10, 10, "aé日😀"),
                (9, 6, "aé日"),
                (5, 4, "aé"),
                (0, 0, ""),
            ] {
                assert_eq!(encoding.decode(&bytes, limit, &mut out), read);
                assert_eq!(out, text.as_bytes());
            }
            assert_eq!(encoding.decode(&bytes[..9], 100, &mut out), 9);
            assert_eq!(out, b"a\xc3\xa9\xe6\x97\xa5\xff\xff");
        }
    }
}
