//! The rollout that would begin with an approval.

use jiff::Timestamp;
use sealpost_manifests::word::Word;
use sealpost_site::rules::release::KnownRelease;
use sealpost_site::rules::rollouts::progress::{Rollout, RolloutState};
use sealpost_site::rules::rollouts::strategy::Strategy;

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
