//! What this computer keeps and for how long: slots, manifests, downloads, records that were put aside.
//!
//! | what | kept |
//! |---|---|
//! | slots and manifests | of the release that runs and of the one that a rollback goes to; a third while it is built, and until its time has come; what a crash left of one that is assigned |
//! | downloads | of what is assigned and not built yet, of deltas those of one way; without an assignment for 30 days; together no longer than twice the payload |
//! | records that were put aside | one per record, for 90 days after that |
//!
//! Invariants: what runs, what a rollback goes to and what is assigned is never collected; nothing is while a change is
//! open. The agent writes no log files: what it logs goes to stderr, whose keeper (the journal) has bounds of its own.
//! What cannot be removed stops nothing: each collection tries it again, and [`left_over`] names it.
//! Left out on purpose: what somebody put into a product's folder, which is not ours to remove.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sealpost_files::with_causes;
use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::PackageKind;
use serde::Serialize;

use crate::domain::record::{Installed, SlotId};
use crate::domain::self_update::record::SelfRecord;
use crate::home::Home;
use crate::journal::Journal;
use crate::platform::store::PUT_ASIDE;
use crate::records::{manifests, self_state, tries};
use crate::slots::{Slots, is_of};

use super::context::Host;
use super::linked;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a part of a download is kept that nobody asks for: long enough for a server to come back.
const DOWNLOAD_DAYS: u32 = 30;
/// How long a damaged record is kept for people to look at.
const PUT_ASIDE_DAYS: u32 = 90;
/// Most files of all slots together whose length is added up; a status must not walk a disk for minutes.
const MAX_COUNTED: usize = 200_000;

/// How much of something there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub count: usize,
    pub bytes: u64,
}

/// What the agent keeps on this computer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub slots: Kept,
    pub downloads: Kept,
    pub manifests: Kept,
    /// Damaged records, kept for people to look at.
    pub put_aside: Kept,
}

/// Removes what is kept no longer. What cannot be removed now is tried again by the next cycle.
pub(super) fn collect(host: &Host, assigned: Option<&[PackageAssignment]>) {
    let home = &host.home;
    if let Some(assigned) = assigned {
        collect_downloads(home, assigned);
    } else {
        remove_older(&files_in(&home.downloads()), DOWNLOAD_DAYS);
    }
    remove_older(&put_aside(home), PUT_ASIDE_DAYS);
    if !matches!(Journal::of(home, &*host.faults).open_change(), Ok(None)) {
        return;
    }
    for (package, record) in linked::load_all(host).unwrap_or_default() {
        let Ok(record) = record else { continue };
        let is_done = match &record.current {
            // What was made ready before anything was installed may be assigned no more.
            None => !package.is_agent(),
            Some(current) => current.kind != PackageKind::Agent || is_settled(host, current),
        };
        if is_done {
            let is_begun = |name: &str| {
                let wanted = assigned.unwrap_or_default().iter();
                let of_package = wanted.filter(|wanted| wanted.release.package == package);
                let mut slots =
                    of_package.map(|wanted| SlotId::of(&wanted.release.version, &wanted.manifest));
                slots.any(|slot| is_of(name, &slot))
            };
            collect_slots(host, &package, &|name| record.needs(name) || is_begun(name));
        }
    }
}

/// Removes downloads of releases that are not assigned, so that downloads that are cut off again and again cannot fill
/// the disk.
pub(super) fn collect_downloads(home: &Home, assigned: &[PackageAssignment]) {
    for path in files_in(&home.downloads()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_assigned = assigned.iter().any(|wanted| name.contains(&wanted.manifest.to_string()));
        if !is_assigned {
            remove(&path);
        }
    }
}

/// Whether launchers, too, work with nothing but this release of the agent: what is on trial stands in no record of a
/// package, nor does what runs until the end of a trial is noted.
fn is_settled(host: &Host, current: &Installed) -> bool {
    self_state::load(&host.home).is_ok_and(|SelfRecord { stable, trial, ended }| {
        let stable = stable.map(|stable| stable.installed);
        trial.is_none() && ended.is_none() && stable.as_ref() == Some(current)
    })
}

