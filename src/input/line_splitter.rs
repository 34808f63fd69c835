//! Splits the bytes of an input into lines of bounded length.
//!
//! UTF-16 is decoded. Offsets are those of the bytes in the input.

use std::io::{self, Read};

use crate::entry::line::LineFragment;
use crate::input::encoding::Encoding;

/// Number of bytes read at once. Pipes hold 64 KiB on Linux.
const READ: usize = 64 * 1024;

/// Splits an input into lines, and holds the bytes that were read and not yet returned.
#[derive(Debug)]
pub struct LineSplitter {
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    filled: usize,
    fresh: usize,
    delimiter: u8,
    limit: usize,
    portion: usize,
    mid_line: bool,
    offset: u64,
    encoding: Encoding,
    /// The decoded text of the last UTF-16 line.
    decoded: Vec<u8>,
    /// Whether NULs at the start of a line are skipped.
    skips_nuls: bool,
    /// Number of NULs skipped since the last line.
    skipped: u64,
}

impl LineSplitter {
    /// Creates a splitter for lines that end in `delimiter` (a newline or a NUL). Lines longer than
    /// `limit` bytes are split at character boundaries.
    pub fn new(delimiter: u8, limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            scanned: 0,
            filled: 0,
            fresh: 0,
            delimiter,
            limit: limit.max(4),
            portion: READ,
            mid_line: false,
            offset: 0,
            encoding: Encoding::Utf8,
            decoded: Vec::new(),
            skips_nuls: false,
            skipped: 0,
        }
    }

    /// Limits each read to this many bytes, for a rate-limited input.
    #[must_use]
    pub fn in_portions(self, bytes: usize) -> Self {
        Self {
            portion: bytes.clamp(1, READ),
            ..self
        }
    }

    /// Skips NULs at the start of a line and at the end of the input, which a crash or preallocation
    /// leaves in a file.
    #[must_use]
    pub fn without_padding(self) -> Self {
        Self {
            skips_nuls: self.delimiter != 0,
            ..self
        }
    }

    /// Number of bytes that always complete a fragment. UTF-16 may have two bytes for one of UTF-8.
    pub fn stride(&self) -> usize {
        self.limit * self.encoding.unit() + READ
    }

    /// Whether the input is rate-limited.
    pub fn is_slow(&self) -> bool {
        self.portion < READ
    }

    /// Reads once. Returns the number of bytes read, 0 at the end.
    ///
    /// # Errors
    /// Those of the reader; an interrupted read is retried.
    pub fn read(&mut self, from: &mut impl Read) -> io::Result<usize> {
        self.make_room();
        loop {
            match from.read(&mut self.buffer[self.filled..self.filled + self.portion]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    self.fresh = self.filled;
                    self.filled += *result.as_ref().unwrap_or(&0);
                    return result;
                }
            }
        }
    }

    /// Drops what was read and continues in another input at `offset`, within a line if `mid_line`:
    /// what [`LineSplitter::offset`], [`LineSplitter::mid_line`] and [`LineSplitter::encoding`]
    /// returned for it. At its start a byte order mark decides its encoding anew.
    pub fn seek(&mut self, offset: u64, mid_line: bool, encoding: Encoding) {
        (self.start, self.scanned, self.filled, self.fresh) = (0, 0, 0, 0);
        (self.offset, self.mid_line) = (offset, mid_line);
        self.encoding = if offset == 0 {
            Encoding::Utf8
        } else {
            encoding
        };
        self.skipped = 0;
    }

    /// Discards the bytes of the last read.
    pub fn discard_last_read(&mut self) {
        self.filled = self.fresh;
    }

    /// Discards the last bytes of the last read.
    pub fn unread_last(&mut self, bytes: usize) {
        self.filled -= bytes;
    }

    /// The bytes of the last read, unchanged.
    pub fn last_read(&self) -> &[u8] {
        &self.buffer[self.fresh..self.filled]
    }

    /// Returns the next whole line, or a fragment of a line that is too long.
    pub fn next_piece(&mut self) -> Option<LineFragment<'_>> {
        self.skip_mark();
        self.skip_nuls();
        if self.encoding != Encoding::Utf8 {
            return self.next_decoded(false);
        }
        let found = memchr::memchr(self.delimiter, &self.buffer[self.scanned..self.filled]);
        let end = found.map_or(self.filled, |at| self.scanned + at);
        let text = self.start..end;
        if self.trimmed(text.end).min(text.end) - text.start > self.limit {
            let cut = char_boundary(&self.buffer[text.clone()], self.limit);
            return Some(self.hand_out(text.start + cut, text.start + cut, true));
        }
        if found.is_none() {
            self.scanned = self.filled;
            return None;
        }
        Some(self.hand_out(self.trimmed(end), end + 1, false))
    }

    /// Returns the last line at the end of the input if it has no line end.
    pub fn take_remainder(&mut self) -> Option<LineFragment<'_>> {
        self.skip_mark();
        self.skip_nuls();
        if self.skips_nuls {
            // Where they are, content may still be written.
            let text = &self.buffer[self.start..self.filled];
            let nuls = text.iter().rev().take_while(|&&byte| byte == 0).count();
            let half = (text.len() - nuls) % self.encoding.unit();
            self.filled -= nuls.saturating_sub(half);
        }
        let (start, filled) = (self.start, self.filled);
        if start == filled {
            return None;
        }
        if self.encoding != Encoding::Utf8 {
            return self.next_decoded(true);
        }
        Some(self.hand_out(self.trimmed(filled), filled, false))
    }

    /// Returns the next line, or fragment of a line, in UTF-16; at the end of the input even if it has
    /// no line end.
    fn next_decoded(&mut self, at_end: bool) -> Option<LineFragment<'_>> {
        let text = &self.buffer[self.scanned..self.filled];
        let found = self.encoding.find(text, self.delimiter);
        let whole = self.scanned + text.len() / 2 * 2;
        let end = match found {
            Some(at) => self.scanned + at,
            None if at_end => self.filled,
            None => whole,
        };
        let is_open = found.is_none() && !at_end;
        // Three bytes of UTF-8 at most for a code unit.
        if is_open && (end - self.start) / 2 * 3 <= self.limit {
            self.scanned = whole;
            return None;
        }
        let text = &self.buffer[self.start..end];
        let is_crlf = self.delimiter == b'\n' && self.encoding.ends_in(text, b'\r');
        let text = &text[..text.len() - if is_crlf { 2 } else { 0 }];
        let limit = if at_end { usize::MAX } else { self.limit };
        let read = self.encoding.decode(text, limit, &mut self.decoded);
        let is_cut = read < text.len();
        if is_open && !is_cut {
            self.scanned = whole;
            return None;
        }
        let next = match found {
            _ if is_cut => self.start + read,
            Some(_) => end + 2,
            None => end,
        };
        let first = self.advance(next, is_cut);
        Some(LineFragment {
            bytes: &self.decoded,
            first,
            end: self.offset,
        })
    }

    /// Whether the beginning of a line was read.
    pub fn has_remainder(&self) -> bool {
        self.filled > self.start
    }

    /// The offset in the input after everything that was read.
    pub fn end(&self) -> u64 {
        self.offset + (self.filled - self.start) as u64
    }

    /// The offset in the input of the first byte that was not returned.
    pub fn offset(&self) -> u64 {
        // NULs at the end may still be overwritten with content.
        self.offset - self.skipped
    }

    /// Whether that byte continues a line whose start was returned.
    pub fn mid_line(&self) -> bool {
        self.mid_line
    }

    /// The encoding, which is known after the first read.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Skips a byte order mark at the start of the input, and sets the encoding.
    fn skip_mark(&mut self) {
        if self.offset == 0
            && let Some((encoding, len)) = Encoding::of_mark(&self.buffer[self.start..self.filled])
        {
            self.encoding = encoding;
            self.skip(len);
        }
        // Read with another encoding before, or cut off in the middle of a code unit.
        if self.encoding != Encoding::Utf8 && self.offset % 2 == 1 && self.start < self.filled {
            self.skip(1);
        }
    }

    /// Skips bytes that are not part of a line.
    fn skip(&mut self, bytes: usize) {
        self.start += bytes;
        self.scanned = self.scanned.max(self.start);
        self.offset += bytes as u64;
    }

    fn skip_nuls(&mut self) {
        if !self.skips_nuls || self.mid_line || self.buffer.get(self.start) != Some(&0) {
            return;
        }
        let nuls = self.buffer[self.start..self.filled].iter();
        let nuls = nuls.take_while(|&&byte| byte == 0).count();
        // The first half of the next code unit may be one of them.
        let nuls = nuls - nuls % self.encoding.unit();
        self.skip(nuls);
        self.skipped += nuls as u64;
    }

    fn hand_out(&mut self, text_end: usize, next: usize, cut: bool) -> LineFragment<'_> {
        let start = self.start;
        let first = self.advance(next, cut);
        LineFragment {
            bytes: &self.buffer[start..text_end],
            first,
            end: self.offset,
        }
    }

    /// Advances to `next`, which continues the line if `cut`. Returns whether the bytes before it start
    /// a line.
    fn advance(&mut self, next: usize, cut: bool) -> bool {
        self.offset += (next - self.start) as u64;
        (self.start, self.scanned, self.skipped) = (next, next, 0);
        !std::mem::replace(&mut self.mid_line, cut)
    }

    /// The end of a line's text, given the position of its delimiter. One `\r` before a newline belongs
    /// to the line end.
    fn trimmed(&self, end: usize) -> usize {
        let is_crlf = self.delimiter == b'\n' && self.buffer[self.start..end].ends_with(b"\r");
        end - usize::from(is_crlf)
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.scanned -= self.start;
            self.start = 0;
        }
        // A large buffer was only needed for a long line, which is rare.
        if self.filled == 0 && self.buffer.len() > 4 * READ {
            self.buffer = Vec::new();
        }
        if self.buffer.len() < self.filled + self.portion {
            // By a quarter, not by doubling.
            let more = READ.max(self.filled / 4);
            self.buffer
                .reserve_exact(self.filled + more - self.buffer.len());
            self.buffer.resize(self.filled + more, 0);
        }
    }
}

