//! Deltas that lead from earlier releases to a new one, published beside it: sites fetch those that their computers need.
//!
//! Invariants: nothing rests on a delta, so one that cannot be made holds back no release, and is told of. Bases are the
//! published payloads, read as their manifests say. A delta that is published stays as it is until it is taken off the list.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use sealpost_deltas::{Entry, Limits, MakeSettings, Release, Tree, make};
use sealpost_files::{open_regular, with_causes};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::TargetName;
use sealpost_manifests::payload::{FolderSink, read_gzip};
use sealpost_manifests::release::{
    DeltaTarget, Encoding, FileEntry, FileKind, ReleaseId, ReleaseManifest, spares_enough,
};
use sealpost_manifests::version::Version;
use sealpost_repository::{RoleName, TargetSource};
use serde::Serialize;
use tempfile::NamedTempFile;

use super::error::ReleaseError;
use crate::publication::{Publication, PublicationError, Published};

/// Releases of a platform of which deltas that lead to them stay listed: who is further behind makes its own.
const KEPT_TARGETS: usize = 8;

/// How many deltas are wanted, and what making one may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeltaOrder {
    /// From so many releases before it, the newest of its platform.
    pub from: usize,
    /// Memory in bytes, nearly.
    pub memory_bytes: u64,
    /// Threads that make one.
    pub threads: usize,
}

impl DeltaOrder {
    pub const NONE: Self = Self { from: 0, memory_bytes: 1 << 30, threads: 1 };
}

/// A delta that was wanted.
#[derive(Debug, Clone, Serialize)]
pub struct ReleaseDelta {
    /// The version that it leads from.
    pub from: Version,
    #[serde(flatten)]
    pub made: DeltaMade,
}

/// What became of a delta that was wanted.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum DeltaMade {
    Published {
        bytes: u64,
    },
    /// It was published before.
    PublishedBefore,
    /// It would have so many bytes, and spare next to nothing.
    SparesNothing {
        bytes: u64,
    },
    NotMade {
        why: String,
    },
}

/// Files that are to be published.
#[derive(Debug, Default)]
pub(super) struct MadeDeltas {
    files: Vec<(TargetName, DeltaTarget, NamedTempFile)>,
    pub(super) told: Vec<ReleaseDelta>,
}

/// A release that deltas are to lead to.
pub(super) struct Target<'a> {
    pub(super) manifest: &'a ReleaseManifest,
    /// The manifest's exact bytes.
    pub(super) bytes: &'a [u8],
    /// Its files, as they were released.
    pub(super) folder: &'a Path,
}

