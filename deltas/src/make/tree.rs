//! The delta of a tree.

use std::io::Write;

use super::error::MakeError;
use super::groups::{Together, groups};
use super::programs::{Member, pairs, programs};
use super::settings::MakeSettings;
use super::space::{TreeSpace, digest};
use crate::apply::{Control, Ticker};
use crate::assembly::{Assembly, Ends, Proven};
use crate::container::MAX_IMAGE_PARTS;
use crate::container::layout::{Codec, Group, Subject};
use crate::digest::sha256;
use crate::encode::{Hints, PART_OF_MEMORY, encode};
use crate::limits::Limits;
use crate::list::folder_list;
use crate::parallel::Crew;
use crate::plan::{FileOf, Origin, Plan};
use crate::read_at::ReadAt;
use crate::spool::Scratch;
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
    let (subject, most_parts) = (Subject::Manifest, MAX_IMAGE_PARTS);
    Making { subject, base: *base, target: *target, limits, settings, most_parts }.write(out, control)
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
    let (subject, most_parts) = (Subject::Folder, MAX_IMAGE_PARTS);
    Making { subject, base, target, limits, settings, most_parts }.write(out, control)
}

struct Making<'a> {
    subject: Subject,
    base: Release<'a>,
    target: Release<'a>,
    limits: &'a Limits,
    settings: &'a MakeSettings,
    /// What a reader keeps of the images of all groups.
    most_parts: usize,
}

impl Making<'_> {
    fn write(&self, out: impl Write, control: &mut dyn Control) -> Result<Summary, MakeError> {
        let (old, new) = (self.base.manifest, self.target.manifest);
        let plan = Plan::new(&self.base.tree.entries, &self.target.tree.entries);
        let target_bytes = self.check(&plan)?;
        let ends = Ends { base: (old.len() as u64, sha256(old)), target: (new.len() as u64, sha256(new)) };
        let scratch = Scratch::new(self.settings.scratch.as_deref());
        let mut assembly = Assembly::new(self.subject, ends, &scratch).map_err(MakeError::Write)?;
        let open = plan.open.iter().filter_map(|number| plan.targets.get(*number));
        let mut ticker =
            Ticker::new(control, new.len() as u64 + open.map(|(file, _)| file.length).sum::<u64>());
        let crew = Crew::new(self.settings.threads);
        let memory_bytes = self.settings.memory_bytes;
        let hints = Hints { programs: Vec::new(), memory_bytes, crew: &crew, scratch: &scratch };
        let list = encode(&old, &new, &hints, &mut ticker).map_err(MakeError::of)?;
        let first = Group { targets: Vec::new(), bases: Vec::new(), codec: list.codec };
        assembly.add(Proven::new(first, list.bodies, &old, ends.target)?)?;
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
        let bounds = (self.settings.memory_bytes, |together: &Together| memory_of(&plan, together));
        let together = groups(&plan);
        let made = |together: &Together, ticker: &mut Ticker<'_>| {
            let group = self.group(&plan, together, Programs::Apart, &hints, ticker)?;
            Ok((group, together.clone()))
        };
        let mut parts = 0;
        crew.each(&together, bounds, &mut ticker, made, |(mut group, together), ticker| {
            if parts + group.proven.image_parts() > self.most_parts {
                group = self.group(&plan, &together, Programs::AsBytes, &hints, &mut ticker.aside())?;
            }
            parts += group.proven.image_parts();
            let counted = if group.whole { &mut summary.whole } else { &mut summary.patched };
            *counted += together.targets.len() as u64;
            assembly.add(group.proven)
        })?;
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

    fn group(
        &self,
        plan: &Plan<'_>,
        together: &Together,
        taken: Programs,
        hints: &Hints<'_>,
        ticker: &mut Ticker<'_>,
    ) -> Result<Made, MakeError> {
        let (old_files, new_files) = files_of(plan, together);
        let base = TreeSpace::open(&self.base.tree.root, &old_files)?;
        let target = TreeSpace::open(&self.target.tree.root, &new_files)?;
        let failed = |source| MakeError::Read { path: "a program".to_owned(), source };
        let pairs = match taken {
            Programs::Apart => {
                let old = programs(&base, members(&old_files)).map_err(failed)?;
                pairs(&old, &programs(&target, members(&new_files)).map_err(failed)?)
            }
            Programs::AsBytes => Vec::new(),
        };
        let hints = Hints { programs: pairs, ..*hints };
        let encoded = encode(&base, &target, &hints, ticker).map_err(MakeError::of)?;
        let whole = matches!(encoded.codec, Codec::Whole(_));
        let ends = (target.length(), digest(&target).map_err(failed)?);
        let numbers =
            |list: &[usize]| list.iter().map(|number| u32::try_from(*number).unwrap_or(u32::MAX)).collect();
        // What is whole needs no base.
        let bases = if whole { Vec::new() } else { numbers(&together.bases) };
        let group = Group { targets: numbers(&together.targets), bases, codec: encoded.codec };
        Ok(Made { proven: Proven::new(group, encoded.bodies, &base, ends)?, whole })
    }
}

