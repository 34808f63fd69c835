//! Canonical paths: the name under which a checkpoint records a file or a pattern, independent of the
//! current folder and of links.

use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// The absolute path, with all links resolved except in the last component. Folders that do not exist,
/// and wildcards, are not changed.
pub fn key(name: &Path) -> PathBuf {
    let whole = std::path::absolute(name).unwrap_or_else(|_| name.to_owned());
    if let (Some(dir), Some(file)) = (whole.parent(), whole.file_name())
        && let Ok(dir) = fs::canonicalize(dir)
    {
        return dir.join(file);
    }
    let mut key = PathBuf::new();
    for part in whole.components() {
        // Only now is it known that the part before is a folder. `..` starts from a link's target.
        if let Ok(there) = fs::canonicalize(&key) {
            key = there;
        }
        match part {
            Component::ParentDir => drop(key.pop()),
            part => key.push(part),
        }
    }
    key
}

/// The keys of many names, of which each folder is looked up once.
#[derive(Default)]
pub struct Keys(HashMap<PathBuf, PathBuf>);

impl Keys {
    /// The key of a name.
    pub fn key(&mut self, name: &Path) -> PathBuf {
        let (Some(dir), Some(file)) = (name.parent(), name.file_name()) else {
            return key(name);
        };
        if let Some(known) = self.0.get(dir) {
            return known.join(file);
        }
        let key = key(name);
        if let Some(known) = key.parent() {
            self.0.insert(dir.to_owned(), known.to_owned());
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_name_has_one_key_wherever_it_is_given() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a/b", root.join("link")).unwrap();
        symlink("a/b/x.log", root.join("x.log")).unwrap();
        let mut keys = Keys::default();
        for (name, expected) in [
            ("a/b/x.log", "a/b/x.log"),
            ("link/x.log", "a/b/x.log"),
            ("link/../x.log", "a/x.log"),
            ("a/./b/../c/x.log", "a/c/x.log"),
            // The last part may come to lead elsewhere.
            ("x.log", "x.log"),
            ("link/*/../[x].log", "a/b/[x].log"),
            ("link/*.log", "a/b/*.log"),
            ("no/../x.log", "x.log"),
        ] {
            assert_eq!(key(&root.join(name)), root.join(expected), "{name}");
            for _ in 0..2 {
                assert_eq!(keys.key(&root.join(name)), root.join(expected), "{name}");
            }
        }
        let here = fs::canonicalize(".").unwrap();
        assert_eq!(key(Path::new("x.log")), here.join("x.log"));
    }
}
