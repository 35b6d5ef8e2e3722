//! Reporting the steps of a change to the server.
//!
//! Invariant: a report that cannot be written stops nothing. It is written with the next report: a late report is better
//! than a product that stays stopped, or an unfinished slot that fills the disk.

use sealpost_files::with_causes;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use crate::domain::record::{Change, ChangeKind, Installed};
use crate::flows::context::Host;
use crate::spool::{Spool, Subject};

/// Adds reports to the spool.
#[derive(Debug)]
pub(super) struct Reporter<'a> {
    host: &'a Host,
    spool: &'a mut Spool,
}

impl<'a> Reporter<'a> {
    pub(super) const fn new(host: &'a Host, spool: &'a mut Spool) -> Self {
        Self { host, spool }
    }

    /// Reports a step of the new release of a change.
    pub(super) fn step(&mut self, change: &Change, what: (InstallStep, Outcome, ReasonCode), detail: &str) {
        self.add(&subject(&change.to, rollout_of(change)), what, detail);
    }

    /// Reports that this release was left by a rollback, and who asked for it.
    pub(super) fn left_by_rollback(&mut self, change: &Change, left: &Installed, asked: ReasonCode) {
        let what = (InstallStep::RollBack, Outcome::Ok, asked);
        let detail = format!("back to {}", change.to.release);
        self.add(&subject(left, rollout_of(change)), what, &detail);
    }

    /// Writes reports that could not be written before.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.spool.flush() {
            tracing::error!(error = with_causes(&error), "reports are not on disk yet");
        }
    }

    fn add(&mut self, about: &Subject, what: (InstallStep, Outcome, ReasonCode), detail: &str) {
        if let Err(error) = self.spool.add(self.host.now(), about, what, detail) {
            tracing::error!(error = with_causes(&error), "a report is not on disk yet");
        }
    }
}

/// The rollout that a change belongs to; 0 when a person at the computer asked.
const fn rollout_of(change: &Change) -> u64 {
    match change.kind {
        ChangeKind::Install | ChangeKind::SiteRollback | ChangeKind::Repair => change.to.rollout,
        ChangeKind::LocalRollback => 0,
    }
}

fn subject(about: &Installed, rollout: u64) -> Subject {
    Subject { release: about.release.clone(), manifest: about.manifest, rollout, attempt: about.attempt }
}
