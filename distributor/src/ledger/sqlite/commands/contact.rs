//! One contact: nonces, reports, lease, assignment, grant, in one command.
//!
//! Invariant: the answer is stored in the same transaction as the nonces, so that a retry gets the same answer. The head
//! that a lease carries is the newest entry before it; it leaves the server only after the commit.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{OptionalExtension, params};
use sealpost_manifests::assignment::{Assignment, PackageAssignment, Urgency};
use sealpost_manifests::document::SignedDocument;
use sealpost_manifests::ids::{ClientId, ComputerName, Nonce, PackageName};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::wire::contact::{Contact, InstalledPackage, MAX_PACKAGES, MAX_REPORTS};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::report::{MAX_DETAIL_BYTES, Report};
use serde::{Deserialize, Serialize};

use super::clients::{MAX_AGENT_VERSION_CHARS, wrong_server};
use super::missing;
use crate::domain::activity::{Actor, Change};
use crate::domain::assignment::{
    AssignmentDecision, AssignmentFacts, Candidate, LastAssignment, Target, decide, wanted,
};
use crate::domain::contact::{
    ClientState, LastLease, LeaseDecision, LeaseFacts, NonceJudgement, NoncePair, decide_lease, fork_problem,
    judge_nonces, next_sequence, nonce_problem,
};
use crate::ledger::sqlite::queries::{self, StoredGrant};
use crate::ledger::sqlite::step::{CommandError, Ruling, Step, StepResult};
use crate::ledger::sqlite::values::{
    count, from_json, json, micros, optional_count, optional_from_json, optional_text, text,
};
use crate::ports::ledger::ContactOutcome;

/// Highest report id that is believed: beyond it no agent gets by counting.
const MAX_REPORT_ID: u64 = 1 << 48;

/// The answer as it is stored for retries.
#[derive(Serialize, Deserialize)]
struct StoredAnswer {
    lease: Option<Lease>,
    assignment: Option<Assignment>,
    grant: Option<SignedDocument>,
    acknowledged_report: u64,
    notice: Option<String>,
}

impl StoredAnswer {
    fn outcome(self, name: ComputerName, retry: bool) -> ContactOutcome {
        ContactOutcome {
            lease: self.lease,
            assignment: self.assignment,
            grant: self.grant,
            acknowledged_report: self.acknowledged_report,
            notice: self.notice,
            retry,
            name,
        }
    }
}

/// The last contact of a client, with the newest documents that it was sent.
struct LastContact {
    nonces: NoncePair,
    answer: StoredAnswer,
    lease: Option<Lease>,
    assignment: Option<Assignment>,
}

/// What the chain says of a client's documents.
struct Issued {
    sequence: u64,
    lease: Option<u64>,
    assignment: Option<u64>,
    acknowledged_report: u64,
}

/// One contact whose signature was verified with the client's key.
pub(in crate::ledger::sqlite) fn contact(
    step: &mut Step<'_>,
    contact: Contact,
) -> StepResult<ContactOutcome> {
    if contact.server_id != step.server.server_id {
        return Err(CommandError::Refused(wrong_server()));
    }
    check_bounds(&contact)?;
    let client_id = contact.client_id.clone();
    let row = queries::client_by_id(step.connection, &client_id)?.ok_or_else(unknown_client)?;
    let actor = Actor::Client { client_id: client_id.clone(), name: row.name.clone() };
    if row.state == ClientState::Forked {
        return Err(CommandError::Refused(fork_problem()));
    }
    let last = last_contact(step, &client_id)?;
    let nonces = last.as_ref().map(|last| &last.nonces);
    let judgement = judge_nonces(nonces, contact.previous.as_ref(), &contact.next);
    if judgement == NonceJudgement::Fork {
        step.record(actor.clone(), Change::ForkDetected { client_id: client_id.clone() })?;
    }
    if let Some(problem) = nonce_problem(judgement) {
        return Ok(Ruling::NotedRefusal(problem));
    }
    let last = match (judgement, last) {
        (NonceJudgement::Retry, Some(last)) => return Ok(Ruling::Done(last.answer.outcome(row.name, true))),
        (_, last) => last,
    };

    let (_, serial) =
        queries::reservation(step.connection, &row.name)?.ok_or_else(|| missing("reservation"))?;
    let grant = queries::grant_of(step.connection, &serial)?.ok_or_else(|| missing("grant"))?;
    let issued = issued(step, &client_id)?;
    let acknowledged_report = report(step, &actor, &contact, issued.acknowledged_report)?;
    let (last_lease, last_assignment) = last.map_or((None, None), |last| (last.lease, last.assignment));

    let mut work = Work {
        contact: &contact,
        name: &row.name,
        actor: &actor,
        grant: &grant,
        epoch: queries::epoch(step.connection)?,
        sequence: issued.sequence,
    };
    let (lease, notice) = work.lease(step, issued.lease.is_some(), last_lease.as_ref())?;
    let candidates = wanted(
        &queries::candidates(step.connection)?,
        &Target {
            channel: &row.channel,
            platform: &contact.platform,
            licensed: &grant.grant.packages,
            installed: &contact.packages,
        },
    );
    let assignment = if notice.is_some() {
        None
    } else {
        work.assignment(step, issued.assignment.is_some(), last_assignment.as_ref(), &candidates)?
    };
    let answer = StoredAnswer {
        lease: lease.clone(),
        assignment: assignment.clone(),
        grant: (contact.grant != Some(grant.digest)).then(|| grant.document.clone()),
        acknowledged_report,
        notice,
    };
    store(step, &contact, &answer, lease.or(last_lease).as_ref(), assignment.or(last_assignment).as_ref())?;
    Ok(Ruling::Done(answer.outcome(row.name, false)))
}

