//! Applying deltas: the old slot, or nothing, and one delta or several give the new one.
//!
//! Invariants: a delta's list of files is the manifest that was vetted, byte by byte; on the way to it, one that the vendor's
//! verified metadata list. Else nothing is written. Deltas of version 1, as servers of before send them, have a list of their own:
//! they lead to the wanted release alone, and only what its manifest has is written. All of it takes a bounded time of the
//! processor, in all tries together, and makes way for a person, the agent's end and a contact. What is built on the way has a
//! slot that no record names, and is taken away, after a crash with the next cleaning.

use std::fs::File;
use std::io::{self, BufRead};
use std::time::Duration;

use sealpost_deltas::{Base, BaseFiles, Entry, Limits, Lists, Progress, ReadAt, apply, container_version};
use sealpost_files::with_causes;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::document::{self, MAX_DOCUMENT_BYTES};
use sealpost_manifests::release::{FileEntry, FileKind, ReleaseManifest};
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::{Change, Installed, SlotId};
use crate::domain::release::Refusal;
use crate::domain::way::Hop;
use crate::flows::context::Host;
use crate::ports::Source;
use crate::records::manifests;
use crate::slots::{SlotBase, SlotBuilder, Slots};

use super::budget::{Try, time_for};
use super::checks::ensure_room_between;
use super::downloads;
use super::finished::{finish, invalid_or_full, refusal_of_file, refusal_of_slot};
use super::signed::Signed;
use super::vetted::VettedRelease;

/// What a delta starts from.
struct Ground {
    files: Box<dyn BaseFiles>,
    /// Its manifest, byte by byte.
    list: Vec<u8>,
    entries: Vec<Entry>,
}

/// The base of a delta that needs none.
struct Nothing;

impl BaseFiles for Nothing {
    fn open(&self, _path: &str) -> io::Result<Box<dyn ReadAt + '_>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// A release that is built by deltas.
struct Building<'b> {
    host: &'b Host,
    change: &'b Change,
    slots: &'b Slots,
    vetted: &'b VettedRelease,
    tried: &'b Try<'b>,
    /// The time that all tries together may take.
    most: Duration,
}

/// Builds the slot of a release by deltas that have all come.
pub(super) fn apply_all(
    host: &Host,
    hops: &[Hop],
    base: Option<&Installed>,
    change: &Change,
    slots: &Slots,
    vetted: &VettedRelease,
    source: &mut dyn Source,
) -> Result<(), Refusal> {
    let tried = Try::begin(&host.home, vetted.digest())?.ok_or_else(|| unusable("no more are tried"))?;
    let most = time_for(vetted.manifest().installed_bytes(), hops.len());
    let applied = Building { host, change, slots, vetted, tried: &tried, most }.lead(hops, base, source);
    tried.end(most);
    applied
}

