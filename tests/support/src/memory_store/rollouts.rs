//! Settings, groups and rollouts: what changes do to them. What became of computers is kept for each of them, and counted when
//! somebody asks.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName, PackageName};
use sealpost_site::changes::tries::Reported;
use sealpost_site::changes::{ActivityEntry, Change, DeliveryStep, Note, NoteKey, StagedRollout};
use sealpost_site::rows::ReleaseRow;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::plan::{Delivery, LiveCounts, LiveSoaks};
use sealpost_site::rules::rollouts::progress::{
    DeliveryState, RingCounts, RingProgress, RingState, Rollout, RolloutState, StateChange, hour_of,
};
use sealpost_site::rules::rollouts::settings::Settings;

use super::rolling::{Kept, KeptRing, ToldComputer};
use super::state::State;

impl State {
    /// Applies a change of settings or of a rollout; any other does nothing here. What it does to releases is applied beside.
    pub(super) fn project_rollout(&mut self, entry: &ActivityEntry) {
        match &entry.change {
            Change::SettingsChanged { changes, .. } => {
                for change in changes {
                    // The command took it over in the same way before.
                    let _ = self.rolling.settings.set(change);
                }
                self.replan(entry);
            }
            Change::GroupMembersChanged { group, added, removed, .. } => {
                let members = self.rolling.members.entry(group.clone()).or_default();
                members.extend(added.iter().cloned());
                members.retain(|name| !removed.contains(name));
            }
            Change::RingOpened { rollout, ring, below, .. } => {
                self.with_ring(*rollout, *ring, |ring| ring.opened = Some((entry.at, *below)));
                self.replan(entry);
            }
            Change::RolloutCompleted { rollout, .. } => {
                self.becomes(entry, *rollout, RolloutState::Completed, "");
            }
            Change::RolloutPaused { rollout, comment, .. } => {
                self.becomes(entry, *rollout, RolloutState::Paused, comment);
            }
            Change::RolloutResumed { rollout, forgiven, comment, .. } => {
                self.becomes(entry, *rollout, RolloutState::Running, comment);
                for (ring, forgiven) in (0..).zip(forgiven) {
                    self.with_ring(*rollout, ring, |ring| ring.forgiven = *forgiven);
                }
            }
            Change::RolloutEdited { rollout, strategy, plan, emergency, .. } => {
                if let Some(kept) = self.rolling.rollouts.get_mut(rollout) {
                    kept.strategy_name = *strategy;
                    kept.strategy = plan.clone();
                    kept.emergency = *emergency;
                    kept.rings.resize_with(plan.rings().len(), KeptRing::default);
                }
                self.replan(entry);
            }
            Change::DeliveriesChanged { computers, .. } => {
                for of in computers {
                    self.delivered(entry, &of.client_id, &of.step);
                }
            }
            _ => {}
        }
    }

    pub(super) fn replan(&mut self, entry: &ActivityEntry) {
        self.rolling.version = entry.sequence;
    }

    /// A consequence for what a plan may show, once there is one.
    pub(super) fn replan_again(&mut self, entry: &ActivityEntry) {
        if self.rolling.version > 0 {
            self.rolling.version = entry.sequence;
        }
    }

    fn with_ring(&mut self, rollout: u64, ring: u32, change: impl FnOnce(&mut KeptRing)) {
        let kept = self.rolling.rollouts.get_mut(&rollout);
        if let Some(ring) = kept.and_then(|kept| kept.rings.get_mut(ring as usize)) {
            change(ring);
        }
    }

    fn becomes(&mut self, entry: &ActivityEntry, rollout: u64, state: RolloutState, why: &str) {
        if let Some(kept) = self.rolling.rollouts.get_mut(&rollout) {
            kept.state = state;
            kept.changed = Some(changed(entry, why));
        }
        self.replan(entry);
    }

