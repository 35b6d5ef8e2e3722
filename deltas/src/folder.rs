//! Trees in plain folders.
//!
//! For folders that no other account can write to: paths are checked, but links that another process
//! puts into the folder meanwhile are followed. A program that writes where others can brings its own
//! [`BaseFiles`] and [`TargetWriter`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::apply::window::WINDOW_BYTES;
use crate::apply::{BaseFiles, TargetWriter};
use crate::digest::Hasher;
use crate::read_at::{BaseFile, ReadAt};
use crate::tree::{Entry, EntryKind, is_plain};

/// A base in a folder.
#[derive(Clone, Debug)]
pub struct FolderBase {
    root: PathBuf,
}

impl FolderBase {
    /// The base in this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }
}

impl BaseFiles for FolderBase {
    fn open(&self, path: &str) -> io::Result<Box<dyn ReadAt + '_>> {
        Ok(Box::new(BaseFile::new(File::open(beneath(&self.root, path)?)?)?))
    }
}

/// A target in a folder, which has to exist and should be empty.
#[derive(Clone, Debug)]
pub struct FolderTarget {
    root: PathBuf,
}

impl FolderTarget {
    /// The target in this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let place = beneath(&self.root, path)?;
        if let Some(parent) = place.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        Ok(place)
    }
}

impl TargetWriter for FolderTarget {
    fn create_file(&mut self, path: &str, mode: u32, _length: u64, content: &mut dyn Read) -> io::Result<()> {
        let place = self.place(path)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode & 0o777).open(place)?;
        io::copy(content, &mut file)?;
        file.set_permissions(fs::Permissions::from_mode(mode & 0o777))
    }

    fn create_symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        symlink(target, self.place(path)?)
    }

    fn reopen(&mut self, path: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(beneath(&self.root, path)?)?))
    }
}

/// The entries of a folder, in the order of its list. Empty folders and special bits of modes are left out.
///
/// # Errors
/// When something cannot be read, is neither file, folder nor link, or has a name that is not UTF-8; the error names it.
pub fn read_folder(root: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for found in fs::read_dir(&folder).map_err(|error| named(&folder, error))? {
            let place = found.map_err(|error| named(&folder, error))?.path();
            let metadata = place.symlink_metadata().map_err(|error| named(&place, error))?;
            if metadata.is_dir() {
                folders.push(place);
                continue;
            }
            let path = place.strip_prefix(root).ok().and_then(Path::to_str);
            let path = path.ok_or_else(|| unfit(&place, "its name is not UTF-8"))?.to_owned();
            let kind = if metadata.is_symlink() {
                let target = fs::read_link(&place).map_err(|error| named(&place, error))?;
                let target = target.to_str().ok_or_else(|| unfit(&place, "its target is not UTF-8"))?;
                EntryKind::Symlink { target: target.to_owned() }
            } else if metadata.is_file() {
                let (length, sha256) = digest(&place).map_err(|error| named(&place, error))?;
                EntryKind::File { length, sha256, mode: metadata.permissions().mode() & 0o777 }
            } else {
                return Err(unfit(&place, "it is neither a file, a folder nor a link"));
            };
            entries.push(Entry { path, kind });
        }
    }
    entries.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
    Ok(entries)
}

fn digest(place: &Path) -> io::Result<(u64, [u8; 32])> {
    let mut file = File::open(place)?;
    let mut hasher = Hasher::new();
    let mut window = vec![0; WINDOW_BYTES];
    let mut length = 0u64;
    loop {
        let count = file.read(&mut window)?;
        if count == 0 {
            return Ok((length, hasher.finish().0));
        }
        hasher.update(window.get(..count).unwrap_or_default());
        length = length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
    }
}

fn named(place: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", place.display()))
}

fn unfit(place: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {why}", place.display()))
}

fn beneath(root: &Path, path: &str) -> io::Result<PathBuf> {
    if is_plain(path) {
        return Ok(root.join(path));
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain relative path"))
}
