//! Deltas between two releases that lie in folders.

use std::path::Path;

use sealpost_deltas::{Entry, Limits, MakeSettings, Progress, Release, Tree};
use sealpost_manifests::document;
use sealpost_manifests::release::{FileEntry, FileKind, ReleaseManifest};

/// The delta that leads from one release to another; each is a folder and its manifest.
#[must_use]
pub fn between(base: (&Path, &ReleaseManifest), target: (&Path, &ReleaseManifest)) -> Vec<u8> {
    let [(base, old), (target, new)] =
        [base, target].map(|(folder, manifest)| (tree(folder, manifest), document::write(manifest).unwrap()));
    let base = Release { tree: &base, manifest: old.as_bytes() };
    let target = Release { tree: &target, manifest: new.as_bytes() };
    let (mut bytes, settings) = (Vec::new(), MakeSettings::default());
    let go_on = &mut |_: Progress| true;
    sealpost_deltas::make(&base, &target, &mut bytes, &Limits::default(), &settings, go_on).unwrap();
    bytes
}

/// The delta that leads from nothing to a release.
#[must_use]
pub fn from_nothing((folder, manifest): (&Path, &ReleaseManifest)) -> Vec<u8> {
    let nothing = Tree { root: folder.to_owned(), entries: Vec::new() };
    let (target, list) = (tree(folder, manifest), document::write(manifest).unwrap());
    let base = Release { tree: &nothing, manifest: b"" };
    let target = Release { tree: &target, manifest: list.as_bytes() };
    let (mut bytes, settings) = (Vec::new(), MakeSettings::default());
    let go_on = &mut |_: Progress| true;
    sealpost_deltas::make(&base, &target, &mut bytes, &Limits::default(), &settings, go_on).unwrap();
    bytes
}

/// A release's files, as deltas take them.
#[must_use]
pub fn tree(folder: &Path, manifest: &ReleaseManifest) -> Tree {
    Tree { root: folder.to_owned(), entries: manifest.files.iter().map(entry).collect() }
}

fn entry(file: &FileEntry) -> Entry {
    let path = file.path.as_str();
    match &file.kind {
        FileKind::File { executable, length, sha256 } => {
            Entry::file(path, *length, *sha256.as_bytes(), *executable)
        }
        FileKind::Symlink { target } => Entry::link(path, target),
    }
}
