//! One round of a cycle after an answered contact: carries out what is assigned.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sealpost_files::{escape, with_causes};
use sealpost_manifests::assignment::{Assignment, PackageAssignment};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::order::Ordered;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_manifests::word::Word;

use crate::domain::failing::Failing;
use crate::domain::policy::{Coverage, Decision, Entitlement};
use crate::domain::release::{Refusal, judge_freshness};
use crate::domain::timing::by_urgency;
use crate::download::{NetworkSource, VendorMetadata};
use crate::flows::context::{Context, Host};
use crate::flows::install::{ChangeEnd, Engine, EngineError, NotNow, Terms, declines};
use crate::flows::linked;
use crate::flows::origin::Reads;
use crate::flows::retention::collect_downloads;
use crate::platform::store::StoreError;
use crate::records::computer::Told;
use crate::records::holdings::Holdings;
use crate::records::packages;
use crate::records::progress::Progress;
use crate::spool::{Spool, Subject};

use super::decide::decision;
use super::vet::{Comes, Vetted, vet};
use super::{go_back, metadata, withdrawn};

/// Upper bound on tries of one package in one cycle.
const MAX_TRIES: u32 = 2;

/// How often each package was tried in this cycle.
pub(super) type Tries = BTreeMap<PackageName, u32>;

/// Packages of which a person asks that what is installed is built again.
pub type Repairs = BTreeSet<PackageName>;

/// What a round works with.
#[derive(Debug)]
pub(super) struct Round<'r> {
    pub(super) context: &'r Context,
    pub(super) holdings: Holdings,
    pub(super) progress: &'r mut Progress,
    pub(super) spool: &'r mut Spool,
    pub(super) access: &'r Reads,
    pub(super) repairs: &'r Repairs,
    /// Opened by the first release that needs it.
    pub(super) metadata: Option<VendorMetadata>,
}

