//! Whether one computer gets one release now; if not, why, and when that changes.
//!
//! Invariant: everybody asks here: the contact that tells a computer, the sentence that explains it, the preview before an
//! approval and the report. A computer that was told stays told, whatever its groups become, until the release is halted, its
//! rollout is paused before it began, or something newer takes its place.

use std::collections::BTreeSet;

use jiff::Timestamp;
use sealpost_manifests::ids::{ChannelName, ComputerName, PackageName};
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::word::Word;

mod held;

pub use self::held::{Held, OffPin};
use super::delivery::{Content, Delivery as Method};
use super::groups::GroupName;
use super::plan::{Asker, Delivery, LiveCounts, Plan};
use super::progress::{DeliveryState, RingState, Rollout, RolloutState, hour_of};
use super::settings::{Block, Pin, Settings, Target};
use super::share;
use super::strategy::Takes;
use crate::rules::release::KnownRelease;

/// How a release reaches a computer.
#[derive(Debug, Clone, Copy)]
pub enum Admitted<'p> {
    /// No rollout has to do with it, or the computer runs it already.
    Free,
    /// It was told before, in this ring.
    Told {
        /// The rollout.
        rollout: &'p Rollout,
        /// The ring in which it was told.
        ring: u32,
        /// Since when.
        told_at: Timestamp,
    },
    /// It is told now.
    Now {
        /// The rollout.
        rollout: &'p Rollout,
        /// Its ring.
        ring: u32,
    },
}

/// What a computer gets of one package, and why it does not get the newest. Where a pin leads it to another one, on the way or
/// held back as well, that one counts as the newest.
#[derive(Debug, Clone)]
pub struct Choice<'r> {
    /// The newest release that it may have.
    pub newest: &'r KnownRelease,
    /// What it gets, and how that reaches it.
    pub gets: Option<(&'r KnownRelease, Admitted<'r>)>,
    /// Why it does not get the newest.
    pub held: Option<Held>,
}

impl<'r> Choice<'r> {
    /// Notes what became of a release; asked from the newest down, until one is let through. `is_pin`: the computer is to be
    /// there.
    pub(in crate::rules) fn note(
        &mut self,
        release: &'r KnownRelease,
        found: Result<(&'r KnownRelease, Admitted<'r>), Held>,
        is_pin: bool,
    ) {
        match found {
            // What counts then is what leads it there, or keeps it from there; not what keeps newer ones away.
            Ok(gets) => {
                if is_pin && gets.0.manifest != release.manifest {
                    (self.newest, self.held) = (release, None);
                }
                self.gets = Some(gets);
            }
            Err(held) if self.held.is_none() || is_pin => {
                (self.newest, self.held) = (release, Some(held));
            }
            Err(_) => {}
        }
    }

    /// What is said of a block or a pin beside what the computer has: neither takes away what runs. `known` are the releases of
    /// the package that are or were approved here and fit its platform.
    pub(in crate::rules) fn beside<'k>(
        self,
        has: Has<'_>,
        channel: &ChannelName,
        known: impl Iterator<Item = &'k KnownRelease>,
    ) -> Self {
        let held = match (self.held, has.runs) {
            (Some(held), _) if self.gets.is_some() => Some(held),
            (Some(Held::Blocked { name, why }), Some(runs)) if runs.manifest == self.newest.manifest => {
                Some(Held::RunsBlocked { name, version: runs.release.version.clone(), why })
            }
            (Some(Held::Pinned { name, version, why }), runs)
                if runs.is_none_or(|runs| runs.release.version != version) =>
            {
                let off = has.off_pin(channel, known.filter(|known| known.release.version == version));
                Some(Held::OffPin { name, version, off, why })
            }
            (held, _) => held,
        };
        Self { held, ..self }
    }
}

/// What a computer runs of one package, and what it ran before.
#[derive(Debug, Clone, Copy)]
pub(in crate::rules) struct Has<'a> {
    runs: Option<&'a InstalledPackage>,
    ran: Option<&'a InstalledPackage>,
}

impl<'a> Has<'a> {
    /// By what it runs and ran of all packages.
    pub(in crate::rules) fn of(
        package: &PackageName,
        installed: &'a [InstalledPackage],
        before: &'a [InstalledPackage],
    ) -> Self {
        let of = |had: &'a [InstalledPackage]| had.iter().find(|had| had.package() == package);
        Self { runs: of(installed), ran: of(before) }
    }

    /// Why it is not where its pin is; `pinned` are the releases of that version.
    fn off_pin<'k>(self, channel: &ChannelName, pinned: impl Iterator<Item = &'k KnownRelease>) -> OffPin {
        let newer = |had: Option<&InstalledPackage>, pinned: &KnownRelease| {
            had.filter(|had| had.counter > pinned.counter).map(|had| had.release.version.clone())
        };
        let pinned = pinned.max_by_key(|pinned| pinned.counter);
        if let Some(runs) = pinned.and_then(|pinned| newer(self.runs, pinned)) {
            return OffPin::RunsNewer(runs);
        }
        let approved = pinned.filter(|pinned| pinned.goes_to().contains(channel));
        approved.and_then(|pinned| newer(self.ran, pinned)).map_or(OffPin::NotApproved, OffPin::RanNewer)
    }
}

