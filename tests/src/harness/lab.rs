//! The temporary folder of one test, and the programs.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sealpost_test_support::folders::{make_writable, set_mode};

use super::program::Programs;

/// A temporary folder in which a test plays, and the programs to play with.
#[derive(Debug)]
pub struct Lab {
    programs: Programs,
    folder: tempfile::TempDir,
}

impl Lab {
    /// A new, empty one.
    ///
    /// # Errors
    /// When the programs cannot be built or the folder cannot be made.
    pub fn new() -> Result<Self> {
        let programs = Programs::find()?;
        let folder =
            tempfile::Builder::new().prefix("sealpost-test-").tempdir().context("a temporary folder")?;
        // Hooks run as `nobody` and must be able to reach the slots in here.
        set_mode(folder.path(), 0o755)?;
        Ok(Self { programs, folder })
    }

    /// The programs.
    #[must_use]
    pub const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// A path in the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Slots are read-only; the folder could not be removed otherwise.
        make_writable(self.folder.path());
    }
}
