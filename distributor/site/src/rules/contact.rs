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
    let long = contact.reports.iter().any(|report| report.detail.len() > MAX_DETAIL_BYTES);
    if contact.reports.len() > MAX_REPORTS || contact.packages.len() > MAX_PACKAGES || long {
        return Err(Problem::new(
            ProblemCode::TooLarge,
            format!("a contact takes {MAX_REPORTS} reports and {MAX_PACKAGES} packages at most"),
            "send the rest with the next contact",
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
mod tests {
    use super::*;
    use sealpost_keys::{KeyId, PublicKey};
    use sealpost_manifests::grant::LicenseModel;
    use sealpost_manifests::ids::{ClientId, ComputerName};
    use sealpost_manifests::lease::LedgerHead;

    fn nonce(id: u8) -> Nonce {
        Nonce::from_random([id; 16])
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn each_pair_of_nonces_means_one_thing() {
        let (a, b, c, d) = (nonce(1), nonce(2), nonce(3), nonce(4));
        assert_eq!(judge_nonces(None, None, &a), NonceJudgement::New);
        assert_eq!(judge_nonces(None, Some(&a), &b), NonceJudgement::Unknown);
        let first = NoncePair { previous: None, next: a.clone() };
        assert_eq!(judge_nonces(Some(&first), None, &a), NonceJudgement::Retry);
        assert_eq!(judge_nonces(Some(&first), None, &b), NonceJudgement::Fork);
        assert_eq!(judge_nonces(Some(&first), Some(&a), &b), NonceJudgement::New);
        let second = NoncePair { previous: Some(a.clone()), next: b.clone() };
        assert_eq!(judge_nonces(Some(&second), Some(&a), &b), NonceJudgement::Retry);
        assert_eq!(judge_nonces(Some(&second), Some(&a), &c), NonceJudgement::Fork);
        assert_eq!(judge_nonces(Some(&second), Some(&b), &c), NonceJudgement::New);
        assert_eq!(judge_nonces(Some(&second), Some(&d), &c), NonceJudgement::Unknown);
        assert_eq!(judge_nonces(Some(&second), Some(&b), &b), NonceJudgement::Unknown);
        assert_eq!(judge_nonces(Some(&second), None, &a), NonceJudgement::Unknown);
    }

    const DAY: i64 = 24 * 3600;

    fn lease(days: i64) -> Lease {
        Lease {
            client_id: ClientId::from_random([1; 16]),
            client_key: PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]),
            computer_name: ComputerName::new("pc-1").unwrap(),
            server_id: ServerId::from_random([2; 16]),
            epoch: 1,
            sequence: 5,
            issued_at: at(0),
            not_after: at(days * DAY),
            model: LicenseModel::Named,
            packages: Vec::new(),
            grant: Sha256Digest::of(b"grant"),
            ledger_head: LedgerHead { sequence: 1, hash: Sha256Digest::of(b"head") },
        }
    }

    fn facts(now: i64, last: &Lease) -> LeaseFacts<'_> {
        let grant = Sha256Digest::of(b"grant");
        LeaseFacts {
            now: at(now),
            last: Some(last),
            ever: true,
            held: Some((1, 5)),
            grant,
            epoch: 1,
            grant_valid_until: at(366 * DAY),
        }
    }

    #[test]
    fn a_lease_is_renewed_after_a_day_and_not_in_the_same_second() {
        let last = lease(30);
        assert_eq!(decide_lease(&facts(DAY, &last)), LeaseDecision::Keep);
        assert_eq!(decide_lease(&facts(DAY + 1, &last)), LeaseDecision::Issue(LeaseReason::Age));
    }

    #[test]
    fn a_short_lease_is_renewed_after_a_third_of_its_life() {
        let short = Lease { not_after: at(300), ..lease(30) };
        assert_eq!(decide_lease(&facts(101, &short)), LeaseDecision::Issue(LeaseReason::Age));
        assert_eq!(decide_lease(&facts(100, &short)), LeaseDecision::Keep);
    }

    #[test]
    fn a_client_that_does_not_hold_the_newest_lease_gets_it_again_without_a_new_entry() {
        let last = lease(30);
        for held in [None, Some((1, 4)), Some((0, 9))] {
            assert_eq!(decide_lease(&LeaseFacts { held, ..facts(60, &last) }), LeaseDecision::Resend);
        }
        let ahead = LeaseFacts { held: Some((1, 6)), ..facts(60, &last) };
        assert_eq!(decide_lease(&ahead), LeaseDecision::Issue(LeaseReason::ClientIsAhead));
    }

    #[test]
    fn a_lapsed_grant_gives_no_first_lease_but_renews_those_that_exist() {
        let (after, last) = (400 * DAY, lease(30));
        let first = LeaseFacts { ever: false, last: None, held: None, ..facts(after, &last) };
        assert_eq!(decide_lease(&first), LeaseDecision::Withhold { lapsed_at: at(366 * DAY) });
        assert_eq!(decide_lease(&facts(after, &last)), LeaseDecision::Issue(LeaseReason::Age));
    }

    #[test]
    fn a_changed_grant_or_epoch_brings_a_new_lease() {
        let last = lease(30);
        let grant = LeaseFacts { grant: Sha256Digest::of(b"other"), ..facts(1, &last) };
        assert_eq!(decide_lease(&grant), LeaseDecision::Issue(LeaseReason::GrantChanged));
        let epoch = LeaseFacts { epoch: 2, ..facts(1, &last) };
        assert_eq!(decide_lease(&epoch), LeaseDecision::Issue(LeaseReason::EpochChanged));
    }

    #[test]
    fn the_next_sequence_is_above_all_that_is_known_and_cannot_be_exhausted() {
        assert_eq!(next_sequence(5, 1, [Some((1, 3)), None]), 6);
        assert_eq!(next_sequence(5, 1, [Some((1, 9)), Some((1, 11))]), 12);
        assert_eq!(next_sequence(5, 1, [Some((2, 9)), Some((1, u64::MAX))]), 6);
    }
}
