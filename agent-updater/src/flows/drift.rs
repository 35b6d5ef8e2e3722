//! Looking whether what is installed is still as it was signed: by the file system's word first, and by digests only where
//! that word is another one than before.
//!
//! Invariant: a look changes nothing beneath the install root, and makes no folder that is missing. A package whose change
//! is not finished is left out: the change ends it.
//! Left out on purpose: putting anything right (a new release, or [`super::repair`]).

use sealpost_files::{escape, with_causes};
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::version::Version;
use sealpost_manifests::wire::contact::{Drift, DriftKind, MAX_DRIFT};

use crate::domain::record::{Installed, PackageRecord};
use crate::journal::Journal;
use crate::platform::store::StoreError;
use crate::records::footprints::{self, Footprints, Look};
use crate::records::manifests;
use crate::slots::beneath::BeneathError;
use crate::slots::{Current, SlotFault, Slots};

use super::context::Host;
use super::{install_root, linked};

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
    /// The digest of its manifest, by which it is assigned.
    manifest: Sha256Digest,
    /// The version that a rollback leads to from it.
    before: Option<Version>,
}

impl Found {
    /// What was found, with what to do about it while this is assigned; `None` if that is not known.
    #[must_use]
    pub fn told(&self, assignment: Option<&Assignment>) -> String {
        let Self { release, place, detail, .. } = self;
        let role = match place {
            Place::Current => "",
            Place::Previous => ", which a rollback goes to,",
        };
        if self.is_elsewhere {
            return format!("{release}{role} is not there: {detail}");
        }
        format!("{release}{role} is not as it was signed: {detail}; {}", self.advice(assignment))
    }

    /// What to do about it. A repair needs no bytes for a link; else it needs what the server hands out, which is only what
    /// is assigned.
    #[must_use]
    pub fn advice(&self, assignment: Option<&Assignment>) -> String {
        let package = &self.package;
        if self.place == Place::Previous {
            return format!(
                "it cannot be built again, as the server hands out only what is assigned; `agent-updater repair {package}` \
                 takes it out of what a rollback goes to"
            );
        }
        if self.kind == DriftKind::Link || !self.is_handed_out_no_more(assignment) {
            return format!("`agent-updater repair {package}` puts it right");
        }
        let back = self.before.as_ref().map_or(String::new(), |before| {
            format!("`agent-updater rollback {package}` goes back to {before}, or ")
        });
        format!(
            "it is not assigned any more, so the server hands it out to nobody and it cannot be built again: {back}let the \
             administrator approve a release for this computer"
        )
    }

    /// Whether something else, or nothing, is assigned of the package.
    #[must_use]
    pub fn is_handed_out_no_more(&self, assignment: Option<&Assignment>) -> bool {
        assignment.is_some_and(|assignment| {
            !assignment.packages.iter().any(|wanted| wanted.manifest == self.manifest)
        })
    }
}

/// Whether the result is kept, so that the next look is cheap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    Yes,
    /// For a reader who may not write, or who may not look everywhere: what cannot be looked at is left out.
    No,
}

