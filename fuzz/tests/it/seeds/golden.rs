//! What all seeds are made with: their type, and the files of other crates that never change.

use std::fs;
use std::path::Path;

/// The seeds of one target: name and bytes.
pub(super) type Seeds = Vec<(&'static str, Vec<u8>)>;

/// A frozen file, by its path in the project.
pub(super) fn golden(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
