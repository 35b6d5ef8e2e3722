//! Files and folders: writing, copying, comparing, and damaging.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Sets a mode.
pub(super) fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("chmod {}", path.display()))
}

/// Writes a file, and the folders that it needs.
///
/// # Errors
/// The system's.
pub fn write_file(path: &Path, text: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    set_mode(path, 0o644)
}

/// Writes an executable file.
///
/// # Errors
/// The system's.
pub fn write_executable(path: &Path, text: &str) -> Result<()> {
    write_file(path, text)?;
    set_mode(path, 0o755)
}

/// Writes a release's folder anew. A path below `bin/` is executable.
pub(super) fn write_release(folder: &Path, files: &[(&str, &str)]) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    for (path, text) in files {
        let file = folder.join(path);
        if path.starts_with("bin/") { write_executable(&file, text)? } else { write_file(&file, text)? }
    }
    Ok(())
}

/// Every file and link beneath a folder, sorted.
///
/// # Errors
/// The system's.
pub fn files_beneath(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).with_context(|| format!("cannot list {}", next.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { waiting.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    Ok(found)
}

/// Path → content (of links: where they lead) of everything beneath a folder, to show later that nothing changed.
///
/// # Errors
/// The system's.
pub fn snapshot(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for path in files_beneath(folder)? {
        let content = if path.is_symlink() {
            fs::read_link(&path)?.into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path)?
        };
        found.insert(path.strip_prefix(folder)?.to_owned(), content);
    }
    Ok(found)
}

/// Copies a tree with its modes and links.
///
/// # Errors
/// The system's.
pub fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    Ok(())
}

/// Puts a copy of `from` in the place of `to`.
///
/// # Errors
/// The system's.
pub fn replace_tree(from: &Path, to: &Path) -> Result<()> {
    make_writable(to);
    fs::remove_dir_all(to).with_context(|| format!("cannot remove {}", to.display()))?;
    copy_tree(from, to)
}

/// Flips one bit in the middle of a file.
///
/// # Errors
/// When the file is empty, or the system's.
pub fn flip_a_bit(path: &Path) -> Result<()> {
    let mut bytes = fs::read(path)?;
    ensure!(!bytes.is_empty(), "{} is empty", path.display());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let mode = fs::metadata(path)?.permissions();
    set_mode(path, 0o600)?;
    fs::write(path, bytes)?;
    fs::set_permissions(path, mode)?;
    Ok(())
}

/// Makes folders writable, so that they can be removed. Does what it can.
pub(super) fn make_writable(folder: &Path) {
    let _ = set_mode(folder, 0o755);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}
