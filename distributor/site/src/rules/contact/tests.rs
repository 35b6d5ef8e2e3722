//! Bounds, pairs of nonces, and leases at their limits.

use super::*;
use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{ClientId, ComputerName, PackageName, Platform};
use sealpost_manifests::lease::LedgerHead;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::Version;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};

fn nonce(id: u8) -> Nonce {
    Nonce::from_random([id; 16])
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn report(id: u64, detail_bytes: usize) -> Report {
    Report {
        id,
        at: at(0),
        release: ReleaseId {
            package: PackageName::new("acme-av").unwrap(),
            version: Version::new("1.0").unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(b"manifest"),
        rollout: 1,
        attempt: 1,
        step: InstallStep::Check,
        outcome: Outcome::Ok,
        reason: ReasonCode::Done,
        detail: "x".repeat(detail_bytes),
    }
}

#[test]
fn a_contact_beyond_a_bound_is_refused_with_the_reason_of_that_bound() {
    let server_id = ServerId::from_random([2; 16]);
    let checked = |reports: Vec<Report>| {
        let contact = Contact {
            client_id: ClientId::from_random([1; 16]),
            server_id: server_id.clone(),
            previous: None,
            next: nonce(1),
            sent_at: at(0),
            agent_version: "1".to_owned(),
            platform: Platform::any(),
            lease: None,
            assignment: None,
            grant: None,
            packages: Vec::new(),
            reports,
        };
        check(&contact, &server_id).map_err(|problem| (problem.code, problem.message))
    };
    assert_eq!(checked(vec![report(MAX_REPORT_ID, MAX_DETAIL_BYTES)]), Ok(()));
    let (code, message) = checked(vec![report(1, MAX_DETAIL_BYTES + 1)]).unwrap_err();
    assert_eq!(code, ProblemCode::TooLarge);
    assert!(message.contains("the detail of a report"), "{message}");
    let (code, message) = checked((0..=MAX_REPORTS).map(|_| report(1, 0)).collect()).unwrap_err();
    assert_eq!(code, ProblemCode::TooLarge);
    assert!(message.contains("64 reports"), "{message}");
    let (code, _) = checked(vec![report(MAX_REPORT_ID + 1, 0)]).unwrap_err();
    assert_eq!(code, ProblemCode::BadRequest);
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
