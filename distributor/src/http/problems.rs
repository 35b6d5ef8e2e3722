//! What is wrong with this server and its site: gathers the facts, and asks the rule.
//!
//! Invariant: whoever shows problems asks here, so that `status`, the metrics and a check cannot differ; each fact is read
//! once, and a status costs a bounded number of statements, however many computers there are. Left out on purpose: what is
//! wrong, which `rules::problems` decides.

use std::sync::Arc;

use sealpost_admin_api::status::NewerServer;
use sealpost_admin_api::storage::StorageSummary;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{
    Drifted, Failing, Fleet, Followers, HeldReleases, LastPull, LogForks, MAX_PAGE, NotStarted, Refusals,
    RefusedGrants, ReleaseCounts, Releases, Restores, Rollouts,
};
use sealpost_site::rows::{LicenseRow, PullRow, ReleaseRow};
use sealpost_site::rules::approvals::notices::notices;
use sealpost_site::rules::approvals::rule::need_two;
use sealpost_site::rules::attention::is_stopped;
use sealpost_site::rules::expiries::Expiry;
use sealpost_site::rules::held;
use sealpost_site::rules::problems::{Facts, Newer, Room, Stored, problems};
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::restore::RestoreState;
use sealpost_site::rules::troubles::Bounds;
use sealpost_site::rules::warnings::Warning;

use super::Site;
use super::ends::{self, Ends};
use super::leaving::{leaving, trying};
use super::newer::newer;
use super::offered::offered;
use super::problem::ApiError;
use super::syslog;
use crate::ports::upstream::Missing;

/// Newest rollouts that are looked at.
const ROLLOUTS: u32 = 100;

/// What was found, and what of the facts is shown beside it.
pub(crate) struct Found {
    /// The most urgent first.
    pub(crate) problems: Vec<Warning>,
    pub(crate) expiries: Vec<Expiry>,
    pub(crate) licenses: Vec<LicenseRow>,
    pub(crate) pull: PullRow,
    pub(crate) restore: RestoreState,
    pub(crate) releases: Vec<(ReleaseState, u64)>,
    pub(crate) drifted: u64,
    pub(crate) stopped: u64,
    pub(crate) missing: Vec<String>,
    pub(crate) storage: Option<StorageSummary>,
    pub(crate) newer: Option<NewerServer>,
    pub(crate) connected: u64,
}

