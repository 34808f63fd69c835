//! A directory of a test's own, removed when the test is done with it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A temporary directory with the few things tests do in one. Each panics with the path when
/// it cannot be done.
#[derive(Debug)]
pub struct Dir(tempfile::TempDir);

impl Dir {
    /// A new, empty directory.
    #[allow(clippy::new_without_default, reason = "it acts")]
    pub fn new() -> Self {
        let made = tempfile::Builder::new().prefix("loki-push-").tempdir();
        Self(made.expect("a temporary directory"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of something in the directory.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file anew, with the directories above it; gives its path.
    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        if let Some(above) = path.parent() {
            done(&path, fs::create_dir_all(above));
        }
        done(&path, fs::write(&path, bytes));
        path
    }

    /// Writes a program anew, with the directories above it; gives its path. Another process does
    /// it: a child that another test just starts holds a copy of what we have open from its fork
    /// to its exec, and what somebody can write to cannot be run.
    pub fn write_program(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        if let Some(above) = path.parent() {
            done(&path, fs::create_dir_all(above));
        }
        let mut sh = Command::new("sh");
        sh.args(["-c", "cat > \"$0\" && chmod +x \"$0\""])
            .arg(&path);
        let mut sh = done(&path, sh.stdin(Stdio::piped()).spawn());
        let mut pipe = sh.stdin.take().expect("a pipe");
        done(&path, pipe.write_all(bytes.as_ref()));
        drop(pipe);
        assert!(done(&path, sh.wait()).success(), "{}", path.display());
        path
    }

    /// Appends to a file, which is made if it is not there; gives its path.
    pub fn append(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        let file = fs::OpenOptions::new().append(true).create(true).open(&path);
        done(&path, done(&path, file).write_all(bytes.as_ref()));
        path
    }

    /// What a file holds.
    pub fn read(&self, name: impl AsRef<Path>) -> Vec<u8> {
        let path = self.join(name);
        done(&path, fs::read(&path))
    }

    /// What a file holds, as text.
    pub fn read_text(&self, name: impl AsRef<Path>) -> String {
        let path = self.join(name);
        done(&path, fs::read_to_string(&path))
    }

    pub fn rename(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) {
        let (from, to) = (self.join(from), self.join(to));
        done(&from, fs::rename(&from, to));
    }

    pub fn remove(&self, name: impl AsRef<Path>) {
        let path = self.join(name);
        done(&path, fs::remove_file(&path));
    }

    /// All files below the directory, relative to it, sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        let (mut found, mut open) = (Vec::new(), vec![self.path().to_owned()]);
        while let Some(dir) = open.pop() {
            for item in done(&dir, fs::read_dir(&dir)) {
                let path = done(&dir, item).path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    found.push(path.strip_prefix(self.path()).unwrap().to_owned());
                }
            }
        }
        found.sort();
        found
    }
}

fn done<T>(path: &Path, result: std::io::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
