//! Releases: what changes do to them, and what is asked about them.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use sealpost_ledger::store::{Read, StoreError};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, PackageName, Platform};
use sealpost_manifests::release::{PackageKind, Severity};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_site::changes::summary::reason_of;
use sealpost_site::changes::{ActivityEntry, Change, ReleaseRetry, ReleaseTest};
use sealpost_site::queries::{
    ApprovedReleases, DeltaReleases, HeldReleases, KnownReleaseOf, KnownReleases, ReleaseByManifest,
    ReleaseCounts, Releases, Revisions, Untested, VoidedReleases, page_limit,
};
use sealpost_site::rows::{DecidedBy, DeltaReleaseRow, DeltaRow, ReleaseRow, RevisionRow};
use sealpost_site::rules::held::HeldRelease;
use sealpost_site::rules::release::{KnownRelease, ReleaseState, Supersession};
use sealpost_site::rules::rollouts::progress::RolloutState;
use sealpost_site::rules::test_load::{TestLoad, Wanted};

use super::state::State;
use super::store::{Handle, Holds};

// ── changes ──

impl State {
    /// Applies a change of a release; any other does nothing here.
    pub(super) fn project_release(&mut self, entry: &ActivityEntry) {
        match &entry.change {
            Change::ReleaseStaged { .. } | Change::ReleaseRefused { .. } => {
                if let Some(row) = new_row(entry) {
                    self.settled(entry, &row.manifest);
                    self.rolling.mandatory.remove(&row.manifest);
                    self.rolling.rolling_out.remove(&row.manifest);
                    self.releases.insert(row.manifest, row);
                }
                if let Change::ReleaseStaged { manifest, mandatory: true, .. } = &entry.change {
                    self.rolling.mandatory.insert(*manifest);
                    self.replan(entry);
                }
            }
            Change::ReleaseChannelsChanged { manifest, channels, supersession } => {
                self.with_release(manifest, |row| row.channels.clone_from(channels));
                if self.is_in_plan(manifest) {
                    self.replan_again(entry);
                }
                self.supersede(entry, supersession);
            }
            Change::CounterReset { package, number, voided, .. } => {
                self.counter_resets.insert(package.clone(), *number);
                for manifest in voided {
                    self.with_release(manifest, |row| row.voided = true);
                }
            }
            Change::ReleaseTestLoaded(ReleaseTest { manifest, program, outcome, detail, .. }) => {
                let (outcome, program, detail) = (*outcome, *program, detail.clone());
                let test = TestLoad { outcome, program, detail, at: entry.at, by: entry.actor.clone() };
                self.tests.insert(*manifest, test);
            }
            Change::DeltaMade { base, target, bytes } => {
                self.deltas.insert((*target, *base), *bytes);
            }
            Change::ReleaseApproved { manifest, approval, rollout, staged, supersession, .. } => {
                self.settled(entry, manifest);
                self.with_release(manifest, |row| {
                    decide(row, entry, ReleaseState::Approved, None, &approval.comment);
                    row.rollout = Some(*rollout);
                    row.approved_for.clone_from(&approval.channels);
                });
                if let Some(staged) = staged {
                    self.rollout_begun(entry, *rollout, *manifest, staged);
                }
                self.supersede(entry, supersession);
            }
            Change::ReleaseMandatoryChanged { manifest, mandatory, .. } => {
                if *mandatory {
                    self.rolling.mandatory.insert(*manifest);
                } else {
                    self.rolling.mandatory.remove(manifest);
                }
                self.replan(entry);
            }
            Change::RolloutCompleted { manifest, supersession, .. } => {
                self.rolling.rolling_out.remove(manifest);
                self.supersede(entry, supersession);
            }
            Change::RolloutResumed { manifest, attempt, supersession, .. } => {
                self.with_release(manifest, |row| {
                    if row.state == ReleaseState::Halted {
                        let said = row.decided.take().and_then(|decided| decided.comment).unwrap_or_default();
                        decide(row, entry, ReleaseState::Approved, None, &said);
                        row.rollback = false;
                        row.attempt = attempt.unwrap_or(row.attempt);
                    }
                });
                self.supersede(entry, supersession);
            }
            Change::ReleaseRejected { manifest, reason, .. } => {
                self.settled(entry, manifest);
                self.with_release(manifest, |row| {
                    decide(row, entry, ReleaseState::Rejected, Some(reason), "")
                });
                if self.is_in_plan(manifest) {
                    self.replan_again(entry);
                }
            }
            Change::ReleaseWithdrawn { manifest, reason, supersession, .. } => {
                self.settled(entry, manifest);
                self.with_release(manifest, |row| {
                    let halted = row.reason.take().filter(|_| row.state == ReleaseState::Halted);
                    if let (Some(decided), Some(halted)) = (&mut row.decided, halted) {
                        decided.comment = Some(halted);
                    }
                    row.state = ReleaseState::Withdrawn;
                    row.reason = Some(reason.clone());
                });
                for client in self.clients.values_mut() {
                    client.assigned.retain(|_, told| told.manifest != *manifest);
                }
                self.rollouts_ended(entry, manifest, RolloutState::Withdrawn, reason);
                self.supersede(entry, supersession);
            }
            Change::ReleaseHalted {
                manifest, reason, rollback, withdrawn, aborted, supersession, ..
            } => {
                self.settled(entry, manifest);
                let ends = if *aborted { RolloutState::Aborted } else { RolloutState::Halted };
                self.rollouts_ended(entry, manifest, ends, reason);
                let state = if *withdrawn { ReleaseState::Withdrawn } else { ReleaseState::Halted };
                self.with_release(manifest, |row| {
                    match (withdrawn, row.reason.clone()) {
                        (true, vendor) => decide(row, entry, state, vendor.as_ref(), reason),
                        (false, _) => decide(row, entry, state, Some(reason), ""),
                    }
                    row.rollback = *rollback;
                });
                for client in self.clients.values_mut() {
                    client.assigned.retain(|_, told| told.manifest != *manifest);
                }
                self.supersede(entry, supersession);
            }
            Change::ReleaseReconsidered { manifest, attempt, .. } => {
                self.settled(entry, manifest);
                self.with_release(manifest, |row| {
                    decide(row, entry, ReleaseState::Staged, None, "");
                    row.approved_for.clear();
                    row.rollback = false;
                    row.attempt = *attempt;
                });
                self.rolling.rolling_out.remove(manifest);
                if self.is_in_plan(manifest) {
                    self.replan_again(entry);
                }
            }
            Change::ReleaseRetried(ReleaseRetry { manifest, computers, .. }) => {
                for next in computers {
                    if let Some(client) = self.clients.get_mut(&next.client_id) {
                        client.attempts.insert(*manifest, next.attempt);
                    }
                }
            }
            Change::ServerInitialized { .. }
            | Change::ChannelChanged { .. }
            | Change::DriftReported { .. }
            | Change::SerialRegistered { .. }
            | Change::Refused { .. }
            | Change::AdminTokenMade { .. }
            | Change::AdminTokenUsed { .. }
            | Change::AdminTokenRevoked { .. }
            | Change::ServerOperated { .. }
            | Change::ServerStarted { .. }
            | Change::ServerListChanged { .. }
            | Change::GrantAccepted { .. }
            | Change::LedgerRestored { .. }
            | Change::RestoreAcknowledged { .. }
            | Change::SetupIssued { .. }
            | Change::UnknownComputerSeen { .. }
            | Change::MetadataPulled { .. }
            | Change::PullFailed { .. }
            | Change::SeatReserved { .. }
            | Change::ClientEnrolled { .. }
            | Change::ClientResumed { .. }
            | Change::LeaseIssued { .. }
            | Change::AssignmentChanged { .. }
            | Change::StepReported { .. }
            | Change::ForkDetected { .. }
            | Change::ComputerKnocked(_)
            | Change::ComputerAdmitted(_)
            | Change::CopySeen(_)
            | Change::CopyResolved(_)
            | Change::ScheduleChanged(_)
            | Change::InstallTried(_)
            | Change::SettingsChanged { .. }
            | Change::GroupMembersChanged { .. }
            | Change::RingOpened { .. }
            | Change::RolloutPaused { .. }
            | Change::RolloutEdited { .. }
            | Change::DeliveriesChanged { .. }
            | Change::LogForkReported { .. }
            | Change::AccountAdded(_)
            | Change::AccountDisabled(_)
            | Change::AccountEnabled(_)
            | Change::AdminTokenConfirmed(_)
            | Change::ProposalMade(_)
            | Change::ProposalEnded(_)
            | Change::ReleaseDeferred(_) => {}
        }
    }

