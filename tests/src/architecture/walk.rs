//! Reads a workspace folder, and applies the rules to every manifest and source file of its members.
//!
//! A folder inside a crate with a `Cargo.toml` of its own is another crate: its files are not the outer one's.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::breach::Breach;
use super::crates::{Crate, Page, Workspace};
use super::house;
use super::manifest::members;
use super::pages::{ARCHITECTURE, SECURITY};

/// The workspace could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}; is it a checkout of the whole workspace?")]
pub struct WalkError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Where a crate keeps source.
const SOURCES: &[&str] = &["src", "tests", "examples", "benches"];

/// Checks every crate that the workspace's `Cargo.toml` lists; returns all breaches and how many files were read.
///
/// # Errors
/// [`WalkError`] when a file cannot be read: an unread file is not a clean one.
pub fn check_workspace(root: &Path) -> Result<(Vec<Breach>, usize), WalkError> {
    let mut workspace = Workspace::default();
    for member in members(&read(&root.join("Cargo.toml"))?) {
        workspace.crates.push(read_crate(root, &member)?);
    }
    for path in [ARCHITECTURE, SECURITY] {
        workspace.pages.push(Page { path, text: read(&root.join(path))? });
    }
    let files_read = workspace.crates.iter().map(|found| found.files.len()).sum();
    Ok((house::check(&workspace), files_read))
}

fn read_crate(root: &Path, member: &str) -> Result<Crate, WalkError> {
    let folder = root.join(member);
    let cargo_toml = read(&folder.join("Cargo.toml"))?;
    let mut found = Vec::new();
    for sources in SOURCES {
        collect(&folder.join(sources), &mut found)?;
    }
    found.extend(Some(folder.join("build.rs")).filter(|script| script.exists()));
    found.sort();
    let mut texts = Vec::new();
    for path in found {
        let relative = path.strip_prefix(&folder).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        texts.push((relative, read(&path)?));
    }
    Ok(Crate::read(member, &cargo_toml, texts))
}

fn read(path: &Path) -> Result<String, WalkError> {
    fs::read_to_string(path).map_err(|source| WalkError { path: path.to_owned(), source })
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), WalkError> {
    let failed = |source| WalkError { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            if !path.join("Cargo.toml").exists() {
                collect(&path, found)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
