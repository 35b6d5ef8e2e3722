//! Durable files, and the question who else could write them.
//!
//! Invariant: [`write_atomic`] leaves the old or the new content, whole, after any crash.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// Mode of what only the agent reads.
pub const PRIVATE: u32 = 0o600;
/// Mode of what everybody on the computer may read.
pub const PUBLIC: u32 = 0o644;

/// Most links that are followed on the way to a file, as in Linux.
const MOST_LINKS: usize = 40;

/// Why a file or a folder cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// Not absolute.
    #[error("{0} is not an absolute path; write it out from /")]
    Relative(PathBuf),
    /// It, or a folder above it, can be changed by others.
    #[error(
        "{path} can be changed by others than root and the agent (owner {owner}, mode {mode:04o}); chown it to root and chmod go-w"
    )]
    WritableByOthers {
        /// The offending file or folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
    /// It cannot be looked at.
    #[error("cannot look at {path}; check that it exists and its permissions")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Replaces a file: temporary file beside it, fsync, rename, fsync of the folder.
///
/// # Errors
/// The system's; the old content is still there then.
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut temporary_name = std::ffi::OsString::from(".new-");
    temporary_name.push(name);
    let temporary = folder.join(temporary_name);
    // One writer at a time holds the lock of the home, so what lies there is of a crash.
    match fs::remove_file(&temporary) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(&temporary)?;
    file.write_all(bytes)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_folder(folder)
}

/// Removes a file durably; that it is not there is fine.
///
/// # Errors
/// The system's.
pub fn remove_durably(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Reads a file of at most `limit` bytes; `None` only when there is none.
///
/// # Errors
/// The system's, and [`io::ErrorKind::FileTooLarge`].
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(Some(bytes))
}

/// Makes a folder and those above it; the last one gets exactly `mode` if it is new.
///
/// # Errors
/// The system's.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent, 0o755)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(error) => return Err(error),
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_folder)
}

/// Makes a rename or a removal in a folder durable.
///
/// # Errors
/// The system's.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Whether only root and this process's user can change a file or folder, and the way to it. Links are followed one
/// by one, and every folder that is passed on the way counts, also the ones in which further links stand. A folder that
/// everybody may write but with the sticky bit (`/tmp`) is no way in, since what stands in it can be replaced by its
/// owner only.
///
/// # Errors
/// [`OwnershipError`] with the first offending part.
pub fn ensure_not_writable_by_others(path: &Path) -> Result<(), OwnershipError> {
    if !path.is_absolute() || path.components().any(|part| part == Component::ParentDir) {
        return Err(OwnershipError::Relative(path.to_owned()));
    }
    let mut reached = PathBuf::from("/");
    let mut left = parts_backwards(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        match part.components().next() {
            Some(Component::RootDir) => reached = PathBuf::from("/"),
            Some(Component::ParentDir) => drop(reached.pop()),
            Some(Component::Normal(name)) => {
                let next = reached.join(name);
                ensure_part(&reached, IsLast::No)?;
                let failed = |source| OwnershipError::Io { path: next.clone(), source };
                if !fs::symlink_metadata(&next).map_err(failed)?.is_symlink() {
                    reached = next;
                    continue;
                }
                ensure_part(&next, IsLast::No)?;
                links += 1;
                if links > MOST_LINKS {
                    return Err(failed(io::Error::from(rustix::io::Errno::LOOP)));
                }
                left.extend(parts_backwards(&fs::read_link(&next).map_err(failed)?));
            }
            _ => {}
        }
    }
    ensure_part(&reached, IsLast::Yes)
}

fn parts_backwards(path: &Path) -> Vec<PathBuf> {
    path.components().rev().map(|part| PathBuf::from(part.as_os_str())).collect()
}

/// Whether a part of a path is what the path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsLast {
    Yes,
    No,
}

fn ensure_part(path: &Path, is_last: IsLast) -> Result<(), OwnershipError> {
    let found =
        fs::symlink_metadata(path).map_err(|source| OwnershipError::Io { path: path.to_owned(), source })?;
    ensure_safe(path, found.uid(), found.mode(), is_last)
}

