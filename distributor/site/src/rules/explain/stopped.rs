//! What was halted or withdrawn, in the sentences about one computer: what it runs, went back from, may try, or never got.
//!
//! Invariant: whatever was stopped is named with who stopped it, since when and why, as far as its rollout says so.

use std::collections::BTreeSet;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_manifests::wire::report::{InstallStep, Outcome, Report};

use super::reports::why_of;
use crate::rows::ClientRow;
use crate::rules::account::named;
use crate::rules::assignment::Told;
use crate::rules::release::{KnownRelease, ReleaseState};
use crate::rules::rollouts::progress::{Rollout, RolloutState, StateChange};
use crate::rules::text::escape;

/// The newest rollout that was stopped, of a release above what the computer has and should have. What a reset of the vendor's
/// counter voided is above nothing.
pub(super) fn halted<'a>(
    client: &ClientRow,
    rollouts: &'a [Rollout],
    voided: &BTreeSet<Sha256Digest>,
    package: &PackageName,
    should: &[Told<'_>],
) -> Option<&'a Rollout> {
    let had = client.installed.iter().filter(|installed| installed.package() == package);
    let had = had.filter(|installed| !voided.contains(&installed.manifest));
    let wanted = should.iter().filter(|told| told.release.release.package == *package);
    let has = had.map(|installed| installed.counter).chain(wanted.map(|told| told.release.counter)).max();
    let of_package = rollouts.iter().filter(|rollout| {
        rollout.release.package == *package
            && stopped_state(rollout).is_some()
            && rollout.channels.contains(&client.channel)
            && client.platform.as_ref().is_none_or(|platform| rollout.release.platform.fits(platform))
            && has.is_none_or(|has| has < rollout.counter)
            && !voided.contains(&rollout.manifest)
    });
    of_package.max_by_key(|rollout| rollout.number)
}

/// How a rollout was stopped, if it was.
const fn stopped_state(rollout: &Rollout) -> Option<ReleaseState> {
    match rollout.state {
        RolloutState::Halted | RolloutState::Aborted => Some(ReleaseState::Halted),
        RolloutState::Withdrawn => Some(ReleaseState::Withdrawn),
        RolloutState::Running | RolloutState::Paused | RolloutState::Completed | RolloutState::Superseded => {
            None
        }
    }
}

/// That a newer release was stopped, by whom, since when and why; and what it was to the computer, if it reported about it.
pub(super) fn halted_newer(rollout: &Rollout, met: Option<&Report>, drift: Option<DriftKind>) -> String {
    let version = &rollout.release.version;
    let state = stopped_state(rollout).unwrap_or(ReleaseState::Halted);
    let stopped = by_whom(state, rollout.changed.as_ref(), None);
    let said = match (met, state) {
        (Some(met), _) => format!("{}, which {stopped}", how_it_went(met, drift)),
        (None, ReleaseState::Withdrawn) => format!("it does not get {version}, which {stopped}"),
        (None, _) => format!("{version} {stopped}"),
    };
    format!("; {said}: `distributor rollouts show {}`", rollout.number)
}

/// What a release that does not run there was to the computer, by its last report about it.
fn how_it_went(report: &Report, drift: Option<DriftKind>) -> String {
    let (version, step, outcome) = (&report.release.version, report.step, report.outcome);
    let (at, why) = (report.at, why_of(report, drift));
    match (step, outcome) {
        (InstallStep::RollBack, _) => format!("it rolled back from {version} at {at} ({why})"),
        (InstallStep::Keep, Outcome::Ok) => {
            format!("it installed {version} at {at}, and does not run it any more")
        }
        (_, Outcome::Ok) => format!("it had begun to install {version} ({step} is done since {at})"),
        _ => format!("it tried to install {version} ({step} {outcome} at {at}: {why})"),
    }
}

/// A release of which the computer says something, although it goes to nobody any more.
pub(super) fn stopped(had: &[KnownRelease], manifest: Sha256Digest) -> Option<&KnownRelease> {
    let stopped = |release: &&KnownRelease| {
        matches!(release.state, ReleaseState::Halted | ReleaseState::Withdrawn)
            && release.manifest == manifest
    };
    had.iter().find(stopped)
}

/// What may be at work there although it was stopped.
pub(super) fn tries(stopped: &KnownRelease, rollouts: &[Rollout]) -> String {
    format!(
        "; it was told to install {}, which {}, and did not say how that ended",
        stopped.release.version,
        who_stopped(stopped, rollouts)
    )
}

/// What it reported about last and does not run, of which no rollout is known.
pub(super) fn gone(stopped: &KnownRelease, report: &Report, rollouts: &[Rollout]) -> String {
    format!("; {}, which {}", how_it_went(report, None), who_stopped(stopped, rollouts))
}

/// Who stopped it, since when and why, as far as that is known.
pub(super) fn who_stopped(stopped: &KnownRelease, rollouts: &[Rollout]) -> String {
    let of_it = rollouts.iter().filter(|rollout| {
        rollout.manifest == stopped.manifest && stopped_state(rollout) == Some(stopped.state)
    });
    let last = of_it.max_by_key(|rollout| rollout.number);
    by_whom(stopped.state, last.and_then(|last| last.changed.as_ref()), stopped.reason.as_deref())
}

/// `reason`: what the release itself says, where its rollout says nothing.
fn by_whom(state: ReleaseState, changed: Option<&StateChange>, reason: Option<&str>) -> String {
    let why = changed.map(|changed| changed.why.as_str()).filter(|why| !why.is_empty()).or(reason);
    let why = why.filter(|why| !why.is_empty()).map(|why| format!(" ({})", escape(why))).unwrap_or_default();
    match (state, changed) {
        (ReleaseState::Withdrawn, Some(changed)) => {
            format!("the vendor withdrew{why}, as is known here since {}", changed.at)
        }
        (ReleaseState::Withdrawn, None) => format!("the vendor withdrew{why}"),
        (_, Some(changed)) => format!("was halted by {} since {}{why}", named(&changed.by), changed.at),
        (_, None) => format!("was halted here{why}"),
    }
}
