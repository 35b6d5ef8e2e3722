//! The releases that staging asks the ledger for, reduced to what it needs: one function per question.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::ReleaseCounter;

use crate::ports::ledger::{Ledger, LedgerError, ReleaseRow, ReleaseState};

/// A release that may be the base or the target of a delta.
#[derive(Debug, Clone)]
pub(super) struct DeltaRelease {
    pub(super) release: ReleaseId,
    pub(super) manifest: Sha256Digest,
    pub(super) counter: ReleaseCounter,
    pub(super) state: ReleaseState,
    /// Whether a client runs it or is assigned it.
    pub(super) in_use: bool,
    pub(super) payload_bytes: u64,
    /// Bases of the deltas to it that the ledger has.
    pub(super) delta_bases: Vec<Sha256Digest>,
}

impl DeltaRelease {
    /// Whether clients get it or may get it, so that deltas to it are worth making.
    pub(super) const fn is_offered(&self) -> bool {
        matches!(self.state, ReleaseState::Staged | ReleaseState::Approved)
    }
}

/// Every release that is offered or in use.
pub(super) async fn delta_releases(ledger: &dyn Ledger) -> Result<Vec<DeltaRelease>, LedgerError> {
    let rows = ledger.releases().await?.into_iter().map(|row| DeltaRelease {
        release: row.release,
        manifest: row.manifest,
        counter: row.counter,
        state: row.state,
        in_use: row.installed > 0 || row.assigned > 0,
        payload_bytes: row.payload_bytes,
        delta_bases: row.deltas.into_iter().map(|(base, _)| base).collect(),
    });
    Ok(rows.filter(|release| release.is_offered() || release.in_use).collect())
}

/// With which release a reviewer compares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comparison {
    /// Absent for a first release.
    pub(super) base: Option<(ReleaseId, Sha256Digest)>,
}

/// What a release is compared with; `None` if the ledger does not know it.
pub(super) async fn comparison(
    ledger: &dyn Ledger,
    manifest: &Sha256Digest,
) -> Result<Option<Comparison>, LedgerError> {
    let rows = ledger.releases().await?;
    let Some(row) = rows.iter().find(|row| row.manifest == *manifest) else { return Ok(None) };
    let base = base_of(row, &rows).map(|base| (base.release.clone(), base.manifest));
    Ok(Some(Comparison { base }))
}

/// The newest release before `row` that was approved for its package and platform.
fn base_of<'a>(row: &ReleaseRow, rows: &'a [ReleaseRow]) -> Option<&'a ReleaseRow> {
    rows.iter()
        .filter(|base| {
            base.release.package == row.release.package
                && base.release.platform == row.release.platform
                && base.counter < row.counter
                && matches!(base.state, ReleaseState::Approved | ReleaseState::Superseded)
        })
        .max_by_key(|base| base.counter)
}
