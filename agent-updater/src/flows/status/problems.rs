//! What of the status needs a person, each by its code: contacts, license, packages.

use std::collections::BTreeMap;

use sealpost_manifests::ids::PackageName;

use crate::domain::cadence::Standing;
use crate::domain::reaction::remedy;
use crate::domain::rollback::stays_refused;
use crate::flows::servers::ServerStatus;
use crate::records::standing::ServerStanding;

use super::report::{PackageStatus, ProblemKind, StatusProblem};

/// What needs a person, of the lease and of the last contact.
pub(super) fn contact_problems(standing: &ServerStanding, lease_problem: Option<&str>) -> Vec<StatusProblem> {
    let mut problems = Vec::new();
    let last = standing.last_contact.as_ref();
    let refusal = last.and_then(|contact| Some((contact.refused?, contact.problem.as_deref()?)));
    if let Some((code, remedy, why)) = refusal.and_then(|(code, why)| Some((code, remedy(code)?, why))) {
        let text = format!("{why}; {remedy}");
        let refusal = Some(code);
        problems.push(StatusProblem { code: ProblemKind::Refused, package: None, refusal, text });
    }
    if let Some(why) = last.filter(|contact| contact.unknown_ca).and_then(|contact| contact.problem.clone()) {
        problems.push(StatusProblem::of_computer(ProblemKind::UnknownCa, why));
    }
    // Before the first answer there is nothing that was lost; a server that answers without a lease says why.
    let was_answered = last.is_some_and(|contact| contact.problem.is_none());
    if let Some(why) = lease_problem.filter(|_| standing.standing != Standing::Unlicensed || was_answered) {
        let said = standing.notices.iter().map(String::as_str);
        let text: Vec<&str> = std::iter::once(why).chain(said.filter(|_| was_answered)).collect();
        problems.push(StatusProblem::of_computer(ProblemKind::NoLease, text.join("; ")));
    }
    problems
}

/// What needs a person, of the last contact with a further server: without it nobody serves when the first does not.
pub(super) fn refusal_of_further(standing: &ServerStanding, server: &ServerStatus) -> Option<StatusProblem> {
    let last = standing.last_contact.as_ref()?;
    let (code, why) = (last.refused?, last.problem.as_deref()?);
    // Enrolling as with the first would make it the first.
    let remedy = remedy(code)?.replace("agent-updater enroll", "agent-updater servers add");
    let text = format!("the server {}: {why}; {remedy}", server.name());
    Some(StatusProblem { code: ProblemKind::Refused, package: None, refusal: Some(code), text })
}

/// What needs a person, of the packages.
pub(super) fn package_problems(
    packages: &[PackageStatus],
    refusals: &BTreeMap<PackageName, String>,
) -> Vec<StatusProblem> {
    let mut problems = Vec::new();
    for status in packages {
        let mut add = |code, text: &str| {
            let package = Some(status.package.clone());
            problems.push(StatusProblem { code, package, refusal: None, text: text.to_owned() });
        };
        if let Some(why) = &status.not_started {
            add(ProblemKind::NotStarted, why);
        }
        if let Some(drift) = &status.drift {
            add(ProblemKind::NotAsSigned, &drift.text);
        }
        match status.decision {
            Some("given_up") => add(ProblemKind::GivenUp, &status.sentence),
            Some("not_entitled" | "other_platform" | "action_unknown" | "started_otherwise") => {
                add(ProblemKind::NotInstalled, &status.sentence);
            }
            Some("to_roll_back") if refusals.get(&status.package).is_some_and(|why| is_for_good(why)) => {
                add(ProblemKind::NotRolledBack, &status.sentence);
            }
            _ => {}
        }
        if let (Some(why), Some(installed)) = (&status.withdrawn, &status.installed) {
            let text = format!(
                "the vendor withdrew {} {installed}, which is installed here: {why}; let the administrator approve another \
                 release, or take it back with `distributor updates halt {0}:{installed} --rollback --reason TEXT`",
                status.package
            );
            add(ProblemKind::Withdrawn, &text);
        }
    }
    problems
}

/// Whether a refused rollback needs a person, by the code at its end.
pub(super) fn is_for_good(why: &str) -> bool {
    let code = why.strip_suffix(']').and_then(|why| why.rsplit_once('[')).map(|(_, code)| code);
    code.and_then(|code| code.parse().ok()).is_some_and(stays_refused)
}