    fn with_release(&mut self, manifest: &Sha256Digest, change: impl FnOnce(&mut ReleaseRow)) {
        if let Some(row) = self.releases.get_mut(manifest) {
            change(row);
        }
    }

    fn supersede(&mut self, entry: &ActivityEntry, supersession: &Supersession) {
        for manifest in &supersession.superseded {
            self.with_release(manifest, |row| row.state = ReleaseState::Superseded);
            self.rollouts_superseded(entry, manifest);
        }
        for manifest in &supersession.restored {
            self.with_release(manifest, |row| row.state = ReleaseState::Approved);
            self.rollouts_restored(entry, manifest);
        }
        if !supersession.superseded.is_empty() || !supersession.restored.is_empty() {
            self.replan_again(entry);
        }
    }
}

fn decide(
    row: &mut ReleaseRow,
    entry: &ActivityEntry,
    state: ReleaseState,
    reason: Option<&String>,
    comment: &str,
) {
    let comment = (!comment.is_empty()).then(|| comment.to_owned());
    row.state = state;
    row.decided = Some(DecidedBy { at: entry.at, actor: entry.actor.clone(), comment });
    row.reason = reason.cloned();
}

/// The row of a release that was staged or refused. Nothing of a refused one is trusted.
fn new_row(entry: &ActivityEntry) -> Option<ReleaseRow> {
    let row = |release, manifest, state| ReleaseRow {
        release,
        manifest,
        kind: PackageKind::Program,
        counter: ReleaseCounter(0),
        severity: Severity::Normal,
        state,
        channels: Vec::new(),
        approved_for: Vec::new(),
        rollback: false,
        attempt: 1,
        signer: None,
        payload_bytes: 0,
        staged_at: entry.at,
        decided: None,
        reason: None,
        rollout: None,
        voided: false,
        assigned: 0,
        installed: 0,
        failed: 0,
        test_load: None,
        deltas: Vec::new(),
    };
    match entry.change.clone() {
        Change::ReleaseStaged {
            release,
            manifest,
            kind,
            counter,
            severity,
            channels,
            signer,
            payload_bytes,
            mandatory: _,
        } => Some(ReleaseRow {
            kind,
            counter,
            severity,
            channels,
            signer: Some(signer),
            payload_bytes,
            ..row(release, manifest, ReleaseState::Staged)
        }),
        Change::ReleaseRefused { release, manifest, problems } => Some(ReleaseRow {
            reason: Some(reason_of(&problems)),
            ..row(release, manifest, ReleaseState::Refused)
        }),
        _ => None,
    }
}

