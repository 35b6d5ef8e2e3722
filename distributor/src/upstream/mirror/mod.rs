//! The vendor's metadata, mirrored unchanged, in generations.
//!
//! `mirror/gen-00000042/` holds every file of one pull and an index; `mirror/current` is a link to the newest one and
//! is switched last. `mirror/roots/` keeps every root for ever, so that a computer that was off for years can still
//! follow them. Replaced generations stay readable for some weeks, so that an agent that reads while a pull publishes
//! finds what its timestamp names.
//! Invariants: a generation becomes current only when all of it is on disk; every file is given out only with the
//! digest that the index has, so damage is an error and never another or an absent file.
//! Left out on purpose: judging the metadata. The reader has verified what is published here.

mod disk;
mod generation;
mod loaded;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use jiff::{SignedDuration, Timestamp};
use sealpost_files::{PRIVATE_FOLDER, PUBLIC, make_folder, replace, sweep, sync_folder};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_repository::MirroredFile;

pub use self::disk::PublishError;
use self::disk::{failed, read_optional, remove};
use self::generation::{Generation, Index, UNFINISHED, folder_name, folder_of, numbers};
use self::loaded::{CURRENT, Loaded};
use super::targets::TargetIndex;
use crate::ports::upstream::{Listing, MirrorReadError, RoleExpiry, TargetEntry};

/// Most generations, however fast the vendor publishes. Files that did not change are shared.
const MAX_GENERATIONS: usize = 100;
/// Largest root, in bytes; the reader takes no larger metadata file.
const MAX_METADATA_BYTES: u64 = 8 * 1024 * 1024;
const ROOTS: &str = "roots";
/// Which trust document the releases were examined with.
const EXAMINED: &str = "examined-trust";
/// More than a digest and a line's end.
const MAX_EXAMINED_BYTES: u64 = 128;
/// The new link, before it replaces the current one.
const NEXT: &str = ".current";

/// The mirror of one server. Readers are never blocked by a pull.
#[derive(Debug)]
pub struct Mirror {
    root: PathBuf,
    /// An error: the current generation is damaged, until a pull replaces it.
    loaded: RwLock<Result<Loaded, MirrorReadError>>,
    publishing: Mutex<()>,
}

impl Mirror {
    /// Opens the mirror, and removes what a killed process left unfinished. A damaged generation does not keep the
    /// server from starting: nothing is served from it, and the next pull replaces it.
    ///
    /// # Errors
    /// [`PublishError`] if the folder cannot be made or cleaned.
    pub fn open(root: &Path) -> Result<Self, PublishError> {
        make_folders(root)?;
        let roots = root.join(ROOTS);
        for path in [UNFINISHED, NEXT].map(|name| root.join(name)) {
            remove(&path)?;
        }
        sweep(&roots).map_err(|source| failed("clean", &roots, source))?;
        let loaded = Loaded::load(root);
        if let Err(error) = &loaded {
            tracing::error!(%error, "the mirror cannot be used");
        }
        Ok(Self { root: root.to_owned(), loaded: RwLock::new(loaded), publishing: Mutex::new(()) })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.root
    }

    /// Number of the current generation; `None` before the first pull, or while it is damaged.
    #[must_use]
    pub fn generation(&self) -> Option<u64> {
        self.loaded().ok()?.current().map(|current| current.number)
    }

