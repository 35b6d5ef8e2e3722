//! The releases that the ledger knows, as a pull needs them: withdrawals, channel moves and the counter floor are
//! computed from these.
//!
//! Invariant: the answer is complete. A release that is missing here would miss its withdrawal.

use std::collections::BTreeMap;

use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::ids::PackageName;
use sealpost_site::queries::{self, MAX_PAGE};
use sealpost_site::rules::release::KnownRelease;

/// Every known release, by package.
#[derive(Debug, Default)]
pub(super) struct KnownReleases(BTreeMap<PackageName, Vec<KnownRelease>>);

impl KnownReleases {
    pub(super) fn of(&self, package: &PackageName) -> &[KnownRelease] {
        self.0.get(package).map_or(&[], Vec::as_slice)
    }
}

/// Asks the ledger for every release, page by page.
pub(super) async fn known_releases(ledger: &Ledger) -> Result<KnownReleases, LedgerError> {
    let mut known = KnownReleases::default();
    let mut after = None;
    loop {
        let page =
            ledger.query(queries::KnownReleases { states: Vec::new(), after, limit: MAX_PAGE }).await?;
        let is_last = page.len() < MAX_PAGE as usize;
        after = page.last().map(|release| release.manifest);
        for release in page {
            known.0.entry(release.release.package.clone()).or_default().push(release);
        }
        if is_last {
            return Ok(known);
        }
    }
}
