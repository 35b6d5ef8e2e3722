//! The releases that the ledger knows, as a pull needs them: withdrawals, channel moves and the counter floor are
//! computed from these.
//!
//! Invariant: the answer is complete. A release that is missing here would miss its withdrawal.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::release::ReleaseId;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{self, MAX_PAGE};
use sealpost_site::rules::release::{KnownRelease, ReleaseState};

/// Every known release, by package and by manifest.
#[derive(Debug, Default)]
pub(super) struct KnownReleases {
    by_package: BTreeMap<PackageName, Vec<KnownRelease>>,
    names: BTreeMap<Sha256Digest, ReleaseId>,
}

impl KnownReleases {
    pub(super) fn all(&self) -> impl Iterator<Item = &KnownRelease> {
        self.by_package.values().flatten()
    }

    pub(super) fn of(&self, package: &PackageName) -> &[KnownRelease] {
        self.by_package.get(package).map_or(&[], Vec::as_slice)
    }

    /// The release that a manifest is known as, if it is known as another one than `claimed`, in whatever package. The
    /// ledger has one release per manifest.
    pub(super) fn known_otherwise(&self, manifest: &Sha256Digest, claimed: &ReleaseId) -> Option<&ReleaseId> {
        self.names.get(manifest).filter(|known| *known != claimed)
    }
}

/// Asks the ledger for every release, page by page.
pub(super) async fn known_releases(ledger: &Ledger) -> Result<KnownReleases, LedgerError> {
    let mut known = KnownReleases::default();
    let page = |after| queries::KnownReleases { after, limit: MAX_PAGE };
    let each = |release: KnownRelease| {
        known.names.insert(release.manifest, release.release.clone());
        known.by_package.entry(release.release.package.clone()).or_default().push(release);
    };
    ledger.each(page, |release| release.manifest, each).await?;
    Ok(known)
}

/// Manifests of releases that the site has to do with now.
#[derive(Debug, Default)]
pub(super) struct InUse {
    /// Those that are staged or approved, that some computer runs or was told to run, or that it will be told by a pin or
    /// after a delay.
    pub(super) releases: BTreeSet<Sha256Digest>,
    /// Of those, the ones that computers fetch or may fetch soon: not what they only run.
    pub(super) fetched: BTreeSet<Sha256Digest>,
}

/// Asks the ledger for them.
pub(super) async fn in_use(ledger: &Ledger) -> Result<InUse, LedgerError> {
    let page = |after| queries::DeltaReleases { after, limit: MAX_PAGE };
    let rows = ledger.all(page, |row| row.release.manifest).await?;
    let plan = ledger.query(LoadPlan {}).await?;
    let told_later = plan.still_told().map(|release| release.manifest);
    let mut in_use = InUse::default();
    for row in &rows {
        let manifest = row.release.manifest;
        in_use.releases.insert(manifest);
        let is_offered = matches!(row.release.state, ReleaseState::Staged | ReleaseState::Approved);
        if is_offered || row.told {
            in_use.fetched.insert(manifest);
        }
    }
    for manifest in told_later {
        in_use.releases.insert(manifest);
        in_use.fetched.insert(manifest);
    }
    Ok(in_use)
}