// ── with counts ──

impl State {
    fn counted(&self, row: &ReleaseRow) -> ReleaseRow {
        let manifest = row.manifest;
        let per_client = |count: &dyn Fn(&super::state::Client) -> usize| -> u64 {
            self.clients.values().map(|client| count(client) as u64).sum()
        };
        ReleaseRow {
            assigned: per_client(&|client| {
                client.assigned.values().filter(|told| told.manifest == manifest).count()
            }),
            failed: per_client(&|client| {
                let last = client.last_reports.values();
                last.filter(|last| last.failed && last.report.manifest == manifest).count()
            }),
            installed: self.installs_of(&manifest),
            test_load: self.tests.get(&manifest).cloned(),
            deltas: self.deltas_to(manifest),
            ..row.clone()
        }
    }

    fn installs_of(&self, manifest: &Sha256Digest) -> u64 {
        let seen = self.clients.keys().filter_map(|client_id| self.seen(client_id));
        seen.map(|seen| {
            let installed = seen.installed.iter().filter(|package| package.manifest == *manifest);
            installed.count() as u64
        })
        .sum()
    }

    fn deltas_to(&self, target: Sha256Digest) -> Vec<DeltaRow> {
        let from = (target, Sha256Digest::from_bytes([0; 32]));
        let all = self.deltas.range(from..).take_while(|((other, _), _)| *other == target);
        all.map(|((_, base), bytes)| DeltaRow { base: *base, bytes: *bytes }).collect()
    }
}

/// Where a release stands among all.
fn place(row: &ReleaseRow) -> (&PackageName, Reverse<u64>, &Platform, &Sha256Digest) {
    (&row.release.package, Reverse(row.counter.0), &row.release.platform, &row.manifest)
}

