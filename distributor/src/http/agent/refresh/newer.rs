//! What is newer of the metadata: which files that are, and how they travel.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::wire::refresh::{FilePatch, HeldMetadata, NewMetadata};
use sealpost_repository::version_of;

use super::room::Room;
use crate::http::problem::ApiError;
use crate::ports::upstream::Upstream;

/// Most roots in one answer; who is further behind asks for the others by itself.
const MAX_ROOTS: usize = 32;

/// The metadata files that a client does not hold, as far as their names say it: all but the timestamp.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Newer {
    root: u64,
    /// Under a new root what is held may count no more.
    is_same_root: bool,
    roots: Vec<String>,
    roles: Vec<NewerRole>,
}

/// A role that the client does not hold in its newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewerRole {
    /// The name of the newest file.
    pub(super) name: String,
    /// The name of the file that the client holds of it, and its version.
    pub(super) held: Option<(String, u64)>,
}

impl Newer {
    /// What `names`, the files of the mirror, have newer than what is held; `None` before the first pull.
    pub(super) fn of(names: &[String], held: &HeldMetadata, packages: &BTreeSet<String>) -> Option<Self> {
        let versioned = |name: &String| {
            let (version, role) = name.strip_suffix(".json")?.split_once('.')?;
            Some((role.to_owned(), version.parse::<u64>().ok()?))
        };
        let mut newest: BTreeMap<String, u64> = BTreeMap::new();
        for (role, version) in names.iter().filter_map(versioned) {
            let known = newest.entry(role).or_insert(version);
            *known = (*known).max(version);
        }
        let root = newest.get("root").copied()?;
        let is_same_root = held.root == root;
        let file = |version: u64, role: &str| format!("{version}.{role}.json");
        let roots = (held.root.saturating_add(1)..=root).take(MAX_ROOTS);
        let top = ["snapshot", "targets"].into_iter();
        let roles = top.chain(packages.iter().map(String::as_str)).filter_map(|role| {
            let version = *newest.get(role)?;
            let held = held.roles.get(role).copied().filter(|_| is_same_root);
            let newer = |held: Option<u64>| NewerRole {
                name: file(version, role),
                held: held.map(|version| (file(version, role), version)),
            };
            (held != Some(version)).then(|| newer(held))
        });
        let (roots, roles) = (roots.map(|version| file(version, "root")).collect(), roles.collect());
        Some(Self { root, is_same_root, roots, roles })
    }

    pub(super) fn roles(&self) -> &[NewerRole] {
        &self.roles
    }

    /// Puts the files together, those in `patches` as that. `None` while there is no timestamp. Reads the disk.
    pub(super) fn gather(
        self,
        upstream: &dyn Upstream,
        held: &HeldMetadata,
        mut patches: BTreeMap<String, FilePatch>,
        room: &mut Room,
    ) -> Result<Option<NewMetadata>, ApiError> {
        let read = |name: &str| {
            upstream.metadata(name).map_err(|error| ApiError::internal("read its metadata", &error))
        };
        let Some(timestamp_bytes) = read("timestamp.json")? else { return Ok(None) };
        let Some(timestamp) = version_of(&timestamp_bytes) else { return Ok(None) };
        let mut new =
            NewMetadata { root: self.root, timestamp, files: BTreeMap::new(), patches: BTreeMap::new() };
        let NewMetadata { files, patches: patched, .. } = &mut new;
        let mut put = |name: String, bytes: Vec<u8>, room: &mut Room| {
            if let Some(text) = room.take(bytes) {
                files.insert(name, text);
            }
        };
        for name in self.roots {
            if let Some(bytes) = read(&name)? {
                put(name, bytes, room);
            }
        }
        if held.timestamp != Some(timestamp) || !self.is_same_root {
            put("timestamp.json".to_owned(), timestamp_bytes, room);
        }
        for NewerRole { name, .. } in self.roles {
            match patches.remove(&name) {
                Some(patch) if room.spend(patch.delta.len()) => {
                    patched.insert(name, patch);
                }
                Some(_) => {}
                None => {
                    if let Some(bytes) = read(&name)? {
                        put(name, bytes, room);
                    }
                }
            }
        }
        Ok(Some(new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    fn held(root: u64, roles: &[(&str, u64)]) -> HeldMetadata {
        let roles = roles.iter().map(|(role, version)| ((*role).to_owned(), *version)).collect();
        HeldMetadata { root, timestamp: None, roles }
    }

    fn role(name: &str, held: Option<(&str, u64)>) -> NewerRole {
        NewerRole { name: name.to_owned(), held: held.map(|(name, version)| (name.to_owned(), version)) }
    }

    #[test]
    fn the_newest_of_each_role_is_newer_unless_it_is_held_and_says_what_is_held_of_it() {
        let mirror = names(&[
            "timestamp.json",
            "1.root.json",
            "2.root.json",
            "9.snapshot.json",
            "10.snapshot.json",
            "3.targets.json",
            "12.acme.json",
            "4.other.json",
        ]);
        let packages = BTreeSet::from(["acme".to_owned(), "nothing".to_owned()]);
        let newer = |held| Newer::of(&mirror, &held, &packages).unwrap();
        let same = newer(held(2, &[("snapshot", 9), ("targets", 3), ("acme", 11), ("other", 1)]));
        assert_eq!(
            (same.roots.len(), same.roles()),
            (
                0,
                &[
                    role("10.snapshot.json", Some(("9.snapshot.json", 9))),
                    role("12.acme.json", Some(("11.acme.json", 11)))
                ][..]
            )
        );
        // Under another root nothing is held.
        let other = newer(held(1, &[("snapshot", 10), ("targets", 3), ("acme", 11)]));
        assert_eq!(other.roots, ["2.root.json"]);
        let all = ["10.snapshot.json", "3.targets.json", "12.acme.json"].map(|name| role(name, None));
        assert_eq!(other.roles(), all);
        assert_eq!(newer(held(u64::MAX, &[])).roots, [""; 0]);
        assert_eq!(Newer::of(&names(&["timestamp.json"]), &held(1, &[]), &packages), None);
    }
}
