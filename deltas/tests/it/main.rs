//! The two doors, from outside: what goes through, and what hostile deltas do not achieve.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod frozen;
mod hostile;
mod round_trip;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use sealpost_deltas::{
    ApplyError, Base, Entry, EntryKind, FolderBase, FolderTarget, Limits, Lists, MakeError, MakeSettings,
    Progress, Summary, Tree, apply, folder_list, make_folder,
};

/// What a tree holds, for comparing: path to mode and content, or to a link's text.
type Listing = BTreeMap<String, String>;

/// Writes a folder out of (path, content); a content that begins with `->` is a link.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let place = folder.path().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        match content.strip_prefix(b"->") {
            Some(target) => symlink(std::str::from_utf8(target).unwrap(), place).unwrap(),
            None => {
                fs::write(&place, content).unwrap();
                let mode = if path.starts_with("bin/") { 0o755 } else { 0o644 };
                fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
    }
    folder
}

fn tree(root: &Path) -> Tree {
    let mut entries = Vec::new();
    walk(root, root, &mut |path, place| {
        let kind = if place.is_symlink() {
            EntryKind::Symlink { target: fs::read_link(place).unwrap().to_str().unwrap().to_owned() }
        } else {
            let content = fs::read(place).unwrap();
            EntryKind::File {
                length: content.len() as u64,
                sha256: sha256(&content),
                mode: fs::metadata(place).unwrap().permissions().mode() & 0o777,
            }
        };
        entries.push(Entry { path, kind });
    });
    Tree { root: root.to_owned(), entries }
}

fn sha256(content: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, content).as_ref().try_into().unwrap()
}

fn listing(root: &Path) -> Listing {
    let mut listing = Listing::new();
    walk(root, root, &mut |path, place| {
        let text = if place.is_symlink() {
            format!("-> {}", fs::read_link(place).unwrap().display())
        } else {
            let mode = fs::metadata(place).unwrap().permissions().mode() & 0o777;
            format!("{mode:o} {:?}", fs::read(place).unwrap())
        };
        listing.insert(path, text);
    });
    listing
}

fn walk(root: &Path, folder: &Path, visit: &mut dyn FnMut(String, &Path)) {
    let mut places: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    places.sort();
    for place in places {
        if place.is_dir() && !place.is_symlink() {
            walk(root, &place, visit);
        } else {
            visit(place.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), &place);
        }
    }
}

fn made(base: &Path, target: &Path) -> (Vec<u8>, Summary) {
    let mut delta = Vec::new();
    let summary = make_of(&tree(base), &tree(target), &mut delta).unwrap();
    (delta, summary)
}

fn make_of(base: &Tree, target: &Tree, delta: &mut Vec<u8>) -> Result<Summary, MakeError> {
    make_folder(base, target, delta, &Limits::default(), &MakeSettings::default(), &mut |_: Progress| true)
}

fn applied(base: &Path, delta: impl Read, limits: &Limits) -> Result<(Listing, Summary), ApplyError> {
    let out = tempfile::tempdir().unwrap();
    let summary = apply_to(base, delta, out.path(), limits)?;
    Ok((listing(out.path()), summary))
}

/// The same, with the list that the base had once.
fn applied_with(base: &Tree, delta: impl Read, limits: &Limits) -> Result<(Listing, Summary), ApplyError> {
    let out = tempfile::tempdir().unwrap();
    let summary = apply_tree(base, delta, out.path(), limits)?;
    Ok((listing(out.path()), summary))
}

fn golden(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)).unwrap()
}

fn apply_to(base: &Path, delta: impl Read, out: &Path, limits: &Limits) -> Result<Summary, ApplyError> {
    apply_tree(&tree(base), delta, out, limits)
}

fn apply_tree(tree: &Tree, delta: impl Read, out: &Path, limits: &Limits) -> Result<Summary, ApplyError> {
    let base = Base {
        files: &FolderBase::new(&tree.root),
        list: &folder_list(&tree.entries),
        entries: &tree.entries,
    };
    let mut target = FolderTarget::new(out);
    apply(&base, delta, &mut Lists::Folder, &mut target, limits, &mut |_: Progress| true)
}

/// A base and a target that together use every kind of step.
fn small_pair() -> (tempfile::TempDir, tempfile::TempDir) {
    let long: Vec<u8> = (0..400u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut changed = long.clone();
    changed[700] ^= 1;
    changed.splice(100..100, b"inserted".iter().copied());
    let base = folder(&[
        ("bin/program", &long),
        ("data/same", b"unchanged content"),
        ("data/old-name", b"content that moves"),
        ("gone", b"not in the target"),
    ]);
    let target = folder(&[
        ("bin/link", b"->program"),
        ("bin/program", &changed),
        ("data/new", b"new content"),
        ("data/new-name", b"content that moves"),
        ("data/same", b"unchanged content"),
        ("empty", b""),
    ]);
    (base, target)
}
