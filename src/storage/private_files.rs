//! Private files: everything that the program keeps on disk is opened here.
//!
//! The directory that a file is kept in may be one that other users can write to, so what is found
//! there is not trusted: a link in the last component of a path is not followed, only regular files
//! (and directories) that belong to this user are opened, and opening one never blocks. What is
//! created is for its owner alone, whatever the umask, and a temporary file is created exclusively.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, RawMode, RenameFlags, Stat, fchmod, fstat, mkdirat,
    openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::process::geteuid;

/// The permissions of a file that only its owner may read.
const FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// The permissions of a directory that only its owner may enter.
const DIR: Mode = Mode::RWXU;
/// The permissions of everybody else.
const OTHERS: Mode = Mode::RWXG.union(Mode::RWXO);
/// The flags with which every file is opened.
const SAFELY: OFlags = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The error for a link.
const LINK: &str = "is a symbolic link, which is not followed";

/// A directory that is held open. What is in it is reached through the handle, so that nobody can
/// put another directory in its place.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
    path: PathBuf,
}

/// Owner and permissions of a file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// The user id of the owner.
    pub owner: u32,
    /// The permission bits.
    pub mode: RawMode,
    /// Whether it is a directory.
    pub is_dir: bool,
}

impl Access {
    fn of(stat: &Stat) -> Self {
        Self {
            owner: stat.st_uid,
            mode: Mode::from_raw_mode(stat.st_mode).bits() & 0o7777,
            is_dir: FileType::from_raw_mode(stat.st_mode).is_dir(),
        }
    }

    /// Whether it belongs to this user.
    pub fn is_ours(self) -> bool {
        self.owner == geteuid().as_raw()
    }

    /// Whether only its owner may read it, or enter it.
    pub fn is_private(self) -> bool {
        Mode::from_raw_mode(self.mode)
            .intersection(OTHERS)
            .is_empty()
    }
}

