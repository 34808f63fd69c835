//! Recognizes compressed files and archives by their first bytes, independent of their names.

use std::path::Path;

use crate::report::humanize::shell_word;

/// Number of bytes at the beginning of a file that are needed to recognize all formats.
pub const NEEDED: usize = 512;

/// The format of a file that is not plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Gzip, which is decompressed while it is read.
    Gzip,
    /// A format that is not read. The output of a command can be piped in instead.
    Other {
        /// The name of the format.
        name: &'static str,
        /// A command that writes the content to standard output, without the file's name.
        command: &'static str,
    },
}

/// The other formats: the offset of their magic number, the number, their name and the command.
const OTHERS: [(usize, &[u8], &str, &str); 10] = [
    (0, b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
    (0, b"BZh", "bzip2", "bzip2 -dc"),
    (0, b"\xfd7zXZ\0", "xz", "xz -dc"),
    (0, b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
    (0, b"PK\x03\x04", "zip", "unzip -p"),
    (0, b"PK\x05\x06", "zip", "unzip -p"),
    (0, b"\x5d\0\0", "lzma", "xz -dc"),
    (0, b"7z\xbc\xaf\x27\x1c", "7z", "7z x -so"),
    (0, b"\x1f\x9d", "compress", "gzip -dc"),
    (257, b"ustar", "tar", "tar -xOf"),
];

/// Recognizes the format of a file by its first bytes. Returns `None` for anything else, such as text.
pub fn recognize(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"\x1f\x8b\x08") {
        return Some(Format::Gzip);
    }
    let other = OTHERS
        .iter()
        .find(|(at, mark, ..)| head.get(*at..).is_some_and(|head| head.starts_with(mark)));
    let &(_, mark, name, command) = other?;
    // "BZh" could begin a line of text; the block size and the first block's mark follow it.
    if mark == b"BZh" && !(head.len() >= 10 && matches!(&head[4..10], b"1AY&SY" | b"\x17rE8P\x90"))
    {
        return None;
    }
    Some(Format::Other { name, command })
}

/// Recognizes an archive that is compressed by gzip, by the first bytes of its content.
pub fn recognize_inside_gzip(head: &[u8]) -> Option<Format> {
    let is_tar = matches!(recognize(head), Some(Format::Other { name: "tar", .. }));
    is_tar.then_some(Format::Other {
        name: "tar.gz",
        command: "tar -xzOf",
    })
}

/// The message for a file of a format that is not read.
pub fn refusal(name: &str, command: &str, path: &Path) -> String {
    format!(
        "it is in {name} format: use `{command} {} | loki-push`",
        shell_word(&path.to_string_lossy())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_recognized_and_text_is_not() {
        let name = |head: &[u8]| match recognize(head) {
            Some(Format::Gzip) => "gzip",
            Some(Format::Other { name, .. }) => name,
            None => "text",
        };
        let mut tar = vec![b'a'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, expected) in [
            (&b"\x1f\x8b\x08\0\0"[..], "gzip"),
            (b"\x28\xb5\x2f\xfd\x04", "zstd"),
            (b"BZh91AY&SY\0", "bzip2"),
            (b"BZh9\x17rE8P\x90\0\0", "bzip2"),
            (b"\xfd7zXZ\0\0", "xz"),
            (b"PK\x03\x04\x14", "zip"),
            (b"\x5d\0\0\x80\0", "lzma"),
            (b"7z\xbc\xaf\x27\x1c\0", "7z"),
            (b"7z is on disk\n", "text"),
            (&tar, "tar"),
            (b"BZh is what this line begins with\n", "text"),
            (b"PK\n", "text"),
            (b"plain text\n", "text"),
            (b"", "text"),
            (b"\x1f", "text"),
        ] {
            assert_eq!(name(head), expected, "{head:?}");
        }
    }
}
