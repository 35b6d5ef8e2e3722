//! Trees in plain folders.
//!
//! For folders that no other account can write to: paths are checked, but links that another process
//! puts into the folder meanwhile are followed. A program that writes where others can brings its own
//! [`BaseFiles`] and [`TargetWriter`].

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::apply::{BaseFiles, TargetWriter};
use crate::read_at::{BaseFile, ReadAt};
use crate::tree::is_plain;

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

fn beneath(root: &Path, path: &str) -> io::Result<PathBuf> {
    if is_plain(path) {
        return Ok(root.join(path));
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain relative path"))
}
