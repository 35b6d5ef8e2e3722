//! `GET /api/v1/status`: the License Summary, the last pull, who is connected, and what will need attention.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use sealpost_manifests::lease::LedgerHead;

use crate::http::Site;
use crate::http::problem::ApiError;
use crate::http::views::StatusView;
use crate::ports::ledger::{LicenseRow, PullRow, ReleaseRow};
use crate::ports::upstream::RoleExpiry;

/// Days before an end at which it is warned of, most urgent first.
const WARN_DAYS: [i64; 3] = [7, 30, 90];
/// The vendor renews these each day and lets them live for days, so a long warning would always stand there.
const RENEWED_DAILY: [&str; 2] = ["timestamp", "snapshot"];
/// Days before the end of those.
const WARN_DAYS_RENEWED: [i64; 1] = [3];
/// A pull that is older than this many days is worth a word, whatever the metadata's own lifetime.
const STALE_PULL_DAYS: i64 = 3;
const DAY_SECS: i64 = 24 * 60 * 60;

/// The summary.
pub(crate) async fn status(State(site): State<Arc<Site>>) -> Result<Json<StatusView>, ApiError> {
    let now = site.now();
    let licenses = site.ledger.licenses().await?;
    let last_pull = site.ledger.last_pull().await?;
    let head: LedgerHead = site.ledger.head().await?;
    let releases = site.ledger.releases().await?;
    let mut warnings = warnings(&site.expiries, &licenses, &last_pull, now);
    warnings.extend(metadata_warnings(&site, now).await?);
    Ok(Json(StatusView {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        server_id: site.ledger.server_id(),
        addresses: site.addresses.addresses.clone(),
        port: site.addresses.port,
        warnings,
        licenses,
        last_pull,
        connected_clients: site.push.connected() as u64,
        releases: by_state(&releases),
        ledger_head: head,
        now,
    }))
}

fn by_state(releases: &[ReleaseRow]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for release in releases {
        // The state's stable name is its serde name; there is one list of them.
        if let Ok(serde_json::Value::String(name)) = serde_json::to_value(release.state) {
            *counts.entry(name).or_insert(0) += 1;
        }
    }
    counts
}

/// Warnings about the mirrored metadata. That it is damaged is one, and no reason to say nothing else.
async fn metadata_warnings(site: &Arc<Site>, now: Timestamp) -> Result<Vec<String>, ApiError> {
    let upstream = Arc::clone(&site.upstream);
    let expiries = tokio::task::spawn_blocking(move || upstream.expiries())
        .await
        .map_err(|error| ApiError::internal("read its metadata", &error))?;
    Ok(match expiries {
        Ok(expiries) => expiries.iter().filter_map(|expiry| role_ending(expiry, now)).collect(),
        Err(error) => vec![error.to_string()],
    })
}

fn role_ending(expiry: &RoleExpiry, now: Timestamp) -> Option<String> {
    let days: &[i64] =
        if RENEWED_DAILY.contains(&expiry.role.as_str()) { &WARN_DAYS_RENEWED } else { &WARN_DAYS };
    ending(&format!("the vendor's metadata of {}", expiry.role), expiry.at, days, now)
}

fn warnings(
    expiries: &[(String, Timestamp)],
    licenses: &[LicenseRow],
    pull: &PullRow,
    now: Timestamp,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if licenses.is_empty() {
        warnings.push("no license yet: `distributor register SERIAL` unlocks seats".to_owned());
    }
    for license in licenses {
        warnings.extend(ending(
            &format!("the grant for serial {}", license.serial),
            license.valid_until,
            &WARN_DAYS,
            now,
        ));
        if license.used > license.licenses {
            warnings.push(format!(
                "serial {} has {} seats and {} are used: nothing is taken away, nothing new is given",
                license.serial, license.licenses, license.used
            ));
        }
    }
    for (what, end) in expiries {
        warnings.extend(ending(what, *end, &WARN_DAYS, now));
    }
    if let Some(failure) = &pull.failure {
        warnings.push(format!("the last pull failed: {failure}"));
    }
    match pull.metadata_as_of {
        None => warnings.push("nothing was pulled yet: `distributor pull`".to_owned()),
        Some(as_of) if now.as_second() - as_of.as_second() > STALE_PULL_DAYS * DAY_SECS => {
            warnings
                .push(format!("the vendor's metadata was last found fresh at {as_of}: check the connection"));
        }
        Some(_) => {}
    }
    warnings
}

fn ending(what: &str, end: Timestamp, warn_days: &[i64], now: Timestamp) -> Option<String> {
    let left = end.as_second() - now.as_second();
    if left <= 0 {
        return Some(format!("{what} ended at {end}"));
    }
    let within = warn_days.iter().find(|days| left <= **days * DAY_SECS)?;
    Some(format!("{what} ends at {end}, in less than {within} days"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn an_end_is_warned_of_at_90_30_and_7_days_and_after_it() {
        let now = at(100 * DAY_SECS);
        let warn = |left_secs: i64| ending("it", at(100 * DAY_SECS + left_secs), &WARN_DAYS, now);
        assert_eq!(warn(90 * DAY_SECS + 1), None);
        assert!(warn(90 * DAY_SECS).unwrap().ends_with("less than 90 days"));
        assert!(warn(30 * DAY_SECS).unwrap().ends_with("less than 30 days"));
        assert!(warn(7 * DAY_SECS).unwrap().ends_with("less than 7 days"));
        assert!(warn(0).unwrap().contains("ended at"));
    }
    #[test]
    fn metadata_that_is_renewed_each_day_is_warned_of_only_when_it_was_not() {
        let now = at(100 * DAY_SECS);
        let warn = |role: &str, days: i64| {
            role_ending(&RoleExpiry { role: role.to_owned(), at: at((100 + days) * DAY_SECS) }, now)
        };
        assert_eq!(warn("timestamp", 6), None);
        assert!(warn("timestamp", 3).unwrap().contains("metadata of timestamp ends at"));
        assert!(warn("snapshot", -1).unwrap().contains("ended at"));
        assert!(warn("root", 90).unwrap().ends_with("less than 90 days"));
        assert!(warn("acme-av", 30).unwrap().ends_with("less than 30 days"));
    }
}