fn collect_slots(host: &Host, package: &PackageName, is_kept: &dyn Fn(&str) -> bool) {
    if let Ok(Some(slots)) = Slots::find(&host.settings.install_root, package)
        && let Err(error) = slots.remove_others(is_kept)
    {
        tracing::warn!(%package, error = with_causes(&error), "an old slot could not be removed");
    }
    manifests::remove_others(&host.home, package, is_kept);
}

/// What lies among the slots and could not be removed, for people. During a change nothing is collected, and so nothing said.
#[must_use]
pub fn left_over(host: &Host) -> Vec<String> {
    if !matches!(Journal::of(&host.home, &*host.faults).open_change(), Ok(None)) {
        return Vec::new();
    }
    let mut left = Vec::new();
    for (package, record) in linked::load_all(host).unwrap_or_default() {
        if let (Ok(record), Ok(Some(slots))) = (record, Slots::find(&host.settings.install_root, &package)) {
            left.extend(slots.left_over(&|name| record.needs(name)).unwrap_or_default());
        }
    }
    left
}

/// What is kept now.
#[must_use]
pub fn usage(host: &Host) -> Usage {
    let mut downloads = files_in(&host.home.downloads());
    downloads.retain(|path| !tries::is_record(path));
    let mut usage =
        Usage { downloads: sum(&downloads), put_aside: sum(&put_aside(&host.home)), ..Usage::default() };
    let mut counted = 0;
    for package in linked::load_all(host).unwrap_or_default().into_keys() {
        let slots = host.settings.install_root.join(package.as_str()).join("slots");
        for slot in files_in(&slots) {
            usage.slots.count += 1;
            usage.slots.bytes = usage.slots.bytes.saturating_add(length_beneath(&slot, &mut counted));
        }
        let manifests = sum(&files_in(&host.home.manifests(&package)));
        usage.manifests.count += manifests.count;
        usage.manifests.bytes = usage.manifests.bytes.saturating_add(manifests.bytes);
    }
    usage
}

fn put_aside(home: &Home) -> Vec<PathBuf> {
    let folder_of = |file: PathBuf| file.parent().map(Path::to_owned).unwrap_or_default();
    let folders = [folder_of(home.state("x")), folder_of(home.self_state()), home.package_records()];
    let mut found = Vec::new();
    for folder in folders.into_iter().chain(files_in(&home.servers())) {
        let is_put_aside = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.strip_suffix(PUT_ASIDE)).is_some_and(|name| name.ends_with('.'))
        };
        found.extend(files_in(&folder).into_iter().filter(is_put_aside));
    }
    found
}

/// Everything in a folder; nothing if it cannot be listed.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.path()).collect()
}

fn remove_older(paths: &[PathBuf], days: u32) {
    let now = SystemTime::now();
    for path in paths {
        let changed = fs::symlink_metadata(path).and_then(|found| found.modified());
        let age = changed.ok().and_then(|changed| now.duration_since(changed).ok());
        if age.is_some_and(|age| age > DAY * days) {
            remove(path);
        }
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(path = %path.display(), %error, "an old file could not be removed");
    }
}

fn sum(paths: &[PathBuf]) -> Kept {
    let lengths = paths.iter().filter_map(|path| fs::symlink_metadata(path).ok()).map(|found| found.len());
    Kept { count: paths.len(), bytes: lengths.fold(0, u64::saturating_add) }
}

/// The length of everything beneath a folder, as far as [`MAX_COUNTED`] goes; `counted` is what was counted before.
fn length_beneath(folder: &Path, counted: &mut usize) -> u64 {
    let (mut folders, mut bytes) = (vec![folder.to_owned()], 0u64);
    while let Some(folder) = folders.pop() {
        for path in files_in(&folder) {
            if *counted >= MAX_COUNTED {
                return bytes;
            }
            *counted += 1;
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_dir() => folders.push(path),
                Ok(found) => bytes = bytes.saturating_add(found.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_files_are_looked_at_however_many_slots_there_are() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::write(folder.path().join(name), "1").unwrap();
        }
        let mut counted = MAX_COUNTED - 3;
        let lengths: Vec<u64> = (0..3).map(|_| length_beneath(folder.path(), &mut counted)).collect();
        assert_eq!((lengths, counted), (vec![2, 1, 0], MAX_COUNTED));
    }
}
