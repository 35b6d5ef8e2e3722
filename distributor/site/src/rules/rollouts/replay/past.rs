//! One rollout as it really went: when its rings opened, and what became of it on each computer.
//!
//! Invariant: a computer keeps at most [`MAX_STEPS`] steps, so that what one rollout takes in memory is bounded by the number of
//! computers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::ids::{ChannelName, ComputerName, Platform};
use sealpost_manifests::word::Word;

use super::outcome::{Course, Ended, RingCourse};
use crate::rules::assignment::Licensed;
use crate::rules::release::KnownRelease;
use crate::rules::rollouts::groups::GroupName;
use crate::rules::rollouts::progress::{DeliveryState, USUAL_CADENCE};

/// Steps that are kept of one computer in one rollout: told, begun, and how it ended, twice.
pub const MAX_STEPS: usize = 6;

/// A computer, as it stands today.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its name.
    pub name: ComputerName,
    /// Its place among all computers.
    pub position: u64,
    /// The groups that it belongs to.
    pub groups: BTreeSet<GroupName>,
    /// The channel that it follows.
    pub channel: ChannelName,
    /// The platform that it runs.
    pub platform: Platform,
    /// What its grants cover.
    pub licensed: Licensed,
}

impl Member {
    /// Whether it may have a release that went to these channels.
    #[must_use]
    pub fn may_have(&self, release: &KnownRelease, channels: &[ChannelName]) -> bool {
        channels.contains(&self.channel)
            && release.release.platform.fits(&self.platform)
            && self.licensed.covers(&release.release.package)
    }
}

/// One rollout, as the log tells it.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its number.
    pub number: u64,
    /// What went out.
    pub release: KnownRelease,
    /// The channels whose computers it took.
    pub channels: Vec<ChannelName>,
    /// The name of its strategy; absent when it went to everybody at once, before there were strategies.
    pub strategy: Option<Word>,
    /// Computers waited for no content policy.
    pub emergency: bool,
    /// When it was approved.
    pub started_at: Timestamp,
    /// Its rings that opened, by their place.
    pub rings: BTreeMap<u32, OpenedRing>,
    /// How it ended, if it did.
    pub ended: Option<Ended>,
    /// What became of it on computers, by their place in the list of members.
    pub told: BTreeMap<usize, ToldThen>,
    /// Whether what became of some computers was given up, to stay within a bound of memory.
    pub cut: bool,
}

/// A ring that opened.
#[derive(Debug, Clone, Copy)]
pub struct OpenedRing {
    /// Its name.
    pub name: Word,
    /// When it opened.
    pub at: Timestamp,
}

/// What became of a rollout on one computer.
#[derive(Debug, Clone)]
pub struct ToldThen {
    /// The ring in which it was told.
    pub ring: u32,
    /// When it was told.
    pub at: Timestamp,
    /// How long it usually pauses between two contacts, at the most, in seconds.
    pause_secs: u32,
    /// What became of it, so many seconds after it was told; at most [`MAX_STEPS`].
    steps: Vec<(u32, DeliveryState)>,
}

impl ToldThen {
    /// A computer that is told; of the seconds without a word from it that are no failure, if they are known, half is its usual
    /// pause at the most: they are twice that, and its window.
    #[must_use]
    pub fn new(ring: u32, at: Timestamp, silence_secs: Option<u32>) -> Self {
        let usual = u32::try_from(USUAL_CADENCE.as_secs()).unwrap_or(u32::MAX);
        let pause_secs = silence_secs.map_or(usual, |secs| secs / 2);
        Self { ring, at, pause_secs, steps: Vec::new() }
    }

    /// How long it usually pauses between two contacts, at the most.
    #[must_use]
    pub fn pause(&self) -> SignedDuration {
        SignedDuration::from_secs(self.pause_secs.into())
    }

    /// A further step; the same as the last one is none.
    pub fn step(&mut self, at: Timestamp, state: DeliveryState) {
        if self.steps.len() < MAX_STEPS && self.steps.last().is_none_or(|(_, last)| *last != state) {
            let after = at.duration_since(self.at).as_secs().max(0);
            self.steps.push((u32::try_from(after).unwrap_or(u32::MAX), state));
        }
    }

    /// What became of it, each so long after it was told.
    pub fn steps(&self) -> impl Iterator<Item = (SignedDuration, DeliveryState)> {
        self.steps.iter().map(|(after, state)| (SignedDuration::from_secs((*after).into()), *state))
    }

    /// When it first was in one of these states.
    fn first(&self, states: &[DeliveryState]) -> Option<Timestamp> {
        let (after, _) = self.steps().find(|(_, state)| states.contains(state))?;
        self.at.checked_add(after).ok()
    }

    /// How it ended first, after how long; nothing when it did not.
    #[must_use]
    pub fn end(&self) -> Option<(SignedDuration, DeliveryState)> {
        let ends =
            |state| matches!(state, DeliveryState::Succeeded | DeliveryState::Failed | DeliveryState::Silent);
        self.steps().find(|(_, state)| ends(*state))
    }
}

impl Past {
    /// When a ring opened; the approval where that is not known.
    #[must_use]
    pub fn opened(&self, ring: u32) -> Timestamp {
        self.rings.get(&ring).map_or(self.started_at, |ring| ring.at)
    }

    /// Whether it was stopped before it reached everybody.
    #[must_use]
    pub const fn was_stopped(&self) -> bool {
        matches!(self.ended, Some(Ended::Halted { .. } | Ended::Stopped { .. }))
    }

    /// When somebody stopped it from outside: not its own threshold.
    #[must_use]
    pub const fn stopped_at(&self) -> Option<(Timestamp, Ended)> {
        match self.ended {
            Some(ended @ (Ended::Stopped { at } | Ended::TakenOver { at })) => Some((at, ended)),
            _ => None,
        }
    }

    /// What really happened.
    #[must_use]
    pub fn course(&self) -> Course {
        let mut rings: Vec<RingCourse> = Vec::new();
        for (index, ring) in &self.rings {
            let opened_at = Some(ring.at);
            let mut course = RingCourse { name: ring.name, opened_at, told: 0, succeeded: 0, failed: 0 };
            for told in self.told.values().filter(|told| told.ring == *index) {
                course.told += 1;
                course.succeeded += u64::from(told.first(&[DeliveryState::Succeeded]).is_some());
                course.failed +=
                    u64::from(told.first(&[DeliveryState::Failed, DeliveryState::Silent]).is_some());
            }
            rings.push(course);
        }
        let had = self.told.values().filter_map(|told| told.first(&[DeliveryState::Succeeded]));
        let ended = self.ended.unwrap_or(Ended::Open);
        Course::new(rings, ended, had.map(|at| at.duration_since(self.started_at)).collect())
    }
}
