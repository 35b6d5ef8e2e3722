//! What lies beside the answers: the vendor's metadata, unchanged, and the targets and deltas that approved and assigned
//! releases need.
//!
//! Invariants: targets come before the metadata that names them, and the timestamp comes last, so that a reader finds what it
//! is led to; a file is written only with the digest that it is listed with; of a full disk room is left. What nobody needs
//! is removed, if its name is one of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::sync::Arc;

use rustix::fs::statvfs;
use sealpost_files::{Footprint, SharedFolder};
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::{Sha256Digest, Sha256Hasher};
use sealpost_manifests::ids::{ComputerName, NameError, TargetName};
use sealpost_manifests::release::Blob;
use sealpost_manifests::wire::by_file::{
    DELTAS_FOLDER, METADATA_FOLDER, RELEASES_FOLDER, TARGETS_FOLDER, delta_file,
};
use sealpost_site::queries::{ApprovedReleases, ClientByName, HolderById};

use crate::ports::blobs::BlobStore;
use crate::ports::staging::{NOTHING, Staging, StoredDelta};
use crate::ports::upstream::{Listing, TargetClass, Upstream};

/// The role that leads to everything else.
const TIMESTAMP: &str = "timestamp.json";
/// Longest metadata file, in bytes.
const MAX_METADATA_BYTES: u64 = 64 * 1024 * 1024;
/// Free bytes that are left on the disk of the folder.
const KEEP_FREE_BYTES: u64 = 64 * 1024 * 1024;
/// How the names of deltas end.
const DELTA_SUFFIX: &str = ".delta";
/// Most files of one kind that are looked at.
const MAX_FILES: usize = 200_000;

/// The releases that somebody needs, by their manifests.
#[derive(Debug, Default)]
pub(super) struct Needed(BTreeMap<Sha256Digest, Rank>);

/// What goes first where not all has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Documents, which are small and without which nothing is of use.
    Document,
    /// What a computer of the folder was told.
    Told,
    /// What is approved, and might be told.
    Approved,
}

/// A file that the folder is to have.
#[derive(Debug)]
struct Wanted {
    rank: Rank,
    name: String,
    blob: Blob,
}

/// The files that have room together, what goes first before the others, and what has none: how many files of how many bytes.
fn fitting(mut wanted: Vec<Wanted>, max_bytes: Option<u64>) -> (Vec<Wanted>, (usize, u64)) {
    wanted.sort_by(|one, other| (one.rank, &one.name).cmp(&(other.rank, &other.name)));
    let (mut sum, mut left) = (0_u64, (0, 0_u64));
    wanted.retain(|file| {
        let after = sum.saturating_add(file.blob.length);
        let fits = file.rank == Rank::Document || max_bytes.is_none_or(|most| after <= most);
        if !fits {
            left = (left.0 + 1, left.1.saturating_add(file.blob.length));
        } else if file.rank != Rank::Document {
            sum = after;
        }
        fits
    });
    (wanted, left)
}

impl Needed {
    /// What is approved, and what the computers of the folder were told, which may be older.
    pub(super) async fn of(ledger: &Ledger, computers: &[ComputerName]) -> Result<Self, LedgerError> {
        let approved = ledger.query(ApprovedReleases {}).await?;
        let mut needed: BTreeMap<_, _> =
            approved.into_iter().map(|release| (release.manifest, Rank::Approved)).collect();
        for name in computers {
            let Some(row) = ledger.query(ClientByName { name: name.clone() }).await? else { continue };
            let Some(client_id) = row.client_id else { continue };
            let Some(holder) = ledger.query(HolderById { client_id }).await? else { continue };
            needed.extend(holder.assigned.into_iter().map(|assigned| (assigned.manifest, Rank::Told)));
        }
        Ok(Self(needed))
    }
}

/// Files whose content was compared with its digest, as they were then.
pub(super) type Written = BTreeMap<String, Footprint>;

#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) written: Written,
    pub(super) files: u32,
    pub(super) bytes: u64,
    pub(super) removed: u32,
    pub(super) problems: Vec<String>,
}

/// Where the files come from.
pub(super) struct Work {
    pub(super) upstream: Arc<dyn Upstream>,
    pub(super) blobs: Arc<dyn BlobStore>,
    pub(super) staging: Arc<dyn Staging>,
    /// Most bytes of payloads and deltas; without a bound where absent.
    pub(super) max_bytes: Option<u64>,
}