/// Whether an open folder belongs to root or to this process's user, and nobody else may write it.
///
/// # Errors
/// [`OwnershipError::WritableByOthers`].
pub fn ensure_own_folder(path: &Path, owner: u32, mode: u32) -> Result<(), OwnershipError> {
    ensure_safe(path, owner, mode, IsLast::Yes)
}

/// Whether an owner is root or this process's user.
#[must_use]
pub fn is_trusted_owner(owner: u32) -> bool {
    owner == 0 || owner == rustix::process::geteuid().as_raw()
}

fn ensure_safe(path: &Path, owner: u32, mode: u32, is_last: IsLast) -> Result<(), OwnershipError> {
    if is_safe(owner, mode, is_last) {
        return Ok(());
    }
    Err(OwnershipError::WritableByOthers { path: path.to_owned(), owner, mode: mode & 0o7777 })
}

/// Judges one part of a path.
fn is_safe(owner: u32, mode: u32, is_last: IsLast) -> bool {
    const TYPE: u32 = 0o170_000;
    const FOLDER: u32 = 0o040_000;
    const LINK: u32 = 0o120_000;
    const STICKY: u32 = 0o1000;
    if !is_trusted_owner(owner) {
        return false;
    }
    let kind = mode & TYPE;
    // The permissions of a link itself mean nothing; who may replace it is the folder's matter.
    if kind == LINK || mode & 0o022 == 0 {
        return true;
    }
    kind == FOLDER && is_last == IsLast::No && mode & STICKY != 0
}

/// Free bytes for this process on the file system of a path.
///
/// # Errors
/// The system's.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_with_the_mode_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_atomic(&path, b"one", PUBLIC).unwrap();
        fs::write(folder.path().join(".new-a"), b"left by a crash").unwrap();
        write_atomic(&path, b"two", PRIVATE).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, PRIVATE);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_longer_than_allowed_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        assert!(read_bounded(&path, 3).unwrap().is_none());
        fs::write(&path, b"abcd").unwrap();
        assert_eq!(read_bounded(&path, 3).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_bounded(&path, 4).unwrap().unwrap(), b"abcd");
    }

    #[test]
    fn a_file_or_folder_that_others_may_write_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let file = inner.join("hook");
        fs::write(&file, b"").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(ensure_not_writable_by_others(&file).is_ok());
        for (path, mode) in [(&file, 0o757), (&file, 0o775), (&inner, 0o777), (&inner, 0o775)] {
            let before = fs::metadata(path).unwrap().permissions();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            let error = ensure_not_writable_by_others(&file).unwrap_err();
            assert!(matches!(error, OwnershipError::WritableByOthers { .. }), "{mode:o}");
            fs::set_permissions(path, before).unwrap();
        }
        assert!(matches!(ensure_not_writable_by_others(Path::new("hook")), Err(OwnershipError::Relative(_))));
    }

    #[test]
    fn a_link_is_followed_before_its_goal_is_judged() {
        let folder = tempfile::tempdir().unwrap();
        let goal = folder.path().join("goal");
        fs::write(&goal, b"").unwrap();
        fs::set_permissions(&goal, fs::Permissions::from_mode(0o777)).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&goal, &link).unwrap();
        assert!(ensure_not_writable_by_others(&link).is_err());
    }

    #[test]
    fn a_link_that_stands_in_a_folder_of_others_is_found_wherever_on_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let (good, open) = (folder.path().join("good"), folder.path().join("open"));
        for path in [&good, &open] {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(good.join("hook"), b"").unwrap();
        fs::set_permissions(good.join("hook"), fs::Permissions::from_mode(0o755)).unwrap();
        // Both ends are good; in between stands a link that others could turn around.
        std::os::unix::fs::symlink("../good", open.join("middle")).unwrap();
        std::os::unix::fs::symlink("open/middle", folder.path().join("first")).unwrap();
        let hook = folder.path().join("first/hook");
        ensure_not_writable_by_others(&hook).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
        let error = ensure_not_writable_by_others(&hook).unwrap_err();
        assert!(matches!(error, OwnershipError::WritableByOthers { path, .. } if path == open));
        std::os::unix::fs::symlink("loop", folder.path().join("loop")).unwrap();
        assert!(ensure_not_writable_by_others(&folder.path().join("loop")).is_err());
    }
}