impl<H: Holds> Read<Releases> for Handle<H> {
    fn read(&mut self, query: &Releases) -> Result<Vec<ReleaseRow>, StoreError> {
        let state = self.state();
        let after = match &query.after {
            None => None,
            Some(manifest) => match state.releases.get(manifest) {
                Some(row) => Some(place(row)),
                None => return Ok(Vec::new()),
            },
        };
        let mut rows: Vec<&ReleaseRow> = state
            .releases
            .values()
            .filter(|row| query.state.is_none_or(|wanted| row.state == wanted))
            .filter(|row| after.as_ref().is_none_or(|after| place(row) > *after))
            .collect();
        rows.sort_by(|one, other| place(one).cmp(&place(other)));
        Ok(rows.into_iter().take(page(query.limit)).map(|row| state.counted(row)).collect())
    }
}

/// Rows of one page.
pub(super) fn page(limit: u32) -> usize {
    page_limit(Some(limit)) as usize
}

impl<H: Holds> Read<ReleaseByManifest> for Handle<H> {
    fn read(&mut self, query: &ReleaseByManifest) -> Result<Option<ReleaseRow>, StoreError> {
        let state = self.state();
        Ok(state.releases.get(&query.manifest).map(|row| state.counted(row)))
    }
}

impl<H: Holds> Read<ReleaseCounts> for Handle<H> {
    fn read(&mut self, _: &ReleaseCounts) -> Result<Vec<(ReleaseState, u64)>, StoreError> {
        let state = self.state();
        let mut counts: Vec<(ReleaseState, u64)> = ReleaseState::ALL
            .into_iter()
            .map(|one| (one, state.releases.values().filter(|row| row.state == one).count() as u64))
            .filter(|(_, count)| *count > 0)
            .collect();
        counts.sort_by_key(|(state, _)| state.as_str());
        Ok(counts)
    }
}

// ── without counts ──

impl State {
    /// A release as the rules look at it.
    pub(super) fn known(&self, row: &ReleaseRow) -> KnownRelease {
        KnownRelease {
            release: row.release.clone(),
            manifest: row.manifest,
            state: row.state,
            counter: row.counter,
            channels: row.channels.clone(),
            rollout: row.rollout,
            signer: row.signer.clone(),
            reason: row.reason.clone(),
            approved_for: row.approved_for.clone(),
            rollback: row.rollback,
            attempt: row.attempt,
            kind: row.kind,
            severity: row.severity,
            mandatory: self.rolling.mandatory.contains(&row.manifest),
            rolling_out: self.rolling.rolling_out.get(&row.manifest).cloned().unwrap_or_default(),
        }
    }

    /// Every release that goes to clients, sorted by package and counter.
    pub(super) fn approved(&self) -> Vec<KnownRelease> {
        let mut approved: Vec<KnownRelease> = self
            .releases
            .values()
            .filter(|row| row.state == ReleaseState::Approved)
            .map(|row| self.known(row))
            .collect();
        approved.sort_by(|one, other| {
            let key = |release: &KnownRelease| (release.counter, release.manifest);
            one.release.package.cmp(&other.release.package).then(key(one).cmp(&key(other)))
        });
        approved
    }

    /// The channels that releases are known of.
    pub(super) fn known_channels(&self) -> BTreeSet<ChannelName> {
        self.releases.values().flat_map(|row| row.channels.iter().cloned()).collect()
    }

    /// A release, if it is known here.
    pub(super) fn known_release(&self, manifest: &Sha256Digest) -> Option<KnownRelease> {
        self.releases.get(manifest).map(|row| self.known(row))
    }

    /// Manifests of releases above a counter that the vendor reset.
    pub(super) fn voided(&self) -> BTreeSet<Sha256Digest> {
        self.releases.values().filter(|row| row.voided).map(|row| row.manifest).collect()
    }

    /// Every release that waits for a review, in the order of their manifests.
    pub(super) fn staged(&self) -> Vec<KnownRelease> {
        self.releases
            .values()
            .filter(|row| row.state == ReleaseState::Staged)
            .map(|row| self.known(row))
            .collect()
    }
}

