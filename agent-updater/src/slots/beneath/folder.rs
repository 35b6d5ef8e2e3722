//! An open folder, and what can be done beneath it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, fchmod, fstat, fsync, mkdirat,
    open, openat2, readlinkat, renameat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;
use sealpost_files::faults::{Step, reach};

use crate::platform::ownership::{ensure_not_writable_by_others, ensure_own_folder};

use super::error::{BeneathError, errno_error, io_error};

/// Mode of a folder that is written to.
pub(super) const WRITABLE_MODE: u32 = 0o755;

/// The type of what a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    Link,
    Other,
}

/// An open folder. Names given to it are relative, with `/` between parts. They need not be text: whoever may write in a
/// folder may give any name.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder by its absolute path, after checking that nobody else can change it or the way to it.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn open_root(path: &Path) -> Result<Self, BeneathError> {
        ensure_not_writable_by_others(path)?;
        let resolved = path.canonicalize().map_err(|source| io_error("open", path, source))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let start =
            open("/", flags, Mode::empty()).map_err(|errno| errno_error("open", Path::new("/"), errno))?;
        let root = Self { fd: start, path: PathBuf::from("/") };
        let inner = resolved.strip_prefix("/").unwrap_or(&resolved);
        if inner.as_os_str().is_empty() { Ok(root) } else { root.folder(inner) }
    }

    /// Opens a folder beneath.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn folder(&self, name: impl AsRef<OsStr>) -> Result<Self, BeneathError> {
        let name = name.as_ref();
        let fd = self.open(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty(), "open the folder")?;
        Ok(Self { fd, path: self.path.join(name) })
    }

    /// Opens a folder in this folder, if nothing is mounted there.
    ///
    /// # Errors
    /// [`BeneathError::Mount`] when something is, also a folder of the same file system.
    pub(in crate::slots) fn folder_of_same_mount(&self, name: &OsStr) -> Result<Self, BeneathError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            // A single name cannot lead out of the folder, so the kernel says "other device" of a mount only.
            match openat2(&self.fd, name, flags, Mode::empty(), resolve) {
                Ok(fd) => return Ok(Self { fd, path: self.path.join(name) }),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::XDEV) => return Err(BeneathError::Mount { path: self.path.join(name) }),
                Err(errno) => return Err(errno_error("open the folder", &self.path.join(name), errno)),
            }
        }
    }

    /// Opens a folder beneath, after making it and those above it if they are missing.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn make_folder(&self, name: &str) -> Result<Self, BeneathError> {
        let mut parts = name.split('/');
        let Some(first) = parts.next() else { return self.folder(name) };
        let mut folder = self.make_one(first)?;
        for part in parts {
            folder = folder.make_one(part)?;
        }
        Ok(folder)
    }

    fn make_one(&self, name: &str) -> Result<Self, BeneathError> {
        self.reach(Step::MakeFolder, "make the folder", name)?;
        match mkdirat(&self.fd, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {
                let made = self.folder(name)?;
                made.set_mode(WRITABLE_MODE)?;
                Ok(made)
            }
            Err(Errno::EXIST) => self.folder(name),
            Err(errno) => Err(errno_error("make the folder", &self.path.join(name), errno)),
        }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn file(&self, name: impl AsRef<OsStr>) -> Result<File, BeneathError> {
        // Not blocking, so that a pipe in the place of the file cannot hang the agent; it has no effect on regular files.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.reach(Step::Read, "open", name.as_ref())?;
        self.open(name.as_ref(), flags, Mode::empty(), "open").map(File::from)
    }

    /// Makes a file that must not exist yet.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn create_file(&self, name: &str) -> Result<File, BeneathError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.reach(Step::Create, "create", name)?;
        self.open(OsStr::new(name), flags, Mode::from_raw_mode(0o600), "create").map(File::from)
    }

    fn open(
        &self,
        name: &OsStr,
        flags: OFlags,
        mode: Mode,
        action: &'static str,
    ) -> Result<OwnedFd, BeneathError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match openat2(&self.fd, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode, resolve) {
                Ok(fd) => return Ok(fd),
                // The kernel asks for a retry if something was renamed meanwhile.
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(errno_error(action, &self.path.join(name), errno)),
            }
        }
    }

    /// Makes a symbolic link; its folder must exist.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn make_link(&self, name: &str, target: &str) -> Result<(), BeneathError> {
        let (folder, last) = self.parent_of(OsStr::new(name))?;
        folder.reach(Step::Link, "make the link", last)?;
        symlinkat(target, &folder.fd, last)
            .map_err(|errno| errno_error("make the link", &self.path.join(name), errno))
    }

    /// The text of a symbolic link; `None` if there is nothing of that name.
    ///
    /// # Errors
    /// [`BeneathError`], also when it is not a link.
    pub fn read_link(&self, name: impl AsRef<OsStr>) -> Result<Option<OsString>, BeneathError> {
        let name = name.as_ref();
        let (folder, last) = match self.parent_of(name) {
            Ok(found) => found,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        folder.reach(Step::Read, "read the link", last)?;
        match readlinkat(&folder.fd, last, Vec::new()) {
            Ok(text) => Ok(Some(OsString::from_vec(text.into_bytes()))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno_error("read the link", &self.path.join(name), errno)),
        }
    }

    /// The type of what a name refers to; `None` if there is nothing of that name. Links are not followed.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn kind(&self, name: impl AsRef<OsStr>) -> Result<Option<Kind>, BeneathError> {
        let name = name.as_ref();
        let (folder, last) = match self.parent_of(name) {
            Ok(found) => found,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        match statat(&folder.fd, last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(kind_of(FileType::from_raw_mode(stat.st_mode)))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno_error("look at", &self.path.join(name), errno)),
        }
    }

    /// What the file system says of a name in this folder, whose link is not followed.
    ///
    /// # Errors
    /// [`BeneathError`], also when there is nothing of that name.
    pub(in crate::slots) fn stat(&self, name: impl AsRef<OsStr>) -> Result<Stat, BeneathError> {
        let name = name.as_ref();
        statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| errno_error("look at", &self.path.join(name), errno))
    }

    /// The mode bits of this folder.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn mode(&self) -> Result<u32, BeneathError> {
        fstat(&self.fd)
            .map(|stat| stat.st_mode & 0o7777)
            .map_err(|errno| errno_error("look at", &self.path, errno))
    }

    /// The owner of this folder.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn owner(&self) -> Result<u32, BeneathError> {
        fstat(&self.fd).map(|stat| stat.st_uid).map_err(|errno| errno_error("look at", &self.path, errno))
    }

    /// This folder, if nobody but root and the agent can change its content.
    ///
    /// # Errors
    /// [`BeneathError::Ownership`].
    pub fn owned(self) -> Result<Self, BeneathError> {
        let stat = fstat(&self.fd).map_err(|errno| errno_error("look at", &self.path, errno))?;
        ensure_own_folder(&self.path, stat.st_uid, stat.st_mode)?;
        Ok(self)
    }

    /// The names in this folder, sorted.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn names(&self) -> Result<Vec<OsString>, BeneathError> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(|errno| errno_error("list", &self.path, errno))? {
            let entry = entry.map_err(|errno| errno_error("list", &self.path, errno))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Renames within this folder, replacing what is there.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn rename(&self, from: impl AsRef<OsStr>, to: &str) -> Result<(), BeneathError> {
        let from = from.as_ref();
        self.reach(Step::Rename, "rename", from)?;
        renameat(&self.fd, from, &self.fd, to)
            .map_err(|errno| errno_error("rename", &self.path.join(from), errno))
    }

    /// Exchanges two names in this folder at one instant; `false` if this file system cannot.
    ///
    /// # Errors
    /// [`BeneathError`]; both are as before then.
    pub fn exchange(&self, one: &str, other: &str) -> Result<bool, BeneathError> {
        self.reach(Step::Rename, "exchange", one)?;
        match renameat_with(&self.fd, one, &self.fd, other, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
            Err(errno) => Err(errno_error("exchange", &self.path.join(one), errno)),
        }
    }

    /// Removes a file or link in this folder, if it exists.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn remove_file(&self, name: impl AsRef<OsStr>) -> Result<(), BeneathError> {
        let name = name.as_ref();
        self.reach(Step::Remove, "remove", name)?;
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno_error("remove", &self.path.join(name), errno)),
        }
    }

    /// Removes a file or link beneath this folder, if it exists.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub(in crate::slots) fn remove_file_beneath(&self, name: &str) -> Result<(), BeneathError> {
        let (folder, last) = self.parent_of(OsStr::new(name))?;
        folder.remove_file(last)
    }

    /// Removes an empty folder in this folder.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub(super) fn remove_empty_folder(&self, name: &OsStr) -> Result<(), BeneathError> {
        self.reach(Step::Remove, "remove the folder", name)?;
        unlinkat(&self.fd, name, AtFlags::REMOVEDIR)
            .map_err(|errno| errno_error("remove the folder", &self.path.join(name), errno))
    }

    /// Sets the mode of this folder.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn set_mode(&self, mode: u32) -> Result<(), BeneathError> {
        fchmod(&self.fd, Mode::from_raw_mode(mode))
            .map_err(|errno| errno_error("set the mode of", &self.path, errno))
    }

    /// Makes new, renamed and removed names in this folder durable.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn sync(&self) -> Result<(), BeneathError> {
        self.reach(Step::FlushFolder, "make durable", ".")?;
        fsync(&self.fd).map_err(|errno| errno_error("make durable", &self.path, errno))
    }

    /// The path by which it was opened, for messages and hooks.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a test makes the system refuse a step.
    fn reach(&self, step: Step, action: &'static str, name: impl AsRef<OsStr>) -> Result<(), BeneathError> {
        reach(step, &self.path).map_err(|source| io_error(action, &self.path.join(name.as_ref()), source))
    }

    fn parent_of<'a>(&self, name: &'a OsStr) -> Result<(Self, &'a OsStr), BeneathError> {
        let bytes = name.as_bytes();
        match bytes.iter().rposition(|byte| *byte == b'/') {
            Some(at) => {
                Ok((self.folder(OsStr::from_bytes(&bytes[..at]))?, OsStr::from_bytes(&bytes[at + 1..])))
            }
            None => Ok((self.folder(".")?, name)),
        }
    }
}

