//! What of the mirror is held in memory: the indexes of the newest generations, and where files of older ones are.
//!
//! Invariant: what is damaged is an error and never taken for absence.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_manifests::release::Blob;
use serde::Deserialize;

use super::disk::{damaged, read_checked, unreadable};
use super::generation::{Generation, folder_of, number_of, numbers};
use crate::ports::upstream::{Listing, MirrorReadError, RoleExpiry, TargetEntry};

/// Name of the link to the current generation.
pub(super) const CURRENT: &str = "current";
/// Generations whose whole indexes are in memory: an agent that began reading a few pulls ago still finds its targets.
const INDEXES_IN_MEMORY: usize = 4;

/// Generations whose metadata files are worth a patch: a day of a vendor that publishes once an hour.
const RECENT: u64 = 24;

/// The generations that can be read; none before the first pull. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub(super) struct Loaded {
    generations: Vec<Arc<Generation>>,
    older: Arc<OlderFiles>,
}

/// Files that only generations before those have: by name, with the newest generation that has it. Small, because
/// most files of a generation are those of the one before. Without it, every request for an absent file would read
/// every index.
#[derive(Debug, Default)]
struct OlderFiles {
    root: PathBuf,
    files: BTreeMap<String, (u64, Blob)>,
    /// A generation that cannot be read: what is not found may have been there.
    damaged: Option<MirrorReadError>,
}

/// The part of every role that says when it expires.
#[derive(Deserialize)]
struct Role {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    expires: Timestamp,
}

impl Loaded {
    /// Whether one of the newest generations has a metadata file of this name.
    pub(super) fn is_recent(&self, name: &str) -> bool {
        let Some(current) = self.current() else { return false };
        let since = current.number.saturating_sub(RECENT);
        self.generations.iter().any(|generation| generation.index.files.contains_key(name))
            || self.older.files.get(name).is_some_and(|(number, _)| *number > since)
    }

    /// Reads the indexes of all generations up to the current one.
    pub(super) fn load(root: &Path) -> Result<Self, MirrorReadError> {
        let link = root.join(CURRENT);
        let current = match fs::read_link(&link) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(unreadable(&link, &error)),
        };
        let current = current
            .to_str()
            .and_then(number_of)
            .ok_or_else(|| damaged(&link, "it links to no generation"))?;
        let mut generations = vec![Arc::new(Generation::load(root, current)?)];
        let mut older = OlderFiles { root: root.to_owned(), ..OlderFiles::default() };
        let replaced = numbers(root).map_err(|error| unreadable(root, &error))?;
        for number in replaced.into_iter().filter(|replaced| *replaced < current) {
            match Generation::load(root, number) {
                Ok(generation) if generations.len() < INDEXES_IN_MEMORY => {
                    generations.push(Arc::new(generation));
                }
                Ok(generation) => {
                    for (name, blob) in generation.index.files {
                        let in_memory = generations.iter().any(|newer| newer.index.files.contains_key(&name));
                        if !in_memory {
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
        Ok(Self { generations, older: Arc::new(older) })
    }

    pub(super) fn current(&self) -> Option<&Arc<Generation>> {
        self.generations.first()
    }

    /// The newest file of this name, checked.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, MirrorReadError> {
        for generation in &self.generations {
            if let Some(bytes) = generation.read(name)? {
                return Ok(Some(bytes));
            }
        }
        self.older.files.get(name).map_or(Ok(None), |(number, blob)| {
            read_checked(&folder_of(&self.older.root, *number).join(name), blob).map(Some)
        })
    }

    /// Why a file that was not found may have been there, if a generation is damaged.
    pub(super) fn damage(&self) -> Option<MirrorReadError> {
        self.older.damaged.clone()
    }

    /// The target that is served as `<sha256>.<name>`.
    pub(super) fn find_target(&self, file_name: &str) -> Option<TargetEntry> {
        self.generations.iter().find_map(|generation| generation.index.targets.find(file_name).cloned())
    }

    /// What the current generation holds.
    pub(super) fn listing(&self) -> Listing {
        let Some(current) = self.current() else { return Listing::default() };
        let metadata = current.index.files.keys().cloned().collect();
        Listing { metadata, targets: current.index.targets.all().cloned().collect() }
    }

    /// The targets of each generation in memory, the current one first.
    pub(super) fn listed(&self) -> Vec<Vec<TargetEntry>> {
        self.generations.iter().map(|generation| generation.index.targets.all().cloned().collect()).collect()
    }

    /// When each role of the current generation expires, of the root only the newest.
    pub(super) fn expiries(&self) -> Result<Vec<RoleExpiry>, MirrorReadError> {
        let Some(current) = self.current() else { return Ok(Vec::new()) };
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
            let Some(bytes) = current.read(name)? else { continue };
            let Role { signed } = serde_json::from_slice(&bytes)
                .map_err(|error| damaged(&current.path(name), &error.to_string()))?;
            expiries.push(RoleExpiry { role: role.to_owned(), at: signed.expires });
        }
        Ok(expiries)
    }
}

/// Version and role of a metadata file: `3.root.json`, or `timestamp.json`, which has no version in its name.
fn role_of(name: &str) -> (u64, &str) {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let versioned = stem.split_once('.').and_then(|(version, role)| Some((version.parse().ok()?, role)));
    versioned.unwrap_or((0, stem))
}
