//! Reads files of secrets and certificates. A path may be a device or a named pipe, so size and time are
//! limited.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The maximum size of a file in bytes. The bundle of all public authorities is a quarter of it.
const LARGEST: u64 = 1024 * 1024;

/// How long to wait for the writer of a named pipe.
const FIFO_WAIT: Duration = Duration::from_secs(10);

/// Reads a whole file.
///
/// # Errors
/// If it cannot be read, is too large, or is a pipe without a writer.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let is_fifo = fs::metadata(path)?.file_type().is_fifo();
    let mut bytes = Vec::new();
    if is_fifo {
        // Opening it would wait for a writer.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let pipe = OpenOptions::new()
            .read(true)
            .custom_flags(nonblocking)
            .open(path)?;
        read_pipe(&pipe, &mut bytes)?;
    } else {
        File::open(path)?
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

fn read_pipe(mut pipe: &File, bytes: &mut Vec<u8>) -> io::Result<()> {
    let deadline = Instant::now() + FIFO_WAIT;
    let mut part = [0; 4096];
    while bytes.len() as u64 <= LARGEST {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut fds = [PollFd::new(pipe, PollFlags::IN)];
        if left.is_zero() || poll(&mut fds, Some(&timeout))? == 0 {
            let why = "nobody wrote to this pipe within 10s";
            return Err(io::Error::new(io::ErrorKind::TimedOut, why));
        }
        match pipe.read(&mut part) {
            Ok(0) => return Ok(()),
            Ok(amount) => bytes.extend_from_slice(&part[..amount]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_end_is_not_read_without_end() {
        let error = read_file(Path::new("/dev/zero")).expect_err("no end");
        assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
        assert_eq!(read_file(Path::new("/dev/null")).expect("empty"), b"");
    }
}
