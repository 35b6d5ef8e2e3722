//! One round of a cycle after an answered contact: installs what is assigned.

use std::collections::BTreeMap;

use sealpost_files::{escape, with_causes};
use sealpost_manifests::assignment::{Assignment, PackageAssignment};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use crate::domain::policy::Decision;
use crate::domain::release::{Refusal, judge_freshness};
use crate::download::{NetworkSource, VendorMetadata};
use crate::flows::contact::Access;
use crate::flows::context::Context;
use crate::flows::install::{ChangeEnd, Engine};
use crate::home::Home;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;
use crate::spool::{Spool, Subject};

use super::decide::decision;
use super::metadata;
use super::vet::vet;

/// Upper bound on tries of one package in one cycle.
const MAX_TRIES: u32 = 2;

/// How often each package was tried in this cycle.
pub(super) type Tries = BTreeMap<PackageName, u32>;

/// What a round works with.
#[derive(Debug)]
pub(super) struct Round<'r> {
    pub(super) context: &'r Context,
    pub(super) holdings: Holdings,
    pub(super) progress: &'r mut Progress,
    pub(super) spool: &'r mut Spool,
    pub(super) access: &'r Access,
    /// Opened by the first release that needs it.
    pub(super) metadata: Option<VendorMetadata>,
}

impl Round<'_> {
    /// Installs what is to be installed; `true` if anything was tried.
    pub(super) fn install_assigned(&mut self, tries: &mut Tries) -> bool {
        let (Some(lease), Some(assignment)) =
            (self.holdings.lease.good().cloned(), self.holdings.assignment.good().cloned())
        else {
            return false;
        };
        let host = &self.context.host;
        remove_old_downloads(&host.home, &assignment);
        let mut has_tried = false;
        for wanted in &assignment.packages {
            let package = &wanted.release.package;
            if tries.get(package).is_some_and(|count| *count >= MAX_TRIES)
                || self.context.network.is_interrupted()
            {
                continue;
            }
            let end = match decision(host, wanted, &lease, self.progress) {
                Err(error) => Err(Refusal::new(ReasonCode::LocalFault, with_causes(&error))),
                Ok(Decision::Install) => {
                    has_tried = true;
                    self.install(wanted, &assignment)
                }
                Ok(_) => continue,
            };
            let refusal = match end {
                Ok(ChangeEnd::Kept) => None,
                Ok(ChangeEnd::Refused(refusal)) | Err(refusal) => Some(refusal),
                Ok(ChangeEnd::RolledBack(reason)) => {
                    Some(Refusal::new(reason, format!("{} was rolled back ({reason})", wanted.release)))
                }
            };
            *tries.entry(package.clone()).or_insert(0) += cost(refusal.as_ref());
            match refusal {
                Some(refusal) => {
                    let line = escape(&format!("{refusal} [{}]", refusal.reason));
                    drop(self.progress.refusals.insert(package.clone(), line));
                }
                None => drop(self.progress.refusals.remove(package)),
            }
        }
        has_tried
    }

    fn install(&mut self, wanted: &PackageAssignment, assignment: &Assignment) -> Result<ChangeEnd, Refusal> {
        tracing::info!(release = %wanted.release, "to be installed");
        let vetted = self.open_metadata(assignment).and_then(|()| {
            let metadata = opened(self.metadata.as_ref())?;
            vet(self.context, wanted, &self.holdings.trust, metadata)
        });
        let (vetted, target) = match vetted {
            Ok(vetted) => vetted,
            Err(refusal) => {
                self.report_refusal(wanted, &refusal);
                return Err(refusal);
            }
        };
        let metadata = opened(self.metadata.as_ref())?;
        let mut source = NetworkSource::new(metadata, target, &self.context.network);
        let mut engine = Engine::new(&self.context.host, self.spool);
        match engine.install(&vetted, wanted, &mut source) {
            Ok(end) => Ok(end),
            Err(error) => {
                let refusal = Refusal::new(ReasonCode::LocalFault, with_causes(&error));
                tracing::error!(release = %wanted.release, "{refusal}");
                // The product may be stopped: end the change now, not at the next start.
                if let Err(error) = engine.recover() {
                    tracing::error!("the install could not be finished: {}", with_causes(&error));
                }
                Err(refusal)
            }
        }
    }

    /// Opens the refreshed metadata, once per round.
    fn open_metadata(&mut self, assignment: &Assignment) -> Result<(), Refusal> {
        let host = &self.context.host;
        let as_of = assignment.metadata_as_of;
        let now = self.progress.license_time(host.now());
        judge_freshness(as_of, self.progress.metadata_floor, now, host.settings.metadata_max_age_days)?;
        if self.metadata.is_none() {
            let opened = metadata::open(self.context, &mut self.holdings, self.progress, self.access, as_of)?;
            self.progress.metadata_floor = Some(as_of);
            self.metadata = Some(opened);
        }
        Ok(())
    }

    fn report_refusal(&mut self, wanted: &PackageAssignment, refusal: &Refusal) {
        let about = Subject {
            release: wanted.release.clone(),
            manifest: wanted.manifest,
            rollout: wanted.rollout,
            attempt: wanted.attempt,
        };
        let what = (InstallStep::Check, Outcome::Refused, refusal.reason);
        if let Err(error) = self.spool.add(self.context.host.now(), &about, what, &refusal.detail) {
            tracing::error!("a report could not be kept: {}", with_causes(&error));
        }
    }
}

fn opened(metadata: Option<&VendorMetadata>) -> Result<&VendorMetadata, Refusal> {
    metadata.ok_or_else(|| Refusal::new(ReasonCode::LocalFault, "the vendor's metadata was not opened"))
}

/// How many tries an end counts for. After a failure that may be gone after the next contact of the same cycle, there
/// is one more try; everything else is for the next cycle.
fn cost(refusal: Option<&Refusal>) -> u32 {
    let is_passing = refusal.is_some_and(|refusal| {
        matches!(refusal.reason, ReasonCode::NetworkFailed | ReasonCode::RequirementMissing)
    });
    if is_passing { 1 } else { MAX_TRIES }
}

/// Removes unfinished downloads of releases that are not assigned any more, so that downloads that are cut off again
/// and again cannot fill the disk.
fn remove_old_downloads(home: &Home, assignment: &Assignment) {
    let Ok(entries) = std::fs::read_dir(home.downloads()) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_assigned =
            assignment.packages.iter().any(|wanted| name.contains(&wanted.manifest.to_string()));
        if !is_assigned && let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "an old download could not be removed");
        }
    }
}
