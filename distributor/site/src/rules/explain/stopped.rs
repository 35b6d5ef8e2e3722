//! What was halted or withdrawn, in the sentences about one computer: what it runs, may try, or never got.

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::PackageName;

use crate::rows::ClientRow;
use crate::rules::account::named;
use crate::rules::assignment::Told;
use crate::rules::release::{KnownRelease, ReleaseState};
use crate::rules::rollouts::progress::{Rollout, RolloutState};
use crate::rules::text::escape;

/// The newest rollout that was halted before the computer had its release, and that nothing newer has followed there.
pub(super) fn halted<'a>(
    client: &ClientRow,
    rollouts: &'a [Rollout],
    package: &PackageName,
    should: &[Told<'_>],
) -> Option<&'a Rollout> {
    let had = client.installed.iter().filter(|installed| installed.package() == package);
    let wanted = should.iter().filter(|told| told.release.release.package == *package);
    let has = had.map(|installed| installed.counter).chain(wanted.map(|told| told.release.counter)).max();
    let met_it = |rollout: &Rollout| client.last_reports.iter().any(|last| last.manifest == rollout.manifest);
    let of_package = rollouts.iter().filter(|rollout| {
        rollout.release.package == *package
            && matches!(rollout.state, RolloutState::Halted | RolloutState::Aborted)
            && rollout.channels.contains(&client.channel)
            && client.platform.as_ref().is_none_or(|platform| rollout.release.platform.fits(platform))
            && has.is_none_or(|has| has < rollout.counter)
            && !met_it(rollout)
    });
    of_package.max_by_key(|rollout| rollout.number)
}

/// That a newer release was stopped before it came, by whom, since when and why.
pub(super) fn halted_before(rollout: &Rollout) -> String {
    let version = &rollout.release.version;
    match &rollout.changed {
        Some(changed) => format!(
            "; {version} was halted by {} since {} ({}): `distributor rollouts show {}`",
            named(&changed.by),
            changed.at,
            escape(&changed.why),
            rollout.number
        ),
        None => format!("; {version} was halted: `distributor rollouts show {}`", rollout.number),
    }
}

/// A release that runs although it goes to nobody any more.
pub(super) fn stopped(had: &[KnownRelease], manifest: Sha256Digest) -> Option<&KnownRelease> {
    let stopped = |release: &&KnownRelease| {
        matches!(release.state, ReleaseState::Halted | ReleaseState::Withdrawn)
            && release.manifest == manifest
    };
    had.iter().find(stopped)
}

/// What may be at work there although it was stopped.
pub(super) fn tries(stopped: &KnownRelease) -> String {
    let why = escape(stopped.reason.as_deref().unwrap_or_default());
    format!(
        "; it was told to install {}, which {} ({why}), and did not say how that ended",
        stopped.release.version,
        who_stopped(stopped)
    )
}

/// Who stopped it.
pub(super) const fn who_stopped(stopped: &KnownRelease) -> &'static str {
    match stopped.state {
        ReleaseState::Withdrawn => "the vendor withdrew",
        _ => "was halted here",
    }
}
