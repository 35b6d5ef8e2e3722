//! What the log tells of rollouts that happened, for a replay under another strategy.
//!
//! Entries are taken in order, and a rollout is given out once nothing changes in it any more. Invariant: at most
//! [`MAX_HELD`] computers of rollouts are held at one time, whatever the log says; past that the oldest rollout is given out as it
//! is, and says so.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, PackageName};
use sealpost_manifests::wire::report::{InstallStep, Outcome};
use sealpost_manifests::word::Word;

use super::activity::Change;
use super::entry::ActivityEntry;
use super::parts::DeliveryStep;
use crate::rules::account::Actor;
use crate::rules::release::{KnownRelease, Supersession};
use crate::rules::reports::ReportEffect;
use crate::rules::rollouts::progress::DeliveryState;
use crate::rules::rollouts::replay::outcome::Ended;
use crate::rules::rollouts::replay::past::{OpenedRing, Past, ToldThen};

/// Computers of rollouts that are held at one time, some 130 bytes each.
pub const MAX_HELD: usize = 200_000;

/// The kinds of entries that say who a client is, as the log names them.
pub const IDENTITIES: [&str; 2] = ["client_enrolled", "client_resumed"];

/// The kinds of entries that tell of rollouts, as the log names them.
pub const TELLING: [&str; 9] = [
    "release_approved",
    "ring_opened",
    "rollout_completed",
    "rollout_resumed",
    "release_halted",
    "release_withdrawn",
    "assignment_changed",
    "step_reported",
    "deliveries_changed",
];

/// Collects rollouts from the entries of a log.
#[derive(Debug)]
pub struct Pasts {
    releases: BTreeMap<Sha256Digest, KnownRelease>,
    members: BTreeMap<ComputerName, usize>,
    clients: BTreeMap<ClientId, usize>,
    package: Option<PackageName>,
    most: usize,
    held: usize,
    open: BTreeMap<u64, Past>,
    done: Vec<Past>,
}

impl Pasts {
    /// `releases` are all that the site knows, `members` the places of computers by name; only rollouts of `package` if one is
    /// named.
    #[must_use]
    pub fn new(
        releases: BTreeMap<Sha256Digest, KnownRelease>,
        members: BTreeMap<ComputerName, usize>,
        package: Option<PackageName>,
    ) -> Self {
        Self {
            releases,
            members,
            clients: BTreeMap::new(),
            package,
            most: MAX_HELD,
            held: 0,
            open: BTreeMap::new(),
            done: Vec::new(),
        }
    }

    /// Learns whose a client id is, from an entry of one of [`IDENTITIES`].
    pub fn learn(&mut self, change: &Change) {
        let (client, name, replaced) = match change {
            Change::ClientEnrolled { client_id, name, replaces, .. } => (client_id, name, replaces.as_ref()),
            Change::ClientResumed { client_id, name, recreated, .. } => {
                let replaced = recreated.as_ref().and_then(|recreated| recreated.replaces.as_ref());
                (client_id, name, replaced)
            }
            _ => return,
        };
        if let Some(member) = self.members.get(name) {
            for id in [Some(client), replaced].into_iter().flatten() {
                self.clients.insert(id.clone(), *member);
            }
        }
    }

    /// Takes the next entry, of one of [`TELLING`].
    pub fn take(&mut self, entry: &ActivityEntry) {
        let at = entry.at;
        match &entry.change {
            Change::ReleaseApproved { manifest, approval, rollout, staged, supersession, .. } => {
                self.replaced(supersession, at);
                if let Some(past) = self.open.get_mut(rollout) {
                    // It goes to more channels, by the same rollout.
                    past.channels.clone_from(&approval.channels);
                    return;
                }
                let wanted = self.releases.get(manifest).filter(|known| self.is_wanted(known)).cloned();
                let Some(release) = wanted else { return };
                let mut past = Past {
                    number: *rollout,
                    release,
                    channels: approval.channels.clone(),
                    strategy: None,
                    emergency: false,
                    started_at: at,
                    rings: BTreeMap::new(),
                    ended: None,
                    told: BTreeMap::new(),
                    cut: false,
                };
                let mut at_once = Some(Word::known("everyone"));
                if let Some(staged) = staged {
                    past.channels.clone_from(&staged.channels);
                    past.strategy = Some(staged.strategy);
                    past.emergency = staged.emergency;
                    at_once = staged.plan.rings().last().map(|ring| ring.name).filter(|_| staged.complete);
                }
                if let Some(name) = at_once {
                    past.rings.insert(0, OpenedRing { name, at });
                    past.ended = Some(Ended::Completed { at });
                }
                self.open.insert(*rollout, past);
            }
            Change::RingOpened { rollout, ring, name, .. } => {
                if let Some(past) = self.open.get_mut(rollout) {
                    past.rings.insert(*ring, OpenedRing { name: *name, at });
                }
            }
            Change::RolloutCompleted { rollout, supersession, .. } => {
                self.ends(*rollout, Some(Ended::Completed { at }));
                self.replaced(supersession, at);
            }
            Change::RolloutResumed { rollout, .. } => self.ends(*rollout, None),
            Change::ReleaseHalted { manifest, .. } => {
                let by_itself = matches!(entry.actor, Actor::Server);
                let ended = if by_itself { Ended::Halted { at } } else { Ended::Stopped { at } };
                self.release_ends(*manifest, ended);
            }
            Change::ReleaseWithdrawn { manifest, .. } => self.release_ends(*manifest, Ended::Stopped { at }),
            Change::AssignmentChanged { client_id, deliveries, .. } => {
                let Some(member) = self.clients.get(client_id).copied() else { return };
                deliveries.iter().for_each(|step| self.delivered(member, step, at));
            }
            Change::StepReported { client_id, report, effect, delivery } => {
                let Some(member) = self.clients.get(client_id).copied() else { return };
                match delivery {
                    Some(step) => self.delivered(member, step, at),
                    None => {
                        let kept = report.step == InstallStep::Keep && report.outcome == Outcome::Ok;
                        self.reported(report.rollout, member, *effect, kept, at);
                    }
                }
            }
            Change::DeliveriesChanged { computers, .. } => {
                for of in computers {
                    if let Some(member) = self.members.get(&of.name).copied() {
                        self.delivered(member, &of.step, at);
                    }
                }
            }
            _ => {}
        }
    }

