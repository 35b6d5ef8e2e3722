//! The vendor's metadata, mirrored unchanged, in generations.
//!
//! `mirror/gen-00000042/` holds every file of one pull and an index; `mirror/current` is a link to the newest one and
//! is switched last. `mirror/roots/` holds every root, for ever, so that a computer that was off for years finds its
//! way. Replaced generations stay readable for 30 days, so that an agent that reads while a pull publishes finds what
//! its timestamp names.
//! Invariants: a generation becomes current only when all of it is on disk; every file is given out only with the
//! digest that the index has, so damage is an error and never another or an absent file.
//! Left out on purpose: judging the metadata. What comes in here was verified by the reader.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::Blob;
use sealpost_repository::MirroredFile;
use serde::{Deserialize, Serialize};

use super::targets::TargetIndex;
use crate::ports::upstream::{MirrorReadError, RoleExpiry, TargetEntry};

/// How long a replaced generation stays readable.
const KEEP_REPLACED: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Generations whose indexes are held in memory: an agent that began reading a few pulls ago still finds its targets.
const INDEXES_AT_HAND: usize = 4;
/// Largest metadata file, in bytes; the reader takes no larger one.
const MAX_METADATA_BYTES: u64 = 8 * 1024 * 1024;
/// Largest index, in bytes: some 100,000 targets.
const MAX_INDEX_BYTES: u64 = 64 * 1024 * 1024;
/// First word of an index, and its version.
const MAGIC: &str = "sealpost-mirror-1";
const INDEX: &str = "index";
const CURRENT: &str = "current";
const ROOTS: &str = "roots";
const UNFINISHED: &str = ".unfinished";

/// Why a generation could not be published. The one before stays current.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted} {} in the mirror; check disk space and permissions", path.display())]
pub struct PublishError {
    attempted: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// One generation's list of what is in it.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    published_at: Timestamp,
    files: BTreeMap<String, Blob>,
    targets: TargetIndex,
}

/// What can be read without looking for it.
#[derive(Debug, Clone, Default)]
struct AtHand {
    /// Newest first.
    generations: Vec<Arc<Generation>>,
    older: Arc<Older>,
}

/// Files that only generations before those have: by name, with the newest generation that has it. Small, because
/// most files of a generation are those of the one before; without it, whoever asks for what is not there would have
/// every index read.
#[derive(Debug, Default)]
struct Older {
    files: BTreeMap<String, (u64, Blob)>,
    /// A generation that cannot be read: what is not found may have been there.
    damaged: Option<MirrorReadError>,
}

/// The part of every role that says when it ends.
#[derive(Deserialize)]
struct Expiring {
    signed: ExpiringPart,
}

#[derive(Deserialize)]
struct ExpiringPart {
    expires: Timestamp,
}

/// A generation that can be read.
#[derive(Debug)]
struct Generation {
    number: u64,
    folder: PathBuf,
    index: Index,
}

/// The mirror of one server. Readers are never blocked by a pull.
#[derive(Debug)]
pub struct Mirror {
    root: PathBuf,
    /// An error: the current generation is damaged, until a pull replaces it.
    at_hand: RwLock<Result<AtHand, MirrorReadError>>,
    publishing: Mutex<()>,
}

impl Mirror {
    /// Opens the mirror, and removes what a killed process left unfinished. A damaged generation is no reason not to
    /// start: nothing is served from it, and the next pull replaces it.
    ///
    /// # Errors
    /// [`PublishError`] if the folder cannot be made or cleaned.
    pub fn open(root: &Path) -> Result<Self, PublishError> {
        make_folder(&root.join(ROOTS))?;
        for path in [UNFINISHED, ".current"].map(|name| root.join(name)) {
            remove(&path)?;
        }
        let at_hand = load(root);
        if let Err(error) = &at_hand {
            tracing::error!(%error, "the mirror cannot be used");
        }
        Ok(Self { root: root.to_owned(), at_hand: RwLock::new(at_hand), publishing: Mutex::new(()) })
    }