pub(crate) async fn gather(site: &Arc<Site>) -> Result<Found, ApiError> {
    let (now, ledger) = (site.now(), &site.parts.ledger);
    let Ends { expiries, licenses, problems: mut found } = ends::gather(site, now).await?;
    found.extend(site.parts.presence.warnings(now).await);
    found.extend(syslog::warnings(site));
    found.extend(site.parts.admin_tokens.warnings().await);
    let mut releases = Vec::new();
    let page = |after| HeldReleases { after, limit: MAX_PAGE };
    ledger.each(page, |held| held.manifest, |one| releases.push(one)).await?;
    found.extend(held::warnings(&releases));
    let plan = ledger.query(LoadPlan {}).await?;
    found.extend(notices(&plan.approvals, need_two(&plan.settings.approvals), now));
    let pull = ledger.query(LastPull {}).await?;
    let counts = ledger.query(ReleaseCounts {}).await?;
    let restore = ledger.query(Restores {}).await?;
    let releases = of_interest(ledger, MAX_PAGE).await?;
    let stopped = || releases.iter().filter(|row| is_stopped(row));
    let run: Vec<Sha256Digest> = stopped().filter(|row| row.installed > 0).map(|row| row.manifest).collect();
    let mut runners = leaving(ledger, &run).await?;
    for (manifest, trying) in trying(ledger, stopped().map(|row| row.manifest).collect()).await? {
        runners.entry(manifest).or_default().trying = trying;
    }
    // None, if that is not known.
    let channels = offered(site).await?.unwrap_or_default();
    let newer = newer(site, &releases).await;
    site.parts.upstream.look().await;
    let Missing { names: missing, since: missing_since } = site.parts.upstream.missing();
    let storage = site.parts.upstream.stored();
    let drifted = ledger.query(Drifted {}).await?;
    let not_started = ledger.query(NotStarted {}).await?;
    let (shown, counted) = (storage.clone(), (drifted.count, not_started.count));
    let connected = site.parts.push.connected() as u64;
    let facts = Facts {
        forks: ledger.query(LogForks {}).await?,
        refused_grants: ledger.query(RefusedGrants {}).await?,
        channels: channels.iter().flat_map(|offered| offered.known().cloned()).collect(),
        followers: ledger.query(Followers {}).await?,
        failing: ledger.query(Failing {}).await?,
        fleet: ledger.query(Fleet { bounds: Bounds::at(now) }).await?,
        refusals: ledger.query(Refusals {}).await?,
        connected,
        started: site.started,
        stored: Stored { missing: missing.clone(), missing_since, room: storage.as_ref().map(room) },
        newer: newer.clone().map(of_newer),
        expiries: expiries.clone(),
        licenses: licenses.clone(),
        pull: pull.clone(),
        restore: restore.clone(),
        releases,
        rollouts: ledger.query(Rollouts { before: None, open: true, limit: ROLLOUTS }).await?,
        runners,
        drifted,
        not_started,
        edits: ledger.edits(),
        found,
    };
    Ok(Found {
        problems: problems(facts, now),
        expiries,
        licenses,
        pull,
        restore,
        releases: counts,
        drifted: counted.0,
        stopped: counted.1,
        missing,
        storage: shown,
        newer,
        connected,
    })
}

fn room(storage: &StorageSummary) -> Room {
    Room { free_bytes: storage.free_bytes, keep_free_bytes: storage.keep_free_bytes }
}

fn of_newer(newer: NewerServer) -> Newer {
    let NewerServer { release, state, payload } = newer;
    Newer { release, state, payload }
}

/// Releases that may want attention: every one in these states, since an older one may be what computers run.
async fn of_interest(ledger: &Ledger, page_size: u32) -> Result<Vec<ReleaseRow>, LedgerError> {
    let mut rows = Vec::new();
    for state in [ReleaseState::Staged, ReleaseState::Approved, ReleaseState::Halted, ReleaseState::Withdrawn]
    {
        let page = |after| Releases { state: Some(state), after, limit: page_size };
        ledger.each(page, |row| row.manifest, |row| rows.push(row)).await?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use sealpost_keys::SigningKey;
    use sealpost_ledger::LedgerSettings;
    use sealpost_ledger::sqlite::{self, SqliteStore};
    use sealpost_manifests::ids::ServerId;
    use sealpost_test_support::world::World;

    use super::*;

    #[tokio::test]
    async fn what_wants_attention_is_found_behind_the_first_page_too() {
        let folder = tempfile::tempdir().unwrap();
        let (path, now) = (folder.path().join("ledger.db"), Timestamp::UNIX_EPOCH);
        let world = World::new();
        let key = SigningKey::generate().unwrap().public();
        sqlite::create(&path, ServerId::of_site_key(&key), key, now).unwrap();
        let store = SqliteStore::open(&path).unwrap();
        let ledger: Ledger = Ledger::start(Box::new(store), LedgerSettings::default()).unwrap();
        for counter in 1..=5 {
            let staged = world.staged("acme-av", counter, &["stable"]);
            ledger.execute(now, staged).await.unwrap();
        }
        for page_size in [1, 2, 5, 1000] {
            let found = of_interest(&ledger, page_size).await.unwrap();
            let found: BTreeSet<_> = found.into_iter().map(|row| row.manifest).collect();
            assert_eq!(found.len(), 5, "{page_size}");
        }
        ledger.close().await.unwrap();
    }
}
