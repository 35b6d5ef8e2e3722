//! The way to a folder that root makes: each step is looked at and taken in one, and a link that another user laid, or
//! could have laid, ends it before anything is made behind it.
//!
//! Invariant: a link is followed only if it is root's and stands in a folder where only root can lay one. Left out on
//! purpose: folders of another user that the path names itself; who names one chose it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, fchmod, fstat, fsync, mkdirat, openat, readlinkat, unlinkat,
};
use rustix::io::Errno;

use crate::mode::PRIVATE_FOLDER;

/// Most links on one way, as the system has it.
const MAX_LINKS: usize = 40;
/// How often a step is taken again when others make and remove it meanwhile.
const MAX_ATTEMPTS: usize = 16;
const STICKY: u32 = 0o1000;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What the folders get that are made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Modes {
    /// The last one exactly this, those above it the other.
    Exactly { last: u32, above: u32 },
    /// All of them this, less what the umask takes.
    AtMost(u32),
}

/// Goes to a folder and makes what is missing on the way, durably.
pub(crate) fn make(path: &Path, modes: Modes) -> io::Result<()> {
    let mut left = steps(path);
    let mut at = open(CWD, OsStr::new("."), OFlags::DIRECTORY)?;
    let (mut links, mut attempts) = (0, 0);
    while let Some(step) = left.pop() {
        // As a folder first: one that is mounted when it is used is not, unless a folder is asked for.
        match open(&at, &step, OFlags::DIRECTORY) {
            Ok(next) => at = next,
            Err(Errno::NOTDIR | Errno::LOOP) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP.into());
                }
                left.extend(target_of(path, &at, &step)?);
            }
            Err(Errno::NOENT) => match make_one(&at, &step, modes, left.is_empty()) {
                Err(Errno::EXIST) if attempts < MAX_ATTEMPTS => {
                    attempts += 1;
                    left.push(step);
                }
                made => at = made?,
            },
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn open(at: impl AsFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(at, name, flags | OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// The steps behind a link, if it may be followed.
fn target_of(path: &Path, at: &OwnedFd, step: &OsStr) -> io::Result<Vec<OsString>> {
    let link = open(at, step, OFlags::empty())?;
    let found = fstat(&link)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::Symlink {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    if !is_roots(&found, &fstat(at)?) {
        let (link, user) = (step.display(), found.st_uid);
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "the link {link} on the way to {} is of the user {user} or in a folder that others can change, and \
                 root makes nothing behind it; name the folder itself",
                path.display()
            ),
        ));
    }
    Ok(steps(Path::new(&OsString::from_vec(readlinkat(&link, "", Vec::new())?.into_bytes()))))
}

fn is_roots(link: &Stat, folder: &Stat) -> bool {
    let only_root_lays = folder.st_mode & WRITABLE_BY_OTHERS == 0 || folder.st_mode & STICKY != 0;
    link.st_uid == 0 && folder.st_uid == 0 && only_root_lays
}

/// Private until its mode is set, and looked at again: who may write in the folder can have exchanged it.
fn make_one(at: &OwnedFd, name: &OsStr, modes: Modes, is_last: bool) -> Result<OwnedFd, Errno> {
    let (first, then) = match modes {
        Modes::Exactly { last, above } => (PRIVATE_FOLDER, Some(if is_last { last } else { above })),
        Modes::AtMost(mode) => (mode, None),
    };
    mkdirat(at, name, Mode::from_raw_mode(first))?;
    finish(at, name, then).inspect_err(|error| {
        // Else the next try would find it, with whatever mode, and flush nothing. What somebody exchanged is not ours.
        if *error != Errno::PERM {
            let _ = unlinkat(at, name, AtFlags::REMOVEDIR);
        }
    })
}

/// What was made gets its mode, and its name is flushed.
fn finish(at: &OwnedFd, name: &OsStr, mode: Option<u32>) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = openat(at, name, flags, Mode::empty())?;
    if fstat(&made)?.st_uid != rustix::process::geteuid().as_raw() {
        return Err(Errno::PERM);
    }
    if let Some(mode) = mode {
        fchmod(&made, Mode::from_raw_mode(mode))?;
    }
    fsync(openat(at, ".", flags, Mode::empty())?)?;
    Ok(made)
}

/// The steps of a path, the first at the end. A step of `/` leads to the root folder from wherever it is taken.
fn steps(path: &Path) -> Vec<OsString> {
    path.components().rev().map(|step| step.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};

    use sealpost_test_support::skips::skip;

    use super::*;

    const EXACTLY: Modes = Modes::Exactly { last: 0o700, above: 0o755 };
    const SOMEBODY: u32 = 12_345;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn what_is_missing_is_made_with_its_mode_and_a_file_in_the_way_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/./b/../c");
        make(&folder.path().join("a/b"), EXACTLY).unwrap();
        make(&inner, EXACTLY).unwrap();
        make(&inner, EXACTLY).unwrap();
        assert_eq!((mode(&inner), mode(&folder.path().join("a"))), (0o700, 0o755));
        fs::write(folder.path().join("file"), b"").unwrap();
        let refused = make(&folder.path().join("file/x"), EXACTLY).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::NotADirectory);
        make(&folder.path().join("shared"), Modes::AtMost(0o755)).unwrap();
        assert_eq!(mode(&folder.path().join("shared")) & !0o755, 0);
    }

    /// Only root can give a file to somebody.
    #[test]
    fn nothing_is_made_behind_a_link_of_another_user_or_one_that_he_could_lay() {
        if !rustix::process::geteuid().is_root() {
            return skip("links of another user: giving a file to somebody needs root; run it as root")
                .unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("root")).unwrap();
        fs::create_dir(at("theirs")).unwrap();
        symlink(at("root"), at("theirs/link")).unwrap();
        lchown(at("theirs/link"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
        symlink(at("root"), at("link")).unwrap();
        make(&at("link/mine"), EXACTLY).unwrap();
        assert!(at("root/mine").is_dir());

        for path in ["theirs/link/new", "theirs/link/new/deep", "theirs/link/mine"] {
            let refused = make(&at(path), EXACTLY).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{path}");
            assert!(refused.to_string().contains(&SOMEBODY.to_string()), "{refused}");
        }
        // Root's own link, moved there by whoever owns the folder.
        lchown(at("theirs"), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
        lchown(at("theirs/link"), Some(0), Some(0)).unwrap();
        assert!(make(&at("theirs/link/new"), EXACTLY).is_err());
        fs::create_dir(at("open")).unwrap();
        fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).unwrap();
        symlink(at("root"), at("open/link")).unwrap();
        assert!(make(&at("open/link/new"), EXACTLY).is_err());
        fs::set_permissions(at("open"), fs::Permissions::from_mode(0o1777)).unwrap();
        make(&at("open/link/new"), EXACTLY).unwrap();
        assert_eq!(fs::read_dir(at("root")).unwrap().count(), 2);
        make(&at("theirs/new"), EXACTLY).unwrap();
        assert!(at("theirs/new").is_dir(), "a folder that the path names itself is root's choice");
    }
}
