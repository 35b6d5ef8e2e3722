//! Approves what the rules approve by themselves: a reconciler, some seconds after whatever changes, and each minute.
//!
//! Invariant: it only asks. Whether a rule approves a release is decided in the ledger's transaction, from what holds then.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sealpost_files::with_causes;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_site::commands::approvals::ApproveByRule;
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::queries::{KnownReleaseOf, MAX_PAGE, Releases};
use sealpost_site::rules::approvals::rule::by_itself;
use sealpost_site::rules::release::ReleaseState;
use tokio::time::timeout;

use crate::ports::clock::Clock;
use crate::ports::test_load::TestDesk;
use crate::ports::upstream::Upstream;

/// Releases are looked at this often when nothing happens: an age is reached by waiting.
const ROUND: Duration = Duration::from_secs(60);
/// A busy ledger is looked at no more often than this.
const APART: Duration = Duration::from_secs(2);

/// Approves by rules until the ledger closes.
pub(crate) async fn keep(
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    upstream: Arc<dyn Upstream>,
    tests: TestDesk,
) {
    let mut commits = ledger.subscribe();
    loop {
        // Everything up to here is seen by this round.
        let _ = *commits.borrow_and_update();
        match round(&ledger, &*clock, &*upstream, &tests).await {
            Ok(()) => {}
            Err(LedgerError::Closed) => return,
            Err(error) => {
                tracing::warn!(
                    error = with_causes(&error),
                    "the rules of approvals could not be applied; it is tried again in a minute"
                );
            }
        }
        if let Ok(Err(_)) = timeout(ROUND, commits.changed()).await {
            return;
        }
        tokio::time::sleep(APART).await;
    }
}

async fn round(
    ledger: &Ledger,
    clock: &dyn Clock,
    upstream: &dyn Upstream,
    tests: &TestDesk,
) -> Result<(), LedgerError> {
    let plan = ledger.query(LoadPlan {}).await?;
    let rules = &plan.settings.approvals;
    if !rules.values().any(|rule| rule.by_itself) {
        return Ok(());
    }
    let now = clock.now();
    let mut open: Vec<(Sha256Digest, Timestamp)> = Vec::new();
    for state in [ReleaseState::Staged, ReleaseState::Approved] {
        // The newest of a package comes first; then the older ones are superseded, and are refused.
        let page = |after| Releases { state: Some(state), after, limit: MAX_PAGE };
        ledger.each(page, |row| row.manifest, |row| open.push((row.manifest, row.staged_at))).await?;
    }
    for (manifest, staged_at) in open {
        let Some(release) = ledger.query(KnownReleaseOf { manifest }).await? else { continue };
        let is_deferred = plan.approvals.deferred(manifest, now).is_some();
        if is_deferred || by_itself(rules, &release, staged_at, now).is_none() {
            continue;
        }
        let test_load = tests.wanted(&release.release.package);
        match ledger.execute(now, ApproveByRule { manifest, trust: upstream.trust(), test_load }).await {
            Ok(Some(rule)) => tracing::info!(%manifest, %rule, "a release was approved by a rule"),
            Ok(None) => {}
            Err(LedgerError::Refused(problem)) => {
                tracing::debug!(%manifest, problem = problem.message, "a rule cannot approve a release");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