impl Building<'_> {
    /// Builds one release after the other, up to the one that is wanted.
    fn lead(&self, hops: &[Hop], base: Option<&Installed>, source: &mut dyn Source) -> Result<(), Refusal> {
        let (last, between) = hops.split_last().ok_or_else(|| unusable("it has no delta"))?;
        let mut ground = self.ground(base)?;
        let mut passed: Vec<SlotId> = Vec::new();
        let mut ended = Ok(());
        for hop in between {
            let slot = SlotId::of(&self.change.to.release.version, &hop.to);
            // It may be kept for a rollback, and is not to be taken away.
            if self.slots.has(&slot).unwrap_or(true) {
                ended = Err(unusable("it leads through a release that is kept here"));
                break;
            }
            match self.pass(hop, &ground, &slot, source) {
                Ok(next) => {
                    // Nothing needs what was passed before any more, and its room is needed.
                    ground = next;
                    take_away(self.slots, &passed);
                    passed = vec![slot];
                }
                Err(refusal) => {
                    passed.push(slot);
                    ended = Err(refusal);
                    break;
                }
            }
        }
        let built = ended.and_then(|()| self.arrive(last, &ground, source));
        drop(ground);
        take_away(self.slots, &passed);
        built
    }

    fn ground(&self, base: Option<&Installed>) -> Result<Ground, Refusal> {
        let Some(base) = base else {
            return Ok(Ground { files: Box::new(Nothing), list: Vec::new(), entries: Vec::new() });
        };
        let (manifest, list) = manifests::read_exact(&self.host.home, base).map_err(|error| {
            let detail = format!("cannot read what the delta is based on: {}", with_causes(&error));
            Refusal::new(ReasonCode::LocalFault, detail)
        })?;
        let files: SlotBase = self.slots.base(&base.slot).map_err(|error| refusal_of_slot(&error))?;
        Ok(Ground { files: Box::new(files), list, entries: entries(&manifest.files) })
    }

    /// Builds a release that is only passed, in a slot of its own.
    fn pass(
        &self,
        hop: &Hop,
        ground: &Ground,
        slot: &SlotId,
        source: &mut dyn Source,
    ) -> Result<Ground, Refusal> {
        // Its lengths bound what is written, so they have to be the vendor's word.
        if !source.lists(&hop.to)? {
            return Err(unusable("it leads through a release that the vendor does not list"));
        }
        let mut delta = self.open(hop, "a delta of the way is gone")?;
        let begin = delta.fill_buf().map_err(|error| refusal_of_file("cannot read the delta", &error))?;
        if container_version(begin) == Some(1) {
            return Err(unusable("one of an earlier version brings no manifest that bounds what is passed"));
        }
        let mut builder = self.slots.begin(slot).map_err(|error| refusal_of_slot(&error))?;
        let mut passed: Option<(ReleaseManifest, Vec<u8>)> = None;
        let mut read = |list: &[u8]| {
            if Sha256Digest::of(list) != hop.to {
                return Err("it leads to another release than it should".into());
            }
            let manifest: ReleaseManifest = document::read(list)?;
            if manifest.release.package != self.change.to.release.package {
                return Err("it leads through another package".into());
            }
            if let Some(problem) = manifest.check().into_iter().next() {
                return Err(problem.into());
            }
            let wanted = (&self.change.to.slot, self.vetted.manifest());
            ensure_room_between(self.host, self.slots, &manifest, wanted)?;
            let entries = entries(&manifest.files);
            passed = Some((manifest, list.to_vec()));
            Ok(entries)
        };
        // How many bytes it may have in all is decided from its manifest, which comes first.
        let limits = Limits { list_bytes: MAX_DOCUMENT_BYTES, target_bytes: u64::MAX, ..Limits::default() };
        // Its manifest comes with the delta alone, which has no other list: version 1 was refused.
        self.carry_out(ground, delta, &mut read, (&mut builder, None), &limits, source)?;
        builder.finish().map_err(|error| refusal_of_slot(&error))?;
        let (manifest, list) = passed.ok_or_else(|| unusable("it brought no manifest"))?;
        let files = self.slots.base(slot).map_err(|error| refusal_of_slot(&error))?;
        Ok(Ground { files: Box::new(files), list, entries: entries(&manifest.files) })
    }

    /// Builds the slot of the release that is wanted.
    fn arrive(&self, hop: &Hop, ground: &Ground, source: &dyn Source) -> Result<(), Refusal> {
        let manifest = self.vetted.manifest();
        let delta = self.open(hop, "the last delta is gone")?;
        // What a crash or an interruption left of it is whole file by file, or is made again.
        let mut builder = self.slots.go_on(&self.change.to.slot).map_err(|error| refusal_of_slot(&error))?;
        let limits = Limits {
            entries: manifest.files.len(),
            list_bytes: MAX_DOCUMENT_BYTES,
            target_bytes: manifest.installed_bytes(),
            ..Limits::default()
        };
        let mut vet = |list: &[u8]| {
            if list == self.vetted.bytes() {
                return Ok(entries(&manifest.files));
            }
            Err("it leads to another release than the approved one".into())
        };
        self.carry_out(ground, delta, &mut vet, (&mut builder, Some(manifest)), &limits, source)?;
        finish(builder, self.change, self.slots, manifest)
    }

    fn carry_out(
        &self,
        ground: &Ground,
        delta: io::BufReader<File>,
        read: Read<'_>,
        (builder, signed): (&mut SlotBuilder<'_>, Option<&ReleaseManifest>),
        limits: &Limits,
        source: &dyn Source,
    ) -> Result<(), Refusal> {
        let base = Base { files: &*ground.files, list: &ground.list, entries: &ground.entries };
        let mut read = |list: &[u8]| read(list);
        let lists = &mut Lists::Manifest(&mut read);
        let mut ended = None;
        let mut goes_on = |_: Progress| {
            ended = source.interruption();
            if ended.is_none() && !self.tried.is_within(self.most) {
                ended = Some(unusable("it takes too much of this computer's time"));
            }
            ended.is_none()
        };
        let applied = match signed {
            Some(manifest) => {
                let target = &mut Signed::new(builder, manifest);
                apply(&base, delta, lists, target, limits, &mut goes_on)
            }
            None => apply(&base, delta, lists, builder, limits, &mut goes_on),
        };
        match (ended, applied) {
            (_, Ok(_)) => Ok(()),
            (Some(why), Err(_)) => Err(why),
            (None, Err(error)) => Err(invalid_or_full(builder, "a delta cannot be applied", &error)),
        }
    }

    fn open(&self, hop: &Hop, gone: &str) -> Result<io::BufReader<File>, Refusal> {
        let path = downloads::whole(&self.host.home, hop).ok_or_else(|| unusable(gone))?;
        let file = File::open(path).map_err(|error| refusal_of_file("cannot read the delta", &error))?;
        Ok(io::BufReader::new(file))
    }
}

/// Removes what was built on the way. What cannot be removed goes with the next cleaning.
fn take_away(slots: &Slots, passed: &[SlotId]) {
    for slot in passed {
        if let Err(error) = slots.remove(slot) {
            tracing::warn!(%slot, error = with_causes(&error), "what was built on the way cannot be removed yet");
        }
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;
/// Reads and verifies a list of files.
type Read<'r> = &'r mut dyn FnMut(&[u8]) -> Result<Vec<Entry>, Cause>;

fn unusable(why: &str) -> Refusal {
    Refusal::new(ReasonCode::PayloadInvalid, format!("the delta cannot be used: {why}"))
}

/// A manifest's files, as deltas take them.
fn entries(files: &[FileEntry]) -> Vec<Entry> {
    let entry = |entry: &FileEntry| match &entry.kind {
        FileKind::File { executable, length, sha256 } => {
            Entry::file(entry.path.as_str(), *length, *sha256.as_bytes(), *executable)
        }
        FileKind::Symlink { target } => Entry::link(entry.path.as_str(), target),
    };
    files.iter().map(entry).collect()
}
