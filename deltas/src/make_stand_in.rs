//! STAND-IN for making deltas of version 2: one group that holds the target whole. It is held in memory.

use std::io::{self, Write};
use std::path::Path;

use crate::assembly::{Assembly, Ends};
use crate::container::WHOLE_CAP;
use crate::container::layout::{Codec, Group, Packing, Subject};
use crate::digest::sha256;
use crate::list::folder_list;
use crate::pack::shortest;
use crate::plan::{Origin, Plan};
use crate::read_at::ReadAt;
use crate::summary::Summary;
use crate::tree::Tree;
use crate::v1::make::MakeError;

const WAYS: [Packing; 2] = [Packing::Zstd, Packing::Lzma2(3)];

/// Writes the delta that leads from one file to another.
///
/// # Errors
/// When a file cannot be read, or the delta cannot be written.
pub fn make_file(base: &dyn ReadAt, target: &dyn ReadAt, out: impl Write) -> Result<Summary, MakeError> {
    let (base, target) = (read(base, "the base")?, read(target, "the target")?);
    let ends = Ends { base: (base.length(), sha256(&base)), target: (target.length(), sha256(&target)) };
    let bytes = write(Subject::File, ends, &[(vec![], vec![], &target)], out).map_err(MakeError::Write)?;
    Ok(Summary { whole: 1, bytes, target_bytes: target.length(), ..Summary::default() })
}

/// Writes the delta that leads from one folder to another.
///
/// # Errors
/// When a file cannot be read, or the delta cannot be written.
pub fn make_folder(base: &Tree, target: &Tree, out: impl Write) -> Result<Summary, MakeError> {
    let (old, new) = (folder_list(&base.entries), folder_list(&target.entries));
    let ends = Ends { base: (old.length(), sha256(&old)), target: (new.length(), sha256(&new)) };
    let plan = Plan::new(&base.entries, &target.entries);
    let mut space = Vec::new();
    for (file, _) in plan.targets.iter().filter(|(_, origin)| *origin == Origin::Open) {
        space.extend(read_path(&target.root, file.path)?);
    }
    let open = (0..u32::try_from(plan.open.len()).unwrap_or(u32::MAX)).collect();
    let mut groups = vec![(vec![], vec![], &new)];
    if !plan.open.is_empty() {
        groups.push((open, vec![], &space));
    }
    let bytes = write(Subject::Folder, ends, &groups, out).map_err(MakeError::Write)?;
    let count = |wanted: &dyn Fn(&Origin) -> bool| {
        u64::try_from(plan.targets.iter().filter(|(_, origin)| wanted(origin)).count()).unwrap_or(u64::MAX)
    };
    Ok(Summary {
        unchanged: count(&|origin| matches!(origin, Origin::Base(_) | Origin::Earlier(_))),
        whole: count(&|origin| matches!(origin, Origin::Open | Origin::Empty)),
        links: u64::try_from(plan.links.len()).unwrap_or(u64::MAX),
        removed: plan.removed,
        bytes,
        target_bytes: plan.targets.iter().map(|(file, _)| file.length).sum(),
        ..Summary::default()
    })
}

type Whole<'a> = (Vec<u32>, Vec<u32>, &'a Vec<u8>);

fn write(subject: Subject, ends: Ends, groups: &[Whole<'_>], out: impl Write) -> io::Result<u64> {
    let mut assembly = Assembly::new(subject, ends)?;
    for (targets, bases, space) in groups {
        let (packed, body) = shortest(space, &WAYS, WHOLE_CAP)?;
        let group = Group { targets: targets.clone(), bases: bases.clone(), codec: Codec::Whole(packed) };
        assembly.add(group, &[body], &[].as_slice(), (space.length(), sha256(space)))?;
    }
    assembly.finish(out)
}

fn read(content: &dyn ReadAt, path: &str) -> Result<Vec<u8>, MakeError> {
    let mut bytes = vec![0; usize::try_from(content.length()).unwrap_or_default()];
    content
        .read_exact_at(0, &mut bytes)
        .map_err(|source| MakeError::Read { path: path.to_owned(), source })?;
    Ok(bytes)
}

fn read_path(root: &Path, path: &str) -> Result<Vec<u8>, MakeError> {
    std::fs::read(root.join(path)).map_err(|source| MakeError::Read { path: path.to_owned(), source })
}
