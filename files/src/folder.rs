//! Folders: made with an exact mode, and flushed, so that a new name in them survives a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::faults::{Step, reach};
use crate::mode::PRIVATE_FOLDER;
use crate::way::{self, Modes};

/// Mode of the folders above the one that was asked for.
const PARENT_MODE: u32 = 0o755;

/// Makes a folder and those above it, all of it on disk. A new folder gets exactly `mode`, its new parents 0755; a
/// folder that exists keeps its mode. Root makes nothing behind a link that another user laid or could have laid, and
/// refuses such a way also to a folder that exists.
///
/// # Errors
/// The system's; as root also [`io::ErrorKind::PermissionDenied`] for such a link.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return way::make(path, Modes::Exactly { last: mode, above: PARENT_MODE });
    }
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent, PARENT_MODE)?;
    }
    reach(Step::MakeFolder, path.parent().unwrap_or(path))?;
    // Private until its mode is set, whatever the umask says.
    match DirBuilder::new().mode(PRIVATE_FOLDER).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(error) => return Err(error),
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).and_then(|()| sync_parent(path)).inspect_err(
        |_| {
            // Else the next try would find it, with whatever mode, and flush nothing.
            let _ = fs::remove_dir(path);
        },
    )
}

/// Makes a folder and those above it, all with `mode` less what the umask takes; root with the same care as in
/// [`make_folder`].
///
/// # Errors
/// As [`make_folder`].
pub fn make_folder_at_most(path: &Path, mode: u32) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        return way::make(path, Modes::AtMost(mode));
    }
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    sync_parent(path)
}

/// Makes new, renamed and removed names in a folder durable.
///
/// # Errors
/// The system's.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    reach(Step::FlushFolder, folder)?;
    open_folder(folder)?.sync_all()
}

/// A named pipe in the place of a folder is refused, not waited for.
pub(crate) fn open_folder(folder: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::DIRECTORY.bits().cast_signed()).open(folder)
}

/// Makes it durable that `path` stands in its folder, or does not stand there any more.
///
/// # Errors
/// The system's.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => sync_folder(folder),
        Some(_) => sync_folder(Path::new(".")),
        None => Ok(()),
    }
}

/// Removes a file durably; that it is not there is fine.
///
/// # Errors
/// The system's.
pub fn remove_durably(path: &Path) -> io::Result<()> {
    reach(Step::Remove, path.parent().unwrap_or(path))?;
    match fs::remove_file(path) {
        Ok(()) => sync_parent(path),
        // An earlier try may have removed it without being able to flush that.
        Err(error) if error.kind() == io::ErrorKind::NotFound => match sync_parent(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            flushed => flushed,
        },
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_new_folder_has_exactly_the_mode_and_an_old_one_keeps_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        make_folder(&inner, 0o700).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&inner), mode(&folder.path().join("a"))), (0o700, 0o755));
        make_folder(&inner, 0o755).unwrap();
        assert_eq!(mode(&inner), 0o700);
        fs::write(folder.path().join("file"), b"").unwrap();
        assert!(make_folder(&folder.path().join("file"), 0o700).is_err(), "a file is no folder");
    }

    #[test]
    fn what_is_not_there_can_be_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, b"").unwrap();
        remove_durably(&path).unwrap();
        remove_durably(&path).unwrap();
        assert!(!path.exists());
    }
}