/// A group that was made.
struct Made {
    proven: Proven,
    /// Whether it holds its files without their base.
    whole: bool,
}

/// How programs are taken.
#[derive(Clone, Copy)]
enum Programs {
    /// Their addresses are corrected.
    Apart,
    /// As any other bytes.
    AsBytes,
}

/// The files of a group: of the base, and of the target.
fn files_of<'a>(plan: &Plan<'a>, together: &Together) -> (Vec<FileOf<'a>>, Vec<FileOf<'a>>) {
    let open = |number: &usize| plan.open.get(*number).and_then(|place| plan.targets.get(*place));
    let new_files = together.targets.iter().filter_map(open).map(|(file, _)| *file).collect();
    let old_files = together.bases.iter().filter_map(|number| plan.bases.get(*number)).copied().collect();
    (old_files, new_files)
}

/// Memory that a group takes, as far as it is given it.
fn memory_of(plan: &Plan<'_>, together: &Together) -> u64 {
    let (old_files, new_files) = files_of(plan, together);
    let bytes = old_files.iter().chain(&new_files).fold(0u64, |sum, file| sum.saturating_add(file.length));
    bytes.saturating_mul(PART_OF_MEMORY)
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::apply::Progress;
    use crate::folder::read_folder;
    use crate::image::tests::program;
    use crate::show::show;
    use crate::testing::noise;

    #[test]
    fn programs_beyond_what_a_reader_keeps_of_them_are_taken_as_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let tree = |name: &str, gap: usize| {
            let root = folder.path().join(name);
            fs::create_dir(&root).unwrap();
            for number in 1..6 {
                let content = [program(gap), noise(1 << 20, number)].concat();
                fs::write(root.join(format!("program-{number}")), content).unwrap();
            }
            Tree { root: root.clone(), entries: read_folder(Path::new(&root)).unwrap() }
        };
        let (base, target) = (tree("base", 0), tree("target", 100));
        let made = |most_parts: usize, threads: usize| {
            let (old, new) = (folder_list(&base.entries), folder_list(&target.entries));
            let (limits, settings) = (Limits::default(), MakeSettings { threads, ..MakeSettings::default() });
            let making = Making {
                subject: Subject::Folder,
                base: Release { tree: &base, manifest: &old },
                target: Release { tree: &target, manifest: &new },
                limits: &limits,
                settings: &settings,
                most_parts,
            };
            let mut delta = Vec::new();
            making.write(&mut delta, &mut |_: Progress| true).unwrap();
            let shown = show(delta.as_slice(), None, &limits).unwrap();
            (shown.groups.iter().filter_map(|group| group.images).sum::<usize>(), delta)
        };
        let (images, all) = made(MAX_IMAGE_PARTS, 1);
        assert_eq!(images, 5);
        // An image, two segments of it: three each.
        let (images, some) = made(7, 1);
        assert_eq!(images, 2);
        assert!(some.len() > all.len());
        assert!(made(7, 4).1 == some, "the same ones whoever works on it");
        assert_eq!(made(0, 2).0, 0);
    }
}
