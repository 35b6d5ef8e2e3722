//! Looking whether what is installed is still as it was signed: by the file system's word first, and by digests only where
//! that word is another one than before.
//!
//! Invariant: a look changes nothing beneath the install root, and makes no folder that is missing. A package whose change
//! is not finished is left out: the change ends it.
//! Left out on purpose: putting anything right (a new release, or [`super::repair`]).

use std::fmt;

use sealpost_files::{escape, with_causes};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::wire::contact::{Drift, DriftKind, MAX_DRIFT};

use crate::domain::record::Installed;
use crate::journal::Journal;
use crate::records::footprints::{self, Footprints, Look};
use crate::records::{manifests, packages};
use crate::slots::beneath::BeneathError;
use crate::slots::{Current, Slots};

use super::context::Host;
use super::install_root;

/// Which of a package's releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The one that runs.
    Current,
    /// The one that a rollback goes to.
    Previous,
}

/// Something that is not as it was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub package: PackageName,
    pub release: ReleaseId,
    pub place: Place,
    pub kind: DriftKind,
    /// What exactly, for people.
    pub detail: String,
    /// Whether the whole install root is another one; a repair of the package puts nothing right then.
    pub is_elsewhere: bool,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { package, release, place, detail, is_elsewhere, .. } = self;
        let role = match place {
            Place::Current => "",
            Place::Previous => ", which a rollback goes to,",
        };
        if *is_elsewhere {
            return write!(f, "{release}{role} is not there: {detail}");
        }
        write!(
            f,
            "{release}{role} is not as it was signed: {detail}; `agent-updater repair {package}` puts it right"
        )
    }
}

/// Whether the result is kept, so that the next look is cheap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Yes,
    /// For a reader who may not write, or who may not look everywhere: what cannot be looked at is left out.
    No,
}

/// Everything that is installed and not as it was signed.
#[must_use]
pub fn look(host: &Host, keep: Keep) -> Vec<Found> {
    let open = Journal::of(&host.home, &*host.faults).open_change().ok().flatten();
    let elsewhere = install_root::problem(host);
    let mut found = Vec::new();
    for (package, record) in packages::load_all(&host.home).unwrap_or_default() {
        let Ok(record) = record else { continue };
        if open.as_ref().is_some_and(|change| change.to.release.package == package) {
            continue;
        }
        let installed = [(Place::Current, record.current), (Place::Previous, record.previous)];
        if let Some(detail) = &elsewhere {
            let missing = installed.into_iter().filter_map(|(place, one)| {
                let release = one.filter(|one| one.kind != PackageKind::Agent)?.release;
                let (package, detail) = (release.package.clone(), escape(detail));
                let kind = DriftKind::Missing;
                Some(Found { package, release, place, kind, detail, is_elsewhere: true })
            });
            found.extend(missing);
            continue;
        }
        let before = footprints::load(&host.home, &package);
        let mut now = Footprints::default();
        for (place, installed) in installed.into_iter().filter_map(|(place, one)| Some((place, one?))) {
            // The agent itself has no link and no folder among the products.
            if installed.kind != PackageKind::Agent {
                found.extend(look_at(host, place, &installed, keep, &before, &mut now));
            }
        }
        if keep == Keep::Yes && now != before {
            footprints::save(&host.home, &package, &now);
        }
    }
    found
}

/// What of it the server is told: one entry for each package whose running release is not as it was signed.
#[must_use]
pub fn reported(found: &[Found]) -> Vec<Drift> {
    let found = found.iter().filter(|found| found.place == Place::Current);
    found.map(|found| Drift { package: found.package.clone(), kind: found.kind }).take(MAX_DRIFT).collect()
}

fn look_at(
    host: &Host,
    place: Place,
    installed: &Installed,
    keep: Keep,
    before: &Footprints,
    now: &mut Footprints,
) -> Option<Found> {
    let (kind, detail) = match differs(host, place, installed, before, now) {
        Ok(differs) => differs?,
        // Who may not look everywhere learns nothing from that.
        Err(_) if keep == Keep::No && !rustix::process::geteuid().is_root() => return None,
        Err(error) => (DriftKind::Changed, with_causes(&error)),
    };
    let release = installed.release.clone();
    let (package, detail) = (release.package.clone(), escape(&detail));
    Some(Found { package, release, place, kind, detail, is_elsewhere: false })
}

/// How a release differs from what was signed, if it does.
fn differs(
    host: &Host,
    place: Place,
    installed: &Installed,
    before: &Footprints,
    now: &mut Footprints,
) -> Result<Option<(DriftKind, String)>, BeneathError> {
    let Some(slots) = Slots::find(&host.settings.install_root, &installed.release.package)? else {
        let folder = host.settings.install_root.join(installed.release.package.as_str());
        return Ok(Some((DriftKind::Missing, format!("{} is gone", folder.display()))));
    };
    if !slots.has(&installed.slot)? {
        let path = slots.path_of(&installed.slot);
        return Ok(Some((DriftKind::Missing, format!("{} is gone", path.display()))));
    }
    if place == Place::Current && slots.find_current()? != Current::Slot(installed.slot.clone()) {
        let path = slots.current_path();
        return Ok(Some((DriftKind::Link, format!("{} does not lead to its slot", path.display()))));
    }
    // Taken before the digests: a change in between makes the next footprint another one.
    let footprint = slots.footprint(&installed.slot)?;
    let known = before.slots.get(&installed.slot);
    let look = match known {
        Some(look) if look.footprint == footprint && look.manifest == installed.manifest => look.clone(),
        _ => Look { manifest: installed.manifest, footprint, problem: digested(host, &slots, installed) },
    };
    let problem = look.problem.clone();
    now.slots.insert(installed.slot.clone(), look);
    Ok(problem.map(|problem| (DriftKind::Changed, problem)))
}

/// What the digests of a slot say against its manifest, if anything.
fn digested(host: &Host, slots: &Slots, installed: &Installed) -> Option<String> {
    let manifest = match manifests::read(&host.home, installed) {
        Ok(manifest) => manifest,
        Err(error) => return Some(with_causes(&error)),
    };
    slots.check(&installed.slot, &manifest).err().map(|error| with_causes(&error))
}
