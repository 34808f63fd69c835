//! A fast check whether the head of a line contains any level word.
//!
//! Most lines contain none and need not be searched word by word. The check ignores where the word
//! is; [`crate::parse::level::scanner`] decides that.
//!
//! It processes eight bytes at a time in plain arithmetic (SWAR). A multi-pattern search for the
//! first letters of all level words (Teddy of aho-corasick, 75 short strings) took 1.5 times as
//! long, because it matched inside so many other words.

use crate::parse::level::words::{lookup, may_be_level_word};

/// Number of bytes of a line that are searched (colour codes not counted).
pub(super) const HEAD: usize = 128;

/// Number of bytes covered by one bit mask.
const PART_BYTES: usize = u64::BITS as usize;

/// Whether the scanner may find a level in this text of at most [`HEAD`] bytes: it contains a level
/// word in any case, or a letter before a digit as in glog.
pub(super) fn may_hold_level(text: &[u8]) -> bool {
    let mut head = [0; HEAD];
    head[..text.len()].copy_from_slice(text);
    let (parts, _) = head.as_chunks::<PART_BYTES>();
    let first = letters(&parts[0]);
    if text.len() <= PART_BYTES {
        return may_begin_level(&head, 0, first, false, 0);
    }
    let second = letters(&parts[1]);
    may_begin_level(&head, 0, first, false, second)
        || may_begin_level(&head, PART_BYTES, second, first >> (PART_BYTES - 1) != 0, 0)
}

/// Whether a level word may start in the part at `from`. `letters` has a bit for each letter of the
/// part, `following` for those of the next part; `within` is set if a word extends into this part.
fn may_begin_level(
    head: &[u8; HEAD],
    from: usize,
    letters: u64,
    within: bool,
    following: u64,
) -> bool {
    let byte = |at: usize| head[at % HEAD];
    let starts = letters & !(letters << 1 | u64::from(within));
    // For each byte, whether the next one is a letter, and the one after that.
    let next = letters >> 1 | following << 63;
    let third = letters >> 2 | following << 62;
    let mut singles = starts & !next;
    while singles != 0 {
        let at = from + singles.trailing_zeros() as usize;
        if matches!(byte(at), b'I' | b'W' | b'E' | b'F') && byte(at + 1).is_ascii_digit() {
            return true;
        }
        singles &= singles - 1;
    }
    // No level word is shorter than three letters.
    let mut words = starts & next & third;
    while words != 0 {
        let start = words.trailing_zeros() as usize;
        let mut length = (letters >> start).trailing_ones() as usize;
        if start + length == PART_BYTES {
            length += following.trailing_ones() as usize;
        }
        let at = from + start;
        if may_be_level_word(length, byte(at), byte(at + length - 1))
            && lookup(&head[at..at + length]).is_some()
        {
            return true;
        }
        words &= words - 1;
    }
    false
}

/// A mask of the letters in a part, with the first byte in the lowest bit.
fn letters(part: &[u8; PART_BYTES]) -> u64 {
    let (eights, _) = part.as_chunks();
    let bits = eights.iter().enumerate();
    bits.fold(0, |bits, (n, eight)| bits | letters_of(*eight) << (8 * n))
}

/// The same mask for eight bytes.
fn letters_of(eight: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // Added to a byte, they set the high bit from `a` on, and from the byte after `z` on.
    const FROM_A: u64 = ONES * (0x80 - 0x61);
    const AFTER_Z: u64 = ONES * (0x80 - 0x7b);
    let bytes = u64::from_le_bytes(eight);
    // Clear the high bits so that no sum carries into the next byte, and convert to lower case.
    let small = (bytes | (ONES * 0x20)) & !HIGH;
    let from_a = small + FROM_A;
    let after_z = small + AFTER_Z;
    let letters = from_a & !after_z & !bytes & HIGH;
    // Collect the high bits in the top byte, in order.
    (letters >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_told_from_all_other_bytes() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut eight = *b"?a?Z?9?_";
                eight[at] = byte;
                let expected = (0..8).fold(0, |bits, n| {
                    bits | u64::from(eight[n].is_ascii_alphabetic()) << n
                });
                assert_eq!(letters_of(eight), expected, "{eight:?}");
            }
        }
    }

    #[test]
    fn words_are_seen_wherever_they_stand() {
        for word in ["dbg", "error", "Info", "DEBUG1", "W0102", "informational"] {
            for at in 0..=HEAD - word.len() {
                let mut head = [b' '; HEAD];
                head[at..at + word.len()].copy_from_slice(word.as_bytes());
                assert!(may_hold_level(&head), "{word} at {at}");
                assert!(may_hold_level(&head[..at + word.len()]), "{word} at {at}");
                assert!(may_hold_level(&head[at..at + word.len()]), "{word}");
            }
        }
    }

    #[test]
    fn other_words_are_no_levels() {
        for word in ["", "terror", "I am", "9", "e.r.r.o.r", "1W", "noticed", "I"] {
            for at in 0..=HEAD - word.len() {
                let mut head = [b' '; HEAD];
                head[at..at + word.len()].copy_from_slice(word.as_bytes());
                assert!(!may_hold_level(&head), "{word} at {at}");
            }
        }
        assert!(!may_hold_level(&[b'x'; HEAD]));
    }
}
