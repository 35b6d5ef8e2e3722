//! What a ledger would keep, in memory: releases, rollouts, the plan, and what became of computers.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform, ServerId};
use sealpost_manifests::log::Frontier;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustDocument, TrustedKey};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_site::changes::{ActivityEntry, Actor, Change, DeliveryOf, DeliveryStep, Note};
use sealpost_site::commands::{Context, Terms};
use sealpost_site::rows::ServerIdentity;
use sealpost_site::rules::release::{KnownRelease, ReleaseState, Supersession};
use sealpost_site::rules::rollouts::outages::Outages;
use sealpost_site::rules::rollouts::plan::{Delivery, LiveCounts, Plan};
use sealpost_site::rules::rollouts::progress::{
    DeliveryState, RingProgress, RingState, Rollout, RolloutState, hour_of,
};
use sealpost_site::rules::rollouts::settings::{SettingChange, Settings};

use crate::computer::Computer;

/// The server and its tables.
pub(crate) struct Site {
    pub(crate) server: ServerIdentity,
    terms: Terms,
    log: Frontier,
    pub(crate) trust: Arc<TrustDocument>,
    pub(crate) now: Timestamp,
    pub(crate) releases: BTreeMap<Sha256Digest, KnownRelease>,
    /// Every rollout, by number from 1 on.
    pub(crate) rollouts: Vec<Rollout>,
    pub(crate) plan: Arc<Plan>,
    pub(crate) counts: LiveCounts,
    /// The time by a clock that nobody sets.
    pub(crate) real: Timestamp,
    /// When each ring opened, by that clock.
    pub(crate) opened: BTreeMap<(u64, u32), Timestamp>,
    /// When the first computer of a ring finished, well or not, by that clock.
    pub(crate) first_finished: BTreeMap<(u64, u32), Timestamp>,
    /// Approved releases.
    pub(crate) approved: Vec<KnownRelease>,
    /// When the server did not run.
    pub(crate) outages: Outages,
    /// What a log would tell of rollouts, where somebody wants it.
    pub(crate) recorded: Option<Vec<ActivityEntry>>,
}

pub(crate) fn stable() -> ChannelName {
    ChannelName::new("stable").unwrap()
}

fn site_key() -> PublicKey {
    PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32])
}

impl Site {
    pub(crate) fn new(settings: Settings, now: Timestamp, packages: &[&str]) -> Self {
        assert_eq!(settings.problems(), Vec::new());
        let key = |package: &&str| TrustedKey {
            key_use: KeyUse::Release,
            package: Some(PackageName::new(*package).unwrap()),
            key: site_key().to_base64(),
            status: KeyStatus::Active,
            digests: std::collections::BTreeSet::new(),
        };
        Self {
            server: ServerIdentity { server_id: ServerId::of_site_key(&site_key()), site_key: site_key() },
            terms: Terms::default(),
            log: Frontier::empty(),
            trust: Arc::new(TrustDocument {
                vendor: "Acme".to_owned(),
                keys: packages.iter().map(key).collect(),
                counter_resets: Vec::new(),
                licensing_contact: None,
                signed_at: now,
            }),
            now,
            releases: BTreeMap::new(),
            rollouts: Vec::new(),
            plan: Arc::new(Plan { settings, ..Plan::default() }),
            counts: LiveCounts::new(),
            real: now,
            opened: BTreeMap::new(),
            first_finished: BTreeMap::new(),
            approved: Vec::new(),
            outages: Outages::default(),
            recorded: None,
        }
    }

