//! Which files of a service were laid by `install-service` and are as they were laid.

use std::io;
use std::path::{Path, PathBuf};

use sealpost_files::read_bounded;

use super::beneath::beneath;
use super::files::{Layout, MARKER, Strict};
use super::install::{InstallError, MAX_BYTES};

/// The files below `root` that may be removed with the service: those that we wrote, and settings that nobody changed. What an
/// admin wrote or changed is left out.
///
/// # Errors
/// [`InstallError::Io`].
pub fn ours(layout: &Layout, root: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let mut ours = Vec::new();
    for file in layout.files(Strict::Yes) {
        let failed = |source| InstallError::Io { path: file.path.clone(), source };
        let path = beneath(root, &file.path).map_err(failed)?;
        let found = match read_bounded(&path, MAX_BYTES) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(failed(error)),
            // Longer than anything of ours, or no file at all.
            Err(_) => None,
        };
        let is_ours = found.is_some_and(|bytes| {
            if file.is_for_settings {
                bytes == file.text.as_bytes()
            } else {
                bytes.starts_with(MARKER.as_bytes())
            }
        });
        if is_ours {
            ours.push(path);
        }
    }
    Ok(ours)
}