/// Sets the mode of an open file and makes it durable.
///
/// # Errors
/// The system's.
pub(crate) fn seal_file(file: &File, mode: u32) -> io::Result<()> {
    reach(Step::Flush, Path::new("a file of a slot"))?;
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

fn kind_of(found: FileType) -> Kind {
    match found {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_link_on_the_way_is_refused_wherever_it_leads() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), b"x").unwrap();
        let inside = tempfile::tempdir().unwrap();
        fs::create_dir(inside.path().join("real")).unwrap();
        fs::write(inside.path().join("real/file"), b"y").unwrap();
        symlink(outside.path(), inside.path().join("out")).unwrap();
        symlink("real", inside.path().join("in")).unwrap();
        symlink("real/file", inside.path().join("file")).unwrap();
        let root = Folder::open_root(inside.path()).unwrap();
        for name in ["out/secret", "in/file", "file", "../x", "real/../../x", "/etc/passwd"] {
            assert!(root.file(name).is_err(), "{name}");
        }
        assert!(root.make_folder("out/new").is_err());
        assert!(root.create_file("in/new").is_err());
        assert!(root.make_link("out/new", "x").is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
        assert!(root.file("real/file").is_ok());
    }

    #[test]
    fn a_root_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Folder::open_root(folder.path()), Err(BeneathError::Ownership(_))));
    }
}