    /// A release goes out: a new rollout, or one that goes on with further channels.
    pub(super) fn rollout_begun(
        &mut self,
        entry: &ActivityEntry,
        number: u64,
        manifest: Sha256Digest,
        staged: &StagedRollout,
    ) {
        let StagedRollout { strategy, plan, channels, emergency, complete } = staged;
        let state = if *complete { RolloutState::Completed } else { RolloutState::Running };
        let opened = complete.then_some((entry.at, None));
        let ring = KeptRing { opened, ..KeptRing::default() };
        let kept = self.rolling.rollouts.entry(number).or_insert_with(|| Kept {
            manifest,
            channels: Vec::new(),
            strategy_name: *strategy,
            strategy: plan.clone(),
            emergency: false,
            state,
            started_at: entry.at,
            changed: None,
            superseded_from: None,
            rings: vec![ring; plan.rings().len()],
        });
        kept.channels.clone_from(channels);
        kept.emergency = *emergency;
        self.rolling.rolling_out.remove(&manifest);
        if !complete {
            self.rolling.rolling_out.insert(manifest, channels.clone());
        }
        self.replan(entry);
    }

    /// The rollouts of a release end with it.
    pub(super) fn rollouts_ended(
        &mut self,
        entry: &ActivityEntry,
        manifest: &Sha256Digest,
        ends: RolloutState,
        why: &str,
    ) {
        use RolloutState::{Completed, Halted, Paused, Running, Superseded};
        self.end(entry, manifest, &[Running, Paused, Halted, Completed, Superseded], ends, why);
        self.replan_again(entry);
    }

    /// A newer release took the place of this one: its rollouts that still ran end.
    pub(super) fn rollouts_superseded(&mut self, entry: &ActivityEntry, manifest: &Sha256Digest) {
        use RolloutState::{Paused, Running, Superseded};
        self.end(entry, manifest, &[Running, Paused], Superseded, "");
    }

    /// Its release is approved again: a rollout that a newer one ended goes on where it was.
    pub(super) fn rollouts_restored(&mut self, entry: &ActivityEntry, manifest: &Sha256Digest) {
        let of_release = self.rolling.rollouts.values_mut().filter(|kept| kept.manifest == *manifest);
        for kept in of_release.filter(|kept| kept.state == RolloutState::Superseded) {
            if let Some(before) = kept.superseded_from.take() {
                kept.state = before;
                kept.changed = Some(changed(entry, ""));
            }
        }
    }

    fn end(
        &mut self,
        entry: &ActivityEntry,
        manifest: &Sha256Digest,
        from: &[RolloutState],
        ends: RolloutState,
        why: &str,
    ) {
        let of_release = self.rolling.rollouts.iter_mut().filter(|(_, kept)| kept.manifest == *manifest);
        for (is_newest, (_, kept)) in
            std::iter::once(true).chain(std::iter::repeat(false)).zip(of_release.rev())
        {
            let halted_before = kept.state == RolloutState::Halted && !is_newest;
            if !from.contains(&kept.state) || (halted_before && ends != RolloutState::Withdrawn) {
                continue;
            }
            kept.superseded_from = (ends == RolloutState::Superseded).then_some(kept.state);
            kept.state = ends;
            kept.changed = Some(changed(entry, why));
        }
    }

    /// A report leaves something with the delivery that its entry moves on, else with the newest one of its release there.
    pub(super) fn reported(
        &mut self,
        client_id: &ClientId,
        reported: &Reported,
        step: Option<&DeliveryStep>,
    ) {
        let of_client = self.rolling.told.iter_mut().filter(|((_, other), _)| other == client_id);
        let is_meant = |number: u64, told: &ToldComputer| match step {
            Some(step) => step.rollout == number,
            None => {
                let Delivery { manifest, attempt, .. } = &told.delivery;
                told.is_newest && *manifest == reported.manifest && *attempt <= reported.attempt
            }
        };
        for ((number, _), told) in of_client {
            if is_meant(*number, told) {
                reported.add_to(&mut told.tries, told.delivery.state);
            }
        }
    }

