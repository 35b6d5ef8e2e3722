//! A look at all computers for rollouts, also for one that would begin with an approval.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_ledger::{Ledger, LedgerError};
use sealpost_manifests::word::Word;
use sealpost_site::queries::{MAX_PAGE, Recipients};
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::rollouts::plan::Plan;
use sealpost_site::rules::rollouts::progress::{Population, Rollout, RolloutState};
use sealpost_site::rules::rollouts::share::Salt;
use sealpost_site::rules::rollouts::strategy::Strategy;
use sealpost_site::rules::rollouts::survey::Survey;

/// How many computers each ring of these rollouts has, by the number of the rollout.
pub(crate) async fn survey(
    ledger: &Ledger,
    plan: &Plan,
    rollouts: &[Rollout],
    now: Timestamp,
) -> Result<BTreeMap<u64, Vec<Population>>, LedgerError> {
    let mut survey = Survey::new(plan, rollouts, Salt::of(&ledger.server_id()), now);
    let page = |after| Recipients { after, running: None, limit: MAX_PAGE };
    ledger.each(page, |row| row.name.clone(), |row| survey.add(&row)).await?;
    Ok(survey.finish())
}

/// The rollout that the approval of a release for all its channels would begin. No rollout has its number.
pub(crate) fn would_be(release: &KnownRelease, name: Word, strategy: Strategy, now: Timestamp) -> Rollout {
    Rollout {
        number: 0,
        release: release.release.clone(),
        manifest: release.manifest,
        counter: release.counter,
        kind: release.kind,
        channels: release.channels.clone(),
        strategy_name: name,
        emergency: false,
        state: RolloutState::Running,
        started_at: now,
        changed: None,
        rings: Rollout::waiting_rings(&strategy),
        strategy,
    }
}