impl Round<'_> {
    /// Carries out what is assigned; `true` if anything was tried or is to be reported.
    pub(super) fn carry_out(&mut self, tries: &mut Tries) -> bool {
        let Some(assignment) = self.holdings.assignment.good().cloned() else { return false };
        let host = &self.context.host;
        collect_downloads(&host.home, &assignment.packages);
        self.forget_what_is_not_assigned(&assignment);
        let mut has_tried = false;
        for wanted in by_urgency(&assignment.packages) {
            let package = &wanted.release.package;
            if tries.get(package).is_some_and(|count| *count >= MAX_TRIES)
                || self.context.network.is_interrupted()
                || self.context.network.is_contact_due()
            {
                continue;
            }
            let end = match decision(host, wanted, &self.holdings, self.progress) {
                Err(error) => Err(Refusal::new(ReasonCode::LocalFault, with_causes(&error))),
                Ok(Decision::Install | Decision::Prepare(_)) => {
                    has_tried = true;
                    self.install(wanted, &assignment)
                }
                Ok(Decision::RollBack) => {
                    has_tried = true;
                    self.roll_back(wanted, &assignment)
                }
                Ok(Decision::UpToDate) if self.repairs.contains(package) => {
                    has_tried = true;
                    self.repair(wanted, &assignment)
                }
                Ok(Decision::ActionUnknown(action)) => {
                    has_tried |= self.tell_unknown(wanted, action);
                    continue;
                }
                Ok(_) => continue,
            };
            let refusal = match end {
                Ok(ChangeEnd::NotNow(NotNow::LinkBusy { again_in })) => {
                    self.note_link_busy(wanted, again_in);
                    drop(self.progress.computer.refusals.remove(package));
                    continue;
                }
                Ok(ChangeEnd::NotNow(why)) => {
                    self.note_not_now(wanted, why);
                    None
                }
                Ok(ChangeEnd::Kept) => {
                    _ = self.progress.computer.put_off.remove(package);
                    None
                }
                Ok(ChangeEnd::OnTrial) => None,
                Ok(ChangeEnd::Refused(refusal) | ChangeEnd::Down(refusal)) | Err(refusal) => Some(refusal),
                Ok(ChangeEnd::RolledBack(reason)) => {
                    Some(Refusal::new(reason, format!("{} was rolled back ({reason})", wanted.release)))
                }
            };
            let makes_way = self.context.network.is_contact_due()
                && refusal.as_ref().is_some_and(|refusal| refusal.reason == ReasonCode::Interrupted);
            let tried = tries.entry(package.clone()).or_insert(0);
            *tried += if makes_way { 0 } else { cost(refusal.as_ref()) };
            // A passing failure has one more try in this cycle.
            if *tried >= MAX_TRIES {
                self.note_failing(wanted, refusal.as_ref());
            }
            let refusals = &mut self.progress.computer.refusals;
            match refusal {
                Some(refusal) => {
                    let line = escape(&format!("{refusal} [{}]", refusal.reason));
                    drop(refusals.insert(package.clone(), line));
                }
                None => drop(refusals.remove(package)),
            }
        }
        // Metadata that could not be opened for a release is not asked for once more.
        if self.metadata.is_some() || !has_tried {
            self.learn_what_was_withdrawn(&assignment);
        }
        has_tried
    }

    fn install(&mut self, wanted: &PackageAssignment, assignment: &Assignment) -> Result<ChangeEnd, Refusal> {
        tracing::info!(release = %wanted.release, "to be installed");
        let mut terms = self.terms(wanted);
        if self.declines(&mut terms)? {
            return Ok(ChangeEnd::NotNow(NotNow::Declined));
        }
        let opened_now = self.open_metadata(assignment).and_then(|()| self.ensure_licensed(wanted));
        let vetted = opened_now.and_then(|()| {
            let metadata = opened(self.metadata.as_ref())?;
            vet(self.context, wanted, &self.holdings.trust, metadata, Comes::ByWays)
        });
        if let Some(again_in) = vetted.as_ref().err().and_then(Refusal::again_in) {
            return Ok(ChangeEnd::NotNow(NotNow::LinkBusy { again_in }));
        }
        let Vetted { release, payload, way } = self.reported(wanted, vetted)?;
        let metadata = opened(self.metadata.as_ref())?;
        let mut source = NetworkSource::new(metadata, payload, way, &self.context.network);
        let mut engine = Engine::new(&self.context.host, self.spool);
        let end = engine.install(&release, terms, &mut source);
        finished(&mut engine, wanted, end)
    }

    /// Builds the installed release again, under the same conditions as a new one: assigned, licensed, vouched for.
    fn repair(&mut self, wanted: &PackageAssignment, assignment: &Assignment) -> Result<ChangeEnd, Refusal> {
        let host = &self.context.host;
        let package = &wanted.release.package;
        let licensed = self
            .ensure_licensed(wanted)
            .and_then(|()| self.open_metadata(assignment))
            .and_then(|()| self.ensure_licensed(wanted));
        let vetted = licensed.and_then(|()| {
            let metadata = opened(self.metadata.as_ref())?;
            vet(self.context, wanted, &self.holdings.trust, metadata, Comes::Whole)
        });
        let Vetted { release, payload, .. } = self.reported(wanted, vetted)?;
        let record = packages::load(&host.home, package)
            .map_err(|error| Refusal::new(ReasonCode::LocalFault, with_causes(&error)))?;
        let nothing = || Refusal::new(ReasonCode::LocalFault, format!("nothing of {package} is installed"));
        let installed = record.current.ok_or_else(nothing)?;
        let metadata = opened(self.metadata.as_ref())?;
        let mut source = NetworkSource::new(metadata, payload, None, &self.context.network);
        let mut engine = Engine::new(host, self.spool);
        let end = engine.repair(&installed, Some((&release, &mut source)));
        match finished(&mut engine, wanted, end)? {
            // There is no other release that it went back to.
            ChangeEnd::Down(refusal) => Err(refusal),
            ChangeEnd::RolledBack(reason) => {
                let detail =
                    format!("the repair of {} did not end well; look at the product", wanted.release);
                Err(Refusal::new(reason, detail))
            }
            end => Ok(end),
        }
    }

    fn roll_back(
        &mut self,
        wanted: &PackageAssignment,
        assignment: &Assignment,
    ) -> Result<ChangeEnd, Refusal> {
        tracing::info!(release = %wanted.release, "to be rolled back to, as the site asks");
        let judged = self.open_metadata(assignment).and_then(|()| {
            if self.holdings.coverage(&wanted.release.package) == Coverage::NotGranted {
                return Err(not_licensed(wanted));
            }
            let metadata = opened(self.metadata.as_ref())?;
            go_back::judge(self.context, wanted, &self.holdings.trust, metadata)
        });
        let to = self.reported(wanted, judged)?;
        let terms = self.terms(wanted);
        let mut engine = Engine::new(&self.context.host, self.spool);
        let end = engine.roll_back_for_site(to, terms);
        finished(&mut engine, wanted, end)
    }

    fn terms(&self, wanted: &PackageAssignment) -> Terms {
        let now = self.progress.license_time(self.context.host.now());
        Terms {
            wanted: wanted.clone(),
            put_off: self.progress.computer.put_off(wanted, now),
            time_floor: self.progress.computer.floors.license(),
            ready_at: None,
        }
    }

    /// Whether the product says "not now" about a release that is ready, or fetched: then nothing is digested and loaded again
    /// for it, and no change begins that the server would hear of.
    fn declines(&self, terms: &mut Terms) -> Result<bool, Refusal> {
        let host = &self.context.host;
        let wanted = &terms.wanted;
        let package = &wanted.release.package;
        let local = |error: &StoreError| Refusal::new(ReasonCode::LocalFault, with_causes(error));
        let record = linked::load(host, package).map_err(|error| local(&error))?;
        let is_ready = record.prepared.is_some_and(|prepared| prepared.manifest == wanted.manifest);
        // It is asked for the first time when the download has come.
        let kept = self.progress.computer.put_off.get(package);
        let was_asked =
            kept.is_some_and(|kept| kept.manifest == wanted.manifest && kept.times_declined() > 0);
        Ok((is_ready || was_asked) && declines(host, terms))
    }

    /// Keeps that the product said "not now", and when it is asked again.
    fn note_not_now(&mut self, wanted: &PackageAssignment, why: NotNow) {
        let now = self.progress.license_time(self.context.host.now());
        let put_off = self.progress.computer.put_off(wanted, now);
        if why == NotNow::Declined {
            let declined = put_off.declined(wanted, now);
            self.progress.computer.keep_put_off(&wanted.release.package, declined);
        }
    }

    /// Keeps when it is this computer's turn on the link at the earliest.
    fn note_link_busy(&mut self, wanted: &PackageAssignment, again_in: Duration) {
        let now = self.progress.license_time(self.context.host.now());
        let failing = &mut self.progress.computer.failing;
        let package = &wanted.release.package;
        let waits = Failing::waits_for_link(failing.get(package), wanted, again_in, now);
        let _ = failing.insert(package.clone(), waits);
    }

    fn note_failing(&mut self, wanted: &PackageAssignment, refusal: Option<&Refusal>) {
        let now = self.progress.license_time(self.context.host.now());
        let failing = &mut self.progress.computer.failing;
        let package = &wanted.release.package;
        let after =
            refusal.and_then(|refusal| Failing::after(failing.get(package), wanted, refusal.reason, now));
        let _ = match (after, refusal.map(|refusal| refusal.reason)) {
            (Some(after), _) => failing.insert(package.clone(), after),
            // It was not let end; how often it failed before still counts.
            (None, Some(ReasonCode::Interrupted)) => None,
            (None, _) => failing.remove(package),
        };
    }

    /// Checks that a live lease and the vendor's grants cover a release. Asked again once the vendor's newest metadata is open:
    /// it may have taken a grant back.
    fn ensure_licensed(&self, wanted: &PackageAssignment) -> Result<(), Refusal> {
        let time = self.progress.license_time(self.context.host.now());
        match self.holdings.entitlement(&wanted.release.package, time) {
            Entitlement::Until(_) => Ok(()),
            Entitlement::NoLease | Entitlement::NotCovered => Err(not_licensed(wanted)),
        }
    }

    /// Reports an action that is not known here, once per assignment of it; `true` if it was new.
    fn tell_unknown(&mut self, wanted: &PackageAssignment, action: Word) -> bool {
        let package = &wanted.release.package;
        let told = Told { manifest: wanted.manifest, attempt: wanted.attempt, action };
        if self.progress.computer.told.get(package) == Some(&told) {
            return false;
        }
        let sentence = Decision::ActionUnknown(action).to_string();
        self.report_refusal(wanted, &Refusal::new(ReasonCode::ActionUnknown, sentence));
        let _ = self.progress.computer.told.insert(package.clone(), told);
        true
    }

    fn learn_what_was_withdrawn(&mut self, assignment: &Assignment) {
        let host = &self.context.host;
        let releases = withdrawn::to_look_up(host, assignment.order(), host.now());
        // Before the first lease the server answers no such request.
        if releases.is_empty() || self.holdings.lease.good().is_none() {
            return;
        }
        match self.open_metadata(assignment).and_then(|()| opened(self.metadata.as_ref())) {
            Ok(metadata) => withdrawn::look_up(self.context, metadata, releases, assignment.order()),
            Err(refusal) => tracing::debug!(%refusal, "what the vendor withdrew cannot be read"),
        }
    }

    fn forget_what_is_not_assigned(&mut self, assignment: &Assignment) {
        let is_assigned = |package: &PackageName| {
            assignment.packages.iter().any(|wanted| wanted.release.package == *package)
        };
        let computer = &mut self.progress.computer;
        computer.told.retain(|package, _| is_assigned(package));
        computer.put_off.retain(|package, _| is_assigned(package));
        computer.failing.retain(|package, _| is_assigned(package));
        for wanted in &assignment.packages {
            // Of a record that is damaged nothing is installed, and nothing forgotten.
            if let Ok(record) = linked::load(&self.context.host, &wanted.release.package) {
                computer.settle_put_off(wanted, record.current.map(|current| current.manifest));
            }
        }
        forget_prepared(&self.context.host, assignment);
    }

    /// Opens the refreshed metadata, once per round.
    fn open_metadata(&mut self, assignment: &Assignment) -> Result<(), Refusal> {
        let host = &self.context.host;
        let as_of = assignment.metadata_as_of;
        let now = self.progress.license_time(host.now());
        let floor = self.progress.computer.floors.metadata();
        judge_freshness(as_of, floor, now, host.settings.metadata_max_age_days)?;
        if self.metadata.is_none() {
            let opened = metadata::open(self.context, &mut self.holdings, self.progress, self.access, as_of)?;
            self.metadata = Some(opened);
        }
        Ok(())
    }

    /// Reports a refusal that comes before anything is changed.
    fn reported<T>(&mut self, wanted: &PackageAssignment, judged: Result<T, Refusal>) -> Result<T, Refusal> {
        if let Err(refusal) = &judged {
            self.report_refusal(wanted, refusal);
        }
        judged
    }

    fn report_refusal(&mut self, wanted: &PackageAssignment, refusal: &Refusal) {
        let about = Subject {
            release: wanted.release.clone(),
            manifest: wanted.manifest,
            rollout: wanted.rollout,
            attempt: wanted.attempt,
            ring: wanted.ring.clone(),
        };
        let what = (InstallStep::Check, Outcome::Refused, refusal.reason);
        if let Err(error) = self.spool.add(self.context.host.now(), &about, what, &refusal.detail) {
            tracing::error!("a report could not be kept: {}", with_causes(&error));
        }
    }
}

