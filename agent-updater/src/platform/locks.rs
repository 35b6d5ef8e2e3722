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
    Some(names(&locks, &format!("{major:02x}:{minor:02x}:{}", found.ino())))
}

/// Whether a list has a lock of `file`, which is `MAJOR:MINOR:INODE`. Lines that wait for a lock have an arrow.
fn names(locks: &str, file: &str) -> bool {
    let mut lines = locks.lines().filter(|line| !line.contains("->"));
    lines.any(|line| line.split_whitespace().nth(5) == Some(file))
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
        // Some file systems are listed under another device; then nothing is known, and nothing is claimed.
        let is_listed = is_locked(&path).unwrap();
        drop(held);
        assert_eq!(is_locked(&path), Some(false));
        assert!(is_listed);
    }

    #[test]
    fn who_waits_for_a_lock_does_not_hold_it() {
        let list =
            "1: FLOCK  ADVISORY  WRITE 7 fe:00:42 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 8 fe:00:43 0 EOF\n";
        assert!(names(list, "fe:00:42") && !names(list, "fe:00:43") && !names("", "fe:00:42"));
    }
}