impl Work {
    /// Blocks for the disks.
    pub(super) fn bring_up_to_date(&self, root: &SharedFolder, needed: &Needed, written: Written) -> Done {
        let mut done = Done { written, ..Done::default() };
        let listing = self.upstream.listing();
        if listing.metadata.is_empty() {
            done.problems.push("nothing was pulled from the vendor yet: run `distributor pull`".to_owned());
            return done;
        }
        if let Err(error) = self.write_all(root, needed, &listing, &mut done) {
            done.problems.push(format!("the releases cannot be written: {error}"));
        }
        done
    }

    fn write_all(
        &self,
        root: &SharedFolder,
        needed: &Needed,
        listing: &Listing,
        done: &mut Done,
    ) -> io::Result<()> {
        let releases = root.make_folder(RELEASES_FOLDER)?;
        let targets = releases.make_folder(TARGETS_FOLDER)?;
        let deltas = releases.make_folder(DELTAS_FOLDER)?;
        let (fits, (count, bytes)) = fitting(self.wanted(needed, listing)?, self.max_bytes);
        if count > 0 {
            done.problems.push(format!(
                "{count} files of {bytes} bytes together are not there: the folder may have {} bytes (`max_mib` under [folder])",
                self.max_bytes.unwrap_or_default()
            ));
        }
        let kept: BTreeSet<String> = fits.iter().map(|file| file.name.clone()).collect();
        // First, so that there is room for what comes.
        remove_others(&targets, &kept, is_target_name, done)?;
        remove_others(&deltas, &kept, |name| name.ends_with(DELTA_SUFFIX), done)?;
        for Wanted { name, blob, .. } in fits {
            let folder = if name.ends_with(DELTA_SUFFIX) { &deltas } else { &targets };
            self.place(folder, &name, blob, done);
        }
        let metadata = releases.make_folder(METADATA_FOLDER)?;
        let others = listing.metadata.iter().filter(|name| *name != TIMESTAMP);
        for name in others.chain(listing.metadata.iter().filter(|name| *name == TIMESTAMP)) {
            let read = self.upstream.metadata(name).map_err(io::Error::other)?;
            let bytes = read.ok_or_else(|| io::Error::other(format!("the mirror has no {name}")))?;
            if metadata.read(name, MAX_METADATA_BYTES).ok().flatten().as_ref() != Some(&bytes) {
                write(&metadata, name, &mut bytes.as_slice(), done)?;
            }
        }
        let kept = listing.metadata.iter().cloned().collect();
        remove_others(&metadata, &kept, |name| name.ends_with(".json"), done)
    }

    /// The targets and deltas that the folder is to have.
    fn wanted(&self, needed: &Needed, listing: &Listing) -> io::Result<Vec<Wanted>> {
        let mut wanted = Vec::new();
        for entry in &listing.targets {
            let rank = match &entry.class {
                TargetClass::Trust | TargetClass::Channels { .. } => Some(Rank::Document),
                TargetClass::Release { release, manifest } => needed.0.get(manifest).map(|rank| {
                    let is = |name: Result<TargetName, NameError>| name.is_ok_and(|name| name == entry.name);
                    let is_document = is(release.manifest_target()) || is(release.minisig_target());
                    if is_document { Rank::Document } else { *rank }
                }),
            };
            let Some(rank) = rank else { continue };
            let name = format!("{}.{}", entry.sha256, entry.name);
            wanted.push(Wanted { rank, name, blob: Blob { sha256: entry.sha256, length: entry.length } });
        }
        // The whole payload is there for who runs nothing: a packed one beside it would only take room.
        let between = |delta: &StoredDelta| delta.base != NOTHING;
        for delta in self.staging.deltas().map_err(io::Error::other)?.into_iter().filter(between) {
            if let Some(rank) = needed.0.get(&delta.target) {
                let name = delta_file(&delta.base, &delta.target);
                wanted.push(Wanted { rank: *rank, name, blob: delta.blob });
            }
        }
        Ok(wanted)
    }

    /// One that cannot be placed does not hold back the others.
    fn place(&self, folder: &SharedFolder, name: &str, blob: Blob, done: &mut Done) {
        if let Err(error) = self.try_to_place(folder, name, blob, done) {
            done.problems.push(format!("{name} is not there: {error}"));
        }
    }

