//! What a contact does to the rollouts that its computer has to do with.
//!
//! Invariant: each step says what had become of the rollout before, so that the counts of a ring are kept by adding and taking
//! away; a computer counts once in a rollout, in the ring in which it was told.

use jiff::SignedDuration;
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::wire::report::{InstallStep, Outcome, Report};

use crate::changes::DeliveryStep;
use crate::rules::assignment::{TellTo, Told};
use crate::rules::reports::{ReportEffect, says_nothing_of_the_release};
use crate::rules::rollouts::plan::{Delivery, waits_since};
use crate::rules::rollouts::progress::DeliveryState;

/// What a report does to the rollout of its release, if the computer was told that.
pub(super) fn reported(
    report: &Report,
    effect: ReportEffect,
    deliveries: &mut [Delivery],
) -> Option<DeliveryStep> {
    let told = deliveries
        .iter_mut()
        .find(|told| told.manifest == report.manifest && report.attempt >= told.attempt)?;
    let kept = report.step == InstallStep::Keep && report.outcome == Outcome::Ok;
    let after = match effect {
        ReportEffect::Unlisted => return None,
        // A computer that was shut down in the midst of a download halts no rollout: it goes on with its next contact.
        ReportEffect::Failure if says_nothing_of_the_release(report) => match told.state {
            DeliveryState::Succeeded | DeliveryState::Failed | DeliveryState::Dropped => return None,
            _ => DeliveryState::Begun,
        },
        ReportEffect::Failure => DeliveryState::Failed,
        ReportEffect::Progress if kept => DeliveryState::Succeeded,
        // What it reports after the end says nothing new.
        ReportEffect::Progress if told.state == DeliveryState::Succeeded => return None,
        ReportEffect::Progress => DeliveryState::Begun,
    };
    step(told, after)
}

/// What a computer runs although it did not report it: a report that comes late never makes a failure of an install that
/// worked.
pub(super) fn found(
    installed: &[InstalledPackage],
    reports: &[Report],
    deliveries: &mut [Delivery],
) -> Vec<DeliveryStep> {
    let runs = |told: &&mut Delivery| {
        installed.iter().any(|installed| installed.manifest == told.manifest)
            && !reports.iter().any(|report| report.manifest == told.manifest)
            && (told.state.is_under_way() || told.state == DeliveryState::Silent)
    };
    deliveries.iter_mut().filter(runs).filter_map(|told| step(told, DeliveryState::Succeeded)).collect()
}

fn step(told: &mut Delivery, after: DeliveryState) -> Option<DeliveryStep> {
    let before = std::mem::replace(&mut told.state, after);
    (before != after).then(|| DeliveryStep {
        rollout: told.rollout,
        package: told.package.clone(),
        ring: told.ring,
        before: Some(before),
        after,
        attempt: told.attempt,
        silence_secs: None,
        waits_since: None,
    })
}

/// What a new assignment does: rollouts that it names are told, and those that it names no more are dropped. `silence` is how
/// long the computer may be silent after it could have begun. Whoever replays contacts without the whole command asks here too.
#[must_use]
pub fn assigned(wanted: &[Told<'_>], deliveries: &[Delivery], silence: SignedDuration) -> Vec<DeliveryStep> {
    let names = |rollout: u64| {
        wanted.iter().any(|told| told.place.is_some_and(|place| place.rollout.number == rollout))
    };
    let dropped =
        deliveries.iter().filter(|told| told.state.is_under_way() && !names(told.rollout)).map(|told| {
            DeliveryStep {
                rollout: told.rollout,
                package: told.package.clone(),
                ring: told.ring,
                before: Some(told.state),
                after: DeliveryState::Dropped,
                attempt: told.attempt,
                silence_secs: None,
                waits_since: None,
            }
        });
    let told = wanted.iter().filter(|told| told.action == TellTo::Install && !told.settled);
    let told = told.filter_map(|told| {
        let place = told.place?;
        let known = deliveries.iter().find(|known| known.rollout == place.rollout.number);
        let after = if told.schedule.by_person { DeliveryState::Offered } else { DeliveryState::Told };
        let again = |known: &Delivery| {
            known.state == DeliveryState::Dropped
                || (told.attempt > known.attempt && !known.state.is_under_way())
                // Who starts it is another one from now on.
                || (known.state.is_told() && known.state != after)
        };
        if known.is_some_and(|known| !again(known)) {
            return None;
        }
        let latest = told.schedule.latest_start(place.told_at);
        Some(DeliveryStep {
            rollout: place.rollout.number,
            package: told.release.release.package.clone(),
            ring: known.map_or(place.ring, |known| known.ring),
            before: known.map(|known| known.state),
            after,
            attempt: told.attempt,
            silence_secs: Some(seconds(silence.saturating_add(latest))),
            waits_since: waits_since(deliveries, &told.release.release.package, place.rollout.number),
        })
    });
    dropped.chain(told).collect()
}

fn seconds(duration: SignedDuration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(if duration.is_negative() { 0 } else { u32::MAX })
}
