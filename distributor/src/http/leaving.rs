//! Who runs what was stopped, and what leads each of them away from it: one look at those that run it.

use std::collections::BTreeMap;

use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::queries::{ApprovedReleases, KnownReleases, MAX_PAGE, Recipients, Trying, VoidedReleases};
use sealpost_site::rules::leaving::{Leaving, Named, Runners, Tried};
use sealpost_site::rules::release::{KnownRelease, ReleaseState};

/// The runners of each of these releases, by manifest.
pub(crate) async fn leaving(
    ledger: &Ledger,
    stopped: &[Sha256Digest],
) -> Result<BTreeMap<Sha256Digest, Runners>, LedgerError> {
    if stopped.is_empty() {
        return Ok(BTreeMap::new());
    }
    let known = known(ledger).await?;
    let approved = ledger.query(ApprovedReleases {}).await?;
    let voided = ledger.query(VoidedReleases {}).await?;
    let judge = Leaving::new(&approved, &known, &voided);
    let mut all = BTreeMap::new();
    for release in known.iter().filter(|release| stopped.contains(&release.manifest)) {
        all.insert(release.manifest, runners(ledger, &judge, release).await?);
    }
    Ok(all)
}

/// The computers that run a stopped release or may try it.
pub(crate) async fn leaving_of(ledger: &Ledger, manifest: Sha256Digest) -> Result<Runners, LedgerError> {
    let runners = leaving(ledger, &[manifest]).await?.remove(&manifest).unwrap_or_default();
    let trying = trying(ledger, vec![manifest]).await?.remove(&manifest).unwrap_or_default();
    Ok(Runners { trying, ..runners })
}

/// The computers that may try each of these releases, by manifest: one look at all of them.
pub(crate) async fn trying(
    ledger: &Ledger,
    manifests: Vec<Sha256Digest>,
) -> Result<BTreeMap<Sha256Digest, Named>, LedgerError> {
    let mut tried = Tried::default();
    if !manifests.is_empty() {
        let page = |after| Trying { manifests: manifests.clone(), after, limit: MAX_PAGE };
        ledger.each(page, |row| row.name.clone(), |row| tried.add(&row)).await?;
    }
    Ok(tried.by_manifest)
}

async fn runners(
    ledger: &Ledger,
    judge: &Leaving<'_>,
    release: &KnownRelease,
) -> Result<Runners, LedgerError> {
    let mut runners = Runners::default();
    let page = |after| Recipients { after, running: Some(release.manifest), limit: MAX_PAGE };
    ledger.each(page, |row| row.name.clone(), |row| judge.add(release, &row, &mut runners)).await?;
    Ok(runners)
}

/// The releases that were halted here or withdrawn by the vendor, by manifest.
pub(crate) async fn stopped(ledger: &Ledger) -> Result<BTreeMap<Sha256Digest, ReleaseState>, LedgerError> {
    let is_stopped = |state| matches!(state, ReleaseState::Halted | ReleaseState::Withdrawn);
    let known = known(ledger).await?.into_iter().filter(|release| is_stopped(release.state));
    Ok(known.map(|release| (release.manifest, release.state)).collect())
}

/// Every release, whatever became of it: a computer may have run it before.
pub(crate) async fn known(ledger: &Ledger) -> Result<Vec<KnownRelease>, LedgerError> {
    ledger.all(|after| KnownReleases { after, limit: MAX_PAGE }, |release| release.manifest).await
}