/// Whether a computer that may have a release gets it now.
///
/// # Errors
/// [`Held`]: it does not.
pub fn admit<'p>(
    release: &KnownRelease,
    runs: bool,
    computer: &Asker<'_>,
    plan: &'p Plan,
    counts: &LiveCounts,
    now: Timestamp,
) -> Result<Admitted<'p>, Held> {
    kept_away(&release.release, computer, plan)?;
    unless_kept_away(release, runs, computer, plan, counts, now)
}

/// The same for a release through which a computer passes on its way to another one: a pin to that other one lets it through.
///
/// # Errors
/// [`Held`]: it does not get it.
pub fn admit_on_the_way<'p>(
    release: &KnownRelease,
    runs: bool,
    computer: &Asker<'_>,
    plan: &'p Plan,
    counts: &LiveCounts,
    now: Timestamp,
) -> Result<Admitted<'p>, Held> {
    blocked(&release.release, computer, plan)?;
    unless_kept_away(release, runs, computer, plan, counts, now)
}

/// What rings, caps and times say of a release that nothing keeps away.
fn unless_kept_away<'p>(
    release: &KnownRelease,
    runs: bool,
    computer: &Asker<'_>,
    plan: &'p Plan,
    counts: &LiveCounts,
    now: Timestamp,
) -> Result<Admitted<'p>, Held> {
    let Some(rollout) = plan.rollout_of(release, computer.channel) else {
        return Ok(Admitted::Free);
    };
    let by_person = starts_by_person(computer, plan);
    if let Some(told) = told_before(computer, rollout) {
        // Who has begun finishes. Whoever failed, was silent or lost it begins nothing anew.
        if rollout.state == RolloutState::Paused && told.state != DeliveryState::Begun && !runs {
            return Err(Held::Paused { rollout: rollout.number });
        }
        let begins_anew = computer.attempt_of(release) > told.attempt && !told.state.is_under_way();
        // What a person there was to start goes by itself from now on.
        let by_itself = told.state == DeliveryState::Offered && !by_person;
        if (begins_anew || by_itself) && !runs {
            room(rollout, told.ring, by_person, counts, now)?;
        }
        return Ok(Admitted::Told { rollout, ring: told.ring, told_at: told.told_at });
    }
    if runs {
        return Ok(Admitted::Free);
    }
    if rollout.state == RolloutState::Paused {
        return Err(Held::Paused { rollout: rollout.number });
    }
    // One that was told before and then something else stays in its ring: it counts there.
    let dropped = computer.deliveries.iter().find(|told| told.rollout == rollout.number);
    let ring = dropped.map_or_else(|| ring_index(rollout, computer, plan), |told| told.ring);
    wait_for_content(rollout, computer, plan, now)?;
    if rollout.state != RolloutState::Completed {
        is_open(rollout, ring)?;
        room(rollout, ring, by_person, counts, now)?;
    }
    Ok(Admitted::Now { rollout, ring })
}

/// Whether a ring is open.
fn is_open(rollout: &Rollout, ring: u32) -> Result<(), Held> {
    let index = usize::try_from(ring).unwrap_or(usize::MAX);
    match (rollout.strategy.rings().get(index), rollout.rings.get(index)) {
        (Some(plan), Some(progress)) if progress.state == RingState::Waiting => {
            Err(Held::Ring { rollout: rollout.number, ring, name: plan.name })
        }
        _ => Ok(()),
    }
}

/// Whether a person at the computer starts what it gets.
fn starts_by_person(computer: &Asker<'_>, plan: &Plan) -> bool {
    *plan.settings.delivery_of(computer.groups) == Method::Manual
}

/// Whether one more computer of a ring may begin. Once a rollout is complete, nothing bounds how many do.
fn room(
    rollout: &Rollout,
    ring: u32,
    by_person: bool,
    counts: &LiveCounts,
    now: Timestamp,
) -> Result<(), Held> {
    let plan = rollout.strategy.rings().get(usize::try_from(ring).unwrap_or(usize::MAX));
    // An emergency waits behind nobody.
    let capped = rollout.state != RolloutState::Completed && !rollout.emergency;
    let Some(plan) = plan.filter(|_| capped) else { return Ok(()) };
    let counts = counts.get(&(rollout.number, ring)).copied().unwrap_or_default();
    if let Some(cap) = plan.concurrent.filter(|cap| !by_person && counts.at_work() >= u64::from(*cap)) {
        return Err(Held::Concurrent { rollout: rollout.number, cap });
    }
    let hour = hour_of(now);
    if let Some(cap) = plan.per_hour.filter(|cap| counts.told_in(hour) >= u64::from(*cap)) {
        let until = Timestamp::from_second((hour + 1) * 3600).unwrap_or(Timestamp::MAX);
        return Err(Held::PerHour { rollout: rollout.number, cap, until });
    }
    Ok(())
}

