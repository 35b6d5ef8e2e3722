//! Unpacks into a plain folder.
//!
//! For folders that no other account can write to: links that another process puts there meanwhile are followed. A
//! program that writes where others can brings its own [`PayloadSink`].

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::PathBuf;

use super::read::PayloadSink;
use crate::ids::RelativePath;

/// A folder, which has to exist and should be empty. Files are synced one by one; the caller syncs the
/// folder when it is whole.
#[derive(Debug, Clone)]
pub struct FolderSink {
    root: PathBuf,
}

impl FolderSink {
    /// A sink into this folder.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn place(&self, path: &RelativePath) -> io::Result<PathBuf> {
        let place = self.root.join(path.as_str());
        if let Some(parent) = place.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(parent)?;
        }
        Ok(place)
    }
}

impl PayloadSink for FolderSink {
    fn create_file(
        &mut self,
        path: &RelativePath,
        mode: u32,
        _length: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(self.place(path)?)?;
        io::copy(content, &mut file)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()
    }

    fn create_symlink(&mut self, path: &RelativePath, target: &str) -> io::Result<()> {
        symlink(target, self.place(path)?)
    }
}
