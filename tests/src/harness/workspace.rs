//! Where the workspace and its builds lie, and locks between tests that run as processes side by side.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The workspace's folder.
#[must_use]
pub fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Where builds and what is kept for the next run lie.
pub(super) fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Holds a lock until it is dropped.
pub(super) fn lock(name: &str) -> Result<File> {
    let folder = target_folder();
    fs::create_dir_all(&folder)?;
    let file = File::create(folder.join(format!("{name}.lock")))?;
    file.lock().with_context(|| format!("cannot lock {name}"))?;
    Ok(file)
}
