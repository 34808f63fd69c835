//! The processes that a command left behind with its pipes open, for the message about them.

use std::fs;
use std::os::fd::AsFd;

use rustix::fs::fstat;

/// Maximum number of processes named.
const MAX_NAMED: usize = 3;

/// The other processes that have one of these pipes open, as `name (pid)`, as far as they can be
/// determined.
pub fn pipe_holders(pipes: &[&dyn AsFd]) -> Vec<String> {
    let wanted: Vec<String> = pipes
        .iter()
        .filter_map(|pipe| fstat(pipe).ok())
        .map(|stat| format!("pipe:[{}]", stat.st_ino))
        .collect();
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holders = numbers.filter(|number| *number != own && holds(*number, &wanted));
    holders.take(MAX_NAMED).map(described).collect()
}

/// Whether a process has one of these pipes open.
fn holds(number: u32, wanted: &[String]) -> bool {
    let open = fs::read_dir(format!("/proc/{number}/fd"));
    let links = open.into_iter().flatten().flatten();
    let mut targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.any(|target| wanted.iter().any(|wanted| target.as_os_str() == &**wanted))
}

fn described(number: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{number}/comm")).unwrap_or_default();
    match name.trim() {
        "" => format!("process {number}"),
        name => format!("{name} (process {number})"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_process_that_has_the_pipe_is_named_and_we_are_not() {
        let (reader, writer) = io::pipe().unwrap();
        assert_eq!(pipe_holders(&[&reader]), [""; 0]);
        let mut cat = Command::new("cat")
            .stdin(Stdio::piped())
            .stdout(writer)
            .spawn()
            .unwrap();
        let mut stdin = cat.stdin.take().unwrap();
        stdin.write_all(b"x").unwrap();
        // It has its name when it has begun to work.
        io::Read::read_exact(&mut &reader, &mut [0]).unwrap();
        let expected = format!("cat (process {})", cat.id());
        assert_eq!(pipe_holders(&[&reader]), [expected]);
        drop(stdin);
        cat.wait().unwrap();
    }
}
