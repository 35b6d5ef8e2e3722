//! The end of a trial that somebody called off: the site, which assigns the release no more, or a person at the computer.
//!
//! Invariant: only an assignment that counts ends a trial, so nothing that a server does not sign does; and the release is
//! not given up when the site asked: if it is assigned again, it is tried again.

use sealpost_files::with_causes;
use sealpost_manifests::assignment::Assignment;
use sealpost_manifests::wire::report::ReasonCode;

use crate::domain::record::ChangeKind;
use crate::domain::self_update::record::Trial;
use crate::domain::self_update::step::TrialStep;
use crate::flows::context::Host;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;

use super::record::{RecordError, load_or_put_aside, save};

/// What is told of a trial that the site called off.
pub(super) const BY_SITE: &str = "the site assigns it no more";

/// Whether an assignment calls a trial off. One that a person asked for goes to a release that need not be assigned.
fn calls_off(assignment: &Assignment, trial: &Trial) -> bool {
    let is_assigned = || assignment.packages.iter().any(|wanted| wanted.manifest == *trial.to.manifest());
    trial.kind != ChangeKind::LocalRollback && !is_assigned()
}

/// Whether the assignment on disk, which the program on trial may have brought, calls the trial off.
pub(super) fn is_called_off(host: &Host, trial: &Trial) -> bool {
    let held = Progress::load(&host.home).map_err(|error| with_causes(&error)).and_then(|progress| {
        Holdings::load(&host.home, &progress, host.now()).map_err(|error| with_causes(&error))
    });
    match held {
        Ok(holdings) => holdings.assignment.good().is_some_and(|assignment| calls_off(assignment, trial)),
        Err(problem) => {
            tracing::debug!("it is not known whether the site called the trial off: {problem}");
            false
        }
    }
}

/// Ends a trial that the site called off and that nobody watches now; `true` if there was one. Its end is to be noted.
/// A watchdog that is at work looks by itself.
///
/// # Errors
/// [`RecordError`].
pub(super) fn end_by_site(host: &Host, assignment: &Assignment) -> Result<bool, RecordError> {
    end(host, ReasonCode::AskedBySite, BY_SITE, |trial| calls_off(assignment, trial))
}

/// The same, because a person asks for it.
///
/// # Errors
/// [`RecordError`].
pub(super) fn end_by_person(host: &Host) -> Result<bool, RecordError> {
    end(host, ReasonCode::AskedLocally, "a person at the computer called the trial off", |_| true)
}

fn end(
    host: &Host,
    reason: ReasonCode,
    detail: &str,
    is_off: impl FnOnce(&Trial) -> bool,
) -> Result<bool, RecordError> {
    let Ok(_lock) = host.home.lock_watch() else { return Ok(false) };
    let record = load_or_put_aside(host)?;
    if !record.trial.as_ref().is_some_and(is_off) {
        return Ok(false);
    }
    save(host, TrialStep::GivenBack, &record.given_back(reason, detail.to_owned(), host.now()))?;
    Ok(true)
}