fn check_bounds(contact: &Contact) -> Result<(), CommandError> {
    let too_many = contact.reports.len() > MAX_REPORTS || contact.packages.len() > MAX_PACKAGES;
    let too_high = contact.reports.iter().any(|report| report.id > MAX_REPORT_ID);
    if too_many || too_high {
        return Err(CommandError::Refused(Problem::new(
            ProblemCode::BadRequest,
            format!(
                "a contact holds at most {MAX_REPORTS} reports and {MAX_PACKAGES} packages, with plain report ids"
            ),
            "send the oldest reports first and the rest with the next contact",
        )));
    }
    Ok(())
}

fn unknown_client() -> CommandError {
    CommandError::Refused(Problem::new(
        ProblemCode::UnknownComputer,
        "no computer of this id holds a reservation here; it may have been enrolled again",
        "enroll the computer with its newest setup file",
    ))
}

/// Records reports that are not on disk yet, oldest first, and answers the highest id that is.
fn report(
    step: &mut Step<'_>,
    actor: &Actor,
    contact: &Contact,
    acknowledged: u64,
) -> Result<u64, CommandError> {
    let fresh: BTreeMap<u64, &Report> = contact
        .reports
        .iter()
        .filter(|report| report.id > acknowledged)
        .map(|report| (report.id, report))
        .collect();
    for report in fresh.values() {
        let report = Report { detail: cut(&report.detail), ..(*report).clone() };
        let change = Change::StepReported { client_id: contact.client_id.clone(), report };
        step.record(actor.clone(), change)?;
    }
    Ok(fresh.keys().next_back().copied().unwrap_or(acknowledged))
}

fn cut(detail: &str) -> String {
    let end = (0..=MAX_DETAIL_BYTES.min(detail.len())).rev().find(|at| detail.is_char_boundary(*at));
    detail.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}

/// What leases and assignments of one contact are made of.
struct Work<'a> {
    contact: &'a Contact,
    name: &'a ComputerName,
    actor: &'a Actor,
    grant: &'a StoredGrant,
    epoch: u64,
    sequence: u64,
}

