//! Applies the delta of a tree.
//!
//! The order: the target's list is made and verified; all groups are checked against both lists; what costs nothing is
//! written; then the groups pass; then files that are the same as an earlier one of the target.

use std::io::{self, Read};

use super::file::{Counted, end_of};
use super::maker::{begin, body_length, check};
use super::reader::{SpaceReader, Ticking};
use super::space::BaseSpace;
use super::target_list::read_target_list;
use super::window::WINDOW_BYTES;
use super::{ApplyError, Base, Control, Lists, TargetWriter, Ticker};
use crate::container::chunks::read_array;
use crate::container::layout::{Codec, Group};
use crate::container::read::read_head_after_magic;
use crate::container::{Flaw, MAGIC};
use crate::digest::{Broken, CheckedReader, Hasher, Sha256};
use crate::limits::Limits;
use crate::plan::{FileOf, Origin, Plan};
use crate::read_at::FromBeginning;
use crate::summary::Summary;
use crate::v1;

/// Makes the target of a tree's delta, of any version. Nothing that was written counts unless this succeeds. The
/// delta is read in small pieces: buffer it.
///
/// # Errors
/// Why the delta does not lead from this base to a target that is accepted.
pub fn apply(
    base: &Base<'_>,
    delta: impl Read,
    lists: &mut Lists<'_>,
    target: &mut dyn TargetWriter,
    limits: &Limits,
    control: &mut dyn Control,
) -> Result<Summary, ApplyError> {
    let mut delta = Counted::new(delta);
    let magic: [u8; 2] = read_array(&mut delta).map_err(ApplyError::of)?;
    if v1::MAGIC.starts_with(&magic) {
        let begin = magic.as_slice();
        return v1::apply::apply(base.files, begin.chain(delta), target, limits, control);
    }
    if magic != MAGIC {
        return Err(ApplyError::NotADelta);
    }
    let head = read_head_after_magic(&mut delta, limits.head_bytes).map_err(ApplyError::of)?;
    let entries = read_target_list(base, &head, &mut delta, lists, limits, &mut *control)?;
    let plan = Plan::new(base.entries, &entries);
    let target_bytes = plan.targets.iter().fold(0u64, |sum, (file, _)| sum.saturating_add(file.length));
    if target_bytes > limits.target_bytes {
        return Err(ApplyError::TooLarge { what: "target bytes", limit: limits.target_bytes });
    }
    let groups = head.groups.get(1..).unwrap_or_default();
    check_groups(groups, &plan)?;
    let mut work = Work {
        base,
        plan: &plan,
        target,
        ticker: Ticker::new(control, target_bytes),
        summary: Summary { removed: plan.removed, target_bytes, ..Summary::default() },
    };
    work.write_links()?;
    work.write_known(|origin| matches!(origin, Origin::Empty | Origin::Base(_)))?;
    for group in groups {
        work.write_group(group, &mut delta)?;
    }
    end_of(&mut delta)?;
    work.write_known(|origin| matches!(origin, Origin::Earlier(_)))?;
    let mut summary = work.summary;
    summary.bytes = delta.bytes;
    Ok(summary)
}

/// Refuses groups that name files which are not there, do not make each open file once, or whose spaces do not fit.
fn check_groups(groups: &[Group], plan: &Plan<'_>) -> Result<(), ApplyError> {
    let mut made = vec![false; plan.open.len()];
    for group in groups {
        for target in &group.targets {
            let place = usize::try_from(*target).ok().and_then(|target| made.get_mut(target));
            if place.is_none_or(|made| std::mem::replace(made, true)) {
                return Err(ApplyError::Damaged);
            }
        }
        let base = total(group.bases.iter().map(|number| plan.base(*number)));
        let target = total(group.targets.iter().map(|number| plan.open_file(*number)));
        let (Some(base), Some(target)) = (base, target) else { return Err(ApplyError::Damaged) };
        check(&group.codec, base, target).map_err(ApplyError::of)?;
    }
    if made.iter().all(|made| *made) { Ok(()) } else { Err(ApplyError::Damaged) }
}

/// Length of all files together; nothing if one is not there, or they are longer than numbers go.
fn total<'a>(mut files: impl Iterator<Item = Option<&'a FileOf<'a>>>) -> Option<u64> {
    files.try_fold(0u64, |sum, file| sum.checked_add(file?.length))
}

