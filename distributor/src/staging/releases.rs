//! The releases that staging asks the ledger for: one function per question.

use sealpost_admin_api::updates::ComparedWith;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::commands::releases::LoadRelease;
use sealpost_site::queries::{DeltaReleases, MAX_PAGE};
use sealpost_site::rows::DeltaReleaseRow;
use sealpost_site::rules::release::{ReleaseState, compared_with};

/// Whether clients get a release or may get it, so that deltas to it are worth making.
pub(super) const fn is_offered(row: &DeltaReleaseRow) -> bool {
    matches!(row.release.state, ReleaseState::Staged | ReleaseState::Approved)
}

/// Every release that is offered or in use.
pub(super) async fn delta_releases(ledger: &Ledger) -> Result<Vec<DeltaReleaseRow>, LedgerError> {
    ledger.all(|after| DeltaReleases { after, limit: MAX_PAGE }, |row| row.release.manifest).await
}

/// With which release a reviewer compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Absent for a first release.
    pub(super) base: Option<ComparedWith>,
}

/// What a release is compared with; `None` if the ledger does not know it.
pub(super) async fn comparison(
    ledger: &Ledger,
    manifest: &Sha256Digest,
) -> Result<Option<Comparison>, LedgerError> {
    let facts = ledger.query(LoadRelease { manifest: *manifest, claimed: None }).await?;
    let Some(known) = &facts.known else { return Ok(None) };
    let base = compared_with(known, &facts.approved)
        .map(|base| ComparedWith { release: base.release.clone(), manifest: base.manifest });
    Ok(Some(Comparison { base }))
}
