//! Building a slot, and reading one as the base of a delta.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};

use sealpost_deltas::{BaseFile, BaseFiles, ReadAt, TargetWriter};
use sealpost_files::faults::{Step, reach};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::RelativePath;
use sealpost_manifests::payload::PayloadSink;

use crate::platform::disk;

use super::beneath::{BeneathError, Folder, Kind, seal_file};
use super::check::{EXECUTABLE_MODE, FILE_MODE, file_differences};

/// A slot that is being built. Dropped without [`SlotBuilder::finish`], it keeps its `.building` name, as after a crash;
/// the next try removes it or goes on with it.
#[derive(Debug)]
pub struct SlotBuilder<'a> {
    slots: &'a Folder,
    folder: Folder,
    building_name: String,
    final_name: String,
    disk_was_full: bool,
    /// Whether files of an earlier try may be there.
    goes_on: bool,
}

impl<'a> SlotBuilder<'a> {
    pub(super) const fn new(
        slots: &'a Folder,
        folder: Folder,
        building_name: String,
        final_name: String,
    ) -> Self {
        Self { slots, folder, building_name, final_name, disk_was_full: false, goes_on: false }
    }

    pub(super) fn going_on(
        slots: &'a Folder,
        folder: Folder,
        building_name: String,
        final_name: String,
    ) -> Self {
        Self { goes_on: true, ..Self::new(slots, folder, building_name, final_name) }
    }

    /// Whether a write failed because the disk was full. The error that the caller sees may not say so.
    #[must_use]
    pub const fn disk_was_full(&self) -> bool {
        self.disk_was_full
    }

    /// Writes one file of exactly `length` bytes.
    ///
    /// # Errors
    /// The system's, the reader's, and `UnexpectedEof` or `InvalidData` when the reader has fewer or more bytes.
    pub fn write_file(
        &mut self,
        path: &str,
        executable: bool,
        length: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        let written = self.write_file_inner(path, executable, length, content);
        self.noting_full_disk(written)
    }

    fn write_file_inner(
        &self,
        path: &str,
        executable: bool,
        length: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        self.make_parent(path)?;
        let mut file = self.folder.create_file(path).map_err(into_io)?;
        reach(Step::Write, self.folder.path())?;
        copy_exactly(content, &mut file, length)?;
        seal_file(&file, if executable { EXECUTABLE_MODE } else { FILE_MODE })
    }

    /// Makes one symbolic link. The reader of the manifest has checked that it stays inside the slot.
    ///
    /// # Errors
    /// The system's.
    pub fn write_link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let made = self.make_parent(path).and_then(|()| self.folder.make_link(path, target).map_err(into_io));
        self.noting_full_disk(made)
    }

    fn make_parent(&self, path: &str) -> io::Result<()> {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.folder.make_folder(parent).map(drop).map_err(into_io),
            None => Ok(()),
        }
    }

    /// Whether `is_same` accepts what an earlier try left at this path. If not, it is taken out of the way.
    fn has(
        &self,
        path: &str,
        wanted: Kind,
        is_same: impl FnOnce() -> Result<bool, BeneathError>,
    ) -> io::Result<bool> {
        if !self.goes_on {
            return Ok(false);
        }
        let found = self.folder.kind(path).map_err(into_io)?;
        if found == Some(wanted) && is_same().map_err(into_io)? {
            return Ok(true);
        }
        if found.is_some() {
            self.folder.remove_file_beneath(path).map_err(into_io)?;
        }
        Ok(false)
    }

    fn noting_full_disk(&mut self, result: io::Result<()>) -> io::Result<()> {
        if let Err(error) = &result {
            self.disk_was_full |= disk::is_full(error);
        }
        result
    }

    /// Makes the folders read-only and everything durable, and gives the slot its name.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn finish(self) -> Result<(), BeneathError> {
        self.finish_beside()?;
        self.take_name()
    }

    /// Gives a slot its name that [`SlotBuilder::finish_beside`] finished, for whoever looks at it before.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn take_name(self) -> Result<(), BeneathError> {
        self.slots.rename(&self.building_name, &self.final_name)?;
        self.slots.sync()
    }

    /// As [`SlotBuilder::finish`], without giving the slot its name: it lies beside one that is damaged.
    ///
    /// # Errors
    /// [`BeneathError`].
    pub fn finish_beside(&self) -> Result<(), BeneathError> {
        // Folders are visited after their content, so each is complete when it becomes read-only.
        self.folder.walk(&mut |parent, name, _, kind| {
            if kind == Kind::Folder {
                let inner = parent.folder_of_same_mount(name)?;
                inner.set_mode(EXECUTABLE_MODE)?;
                inner.sync()?;
            }
            Ok(())
        })?;
        self.folder.set_mode(EXECUTABLE_MODE)?;
        self.folder.sync()?;
        self.slots.sync()
    }
}

impl TargetWriter for SlotBuilder<'_> {
    fn create_file(&mut self, path: &str, mode: u32, length: u64, content: &mut dyn Read) -> io::Result<()> {
        self.write_file(path, mode & 0o100 != 0, length, content)
    }

    fn create_symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.write_link(path, target)
    }

    fn reopen(&mut self, path: &str) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(self.folder.file(path).map_err(into_io)?))
    }

    fn has_file(&mut self, path: &str, mode: u32, length: u64, sha256: &[u8; 32]) -> io::Result<bool> {
        let sha256 = Sha256Digest::from_bytes(*sha256);
        self.has(path, Kind::File, || {
            let name = OsStr::new(path);
            file_differences(&self.folder, name, mode & 0o100 != 0, length, &sha256)
                .map(|what| what.is_empty())
        })
    }

    fn has_symlink(&mut self, path: &str, target: &str) -> io::Result<bool> {
        self.has(path, Kind::Link, || Ok(self.folder.read_link(path)?.as_deref() == Some(OsStr::new(target))))
    }
}

impl PayloadSink for SlotBuilder<'_> {
    fn create_file(
        &mut self,
        path: &RelativePath,
        mode: u32,
        length: u64,
        content: &mut dyn Read,
    ) -> io::Result<()> {
        self.write_file(path.as_str(), mode & 0o100 != 0, length, content)
    }

    fn create_symlink(&mut self, path: &RelativePath, target: &str) -> io::Result<()> {
        self.write_link(path.as_str(), target)
    }
}

/// The files of a slot, read without following links.
#[derive(Debug)]
pub struct SlotBase {
    folder: Folder,
}

impl SlotBase {
    pub(super) const fn new(folder: Folder) -> Self {
        Self { folder }
    }
}

impl BaseFiles for SlotBase {
    fn open(&self, path: &str) -> io::Result<Box<dyn ReadAt + '_>> {
        Ok(Box::new(BaseFile::new(self.folder.file(path).map_err(into_io)?)?))
    }
}

fn copy_exactly(content: &mut dyn Read, file: &mut File, length: u64) -> io::Result<()> {
    let copied = io::copy(&mut content.take(length), file)?;
    if copied < length {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "a file of the release is shorter than signed",
        ));
    }
    if content.read(&mut [0u8; 1])? != 0 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a file of the release is longer than signed",
        ));
    }
    file.flush()
}

fn into_io(error: BeneathError) -> io::Error {
    match error {
        BeneathError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}
