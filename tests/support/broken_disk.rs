//! A broken disk: a library that makes what the program writes to files below a directory fail at
//! random. It is compiled where it is needed; tests say that they are skipped where there is no `cc`.

use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::io::Errno;

use super::dir::Dir;
use super::run::LokiPush;

/// Half of what is to be written is written all the same, as on a real disk.
const SOURCE: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fails(int fd) {
    static __thread unsigned seed;
    const char *below = getenv("BROKEN_BELOW"), *errors = getenv("BROKEN_ERRORS");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    if (!below || length < (ssize_t)strlen(below) || strncmp(path, below, strlen(below)))
        return 0;
    if (!seed)
        seed = getpid() ^ (unsigned)(size_t)&seed;
    if (rand_r(&seed) % 100 >= atoi(getenv("BROKEN_PERCENT")))
        return 0;
    int which[8], count = 0;
    for (char *end; count < 8 && *errors; errors = end)
        which[count++] = strtol(errors, &end, 10);
    return which[rand_r(&seed) % count];
}

ssize_t write(int fd, const void *bytes, size_t count) {
    int error = fails(fd);
    if (!error)
        return syscall(SYS_write, fd, bytes, count);
    syscall(SYS_write, fd, bytes, count / 2);
    errno = error;
    return -1;
}

int fdatasync(int fd) {
    int error = fails(fd);
    if (!error)
        return syscall(SYS_fdatasync, fd);
    errno = error;
    return -1;
}
"#;

/// The disk.
pub struct BrokenDisk {
    library: PathBuf,
    below: PathBuf,
    errors: String,
    percent: String,
}

impl BrokenDisk {
    /// Writes to files below a path fail with one of these errors, in so many of a hundred cases.
    pub fn new(dir: &Dir, below: &Path, errors: &[Errno], percent: usize) -> Option<Self> {
        let (source, library) = (dir.write("broken.c", SOURCE), dir.join("broken.so"));
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&library);
        let compiled = compiler.arg(&source).status();
        let is_dynamic = cfg!(all(target_os = "linux", target_env = "gnu"));
        if !is_dynamic || !compiled.is_ok_and(|status| status.success()) {
            eprintln!("skipped: no library can be put before the system's (cc)");
            return None;
        }
        let errors = errors.iter().map(|error| error.raw_os_error().to_string());
        Some(Self {
            library,
            below: below.to_owned(),
            errors: errors.collect::<Vec<_>>().join(" "),
            percent: percent.to_string(),
        })
    }

    /// A run on this disk.
    pub fn run(&self, run: LokiPush) -> LokiPush {
        run.env("LD_PRELOAD", &self.library)
            .env("BROKEN_BELOW", &self.below)
            .env("BROKEN_ERRORS", &self.errors)
            .env("BROKEN_PERCENT", &self.percent)
    }
}