impl<H: Holds> Read<KnownReleases> for Handle<H> {
    fn read(&mut self, query: &KnownReleases) -> Result<Vec<KnownRelease>, StoreError> {
        let state = self.state();
        let rows = state.releases.values().filter(|row| query.after.is_none_or(|after| row.manifest > after));
        Ok(rows.take(page(query.limit)).map(|row| state.known(row)).collect())
    }
}

impl<H: Holds> Read<Revisions> for Handle<H> {
    fn read(&mut self, query: &Revisions) -> Result<Vec<RevisionRow>, StoreError> {
        let state = self.state();
        let rows = state.releases.values().filter(|row| query.after.is_none_or(|after| row.manifest > after));
        let rows = rows.filter(|row| row.kind == PackageKind::Signatures).take(page(query.limit));
        let revision = |row: &ReleaseRow| RevisionRow {
            manifest: row.manifest,
            package: row.release.package.clone(),
            staged_at: row.staged_at,
        };
        Ok(rows.map(revision).collect())
    }
}

impl State {
    /// Staged releases whose newest test-load did not pass, by manifest.
    pub(super) fn held(&self) -> impl Iterator<Item = HeldRelease> + '_ {
        let tests = self.tests.iter().filter(|(_, test)| !test.outcome.lets_through());
        tests.filter_map(|(manifest, test)| {
            let row = self.releases.get(manifest).filter(|row| row.state == ReleaseState::Staged)?;
            Some(HeldRelease { release: row.release.clone(), manifest: *manifest, test: test.clone() })
        })
    }
}

impl<H: Holds> Read<HeldReleases> for Handle<H> {
    fn read(&mut self, query: &HeldReleases) -> Result<Vec<HeldRelease>, StoreError> {
        let state = self.state();
        let held = state.held().filter(|held| query.after.is_none_or(|after| held.manifest > after));
        Ok(held.take(page(query.limit)).collect())
    }
}

impl<H: Holds> Read<Untested> for Handle<H> {
    fn read(&mut self, query: &Untested) -> Result<Vec<KnownRelease>, StoreError> {
        let state = self.state();
        let wanted = Wanted::By(query.program);
        let answered =
            |row: &ReleaseRow| state.tests.get(&row.manifest).is_some_and(|test| test.answers(wanted));
        let staged = state.releases.values().filter(|row| row.state == ReleaseState::Staged);
        let of_package = staged.filter(|row| row.release.package == query.package);
        let mut rows: Vec<_> = of_package.filter(|row| !answered(row)).map(|row| state.known(row)).collect();
        rows.sort_by_key(|known| (known.counter, known.manifest));
        rows.truncate(page(query.limit));
        Ok(rows)
    }
}

impl<H: Holds> Read<KnownReleaseOf> for Handle<H> {
    fn read(&mut self, query: &KnownReleaseOf) -> Result<Option<KnownRelease>, StoreError> {
        Ok(self.state().known_release(&query.manifest))
    }
}

impl<H: Holds> Read<ApprovedReleases> for Handle<H> {
    fn read(&mut self, _: &ApprovedReleases) -> Result<Vec<KnownRelease>, StoreError> {
        Ok(self.state().approved())
    }
}

impl<H: Holds> Read<VoidedReleases> for Handle<H> {
    fn read(&mut self, _: &VoidedReleases) -> Result<BTreeSet<Sha256Digest>, StoreError> {
        Ok(self.state().voided())
    }
}

impl<H: Holds> Read<DeltaReleases> for Handle<H> {
    fn read(&mut self, query: &DeltaReleases) -> Result<Vec<DeltaReleaseRow>, StoreError> {
        let state = self.state();
        let after =
            state.releases.values().filter(|row| query.after.is_none_or(|after| row.manifest > after));
        let mut rows = Vec::new();
        for row in after {
            let told = state
                .clients
                .values()
                .any(|client| client.assigned.values().any(|told| told.manifest == row.manifest));
            let in_use = told || state.installs_of(&row.manifest) > 0;
            if in_use || matches!(row.state, ReleaseState::Staged | ReleaseState::Approved) {
                let bases = state.deltas_to(row.manifest).into_iter().map(|delta| delta.base).collect();
                rows.push(DeltaReleaseRow {
                    release: state.known(row),
                    in_use,
                    told,
                    payload_bytes: row.payload_bytes,
                    bases,
                });
            }
            if rows.len() >= page(query.limit) {
                break;
            }
        }
        Ok(rows)
    }
}
