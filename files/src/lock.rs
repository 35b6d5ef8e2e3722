//! Locks between processes. The system frees a lock when its process dies, so none is ever left behind.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::folder::open_folder;
use crate::mode::PRIVATE;

/// A lock on a file or folder, until it is dropped.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process, or another part of this one, holds it.
    #[error("it is held by another process")]
    Held,
    /// The file cannot be opened or locked.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FileLock {
    /// Takes the lock of a file, which is made (0600) if it is not there, and made private if it is not: whoever can open
    /// a file, or a folder, for reading can hold its lock for ever. A link in its place is refused, not followed: else
    /// whoever can write in its folder could have a file made anywhere.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn try_take(path: &Path) -> Result<Self, LockError> {
        try_lock(open(path)?)
    }

    /// Takes the lock of a folder that exists, which must be private for the same reason.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn try_take_folder(folder: &Path) -> Result<Self, LockError> {
        try_lock(open_folder(folder)?)
    }

    /// As [`FileLock::try_take`], but waits for another holder, and calls `waiting` once before it does.
    ///
    /// # Errors
    /// The system's.
    pub fn take(path: &Path, waiting: impl FnOnce()) -> io::Result<Self> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(PRIVATE);
    let file = options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(path)?;
    let about = file.metadata()?;
    // Another user's can be held by him whatever its mode is; who made it that way is told by whoever looks at the home.
    if about.mode() & 0o077 != 0 && about.uid() == rustix::process::geteuid().as_raw() {
        file.set_permissions(Permissions::from_mode(PRIVATE))?;
    }
    Ok(file)
}

fn try_lock(file: File) -> Result<FileLock, LockError> {
    match file.try_lock() {
        Ok(()) => Ok(FileLock { _file: file }),
        Err(TryLockError::WouldBlock) => Err(LockError::Held),
        Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_once_and_free_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".lock");
        let held = FileLock::try_take(&path).unwrap();
        assert!(matches!(FileLock::try_take(&path), Err(LockError::Held)));
        drop(held);
        let mut waited = false;
        let again = FileLock::take(&path, || waited = true).unwrap();
        assert!(!waited);
        drop(again);
        let folder_lock = FileLock::try_take_folder(folder.path()).unwrap();
        assert!(matches!(FileLock::try_take_folder(folder.path()), Err(LockError::Held)));
        drop(folder_lock);
        let pipe = folder.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(matches!(FileLock::try_take_folder(&pipe), Err(LockError::Io(_))));
        assert!(matches!(FileLock::try_take(&folder.path().join("no/lock")), Err(LockError::Io(_))));
    }

    #[test]
    fn a_lock_file_that_others_could_open_is_made_private_when_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let held = FileLock::try_take(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, PRIVATE);
        drop(held);
    }

    #[test]
    fn a_link_in_the_place_of_a_lock_is_refused_and_nothing_is_made_where_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let (link, outside) = (folder.path().join(".lock"), folder.path().join("outside"));
        std::os::unix::fs::symlink(&outside, &link).unwrap();
        assert!(matches!(FileLock::try_take(&link), Err(LockError::Io(_))));
        assert!(FileLock::take(&link, || {}).is_err());
        assert!(!outside.exists());
    }
}