    /// What became of a rollout on one computer.
    pub(super) fn delivered(&mut self, entry: &ActivityEntry, client_id: &ClientId, step: &DeliveryStep) {
        let key = (step.rollout, client_id.clone());
        self.forgive_no_more_than_failed(&key);
        let before = self.rolling.told.get(&key).map(|told| (told.delivery.state, told.delivery.attempt));
        if !step.after.tells_anew(before, step.attempt) {
            if let Some(told) = self.rolling.told.get_mut(&key) {
                told.delivery.state = step.after;
                told.since = entry.at;
                if let Some(secs) = step.silence_secs {
                    told.silence = SignedDuration::from_secs(secs.into());
                }
            }
            if step.after.counts_in_hour(before, step.attempt) {
                self.told_in_hour(entry, step);
            }
            return;
        }
        let name = self.clients.get(client_id).map(|client| client.name.clone());
        let manifest = self.rolling.rollouts.get(&step.rollout).map(|kept| kept.manifest);
        let (Some(name), Some(manifest)) = (name, manifest) else { return };
        for ((_, other), told) in &mut self.rolling.told {
            if other == client_id && told.delivery.package == step.package {
                told.is_newest = false;
            }
        }
        let told = ToldComputer {
            name,
            delivery: Delivery {
                rollout: step.rollout,
                package: step.package.clone(),
                manifest,
                ring: step.ring,
                state: step.after,
                attempt: step.attempt,
                told_at: step.waits_since.unwrap_or(entry.at),
            },
            since: entry.at,
            silence: SignedDuration::from_secs(step.silence_secs.unwrap_or(0).into()),
            tries: self.rolling.told.get(&key).map(|told| told.tries.clone()).unwrap_or_default(),
            is_newest: true,
        };
        self.rolling.told.insert(key, told);
        self.told_in_hour(entry, step);
    }

    /// One more computer begins in this hour.
    fn told_in_hour(&mut self, entry: &ActivityEntry, step: &DeliveryStep) {
        let hour = hour_of(entry.at);
        self.with_ring(step.rollout, step.ring, |ring| {
            let before = if ring.hour.0 == hour { ring.hour.1 } else { 0 };
            ring.hour = (hour, before + 1);
        });
    }

    /// Of a ring that a failed computer leaves no more failures are forgiven than there are without it.
    fn forgive_no_more_than_failed(&mut self, key: &(u64, ClientId)) {
        let is_failure = |state| matches!(state, DeliveryState::Failed | DeliveryState::Silent);
        let Some(told) = self.rolling.told.get(key).filter(|told| is_failure(told.delivery.state)) else {
            return;
        };
        let ring = told.delivery.ring;
        let others = self.rolling.told.iter().filter(|(other, told)| {
            other.0 == key.0 && *other != key && told.delivery.ring == ring && is_failure(told.delivery.state)
        });
        let others = others.count() as u64;
        self.with_ring(key.0, ring, |kept| kept.forgiven = kept.forgiven.min(others));
    }

    /// A client that was replaced works on nothing any more; what it finished stays counted.
    pub(super) fn forget_deliveries(&mut self, entry: &ActivityEntry, client_id: &ClientId) {
        for ((_, other), told) in &mut self.rolling.told {
            if other != client_id {
                continue;
            }
            told.is_newest = false;
            if told.delivery.state.is_under_way() {
                told.delivery.state = DeliveryState::Dropped;
                told.since = entry.at;
            }
        }
    }

    // ── what they come to ──

    /// What became of the computers of one ring: each that was told counts once.
    fn counts_of(&self, number: u64, ring: u32, kept: &KeptRing) -> RingCounts {
        let of_ring = self.rolling.told.values().filter(|told| {
            let delivery = &told.delivery;
            delivery.rollout == number && delivery.ring == ring
        });
        let states: Vec<DeliveryState> = of_ring.map(|told| told.delivery.state).collect();
        let of = |state| states.iter().filter(|other| **other == state).count() as u64;
        RingCounts {
            offered: of(DeliveryState::Offered),
            told: of(DeliveryState::Told),
            begun: of(DeliveryState::Begun),
            succeeded: of(DeliveryState::Succeeded),
            failed: of(DeliveryState::Failed),
            silent: of(DeliveryState::Silent),
            dropped: of(DeliveryState::Dropped),
            forgiven: kept.forgiven,
            hour: kept.hour.0,
            told_in_hour: kept.hour.1,
        }
    }

