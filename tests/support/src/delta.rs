//! Deltas between two releases that lie in folders.

use std::path::Path;

use sealpost_deltas::{Entry, EntryKind, Limits, Tree};
use sealpost_manifests::release::{FileEntry, FileKind};

/// The delta that leads from one release to another; each is a folder and the files that its manifest lists.
#[must_use]
pub fn between(base: (&Path, &[FileEntry]), target: (&Path, &[FileEntry])) -> Vec<u8> {
    let [base, target] = [base, target]
        .map(|(folder, files)| Tree { root: folder.to_owned(), entries: files.iter().map(entry).collect() });
    let mut bytes = Vec::new();
    sealpost_deltas::make(&base, &target, &mut bytes, &Limits::default()).unwrap();
    bytes
}

fn entry(file: &FileEntry) -> Entry {
    let kind = match &file.kind {
        FileKind::File { executable, length, sha256 } => EntryKind::File {
            length: *length,
            sha256: *sha256.as_bytes(),
            mode: if *executable { 0o755 } else { 0o644 },
        },
        FileKind::Symlink { target } => EntryKind::Symlink { target: target.clone() },
    };
    Entry { path: file.path.as_str().to_owned(), kind }
}
