//! One rollout of the server: how it stands, and what is done with it.

use sealpost_admin_api::rollouts::{Rollout, SteerRequest, What};

use crate::cli::api::AdminApi;

/// A rollout as it stands, with a look at all computers.
pub(in crate::cli) async fn one(api: &AdminApi, number: u64) -> anyhow::Result<Rollout> {
    api.get(&format!("/rollouts/{number}")).await
}

/// Steers a rollout, and answers how it stands then.
pub(in crate::cli) async fn steer(
    api: &AdminApi,
    number: u64,
    what: What,
    why: &str,
) -> anyhow::Result<Rollout> {
    let request = SteerRequest { what, comment: why.to_owned() };
    api.post(&format!("/rollouts/{number}/steer"), &request).await
}

/// The ring that is watched, and how far that is.
pub(super) fn ring(rollout: &Rollout) -> String {
    let all = rollout.rings.len();
    match rollout.current_ring().and_then(|ring| Some((ring + 1, rollout.rings.get(ring)?))) {
        Some((ring, plan)) => format!("{} ({ring} of {all})", plan.name),
        None => "-".to_owned(),
    }
}
