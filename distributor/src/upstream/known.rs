//! The releases that the ledger knows, as a pull needs them: withdrawals, channel moves and the counter floor are
//! computed from these.
//!
//! Invariant: the answer is complete. A release that is missing here would miss its withdrawal.

use std::collections::BTreeMap;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, PackageName};
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::ReleaseCounter;

use crate::ports::ledger::{Ledger, LedgerError, ReleaseState};

/// What a pull needs of a release that the ledger knows. No counts of clients, no deltas.
#[derive(Debug, Clone)]
pub(super) struct KnownRelease {
    pub(super) release: ReleaseId,
    pub(super) manifest: Sha256Digest,
    pub(super) counter: ReleaseCounter,
    pub(super) state: ReleaseState,
    pub(super) channels: Vec<ChannelName>,
}

/// Every known release, by package.
#[derive(Debug, Default)]
pub(super) struct KnownReleases(BTreeMap<PackageName, Vec<KnownRelease>>);

impl KnownReleases {
    pub(super) fn of(&self, package: &PackageName) -> &[KnownRelease] {
        self.0.get(package).map_or(&[], Vec::as_slice)
    }
}

/// Asks the ledger for every release.
pub(super) async fn known_releases(ledger: &dyn Ledger) -> Result<KnownReleases, LedgerError> {
    let mut known = KnownReleases::default();
    for row in ledger.releases().await? {
        known.0.entry(row.release.package.clone()).or_default().push(KnownRelease {
            release: row.release,
            manifest: row.manifest,
            counter: row.counter,
            state: row.state,
            channels: row.channels,
        });
    }
    Ok(known)
}
