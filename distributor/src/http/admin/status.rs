//! `GET /api/v1/status`: the License Summary, the last pull, who is connected, and what will need attention.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use sealpost_admin_api::licenses::License;
use sealpost_admin_api::status::{Ending, NewerServer, Restored, Status, WarningView};
use sealpost_admin_api::storage::StorageSummary;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::queries::{
    Drifted, Followers, LastPull, LogForks, MAX_PAGE, RefusedGrants, ReleaseCounts, Releases, Restores,
};
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::text::counted;
use sealpost_site::rules::warnings::{Warning, WarningCode};
use sealpost_site::rules::{attention, drift, warnings};

use crate::http::Site;
use crate::http::ends::{Ends, gather};
use crate::http::failing;
use crate::http::leaving::{leaving, trying};
use crate::http::newer::newer;
use crate::http::offered::offered;
use crate::http::problem::ApiError;

/// Bytes of a mebibyte.
const MIB: u64 = 1024 * 1024;
/// Files that a warning names.
const MAX_NAMED_FILES: usize = 3;

pub(crate) async fn status(State(site): State<Arc<Site>>) -> Result<Json<Status>, ApiError> {
    let (now, ledger) = (site.now(), &site.parts.ledger);
    let Ends { expiries, licenses, problems } = gather(&site, now).await?;
    let last_pull = ledger.query(LastPull {}).await?;
    let releases = ledger.query(ReleaseCounts {}).await?;
    let restore = ledger.query(Restores {}).await?;
    let forks = ledger.query(LogForks {}).await?;
    let missing_files = site.parts.upstream.missing();
    let of_interest = of_interest(ledger, MAX_PAGE).await?;
    let newer = newer(&site, &of_interest).await;
    let storage = site.parts.upstream.stored();
    let mut warnings = warnings::warnings(&expiries, &licenses, &last_pull, now);
    warnings.extend(warnings::refused_grants(&ledger.query(RefusedGrants {}).await?));
    warnings.extend(warnings::restored(&restore, now));
    warnings.extend(warnings::log_forks(&forks));
    let drifted = ledger.query(Drifted {}).await?;
    let coded = |code| move |said: String| Warning::new(code, said);
    let drifted = drift::warning(&drifted.names, drifted.count);
    warnings.extend(drifted.map(coded(WarningCode::ClientsDrifted)));
    let stopped = || of_interest.iter().filter(|row| attention::is_stopped(row));
    let run: Vec<Sha256Digest> = stopped().filter(|row| row.installed > 0).map(|row| row.manifest).collect();
    let mut runners = leaving(ledger, &run).await?;
    for (manifest, trying) in trying(ledger, stopped().map(|row| row.manifest).collect()).await? {
        runners.entry(manifest).or_default().trying = trying;
    }
    let said = attention::warnings(&of_interest, &runners);
    warnings.extend(said.into_iter().map(coded(WarningCode::ReleaseAttention)));
    // None, if that is not known.
    let channels = offered(&site).await?.unwrap_or_default();
    let channels = channels.iter().flat_map(|offered| offered.known().cloned()).collect();
    let left = attention::left_channels(&channels, &ledger.query(Followers {}).await?);
    warnings.extend(left.into_iter().map(coded(WarningCode::ChannelLeft)));
    warnings.extend(failing::warnings(ledger, &of_interest).await?);
    warnings.extend(problems);
    warnings.extend(site.parts.presence.warnings(now).await);
    // A backup has no payloads.
    let is_expected = restore
        .restored
        .as_ref()
        .is_some_and(|restored| last_pull.metadata_as_of.is_none_or(|fresh| fresh < restored.at));
    warnings.extend(damage(&missing_files, is_expected).map(coded(WarningCode::FilesDamaged)));
    warnings.extend(storage.as_ref().and_then(full).map(coded(WarningCode::DiskFull)));
    warnings.extend(newer.as_ref().map(announced).map(coded(WarningCode::ServerNewer)));
    let addresses = site.parts.presence.addresses();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server_id: ledger.server_id(),
        addresses: addresses.addresses,
        port: addresses.port,
        warnings: warnings.into_iter().map(WarningView::from).collect(),
        licenses: licenses.into_iter().map(License::from).collect(),
        last_pull: last_pull.into(),
        connected_clients: site.parts.push.connected() as u64,
        releases: releases.into_iter().map(|(state, count)| (state.as_str().to_owned(), count)).collect(),
        ledger_head: ledger.head(),
        restored: Restored::of(restore),
        now,
        expiries: expiries.into_iter().map(|expiry| Ending::of(expiry, now)).collect(),
        missing_files,
        storage,
        newer,
    }))
}

fn damage(missing: &[String], is_expected: bool) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let named: Vec<&str> = missing.iter().take(MAX_NAMED_FILES).map(String::as_str).collect();
    let more = if missing.len() > named.len() { ", …" } else { "" };
    let count = u64::try_from(missing.len()).unwrap_or(u64::MAX);
    let (named, why) =
        (named.join(", "), if is_expected { "expected after a restore" } else { "check the disk" });
    Some(format!(
        "{} damaged or missing ({named}{more}): {why}; `distributor pull` fetches what the vendor still has",
        counted(count, "stored file is", "stored files are"),
    ))
}

fn full(storage: &StorageSummary) -> Option<String> {
    (storage.free_bytes < storage.keep_free_bytes).then(|| {
        format!(
            "the disk has {} MiB free, and `limits.keep_free_mib` keeps {}: no payload is fetched; make room, or run \
             `distributor storage clean`",
            storage.free_bytes / MIB,
            storage.keep_free_bytes / MIB
        )
    })
}

fn announced(newer: &NewerServer) -> String {
    let NewerServer { release, state, payload } = newer;
    let next = match payload {
        Some(payload) if state == "approved" => format!("its program is in {payload}"),
        _ => format!("look at it with `distributor updates show {}:{}`", release.package, release.version),
    };
    format!("version {} of this server is {state}: {next}", release.version)
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
