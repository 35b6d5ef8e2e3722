//! Folders that others write too: a share, a stick. What lies there is hostile, and may change or vanish at any moment.
//!
//! Invariants: nothing is opened through a link or outside of the folder; what is no regular file is refused and not waited
//! for; a read is bounded before it is begun; a file that is written appears whole under its name or not at all. What is
//! made belongs to whoever owns the folder around it, as far as the file system knows owners, so that a program of root
//! does not lock out the one that answers it.
//! Left out on purpose: whether the bytes are to be believed. They are verified after they were copied.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fchmod, fchown, fstat, fsync, mkdirat, open, openat2,
    renameat, unlinkat,
};
use rustix::io::Errno;

use crate::faults::{Step, reach};

/// What the name of a file that is being written begins with.
const UNFINISHED: &str = ".new.";

/// A folder that others write too, held open.
#[derive(Debug)]
pub struct SharedFolder {
    fd: OwnedFd,
    path: PathBuf,
}

/// What tells one state of a file from another without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// Its length in bytes.
    pub length: u64,
    inode: u64,
    changed: (i64, u64),
}

impl SharedFolder {
    /// Opens a folder that a person named; the way to it may lead through links.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::NotADirectory`] for anything else than a folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        reach(Step::Read, path)?;
        let fd = open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { fd, path: path.to_owned() })
    }

    /// Where it is, for messages.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A folder in it; `None` if there is none.
    ///
    /// # Errors
    /// The system's, also for a link in its place.
    pub fn folder(&self, name: &str) -> io::Result<Option<Self>> {
        match self.beneath(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()) {
            Ok(fd) => Ok(Some(Self { fd, path: self.path.join(name) })),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// A folder in it, which is made if it is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn make_folder(&self, name: &str) -> io::Result<Self> {
        if let Some(found) = self.folder(name)? {
            return Ok(found);
        }
        reach(Step::MakeFolder, &self.path.join(name))?;
        match mkdirat(&self.fd, one_name(name)?, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        let made = self.folder(name)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        self.give_away(&made.fd);
        // Some file systems know no modes.
        let _ = fchmod(&made.fd, Mode::from_raw_mode(0o755));
        Ok(made)
    }

    /// The names in it, at most so many, without unfinished files.
    ///
    /// # Errors
    /// The system's; [`io::ErrorKind::FileTooLarge`] when there are more.
    pub fn names(&self, most: usize) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." || name.starts_with(UNFINISHED.as_bytes()) {
                continue;
            }
            if names.len() >= most {
                return Err(io::Error::from(io::ErrorKind::FileTooLarge));
            }
            names.push(OsString::from_vec(name.to_vec()));
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Opens a regular file in it; `None` if there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for what is no regular file, and the system's, also for a link.
    pub fn file(&self, name: &str) -> io::Result<Option<File>> {
        reach(Step::Read, &self.path.join(name))?;
        // Not blocking: a pipe in the place of the file would be waited for.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = match self.beneath(name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        if FileType::from_raw_mode(fstat(&fd)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Some(File::from(fd)))
    }

    /// Reads a file of at most `max_bytes`; `None` if there is none.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] beyond the bound, and as [`SharedFolder::file`].
    pub fn read(&self, name: &str, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.file(name)? else { return Ok(None) };
        if file.metadata()?.len() > max_bytes {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let mut bytes = Vec::new();
        file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > max_bytes {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        Ok(Some(bytes))
    }

    /// What a file is by a look; `None` if there is none, or it is no regular file.
    ///
    /// # Errors
    /// The system's.
    pub fn footprint(&self, name: &str) -> io::Result<Option<Footprint>> {
        let found = match rustix::fs::statat(&self.fd, one_name(name)?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Ok(None);
        }
        Ok(Some(Footprint {
            length: u64::try_from(found.st_size).unwrap_or(0),
            inode: found.st_ino,
            changed: (found.st_ctime, found.st_ctime_nsec),
        }))
    }

    /// Writes a file whole, in place of what has its name; others can read it.
    ///
    /// # Errors
    /// The system's; what was there before is there still.
    pub fn write(&self, name: &str, content: &mut dyn Read) -> io::Result<u64> {
        let unfinished = format!("{UNFINISHED}{}", one_name(name)?);
        self.remove(&unfinished)?;
        let path = self.path.join(name);
        reach(Step::Create, &path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mut file = File::from(self.beneath(&unfinished, flags, Mode::from_raw_mode(0o600))?);
        let written = (|| {
            let count = io::copy(content, &mut file)?;
            file.flush()?;
            self.give_away(&file);
            let _ = fchmod(&file, Mode::from_raw_mode(0o644));
            reach(Step::Flush, &path)?;
            file.sync_all()?;
            reach(Step::Rename, &path)?;
            renameat(&self.fd, unfinished.as_str(), &self.fd, name)?;
            Ok(count)
        })();
        match written {
            Ok(count) => {
                // Some file systems flush no folders.
                let _ = fsync(&self.fd);
                Ok(count)
            }
            Err(error) => {
                let _ = self.remove(&unfinished);
                Err(error)
            }
        }
    }

    /// Removes a file, or a link in its place; nothing if there is none.
    ///
    /// # Errors
    /// The system's.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.fd, one_name(name)?, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn beneath(&self, name: &str, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match openat2(&self.fd, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode, resolve) {
                // The kernel asks for a retry if something was renamed meanwhile.
                Err(Errno::AGAIN | Errno::INTR) => {}
                ended => return ended,
            }
        }
    }

    /// Only root can, and only where the file system knows owners.
    fn give_away(&self, made: impl std::os::fd::AsFd) {
        if let Ok(around) = fstat(&self.fd) {
            let owner = rustix::fs::Uid::from_raw(around.st_uid);
            let group = rustix::fs::Gid::from_raw(around.st_gid);
            let _ = fchown(made, Some(owner), Some(group));
        }
    }
}

