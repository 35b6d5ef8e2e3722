//! Who else could change a file or a folder: a program that runs as root must not take orders from a path that others
//! can write.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Largest number of links that are followed on the way to a file, as in Linux.
const MAX_LINKS: usize = 40;

/// Why a file or a folder cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// It means something else in another folder.
    #[error("{0} is not an absolute path; write it out from /")]
    Relative(PathBuf),
    /// It, or a folder above it, can be changed by others.
    #[error(
        "{path} can be changed by others than root and the user of this program (owner {owner}, mode {mode:04o}); chown it to root and \
         chmod go-w"
    )]
    WritableByOthers {
        /// The first part that can be changed.
        path: PathBuf,
        /// Number of its owner.
        owner: u32,
        /// Its permissions.
        mode: u32,
    },
    /// It cannot be looked at.
    #[error("cannot look at {path}; check that it exists and its permissions")]
    Io {
        /// The part of the way.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// Checks that only root and this process's user can change a file or folder, and the way to it. Links are followed
/// one by one, and every folder on the way is checked, also those that further links are in. A folder that everybody
/// may write but that has the sticky bit (`/tmp`) is accepted on the way: only the owner of an entry can replace it.
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
                if links > MAX_LINKS {
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

/// Whether a part of a path is its last one.
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

/// Checks that an open folder belongs to root or to this process's user, and that nobody else may write it.
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

fn is_safe(owner: u32, mode: u32, is_last: IsLast) -> bool {
    const TYPE: u32 = 0o170_000;
    const FOLDER: u32 = 0o040_000;
    const LINK: u32 = 0o120_000;
    const STICKY: u32 = 0o1000;
    if !is_trusted_owner(owner) {
        return false;
    }
    let kind = mode & TYPE;
    // The permissions of a link itself mean nothing; the folder that it is in says who may replace it.
    if kind == LINK || mode & 0o022 == 0 {
        return true;
    }
    kind == FOLDER && is_last == IsLast::No && mode & STICKY != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

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
        // Both ends are good; in between is a link that others could replace.
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
