//! Retry: a person at the computer repaired a local cause, and has a release tried again that was given up.
//!
//! Invariant: only this computer's memory of failures is forgotten. What is installed is decided as before: by what is
//! assigned, licensed and signed. An administrator can have the same by raising the attempt.

use sealpost_files::with_causes;
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

use crate::control::{Answer, AnswerCode};
use crate::home::HomeError;
use crate::platform::store::StoreError;
use crate::records::holdings::Holdings;
use crate::records::packages;
use crate::records::progress::Progress;
use crate::spool::Subject;

use super::context::{Context, Host};
use super::cycle::{self, CycleResult, Starts};
use super::install::{Engine, EngineError};
use super::reports;

/// Why nothing could be forgotten.
#[derive(Debug, thiserror::Error)]
enum RetryError {
    #[error(transparent)]
    Home(#[from] HomeError),
    #[error("the agent's records cannot be used")]
    Store(#[from] StoreError),
    #[error("an earlier change could not be finished")]
    Engine(#[from] EngineError),
}

/// Forgets what was given up of a package, and runs a cycle.
pub fn retry(context: &Context, package: &PackageName) -> (CycleResult, Answer) {
    let host = &context.host;
    let refused = |code, line| (CycleResult::at_once(host), Answer { ok: false, code, lines: vec![line] });
    match forget(host, package) {
        Err(error) => refused(AnswerCode::Failed, with_causes(&error)),
        Ok(0) => refused(
            AnswerCode::NothingGivenUp,
            format!(
                "nothing of {package} was given up, so there is nothing to try again; see `agent-updater status`"
            ),
        ),
        Ok(_) => {
            let result = cycle::run(context, Starts::All);
            let answer = result.answer();
            let first = format!("what was given up of {package} is tried again");
            (result, Answer { lines: [vec![first], answer.lines.clone()].concat(), ..answer })
        }
    }
}

/// How many releases were forgotten.
fn forget(host: &Host, package: &PackageName) -> Result<usize, RetryError> {
    host.home.prepare()?;
    let _lock = host.home.lock_cycle()?;
    let mut spool = reports::open(host)?;
    Engine::new(host, &mut spool).recover()?;
    let mut record = packages::load(&host.home, package)?;
    let given_up = std::mem::take(&mut record.given_up);
    if given_up.is_empty() {
        return Ok(0);
    }
    let mut progress = Progress::load(&host.home)?;
    let holdings = Holdings::load(&host.home, &progress, host.now()).ok();
    let assignment = holdings.as_ref().and_then(|holdings| holdings.assignment.good());
    let wanted = assignment.and_then(|assignment| {
        assignment.packages.iter().find(|wanted| {
            wanted.release.package == *package && given_up.iter().any(|past| past.manifest == wanted.manifest)
        })
    });
    if let Some(wanted) = wanted {
        let about = Subject {
            release: wanted.release.clone(),
            manifest: wanted.manifest,
            rollout: wanted.rollout,
            attempt: wanted.attempt,
            ring: wanted.ring.clone(),
        };
        let what = (InstallStep::Check, Outcome::Ok, ReasonCode::AskedLocally);
        if let Err(error) = spool.add(host.now(), &about, what, "tried again") {
            tracing::error!(error = with_causes(&error), "a report is not on disk yet");
        }
    }
    packages::save(&host.home, package, &record)?;
    let _ = progress.computer.refusals.remove(package);
    progress.save(&host.home)?;
    tracing::info!(%package, "a person has what was given up tried again");
    Ok(given_up.len())
}
