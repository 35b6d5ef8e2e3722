//! What is newer of the metadata, out of an answer: files as they are, and files as deltas from what is held.
//!
//! Invariants: what comes out is as untrusted as a file that came by itself, and bounded as one; of an answer only files that
//! were asked for are taken, one of each role; all that patches make together is bounded in bytes and in work, whatever the
//! answer has. The first patch that cannot be used, or makes too much, ends it: the rest is asked for by itself.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use sealpost_deltas::{Limits, Progress, apply_file};
use sealpost_files::with_causes;
use sealpost_manifests::wire::refresh::{FilePatch, MAX_FILES_BYTES, MAX_ROLES, NewMetadata};
use sealpost_repository::{HeldVersions, MAX_METADATA_BYTES, Newer};

/// Pieces of work that all patches of an answer may take: each makes up to 64 KiB.
const MAX_STEPS: u32 = 4096;
/// Most bytes that all patches of an answer may make: they are held in memory at once. Three of the longest files.
const MAX_MADE_BYTES: u64 = 3 * MAX_METADATA_BYTES;
/// Most roots of an answer.
const MAX_ROOTS: u64 = 64;
/// The roles beside those of packages that an answer may have in another version.
const TOP_ROLES: [&str; 2] = ["snapshot", "targets"];

/// What is newer, of an answer to who holds this and asked for these roles. `goes_on` is asked while patches are applied.
pub(super) fn newer(
    held: &HeldVersions,
    roles: &[String],
    answer: NewMetadata,
    goes_on: &dyn Fn() -> bool,
) -> Newer {
    let NewMetadata { root, timestamp, files, patches } = answer;
    let mut asked = Asked::new(held, roles);
    let mut taken: BTreeMap<String, Vec<u8>> =
        files.into_iter().filter(|(name, _)| asked.take_file(name)).map(bytes).collect();
    let mut room = Room { bytes: MAX_MADE_BYTES, steps: MAX_STEPS };
    for (name, patch) in patches {
        let Some(base) = asked.take_patch(&name, patch.from) else { continue };
        match room.apply(base, &patch, goes_on) {
            Ok(made) => drop(taken.insert(name, made)),
            Err(why) => {
                tracing::debug!(name, why, "a patch of metadata cannot be used, nor is one after it");
                break;
            }
        }
    }
    Newer { root, timestamp, files: taken }
}

fn bytes((name, text): (String, String)) -> (String, Vec<u8>) {
    (name, text.into_bytes())
}

/// Which files an answer may still have.
struct Asked<'h> {
    held: &'h HeldVersions,
    /// The roles of which none was taken yet.
    roles: BTreeSet<&'h str>,
}

impl<'h> Asked<'h> {
    fn new(held: &'h HeldVersions, roles: &'h [String]) -> Self {
        let packages = roles.iter().take(MAX_ROLES).map(String::as_str);
        Self { held, roles: TOP_ROLES.into_iter().chain(packages).collect() }
    }

    fn take_file(&mut self, name: &str) -> bool {
        match version_and_role(name) {
            None => name == "timestamp.json",
            Some((version, "root")) => {
                let beyond = version.checked_sub(self.held.root);
                beyond.is_some_and(|beyond| (1..=MAX_ROOTS).contains(&beyond))
            }
            Some((_, role)) => self.roles.remove(role),
        }
    }

    /// What a patch starts from: exactly what is held of a role that was asked for, and of which nothing came yet.
    fn take_patch(&mut self, name: &str, from: u64) -> Option<&'h [u8]> {
        let (version, role) = version_and_role(name)?;
        let is_newer = self.held.roles.get(role) == Some(&from) && version > from;
        let base = self.held.files.get(&format!("{from}.{role}.json")).filter(|_| is_newer)?;
        self.roles.remove(role).then_some(base.as_slice())
    }
}