/// Everything that is installed and not as it was signed. A package whose own record is damaged is left out: `status` and a
/// contact say so.
///
/// # Errors
/// [`StoreError`] when it is not known what is installed: then nothing is known of it, and not that all is well.
pub fn look(host: &Host, keep: Keep) -> Result<Vec<Found>, StoreError> {
    let open = Journal::of(&host.home, &*host.faults).open_change().ok().flatten();
    let elsewhere = install_root::problem(host);
    let mut found = Vec::new();
    for (package, record) in linked::load_all(host)? {
        let Ok(record) = record else { continue };
        if open.as_ref().is_some_and(|change| change.to.release.package == package) {
            continue;
        }
        // The agent itself has no link and no folder among the products.
        let installed: Vec<(Place, &Installed)> =
            [(Place::Current, &record.current), (Place::Previous, &record.previous)]
                .into_iter()
                .filter_map(|(place, one)| Some((place, one.as_ref()?)))
                .filter(|(_, one)| one.kind != PackageKind::Agent)
                .collect();
        if let Some(detail) = &elsewhere {
            let missing = installed.into_iter().map(|(place, one)| {
                let found = of(&record, place, one, (DriftKind::Missing, detail.clone()));
                Found { is_elsewhere: true, ..found }
            });
            found.extend(missing);
            continue;
        }
        let before = footprints::load(&host.home, &package);
        let mut now = Footprints::default();
        for (place, installed) in installed {
            let differs = look_at(host, place, installed, keep, &before, &mut now);
            found.extend(differs.map(|differs| of(&record, place, installed, differs)));
        }
        if keep == Keep::Yes && now != before {
            footprints::save(&host.home, &package, &now);
        }
    }
    Ok(found)
}

/// What of it the server is told: one entry for each package that is not as it is to be. That a product is `down`, because it
/// could not be started, comes before that its files were changed.
#[must_use]
pub fn reported(found: &[Found], down: &[PackageName]) -> Vec<Drift> {
    let stopped = down.iter().map(|package| (package, DriftKind::NotStarted));
    let found = found.iter().filter(|found| found.place == Place::Current && !down.contains(&found.package));
    let all = stopped.chain(found.map(|found| (&found.package, found.kind)));
    all.map(|(package, kind)| Drift { package: package.clone(), kind }).take(MAX_DRIFT).collect()
}

fn look_at(
    host: &Host,
    place: Place,
    installed: &Installed,
    keep: Keep,
    before: &Footprints,
    now: &mut Footprints,
) -> Option<(DriftKind, String)> {
    match differs(host, place, installed, before, now) {
        Ok(differs) => differs,
        // Who may not look everywhere learns nothing from that.
        Err(_) if keep == Keep::No && !rustix::process::geteuid().is_root() => None,
        Err(error) => Some((DriftKind::Changed, with_causes(&error))),
    }
}

fn of(
    record: &PackageRecord,
    place: Place,
    installed: &Installed,
    (kind, detail): (DriftKind, String),
) -> Found {
    Found {
        package: installed.release.package.clone(),
        release: installed.release.clone(),
        place,
        kind,
        detail: escape(&detail),
        is_elsewhere: false,
        manifest: installed.manifest,
        before: record.previous.as_ref().map(|previous| previous.release.version.clone()),
    }
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
    let problem = match known {
        Some(look) if look.footprint == footprint && look.manifest == installed.manifest => {
            now.slots.insert(installed.slot.clone(), look.clone());
            look.problem.clone()
        }
        _ => match digested(host, &slots, installed) {
            Digested::Compared(problem) => {
                let look = Look { manifest: installed.manifest, footprint, problem: problem.clone() };
                now.slots.insert(installed.slot.clone(), look);
                problem
            }
            // A disk that failed once says nothing of the files: the next look digests them again.
            Digested::NotCompared(why) => Some(why),
        },
    };
    Ok(problem.map(|problem| (DriftKind::Changed, problem)))
}

/// What came of digesting a slot.
enum Digested {
    /// It was compared with its manifest: what is said against it, if anything.
    Compared(Option<String>),
    /// It could not be compared.
    NotCompared(String),
}

fn digested(host: &Host, slots: &Slots, installed: &Installed) -> Digested {
    let manifest = match manifests::read(&host.home, installed) {
        Ok(manifest) => manifest,
        Err(error) => return Digested::NotCompared(with_causes(&error)),
    };
    match slots.check(&installed.slot, &manifest) {
        Err(SlotFault::Unreadable(error)) if error.says_nothing() => {
            Digested::NotCompared(with_causes(&SlotFault::Unreadable(error)))
        }
        compared => Digested::Compared(compared.err().map(|error| with_causes(&error))),
    }
}
