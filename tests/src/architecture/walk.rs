//! Walks a workspace folder and applies the rules to every manifest and source file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::rules::{Breach, House};

/// The workspace could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {path}; is it a checkout of the whole workspace?")]
pub struct WalkError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Longest `main.rs`, in lines: each program is a thin `main.rs` over a library.
const MAX_MAIN_LINES: usize = 60;

/// Checks every crate that the workspace's `Cargo.toml` lists; returns all breaches and how many files were read.
///
/// # Errors
/// [`WalkError`] when a file cannot be read: an unread file is not a clean one.
pub fn check_workspace(root: &Path) -> Result<(Vec<Breach>, usize), WalkError> {
    let mut breaches = Vec::new();
    let mut files_read = 0usize;
    for member in members(&read(&root.join("Cargo.toml"))?) {
        breaches.extend(House.check_manifest(&member, &read(&root.join(&member).join("Cargo.toml"))?));
        let mut sources = Vec::new();
        for folder in ["src", "tests", "examples", "benches"] {
            collect(&root.join(&member).join(folder), &mut sources)?;
        }
        for source in sources {
            let text = read(&source)?;
            let relative = source.strip_prefix(root).unwrap_or(&source).to_string_lossy().replace('\\', "/");
            breaches.extend(House.check_source(&relative, &text));
            if relative.ends_with("/src/main.rs") && text.lines().count() > MAX_MAIN_LINES {
                let what = format!("has more than {MAX_MAIN_LINES} lines");
                breaches.push(Breach {
                    file: relative,
                    what,
                    rule: "a program is a thin main.rs over a library",
                });
            }
            files_read += 1;
        }
    }
    breaches.sort();
    Ok((breaches, files_read))
}

fn members(cargo_toml: &str) -> Vec<String> {
    let Some((_, rest)) = cargo_toml.split_once("members") else { return Vec::new() };
    let Some(list) = rest.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(list, _)| list)
    else {
        return Vec::new();
    };
    list.split(',')
        .map(|name| name.trim().trim_matches('"').to_owned())
        .filter(|name| !name.is_empty())
        .collect()
}

fn read(path: &Path) -> Result<String, WalkError> {
    fs::read_to_string(path).map_err(|source| WalkError { path: path.to_owned(), source })
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), WalkError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(WalkError { path: folder.to_owned(), source }),
    };
    for entry in entries {
        let path = entry.map_err(|source| WalkError { path: folder.to_owned(), source })?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_up_workspace_with_one_upward_arrow_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = [\"keys\", \"manifests\"]\n").unwrap();
        for (member, text) in
            [("keys", "use sealpost_manifests::ids;"), ("manifests", "use sealpost_keys::KeyId;")]
        {
            fs::create_dir_all(root.join(member).join("src")).unwrap();
            fs::write(root.join(member).join("Cargo.toml"), "[package]\n").unwrap();
            fs::write(root.join(member).join("src/lib.rs"), text).unwrap();
        }
        let (breaches, files) = check_workspace(root).unwrap();
        assert_eq!(files, 2);
        assert_eq!(breaches.len(), 1);
        assert_eq!(breaches[0].file, "keys/src/lib.rs");
    }

    #[test]
    fn a_missing_crate_is_an_error_and_not_a_clean_crate() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("Cargo.toml"), "[workspace]\nmembers = [\"keys\"]\n").unwrap();
        assert!(check_workspace(folder.path()).is_err());
    }
}
