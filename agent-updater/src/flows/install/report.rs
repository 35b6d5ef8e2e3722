//! Reporting the steps of a change to the server.
//!
//! Invariant: a report that cannot be written stops nothing. It is written with the next report: a late report is better
//! than a product that stays stopped, or an unfinished slot that fills the disk.

use std::time::Instant;

use sealpost_files::with_causes;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use crate::domain::record::{Change, ChangeKind, Installed};
use crate::flows::context::Host;
use crate::flows::self_update::settle::{SettleError, settle};
use crate::spool::{Measured, Spool, Subject};

/// Adds reports to the spool.
#[derive(Debug)]
pub(super) struct Reporter<'a> {
    host: &'a Host,
    spool: &'a mut Spool,
    /// When the step began that is reported next.
    began: Option<Instant>,
}

impl<'a> Reporter<'a> {
    pub(super) const fn new(host: &'a Host, spool: &'a mut Spool) -> Self {
        Self { host, spool, began: None }
    }

    pub(super) fn begin(&mut self) {
        self.began = Some(Instant::now());
    }

    /// Reports a step of the new release of a change.
    pub(super) fn step(&mut self, change: &Change, what: (InstallStep, Outcome, ReasonCode), detail: &str) {
        let duration = self.began.map(|began| began.elapsed());
        self.measured_step(change, what, detail, Measured { duration, ..Measured::default() });
    }

    /// As [`Reporter::step`], with what was measured of it.
    pub(super) fn measured_step(
        &mut self,
        change: &Change,
        what: (InstallStep, Outcome, ReasonCode),
        detail: &str,
        measured: Measured,
    ) {
        self.add(&subject(&change.to, change), what, detail, measured);
    }

    /// Reports that this release was left by a rollback, and who asked for it.
    pub(super) fn left_by_rollback(&mut self, change: &Change, left: &Installed, asked: ReasonCode) {
        let what = (InstallStep::RollBack, Outcome::Ok, asked);
        let detail = format!("back to {}", change.to.release);
        self.add(&subject(left, change), what, &detail, Measured::default());
    }

    /// Notes and reports that the agent's own release is in force.
    ///
    /// # Errors
    /// [`SettleError`].
    pub(super) fn note_end_of_trial(&mut self) -> Result<(), SettleError> {
        settle(self.host, self.spool)
    }

    /// Writes reports that could not be written before.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.spool.flush() {
            tracing::error!(error = with_causes(&error), "reports are not on disk yet");
        }
    }

    fn add(
        &mut self,
        about: &Subject,
        what: (InstallStep, Outcome, ReasonCode),
        detail: &str,
        measured: Measured,
    ) {
        if let Err(error) = self.spool.add_measured(self.host.now(), about, what, detail, measured) {
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

fn subject(about: &Installed, change: &Change) -> Subject {
    Subject {
        release: about.release.clone(),
        manifest: about.manifest,
        rollout: rollout_of(change),
        attempt: about.attempt,
        ring: change.to.ring.clone().filter(|_| change.kind != ChangeKind::LocalRollback),
    }
}