    pub(crate) const fn context(&self) -> Context<'_> {
        Context {
            now: self.now,
            server: &self.server,
            terms: &self.terms,
            log: &self.log,
            outages: &self.outages,
        }
    }

    /// A release that passed staging.
    pub(crate) fn staged(&mut self, package: &str, counter: u64, kind: PackageKind) -> Sha256Digest {
        let manifest = Sha256Digest::of(format!("{package} {counter}").as_bytes());
        let release = ReleaseId {
            package: PackageName::new(package).unwrap(),
            version: Version::new(counter.to_string()).unwrap(),
            platform: Platform::any(),
        };
        let known = KnownRelease {
            release,
            manifest,
            state: ReleaseState::Staged,
            counter: ReleaseCounter(counter),
            channels: vec![stable()],
            approved_for: Vec::new(),
            rollout: None,
            signer: Some(site_key()),
            reason: None,
            rollback: false,
            attempt: 1,
            kind,
            severity: Severity::Normal,
            mandatory: false,
            rolling_out: Vec::new(),
        };
        self.releases.insert(manifest, known);
        manifest
    }

    pub(crate) fn package(&self, manifest: Sha256Digest) -> InstalledPackage {
        let known = &self.releases[&manifest];
        let KnownRelease { release, kind, counter, .. } = known.clone();
        InstalledPackage { release, kind, counter, manifest }
    }

    /// Releases of a package that are approved or superseded, by counter; of old ones only the newest.
    pub(crate) fn approved_or_superseded(&self, package: &PackageName) -> Vec<KnownRelease> {
        let of_package = self
            .releases
            .values()
            .filter(|known| known.release.package == *package && known.state.is_or_was_approved());
        let mut found: Vec<KnownRelease> = of_package.cloned().collect();
        found.sort_by_key(|known| (known.counter, known.manifest));
        found.split_off(found.len().saturating_sub(100))
    }

    pub(crate) fn rollout(&self, number: u64) -> &Rollout {
        &self.rollouts[number as usize - 1]
    }

    pub(crate) fn rollout_mut(&mut self, number: u64) -> &mut Rollout {
        &mut self.rollouts[number as usize - 1]
    }

    /// A rollout with its counts.
    pub(crate) fn counted(&self, number: u64) -> Rollout {
        let mut rollout = self.rollout(number).clone();
        for (ring, progress) in (0_u32..).zip(&mut rollout.rings) {
            progress.counts = self.counts.get(&(number, ring)).copied().unwrap_or_default();
        }
        rollout
    }

    /// Applies what a command changed, except deliveries.
    pub(crate) fn apply(&mut self, change: &Change) {
        self.record(|| change.clone());
        match change {
            Change::ReleaseApproved { manifest, approval, rollout, staged, supersession, .. } => {
                let staged = staged.clone().unwrap();
                let known = self.releases.get_mut(manifest).unwrap();
                known.state = ReleaseState::Approved;
                known.approved_for.clone_from(&approval.channels);
                known.rollout = Some(*rollout);
                known.rolling_out = if staged.complete { Vec::new() } else { staged.channels.clone() };
                let known = known.clone();
                let open =
                    |ring: RingProgress| RingProgress { state: RingState::Open { at: self.now }, ..ring };
                let rings = Rollout::waiting_rings(&staged.plan);
                self.rollouts.push(Rollout {
                    number: *rollout,
                    release: known.release,
                    manifest: *manifest,
                    counter: known.counter,
                    kind: known.kind,
                    channels: staged.channels,
                    strategy_name: staged.strategy,
                    emergency: staged.emergency,
                    state: if staged.complete { RolloutState::Completed } else { RolloutState::Running },
                    started_at: self.now,
                    changed: None,
                    rings: if staged.complete { rings.into_iter().map(open).collect() } else { rings },
                    strategy: staged.plan,
                });
                assert_eq!(self.rollouts.len() as u64, *rollout);
                self.supersede(supersession);
            }
            Change::RingOpened { rollout, ring, below, .. } => {
                self.opened.insert((*rollout, *ring), self.real);
                let (now, below) = (self.now, *below);
                let ring = &mut self.rollout_mut(*rollout).rings[*ring as usize];
                *ring = RingProgress { state: RingState::Open { at: now }, below, ..ring.clone() };
            }
            Change::RolloutCompleted { rollout, manifest, supersession, .. } => {
                self.rollout_mut(*rollout).state = RolloutState::Completed;
                self.releases.get_mut(manifest).unwrap().rolling_out.clear();
                self.supersede(supersession);
            }
            Change::ReleaseHalted { manifest, reason, rollback, aborted, supersession, .. } => {
                let known = self.releases.get_mut(manifest).unwrap();
                (known.state, known.reason) = (ReleaseState::Halted, Some(reason.clone()));
                known.rollback = *rollback;
                let number = known.rollout.unwrap();
                let ends = if *aborted { RolloutState::Aborted } else { RolloutState::Halted };
                self.rollout_mut(number).state = ends;
                self.supersede(supersession);
            }
            Change::RolloutEdited { rollout, strategy, plan, emergency, .. } => {
                let rollout = self.rollout_mut(*rollout);
                let waiting = Rollout::waiting_rings(plan).into_iter().skip(rollout.rings.len());
                rollout.rings.extend(waiting);
                rollout.rings.truncate(plan.rings().len());
                (rollout.strategy_name, rollout.strategy) = (*strategy, plan.clone());
                rollout.emergency = *emergency;
            }
            Change::RolloutPaused { rollout, .. } => self.rollout_mut(*rollout).state = RolloutState::Paused,
            Change::RolloutResumed { rollout, manifest, forgiven, attempt, supersession, .. } => {
                self.rollout_mut(*rollout).state = RolloutState::Running;
                for (ring, forgiven) in (0_u32..).zip(forgiven) {
                    self.counts.entry((*rollout, ring)).or_default().forgiven = *forgiven;
                }
                let known = self.releases.get_mut(manifest).unwrap();
                (known.state, known.rollback) = (ReleaseState::Approved, false);
                known.attempt = attempt.unwrap_or(known.attempt);
                self.supersede(supersession);
            }
            other => panic!("{other:?}"),
        }
        self.replan();
    }

    /// An admin changes a setting, or takes it back.
    pub(crate) fn set(&mut self, change: &SettingChange) {
        Arc::make_mut(&mut self.plan).settings.set(change).unwrap();
        assert_eq!(self.plan.settings.problems(), Vec::new());
        self.replan();
    }

    /// Superseded releases that a pin or a block may bring back.
    fn replaced(&self) -> Vec<KnownRelease> {
        let Settings { pins, blocks, .. } = &self.plan.settings;
        let named = |package: &PackageName| {
            pins.values().any(|pin| pin.package == *package)
                || blocks.values().any(|block| block.package.as_ref().is_none_or(|one| one == package))
        };
        let superseded = self.releases.values().filter(|known| known.state == ReleaseState::Superseded);
        superseded.filter(|known| named(&known.release.package)).cloned().collect()
    }

    fn record(&mut self, change: impl FnOnce() -> Change) {
        let Some(recorded) = &mut self.recorded else { return };
        let (sequence, change) = (recorded.len() as u64 + 1, change());
        recorded.push(ActivityEntry { version: 2, sequence, at: self.now, actor: Actor::Server, change });
    }

    pub(crate) fn note(&mut self, note: &Note) {
        if let Note::RingSoaked { rollout, ring, soaked_millis } = note {
            let soaked = jiff::SignedDuration::from_millis(*soaked_millis as i64);
            self.rollout_mut(*rollout).rings[*ring as usize].soaked = soaked;
        }
    }

    fn supersede(&mut self, supersession: &Supersession) {
        for manifest in &supersession.superseded {
            self.releases.get_mut(manifest).unwrap().state = ReleaseState::Superseded;
            let live = self.rollouts.iter_mut().filter(|rollout| rollout.manifest == *manifest);
            for rollout in live.filter(|rollout| rollout.state.is_live()) {
                rollout.state = RolloutState::Superseded;
            }
        }
        for manifest in &supersession.restored {
            self.releases.get_mut(manifest).unwrap().state = ReleaseState::Approved;
        }
    }

    /// Superseded signature files whose rollout is complete.
    fn completed_signatures(&self) -> Vec<(KnownRelease, Rollout)> {
        let superseded = self
            .releases
            .values()
            .filter(|known| known.state == ReleaseState::Superseded && known.kind == PackageKind::Signatures);
        let with_rollout = superseded.map(|known| (known.clone(), self.rollout(known.rollout.unwrap())));
        let complete = with_rollout.filter(|(_, rollout)| rollout.state == RolloutState::Completed);
        complete.map(|(known, rollout)| (known, rollout.clone())).collect()
    }

    fn replan(&mut self) {
        let live = self.releases.values().filter(|known| known.state == ReleaseState::Approved);
        self.approved = live.cloned().collect();
        self.approved.sort_by(|one, other| one.release.package.cmp(&other.release.package));
        let holds = |rollout: &&Rollout| {
            rollout.state.is_live() || self.approved.iter().any(|known| known.manifest == rollout.manifest)
        };
        let rollouts = self.rollouts.iter().filter(holds).cloned().collect();
        let (version, settings) = (self.plan.version + 1, self.plan.settings.clone());
        let plan = Plan { version, settings, rollouts, replaced: self.replaced(), ..Plan::default() };
        self.plan = Arc::new(plan.with_delayed(self.completed_signatures()));
        // Counts of what has ended are asked for by nobody.
        let rollouts = &self.rollouts;
        self.counts.retain(|(number, _), _| {
            let state = rollouts[*number as usize - 1].state;
            state.is_live() || matches!(state, RolloutState::Halted | RolloutState::Completed)
        });
        let approved = &self.approved;
        self.counts.retain(|(number, _), _| {
            let rollout = &rollouts[*number as usize - 1];
            rollout.state != RolloutState::Completed
                || approved.iter().any(|known| known.manifest == rollout.manifest)
        });
    }

    /// What became of a rollout on one computer, as a store would keep it.
    pub(crate) fn deliver(&mut self, computer: &mut Computer, step: &DeliveryStep) {
        let now = self.now;
        self.record(|| Change::DeliveriesChanged {
            rollout: step.rollout,
            computers: vec![DeliveryOf {
                client_id: computer.id.clone(),
                name: computer.name.clone(),
                step: step.clone(),
            }],
        });
        let told = computer.deliveries.iter().position(|told| told.rollout == step.rollout);
        let before = told.map(|told| (computer.deliveries[told].state, computer.deliveries[told].attempt));
        if step.after.tells_anew(before, step.attempt) {
            computer.deliveries.retain(|told| told.package != step.package);
            let manifest = self.rollout(step.rollout).manifest;
            computer.deliveries.push(Delivery {
                rollout: step.rollout,
                package: step.package.clone(),
                manifest,
                ring: step.ring,
                state: step.after,
                attempt: step.attempt,
                told_at: step.waits_since.unwrap_or(now),
            });
        } else if let Some(told) = told {
            assert_eq!(step.before, Some(computer.deliveries[told].state), "a step follows the last one");
            computer.deliveries[told].state = step.after;
        }
        if let Some(silence) = step.silence_secs {
            computer.silences.insert(step.rollout, jiff::SignedDuration::from_secs(silence.into()));
        }
        if matches!(step.after, DeliveryState::Succeeded | DeliveryState::Failed | DeliveryState::Silent) {
            self.first_finished.entry((step.rollout, step.ring)).or_insert(self.real);
        }
        let counts = self.counts.entry((step.rollout, step.ring)).or_default();
        counts.moves(step.before, step.after);
        if step.after.counts_in_hour(before, step.attempt) {
            let hour = hour_of(now);
            counts.told_in_hour = counts.told_in(hour) + 1;
            counts.hour = hour;
        }
    }
}