    /// What became of the computers of the open rings of live rollouts.
    pub(super) fn live_counts(&self) -> LiveCounts {
        let live = self.rolling.rollouts.iter().filter(|(_, kept)| kept.state.is_live());
        live.flat_map(|(number, kept)| {
            let rings = (0_u32..).zip(&kept.rings).filter(|(_, kept)| kept.opened.is_some());
            rings.map(|(ring, kept)| ((*number, ring), self.counts_of(*number, ring, kept)))
        })
        .collect()
    }

    /// How long their rings were watched.
    pub(super) fn live_soaks(&self) -> LiveSoaks {
        let live = self.live_counts().into_keys();
        live.filter_map(|(number, ring)| {
            let soaked = self.rollout(number)?.rings.get(usize::try_from(ring).ok()?)?.soaked;
            Some(((number, ring), soaked))
        })
        .collect()
    }

    /// A rollout without what changes at each contact.
    pub(super) fn bare_rollout(&self, number: u64) -> Option<Rollout> {
        let kept = self.rolling.rollouts.get(&number)?;
        let row = self.releases.get(&kept.manifest)?;
        let rings = kept.rings.iter().map(|ring| RingProgress {
            state: ring.opened.map_or(RingState::Waiting, |(at, _)| RingState::Open { at }),
            below: ring.opened.and_then(|(_, below)| below),
            soaked: SignedDuration::ZERO,
            counts: RingCounts::default(),
        });
        Some(Rollout {
            number,
            release: row.release.clone(),
            manifest: kept.manifest,
            counter: row.counter,
            kind: row.kind,
            channels: kept.channels.clone(),
            strategy_name: kept.strategy_name,
            strategy: kept.strategy.clone(),
            emergency: kept.emergency,
            state: kept.state,
            started_at: kept.started_at,
            changed: kept.changed.clone(),
            rings: rings.collect(),
        })
    }

    /// A rollout with everything that became of it.
    pub(super) fn rollout(&self, number: u64) -> Option<Rollout> {
        let mut rollout = self.bare_rollout(number)?;
        let kept = self.rolling.rollouts.get(&number)?;
        for ((ring, progress), kept) in (0_u32..).zip(&mut rollout.rings).zip(&kept.rings) {
            progress.counts = self.counts_of(number, ring, kept);
            progress.soaked = match self.notes.get(&NoteKey::RingSoaked(number, ring)) {
                Some(Note::RingSoaked { soaked_millis, .. }) => {
                    SignedDuration::from_millis(i64::try_from(*soaked_millis).unwrap_or(i64::MAX))
                }
                _ => SignedDuration::ZERO,
            };
        }
        Some(rollout)
    }

    /// The newest deliveries of a client's packages.
    pub(super) fn deliveries_of(&self, client_id: &ClientId) -> Vec<Delivery> {
        let of_client = self.rolling.told.iter().filter(|((_, other), _)| other == client_id);
        let newest = of_client.filter(|(_, told)| told.is_newest);
        let mut all: Vec<Delivery> = newest.map(|(_, told)| told.delivery.clone()).collect();
        all.sort_by(|one, other| one.package.cmp(&other.package));
        all
    }

    /// The groups that list a name.
    pub(super) fn listed(&self, name: &ComputerName) -> BTreeSet<GroupName> {
        let lists = self.rolling.members.iter().filter(|(_, members)| members.contains(name));
        lists.map(|(group, _)| group.clone()).collect()
    }

    /// Whether a plan shows this release, besides in its rollouts.
    pub(super) fn is_in_plan(&self, manifest: &Sha256Digest) -> bool {
        let superseded = |row: &ReleaseRow| row.state == ReleaseState::Superseded;
        self.rolling.mandatory.contains(manifest) || self.releases.get(manifest).is_some_and(superseded)
    }
}

fn changed(entry: &ActivityEntry, why: &str) -> StateChange {
    StateChange { at: entry.at, by: entry.actor.clone(), why: why.to_owned() }
}

/// Packages of a plan's blocks and pins; `None` when a block names none.
pub(super) fn packages_kept_back(settings: &Settings) -> Option<BTreeSet<PackageName>> {
    let pinned = settings.pins.values().map(|pin| Some(pin.package.clone()));
    settings.blocks.values().map(|block| block.package.clone()).chain(pinned).collect()
}