impl Dir {
    /// Opens a directory. A link in its place is not followed.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_at(CWD, path.as_os_str(), path.to_owned(), OFlags::NOFOLLOW)
    }

    /// Opens a directory, and creates it, and those above it, if it does not exist.
    ///
    /// # Errors
    /// If this cannot be done.
    pub fn open_or_create(path: &Path) -> io::Result<Self> {
        Self::open_or_create_with(path, OFlags::NOFOLLOW)
    }

    fn open_or_create_with(path: &Path, flags: OFlags) -> io::Result<Self> {
        match Self::open_at(CWD, path.as_os_str(), path.to_owned(), flags) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let above = Self::open_or_create_with(or_here(above), OFlags::empty())?;
        match above.create_dir(name) {
            // Somebody else was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Self::open_at(CWD, path.as_os_str(), path.to_owned(), flags)
            }
            created => created.map(|dir| Self {
                path: path.to_owned(),
                ..dir
            }),
        }
    }

    /// Opens the directory that a file is in, whose own name is returned too.
    fn of_file(path: &Path) -> io::Result<(Self, &OsStr)> {
        let name = path
            .file_name()
            .ok_or_else(|| io::Error::other(format!("{} is a directory", path.display())))?;
        let above = or_here(path.parent().unwrap_or(Path::new("")));
        let dir = Self::open_at(CWD, above.as_os_str(), above.to_owned(), OFlags::empty())?;
        Ok((dir, name))
    }

    fn open_at(
        dir: impl std::os::fd::AsFd,
        name: &OsStr,
        path: PathBuf,
        flags: OFlags,
    ) -> io::Result<Self> {
        let all = flags | OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
        match openat(&dir, name, all, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path }),
            // What a link is called depends on the system.
            Err(error) => Err(match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if is_link(&stat) && flags.contains(OFlags::NOFOLLOW) => {
                    refused(&path, LINK)
                }
                _ => error.into(),
            }),
        }
    }

    /// Its path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its owner and permissions.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn access(&self) -> io::Result<Access> {
        Ok(Access::of(&fstat(&self.fd)?))
    }

    /// Checks that it belongs to this user.
    ///
    /// # Errors
    /// If it belongs to another one.
    pub fn check_owner(&self) -> io::Result<()> {
        let access = self.access()?;
        if access.is_ours() {
            Ok(())
        } else {
            Err(foreign(&self.path, access.owner))
        }
    }

    /// The owner and permissions of something in it; those of a link itself.
    ///
    /// # Errors
    /// If there is no such name.
    pub fn access_of(&self, name: impl AsRef<OsStr>) -> io::Result<Access> {
        Ok(Access::of(&self.stat(name.as_ref())?))
    }

    /// The length of a file of ours in it; 0 if it is anything else.
    pub fn own_bytes(&self, name: impl AsRef<OsStr>) -> u64 {
        let Ok(stat) = self.stat(name.as_ref()) else {
            return 0;
        };
        let is_file = FileType::from_raw_mode(stat.st_mode).is_file();
        let length = u64::try_from(stat.st_size).unwrap_or(0);
        if is_file && Access::of(&stat).is_ours() {
            length
        } else {
            0
        }
    }

    /// Whether a name in it is that of this open file.
    ///
    /// # Errors
    /// If this cannot be found out.
    pub fn is_file(&self, name: impl AsRef<OsStr>, file: &File) -> io::Result<bool> {
        let open = fstat(file)?;
        match self.stat(name.as_ref()) {
            Ok(there) => Ok((there.st_dev, there.st_ino) == (open.st_dev, open.st_ino)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether it has a path still: somebody may have removed it.
    pub fn is_linked(&self) -> bool {
        fstat(&self.fd).is_ok_and(|stat| stat.st_nlink > 0)
    }

    fn stat(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// The names in it, in no order.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.fd)? {
            let name = OsStr::from_bytes(entry?.file_name().to_bytes()).to_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Creates a directory in it for its owner alone.
    ///
    /// # Errors
    /// If this cannot be done, or the name is taken.
    pub fn create_dir(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        mkdirat(&self.fd, name.as_ref(), DIR)?;
        let dir = self.open_dir(name)?;
        // Between the two, somebody who may rename it may have put another in its place.
        dir.check_owner()?;
        fchmod(&dir.fd, DIR)?;
        Ok(dir)
    }

    /// Opens a directory in it. A link is not followed.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn open_dir(&self, name: impl AsRef<OsStr>) -> io::Result<Self> {
        let name = name.as_ref();
        Self::open_at(&self.fd, name, self.path.join(name), OFlags::NOFOLLOW)
    }

    /// Opens a file in it for reading.
    ///
    /// # Errors
    /// If there is none, or it is not a regular file of ours.
    pub fn open_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        self.open_existing(name.as_ref(), OFlags::RDONLY)
    }

    /// Creates a file in it, whose name is only used by us. One of that name that we left is removed
    /// first.
    ///
    /// # Errors
    /// If this cannot be done, or somebody else has put something there.
    pub fn create_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let name = name.as_ref();
        match self.create_new(name, OFlags::WRONLY) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let stat = self.stat(name)?;
                // Of a file with other names only this one goes.
                check_kind_and_owner(&stat, || self.path.join(name))?;
                self.remove_file(name)?;
                self.create_new(name, OFlags::WRONLY)
            }
            created => created,
        }
    }

    /// Opens a file in it for reading and writing, and creates it if it does not exist.
    ///
    /// # Errors
    /// If this cannot be done, or somebody else has put something there.
    pub fn open_or_create_file(&self, name: impl AsRef<OsStr>) -> io::Result<File> {
        let file = self.open_or_create_with_flags(name.as_ref(), OFlags::RDWR)?;
        if Access::of(&fstat(&file)?).mode != FILE.bits() {
            fchmod(&file, FILE)?;
        }
        Ok(file)
    }

    fn open_or_create_with_flags(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        match self.create_new(name, flags) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.open_existing(name, flags)
            }
            created => created,
        }
    }

    fn create_new(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        let flags = flags | SAFELY | OFlags::CREATE | OFlags::EXCL;
        let file = openat(&self.fd, name, flags, FILE)?;
        // The umask may have removed some of the permissions.
        fchmod(&file, FILE)?;
        Ok(file.into())
    }

    fn open_existing(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        // Looked at first, since to open a device may do something to it, and again when it is open,
        // since it may be another by then.
        let path = || self.path.join(name);
        check(&self.stat(name)?, path)?;
        let file = openat(&self.fd, name, flags | SAFELY, Mode::empty())?;
        check(&fstat(&file)?, path)?;
        Ok(file.into())
    }

    /// Puts what `write` writes in the place of a file, which is the old one or the new one at every
    /// moment. With `sync` it is on the disk when this returns, name and all.
    ///
    /// # Errors
    /// If it cannot be written, or something other than a file of ours has that name; it stays.
    pub fn replace_file(
        &self,
        name: impl AsRef<OsStr>,
        temporary: impl AsRef<OsStr>,
        sync: bool,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> io::Result<()> {
        let (name, temporary) = (name.as_ref(), temporary.as_ref());
        match self.stat(name) {
            // The rename only takes this name from a file with several.
            Ok(stat) => check_kind_and_owner(&stat, || self.path.join(name))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut file = self.create_file(temporary)?;
        let written = write(&mut file)
            .and_then(|()| if sync { file.sync_data() } else { Ok(()) })
            .and_then(|()| Ok(renameat(&self.fd, temporary, &self.fd, name)?));
        if written.is_err() {
            // It is in the way of the next attempt, and takes room on a full disk.
            let _ = self.remove_file(temporary);
        }
        written
    }

    /// Waits until names that were added or removed are on the disk.
    ///
    /// # Errors
    /// If the file system cannot do that.
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// Moves a file in it to another directory, unless the name is taken there.
    ///
    /// # Errors
    /// If this cannot be done.
    pub fn move_file(
        &self,
        name: impl AsRef<OsStr>,
        to: &Self,
        new_name: impl AsRef<OsStr>,
    ) -> io::Result<()> {
        let (name, new_name) = (name.as_ref(), new_name.as_ref());
        let flags = RenameFlags::NOREPLACE;
        Ok(renameat_with(&self.fd, name, &to.fd, new_name, flags)?)
    }

    /// Removes a file in it.
    ///
    /// # Errors
    /// If this cannot be done.
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name.as_ref(), AtFlags::empty())?)
    }

    /// Removes an empty directory in it.
    ///
    /// # Errors
    /// If this cannot be done, or it is not empty.
    pub fn remove_dir(&self, name: impl AsRef<OsStr>) -> io::Result<()> {
        Ok(unlinkat(&self.fd, name.as_ref(), AtFlags::REMOVEDIR)?)
    }
}

