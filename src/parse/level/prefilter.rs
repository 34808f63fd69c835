//! A glance at the head of a line: whether any of its words can be a level.
//!
//! Most lines hold none, and need not be searched word by word. Knows what level words look like,
//! not where they stand: that one is there is all it says, [`crate::parse::level::scanner`] decides.
//!
//! Sees eight bytes at once, in plain arithmetic. A search for the beginnings of all level words at
//! once (Teddy of aho-corasick, 75 short strings) was tried: it met so many of them inside of other
//! words that it took half as long again.

use crate::parse::level::words::{looks_like_one, lookup};

/// How much of a line is searched, in bytes (colour codes not counted).
pub(super) const HEAD: usize = 128;

/// How many bytes have their bits in one mask.
const PART: usize = u64::BITS as usize;

/// Whether the search for a level may find one in this text, of at most [`HEAD`] bytes: there is a
/// level word in any case, or a letter before a digit as glog writes it.
pub(super) fn may_hold_level(text: &[u8]) -> bool {
    let mut head = [0; HEAD];
    head[..text.len()].copy_from_slice(text);
    let (parts, _) = head.as_chunks::<PART>();
    let first = letters(&parts[0]);
    if text.len() <= PART {
        return may_begin_level(&head, 0, first, false, 0);
    }
    let second = letters(&parts[1]);
    may_begin_level(&head, 0, first, false, second)
        || may_begin_level(&head, PART, second, first >> (PART - 1) != 0, 0)
}

/// Whether a word may be a level that begins in the part from `from`. `letters` are its letters, a
/// bit each, `behind` those of the part behind it; `within` says whether a word reaches into it.
fn may_begin_level(
    head: &[u8; HEAD],
    from: usize,
    letters: u64,
    within: bool,
    behind: u64,
) -> bool {
    let byte = |at: usize| head[at % HEAD];
    let starts = letters & !(letters << 1 | u64::from(within));
    // Of each byte, whether the next is a letter, and the one after that.
    let next = letters >> 1 | behind << 63;
    let third = letters >> 2 | behind << 62;
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
        if start + length == PART {
            length += behind.trailing_ones() as usize;
        }
        let at = from + start;
        if looks_like_one(length, byte(at), byte(at + length - 1))
            && lookup(&head[at..at + length]).is_some()
        {
            return true;
        }
        words &= words - 1;
    }
    false
}

/// A bit for each byte, the first one's lowest, that says whether it is a letter.
fn letters(part: &[u8; PART]) -> u64 {
    let (eights, _) = part.as_chunks();
    let bits = eights.iter().enumerate();
    bits.fold(0, |bits, (n, eight)| bits | letters_of(*eight) << (8 * n))
}

/// The bits of eight bytes.
fn letters_of(eight: [u8; 8]) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // What takes `a`, and what comes behind `z`, over the high bit.
    const FROM_A: u64 = ONES * (0x80 - 0x61);
    const BEHIND_Z: u64 = ONES * (0x80 - 0x7b);
    let bytes = u64::from_le_bytes(eight);
    // Of seven bits each, so that no sum runs over into the next byte; capitals made small.
    let small = (bytes | (ONES * 0x20)) & !HIGH;
    let from_a = small + FROM_A;
    let behind_z = small + BEHIND_Z;
    let letters = from_a & !behind_z & !bytes & HIGH;
    // Gathers the high bits: each lands in the top byte, at its own place.
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