impl Work<'_> {
    fn raise_sequence(&mut self) -> u64 {
        self.sequence =
            next_sequence(self.sequence, self.epoch, [self.contact.lease, self.contact.assignment]);
        self.sequence
    }

    /// The lease to send, or the notice why there is none.
    fn lease(
        &mut self,
        step: &mut Step<'_>,
        ever: bool,
        last: Option<&Lease>,
    ) -> Result<(Option<Lease>, Option<String>), CommandError> {
        let facts = LeaseFacts {
            now: step.now,
            last: last.map(|lease| LastLease {
                order: (lease.epoch, lease.sequence),
                issued_at: lease.issued_at,
                not_after: lease.not_after,
                grant: lease.grant,
            }),
            ever,
            held: self.contact.lease,
            grant: self.grant.digest,
            epoch: self.epoch,
            grant_valid_until: self.grant.grant.valid_until,
        };
        match decide_lease(&facts) {
            LeaseDecision::Keep => Ok((None, None)),
            LeaseDecision::Resend => Ok((last.cloned(), None)),
            LeaseDecision::Withhold { lapsed_at } => {
                let notice = format!(
                    "this computer gets no lease: the site's license lapsed at {lapsed_at}; its administrator can renew it"
                );
                Ok((None, Some(notice)))
            }
            LeaseDecision::Issue(_) => self.issue_lease(step).map(|lease| (Some(lease), None)),
        }
    }

    fn issue_lease(&mut self, step: &mut Step<'_>) -> Result<Lease, CommandError> {
        let key = queries::client(step.connection, self.name)?.and_then(|row| row.client_key);
        let lease = Lease {
            client_id: self.contact.client_id.clone(),
            client_key: key.ok_or_else(|| missing("client"))?,
            computer_name: self.name.clone(),
            server_id: step.server.server_id.clone(),
            epoch: self.epoch,
            sequence: self.raise_sequence(),
            issued_at: step.now,
            not_after: after_days(step.now, step.settings.lease_days),
            model: self.grant.grant.model,
            packages: self.grant.grant.packages.clone(),
            grant: self.grant.digest,
            ledger_head: step.head.clone(),
        };
        let change = Change::LeaseIssued {
            client_id: lease.client_id.clone(),
            sequence: lease.sequence,
            not_after: lease.not_after,
        };
        step.record(self.actor.clone(), change)?;
        Ok(lease)
    }

    /// The assignment to send.
    fn assignment(
        &mut self,
        step: &mut Step<'_>,
        ever: bool,
        last: Option<&Assignment>,
        wanted: &[Candidate],
    ) -> Result<Option<Assignment>, CommandError> {
        let metadata_as_of = queries::last_pull(step.connection)?.metadata_as_of;
        let facts_of_last = last.map(last_assignment);
        let facts = AssignmentFacts {
            now: step.now,
            last: facts_of_last.as_ref(),
            ever,
            held: self.contact.assignment,
            wanted,
            epoch: self.epoch,
            metadata_as_of,
        };
        match (decide(&facts), metadata_as_of) {
            (AssignmentDecision::Resend, _) => Ok(last.cloned()),
            (AssignmentDecision::Issue(_), Some(as_of)) => {
                self.issue_assignment(step, wanted, as_of).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn issue_assignment(
        &mut self,
        step: &mut Step<'_>,
        wanted: &[Candidate],
        metadata_as_of: Timestamp,
    ) -> Result<Assignment, CommandError> {
        let sequence = self.raise_sequence();
        let releases = wanted.iter().map(|one| (one.release.clone(), one.manifest)).collect();
        let client_id = self.contact.client_id.clone();
        let change = Change::AssignmentChanged { client_id: client_id.clone(), sequence, releases };
        step.record(self.actor.clone(), change)?;
        Ok(Assignment {
            client_id,
            server_id: step.server.server_id.clone(),
            epoch: self.epoch,
            sequence,
            issued_at: step.now,
            expires_at: after_days(step.now, step.settings.assignment_days),
            metadata_as_of,
            packages: wanted.iter().map(package_assignment).collect(),
        })
    }
}

fn package_assignment(candidate: &Candidate) -> PackageAssignment {
    PackageAssignment {
        release: candidate.release.clone(),
        manifest: candidate.manifest,
        not_before: None,
        deadline: None,
        urgency: Urgency::Normal,
        rollout: candidate.rollout,
        attempt: 1,
    }
}

fn last_assignment(assignment: &Assignment) -> LastAssignment {
    LastAssignment {
        order: (assignment.epoch, assignment.sequence),
        issued_at: assignment.issued_at,
        expires_at: assignment.expires_at,
        metadata_as_of: assignment.metadata_as_of,
        packages: assignment
            .packages
            .iter()
            .map(|package| (package.release.clone(), package.manifest, package.rollout))
            .collect(),
    }
}

fn after_days(now: Timestamp, days: u16) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX)
}

fn issued(step: &Step<'_>, client_id: &ClientId) -> Result<Issued, CommandError> {
    let found = step
        .connection
        .prepare_cached(
            "SELECT sequence, lease_sequence, assignment_sequence, acknowledged_report FROM clients WHERE client_id = ?1",
        )?
        .query_row([client_id.as_str()], |row| {
            Ok(Issued {
                sequence: count(row, 0)?,
                lease: optional_count(row, 1)?,
                assignment: optional_count(row, 2)?,
                acknowledged_report: count(row, 3)?,
            })
        })?;
    Ok(found)
}

fn last_contact(step: &Step<'_>, client_id: &ClientId) -> Result<Option<LastContact>, CommandError> {
    let found = step
        .connection
        .prepare_cached(
            "SELECT previous, next, answer, lease, assignment FROM contacts WHERE client_id = ?1",
        )?
        .query_row([client_id.as_str()], |row| {
            Ok(LastContact {
                nonces: NoncePair { previous: optional_text(row, 0)?, next: text::<Nonce>(row, 1)? },
                answer: from_json(row, 2)?,
                lease: optional_from_json(row, 3)?,
                assignment: optional_from_json(row, 4)?,
            })
        })
        .optional()?;
    Ok(found)
}

fn store(
    step: &Step<'_>,
    contact: &Contact,
    answer: &StoredAnswer,
    lease: Option<&Lease>,
    assignment: Option<&Assignment>,
) -> Result<(), CommandError> {
    let client_id = contact.client_id.as_str();
    let agent_version: String = contact.agent_version.chars().take(MAX_AGENT_VERSION_CHARS).collect();
    step.connection
        .prepare_cached(
            "INSERT OR REPLACE INTO contacts (client_id, previous, next, at, platform, agent_version, answer, lease, \
             assignment) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            client_id,
            contact.previous.as_ref().map(Nonce::as_str),
            contact.next.as_str(),
            micros(step.now),
            contact.platform.as_str(),
            agent_version,
            json(answer)?,
            lease.map(json).transpose()?,
            assignment.map(json).transpose()?,
        ])?;
    let installed: BTreeMap<&PackageName, &InstalledPackage> =
        contact.packages.iter().map(|package| (package.package(), package)).collect();
    step.connection.prepare_cached("DELETE FROM installed WHERE client_id = ?1")?.execute([client_id])?;
    let mut insert = step.connection.prepare_cached(
        "INSERT INTO installed (client_id, package, manifest, installed) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for (package, facts) in installed {
        insert.execute(params![client_id, package.as_str(), facts.manifest.to_string(), json(facts)?])?;
    }
    Ok(())
}
