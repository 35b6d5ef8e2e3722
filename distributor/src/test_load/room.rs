//! Where releases are laid out for a test-load.
//!
//! Invariant: each load has a folder of its own that is removed after it; what a killed server left is removed at the next
//! start, and nothing else. The names of the folders say whose home they belong to, and only folders of this user count.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sealpost_manifests::digest::Sha256Digest;
use tempfile::TempDir;

/// How the names of the folders begin.
const PREFIX: &str = "sealpost-test-load-";
/// Permissions of the folders: whoever runs the program can enter them.
const OPEN_FOLDER: u32 = 0o755;
/// Characters of the home's digest that stand in a name.
const DIGITS: usize = 16;
/// Where the program has a user of its own, who can enter no home of a server.
const COMMON: &str = "/var/tmp";

/// A folder in which test-loads have theirs.
#[derive(Debug, Clone)]
pub struct Room {
    folder: PathBuf,
    prefix: String,
    keep_free_bytes: u64,
}

impl Room {
    /// In the home's own folder for releases, which nobody else can enter; where the server has root's rights, and gives the
    /// program another user, where all can.
    #[must_use]
    pub fn of(home: &Path, private: &Path, keep_free_bytes: u64) -> Self {
        let is_root = rustix::process::geteuid().is_root();
        let folder = if is_root { Path::new(COMMON) } else { private };
        Self::within(folder, home, keep_free_bytes)
    }

    fn within(folder: &Path, home: &Path, keep_free_bytes: u64) -> Self {
        let home = home.canonicalize().unwrap_or_else(|_| home.to_owned());
        let digest = Sha256Digest::of(home.as_os_str().as_encoded_bytes()).to_string();
        let prefix = format!("{PREFIX}{}-", digest.get(..DIGITS).unwrap_or(&digest));
        Self { folder: folder.to_owned(), prefix, keep_free_bytes }
    }

    /// A new folder, if so many bytes fit into it and leave free what is to stay free; it is removed with the answer.
    ///
    /// # Errors
    /// Why there is none, for people.
    pub(super) fn make(&self, needed: u64) -> Result<TempDir, String> {
        let shown = self.folder.display();
        let disk =
            rustix::fs::statvfs(&self.folder).map_err(|error| format!("cannot look at {shown}: {error}"))?;
        let (free, keep) = (disk.f_bavail.saturating_mul(disk.f_frsize), self.keep_free_bytes);
        if free < needed.saturating_add(keep) {
            return Err(format!(
                "no room in {shown}: {needed} bytes are needed, {free} are free and {keep} must stay free"
            ));
        }
        tempfile::Builder::new()
            .prefix(&self.prefix)
            .permissions(Permissions::from_mode(OPEN_FOLDER))
            .tempdir_in(&self.folder)
            .map_err(|error| format!("no folder can be made in {shown}: {error}"))
    }

    /// Removes what an earlier server of this home left.
    pub(super) fn clear(&self) -> io::Result<()> {
        let me = rustix::process::geteuid().as_raw();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(&self.prefix) {
                continue;
            }
            // Of the folder itself: a link of somebody else's is followed nowhere.
            let found = entry.metadata()?;
            if found.is_dir() && found.uid() == me {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_a_killed_server_left_is_removed_and_nothing_else() {
        let (room, homes) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mine = Room::within(room.path(), homes.path(), 0);
        let others = Room::within(room.path(), Path::new("/another/home"), 0);
        let left = [&mine, &others].map(|room| room.make(1).unwrap().keep());
        fs::write(left[0].join("file"), "left").unwrap();
        let outside = homes.path().join("outside");
        fs::create_dir(&outside).unwrap();
        let link = room.path().join(format!("{}link", mine.prefix));
        symlink(&outside, &link).unwrap();
        mine.clear().unwrap();
        assert!(!left[0].exists(), "it was this home's");
        assert!(left[1].exists() && outside.exists() && link.is_symlink());
    }

    #[test]
    fn a_release_that_does_not_fit_is_not_laid_out() {
        let room = tempfile::tempdir().unwrap();
        let full = Room::within(room.path(), room.path(), u64::MAX).make(1).unwrap_err();
        assert!(full.contains("must stay free"), "{full}");
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
    }
}