    /// Number of the current generation; `None` before the first pull, or while it is damaged.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        let at_hand = self.at_hand.read().unwrap_or_else(PoisonError::into_inner);
        at_hand.as_ref().ok().and_then(|at_hand| at_hand.generations.first()).map(|newest| newest.number)
    }

    /// A metadata file by name: of the current generation, else of one that was replaced not long ago, else a root.
    ///
    /// # Errors
    /// [`MirrorReadError`] if it was damaged or the disk fails.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, MirrorReadError> {
        if !is_metadata_name(name) {
            return Ok(None);
        }
        let AtHand { generations, older } = self.at_hand()?;
        for generation in &generations {
            if let Some(blob) = generation.index.files.get(name) {
                return read_checked(&generation.folder.join(name), blob).map(Some);
            }
        }
        if let Some((number, blob)) = older.files.get(name) {
            return read_checked(&folder_of(&self.root, *number).join(name), blob).map(Some);
        }
        // Roots have a folder of their own, so that every walk along them ends, whatever became of old generations.
        if name.ends_with(".root.json") {
            return read_optional(&self.root.join(ROOTS).join(name), MAX_METADATA_BYTES);
        }
        older.damaged.clone().map_or(Ok(None), Err)
    }

    /// When each role of the current generation expires, of the root only the newest.
    ///
    /// # Errors
    /// [`MirrorReadError`].
    pub(crate) fn expiries(&self) -> Result<Vec<RoleExpiry>, MirrorReadError> {
        let AtHand { generations, .. } = self.at_hand()?;
        let Some(current) = generations.first() else { return Ok(Vec::new()) };
        let mut roles: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
        for name in current.index.files.keys() {
            let (version, role) = role_of(name);
            let newest = roles.entry(role).or_insert((version, name));
            if version > newest.0 {
                *newest = (version, name);
            }
        }
        let mut expiries = Vec::new();
        for (role, (_, name)) in roles {
            let path = current.folder.join(name);
            let Some(blob) = current.index.files.get(name) else { continue };
            let bytes = read_checked(&path, blob)?;
            let role_end: Expiring =
                serde_json::from_slice(&bytes).map_err(|error| damaged(&path, &error.to_string()))?;
            expiries.push(RoleExpiry { role: role.to_owned(), at: role_end.signed.expires });
        }
        Ok(expiries)
    }

    /// The target that a repository serves under `<sha256>.<name>`, by the current index or one of a few before.
    #[must_use]
    pub fn find_target(&self, file_name: &str) -> Option<TargetEntry> {
        self.at_hand()
            .ok()?
            .generations
            .iter()
            .find_map(|generation| generation.index.targets.find(file_name).cloned())
    }

    /// The digest of the current target of this plain name.
    #[must_use]
    pub fn target_named(&self, name: &str) -> Option<TargetEntry> {
        self.at_hand().ok()?.generations.first()?.index.targets.named(name).cloned()
    }

    /// Makes these files the current generation, unless they are already; answers whether they were new. Replaced
    /// generations that are older than 30 days go.
    ///
    /// # Errors
    /// [`PublishError`]; the generation before stays current.
    pub(crate) fn publish(
        &self,
        files: &[MirroredFile],
        targets: TargetIndex,
        now: Timestamp,
    ) -> Result<bool, PublishError> {
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let index = Index {
            published_at: now,
            files: files.iter().map(|file| (file.name.clone(), blob_of(&file.bytes))).collect(),
            targets,
        };
        let before = self.at_hand().ok().and_then(|at_hand| at_hand.generations.first().cloned());
        if let Some(before) = &before
            && before.index.files == index.files
            && before.index.targets == index.targets
            && before.is_whole()
        {
            self.remove_old(before.number, now)?;
            return Ok(false);
        }
        self.keep_roots(files)?;
        let number = numbers(&self.root)
            .map_err(|source| failed("list", &self.root, source))?
            .first()
            .map_or(1, |newest| newest.saturating_add(1));
        self.write_generation(number, files, &index, before.as_deref())?;
        self.switch(number)?;
        let loaded = load(&self.root);
        *self.at_hand.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        self.remove_old(number, now)?;
        Ok(true)
    }

    fn at_hand(&self) -> Result<AtHand, MirrorReadError> {
        self.at_hand.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep_roots(&self, files: &[MirroredFile]) -> Result<(), PublishError> {
        let folder = self.root.join(ROOTS);
        for file in files.iter().filter(|file| file.name.ends_with(".root.json")) {
            let path = folder.join(&file.name);
            if fs::read(&path).is_ok_and(|kept| kept == file.bytes) {
                continue;
            }
            let draft = folder.join(UNFINISHED);
            remove(&draft)?;
            write_new(&draft, &file.bytes)?;
            fs::rename(&draft, &path).map_err(|source| failed("rename", &path, source))?;
        }
        sync(&folder)
    }

    fn write_generation(
        &self,
        number: u64,
        files: &[MirroredFile],
        index: &Index,
        before: Option<&Generation>,
    ) -> Result<(), PublishError> {
        let draft = self.root.join(UNFINISHED);
        remove(&draft)?;
        make_folder(&draft)?;
        for file in files {
            let path = draft.join(&file.name);
            let same =
                before.filter(|before| before.index.files.get(&file.name) == index.files.get(&file.name));
            let linked = same.is_some_and(|before| {
                let old = before.folder.join(&file.name);
                fs::read(&old).is_ok_and(|bytes| bytes == file.bytes) && fs::hard_link(&old, &path).is_ok()
            });
            if !linked {
                write_new(&path, &file.bytes)?;
            }
        }
        let json =
            serde_json::to_vec(index).map_err(|error| failed("write", &draft, io::Error::from(error)))?;
        let mut framed = format!("{MAGIC} {}\n", Sha256Digest::of(&json)).into_bytes();
        framed.extend_from_slice(&json);
        write_new(&draft.join(INDEX), &framed)?;
        sync(&draft)?;
        let folder = folder_of(&self.root, number);
        fs::rename(&draft, &folder).map_err(|source| failed("rename", &folder, source))?;
        sync(&self.root)
    }

    fn switch(&self, number: u64) -> Result<(), PublishError> {
        let (draft, current) = (self.root.join(".current"), self.root.join(CURRENT));
        remove(&draft)?;
        symlink(folder_name(number), &draft).map_err(|source| failed("make", &draft, source))?;
        fs::rename(&draft, &current).map_err(|source| failed("switch", &current, source))?;
        sync(&self.root)
    }

    /// A generation was replaced when the next one was published.
    fn remove_old(&self, current: u64, now: Timestamp) -> Result<(), PublishError> {
        let (mut old, mut replaced_at) = (Vec::new(), now);
        for number in numbers(&self.root).map_err(|source| failed("list", &self.root, source))? {
            if number < current && now.duration_since(replaced_at) > KEEP_REPLACED {
                old.push(number);
            }
            let published_at =
                load_generation(&self.root, number).map(|generation| generation.index.published_at);
            replaced_at = published_at.unwrap_or(replaced_at);
        }
        if old.is_empty() {
            return Ok(());
        }
        old.iter().try_for_each(|number| remove(&folder_of(&self.root, *number)))?;
        *self.at_hand.write().unwrap_or_else(PoisonError::into_inner) = load(&self.root);
        Ok(())
    }
}