    /// Rollouts in which nothing changes any more.
    pub fn finished(&mut self) -> Vec<Past> {
        std::mem::take(&mut self.done)
    }

    /// All that are left, at the end of the log.
    #[must_use]
    pub fn end(self) -> Vec<Past> {
        self.done.into_iter().chain(self.open.into_values()).collect()
    }

    fn is_wanted(&self, known: &KnownRelease) -> bool {
        self.package.as_ref().is_none_or(|package| *package == known.release.package)
    }

    fn ends(&mut self, rollout: u64, ended: Option<Ended>) {
        if let Some(past) = self.open.get_mut(&rollout) {
            past.ended = ended;
        }
    }

    /// The newest rollout of a release ends.
    fn release_ends(&mut self, manifest: Sha256Digest, ended: Ended) {
        if let Some(past) = self.open.values_mut().rev().find(|past| past.release.manifest == manifest) {
            past.ended = Some(ended);
        }
    }

    /// Newer releases take the place of others: nothing changes in their rollouts any more.
    fn replaced(&mut self, supersession: &Supersession, at: Timestamp) {
        if supersession.superseded.is_empty() {
            return;
        }
        let replaced = |past: &Past| supersession.superseded.contains(&past.release.manifest);
        let numbers: Vec<u64> =
            self.open.values().filter(|past| replaced(past)).map(|past| past.number).collect();
        for number in numbers {
            if let Some(past) = self.open.get_mut(&number)
                && !matches!(past.ended, Some(Ended::Completed { .. }))
            {
                past.ended = Some(Ended::TakenOver { at });
            }
            self.close(number, false);
        }
    }

    fn close(&mut self, number: u64, cut: bool) {
        if let Some(mut past) = self.open.remove(&number) {
            self.held = self.held.saturating_sub(past.told.len());
            past.cut = cut;
            self.done.push(past);
        }
    }

    /// What became of a rollout on a computer.
    fn delivered(&mut self, member: usize, step: &DeliveryStep, at: Timestamp) {
        let Some(past) = self.open.get_mut(&step.rollout) else { return };
        if let Some(told) = past.told.get_mut(&member) {
            told.step(at, step.after);
        } else if step.after.is_told() {
            past.told.insert(member, ToldThen::new(step.ring, at, step.silence_secs));
            self.hold_one_more(step.rollout);
        }
    }

    /// A report of a rollout that counted nobody: it went to everybody at once.
    fn reported(&mut self, rollout: u64, member: usize, effect: ReportEffect, kept: bool, at: Timestamp) {
        let Some(past) = self.open.get_mut(&rollout).filter(|past| past.strategy.is_none()) else { return };
        let state = match effect {
            ReportEffect::Unlisted => return,
            ReportEffect::Failure => DeliveryState::Failed,
            ReportEffect::Progress if kept => DeliveryState::Succeeded,
            ReportEffect::Progress => DeliveryState::Begun,
        };
        let told = past.told.len();
        past.told.entry(member).or_insert_with(|| ToldThen::new(0, at, None)).step(at, state);
        if past.told.len() > told {
            self.hold_one_more(rollout);
        }
    }

    fn hold_one_more(&mut self, rollout: u64) {
        self.held += 1;
        // The oldest of the others goes; of one alone its own computers bound what is held.
        while self.held > self.most
            && let Some(oldest) = self.open.keys().copied().find(|number| *number != rollout)
        {
            self.close(oldest, true);
        }
    }
}

#[cfg(test)]
mod tests;
