//! Files and folders: writing, copying, listing, comparing and damaging them.
//!
//! Errors are the system's with the path before them, for tests that return errors; the others unwrap them.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Sets the mode of a file or a folder.
///
/// # Errors
/// The system's.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(at(path))
}

/// Writes a file that everybody can read, and the folders that it needs.
///
/// # Errors
/// The system's.
pub fn write_file(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(at(parent))?;
    }
    fs::write(path, content).map_err(at(path))?;
    set_mode(path, 0o644)
}

/// Writes an executable file, and the folders that it needs.
///
/// # Errors
/// The system's.
pub fn write_executable(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    write_file(path, content)?;
    set_mode(path, 0o755)
}

/// Writes a folder of these files anew, given as path and content. What lay there is removed. A path below `bin/` is
/// executable.
///
/// # Errors
/// The system's.
pub fn write_folder(folder: &Path, files: &[(&str, impl AsRef<[u8]>)]) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(at(folder))?;
    }
    for (path, content) in files {
        let file = folder.join(path);
        if path.starts_with("bin/") { write_executable(&file, content)? } else { write_file(&file, content)? }
    }
    Ok(())
}

/// Every file and link beneath a folder, sorted.
///
/// # Errors
/// The system's.
pub fn files_beneath(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(&next).map_err(at(&next))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() { waiting.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    Ok(found)
}

/// The one file beneath a folder whose name ends like this.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when there is none or more than one; the system's.
pub fn file_with_suffix(folder: &Path, suffix: &str) -> io::Result<PathBuf> {
    let mut found = files_beneath(folder)?;
    found.retain(|path| path.to_string_lossy().ends_with(suffix));
    match found.as_slice() {
        [only] => Ok(only.clone()),
        _ => {
            let message = format!("not one file in {} ends with {suffix}: {found:?}", folder.display());
            Err(io::Error::new(io::ErrorKind::NotFound, message))
        }
    }
}

/// Path → content (of links: where they lead) of everything beneath a folder, to show later that nothing changed.
///
/// # Errors
/// The system's.
pub fn snapshot(folder: &Path) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for path in files_beneath(folder)? {
        let content = if path.is_symlink() {
            fs::read_link(&path)?.into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path)?
        };
        let relative = path.strip_prefix(folder).map(Path::to_owned).map_err(io::Error::other)?;
        found.insert(relative, content);
    }
    Ok(found)
}

/// Copies a tree with its modes and links.
///
/// # Errors
/// The system's.
pub fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to).map_err(at(to))?;
    for entry in fs::read_dir(from).map_err(at(from))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            symlink(fs::read_link(entry.path())?, &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target).map_err(at(&target))?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

/// Puts a copy of `from` in the place of `to`.
///
/// # Errors
/// The system's.
pub fn replace_tree(from: &Path, to: &Path) -> io::Result<()> {
    make_writable(to);
    fs::remove_dir_all(to).map_err(at(to))?;
    copy_tree(from, to)
}

/// Makes folders writable, as far as the system lets it, so that they can be removed.
pub fn make_writable(folder: &Path) {
    let _ = set_mode(folder, 0o755);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// Flips one bit in the middle of a file, also of one that must not be written.
///
/// # Errors
/// When the file is empty; the system's.
pub fn flip_a_bit(path: &Path) -> io::Result<()> {
    let mut bytes = fs::read(path).map_err(at(path))?;
    let middle = bytes.len() / 2;
    let Some(byte) = bytes.get_mut(middle) else {
        return Err(io::Error::other(format!("{} is empty", path.display())));
    };
    *byte ^= 1;
    let mode = fs::metadata(path)?.permissions();
    set_mode(path, 0o600)?;
    fs::write(path, bytes).map_err(at(path))?;
    fs::set_permissions(path, mode)
}

/// Puts the path before an error of the system.
fn at(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
