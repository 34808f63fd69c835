//! Reads all members of a gzip file as one text, as `gzip -d` does.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

/// The first byte of a member.
const MAGIC: u8 = 0x1f;

/// Reads the decompressed content of all members.
pub struct MultiGzReader<R> {
    /// None after the last member.
    member: Option<GzDecoder<BufReader<R>>>,
}

impl<R: Read> MultiGzReader<R> {
    /// Creates a reader that starts at the first member.
    pub fn new(packed: R) -> Self {
        let member = Some(GzDecoder::new(BufReader::new(packed)));
        Self { member }
    }

    /// Continues after a member. NULs that fill the last block of a tape are ignored.
    fn next(&mut self) -> io::Result<()> {
        let Some(member) = self.member.take() else {
            return Ok(());
        };
        let mut packed = member.into_inner();
        loop {
            let rest = packed.fill_buf()?;
            match rest.first() {
                None => return Ok(()),
                Some(&MAGIC) => {
                    self.member = Some(GzDecoder::new(packed));
                    return Ok(());
                }
                Some(_) if rest.iter().all(|&byte| byte == 0) => {}
                Some(_) => {
                    return Err(io::Error::other(
                        "the decompressed content is shipped, but it is followed by data that is not \
                         gzip, which is ignored",
                    ));
                }
            }
            let nuls = rest.len();
            packed.consume(nuls);
        }
    }
}

impl<R: Read> Read for MultiGzReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            match member.read(buffer).map_err(explained)? {
                0 if !buffer.is_empty() => self.next()?,
                read => return Ok(read),
            }
        }
        Ok(0)
    }
}

/// Explains an error of the decompressor to the user.
fn explained(error: io::Error) -> io::Error {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off; what could be decompressed is shipped",
        io::ErrorKind::InvalidInput if error.get_ref().is_some() => {
            "it is damaged or not compressed by gzip; what could be decompressed is shipped"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{why} ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// The decompressed text, and the error that ended it.
    fn inside(packed: &[&[u8]]) -> (String, Option<String>) {
        let (packed, mut text) = (packed.concat(), Vec::new());
        let error = MultiGzReader::new(&packed[..]).read_to_end(&mut text).err();
        (
            String::from_utf8(text).unwrap(),
            error.map(|error| error.to_string()),
        )
    }

    #[test]
    fn members_are_joined_and_nuls_after_them_are_ignored() {
        let (one, two) = (gzip("one\n"), gzip("two\n"));
        let nuls = vec![0; 20_000];
        let whole = |text: &str| (text.to_owned(), None);
        assert_eq!(inside(&[&one, &gzip(""), &two]), whole("one\ntwo\n"));
        assert_eq!(inside(&[&one, &nuls]), whole("one\n"));
        let (text, why) = inside(&[&one, &nuls, b"x"]);
        assert_eq!((&*text, why.unwrap().contains("ignored")), ("one\n", true));
        let (text, why) = inside(&[&one, b"garbage"]);
        assert_eq!((&*text, why.unwrap().contains("ignored")), ("one\n", true));
    }

    #[test]
    fn truncated_or_invalid_gzip_is_an_error() {
        let one = gzip("one\n");
        let long_text = b"text that is longer than a header\n";
        let mut damaged = one.clone();
        damaged[12] ^= 0xff;
        for (packed, expected) in [
            (&[][..], "cut off"),
            (&one[..5], "cut off"),
            (&one[..one.len() - 1], "cut off"),
            (long_text, "damaged or not"),
            (&damaged, "damaged or not"),
        ] {
            let why = inside(&[packed]).1.unwrap();
            assert!(why.contains(expected), "{packed:?}: {why}");
        }
        assert!(inside(&[&one, &one[..4]]).1.is_some());
    }
}
