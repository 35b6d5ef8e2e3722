//! Durable files: written beside their place, flushed, then renamed; read with a bound.
//!
//! Invariant: a reader of the final name sees the old bytes or the new bytes, whole, also after a power cut.
//! Left out on purpose: locking (the owner of a folder locks it) and paths from outside (names are checked before).

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

/// Unfinished files carry this prefix, so that [`sweep`] can tell them after a crash.
const UNFINISHED: &str = ".unfinished-";

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// Only the owner: state of this program.
    Owner,
    /// Everybody: files for a web server, which runs as another user.
    Everybody,
}

impl Audience {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everybody => 0o644,
        }
    }
}

/// Writes `bytes` to `path`, replacing what is there.
pub(crate) fn replace(path: &Path, bytes: &[u8], audience: Audience) -> io::Result<()> {
    let folder = parent(path)?;
    let mut file = unfinished(folder)?;
    file.write_all(bytes)?;
    finish(&file, audience)?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Writes `bytes` to `path`, which must not exist, or have exactly these bytes already.
///
/// The folder itself is not flushed; the caller does it once for many files.
pub(crate) fn create(path: &Path, bytes: &[u8], audience: Audience) -> io::Result<()> {
    let mut file = unfinished(parent(path)?)?;
    file.write_all(bytes)?;
    finish(&file, audience)?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
            match read_bounded(path, length_of(bytes))? {
                Some(existing) if existing == bytes => Ok(()),
                _ => Err(refused.error),
            }
        }
        Err(refused) => Err(refused.error),
    }
}

/// A file without a final name yet, in `folder`.
pub(crate) fn unfinished(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)
}

/// Sets the mode and flushes an unfinished file, so that only the rename is left.
pub(crate) fn finish(file: &NamedTempFile, audience: Audience) -> io::Result<()> {
    file.as_file().set_permissions(Permissions::from_mode(audience.mode()))?;
    file.as_file().sync_all()
}

/// Makes renames in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes unfinished files that a killed process left in `folder`. The caller holds the folder's lock.
pub(crate) fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Reads a whole file of at most `max_bytes`; `None` only if nothing of that name exists.
///
/// # Errors
/// `FileTooLarge` beyond the bound, and whatever the system says, except that the file does not exist.
pub(crate) fn read_bounded(path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match open_regular(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if length_of(&bytes) > max_bytes {
        return Err(io::Error::from(io::ErrorKind::FileTooLarge));
    }
    Ok(Some(bytes))
}

/// Opens a regular file to be read. A named pipe in its place is refused, not waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}

/// The length of bytes in memory as the `u64` that metadata uses.
pub(crate) fn length_of(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))
}