/// Opens a file to append to it, and creates it if it does not exist; one that exists keeps its
/// permissions.
///
/// # Errors
/// If this cannot be done, or it is not a regular file of ours.
pub fn open_to_append(path: &Path) -> io::Result<File> {
    let (dir, name) = Dir::of_file(path)?;
    dir.open_or_create_with_flags(name, OFlags::WRONLY | OFlags::APPEND)
}

/// Opens a file to lock it, and creates it, and the directories above it, if it does not exist.
///
/// # Errors
/// If this cannot be done, or it is not a regular file of ours.
pub fn open_to_lock(path: &Path) -> io::Result<File> {
    if let Some(above) = path.parent() {
        Dir::open_or_create_with(or_here(above), OFlags::empty())?;
    }
    let (dir, name) = Dir::of_file(path)?;
    dir.open_or_create_file(name)
}

/// Opens a file to read it.
///
/// # Errors
/// If there is none, or it is not a regular file of ours.
pub fn open(path: &Path) -> io::Result<File> {
    let (dir, name) = Dir::of_file(path)?;
    dir.open_file(name)
}

/// Puts what `write` writes in the place of a file, as [`Dir::replace_file`] does, by way of a
/// temporary file beside it.
///
/// # Errors
/// If it cannot be written, or something other than a file of ours has that name; it stays.
pub fn replace(
    path: &Path,
    temporary: &Path,
    sync: bool,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let (dir, name) = Dir::of_file(path)?;
    dir.replace_file(name, temporary.file_name().unwrap_or_default(), sync, write)?;
    if sync {
        // Not every file system can do this; without it, only a power cut can bring back the file
        // before.
        let _ = dir.sync();
    }
    Ok(())
}

fn or_here(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        dir
    }
}

