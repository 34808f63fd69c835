//! Complete writes to a file descriptor that another process may have made non-blocking, such as a
//! shared standard output.

use std::io::{self, Write};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};

/// A destination that can be written to and polled.
pub trait PollableWrite: Write + AsFd + Send {}

impl<T: Write + AsFd + Send> PollableWrite for T {}

/// A write that ended early.
#[derive(Debug)]
pub struct Cut {
    /// The number of bytes written before that.
    pub written: usize,
    /// What went wrong.
    pub why: io::Error,
}

/// Writes the whole buffer, polling while the descriptor is not writable.
///
/// # Errors
/// If the reader has closed its end, or the disk is full.
pub fn write_all(bytes: &[u8], out: &mut dyn PollableWrite) -> Result<(), Cut> {
    let mut written = 0;
    loop {
        let rest = &bytes[written..];
        let done = if rest.is_empty() {
            out.flush().map(|()| 0)
        } else {
            out.write(rest)
        };
        let why = match done {
            Ok(_) if rest.is_empty() => return Ok(()),
            Ok(0) => io::ErrorKind::WriteZero.into(),
            Ok(more) => {
                written += more;
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let out = out.as_fd();
                match poll(&mut [PollFd::new(&out, PollFlags::OUT)], None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => continue,
                    Err(error) => error.into(),
                }
            }
            Err(error) => error,
        };
        return Err(Cut { written, why });
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::thread;

    use rustix::fs::{OFlags, fcntl_setfl};

    use super::*;

    #[test]
    fn a_full_outlet_that_does_not_block_is_waited_for() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let text = vec![b'x'; 1 << 20];
        let read = thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        write_all(&text, &mut writer).unwrap();
        drop(writer);
        assert!(read.join().unwrap().unwrap() == text);
    }

    #[test]
    fn what_was_written_before_the_reader_went_is_known() {
        let (reader, mut writer) = io::pipe().unwrap();
        fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
        let closes = thread::spawn(move || {
            let mut reader = reader;
            reader.read_exact(&mut [0; 10])
        });
        let cut = write_all(&vec![b'x'; 1 << 20], &mut writer).unwrap_err();
        closes.join().unwrap().unwrap();
        assert_eq!(cut.why.kind(), io::ErrorKind::BrokenPipe);
        assert!((10..1 << 20).contains(&cut.written), "{}", cut.written);
    }
}