    /// A metadata file by name: of the current generation, else of one that was replaced not long ago, else a root.
    ///
    /// # Errors
    /// [`MirrorReadError`] if it was damaged or the disk fails.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>, MirrorReadError> {
        if !is_metadata_name(name) {
            return Ok(None);
        }
        let loaded = self.loaded()?;
        if let Some(bytes) = loaded.read(name)? {
            return Ok(Some(bytes));
        }
        // Roots have a folder of their own, so that following them ends well, whatever became of old generations.
        if name.ends_with(".root.json") {
            return read_optional(&self.root.join(ROOTS).join(name), MAX_METADATA_BYTES);
        }
        loaded.damage().map_or(Ok(None), Err)
    }

    /// What the current generation holds.
    #[must_use]
    pub(crate) fn listing(&self) -> Listing {
        self.loaded().map(|loaded| loaded.listing()).unwrap_or_default()
    }

    /// The metadata files of the current generation.
    #[must_use]
    pub(crate) fn metadata_names(&self) -> Vec<String> {
        let names = |loaded: &Loaded| Some(loaded.current()?.index.files.keys().cloned().collect());
        self.loaded().ok().and_then(|loaded| names(&loaded)).unwrap_or_default()
    }

    /// Whether a metadata file of this name is of one of the newest generations.
    #[must_use]
    pub(crate) fn is_recent(&self, name: &str) -> bool {
        self.loaded().is_ok_and(|loaded| loaded.is_recent(name))
    }

    /// When each role of the current generation expires, of the root only the newest.
    pub(crate) fn expiries(&self) -> Result<Vec<RoleExpiry>, MirrorReadError> {
        self.loaded()?.expiries()
    }

    /// The target that a repository serves under `<sha256>.<name>`, by the current index or one of a few before.
    #[must_use]
    pub fn find_target(&self, file_name: &str) -> Option<TargetEntry> {
        self.loaded().ok()?.find_target(file_name)
    }

    /// The current target of this plain name.
    #[must_use]
    pub fn target_named(&self, name: &str) -> Option<TargetEntry> {
        self.loaded().ok()?.current()?.index.targets.named(name).cloned()
    }

    /// Every target that agents can be given: of the current generation first, then of those before that are in memory.
    ///
    /// # Errors
    /// [`MirrorReadError`] while the current generation is damaged: then nobody knows which targets there are.
    pub(crate) fn listed(&self) -> Result<Vec<Vec<TargetEntry>>, MirrorReadError> {
        Ok(self.loaded()?.listed())
    }

    /// Whether every metadata file that may be given out still has its digest. `false` also while the current generation
    /// is damaged; the next pull writes it again.
    pub(crate) fn is_whole(&self) -> bool {
        self.loaded().is_ok_and(|loaded| loaded.current().is_none_or(|current| current.is_whole()))
    }

    /// Makes these files the current generation, unless they are already; answers whether they were new. Removes
    /// generations that were replaced longer ago than `keep`, and those beyond the 100 newest.
    ///
    /// # Errors
    /// [`PublishError`]; the generation before stays current.
    pub(crate) fn publish(
        &self,
        files: &[MirroredFile],
        targets: TargetIndex,
        keep: SignedDuration,
        now: Timestamp,
    ) -> Result<bool, PublishError> {
        let _one_at_a_time = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let index = Index::of(files, targets, now);
        let before = self.loaded().ok().and_then(|loaded| loaded.current().cloned());
        if let Some(before) = &before
            && before.index.files == index.files
            && before.index.targets == index.targets
            && before.is_whole()
        {
            self.remove_old(before.number, keep, now)?;
            return Ok(false);
        }
        // Somebody may have removed them while the server runs.
        make_folders(&self.root)?;
        self.keep_roots(files)?;
        let newest = numbers(&self.root).map_err(|source| failed("list", &self.root, source))?;
        let number = newest.first().map_or(1, |newest| newest.saturating_add(1));
        Generation::write(&self.root, number, files, &index, before.as_deref())?;
        self.switch(number)?;
        self.reload();
        self.remove_old(number, keep, now)?;
        Ok(true)
    }

    /// The trust document with which every release was examined that channels point to, if a pull went to its end.
    pub(crate) fn examined_trust(&self) -> Option<Sha256Digest> {
        let bytes = read_optional(&self.root.join(EXAMINED), MAX_EXAMINED_BYTES).ok()??;
        std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
    }

    /// Notes it, so that a pull which did not come so far is done again.
    ///
    /// # Errors
    /// [`PublishError`].
    pub(crate) fn note_examined_trust(&self, sha256: &Sha256Digest) -> Result<(), PublishError> {
        if self.examined_trust() == Some(*sha256) {
            return Ok(());
        }
        let path = self.root.join(EXAMINED);
        replace(&path, format!("{sha256}\n").as_bytes(), PUBLIC)
            .map_err(|source| failed("write", &path, source))
    }

    fn loaded(&self) -> Result<Loaded, MirrorReadError> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn reload(&self) {
        let loaded = Loaded::load(&self.root);
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }

    fn keep_roots(&self, files: &[MirroredFile]) -> Result<(), PublishError> {
        let folder = self.root.join(ROOTS);
        for file in files.iter().filter(|file| file.name.ends_with(".root.json")) {
            let path = folder.join(&file.name);
            if read_optional(&path, MAX_METADATA_BYTES).is_ok_and(|kept| kept.as_ref() == Some(&file.bytes)) {
                continue;
            }
            replace(&path, &file.bytes, PUBLIC).map_err(|source| failed("write", &path, source))?;
        }
        Ok(())
    }

    fn switch(&self, number: u64) -> Result<(), PublishError> {
        let (next, current) = (self.root.join(NEXT), self.root.join(CURRENT));
        remove(&next)?;
        symlink(folder_name(number), &next).map_err(|source| failed("make", &next, source))?;
        fs::rename(&next, &current).map_err(|source| failed("switch", &current, source))?;
        sync_folder(&self.root).map_err(|source| failed("flush", &self.root, source))
    }

    /// A generation was replaced at the time at which the next one was published.
    fn remove_old(&self, current: u64, keep: SignedDuration, now: Timestamp) -> Result<(), PublishError> {
        let (mut old, mut replaced_at, mut seen) = (Vec::new(), now, 0);
        for number in numbers(&self.root).map_err(|source| failed("list", &self.root, source))? {
            seen += 1;
            if number < current && (seen > MAX_GENERATIONS || now.duration_since(replaced_at) > keep) {
                old.push(number);
            }
            let published_at =
                Generation::load(&self.root, number).map(|generation| generation.index.published_at);
            replaced_at = published_at.unwrap_or(replaced_at);
        }
        if old.is_empty() {
            return Ok(());
        }
        old.iter().try_for_each(|number| remove(&folder_of(&self.root, *number)))?;
        self.reload();
        Ok(())
    }
}

fn make_folders(root: &Path) -> Result<(), PublishError> {
    for folder in [root, &root.join(ROOTS)] {
        make_folder(folder, PRIVATE_FOLDER).map_err(|source| failed("make", folder, source))?;
    }
    Ok(())
}

/// Where the mirror in a folder keeps the root of a version.
pub(super) fn root_path(mirror: &Path, version: u64) -> PathBuf {
    mirror.join(ROOTS).join(format!("{version}.root.json"))
}

/// Names as TUF makes them: percent-encoded, so without separators.
fn is_metadata_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'%');
    name.len() <= 255 && name.ends_with(".json") && !name.starts_with('.') && name.bytes().all(plain)
}

#[cfg(test)]
mod tests;
