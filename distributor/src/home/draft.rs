//! A home that is being put together in a folder of its own, and moved to its place when it is whole.
//!
//! Invariant: the configuration comes last, so that a half-made home never looks whole; nothing that exists is
//! overwritten.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sealpost_files::{PRIVATE_FOLDER, make_folder, open_regular, sync_folder};

use super::error::{HomeError, failed};
use super::places::{Home, UNFINISHED};

impl Home {
    /// Refuses a home that holds anything.
    ///
    /// # Errors
    /// [`HomeError::NotEmpty`], [`HomeError::Unfinished`].
    pub fn must_be_empty(&self) -> Result<(), HomeError> {
        if self.path().join(UNFINISHED).exists() {
            return Err(HomeError::Unfinished { path: self.path().to_owned() });
        }
        let mut entries = match fs::read_dir(self.path()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(failed("look into", self.path(), source)),
        };
        match entries.next() {
            None => Ok(()),
            Some(Ok(entry)) => Err(HomeError::NotEmpty {
                path: self.path().to_owned(),
                found: entry.file_name().to_string_lossy().into_owned(),
            }),
            Some(Err(source)) => Err(failed("look into", self.path(), source)),
        }
    }
}

/// A home that is being put together; removed when it is dropped unfinished.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    finished: bool,
}

impl Draft {
    /// Begins a home; of two that do so at once, one goes on.
    ///
    /// # Errors
    /// [`HomeError`], among others if one was begun before and not finished.
    pub fn begin(home: &Home) -> Result<Self, HomeError> {
        make_folder(home.path(), PRIVATE_FOLDER).map_err(|source| failed("make", home.path(), source))?;
        fs::set_permissions(home.path(), Permissions::from_mode(PRIVATE_FOLDER))
            .map_err(|source| failed("protect", home.path(), source))?;
        let path = home.path().join(UNFINISHED);
        // Fails if it exists: of two that run `init` at once, one goes on.
        DirBuilder::new()
            .mode(PRIVATE_FOLDER)
            .create(&path)
            .map_err(|source| failed("make", &path, source))?;
        Ok(Self { path, finished: false })
    }

    /// Where the parts are put together.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves everything to its place, the configuration last.
    ///
    /// # Errors
    /// [`HomeError`]; then the home has no configuration, and is recognized as unfinished.
    pub fn finish(mut self, home: &Home) -> Result<(), HomeError> {
        let config = home.config_file();
        let entries = fs::read_dir(&self.path).map_err(|source| failed("look into", &self.path, source))?;
        let mut moves = Vec::new();
        for entry in entries {
            let from = entry.map_err(|source| failed("look into", &self.path, source))?.path();
            sync(&from)?;
            if let Some(name) = from.file_name() {
                moves.push((home.path().join(name), from.clone()));
            }
        }
        moves.sort_by_key(|(to, _)| *to == config);
        for (to, from) in &moves {
            if *to == config {
                sync(home.path())?;
            }
            fs::rename(from, to).map_err(|source| failed("put in place", to, source))?;
        }
        self.finished = true;
        fs::remove_dir(&self.path).map_err(|source| failed("remove", &self.path, source))?;
        sync(home.path())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: what stays behind is recognized as unfinished.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// Flushes a file or folder.
fn sync(path: &Path) -> Result<(), HomeError> {
    let flushed =
        if path.is_dir() { sync_folder(path) } else { open_regular(path).and_then(|file| file.sync_all()) };
    flushed.map_err(|source| failed("flush", path, source))
}