/// Checks that something is a regular file of ours that has no other name.
fn check(stat: &Stat, path: impl Fn() -> PathBuf) -> io::Result<()> {
    check_kind_and_owner(stat, &path)?;
    if stat.st_nlink > 1 {
        return Err(refused(&path(), "has another name elsewhere (a hard link)"));
    }
    Ok(())
}

fn check_kind_and_owner(stat: &Stat, path: impl Fn() -> PathBuf) -> io::Result<()> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile if Access::of(stat).is_ours() => return Ok(()),
        FileType::RegularFile => return Err(foreign(&path(), stat.st_uid)),
        FileType::Symlink => LINK,
        FileType::Directory => "is a directory",
        _ => "is not a regular file",
    };
    Err(refused(&path(), kind))
}

fn is_link(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode).is_symlink()
}

fn foreign(path: &Path, owner: u32) -> io::Error {
    refused(path, &format!("belongs to another user (uid {owner})"))
}

fn refused(path: &Path, why: &str) -> io::Error {
    let text = format!("{} {why}", path.display());
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{Read, Write};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn directories_and_files_are_created_for_their_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c");
        let dir = Dir::open_or_create(&path).unwrap();
        for path in ["a", "a/b", "a/b/c"] {
            assert_eq!(mode(&root.path().join(path)), 0o700);
        }
        drop(Dir::open_or_create(&path).unwrap());
        drop(dir.create_file("x").unwrap());
        drop(dir.open_or_create_file("y").unwrap());
        assert_eq!(
            (mode(&path.join("x")), mode(&path.join("y"))),
            (0o600, 0o600)
        );
        let mut names = dir.names().unwrap();
        names.sort();
        assert_eq!(names, ["x", "y"]);
        assert!(dir.access().unwrap().is_private());
    }

    #[test]
    fn only_regular_files_with_one_name_are_opened() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("target"), "precious").unwrap();
        symlink(path("target"), path("link")).unwrap();
        symlink(path("new"), path("dangling")).unwrap();
        fs::hard_link(path("target"), path("hard")).unwrap();
        fs::create_dir(path("dir")).unwrap();
        rustix::fs::mknodat(CWD, path("fifo"), FileType::Fifo, FILE, 0).unwrap();
        for name in ["link", "dangling", "hard", "dir", "fifo"] {
            let path = path(name);
            let named = |result: io::Result<File>| {
                let error = result.unwrap_err().to_string();
                assert!(error.contains(path.to_str().unwrap()), "{name}: {error}");
            };
            named(open(&path));
            named(open_to_append(&path));
            named(open_to_lock(&path));
        }
        assert!(!path("new").exists());
        assert_eq!(fs::read_to_string(path("target")).unwrap(), "precious");
        let linked = Dir::open(&path("link")).map(drop);
        assert!(linked.is_err());
    }

    #[test]
    fn only_our_own_leftover_temporary_file_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        let write = |text: &'static str| move |file: &mut File| file.write_all(text.as_bytes());
        fs::write(path("x.tmp"), "half").unwrap();
        replace(&path("x"), &path("x.tmp"), true, write("one")).unwrap();
        let mut text = String::new();
        open(&path("x")).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "one");
        symlink(path("elsewhere"), path("x.tmp")).unwrap();
        let error = replace(&path("x"), &path("x.tmp"), true, write("two")).unwrap_err();
        assert!(error.to_string().contains("x.tmp"), "{error}");
        assert!(!path("elsewhere").exists());
        assert_eq!(fs::read_to_string(path("x")).unwrap(), "one");
        // What cannot be written leaves nothing.
        fs::remove_file(path("x.tmp")).unwrap();
        let fails = |_: &mut File| Err(io::Error::other("no"));
        replace(&path("x"), &path("x.tmp"), true, fails).unwrap_err();
        assert!(!path("x.tmp").exists());
    }

    #[test]
    fn a_file_is_not_moved_onto_another() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        let from = Dir::open_or_create(&from).unwrap();
        let to = Dir::open_or_create(&to).unwrap();
        from.create_file("x").unwrap();
        to.create_file("x").unwrap();
        assert!(from.move_file("x", &to, "x").is_err());
        from.move_file("x", &to, "y").unwrap();
        assert!(from.names().unwrap().is_empty());
    }
}
