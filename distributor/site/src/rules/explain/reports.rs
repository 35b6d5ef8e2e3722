//! What a computer reported, in the sentences about it.

use jiff::Timestamp;
use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::wire::contact::DriftKind;
use sealpost_manifests::wire::report::{InstallStep, Outcome, Report};

use super::held::{ChangesWhen, Reason};
use crate::rules::reports::gives_up;
use crate::rules::rollouts::links::load::minute;
use crate::rules::text::escape;

/// How far an install has come that the computer was told, by its last report about it. `again_at`: when it tries again by itself,
/// as far as it says so.
pub(super) fn reported(
    report: &Report,
    name: &ComputerName,
    drift: Option<DriftKind>,
    again_at: Option<Timestamp>,
) -> Reason {
    let (at, step, outcome, why) = (report.at, report.step, report.outcome, why_of(report, drift));
    let failed = match (step, outcome) {
        (InstallStep::RollBack, _) => format!("it rolled back at {at} ({why})"),
        (_, Outcome::Ok) => {
            return Reason::new(format!("it is on its way: {step} is done since {at}"), ChangesWhen::Contact);
        }
        _ => format!("{step} {outcome} at {at} ({why})"),
    };
    if gives_up(report) {
        let ReleaseId { package, version, .. } = &report.release;
        let and = if step == InstallStep::RollBack { " and" } else { "; it" };
        let text = format!(
            "{failed}{and} does not retry this release automatically: when the cause is gone, run `distributor updates retry \
             {package}:{version} --client {name} --why TEXT`"
        );
        return Reason::new(text, ChangesWhen::Admin);
    }
    let about = again_at.map(|at| format!(" at about {}", minute(at))).unwrap_or_default();
    Reason::new(format!("{failed}; it tries again by itself{about}"), ChangesWhen::Contact).at(again_at)
}

/// Why a step went so, and what the computer says to that.
pub(super) fn why_of(report: &Report, drift: Option<DriftKind>) -> String {
    match escape(&report.detail) {
        detail if detail.is_empty() => report.reason.to_string(),
        detail => format!("{}: {}", report.reason, as_of_then(&detail, drift)),
    }
}

/// What a report says of its own time. The agent says of a release that it could not start again that it "does NOT run";
/// what the computer says now stands in its drift, and that it was started since ends it there.
fn as_of_then(detail: &str, drift: Option<DriftKind>) -> String {
    match drift {
        Some(DriftKind::NotStarted) => detail.to_owned(),
        _ => detail.replace("does NOT run", "did not run then"),
    }
}
