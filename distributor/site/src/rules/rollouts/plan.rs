//! What all contacts are decided with: the settings and the rollouts, as one value that changes seldom.
//!
//! Invariant: a plan holds every rollout that can hold a computer back or give it something: those that are live, those whose
//! release is approved, and of signature files those that computers with a delay are still waiting for. What became of computers is not in it, because that changes with each contact: see
//! [`LiveRings`].

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, ComputerName, PackageName};

use super::groups::{Attributes, GroupName};
use super::progress::{DeliveryState, RingCounts, Rollout};
use super::settings::Settings;
use crate::rules::approvals::Approvals;
use crate::rules::release::KnownRelease;

/// Settings and rollouts of one moment.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Rises with each change of a setting or a rollout.
    pub version: u64,
    /// What the site chose.
    pub settings: Settings,
    /// Rollouts, by number.
    pub rollouts: Vec<Rollout>,
    /// Superseded releases that pins and blocks may bring back, and that computers with a delay get.
    pub replaced: Vec<KnownRelease>,
    /// Mandatory releases, whatever was decided about them.
    pub waypoints: Vec<KnownRelease>,
    /// Accounts, and what waits for a second person.
    pub approvals: Approvals,
}

/// What became of the computers of each ring of the rollouts in the plan, by rollout and ring.
pub type LiveCounts = BTreeMap<(u64, u32), RingCounts>;

/// How long each ring of the rollouts in the plan was watched, by rollout and ring.
pub type LiveSoaks = BTreeMap<(u64, u32), SignedDuration>;

/// How far the open rings of the rollouts in a plan are: what changes with each contact.
#[derive(Debug, Clone, Default)]
pub struct LiveRings {
    /// What became of their computers.
    pub counts: LiveCounts,
    /// How long they were watched.
    pub soaks: LiveSoaks,
    /// The rollouts of the plan of this version as far as they are now, once somebody asked for them.
    now: OnceLock<(u64, Vec<RolloutNow>)>,
}

/// A rollout as far as it is now.
#[derive(Debug, Clone)]
pub struct RolloutNow {
    /// With what the plan leaves out because it changes with each contact.
    pub rollout: Rollout,
    /// What is said to those who wait in its rings, by ring, once somebody asked.
    said: Vec<OnceLock<String>>,
}

impl RolloutNow {
    /// What is said to those who wait in a ring: made by `words` at the first of them. Thousands of contacts ask, and nothing of
    /// it changes before a computer does something.
    pub fn said(&self, ring: u32, words: impl FnOnce() -> String) -> Cow<'_, str> {
        match usize::try_from(ring).ok().and_then(|ring| self.said.get(ring)) {
            Some(said) => Cow::Borrowed(said.get_or_init(words)),
            None => Cow::Owned(words()),
        }
    }
}

impl LiveRings {
    /// As far as these counts and soaks say.
    #[must_use]
    pub fn new(counts: LiveCounts, soaks: LiveSoaks) -> Self {
        Self { counts, soaks, now: OnceLock::new() }
    }

    fn brought_up(&self, rollout: &Rollout) -> RolloutNow {
        let mut rollout = rollout.clone();
        let number = rollout.number;
        for (ring, progress) in (0_u32..).zip(&mut rollout.rings) {
            progress.counts = self.counts.get(&(number, ring)).copied().unwrap_or_default();
            progress.soaked = self.soaks.get(&(number, ring)).copied().unwrap_or_default();
        }
        let said = iter::repeat_with(OnceLock::new).take(rollout.rings.len()).collect();
        RolloutNow { rollout, said }
    }
}

/// What became of one rollout on one computer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The rollout.
    pub rollout: u64,
    /// Its package.
    pub package: PackageName,
    /// The manifest of its release.
    pub manifest: Sha256Digest,
    /// The ring in which the computer was told, from 0. It stays in it.
    pub ring: u32,
    /// What became of it.
    pub state: DeliveryState,
    /// The attempt that it was told.
    pub attempt: u32,
    /// Since when it waits: when it was told, or told an older release of the package that it has not finished.
    pub told_at: Timestamp,
}

/// The computer that asks, as rollouts look at it.
#[derive(Debug, Clone, Copy)]
pub struct Asker<'a> {
    /// Its name.
    pub name: &'a ComputerName,
    /// Its place among all computers.
    pub position: u64,
    /// The groups that it belongs to.
    pub groups: &'a BTreeSet<GroupName>,
    /// The channel that it follows.
    pub channel: &'a ChannelName,
    /// What became of the rollouts that it was told, the newest of each package.
    pub deliveries: &'a [Delivery],
    /// Attempts of its own, by manifest: an admin lets it try again.
    pub attempts: &'a BTreeMap<Sha256Digest, u32>,
}

/// Of a computer that no admin lets try again.
pub static NO_ATTEMPTS: BTreeMap<Sha256Digest, u32> = BTreeMap::new();

/// Since when a computer waits for a newer release of a package, if it was told another one than that of `rollout` and has not
/// finished it: releases that come faster than windows and deadlines do not begin these anew.
#[must_use]
pub fn waits_since(deliveries: &[Delivery], package: &PackageName, rollout: u64) -> Option<Timestamp> {
    let waits = deliveries
        .iter()
        .filter(|told| told.package == *package && told.rollout != rollout && told.state.is_under_way());
    waits.map(|told| told.told_at).min()
}

