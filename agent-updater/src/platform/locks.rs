//! Whether some process holds the lock of a file, for whoever may not open that file.
//!
//! Left out on purpose: taking a lock (`sealpost_files`), and who holds it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The kernel's list, which everybody may read.
const LOCKS: &str = "/proc/locks";

/// Whether a file is locked; `None` if that cannot be found out.
#[must_use]
pub fn is_locked(path: &Path) -> Option<bool> {
    let found = fs::symlink_metadata(path).ok()?;
    let locks = fs::read_to_string(LOCKS).ok()?;
    let (major, minor) = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
    names(&locks, &format!("{major:02x}:{minor:02x}"), found.ino())
}

/// Whether a list has a lock of a file on a device, which is `MAJOR:MINOR`. Lines that wait for a lock have an arrow. Some file
/// systems (btrfs) are listed under another device than their files have: then a lock of the same inode number tells nothing.
fn names(locks: &str, device: &str, inode: u64) -> Option<bool> {
    let held = locks.lines().filter(|line| !line.contains("->"));
    let files = held.filter_map(|line| line.split_whitespace().nth(5)?.rsplit_once(':'));
    let inode = inode.to_string();
    let mut devices = files.filter(|(_, listed)| *listed == inode).map(|(device, _)| device).peekable();
    if devices.peek().is_none() {
        return Some(false);
    }
    devices.any(|listed| listed == device).then_some(true)
}

#[cfg(test)]
mod tests {
    use sealpost_files::FileLock;

    use super::*;

    #[test]
    fn a_file_counts_as_locked_as_long_as_its_lock_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        assert_eq!(is_locked(&path), None, "there is none");
        let held = FileLock::try_take(&path).unwrap();
        assert_ne!(is_locked(&path), Some(false));
        drop(held);
        assert_ne!(is_locked(&path), Some(true));
    }

    #[test]
    fn who_waits_for_a_lock_does_not_hold_it() {
        let list =
            "1: FLOCK  ADVISORY  WRITE 7 fe:00:42 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 8 fe:00:43 0 EOF\n";
        assert_eq!(names(list, "fe:00", 42), Some(true));
        assert_eq!((names(list, "fe:00", 43), names("", "fe:00", 42)), (Some(false), Some(false)));
        assert_eq!(names(list, "00:2d", 42), None, "it may be the same file under another device");
    }
}