/// Makes the deltas from the newest releases before a target; `progress` is told which of how many is next.
pub(super) fn make_all(
    publication: &Publication,
    releases: &[Published],
    target: &Target<'_>,
    order: DeltaOrder,
    staging: &Path,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<MadeDeltas, ReleaseError> {
    let id = &target.manifest.release;
    let of_platform = releases.iter().rev().filter(|base| {
        base.is_trusted()
            && base.manifest.release.platform == id.platform
            && base.manifest.counter < target.manifest.counter
    });
    let bases: Vec<&Published> = of_platform.take(order.from).collect();
    let digest = Sha256Digest::of(target.bytes);
    let payload_bytes = target.manifest.payload.encoding(Encoding::Gzip).map_or(0, |blob| blob.length);
    let mut all = MadeDeltas::default();
    for (number, base) in bases.iter().enumerate() {
        progress(number + 1, bases.len());
        let delta = DeltaTarget { base: base.digest, target: digest };
        let made = if publication.editor().deltas(&id.package).any(|(_, listed)| listed == delta) {
            DeltaMade::PublishedBefore
        } else {
            match make_one(publication, base, target, order, staging) {
                Ok((_, bytes)) if !spares_enough(bytes, payload_bytes) => DeltaMade::SparesNothing { bytes },
                Ok((file, bytes)) => {
                    all.files.push((id.delta_target(&base.digest)?, delta, file));
                    DeltaMade::Published { bytes }
                }
                Err(why) => DeltaMade::NotMade { why },
            }
        };
        all.told.push(ReleaseDelta { from: base.manifest.release.version.clone(), made });
    }
    Ok(all)
}

/// Lists deltas, and takes those off the list that lead to releases which were replaced long ago.
pub(super) fn put_all(
    publication: &mut Publication,
    releases: &[Published],
    id: &ReleaseId,
    made: &MadeDeltas,
) -> Result<(), PublicationError> {
    let package = &id.package;
    let is_of = |manifest: &ReleaseManifest| manifest.release.platform == id.platform;
    let newest = releases.iter().rev().filter(|one| is_of(&one.manifest) && one.manifest.release != *id);
    // With the new one they are as many as stay.
    let replaced: Vec<Sha256Digest> = newest.skip(KEPT_TARGETS - 1).map(|one| one.digest).collect();
    let listed = publication.editor().deltas(package);
    let old = listed.filter(|(_, delta)| replaced.contains(&delta.target));
    let old: Vec<String> = old.map(|(name, _)| name.to_owned()).collect();
    for name in old {
        publication.editor_mut().remove_delta(package, &name);
    }
    for (name, delta, file) in &made.files {
        let source = TargetSource::File(file.path().to_owned());
        publication.editor_mut().put_delta(package, name, *delta, source)?;
    }
    Ok(())
}

/// The delta in a file that is removed when it is dropped, and its length. The error is what people are told.
fn make_one(
    publication: &Publication,
    base: &Published,
    target: &Target<'_>,
    order: DeltaOrder,
    staging: &Path,
) -> Result<(NamedTempFile, u64), String> {
    let of_disk = |error: io::Error| format!("cannot unpack {}: {error}", base.manifest.release);
    let role = RoleName::Package(base.manifest.release.package.clone());
    let manifest_name = base.manifest.release.manifest_target().map_err(|error| error.to_string())?;
    let old = publication.bytes(&role, &manifest_name).map_err(|error| with_causes(&error))?;
    let old = old.ok_or_else(|| format!("{manifest_name} is not listed"))?;
    let folder = tempfile::tempdir_in(staging).map_err(of_disk)?;
    unpack(publication, base, folder.path())?;
    let tree = |root: &Path, files: &[FileEntry]| Tree { root: root.to_owned(), entries: entries(files) };
    let (before, after) =
        (tree(folder.path(), &base.manifest.files), tree(target.folder, &target.manifest.files));
    let before = Release { tree: &before, manifest: &old };
    let after = Release { tree: &after, manifest: target.bytes };
    let mut file = NamedTempFile::new_in(staging).map_err(of_disk)?;
    let settings = MakeSettings {
        memory_bytes: order.memory_bytes,
        threads: order.threads,
        scratch: Some(staging.to_owned()),
    };
    let out = BufWriter::new(file.as_file_mut());
    let made = make(&before, &after, out, &Limits::default(), &settings, &mut |_| true)
        .map_err(|error| with_causes(&error))?;
    Ok((file, made.bytes))
}

/// Unpacks a published payload, compared byte by byte with its manifest.
fn unpack(publication: &Publication, base: &Published, folder: &Path) -> Result<(), String> {
    let release = &base.manifest.release;
    let failed = |why: String| format!("cannot unpack {release}: {why}");
    let blob = base.manifest.payload.encoding(Encoding::Gzip);
    let blob = blob.ok_or_else(|| failed("it has no payload in gzip".to_owned()))?;
    let name = release.payload_target(Encoding::Gzip).map_err(|error| failed(error.to_string()))?;
    let path = publication.target_file(&name, &blob.sha256);
    let path = path.ok_or_else(|| failed("its payload has no safe path".to_owned()))?;
    let payload: File = open_regular(&path).map_err(|error| failed(error.to_string()))?;
    read_gzip(payload, &base.manifest, &mut FolderSink::new(folder))
        .map_err(|error| failed(with_causes(&error)))
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