impl Asker<'_> {
    /// The attempt in which it is to install a release.
    #[must_use]
    pub fn attempt_of(&self, release: &KnownRelease) -> u32 {
        attempt_of(release, self.attempts)
    }
}

/// The attempt in which a computer with these attempts of its own is to install a release.
#[must_use]
pub fn attempt_of(release: &KnownRelease, attempts: &BTreeMap<Sha256Digest, u32>) -> u32 {
    attempts.get(&release.manifest).copied().unwrap_or(0).max(release.attempt).max(1)
}

impl Plan {
    /// The rollout that a release reaches the computers of a channel by; `None` when nothing holds it back there.
    #[must_use]
    pub fn rollout_of(&self, release: &KnownRelease, channel: &ChannelName) -> Option<&Rollout> {
        let brings =
            |rollout: &&Rollout| rollout.manifest == release.manifest && rollout.channels.contains(channel);
        // Its last one, by number: a plan with delays has hundreds.
        let last = release.rollout.and_then(|last| {
            let at = self.rollouts.binary_search_by_key(&last, |rollout| rollout.number).ok()?;
            self.rollouts.get(at)
        });
        last.filter(brings).or_else(|| self.rollouts.iter().rev().find(brings))
    }

    /// A rollout by its number.
    #[must_use]
    pub fn rollout(&self, number: u64) -> Option<&Rollout> {
        self.rollouts.iter().find(|rollout| rollout.number == number)
    }

    /// A rollout as far as it is now.
    #[must_use]
    pub fn rollout_now<'a>(&self, number: u64, live: &'a LiveRings) -> Option<Cow<'a, RolloutNow>> {
        let all = || (self.version, self.rollouts.iter().map(|rollout| live.brought_up(rollout)).collect());
        let (version, rollouts) = live.now.get_or_init(all);
        if *version == self.version {
            return rollouts.iter().find(|now| now.rollout.number == number).map(Cow::Borrowed);
        }
        self.rollout(number).map(|rollout| Cow::Owned(live.brought_up(rollout)))
    }

    /// Takes up superseded signature files that came to their end, with the rollouts that brought them, as far as a computer
    /// with a delay can still be told them: what was approved within the longest delay of its package before the newest one, and
    /// for each platform and channel one more before that. So the plan does not hang on the time of day: whoever gets what was approved
    /// so long ago finds it here at any time.
    #[must_use]
    pub fn with_delayed(mut self, candidates: Vec<(KnownRelease, Rollout)>) -> Self {
        if candidates.is_empty() {
            return self;
        }
        let mut newest: BTreeMap<PackageName, Timestamp> = BTreeMap::new();
        for rollout in self.rollouts.iter().chain(candidates.iter().map(|(_, rollout)| rollout)) {
            let known = newest.entry(rollout.release.package.clone()).or_insert(rollout.started_at);
            *known = rollout.started_at.max(*known);
        }
        let since_of = |(package, newest): (PackageName, Timestamp)| {
            let delay = self.settings.longest_delay_of(&package)?;
            Some((package, newest.checked_sub(delay).ok()))
        };
        let since: BTreeMap<PackageName, Option<Timestamp>> =
            newest.into_iter().filter_map(since_of).collect();
        let mut candidates = candidates;
        candidates.sort_by_key(|(_, rollout)| Reverse(rollout.started_at));
        let mut one_more = BTreeSet::new();
        for (release, rollout) in candidates {
            let id = &rollout.release;
            // Nobody waits for others.
            let Some(since) = since.get(&id.package) else { continue };
            let wanted = since.is_none_or(|since| rollout.started_at >= since) || {
                let lines = rollout.channels.iter();
                let lines = lines.map(|channel| (id.package.clone(), id.platform.clone(), channel.clone()));
                lines.filter(|line| one_more.insert(line.clone())).count() > 0
            };
            if !wanted {
                continue;
            }
            if self.replaced.iter().all(|known| known.manifest != release.manifest) {
                self.replaced.push(release);
            }
            if self.rollout(rollout.number).is_none() {
                self.rollouts.push(rollout);
            }
        }
        self.rollouts.sort_by_key(|rollout| rollout.number);
        self
    }

    /// Superseded releases that some computer may be told now or later, so that their files are needed: what is pinned, and
    /// what computers with a delay wait for.
    pub fn still_told(&self) -> impl Iterator<Item = &KnownRelease> {
        let pinned = |release: &KnownRelease| {
            let mut pins = self.settings.pins.values();
            pins.any(|pin| pin.package == release.release.package && pin.version == release.release.version)
        };
        let comes =
            |release: &KnownRelease| self.rollouts.iter().any(|rollout| rollout.manifest == release.manifest);
        self.replaced.iter().filter(move |release| pinned(release) || comes(release))
    }

    /// The groups that a computer belongs to; `listed` are those that list it by name.
    #[must_use]
    pub fn groups_of(
        &self,
        listed: &BTreeSet<GroupName>,
        attributes: &Attributes<'_>,
    ) -> BTreeSet<GroupName> {
        let groups = self.settings.groups.iter();
        groups
            .filter(|(name, settings)| settings.takes(listed.contains(*name), attributes))
            .map(|(name, _)| name.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
