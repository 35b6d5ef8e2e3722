//! Deltas: of trees and of files, as they come; made of any two files, and then applied; and the steps inside of version 1 with a container that fits.
//!
//! Such a container carries a digest of its header, and its bodies are deflated; both would hide the steps from a fuzzer. So
//! the input of [`delta_steps`] is text: the header as JSON on the first line, then the bodies before they are
//! deflated, with a line `--` between two of them.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};

use flate2::Compression;
use flate2::write::DeflateEncoder;
use sealpost_deltas::{
    ApplyError, Base, BaseFiles, Entry, EntryKind, Limits, Lists, MakeSettings, Progress, ReadAt,
    TargetWriter, apply, apply_file, folder_list, make_file,
};
use sealpost_manifests::digest::Sha256Digest;
use serde_json::Value;

use crate::fixed::BASE_FILES;

/// Small, so that a bound that does not hold is seen with small inputs.
const LIMITS: Limits =
    Limits { entries: 32, list_bytes: 16 * 1024, head_bytes: 16 * 1024, target_bytes: 64 * 1024 };
const BETWEEN_BODIES: &[u8] = b"\n--\n";
const BETWEEN_FILES: &[u8] = b"\n====\n";
/// What a delta of files that have nothing in common may have beside the target.
const MOST_BESIDE: usize = 40;

/// Applies bytes as the delta of a tree.
pub(crate) fn delta_files(data: &[u8]) -> bool {
    let mut target = Target::default();
    let entries = base_entries();
    let list = folder_list(&entries);
    let base = Base { files: &BaseOfSeeds, list: &list, entries: &entries };
    let result = apply(&base, data, &mut Lists::Folder, &mut target, &LIMITS, &mut |_: Progress| true);
    match result {
        Ok(summary) => {
            assert_eq!(summary.bytes, data.len() as u64, "bytes behind the delta are accepted");
            assert_eq!(summary.target_bytes, target.bytes);
            let steps = summary.unchanged + summary.patched + summary.whole + summary.links;
            assert_eq!(steps, target.entries.len() as u64);
            true
        }
        Err(ApplyError::Target { path, source }) => {
            panic!("the target takes everything, but {path}: {source}")
        }
        Err(_) => false,
    }
}

/// Applies bytes as the delta of a file: the program of the installed release.
pub(crate) fn delta_of_file(data: &[u8]) -> bool {
    let mut out = Vec::new();
    let (_, base) = BASE_FILES[0];
    let result = apply_file(&base, data, &mut out, &LIMITS, &mut |_: Progress| true);
    assert!(out.len() as u64 <= LIMITS.target_bytes, "more bytes than are allowed");
    if let Ok(summary) = result {
        assert_eq!(summary.bytes, data.len() as u64, "bytes behind the delta are accepted");
        assert_eq!(summary.target_bytes, out.len() as u64);
        return true;
    }
    false
}

/// Makes the delta between two files, which a line of `====` separates, and applies it. It has to lead to the second one.
pub(crate) fn delta_made(data: &[u8]) -> bool {
    let line = data.windows(BETWEEN_FILES.len()).position(|bytes| bytes == BETWEEN_FILES);
    let (base, target) = match line {
        Some(at) => (&data[..at], &data[at + BETWEEN_FILES.len()..]),
        None => data.split_at(data.len() / 2),
    };
    let (mut delta, mut made) = (Vec::new(), Vec::new());
    let go_on = &mut |_: Progress| true;
    let summary = make_file(&base, &target, &mut delta, &MakeSettings::default(), go_on);
    let summary = summary.unwrap_or_else(|error| panic!("nothing is wrong with two files, but {error}"));
    assert_eq!(summary.bytes, delta.len() as u64);
    assert!(delta.len() <= target.len() + MOST_BESIDE, "{} bytes for {}", delta.len(), target.len());
    let limits = Limits { target_bytes: u64::MAX, ..Limits::default() };
    let applied = apply_file(&base, delta.as_slice(), &mut made, &limits, go_on);
    assert!(applied.is_ok(), "what was made is refused: {applied:?}");
    assert!(made == target, "the delta leads to another file");
    true
}

/// Applies steps: the container is made to fit them.
pub(crate) fn delta_steps(data: &[u8]) -> bool {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, rest) = data.split_at(end);
    let bodies: Vec<Vec<u8>> = split(rest.get(1..).unwrap_or_default()).into_iter().map(deflate).collect();
    let header = match serde_json::from_slice::<Value>(line) {
        Ok(mut header) => {
            set_lengths(&mut header, &bodies);
            header.to_string().into_bytes()
        }
        Err(_) => line.to_vec(),
    };
    delta_files(&container(&header, &bodies))
}

