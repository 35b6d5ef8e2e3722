//! Setup files and enrollment.

use jiff::SignedDuration;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ClientId, ComputerName};
use sealpost_manifests::wire::enroll::{Enrolled, Enrollment};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};

use super::missing;
use crate::domain::activity::{Actor, Change};
use crate::domain::enrollment::{EnrollDecision, EnrollRefusal, decide};
use crate::ledger::sqlite::projections::MAX_PENDING;
use crate::ledger::sqlite::queries;
use crate::ledger::sqlite::step::{CommandError, Ruling, Step, StepResult};
use crate::ports::ledger::EnrollOutcome;

/// A full pending list makes room at most this often per place: strangers cannot fill the log.
const PENDING_STAYS: SignedDuration = SignedDuration::from_hours(24);
/// Longest agent version that is kept, in characters.
pub(super) const MAX_AGENT_VERSION_CHARS: usize = 64;

/// Notes a new enrollment code for a reserved name.
pub(in crate::ledger::sqlite) fn issue_setup(
    step: &mut Step<'_>,
    actor: Actor,
    name: ComputerName,
    code_sha256: Sha256Digest,
) -> StepResult<()> {
    if queries::reservation(step.connection, &name)?.is_none() {
        return Err(CommandError::Refused(Problem::new(
            ProblemCode::NotReserved,
            format!("no setup file can be issued: no seat is reserved for {name}"),
            format!("run `distributor clients reserve {name}` first"),
        )));
    }
    match queries::name_of_code(step.connection, &code_sha256)? {
        Some(known) if known == name => return Ok(Ruling::Done(())),
        Some(_) => {
            return Err(CommandError::Refused(Problem::new(
                ProblemCode::AlreadyExists,
                "the enrollment code belongs to another computer",
                "issue a setup file with a new code",
            )));
        }
        None => {}
    }
    step.record(actor, Change::SetupIssued { name, code_sha256 })?;
    Ok(Ruling::Done(()))
}

/// Enrolls a computer whose enrollment was verified with the key inside.
pub(in crate::ledger::sqlite) fn enroll(
    step: &mut Step<'_>,
    source: String,
    enrollment: Enrollment,
    candidate: ClientId,
) -> StepResult<EnrollOutcome> {
    if enrollment.server_id != step.server.server_id {
        return Err(CommandError::Refused(wrong_server()));
    }
    let name = enrollment.computer_name;
    let code_sha256 = Sha256Digest::of(enrollment.enrollment_code.as_str().as_bytes());
    let standing = queries::standing(step.connection, &name)?;
    match decide(&standing, code_sha256, &enrollment.client_key) {
        Ok(EnrollDecision::SameAgain) => {}
        Ok(EnrollDecision::Bind) => {
            let replaces = queries::client(step.connection, &name)?.and_then(|row| row.client_id);
            let actor = Actor::Client { client_id: candidate.clone(), name: name.clone() };
            let change = Change::ClientEnrolled {
                client_id: candidate,
                name: name.clone(),
                client_key: enrollment.client_key,
                platform: enrollment.platform,
                agent_version: enrollment.agent_version.chars().take(MAX_AGENT_VERSION_CHARS).collect(),
                code_sha256,
                replaces,
            };
            step.record(actor, change)?;
        }
        Err(refusal) => {
            if refusal == EnrollRefusal::UnknownComputer {
                note_unknown(step, &name, source)?;
            }
            return Ok(Ruling::NotedRefusal(refusal.problem(&name)));
        }
    }
    Ok(Ruling::Done(outcome(step, &name)?))
}

/// What is answered, now and to every retry: from the tables only.
fn outcome(step: &Step<'_>, name: &ComputerName) -> Result<EnrollOutcome, CommandError> {
    let row = queries::client(step.connection, name)?.ok_or_else(|| missing("reservation"))?;
    let (Some(client_id), Some(client_key)) = (row.client_id, row.client_key) else {
        return Err(missing("client"));
    };
    let enrolled_at = queries::enrolled_at(step.connection, &client_id)?.ok_or_else(|| missing("client"))?;
    let (_, serial) = queries::reservation(step.connection, name)?.ok_or_else(|| missing("reservation"))?;
    let grant = queries::grant_of(step.connection, &serial)?.ok_or_else(|| missing("grant"))?;
    let server_id = step.server.server_id.clone();
    let enrolled = Enrolled { client_id, client_key, computer_name: row.name, server_id, enrolled_at };
    Ok(EnrollOutcome { enrolled, grant: grant.document })
}

/// A computer without a seat waits in a bounded list.
fn note_unknown(step: &mut Step<'_>, name: &ComputerName, source: String) -> Result<(), CommandError> {
    let (waiting, known, oldest) = queries::pending(step.connection, name)?;
    let full = waiting >= MAX_PENDING;
    let oldest_may_go = oldest.is_some_and(|oldest| step.now.duration_since(oldest) > PENDING_STAYS);
    if known || (full && !oldest_may_go) {
        return Ok(());
    }
    let source: String = source.chars().take(64).collect();
    let change = Change::UnknownComputerSeen { name: name.clone(), source: source.clone() };
    step.record(Actor::Stranger { source }, change)
}

/// The request is meant for another server.
pub(super) fn wrong_server() -> Problem {
    Problem::new(
        ProblemCode::WrongServer,
        "the request is meant for another server",
        "use a setup file that this server issued",
    )
}
