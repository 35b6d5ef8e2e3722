//! Writing durably: beside the place, flushed, renamed, and the name flushed too.
//!
//! Invariant: whoever reads the final name sees the old bytes or the new ones, whole, also after a power cut. What a
//! killed process leaves carries a prefix by which [`sweep`] knows it. A device, a pipe or a socket is never replaced: a
//! rename would put a file in the place of the machine's `/dev/null`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::faults::{Step, reach, write_all};
use crate::folder::sync_folder;
use crate::mode::PRIVATE;
use crate::read::read_bounded;

/// How the name of an unfinished file begins.
const UNFINISHED: &str = ".unfinished-";

/// Writes a new file with exactly `mode`, flushed together with its name.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if something of that name is there, and what the system says otherwise.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = parent(path)?;
    let file = Unfinished::of(folder, bytes, mode)?;
    file.create(path)?;
    sync_folder(folder).inspect_err(|_| {
        // Else the next try would find it, and refuse.
        let _ = fs::remove_file(path);
    })
}

/// Writes a file with exactly `mode`, replacing what is there. A link in its place is replaced, not followed.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if what is there is a device; the system's otherwise.
/// The old file is still there then.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = parent(path)?;
    let file = Unfinished::of(folder, bytes, mode)?;
    file.replace(path)?;
    sync_folder(folder)
}

/// Writes a file that must not exist, or must have exactly these bytes already. The folder itself is not flushed: the
/// caller does that once for many files.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] if it has other bytes, and what the system says otherwise.
pub fn create_or_same(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let file = Unfinished::of(parent(path)?, bytes, mode)?;
    match file.create(path) {
        Err(refused) if refused.kind() == io::ErrorKind::AlreadyExists => {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            match read_bounded(path, length) {
                Ok(Some(existing)) if existing == bytes => Ok(()),
                _ => Err(refused),
            }
        }
        result => result,
    }
}

/// A file without a final name yet; removed when it is dropped.
#[derive(Debug)]
pub struct Unfinished(NamedTempFile);

impl Unfinished {
    /// A new private file in `folder`, of a name that nobody can guess.
    ///
    /// # Errors
    /// The system's.
    pub fn new_in(folder: &Path) -> io::Result<Self> {
        reach(Step::Create, folder)?;
        // Opened here, and not by the crate, whose errors say the name: nobody finds anything there.
        let open =
            |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE).open(path);
        tempfile::Builder::new().prefix(UNFINISHED).make_in(folder, open).map(Self)
    }

    /// A file with all its bytes, of which only the name is left.
    fn of(folder: &Path, bytes: &[u8], mode: u32) -> io::Result<Self> {
        let Self(mut file) = Self::new_in(folder)?;
        write_all(file.as_file_mut(), folder, bytes)?;
        let file = Self(file);
        file.finish(mode)?;
        Ok(file)
    }

    /// The file, to be written.
    pub fn file_mut(&mut self) -> &mut File {
        self.0.as_file_mut()
    }

    /// Its temporary path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Sets the mode and flushes the bytes, so that only the rename is left.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(&self, mode: u32) -> io::Result<()> {
        reach(Step::Flush, self.path())?;
        self.0.as_file().set_permissions(Permissions::from_mode(mode))?;
        self.0.as_file().sync_all()
    }

    /// Gives it its name, if nothing of that name is there. The folder is not flushed.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something is, and what the system says otherwise.
    pub fn create(self, path: &Path) -> io::Result<()> {
        reach(Step::Rename, parent(path)?)?;
        self.0.persist_noclobber(path).map(drop).map_err(|error| error.error)
    }

    /// Gives it its name, replacing what is there. The folder is not flushed.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if what is there is a device; the system's otherwise.
    pub fn replace(self, path: &Path) -> io::Result<()> {
        refuse_device(path)?;
        reach(Step::Rename, parent(path)?)?;
        self.0.persist(path).map(drop).map_err(|error| error.error)
    }
}

