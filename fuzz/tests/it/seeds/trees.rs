//! Payloads and deltas: releases as folders, packed.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use sealpost_deltas::{Entry, EntryKind, Limits, MakeSettings, Progress, Tree, make_folder};
use sealpost_fuzz::BASE_FILES;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document;
use sealpost_manifests::ids::{PackageName, Platform};
use sealpost_manifests::payload::PayloadSource;
use sealpost_manifests::release::{
    Blob, FileEntry, FileKind, PackageKind, Payload, ReleaseId, ReleaseManifest, Severity,
};
use sealpost_manifests::version::{ReleaseCounter, Version};
use tempfile::TempDir;

use super::golden::{Seeds, golden};

/// A folder out of (path, content); a content that begins with `->` is a link, and what lies in `bin` is executable.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
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

/// A program's manifest with these files, and with no payload yet.
pub(super) fn manifest(files: &[FileEntry]) -> ReleaseManifest {
    let empty = Blob { sha256: Sha256Digest::of(b""), length: 0 };
    ReleaseManifest {
        release: ReleaseId {
            package: PackageName::new("acme-av").unwrap(),
            version: Version::new("1.2.3").unwrap(),
            platform: Platform::any(),
        },
        kind: PackageKind::Program,
        revision: None,
        counter: ReleaseCounter(1),
        payload: Payload { tar: empty, encodings: [("gzip".to_owned(), empty)].into() },
        files: files.to_vec(),
        requires: Vec::new(),
        severity: Severity::Normal,
        category: None,
        security: None,
        supported_until: None,
        notes: String::new(),
        attachments: Vec::new(),
        built_at: Timestamp::UNIX_EPOCH,
    }
}

/// The manifest of a folder, and its payload.
fn packed(root: &Path) -> (ReleaseManifest, Vec<u8>) {
    let source = PayloadSource::scan(root).unwrap();
    let mut compressed = Vec::new();
    let payload = source.write_gzip(&mut compressed).unwrap();
    (ReleaseManifest { payload, ..manifest(source.files()) }, compressed)
}

fn with_payload(manifest: &ReleaseManifest, payload: &[u8]) -> Vec<u8> {
    let line = document::write(manifest).unwrap();
    [line.as_bytes(), b"\n", payload].concat()
}

pub(super) fn payloads() -> Seeds {
    let long = format!("data/{}", "a-long-name-".repeat(10));
    let release = folder(&[
        ("bin/link", b"->program"),
        ("bin/program", b"a program"),
        (&long, b"behind an extended header"),
        ("empty", b""),
    ]);
    let (many, compressed) = packed(release.path());
    let (one, one_compressed) = packed(folder(&[("bin/program", b"a program")]).path());
    let (link, link_compressed) = packed(folder(&[("a", b"->b/c"), ("b/c", b"")]).path());
    let tar = |compressed: &[u8]| {
        let mut tar = Vec::new();
        std::io::copy(&mut GzDecoder::new(compressed), &mut tar).unwrap();
        tar
    };
    vec![
        ("gzip", with_payload(&many, &compressed)),
        ("gzip_of_one", with_payload(&one, &one_compressed)),
        ("tar_of_link", with_payload(&link, &tar(&link_compressed))),
        ("tar_of_one", with_payload(&one, &tar(&one_compressed))),
    ]
}

/// The list of a folder, as deltas take it.
fn tree(root: &Path) -> Tree {
    let entry = |entry: &FileEntry| {
        let kind = match &entry.kind {
            FileKind::File { executable, length, sha256 } => EntryKind::File {
                length: *length,
                sha256: *sha256.as_bytes(),
                mode: if *executable { 0o755 } else { 0o644 },
            },
            FileKind::Symlink { target } => EntryKind::Symlink { target: target.clone() },
        };
        Entry { path: entry.path.to_string(), kind }
    };
    Tree {
        root: root.to_owned(),
        entries: PayloadSource::scan(root).unwrap().files().iter().map(entry).collect(),
    }
}

/// The next release, which takes every kind of step.
fn next_program() -> Vec<u8> {
    let mut program = BASE_FILES[0].1.to_vec();
    program.splice(20..25, b"an insertion".iter().copied());
    program[200] ^= 1;
    program
}

pub(super) fn delta_files() -> Seeds {
    let base = folder(BASE_FILES);
    let target = folder(&[
        ("bin/link", b"->program"),
        ("bin/program", &next_program()),
        ("data/new", b"new content"),
        ("data/new-name", b"content that moves"),
        ("data/same", b"unchanged content"),
        ("empty", b""),
    ]);
    let mut delta = Vec::new();
    let (base, target) = (tree(base.path()), tree(target.path()));
    let (limits, settings) = (Limits::default(), MakeSettings::default());
    make_folder(&base, &target, &mut delta, &limits, &settings, &mut |_: Progress| true).unwrap();
    vec![
        ("golden", golden("deltas/tests/golden/delta-v1.bin")),
        ("made", delta),
        ("second_version", super::deltas::second_version()),
    ]
}

pub(super) fn delta_steps() -> Seeds {
    let content = |bytes: &[u8], mode: u32| {
        format!("{{\"mode\":{mode},\"length\":{},\"sha256\":\"{}\"}}", bytes.len(), Sha256Digest::of(bytes))
    };
    let header = |steps: &[String]| format!("{{\"removed\":1,\"steps\":[{}]}}\n", steps.join(","));
    let step = |path: &str, make: &str| format!("{{\"path\":\"{path}\",\"make\":{{{make}}}}}");
    let (_, program) = BASE_FILES[0];
    let patched = [&program[..60], b"copied"].concat();
    let patch = [60u64, 6, 0].iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let patch = [patch.as_slice(), &[0; 60], b"copied"].concat();
    let base = format!(
        "{{\"path\":\"bin/program\",\"length\":{},\"sha256\":\"{}\"}}",
        program.len(),
        Sha256Digest::of(program)
    );
    let same = step("data/same", &format!("\"same\":{{\"file\":{}}}", content(b"unchanged content", 0o644)));
    let moved = step(
        "data/moved",
        &format!(
            "\"same\":{{\"file\":{},\"base\":\"data/old-name\"}}",
            content(b"content that moves", 0o600)
        ),
    );
    let link = step("bin/link", "\"link\":{\"target\":\"../bin/program\"}");
    let whole =
        step("data/new", &format!("\"whole\":{{\"file\":{},\"body\":0}}", content(b"new content", 0o644)));
    let bsdiff = step(
        "bin/program",
        &format!("\"bsdiff\":{{\"file\":{},\"base\":{base},\"body\":0}}", content(&patched, 0o755)),
    );
    let all = header(&[link.clone(), bsdiff.clone(), moved.clone(), whole.clone(), same.clone()]);
    vec![
        ("all", [all.as_bytes(), &patch, b"\n--\nnew content"].concat()),
        ("link", header(&[link]).into_bytes()),
        ("patched", [header(&[bsdiff]).as_bytes(), &patch].concat()),
        ("refused_link", header(&[step("a/y", "\"link\":{\"target\":\"p/..\"}")]).into_bytes()),
        ("same", header(&[moved, same]).into_bytes()),
        ("whole", [header(&[whole]).as_bytes(), b"new content"].concat()),
    ]
}
