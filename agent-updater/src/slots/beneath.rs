//! Folders that are opened once and from then on only looked beneath: no path of the agent follows a symbolic link.
//!
//! Invariant: every name is resolved by the kernel with `openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
//! RESOLVE_NO_MAGICLINKS)`, so a link that somebody swaps in is refused, wherever it leads. The folder at the root is
//! opened part by part, and each part must belong to root or to the agent and not be writable by others.
//! Left out on purpose: a fallback for kernels without `openat2` (before 5.6), which would be a second, weaker rule.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fchmod, fstat, fsync, mkdirat, open, openat2,
    readlinkat, renameat, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::platform::files::{OwnershipError, ensure_not_writable_by_others, ensure_own_folder};

/// Deepest tree that is walked; a relative path has at most 1,024 bytes, so at most 512 parts.
const MAX_DEPTH: usize = 520;

/// Why something beneath a folder could not be done.
#[derive(Debug, thiserror::Error)]
pub enum BeneathError {
    /// Somebody else could change the folder.
    #[error("the install root is not safe to use")]
    Ownership(#[from] OwnershipError),
    /// A symbolic link stands in the way.
    #[error("{path} leads through a symbolic link, which the agent does not follow; remove the link")]
    Link {
        /// The path.
        path: PathBuf,
    },
    /// The kernel is too old.
    #[error(
        "this kernel has no openat2, by which the agent keeps within its folders; Linux 5.6 or newer is needed"
    )]
    KernelTooOld,
    /// The tree is deeper than any release.
    #[error("{path} is nested too deeply")]
    TooDeep {
        /// The path.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl BeneathError {
    /// Whether the disk is full, or the quota is used up.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

/// What a name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

/// What is called for each thing beneath a folder: its folder, its name there, its path, what it is.
pub type Visit<'v> = dyn FnMut(&Folder, &str, &str, Kind) -> Result<(), BeneathError> + 'v;

/// An open folder. Names given to it are relative, with `/` between parts.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    /// For messages only.
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
        let start = open("/", flags, Mode::empty()).map_err(|errno| failed("open", Path::new("/"), errno))?;
        let root = Self { fd: start, path: PathBuf::from("/") };
        let inner = resolved.strip_prefix("/").unwrap_or(&resolved);
        if inner.as_os_str().is_empty() { Ok(root) } else { root.folder(&inner.to_string_lossy()) }
    }

    /// Opens a folder beneath.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn folder(&self, name: &str) -> Result<Self, BeneathError> {
        let fd = self.open(name, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty(), "open the folder")?;
        Ok(Self { fd, path: self.path.join(name) })
    }

    /// Opens a folder beneath, and makes it and those on the way if they are missing.
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
        match mkdirat(&self.fd, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {
                let made = self.folder(name)?;
                made.set_mode(0o755)?;
                Ok(made)
            }
            Err(Errno::EXIST) => self.folder(name),
            Err(errno) => Err(failed("make the folder", &self.path.join(name), errno)),
        }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn file(&self, name: &str) -> Result<File, BeneathError> {
        // Not blocking, so that a pipe swapped in cannot hang the agent; it means nothing for regular files.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        self.open(name, flags, Mode::empty(), "open").map(File::from)
    }

    /// Makes a file that must not be there yet.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn create_file(&self, name: &str) -> Result<File, BeneathError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        self.open(name, flags, Mode::from_raw_mode(0o600), "create").map(File::from)
    }

    fn open(
        &self,
        name: &str,
        flags: OFlags,
        mode: Mode,
        action: &'static str,
    ) -> Result<OwnedFd, BeneathError> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match openat2(&self.fd, name, flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, mode, resolve) {
                Ok(fd) => return Ok(fd),
                // The kernel asks for another try when something was renamed meanwhile.
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(errno) => return Err(failed(action, &self.path.join(name), errno)),
            }
        }
    }

    /// Makes a symbolic link; its folder must be there.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn make_link(&self, name: &str, target: &str) -> Result<(), BeneathError> {
        let (folder, last) = self.parent_of(name)?;
        symlinkat(target, &folder.fd, last)
            .map_err(|errno| failed("make the link", &self.path.join(name), errno))
    }

    /// The text of a symbolic link; `None` if the name is not there.
    ///
    /// # Errors
    /// [`BeneathError`], also when it is not a link.
    pub fn read_link(&self, name: &str) -> Result<Option<String>, BeneathError> {
        let (folder, last) = match self.parent_of(name) {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        match readlinkat(&folder.fd, last, Vec::new()) {
            Ok(text) => match text.into_string() {
                Ok(text) => Ok(Some(text)),
                Err(_) => Err(failed("read the link", &self.path.join(name), Errno::ILSEQ)),
            },
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed("read the link", &self.path.join(name), errno)),
        }
    }

    /// What a name is; `None` if it is not there. Links are not followed.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn kind(&self, name: &str) -> Result<Option<Kind>, BeneathError> {
        let (folder, last) = match self.parent_of(name) {
            Ok(found) => found,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        match statat(&folder.fd, last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(kind_of(FileType::from_raw_mode(stat.st_mode)))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed("look at", &self.path.join(name), errno)),
        }
    }

    /// The mode bits of this folder.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn mode(&self) -> Result<u32, BeneathError> {
        fstat(&self.fd)
            .map(|stat| stat.st_mode & 0o7777)
            .map_err(|errno| failed("look at", &self.path, errno))
    }

    /// The owner of this folder.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn owner(&self) -> Result<u32, BeneathError> {
        fstat(&self.fd).map(|stat| stat.st_uid).map_err(|errno| failed("look at", &self.path, errno))
    }

    /// This folder, if nobody but root and the agent can change what stands in it.
    ///
    /// # Errors
    /// [`BeneathError::Ownership`].
    pub fn owned(self) -> Result<Self, BeneathError> {
        let stat = fstat(&self.fd).map_err(|errno| failed("look at", &self.path, errno))?;
        ensure_own_folder(&self.path, stat.st_uid, stat.st_mode)?;
        Ok(self)
    }

    /// The names in this folder, sorted.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn names(&self) -> Result<Vec<String>, BeneathError> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(|errno| failed("list", &self.path, errno))? {
            let entry = entry.map_err(|errno| failed("list", &self.path, errno))?;
            let name = entry.file_name().to_str().map_err(|_| failed("list", &self.path, Errno::ILSEQ))?;
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
    pub fn rename(&self, from: &str, to: &str) -> Result<(), BeneathError> {
        renameat(&self.fd, from, &self.fd, to).map_err(|errno| failed("rename", &self.path.join(from), errno))
    }

    /// Removes a file or link in this folder; that it is not there is fine.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn remove_file(&self, name: &str) -> Result<(), BeneathError> {
        match unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed("remove", &self.path.join(name), errno)),
        }
    }

    /// Removes a folder in this folder with all that is in it; that it is not there is fine. Links are removed, not
    /// followed.
    ///
    /// # Errors
    /// [`BeneathError`]; part of it may be gone then.
    pub fn remove_tree(&self, name: &str) -> Result<(), BeneathError> {
        self.remove_tree_at(name, 0)
    }

    fn remove_tree_at(&self, name: &str, depth: usize) -> Result<(), BeneathError> {
        match self.kind(name)? {
            None => return Ok(()),
            Some(Kind::Folder) => {}
            Some(_) => return self.remove_file(name),
        }
        if depth > MAX_DEPTH {
            return Err(BeneathError::TooDeep { path: self.path.join(name) });
        }
        let folder = self.folder(name)?;
        // Slots are read-only; without root's rights that would keep their content.
        folder.set_mode(0o700)?;
        for inner in folder.names()? {
            folder.remove_tree_at(&inner, depth + 1)?;
        }
        unlinkat(&self.fd, name, AtFlags::REMOVEDIR)
            .map_err(|errno| failed("remove the folder", &self.path.join(name), errno))
    }

    /// Sets the mode of this folder.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn set_mode(&self, mode: u32) -> Result<(), BeneathError> {
        fchmod(&self.fd, Mode::from_raw_mode(mode))
            .map_err(|errno| failed("set the mode of", &self.path, errno))
    }

    /// Makes what happened in this folder durable.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn sync(&self) -> Result<(), BeneathError> {
        fsync(&self.fd).map_err(|errno| failed("make durable", &self.path, errno))
    }

    /// Calls `visit` for everything beneath, folders after their content, with the path relative to this folder.
    ///
    /// # Errors
    /// [`BeneathError`], or what `visit` fails with.
    pub fn walk(&self, visit: &mut Visit<'_>) -> Result<(), BeneathError> {
        self.walk_at("", 0, visit)
    }

    fn walk_at(&self, prefix: &str, depth: usize, visit: &mut Visit<'_>) -> Result<(), BeneathError> {
        if depth > MAX_DEPTH {
            return Err(BeneathError::TooDeep { path: self.path.clone() });
        }
        for name in self.names()? {
            let relative = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
            let Some(kind) = self.kind(&name)? else { continue };
            if kind == Kind::Folder {
                self.folder(&name)?.walk_at(&relative, depth + 1, visit)?;
            }
            visit(self, &name, &relative, kind)?;
        }
        Ok(())
    }

    /// Where it was opened; for messages and for hooks.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn parent_of<'a>(&self, name: &'a str) -> Result<(Self, &'a str), BeneathError> {
        match name.rsplit_once('/') {
            Some((parent, last)) => Ok((self.folder(parent)?, last)),
            None => Ok((self.folder(".")?, name)),
        }
    }
}