impl Generation {
    /// Whether every file still has its digest: else the next pull writes them anew.
    fn is_whole(&self) -> bool {
        self.index.files.iter().all(|(name, blob)| read_checked(&self.folder.join(name), blob).is_ok())
    }
}

/// The current generation and a few before it, and what the others have besides.
fn load(root: &Path) -> Result<AtHand, MirrorReadError> {
    let current = match fs::read_link(root.join(CURRENT)) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(AtHand::default()),
        Err(error) => return Err(unreadable(&root.join(CURRENT), &error)),
    };
    let number =
        current.to_str().and_then(number_of).ok_or_else(|| damaged(&root.join(CURRENT), "a foreign link"))?;
    let mut generations = vec![Arc::new(load_generation(root, number)?)];
    let mut older = Older::default();
    let replaced = numbers(root).map_err(|error| unreadable(root, &error))?;
    for number in replaced.into_iter().filter(|replaced| *replaced < number) {
        match load_generation(root, number) {
            Ok(generation) if generations.len() < INDEXES_AT_HAND => generations.push(Arc::new(generation)),
            Ok(generation) => {
                for (name, blob) in generation.index.files {
                    let at_hand = generations.iter().any(|newer| newer.index.files.contains_key(&name));
                    if !at_hand {
                        older.files.entry(name).or_insert((number, blob));
                    }
                }
            }
            Err(error) => {
                tracing::warn!(%error, "a replaced generation of the mirror cannot be used");
                older.damaged.get_or_insert(error);
            }
        }
    }
    Ok(AtHand { generations, older: Arc::new(older) })
}

