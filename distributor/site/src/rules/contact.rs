//! A contact: what a pair of nonces means, and whether the answer brings a lease.
//!
//! Invariant: the pair is committed before the answer leaves, so a lost answer is asked for again with the same pair
//! and found; one previous nonce with two next ones is a cloned disk. Neither clone loses `run`: only a person decides.

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{Nonce, ServerId};
use sealpost_manifests::lease::Lease;
use sealpost_manifests::wire::contact::{Contact, MAX_PACKAGES, MAX_REPORTS};
use sealpost_manifests::wire::problem::{Problem, ProblemCode};
use sealpost_manifests::wire::report::MAX_DETAIL_BYTES;
use serde::{Deserialize, Serialize};

/// A lease is renewed when it is a day old, so that a computer that comes daily always holds nearly the whole term.
const RENEW_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// State of a reservation, as the admin's list names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientState {
    /// A seat is taken; the computer has not come yet.
    Reserved,
    /// Enrolled, in contact.
    Active,
    /// Two computers use its identity.
    Forked,
}

/// Highest report id that is accepted: counting up, no agent gets beyond it.
const MAX_REPORT_ID: u64 = 1 << 48;

/// Whether a verified contact is meant for this server and within the bounds; later it is only decided from.
///
/// # Errors
/// The problem to answer.
pub fn check(contact: &Contact, server_id: &ServerId) -> Result<(), Problem> {
    if contact.server_id != *server_id {
        return Err(Problem::new(
            ProblemCode::WrongServer,
            "the contact is meant for another server",
            "check the computer's server addresses",
        ));
    }
    if contact.reports.len() > MAX_REPORTS || contact.packages.len() > MAX_PACKAGES {
        return Err(Problem::new(
            ProblemCode::TooLarge,
            format!("a contact takes {MAX_REPORTS} reports and {MAX_PACKAGES} packages at most"),
            "send the rest with the next contact",
        ));
    }
    if contact.reports.iter().any(|report| report.detail.len() > MAX_DETAIL_BYTES) {
        return Err(Problem::new(
            ProblemCode::TooLarge,
            format!("the detail of a report is longer than {MAX_DETAIL_BYTES} bytes"),
            "update the computer's agent, which cuts details before it sends them",
        ));
    }
    if contact.reports.iter().any(|report| report.id > MAX_REPORT_ID) {
        return Err(Problem::new(
            ProblemCode::BadRequest,
            format!("a report's id is above {MAX_REPORT_ID}, which no agent reaches by counting"),
            "enroll the computer with a new setup file; its record is damaged",
        ));
    }
    Ok(())
}

/// The refusal of a contact whose client is not known here.
#[must_use]
pub fn unknown_client() -> Problem {
    Problem::new(
        ProblemCode::UnknownComputer,
        "no computer of this id holds a reservation here; it may have been enrolled again",
        "enroll the computer with its newest setup file",
    )
}

/// The pair of the last contact that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoncePair {
    /// What the client knew before.
    pub previous: Option<Nonce>,
    /// What it knows since.
    pub next: Nonce,
}

/// What a pair of nonces means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NonceJudgement {
    /// The next contact in order.
    New,
    /// The last one again: its answer was lost.
    Retry,
    /// Somebody else with the same past.
    Fork,
    /// A past that this server does not know.
    Unknown,
}

/// Judges a pair against the last one that was committed.
#[must_use]
pub fn judge_nonces(known: Option<&NoncePair>, previous: Option<&Nonce>, next: &Nonce) -> NonceJudgement {
    let Some(known) = known else {
        return if previous.is_none() { NonceJudgement::New } else { NonceJudgement::Unknown };
    };
    if previous == Some(&known.next) {
        return if *next == known.next { NonceJudgement::Unknown } else { NonceJudgement::New };
    }
    if previous == known.previous.as_ref() {
        return if *next == known.next { NonceJudgement::Retry } else { NonceJudgement::Fork };
    }
    NonceJudgement::Unknown
}

