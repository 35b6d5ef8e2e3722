//! Free disk space, and how to recognize that there is none.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Free bytes for this process on the file system of a path.
///
/// # Errors
/// The system's.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Whether two paths lie on one file system. If that cannot be seen they count as if: then room for both is asked of it.
#[must_use]
pub fn is_one_file_system(one: &Path, other: &Path) -> bool {
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    device(one).zip(device(other)).is_none_or(|(one, other)| one == other)
}

/// Whether an error says that the disk is full, or that the quota is used up.
#[must_use]
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