fn load_generation(root: &Path, number: u64) -> Result<Generation, MirrorReadError> {
    let folder = folder_of(root, number);
    let path = folder.join(INDEX);
    let bytes = read_optional(&path, MAX_INDEX_BYTES)?.ok_or_else(|| damaged(&path, "it is missing"))?;
    let split = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(|| damaged(&path, "no header"))?;
    let (header, json) = (&bytes[..split], &bytes[split + 1..]);
    if header != format!("{MAGIC} {}", Sha256Digest::of(json)).as_bytes() {
        return Err(damaged(&path, "its checksum is wrong"));
    }
    let index = serde_json::from_slice(json).map_err(|error| damaged(&path, &error.to_string()))?;
    Ok(Generation { number, folder, index })
}

/// The numbers of all generations on disk, newest first.
fn numbers(root: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(root)? {
        numbers.extend(entry?.file_name().to_str().and_then(number_of));
    }
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

fn folder_name(number: u64) -> String {
    format!("gen-{number:08}")
}

fn folder_of(root: &Path, number: u64) -> PathBuf {
    root.join(folder_name(number))
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix("gen-")?.parse().ok()
}

/// Version and role of a metadata file: `3.root.json`, or `timestamp.json`, which has no version in its name.
fn role_of(name: &str) -> (u64, &str) {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let versioned = stem.split_once('.').and_then(|(version, role)| Some((version.parse().ok()?, role)));
    versioned.unwrap_or((0, stem))
}

/// Names as TUF makes them: percent-encoded, so without separators.
fn is_metadata_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'%');
    name.len() <= 255 && name.ends_with(".json") && !name.starts_with('.') && name.bytes().all(plain)
}

fn blob_of(bytes: &[u8]) -> Blob {
    Blob { sha256: Sha256Digest::of(bytes), length: bytes.len() as u64 }
}

fn read_checked(path: &Path, blob: &Blob) -> Result<Vec<u8>, MirrorReadError> {
    let bytes = read_optional(path, blob.length)?.ok_or_else(|| damaged(path, "it is missing"))?;
    if blob_of(&bytes) == *blob { Ok(bytes) } else { Err(damaged(path, "its digest is wrong")) }
}

fn read_optional(path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>, MirrorReadError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > max_bytes {
        return Err(damaged(path, "it has grown"));
    }
    Ok(Some(bytes))
}

fn damaged(path: &Path, reason: &str) -> MirrorReadError {
    MirrorReadError::Damaged { place: path.display().to_string(), reason: reason.to_owned() }
}

fn unreadable(path: &Path, error: &io::Error) -> MirrorReadError {
    MirrorReadError::Io { place: path.display().to_string(), reason: error.to_string() }
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
    let mut file = File::create_new(path).map_err(|source| failed("make", path, source))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| failed("write", path, source))
}

fn make_folder(path: &Path) -> Result<(), PublishError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| failed("make", path, source))
}

/// Removes a file, link or folder, if it is there.
fn remove(path: &Path) -> Result<(), PublishError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.map_err(|source| failed("remove", path, source))
}

fn sync(path: &Path) -> Result<(), PublishError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|source| failed("flush", path, source))
}

fn failed(attempted: &'static str, path: &Path, source: io::Error) -> PublishError {
    PublishError { attempted, path: path.to_owned(), source }
}

#[cfg(test)]
#[path = "mirror_tests.rs"]
mod tests;
