//! What all contacts are decided with: the settings and the rollouts, as one value that changes seldom.
//!
//! Invariant: a plan holds every rollout that can hold a computer back or give it something: those that are live, and those
//! whose release is approved. What became of computers is not in it, because that changes with each contact: see
//! [`LiveCounts`].

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
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
    /// Superseded releases that pins and blocks may bring back.
    pub replaced: Vec<KnownRelease>,
    /// Mandatory releases, whatever was decided about them.
    pub waypoints: Vec<KnownRelease>,
    /// Accounts, and what waits for a second person.
    pub approvals: Approvals,
}

/// What became of the computers of each ring of the rollouts in the plan, by rollout and ring.
pub type LiveCounts = BTreeMap<(u64, u32), RingCounts>;

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
    /// When it was told.
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
}

impl Plan {
    /// The rollout that a release reaches the computers of a channel by; `None` when nothing holds it back there.
    #[must_use]
    pub fn rollout_of(&self, manifest: Sha256Digest, channel: &ChannelName) -> Option<&Rollout> {
        self.rollouts
            .iter()
            .rev()
            .find(|rollout| rollout.manifest == manifest && rollout.channels.contains(channel))
    }

    /// A rollout by its number.
    #[must_use]
    pub fn rollout(&self, number: u64) -> Option<&Rollout> {
        self.rollouts.iter().find(|rollout| rollout.number == number)
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