/// What was made ready and is assigned no more goes with the next cleaning.
fn forget_prepared(host: &Host, assignment: &Assignment) {
    for (package, record) in packages::load_all(&host.home).unwrap_or_default() {
        let Ok(record) = record else { continue };
        let Some(prepared) = record.prepared.clone() else { continue };
        if assignment.packages.iter().any(|wanted| wanted.manifest == prepared.manifest) {
            continue;
        }
        let record = record.without_prepared(&prepared.manifest);
        match packages::save(&host.home, &package, &record) {
            Ok(()) => tracing::info!(release = %prepared.release, "was made ready, and is assigned no more"),
            Err(error) => {
                tracing::error!(%package, error = with_causes(&error), "the record cannot be written yet")
            }
        }
    }
}

/// The end of a change. If it has none, it is ended now and not at the next start: the product may be stopped.
fn finished(
    engine: &mut Engine<'_>,
    wanted: &PackageAssignment,
    end: Result<ChangeEnd, EngineError>,
) -> Result<ChangeEnd, Refusal> {
    end.map_err(|error| {
        let refusal = Refusal::new(ReasonCode::LocalFault, with_causes(&error));
        tracing::error!(release = %wanted.release, "{refusal}");
        if let Err(error) = engine.recover() {
            tracing::error!("the change could not be finished: {}", with_causes(&error));
        }
        refusal
    })
}

fn opened(metadata: Option<&VendorMetadata>) -> Result<&VendorMetadata, Refusal> {
    metadata.ok_or_else(|| Refusal::new(ReasonCode::LocalFault, "the vendor's metadata was not opened"))
}

fn not_licensed(wanted: &PackageAssignment) -> Refusal {
    let detail = format!(
        "{} is not covered by a live lease and by a grant of the vendor for this server; ask the administrator",
        wanted.release
    );
    Refusal::new(ReasonCode::LeaseInvalid, detail)
}

/// How many tries an end counts for. After a failure that may be gone after the next contact of the same cycle, there
/// is one more try; everything else is for the next cycle.
fn cost(refusal: Option<&Refusal>) -> u32 {
    let is_passing = refusal.is_some_and(|refusal| {
        matches!(refusal.reason, ReasonCode::NetworkFailed | ReasonCode::RequirementMissing)
    });
    if is_passing { 1 } else { MAX_TRIES }
}
