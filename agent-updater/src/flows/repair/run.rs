//! The flow of a repair; see [`super`].

use sealpost_files::{escape, with_causes};
use sealpost_manifests::ids::PackageName;

use crate::control::{Answer, AnswerCode};
use crate::flows::context::{Context, Host};
use crate::flows::cycle::{self, CycleResult, Starts};
use crate::flows::drift::{self, Keep, Place};
use crate::journal::Journal;
use crate::records::holdings::Holdings;
use crate::records::progress::Progress;

use super::local::{self, Local};

/// Puts a package right, or all of them: the result of the cycle that belongs to it, and the answer to whoever asked.
pub fn repair(context: &Context, only: Option<&PackageName>) -> (CycleResult, Answer) {
    let host = &context.host;
    let (local, problem) = match local::repair(host, only) {
        Ok(local) => (local, None),
        Err(error) => (Local::default(), Some(with_causes(&error))),
    };
    let Local { mut lines, failed, needs_bytes } = local;
    let mut ok = !failed && problem.is_none();
    lines.extend(problem);
    let before = local::installed(host);
    let result = if needs_bytes.is_empty() {
        CycleResult::at_once(host)
    } else {
        cycle::run_with_repairs(context, &needs_bytes, Starts::All)
    };
    let looked = if needs_bytes.is_empty() { Ok(Vec::new()) } else { drift::look(host, Keep::Yes) };
    let is_known = looked.is_ok();
    let damaged = looked.unwrap_or_else(|error| {
        ok = false;
        lines.push(with_causes(&error));
        Vec::new()
    });
    let installed = local::installed(host);
    let progress = Progress::load(&host.home).ok();
    let holdings =
        progress.as_ref().and_then(|progress| Holdings::load(&host.home, progress, host.now()).ok());
    let assignment = holdings.as_ref().and_then(|holdings| holdings.assignment.good());
    let refusals = progress.map(|progress| progress.computer.refusals).unwrap_or_default();
    let mut is_reason_open = false;
    for package in needs_bytes.iter().filter(|_| is_known) {
        let is_damaged = |found: &&drift::Found| found.package == *package && found.place == Place::Current;
        // A look leaves such a package out.
        if let Some(why) = unfinished(host, package) {
            ok = false;
            lines.push(why);
            continue;
        }
        match (damaged.iter().find(is_damaged), installed.get(package)) {
            (Some(found), _) => {
                ok = false;
                lines.push(format!("{} is not repaired: {}", found.release, found.detail));
                if found.is_handed_out_no_more(assignment) {
                    lines.push(found.advice(assignment));
                } else {
                    is_reason_open = true;
                }
            }
            (None, Some(installed)) if refusals.contains_key(package) => {
                ok = false;
                let why = &refusals[package];
                lines.push(format!("{} is as it was signed, but: {why}", installed.release));
            }
            (None, Some(installed)) => {
                let done = match before.get(package) {
                    Some(before) if before.manifest != installed.manifest => "is installed in its place",
                    _ => "was built again from what the server assigns, and is as it was signed",
                };
                lines.push(format!("{} {done}", installed.release));
            }
            (None, None) => lines.push(format!("nothing of {package} is installed")),
        }
    }
    if !ok && !needs_bytes.is_empty() {
        let is_said = |problem: &&String| damaged.iter().any(|found| problem.contains(&found.detail));
        lines.extend(result.problems.iter().filter(|problem| !is_said(problem)).cloned());
    }
    if is_reason_open {
        lines.push(
            "a release is built again from what the server assigns; if it assigns another one or none, that is what an \
             administrator approves next"
                .to_owned(),
        );
    }
    if lines.is_empty() {
        lines.push("nothing is installed".to_owned());
    }
    let code = if ok { AnswerCode::Repaired } else { AnswerCode::NotRepaired };
    (result, Answer { ok, code, lines: lines.iter().map(|line| escape(line)).collect() })
}

/// Why the change of a package has no end, if it has none: the product may be stopped.
fn unfinished(host: &Host, package: &PackageName) -> Option<String> {
    match Journal::of(&host.home, &*host.faults).open_change() {
        Ok(change) => change.filter(|change| change.to.release.package == *package).map(|change| {
            format!(
                "the change to {} is not finished, at step {}: the agent's log says why, and the next contact goes on with it",
                change.to.release, change.step
            )
        }),
        Err(error) => Some(with_causes(&error)),
    }
}