/// Removes unfinished files that a killed process left in `folder`. The caller holds the folder's lock.
///
/// # Errors
/// The system's.
pub fn sweep(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            reach(Step::Remove, folder)?;
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether a file of the name that a person gave may be written, asked before the work that it is to hold. A link is
/// refused too: `/dev/stdout` is one, and whoever named a link did not mean the link itself.
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`] if something is there that is no regular file; what the system says otherwise.
pub fn refuse_what_is_no_file(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(about) if about.is_file() => Ok(()),
        Ok(about) if about.is_dir() => Err(no_file("a folder", "name a file in it")),
        Ok(about) if about.is_symlink() => Err(no_file("a link", "name the file itself")),
        Ok(_) => Err(special()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A device is the system's, wherever its node lies. A pipe or a link that somebody laid in the place of a file of ours makes
/// way. What cannot be looked at is left to the rename.
fn refuse_device(path: &Path) -> io::Result<()> {
    let is_device = |kind: fs::FileType| kind.is_char_device() || kind.is_block_device();
    match fs::symlink_metadata(path) {
        Ok(about) if is_device(about.file_type()) => Err(special()),
        _ => Ok(()),
    }
}

fn special() -> io::Error {
    no_file("a device, a pipe or a socket", "name a file")
}

fn no_file(what: &str, next: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, which is not replaced; {next}"))
}

fn parent(path: &Path) -> io::Result<&Path> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Ok(Path::new(".")),
        Some(folder) => Ok(folder),
        None => Err(io::Error::from(io::ErrorKind::InvalidFilename)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::PUBLIC;
    use std::os::unix::fs::MetadataExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_file_is_replaced_whole_with_the_mode_that_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace(&path, b"one", PUBLIC).unwrap();
        assert_eq!(mode(&path), PUBLIC);
        replace(&path, b"two", PRIVATE).unwrap();
        assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"two"[..], PRIVATE));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_in_the_place_of_a_file_is_replaced_and_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (goal, link) = (folder.path().join("goal"), folder.path().join("link"));
        fs::write(&goal, b"untouched").unwrap();
        std::os::unix::fs::symlink(&goal, &link).unwrap();
        replace(&link, b"new", PRIVATE).unwrap();
        assert_eq!(fs::read(&goal).unwrap(), b"untouched");
        assert!(!fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(write_new(&link, b"x", PRIVATE).is_err());
    }

    #[test]
    fn a_device_is_never_replaced_and_a_pipe_in_the_place_of_a_file_is() {
        use rustix::fs::{CWD, FileType, makedev, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let (pipe, device) = (folder.path().join("pipe"), folder.path().join("null"));
        mknodat(CWD, &pipe, FileType::Fifo, 0o600.into(), 0).unwrap();
        replace(&pipe, b"new", PRIVATE).unwrap();
        assert_eq!(fs::read(&pipe).unwrap(), b"new");
        if mknodat(CWD, &device, FileType::CharacterDevice, 0o600.into(), makedev(1, 3)).is_err() {
            sealpost_test_support::skips::needs("the right to make devices").unwrap();
            return;
        }
        let before = fs::symlink_metadata(&device).unwrap();
        let error = replace(&device, b"new", PRIVATE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("a device, a pipe or a socket"), "{error}");
        let after = fs::symlink_metadata(&device).unwrap();
        assert_eq!((after.ino(), after.file_type()), (before.ino(), before.file_type()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside them");
    }

    #[test]
    fn a_person_may_name_a_file_or_a_new_name_and_neither_a_folder_nor_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), b"x").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        refuse_what_is_no_file(&at("file")).unwrap();
        refuse_what_is_no_file(&at("absent")).unwrap();
        let said = |path: &Path| refuse_what_is_no_file(path).unwrap_err().to_string();
        assert!(said(&at("link")).contains("name the file itself"));
        assert!(said(folder.path()).contains("name a file in it"));
        assert!(said(Path::new("/dev/null")).contains("a device, a pipe or a socket"));
    }

    #[test]
    fn a_new_file_never_replaces_another_and_the_same_bytes_again_are_fine() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_new(&path, b"one", PUBLIC).unwrap();
        assert_eq!(mode(&path), PUBLIC);
        assert_eq!(write_new(&path, b"two", PUBLIC).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a refused write leaves nothing behind");
        create_or_same(&path, b"one", PUBLIC).unwrap();
        let error = create_or_same(&path, b"two", PUBLIC).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }

    #[test]
    fn a_failure_names_no_file_that_nobody_finds() {
        let folder = tempfile::tempdir().unwrap();
        let error = replace(&folder.path().join("absent/a"), b"one", PUBLIC).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!error.to_string().contains(UNFINISHED), "{error}");
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".unfinished-abc"), b"").unwrap();
        fs::write(folder.path().join("kept"), b"").unwrap();
        sweep(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