/// The ring of a computer that was not told yet: the first one that takes it.
#[must_use]
pub fn ring_index(rollout: &Rollout, computer: &Asker<'_>, plan: &Plan) -> u32 {
    let early = rollout.kind == PackageKind::Signatures
        && plan.settings.content_of(computer.groups, &rollout.release.package) == Content::Early;
    if early {
        return 0;
    }
    let rings = rollout.strategy.rings().iter().zip(&rollout.rings);
    let found = rings.enumerate().find(|(_, (ring, progress))| match &ring.takes {
        Takes::First(_) => progress.below.is_some_and(|below| share::is_in(computer.position, below)),
        Takes::Share(part) => share::is_in(computer.position, share::Threshold::share(*part)),
        Takes::Group(group) => computer.groups.contains(group),
        Takes::Everyone => true,
    });
    let last = rollout.rings.len().saturating_sub(1);
    u32::try_from(found.map_or(last, |(index, _)| index)).unwrap_or(u32::MAX)
}

/// The delivery of this rollout, unless the computer was told something else since.
fn told_before<'a>(computer: &Asker<'a>, rollout: &Rollout) -> Option<&'a Delivery> {
    computer
        .deliveries
        .iter()
        .find(|told| told.rollout == rollout.number && told.state != DeliveryState::Dropped)
}

/// Whether a block or a pin keeps a release away from a computer.
pub(super) fn kept_away(id: &ReleaseId, computer: &Asker<'_>, plan: &Plan) -> Result<(), Held> {
    blocked(id, computer, plan)?;
    match pin_of(&plan.settings, computer.name, computer.groups, &id.package) {
        Some((name, pin)) if pin.version != id.version => {
            Err(Held::Pinned { name, version: pin.version.clone(), why: pin.why.clone() })
        }
        _ => Ok(()),
    }
}

fn blocked(id: &ReleaseId, computer: &Asker<'_>, plan: &Plan) -> Result<(), Held> {
    let of = |block: &Block| {
        block.package.as_ref().is_none_or(|package| *package == id.package)
            && block.version.as_ref().is_none_or(|version| *version == id.version)
    };
    match blocks_of(&plan.settings, computer.name, computer.groups).find(|(_, block)| of(block)) {
        Some((name, block)) => Err(Held::Blocked { name, why: block.why.clone() }),
        None => Ok(()),
    }
}

/// Whether a release that was replaced may come back to a computer: one that went to everybody before, and one that its pin
/// names. What was replaced at its first rings has shown nothing.
#[must_use]
pub fn may_come_back(release: &KnownRelease, computer: &Asker<'_>, plan: &Plan) -> bool {
    let pinned = || pin_of(&plan.settings, computer.name, computer.groups, &release.release.package);
    !release.rolling_out.contains(computer.channel)
        || pinned().is_some_and(|(_, pin)| pin.version == release.release.version)
}

/// The blocks that keep something away from a computer, by name.
pub(in crate::rules) fn blocks_of<'p>(
    settings: &'p Settings,
    name: &ComputerName,
    groups: &BTreeSet<GroupName>,
) -> impl Iterator<Item = (Word, &'p Block)> {
    let blocks = settings.blocks.iter().filter(|(_, block)| block.of.is(name, groups));
    blocks.map(|(name, block)| (*name, block))
}

/// The pin that counts for a computer and a package: of the computer itself before one of a group before one of everybody.
pub(in crate::rules) fn pin_of<'p>(
    settings: &'p Settings,
    name: &ComputerName,
    groups: &BTreeSet<GroupName>,
    package: &PackageName,
) -> Option<(Word, &'p Pin)> {
    let narrow = |pin: &Pin| match pin.of {
        Target::Computer(_) => 0,
        Target::Group(_) => 1,
        Target::Everyone => 2,
    };
    let pins = settings.pins.iter();
    pins.filter(|(_, pin)| pin.package == *package && pin.of.is(name, groups))
        .min_by_key(|(_, pin)| narrow(pin))
        .map(|(name, pin)| (*name, pin))
}

/// Whether signature files come to a computer later.
pub(super) fn wait_for_content(
    rollout: &Rollout,
    computer: &Asker<'_>,
    plan: &Plan,
    now: Timestamp,
) -> Result<(), Held> {
    if rollout.kind != PackageKind::Signatures || rollout.emergency {
        return Ok(());
    }
    let package = &rollout.release.package;
    let by = || plan.settings.content_set_by(computer.groups, package);
    match plan.settings.content_of(computer.groups, package) {
        Content::Early | Content::General => Ok(()),
        Content::Paused => Err(Held::ContentPaused { by: by() }),
        Content::Delayed(delay) => {
            let until = rollout.started_at.checked_add(delay.duration()).unwrap_or(Timestamp::MAX);
            if now < until { Err(Held::ContentDelayed { until, by: by() }) } else { Ok(()) }
        }
    }
}

#[cfg(test)]
mod tests;