/// The bodies, which stand apart; none if nothing stands there.
fn split(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut bodies = Vec::new();
    if rest.is_empty() {
        return bodies;
    }
    while let Some(at) = rest.windows(BETWEEN_BODIES.len()).position(|window| window == BETWEEN_BODIES) {
        bodies.push(&rest[..at]);
        rest = &rest[at + BETWEEN_BODIES.len()..];
    }
    bodies.push(rest);
    bodies
}

/// Sets the length of each body where a step names one; a number that is no length stays as it is.
fn set_lengths(header: &mut Value, bodies: &[Vec<u8>]) {
    let Some(steps) = header.get_mut("steps").and_then(Value::as_array_mut) else { return };
    let mut lengths = bodies.iter().map(Vec::len);
    for step in steps {
        for kind in ["bsdiff", "whole"] {
            let body = step
                .get_mut("make")
                .and_then(|make| make.get_mut(kind))
                .and_then(|make| make.get_mut("body"));
            if let Some(body) = body.filter(|body| body.as_u64() == Some(0)) {
                *body = lengths.next().unwrap_or_default().into();
            }
        }
    }
}

/// A delta file, as `deltas/src/v1/container.rs` describes it.
fn container(header: &[u8], bodies: &[Vec<u8>]) -> Vec<u8> {
    let packed = deflate(header);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut file = b"slpdelta".to_vec();
    file.extend_from_slice(&1u16.to_le_bytes());
    file.extend_from_slice(&length(&packed));
    file.extend_from_slice(&length(header));
    file.extend_from_slice(Sha256Digest::of(&packed).as_bytes());
    file.extend_from_slice(&packed);
    for body in bodies {
        file.extend_from_slice(body);
    }
    file
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes all writes")
}

/// The installed release.
struct BaseOfSeeds;

impl BaseFiles for BaseOfSeeds {
    fn open(&self, path: &str) -> io::Result<Box<dyn ReadAt + '_>> {
        assert_plain(path);
        let file = BASE_FILES.iter().find(|(name, _)| *name == path);
        let (_, content) = file.ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(*content))
    }
}

/// Its list.
fn base_entries() -> Vec<Entry> {
    let entry = |(path, content): &(&str, &[u8])| Entry {
        path: (*path).to_owned(),
        kind: EntryKind::File {
            length: content.len() as u64,
            sha256: *Sha256Digest::of(content).as_bytes(),
            mode: if path.starts_with("bin/") { 0o755 } else { 0o644 },
        },
    };
    BASE_FILES.iter().map(entry).collect()
}

/// Takes every file, and counts.
#[derive(Default)]
struct Target {
    entries: BTreeMap<String, Option<Vec<u8>>>,
    bytes: u64,
}

impl Target {
    /// Paths come once, and nothing lies beneath what is no folder.
    fn add(&mut self, path: &str, content: Option<Vec<u8>>) {
        assert_plain(path);
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        assert!(!folders.any(|folder| self.entries.contains_key(folder)), "{path:?} lies beneath a file");
        let beneath = format!("{path}/");
        let next = self.entries.range(beneath.clone()..).next();
        assert!(next.is_none_or(|(next, _)| !next.starts_with(&beneath)), "files lie beneath {path:?}");
        assert!(self.entries.insert(path.to_owned(), content).is_none(), "{path:?} comes twice");
        assert!(self.entries.len() <= LIMITS.entries);
    }
}

impl TargetWriter for Target {
    fn create_file(&mut self, path: &str, mode: u32, length: u64, content: &mut dyn Read) -> io::Result<()> {
        assert_eq!(mode & !0o777, 0, "{path:?} has a special mode");
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        let count = loop {
            let count = content.read(&mut buffer)?;
            self.bytes += count as u64;
            bytes.extend_from_slice(&buffer[..count]);
            assert!(
                bytes.len() as u64 <= length && self.bytes <= LIMITS.target_bytes,
                "more bytes than were announced"
            );
            if count == 0 {
                break bytes.len() as u64;
            }
        };
        assert_eq!(count, length, "{path:?} ends well, and is too short");
        self.add(path, Some(bytes));
        Ok(())
    }

    fn reopen(&mut self, path: &str) -> io::Result<Box<dyn Read>> {
        let content = self.entries.get(path).and_then(Option::clone).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(content)))
    }

    fn create_symlink(&mut self, path: &str, target: &str) -> io::Result<()> {
        self.add(path, None);
        let mut depth = path.matches('/').count();
        let mut named = false;
        for part in target.split('/').filter(|part| !matches!(*part, "" | ".")) {
            if part == ".." {
                assert!(!named, "{path:?} climbs by {target:?} from wherever another link leads");
                depth = depth.checked_sub(1).expect("a link stays inside");
            }
            named |= part != "..";
        }
        Ok(())
    }
}

fn assert_plain(path: &str) {
    assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")) && !path.contains('\0'), "{path:?}");
}
