//! The flow of a repair; see [`super`].

use sealpost_files::{escape, with_causes};
use sealpost_manifests::ids::PackageName;

use crate::control::{Answer, AnswerCode};
use crate::flows::context::Context;
use crate::flows::cycle::{self, CycleResult};
use crate::flows::drift::{self, Keep, Place};

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
    let result = if needs_bytes.is_empty() {
        CycleResult::at_once(host)
    } else {
        cycle::run_with_repairs(context, &needs_bytes)
    };
    let damaged = if needs_bytes.is_empty() { Vec::new() } else { drift::look(host, Keep::Yes) };
    let installed = local::installed(host);
    for package in &needs_bytes {
        let is_damaged = |found: &&drift::Found| found.package == *package && found.place == Place::Current;
        match (damaged.iter().find(is_damaged), installed.get(package)) {
            (Some(found), _) => {
                ok = false;
                lines.push(format!("{} is not repaired: {}", found.release, found.detail));
            }
            (None, Some(installed)) => lines.push(format!("{} is as it was signed", installed.release)),
            (None, None) => lines.push(format!("nothing of {package} is installed")),
        }
    }
    if !ok && !needs_bytes.is_empty() {
        let others = result.problems.iter().filter(|problem| !problem.contains("agent-updater repair"));
        lines.extend(others.cloned());
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