/// The refusal of a contact whose nonces are not in order; `None` when they are.
#[must_use]
pub fn nonce_problem(judgement: NonceJudgement) -> Option<Problem> {
    match judgement {
        NonceJudgement::New | NonceJudgement::Retry => None,
        NonceJudgement::Fork => Some(fork_problem()),
        NonceJudgement::Unknown => Some(Problem::new(
            ProblemCode::NonceUnknown,
            "this contact does not follow the last one that this server answered",
            "the computer or the server may have been restored from a backup; issue a new setup file and enroll again",
        )),
    }
}

/// The refusal while two computers use one identity.
#[must_use]
pub fn fork_problem() -> Problem {
    Problem::new(
        ProblemCode::ContactForked,
        "two computers use this client's identity, for example a cloned disk",
        "decide which one it is, issue a new setup file for it and enroll it again; the other needs a name and a seat of its own",
    )
}

/// What a lease is decided from.
#[derive(Debug, Clone, Copy)]
pub struct LeaseFacts<'a> {
    /// License time.
    pub now: Timestamp,
    /// The newest lease, if its text is known.
    pub last: Option<&'a Lease>,
    /// Whether the client ever got one.
    pub ever: bool,
    /// (epoch, sequence) of the lease that the client says it holds.
    pub held: Option<(u64, u64)>,
    /// Digest of the grant that a new lease would name.
    pub grant: Sha256Digest,
    /// Epoch of a new lease.
    pub epoch: u64,
    /// After it the grant gives no new license.
    pub grant_valid_until: Timestamp,
}

/// Whether the answer brings a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseDecision {
    /// The client holds the newest.
    Keep,
    /// The newest is fresh, but the client does not hold it: send it again.
    Resend,
    /// A new one.
    Issue(LeaseReason),
    /// None: the grant lapsed before this client's first lease.
    Withhold {
        /// When.
        lapsed_at: Timestamp,
    },
}

/// Why a new lease is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseReason {
    /// None was issued before.
    First,
    /// The newest is old enough.
    Age,
    /// The grant, and with it what is covered, changed.
    GrantChanged,
    /// The vendor raised the epoch.
    EpochChanged,
    /// The client holds a newer one than this server knows.
    ClientIsAhead,
    /// Its text is not known here any more.
    TextUnknown,
}

/// Decides about a lease.
#[must_use]
pub fn decide_lease(facts: &LeaseFacts<'_>) -> LeaseDecision {
    if !facts.ever && facts.grant_valid_until < facts.now {
        return LeaseDecision::Withhold { lapsed_at: facts.grant_valid_until };
    }
    if !facts.ever {
        return LeaseDecision::Issue(LeaseReason::First);
    }
    let Some(last) = facts.last else { return LeaseDecision::Issue(LeaseReason::TextUnknown) };
    let order = (last.epoch, last.sequence);
    if last.epoch != facts.epoch {
        return LeaseDecision::Issue(LeaseReason::EpochChanged);
    }
    if last.grant != facts.grant {
        return LeaseDecision::Issue(LeaseReason::GrantChanged);
    }
    if facts.held > Some(order) {
        return LeaseDecision::Issue(LeaseReason::ClientIsAhead);
    }
    let life = last.not_after.duration_since(last.issued_at);
    let renew_after = RENEW_AFTER.min(life.checked_div(3).unwrap_or(SignedDuration::ZERO));
    if facts.now.duration_since(last.issued_at) > renew_after {
        return LeaseDecision::Issue(LeaseReason::Age);
    }
    if facts.held == Some(order) { LeaseDecision::Keep } else { LeaseDecision::Resend }
}

/// Highest sequence that is accepted from a client: counting up, nobody gets beyond it, and sums stay in range.
const MAX_ACCEPTED_SEQUENCE: u64 = 1 << 48;

/// The sequence of the next lease or assignment: above what was issued, and above what the client holds in this epoch.
#[must_use]
pub fn next_sequence(issued: u64, epoch: u64, held: [Option<(u64, u64)>; 2]) -> u64 {
    let accepted = held
        .into_iter()
        .flatten()
        .filter(|(held_epoch, sequence)| *held_epoch == epoch && *sequence < MAX_ACCEPTED_SEQUENCE)
        .map(|(_, sequence)| sequence)
        .max();
    issued.max(accepted.unwrap_or(0)).saturating_add(1)
}

#[cfg(test)]
mod tests;
