//! The delta of a tree.

use std::io::Write;

use super::error::MakeError;
use super::groups::{Together, groups};
use super::programs::{Member, pairs, programs};
use super::settings::MakeSettings;
use super::space::{TreeSpace, digest};
use crate::apply::{Control, Ticker};
use crate::assembly::{Assembly, Ends};
use crate::container::layout::{Codec, Group, Subject};
use crate::digest::sha256;
use crate::encode::{Hints, encode};
use crate::limits::Limits;
use crate::list::folder_list;
use crate::plan::{FileOf, Origin, Plan};
use crate::read_at::ReadAt;
use crate::summary::Summary;
use crate::tree::{self, Tree};

/// A tree whose list is the caller's manifest, which travels in the delta as a patch on the base's.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// Its files; the entries are those of the manifest, in its order, which is that of the bytes of their paths.
    pub tree: &'a Tree,
    /// The manifest, byte by byte.
    pub manifest: &'a [u8],
}

/// Writes the delta that leads from one release to another.
///
/// # Errors
/// When a tree is not what its list says, exceeds the limits, or the delta cannot be written, or `control` had it stopped.
pub fn make(
    base: &Release<'_>,
    target: &Release<'_>,
    out: impl Write,
    limits: &Limits,
    settings: &MakeSettings,
    control: &mut dyn Control,
) -> Result<Summary, MakeError> {
    Making { subject: Subject::Manifest, base: *base, target: *target, limits, settings }.write(out, control)
}

/// Writes the delta that leads from one folder to another. The order of the entries does not matter.
///
/// # Errors
/// As [`make`].
pub fn make_folder(
    base: &Tree,
    target: &Tree,
    out: impl Write,
    limits: &Limits,
    settings: &MakeSettings,
    control: &mut dyn Control,
) -> Result<Summary, MakeError> {
    let sorted = |tree: &Tree| {
        let mut tree = tree.clone();
        tree.entries.sort_by(|one, other| one.path.as_bytes().cmp(other.path.as_bytes()));
        tree
    };
    let (base, target) = (sorted(base), sorted(target));
    let (old, new) = (folder_list(&base.entries), folder_list(&target.entries));
    let base = Release { tree: &base, manifest: &old };
    let target = Release { tree: &target, manifest: &new };
    Making { subject: Subject::Folder, base, target, limits, settings }.write(out, control)
}

struct Making<'a> {
    subject: Subject,
    base: Release<'a>,
    target: Release<'a>,
    limits: &'a Limits,
    settings: &'a MakeSettings,
}

impl Making<'_> {
    fn write(&self, out: impl Write, control: &mut dyn Control) -> Result<Summary, MakeError> {
        let (old, new) = (self.base.manifest, self.target.manifest);
        let plan = Plan::new(&self.base.tree.entries, &self.target.tree.entries);
        let target_bytes = self.check(&plan)?;
        let ends = Ends { base: (old.len() as u64, sha256(old)), target: (new.len() as u64, sha256(new)) };
        let mut assembly = Assembly::new(self.subject, ends).map_err(MakeError::Write)?;
        let open = plan.open.iter().filter_map(|number| plan.targets.get(*number));
        let mut ticker =
            Ticker::new(control, new.len() as u64 + open.map(|(file, _)| file.length).sum::<u64>());
        let hints = Hints { programs: Vec::new(), memory_bytes: self.settings.memory_bytes };
        let list = encode(&old, &new, &hints, &mut ticker).map_err(MakeError::of)?;
        let first = Group { targets: Vec::new(), bases: Vec::new(), codec: list.codec };
        assembly.add(first, &list.bodies, &old, ends.target)?;
        let mut summary = Summary {
            links: plan.links.len() as u64,
            removed: plan.removed,
            target_bytes,
            ..Summary::default()
        };
        for (_, origin) in &plan.targets {
            match origin {
                Origin::Base(_) | Origin::Earlier(_) => summary.unchanged += 1,
                Origin::Empty => summary.whole += 1,
                Origin::Open => {}
            }
        }
        for together in groups(&plan) {
            let count = together.targets.len() as u64;
            if self.add_group(&plan, &together, &mut assembly, &mut ticker)? {
                summary.whole += count;
            } else {
                summary.patched += count;
            }
        }
        summary.bytes = assembly.finish(out).map_err(MakeError::Write)?;
        Ok(summary)
    }

    /// Refuses a bad list before time is spent on it; returns the bytes of all files.
    fn check(&self, plan: &Plan<'_>) -> Result<u64, MakeError> {
        if self.target.tree.entries.len() > self.limits.entries {
            return Err(MakeError::TooLarge { what: "files", limit: self.limits.entries as u64 });
        }
        tree::check_entries(&self.target.tree.entries).map_err(MakeError::UnsafeTree)?;
        let bytes = plan.targets.iter().fold(0u64, |sum, (file, _)| sum.saturating_add(file.length));
        if bytes > self.limits.target_bytes {
            return Err(MakeError::TooLarge { what: "target bytes", limit: self.limits.target_bytes });
        }
        Ok(bytes)
    }

    /// Adds a group; whether it holds its files whole.
    fn add_group(
        &self,
        plan: &Plan<'_>,
        together: &Together,
        assembly: &mut Assembly,
        ticker: &mut Ticker<'_>,
    ) -> Result<bool, MakeError> {
        let open = |number: &usize| plan.open.get(*number).and_then(|place| plan.targets.get(*place));
        let new_files: Vec<FileOf<'_>> =
            together.targets.iter().filter_map(open).map(|(file, _)| *file).collect();
        let old_files: Vec<FileOf<'_>> =
            together.bases.iter().filter_map(|number| plan.bases.get(*number)).copied().collect();
        let base = TreeSpace::open(&self.base.tree.root, &old_files)?;
        let target = TreeSpace::open(&self.target.tree.root, &new_files)?;
        let failed = |source| MakeError::Read { path: "a program".to_owned(), source };
        let old = programs(&base, members(&old_files)).map_err(failed)?;
        let new = programs(&target, members(&new_files)).map_err(failed)?;
        let hints = Hints { programs: pairs(&old, &new), memory_bytes: self.settings.memory_bytes };
        let encoded = encode(&base, &target, &hints, ticker).map_err(MakeError::of)?;
        let whole = matches!(encoded.codec, Codec::Whole(_));
        let ends = (target.length(), digest(&target).map_err(failed)?);
        let numbers =
            |list: &[usize]| list.iter().map(|number| u32::try_from(*number).unwrap_or(u32::MAX)).collect();
        // What is whole needs no base.
        let bases = if whole { Vec::new() } else { numbers(&together.bases) };
        let group = Group { targets: numbers(&together.targets), bases, codec: encoded.codec };
        assembly.add(group, &encoded.bodies, &base, ends)?;
        Ok(whole)
    }
}

/// Files in their space.
fn members(files: &[FileOf<'_>]) -> Vec<Member> {
    let mut at = 0;
    let mut members = Vec::new();
    for file in files {
        members.push(Member { name: file.path.to_owned(), at, length: file.length });
        at += file.length;
    }
    members
}