/// Sets the mode of an open file and makes it durable.
///
/// # Errors
/// The system's.
pub(crate) fn seal_file(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Whether an error says that something is not there.
#[must_use]
pub fn is_absent(error: &BeneathError) -> bool {
    matches!(error, BeneathError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

fn kind_of(found: FileType) -> Kind {
    match found {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        FileType::Symlink => Kind::Link,
        _ => Kind::Other,
    }
}

pub(crate) fn io_error(action: &'static str, path: &Path, source: io::Error) -> BeneathError {
    BeneathError::Io { action, path: path.to_owned(), source }
}

fn failed(action: &'static str, path: &Path, errno: Errno) -> BeneathError {
    match errno {
        Errno::LOOP | Errno::XDEV => BeneathError::Link { path: path.to_owned() },
        Errno::NOSYS => BeneathError::KernelTooOld,
        errno => io_error(action, path, errno.into()),
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
    fn removing_a_tree_removes_links_and_not_what_they_lead_to() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), b"x").unwrap();
        let inside = tempfile::tempdir().unwrap();
        let root = Folder::open_root(inside.path()).unwrap();
        let tree = root.make_folder("tree/deep").unwrap();
        tree.make_link("out", outside.path().to_str().unwrap()).unwrap();
        tree.create_file("file").unwrap();
        tree.set_mode(0o555).unwrap();
        root.remove_tree("tree").unwrap();
        root.remove_tree("tree").unwrap();
        assert!(root.names().unwrap().is_empty());
        assert!(outside.path().join("kept").exists());
    }

    #[test]
    fn a_root_that_others_may_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Folder::open_root(folder.path()), Err(BeneathError::Ownership(_))));
    }
}