    fn try_to_place(&self, folder: &SharedFolder, name: &str, blob: Blob, done: &mut Done) -> io::Result<()> {
        let found = folder.footprint(name)?;
        if found.is_some() && done.written.get(name) == found.as_ref() {
            return Ok(());
        }
        let is_same = found.is_some_and(|found| found.length == blob.length)
            && folder
                .file(name)?
                .is_some_and(|file| digest(file.take(blob.length)).ok() == Some(blob.sha256));
        if !is_same {
            let stored = self.blobs.open(&blob.sha256).map_err(io::Error::other)?;
            let stored =
                stored.ok_or_else(|| io::Error::other("the server has not stored it: pull again"))?;
            ensure_room(folder, blob.length)?;
            let mut checked = Checked {
                inner: stored.file.take(blob.length.saturating_add(1)),
                hasher: Some(Sha256Hasher::new()),
                expected: blob.sha256,
            };
            let written = write(folder, name, &mut checked, done);
            if written.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
                self.upstream.suspect(blob.sha256);
            }
            written?;
        }
        if let Some(footprint) = folder.footprint(name)? {
            done.written.insert(name.to_owned(), footprint);
        }
        Ok(())
    }
}

fn write(folder: &SharedFolder, name: &str, content: &mut dyn Read, done: &mut Done) -> io::Result<()> {
    let bytes = folder.write(name, content)?;
    done.files += 1;
    done.bytes += bytes;
    Ok(())
}

fn ensure_room(folder: &SharedFolder, length: u64) -> io::Result<()> {
    let disk = statvfs(folder.path())?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < length.saturating_add(KEEP_FREE_BYTES) {
        return Err(io::Error::other(format!(
            "it has {length} bytes, {KEEP_FREE_BYTES} are to stay free, and the disk has {free}"
        )));
    }
    Ok(())
}

fn remove_others(
    folder: &SharedFolder,
    kept: &BTreeSet<String>,
    is_ours: impl Fn(&str) -> bool,
    done: &mut Done,
) -> io::Result<()> {
    for name in folder.names(MAX_FILES)? {
        let Some(name) = name.to_str() else { continue };
        if !kept.contains(name) && is_ours(name) && folder.footprint(name)?.is_some() {
            folder.remove(name)?;
            done.removed += 1;
            done.written.remove(name);
        }
    }
    Ok(())
}

fn is_target_name(name: &str) -> bool {
    name.split_once('.').is_some_and(|(digest, _)| digest.parse::<Sha256Digest>().is_ok())
}

fn digest(mut reader: impl Read) -> io::Result<Sha256Digest> {
    let mut hasher = Sha256Hasher::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&chunk[..count]),
        }
    }
}

/// Ends in an error instead of an end, if what was read is not what was expected: then nothing is put in place.
struct Checked<R> {
    inner: R,
    hasher: Option<Sha256Hasher>,
    expected: Sha256Digest,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count > 0 {
            if let (Some(hasher), Some(read)) = (&mut self.hasher, buffer.get(..count)) {
                hasher.update(read);
            }
            return Ok(count);
        }
        if self.hasher.take().is_some_and(|hasher| hasher.finish() != self.expected) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the server's copy is damaged: pull again",
            ));
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_what_was_expected_ends_in_an_error() {
        let read = |content: &[u8], expected: &[u8]| {
            let (hasher, expected) = (Some(Sha256Hasher::new()), Sha256Digest::of(expected));
            io::copy(&mut Checked { inner: content, hasher, expected }, &mut io::sink())
        };
        assert_eq!(read(b"bytes", b"bytes").unwrap(), 5);
        assert_eq!(read(b"other", b"bytes").unwrap_err().kind(), io::ErrorKind::InvalidData);
        read(b"", b"bytes").unwrap_err();
    }

    #[test]
    fn what_computers_were_told_goes_first_and_documents_have_always_room() {
        let file = |rank, name: &str, length| {
            let blob = Blob { sha256: Sha256Digest::of(name.as_bytes()), length };
            Wanted { rank, name: name.to_owned(), blob }
        };
        let wanted = || {
            vec![
                file(Rank::Approved, "a.tar.gz", 40),
                file(Rank::Told, "b.tar.gz", 50),
                file(Rank::Told, "c.delta", 5),
                file(Rank::Document, "d.manifest", 1_000),
            ]
        };
        let names = |max_bytes| {
            let (fits, left) = fitting(wanted(), max_bytes);
            (fits.into_iter().map(|file| file.name).collect::<Vec<_>>(), left)
        };
        assert_eq!(names(None).1, (0, 0));
        assert_eq!(names(Some(95)).0.len(), 4);
        assert_eq!(
            names(Some(60)),
            (vec!["d.manifest".to_owned(), "b.tar.gz".to_owned(), "c.delta".to_owned()], (1, 40))
        );
        assert_eq!(names(Some(0)), (vec!["d.manifest".to_owned()], (3, 95)));
    }

    #[test]
    fn only_names_of_targets_are_taken_for_ours() {
        let digest = Sha256Digest::of(b"x");
        assert!(is_target_name(&format!("{digest}.trust.json")));
        assert!(!is_target_name("holiday.jpg") && !is_target_name(&digest.to_string()));
    }
}