/// A name that cannot lead anywhere else.
fn one_name(name: &str) -> io::Result<&str> {
    if name.is_empty() || name.contains('/') || matches!(name, "." | "..") {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a name of a file in this folder"));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn shared() -> (tempfile::TempDir, SharedFolder) {
        let folder = tempfile::tempdir().unwrap();
        let shared = SharedFolder::open(folder.path()).unwrap();
        (folder, shared)
    }

    #[test]
    fn a_file_appears_whole_and_can_be_read_by_others() {
        let (folder, shared) = shared();
        assert_eq!(shared.write("a", &mut &b"one"[..]).unwrap(), 3);
        let first = shared.footprint("a").unwrap().unwrap();
        shared.write("a", &mut &b"two"[..]).unwrap();
        assert_eq!(shared.read("a", 3).unwrap().unwrap(), b"two");
        assert_ne!(shared.footprint("a").unwrap().unwrap(), first);
        assert_eq!(fs::metadata(folder.path().join("a")).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(shared.names(9).unwrap(), ["a"]);
        shared.remove("a").unwrap();
        shared.remove("a").unwrap();
        assert!(shared.read("a", 3).unwrap().is_none() && shared.footprint("a").unwrap().is_none());
    }

    #[test]
    fn links_pipes_and_names_that_lead_away_are_refused() {
        let (folder, shared) = shared();
        let secret = folder.path().with_extension("secret");
        fs::write(&secret, b"secret").unwrap();
        symlink(&secret, folder.path().join("link")).unwrap();
        symlink("/", folder.path().join("folder")).unwrap();
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, 0o600.into(), 0).unwrap();
        shared.read("link", 100).unwrap_err();
        shared.folder("folder").unwrap_err();
        shared.make_folder("folder").unwrap_err();
        assert_eq!(shared.read("pipe", 100).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        let outside = format!("../{}", secret.file_name().unwrap().to_str().unwrap());
        shared.read(&outside, 100).unwrap_err();
        shared.write(&outside, &mut &b"x"[..]).unwrap_err();
        // A link is replaced and not followed.
        shared.write("link", &mut &b"mine"[..]).unwrap();
        assert_eq!(fs::read(&secret).unwrap(), b"secret");
        // So is one where the unfinished file would be.
        symlink(&secret, folder.path().join(".new.b")).unwrap();
        shared.write("b", &mut &b"mine"[..]).unwrap();
        assert_eq!(fs::read(&secret).unwrap(), b"secret");
        fs::remove_file(secret).unwrap();
    }

    #[test]
    fn a_file_or_a_folder_with_more_than_is_allowed_is_not_read() {
        let (folder, shared) = shared();
        File::create(folder.path().join("huge")).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(shared.read("huge", 100).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        for number in 0..4 {
            fs::write(folder.path().join(number.to_string()), b"").unwrap();
        }
        assert_eq!(shared.names(4).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(shared.names(5).unwrap().len(), 5);
    }

    #[test]
    fn a_write_that_breaks_off_leaves_what_was_there() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let (_folder, shared) = shared();
        shared.write("a", &mut &b"one"[..]).unwrap();
        shared.write("a", &mut Broken).unwrap_err();
        assert_eq!(shared.read("a", 3).unwrap().unwrap(), b"one");
        assert_eq!(shared.names(9).unwrap(), ["a"]);
    }
}