impl<'a> Plan<'a> {
    pub(crate) fn base(&self, number: u32) -> Option<&FileOf<'a>> {
        self.bases.get(usize::try_from(number).ok()?)
    }

    pub(crate) fn open_file(&self, number: u32) -> Option<&FileOf<'a>> {
        let number = self.open.get(usize::try_from(number).ok()?)?;
        self.targets.get(*number).map(|(file, _)| file)
    }
}

struct Work<'a, 'b> {
    base: &'a Base<'a>,
    plan: &'a Plan<'a>,
    target: &'a mut dyn TargetWriter,
    ticker: Ticker<'b>,
    summary: Summary,
}

impl Work<'_, '_> {
    fn write_links(&mut self) -> Result<(), ApplyError> {
        for (path, text) in &self.plan.links {
            let failed = |source| ApplyError::Target { path: (*path).to_owned(), source };
            self.summary.links = self.summary.links.saturating_add(1);
            if !self.target.has_symlink(path, text).map_err(failed)? {
                self.target.create_symlink(path, text).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn is_there(&mut self, file: &FileOf<'_>) -> Result<bool, ApplyError> {
        let there = self.target.has_file(file.path, file.mode, file.length, &file.sha256);
        let there = there.map_err(|source| ApplyError::Target { path: file.path.to_owned(), source })?;
        self.summary.kept = self.summary.kept.saturating_add(u64::from(there));
        Ok(there)
    }

    /// Writes files that no group makes.
    fn write_known(&mut self, wanted: impl Fn(Origin) -> bool) -> Result<(), ApplyError> {
        let plan = self.plan;
        for (file, origin) in plan.targets.iter().filter(|(_, origin)| wanted(*origin)) {
            let counted =
                if *origin == Origin::Empty { &mut self.summary.whole } else { &mut self.summary.unchanged };
            *counted = counted.saturating_add(1);
            if self.is_there(file)? {
                self.ticker
                    .made(usize::try_from(file.length).unwrap_or(usize::MAX))
                    .map_err(ApplyError::of)?;
                continue;
            }
            match origin {
                Origin::Base(number) => {
                    let base = plan.bases.get(*number).ok_or(ApplyError::Damaged)?;
                    let failed = |source| ApplyError::Base { path: base.path.to_owned(), source };
                    let opened = self.base.files.open(base.path).map_err(failed)?;
                    let from = FromBeginning::new(opened);
                    let differs = || ApplyError::BaseDiffers { path: base.path.to_owned() };
                    copy(self.target, &mut self.ticker, file, from, differs)?;
                }
                Origin::Earlier(number) => {
                    let (first, _) = plan.targets.get(*number).ok_or(ApplyError::Damaged)?;
                    // Held: the target cannot be read and written at once.
                    self.copy_earlier(file, first)?;
                }
                Origin::Empty | Origin::Open => {
                    let differs = || ApplyError::Content { path: file.path.to_owned() };
                    copy(self.target, &mut self.ticker, file, io::empty(), differs)?;
                }
            }
        }
        Ok(())
    }

    fn copy_earlier(&mut self, file: &FileOf<'_>, first: &FileOf<'_>) -> Result<(), ApplyError> {
        let failed = |source| ApplyError::Target { path: first.path.to_owned(), source };
        let opened = self.target.reopen(first.path).map_err(failed)?;
        let differs = || ApplyError::Content { path: file.path.to_owned() };
        copy(self.target, &mut self.ticker, file, opened, differs)
    }

    fn write_group(&mut self, group: &Group, delta: &mut Counted<impl Read>) -> Result<(), ApplyError> {
        let plan = self.plan;
        let files: Vec<&FileOf<'_>> =
            group.targets.iter().filter_map(|number| plan.open_file(*number)).collect();
        let length = files.iter().fold(0u64, |sum, file| sum.saturating_add(file.length));
        let count = u64::try_from(files.len()).unwrap_or(u64::MAX);
        let counted = if matches!(group.codec, Codec::Whole(_)) {
            &mut self.summary.whole
        } else {
            &mut self.summary.patched
        };
        *counted = counted.saturating_add(count);
        let mut there = Vec::new();
        for file in &files {
            there.push(self.is_there(file)?);
        }
        if there.iter().all(|there| *there) {
            return self.skip(body_length(&group.codec, length), length, delta);
        }
        let list =
            group.bases.iter().filter_map(|number| plan.base(*number)).map(|file| (file.path, file.length));
        let space = BaseSpace::new(self.base.files, list).ok_or(ApplyError::Damaged)?;
        let made = self.make_files(group, &space, &files, &there, length, delta);
        made.map_err(|error| match error {
            ApplyError::BaseUnreadable(_) => space.take_trouble().unwrap_or(error),
            ApplyError::Content { .. } | ApplyError::Damaged => self.differing_base(group).unwrap_or(error),
            other => other,
        })
    }

    fn skip(&mut self, body: u64, length: u64, delta: &mut impl Read) -> Result<(), ApplyError> {
        let mut left = body;
        let mut piece = vec![0; WINDOW_BYTES];
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
            let bytes = piece.get_mut(..count).unwrap_or_default();
            delta.read_exact(bytes).map_err(|error| ApplyError::of(Flaw::of_reading(error)))?;
            self.ticker.made(0).map_err(ApplyError::of)?;
            left = left.saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        }
        self.ticker.made(usize::try_from(length).unwrap_or(usize::MAX)).map_err(ApplyError::of)
    }

    fn make_files(
        &mut self,
        group: &Group,
        space: &BaseSpace<'_>,
        files: &[&FileOf<'_>],
        there: &[bool],
        length: u64,
        delta: &mut Counted<impl Read>,
    ) -> Result<(), ApplyError> {
        let maker = begin(&group.codec, space, length, delta).map_err(ApplyError::of)?;
        let mut reader = SpaceReader::new(maker, &mut self.ticker);
        for (file, there) in files.iter().zip(there) {
            let part = (&mut reader).take(file.length);
            let mut content = CheckedReader::new(part, file.length, Sha256(file.sha256));
            let written = if *there {
                io::copy(&mut content, &mut io::sink()).map(drop)
            } else {
                self.target.create_file(file.path, file.mode, file.length, &mut content)
            };
            let broken = content.broken();
            let finished = if written.is_ok() { content.finish() } else { Ok(()) };
            if let Some(flaw) = reader.take_flaw() {
                return Err(ApplyError::of(flaw));
            }
            if broken.is_some() || finished.is_err() {
                return Err(ApplyError::Content { path: file.path.to_owned() });
            }
            written.map_err(|source| ApplyError::Target { path: file.path.to_owned(), source })?;
        }
        reader.finish().map_err(ApplyError::of)
    }

    /// The error that names the file of a group's base which is not what its list says.
    fn differing_base(&self, group: &Group) -> Option<ApplyError> {
        let mut window = vec![0; WINDOW_BYTES];
        for file in group.bases.iter().filter_map(|number| self.plan.base(*number)) {
            let failed = |source| Some(ApplyError::Base { path: file.path.to_owned(), source });
            let mut content = match self.base.files.open(file.path) {
                Ok(opened) => FromBeginning::new(opened),
                Err(error) => return failed(error),
            };
            let mut hasher = Hasher::new();
            loop {
                match content.read(&mut window) {
                    Ok(0) => break,
                    Ok(count) => hasher.update(window.get(..count).unwrap_or_default()),
                    Err(error) => return failed(error),
                }
            }
            if hasher.finish().0 != file.sha256 {
                return Some(ApplyError::BaseDiffers { path: file.path.to_owned() });
            }
        }
        None
    }
}

/// Writes a file, and checks its content.
fn copy(
    target: &mut dyn TargetWriter,
    ticker: &mut Ticker<'_>,
    file: &FileOf<'_>,
    content: impl Read,
    differs: impl Fn() -> ApplyError,
) -> Result<(), ApplyError> {
    let ticking = Ticking::new(content, ticker);
    let mut content = CheckedReader::new(ticking, file.length, Sha256(file.sha256));
    let written = target.create_file(file.path, file.mode, file.length, &mut content);
    let broken = content.broken();
    let finished = if written.is_ok() { content.finish() } else { Ok(()) };
    match (broken, finished) {
        (Some(Broken::Differs), _) | (None, Err(Broken::Differs)) => Err(differs()),
        (Some(Broken::Unreadable), _) | (None, Err(Broken::Unreadable)) => {
            Err(if content.into_inner().cancelled { ApplyError::Cancelled } else { differs() })
        }
        (None, Ok(())) => written.map_err(|source| ApplyError::Target { path: file.path.to_owned(), source }),
    }
}