/// The last position up to `limit` that is not inside a UTF-8 character. Bytes that are not UTF-8 are
/// split anywhere.
fn char_boundary(bytes: &[u8], limit: usize) -> usize {
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    (limit.saturating_sub(3)..=limit)
        .rev()
        .find(|&at| !is_inside(at))
        .unwrap_or(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All pieces of an input read in portions of `portion` bytes.
    fn pieces(input: &[u8], delimiter: u8, limit: usize, portion: usize) -> Vec<(Vec<u8>, bool)> {
        let mut lines = LineSplitter::new(delimiter, limit);
        let mut out = Vec::new();
        for mut part in input.chunks(portion) {
            lines.read(&mut part).unwrap();
            while let Some(piece) = lines.next_piece() {
                out.push((piece.bytes.to_vec(), piece.first));
            }
        }
        out.extend(
            lines
                .take_remainder()
                .map(|piece| (piece.bytes.to_vec(), piece.first)),
        );
        assert_eq!(lines.offset(), input.len() as u64);
        out
    }

    fn whole(list: &[&str]) -> Vec<(Vec<u8>, bool)> {
        list.iter()
            .map(|line| (line.as_bytes().to_vec(), true))
            .collect()
    }

    #[test]
    fn line_ends_go_and_blank_lines_stay() {
        let input = b"a\r\n\n\r\nb\rc\n\0d\n last";
        for portion in 1..=input.len() {
            assert_eq!(
                pieces(input, b'\n', 100, portion),
                whole(&["a", "", "", "b\rc", "\0d", " last"]),
                "{portion} bytes a read"
            );
        }
        assert_eq!(
            pieces(b"a\r\n\0b\0\0", 0, 100, 2),
            whole(&["a\r\n", "b", ""])
        );
        assert_eq!(pieces(b"", b'\n', 100, 1), []);
        assert_eq!(pieces(b"\n", b'\n', 100, 1), whole(&[""]));
        assert_eq!(pieces(b"last\r", b'\n', 100, 1), whole(&["last"]));
    }

    #[test]
    fn long_lines_are_cut_at_characters_and_lose_nothing() {
        let input = "aé日😀".repeat(50);
        for limit in 4..40 {
            for portion in [1, 7, 1_000] {
                let cut = pieces(input.as_bytes(), b'\n', limit, portion);
                assert_eq!(
                    cut.iter()
                        .flat_map(|(bytes, _)| bytes.clone())
                        .collect::<Vec<_>>(),
                    input.as_bytes()
                );
                for (bytes, _) in &cut {
                    assert!(bytes.len() <= limit && std::str::from_utf8(bytes).is_ok());
                }
                assert_eq!(cut.iter().filter(|(_, first)| *first).count(), 1);
            }
        }
    }

    #[test]
    fn a_line_as_long_as_the_limit_is_one_entry_whatever_its_end() {
        for input in ["12345678\nx", "12345678\r\nx"] {
            for portion in 1..12 {
                assert_eq!(
                    pieces(input.as_bytes(), b'\n', 8, portion),
                    whole(&["12345678", "x"])
                );
            }
        }
    }

    #[test]
    fn offsets_are_after_the_line_end() {
        let mut lines = LineSplitter::new(b'\n', 100);
        lines.read(&mut &b"ab\r\nc\n"[..]).unwrap();
        assert_eq!(lines.next_piece().map(|piece| piece.end), Some(4));
        assert_eq!(lines.next_piece().map(|piece| piece.end), Some(6));
        assert_eq!(lines.next_piece(), None);
    }

    #[test]
    fn one_buffer_serves_many_inputs_in_turn() {
        let mut lines = LineSplitter::new(b'\n', 4);
        lines.read(&mut &b"abcdefg"[..]).unwrap();
        assert_eq!(lines.next_piece().map(|piece| piece.end), Some(4));
        let place = (lines.offset(), lines.mid_line());
        lines.seek(100, false, Encoding::Utf8);
        lines.read(&mut &b"x\n"[..]).unwrap();
        let other = lines.next_piece().unwrap();
        assert_eq!(
            (other.bytes, other.first, other.end),
            (&b"x"[..], true, 102)
        );
        lines.seek(place.0, place.1, Encoding::Utf8);
        lines.read(&mut &b"efg\n"[..]).unwrap();
        let rest = lines.next_piece().unwrap();
        assert_eq!((rest.bytes, rest.first, rest.end), (&b"efg"[..], false, 8));
        lines.read(&mut &b"gone"[..]).unwrap();
        lines.discard_last_read();
        assert_eq!(lines.next_piece(), None);
        assert_eq!(lines.take_remainder(), None);
    }

    /// UTF-16 with a byte order mark.
    fn utf16(text: &str, is_big: bool) -> Vec<u8> {
        let text = format!("\u{feff}{text}");
        let units = text.encode_utf16();
        let bytes = units.map(|unit| {
            if is_big {
                unit.to_be_bytes()
            } else {
                unit.to_le_bytes()
            }
        });
        bytes.flatten().collect()
    }

    #[test]
    fn utf_16_is_cut_and_decoded_like_utf_8() {
        let text = "a\r\n\n\r\n\u{a0d}\u{d0a}\nb\rc\n😀é\n last\r";
        for is_big in [false, true] {
            let input = utf16(text, is_big);
            for portion in 1..=input.len() {
                assert_eq!(
                    pieces(&input, b'\n', 100, portion),
                    whole(&["a", "", "", "\u{a0d}\u{d0a}", "b\rc", "😀é", " last"])
                );
            }
            let mut odd = utf16("x\ny", is_big);
            odd.push(b'!');
            let last = (b"y\xff".to_vec(), true);
            assert_eq!(
                pieces(&odd, b'\n', 100, 3),
                [whole(&["x"])[0].clone(), last]
            );
            assert_eq!(
                pieces(&utf16("a\nb\0c", is_big), 0, 9, 1),
                whole(&["a\nb", "c"])
            );
            assert_eq!(pieces(&utf16("", is_big), b'\n', 9, 1), []);
            for limit in 4..40 {
                let long = "aé日😀".repeat(50);
                for portion in [1, 7, 1_000] {
                    let cut = pieces(&utf16(&long, is_big), b'\n', limit, portion);
                    let joined: Vec<u8> = cut.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
                    assert_eq!(joined, long.as_bytes());
                    for (bytes, _) in &cut {
                        assert!(bytes.len() <= limit && std::str::from_utf8(bytes).is_ok());
                    }
                    assert_eq!(cut.iter().filter(|(_, first)| *first).count(), 1);
                }
            }
        }
    }

    #[test]
    fn an_endless_line_does_not_grow_the_buffer() {
        let mut lines = LineSplitter::new(b'\n', 1_000);
        let mut total = 0;
        for _ in 0..200 {
            lines.read(&mut &vec![b'x'; READ][..]).unwrap();
            while let Some(piece) = lines.next_piece() {
                total += piece.bytes.len();
            }
        }
        total += lines.take_remainder().map_or(0, |piece| piece.bytes.len());
        assert_eq!(total, 200 * READ);
        assert!(lines.buffer.len() < 3 * READ);
    }
}