/// The parts of a file's name, as a repository writes it.
fn version_and_role(name: &str) -> Option<(u64, &str)> {
    let (text, role) = name.strip_suffix(".json")?.split_once('.')?;
    let version: u64 = text.parse().ok()?;
    (version.to_string() == text).then_some((version, role))
}

/// What the patches of an answer may still take.
struct Room {
    bytes: u64,
    steps: u32,
}

impl Room {
    fn apply(
        &mut self,
        base: &[u8],
        patch: &FilePatch,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, String> {
        if patch.delta.len() > MAX_FILES_BYTES {
            return Err("it is too long".to_owned());
        }
        let delta = BASE64.decode(patch.delta.as_bytes()).map_err(|error| error.to_string())?;
        let limits = Limits { target_bytes: self.bytes.min(MAX_METADATA_BYTES), ..Limits::default() };
        let mut made = Vec::new();
        let mut control = |_: Progress| {
            let is_left = self.steps > 0;
            self.steps = self.steps.saturating_sub(1);
            is_left && goes_on()
        };
        apply_file(&base, delta.as_slice(), &mut made, &limits, &mut control)
            .map_err(|error| with_causes(&error))?;
        let length = u64::try_from(made.len()).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_sub(length);
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use sealpost_deltas::{MakeSettings, make_file};

    use super::*;

    fn role(version: u32) -> Vec<u8> {
        let line = |number: u32| format!("{{\"length\":{number},\"name\":\"acme_{number}\"}},\n");
        (0..200 + version).map(line).collect::<String>().into_bytes()
    }

    fn patch(from: u64, base: &[u8], target: &[u8]) -> FilePatch {
        let (mut delta, settings) = (Vec::new(), MakeSettings::default());
        make_file(&base, &target, &mut delta, &settings, &mut |_: Progress| true).unwrap();
        FilePatch { from, delta: BASE64.encode(&delta) }
    }

    /// Holds version 7 of each of these roles, all with the same bytes, and root 3.
    fn held(roles: &[&str]) -> HeldVersions {
        HeldVersions {
            root: 3,
            timestamp: Some(9),
            roles: roles.iter().map(|role| ((*role).to_owned(), 7)).collect(),
            files: roles.iter().map(|name| (format!("7.{name}.json"), role(0))).collect(),
        }
    }

    /// The names of what is taken of these files and patches, by who asked for these packages; and how many bytes it has.
    fn taken(packages: &[String], files: &[&str], patches: &[(String, FilePatch)]) -> (Vec<String>, u64) {
        let held_roles: Vec<&str> =
            TOP_ROLES.into_iter().chain(packages.iter().map(String::as_str)).collect();
        let answer = NewMetadata {
            root: 3,
            timestamp: 10,
            files: files.iter().map(|name| ((*name).to_owned(), "{}".to_owned())).collect(),
            patches: patches.iter().cloned().collect(),
        };
        let newer = newer(&held(&held_roles), packages, answer, &|| true);
        let bytes = newer.files.values().map(|bytes| bytes.len() as u64).sum();
        (newer.files.into_keys().collect(), bytes)
    }

    fn named(name: &str, patch: &FilePatch) -> (String, FilePatch) {
        (name.to_owned(), patch.clone())
    }

    #[test]
    fn a_patch_makes_the_newer_file_of_the_held_one_and_whatever_does_not_fit_makes_none() {
        let (old, new) = (role(0), role(3));
        let packages = ["acme-av".to_owned()];
        let good = patch(7, &old, &new);
        let lengths = |name: &str, patch: &FilePatch| taken(&packages, &[], &[named(name, patch)]).1;
        for name in ["8.acme-av.json", "9.acme-av.json", "8.snapshot.json"] {
            assert_eq!(lengths(name, &good), new.len() as u64, "{name}");
        }
        assert_eq!(lengths("8.other.json", &good), 0, "another role");
        assert_eq!(lengths("7.acme-av.json", &good), 0, "no newer version");
        assert_eq!(lengths("8.acme-av.json", &FilePatch { from: 6, ..good.clone() }), 0, "not held");
        assert_eq!(lengths("8.acme-av.json", &patch(7, &role(1), &new)), 0, "made for another file");
        for delta in ["", "!", "AAAA", &good.delta[..good.delta.len() / 2]] {
            let spoilt = FilePatch { from: 7, delta: delta.to_owned() };
            assert_eq!(lengths("8.acme-av.json", &spoilt), 0, "{delta:.20}");
        }
        let bomb = patch(7, &old, &vec![0; 6_000_000]);
        assert!(bomb.delta.len() < 20_000);
        assert_eq!(lengths("8.acme-av.json", &bomb), 0, "longer than any metadata");
    }

    #[test]
    fn one_file_of_each_role_that_was_asked_for_is_taken_and_no_other_name() {
        let packages = ["acme".to_owned()];
        let files = [
            "timestamp.json",
            "4.root.json",
            "67.root.json",
            "8.snapshot.json",
            "9.targets.json",
            "8.acme.json",
            "9.acme.json",
            "3.root.json",
            "68.root.json",
            "8.other.json",
            "08.snapshot.json",
            "x.snapshot.json",
            "snapshot.json",
            "1.timestamp.json",
            "a",
        ];
        let expected = [
            "4.root.json",
            "67.root.json",
            "8.acme.json",
            "8.snapshot.json",
            "9.targets.json",
            "timestamp.json",
        ];
        assert_eq!(taken(&packages, &files, &[]).0, expected);
        let good = patch(7, &role(0), &role(1));
        let patches = [
            "8.snapshot.json",
            "9.snapshot.json",
            "08.snapshot.json",
            "x0.snapshot.json",
            "8.other.json",
            "4.root.json",
            "8.timestamp.json",
        ];
        let patches = patches.map(|name| named(name, &good));
        assert_eq!(taken(&packages, &[], &patches).0, ["8.snapshot.json"]);
        assert_eq!(taken(&packages, &["8.snapshot.json"], &patches).1, 2, "it came as a file");
    }

    #[test]
    fn a_thousand_patches_make_no_more_than_a_few_files_hold() {
        let longest = usize::try_from(MAX_METADATA_BYTES - 1).unwrap();
        let bomb = patch(7, &role(0), &vec![b' '; longest]);
        let same =
            (0..1_000).map(|number| named(&format!("x{number}.snapshot.json"), &bomb)).collect::<Vec<_>>();
        assert_eq!(taken(&[], &[], &same), (Vec::new(), 0));
        let newer =
            (8..1_000).map(|number| named(&format!("{number}.snapshot.json"), &bomb)).collect::<Vec<_>>();
        assert_eq!(taken(&[], &[], &newer).1, MAX_METADATA_BYTES - 1);
        // Each of another role that was asked for.
        let packages: Vec<String> = (0..MAX_ROLES + 9).map(|number| format!("acme-{number}")).collect();
        let roles = packages.iter().map(|role| named(&format!("8.{role}.json"), &bomb)).collect::<Vec<_>>();
        assert_eq!(taken(&packages, &[], &roles).1, 3 * (MAX_METADATA_BYTES - 1));
        let small = patch(7, &role(0), &role(1));
        let roles = packages.iter().map(|role| named(&format!("8.{role}.json"), &small)).collect::<Vec<_>>();
        assert_eq!(taken(&packages, &[], &roles).0.len(), MAX_ROLES);
    }

    #[test]
    fn whoever_gives_up_waiting_ends_the_work() {
        let answer = NewMetadata {
            root: 3,
            timestamp: 10,
            files: BTreeMap::new(),
            patches: BTreeMap::from([named("8.snapshot.json", &patch(7, &role(0), &role(1)))]),
        };
        assert_eq!(newer(&held(&TOP_ROLES), &[], answer, &|| false).files, BTreeMap::new());
    }
}
