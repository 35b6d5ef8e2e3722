//! Bounds, pairs of nonces, and leases at their limits.

use super::*;
use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{
    ChannelName, ClientId, ComputerName, PackageName, Platform, SerialNumber, Tag,
};
use sealpost_manifests::lease::Entitlement;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::Signer;
use sealpost_manifests::release::ReleaseId;
use sealpost_manifests::version::Version;
use sealpost_manifests::wire::contact::{Postponed, PostponedBy};
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};

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
        ring: None,
        way: None,
        bytes: None,
        duration_ms: None,
    }
}

#[test]
fn a_contact_beyond_a_bound_is_refused_with_the_reason_of_that_bound() {
    let server_id = ServerId::from_random([2; 16]);
    let contact = |reports: Vec<Report>| Contact {
        client_id: ClientId::from_random([1; 16]),
        server_id: server_id.clone(),
        previous: None,
        next: nonce(1),
        sent_at: at(0),
        agent_version: "1".to_owned(),
        platform: Platform::any(),
        receipt: None,
        highest: HighestOrders::new(),
        held_head: None,
        forked_head: None,
        grants: Vec::new(),
        instance: None,
        hostname: None,
        packages: Vec::new(),
        reports,
        drift: Vec::new(),
        tags: Vec::new(),
        postponed: Vec::new(),
        new_key: None,
    };
    let judged =
        |contact: &Contact| check(contact, &server_id).map_err(|problem| (problem.code, problem.message));
    let checked = |reports: Vec<Report>| judged(&contact(reports));
    assert_eq!(checked(vec![report(MAX_REPORT_ID, MAX_DETAIL_BYTES)]), Ok(()));
    let (code, message) = checked(vec![report(1, MAX_DETAIL_BYTES + 1)]).unwrap_err();
    assert_eq!(code, ProblemCode::TooLarge);
    assert!(message.contains("the detail of a report"), "{message}");
    let (code, message) = checked((0..=MAX_REPORTS).map(|_| report(1, 0)).collect()).unwrap_err();
    assert_eq!(code, ProblemCode::TooLarge);
    assert!(message.contains("64 reports"), "{message}");
    let (code, _) = checked(vec![report(MAX_REPORT_ID + 1, 0)]).unwrap_err();
    assert_eq!(code, ProblemCode::BadRequest);
    let in_ring = |bytes| vec![Report { ring: Some("r".repeat(bytes)), ..report(1, 0) }];
    assert_eq!(checked(in_ring(MAX_RING_BYTES)), Ok(()));
    let (code, message) = checked(in_ring(MAX_RING_BYTES + 1)).unwrap_err();
    assert_eq!(code, ProblemCode::TooLarge);
    assert!(message.contains("the ring of a report"), "{message}");
    let tagged = |tags| Contact { tags: vec![Tag::new("laptop").unwrap(); tags], ..contact(Vec::new()) };
    assert_eq!(judged(&tagged(MAX_TAGS)), Ok(()));
    let (code, message) = judged(&tagged(MAX_TAGS + 1)).unwrap_err();
    assert_eq!(code, ProblemCode::TooLarge);
    assert!(message.contains("32 tags"), "{message}");
    let put_off = Postponed {
        package: PackageName::new("acme-av").unwrap(),
        manifest: Sha256Digest::of(b"manifest"),
        by: PostponedBy::Person,
        until: at(1),
        times: 1,
    };
    let put_off = |count| Contact { postponed: vec![put_off.clone(); count], ..contact(Vec::new()) };
    assert_eq!(judged(&put_off(MAX_POSTPONED)), Ok(()));
    assert_eq!(judged(&put_off(MAX_POSTPONED + 1)).unwrap_err().0, ProblemCode::TooLarge);
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

fn grant(id: u8, not_after: i64) -> Grant {
    let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
    Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([id; 19]),
        server_id: ServerId::of_site_key(&site_key),
        site_key,
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 10,
        generation: 1,
        not_after: at(not_after),
        vendor_time: at(0),
        ends_at: None,
        request_id: None,
    }
}

fn order(vendor: u32, sequence: u64) -> Order {
    Order { epoch: Epoch::of(vendor, 0), sequence }
}

fn digest(text: &str) -> Sha256Digest {
    Sha256Digest::of(text.as_bytes())
}

fn lease(end: i64) -> Lease {
    let grant = grant(1, 366 * DAY);
    Lease {
        client_id: ClientId::from_random([1; 16]),
        client_key: PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]),
        computer_name: ComputerName::new("pc-1").unwrap(),
        channel: ChannelName::new("stable").unwrap(),
        server_id: grant.server_id,
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence: 5,
        issued_at: at(0),
        entitlements: vec![Entitlement {
            serial: grant.serial,
            model: LicenseModel::Named,
            packages: Vec::new(),
            grant: digest("grant"),
            not_after: at(end),
        }],
        ledger_head: LogHead { size: 1, root: digest("head") },
    }
}

fn seat<'a>(grant: &'a Grant, text: &str) -> SeatInLease<'a> {
    SeatInLease { grant, digest: digest(text), leased: false, used: None }
}

fn facts<'a>(now: i64, last: &'a Lease, seats: &'a [SeatInLease<'a>]) -> LeaseFacts<'a> {
    LeaseFacts {
        now: at(now),
        last: Some(last),
        ever: true,
        held: Some(order(1, 5)),
        seats,
        channel: &last.channel,
        epoch: Epoch::of(1, 0),
        unconfirmed_since: None,
        resumed: false,
    }
}

#[test]
fn a_lease_is_renewed_after_a_day_and_not_in_the_same_second() {
    let (last, grant) = (lease(30 * DAY), grant(1, 366 * DAY));
    let seats = [seat(&grant, "grant")];
    assert_eq!(decide_lease(&facts(DAY, &last, &seats)), LeaseDecision::Keep);
    assert_eq!(decide_lease(&facts(DAY + 1, &last, &seats)), LeaseDecision::Issue(LeaseReason::Age));
}

#[test]
fn a_short_lease_is_renewed_after_a_third_of_its_life() {
    let (short, grant) = (lease(300), grant(1, 366 * DAY));
    let seats = [seat(&grant, "grant")];
    assert_eq!(decide_lease(&facts(101, &short, &seats)), LeaseDecision::Issue(LeaseReason::Age));
    assert_eq!(decide_lease(&facts(100, &short, &seats)), LeaseDecision::Keep);
}

#[test]
fn a_client_that_does_not_hold_the_newest_lease_gets_it_again_without_a_new_entry() {
    let (last, grant) = (lease(30 * DAY), grant(1, 366 * DAY));
    let seats = [seat(&grant, "grant")];
    for held in [None, Some(order(1, 4)), Some(order(0, 9))] {
        assert_eq!(decide_lease(&LeaseFacts { held, ..facts(60, &last, &seats) }), LeaseDecision::Resend);
    }
}

#[test]
fn what_a_client_claims_beyond_what_was_issued_is_told_apart() {
    let lease_type = Word::new("lease").unwrap();
    let claim = |order| HighestOrders::from([(lease_type, order)]);
    assert!(!claims(&HighestOrders::new(), Claim::Lease, None));
    assert!(!claims(&claim(order(1, 5)), Claim::Lease, Some(order(1, 5))));
    assert!(claims(&claim(order(1, 6)), Claim::Lease, Some(order(1, 5))));
    assert!(claims(&claim(order(2, 1)), Claim::Lease, Some(order(1, 5))));
    assert!(claims(&claim(order(1, 1)), Claim::Lease, None));
    assert!(!claims(&claim(order(9, 9)), Claim::Assignment, None), "each type has an order of its own");
}

#[test]
fn a_lapsed_grant_gives_no_first_lease_but_renews_those_that_exist() {
    let (after, last, grant) = (400 * DAY, lease(30 * DAY), grant(1, 366 * DAY));
    let seats = [seat(&grant, "grant")];
    let first = LeaseFacts { ever: false, last: None, held: None, ..facts(after, &last, &seats) };
    assert_eq!(decide_lease(&first), LeaseDecision::Withhold(Withheld::Lapsed { at: at(366 * DAY) }));
    assert_eq!(decide_lease(&facts(after, &last, &seats)), LeaseDecision::Issue(LeaseReason::Age));
}

#[test]
fn a_computer_that_is_set_up_again_gets_the_lease_of_its_seat_after_a_lapse_too() {
    let (after, last, grant) = (400 * DAY, lease(30 * DAY), grant(1, 366 * DAY));
    let seats = [SeatInLease { leased: true, ..seat(&grant, "grant") }];
    let again = LeaseFacts { ever: false, last: None, held: None, ..facts(after, &last, &seats) };
    assert_eq!(decide_lease(&again), LeaseDecision::Issue(LeaseReason::First));
    assert_eq!(seats_due(&seats, None, false, at(after)).count(), 1);
    // A restored ledger may have lost that the seat went to another computer of that name.
    let unconfirmed = LeaseFacts { unconfirmed_since: Some(at(0)), ..again };
    assert!(matches!(decide_lease(&unconfirmed), LeaseDecision::Withhold(Withheld::Unconfirmed { .. })));
}

#[test]
fn a_computer_that_was_moved_to_another_channel_gets_a_lease_that_says_so() {
    let (last, grant) = (lease(30 * DAY), grant(1, 366 * DAY));
    let seats = [seat(&grant, "grant")];
    let beta = ChannelName::new("beta").unwrap();
    let moved = LeaseFacts { channel: &beta, ..facts(60, &last, &seats) };
    assert_eq!(decide_lease(&moved), LeaseDecision::Issue(LeaseReason::ChannelChanged));
}

#[test]
fn a_seat_of_a_lapsed_grant_is_added_to_no_lease_that_did_not_name_it() {
    let (last, live, lapsed) = (lease(30 * DAY), grant(1, 366 * DAY), grant(2, 0));
    let seats = [seat(&live, "grant"), seat(&lapsed, "lapsed")];
    assert_eq!(decide_lease(&facts(60, &last, &seats)), LeaseDecision::Keep);
    assert_eq!(decide_lease(&facts(0, &last, &seats)), LeaseDecision::Issue(LeaseReason::GrantChanged));
}

#[test]
fn a_changed_grant_or_epoch_brings_a_new_lease() {
    let (last, grant) = (lease(30 * DAY), grant(1, 366 * DAY));
    let other = [seat(&grant, "other")];
    assert_eq!(decide_lease(&facts(1, &last, &other)), LeaseDecision::Issue(LeaseReason::GrantChanged));
    let seats = [seat(&grant, "grant")];
    let epoch = LeaseFacts { epoch: Epoch::of(2, 0), ..facts(1, &last, &seats) };
    assert_eq!(decide_lease(&epoch), LeaseDecision::Issue(LeaseReason::EpochChanged));
}

#[test]
fn an_unconfirmed_ledger_renews_whom_it_knows_gives_no_first_lease_and_one_term_to_whom_it_resumed() {
    let (last, grant) = (lease(30 * DAY), grant(1, 366 * DAY));
    let seats = [seat(&grant, "grant")];
    let since = at(DAY);
    let unconfirmed = LeaseFacts { unconfirmed_since: Some(since), ..facts(2 * DAY, &last, &seats) };
    assert_eq!(decide_lease(&unconfirmed), LeaseDecision::Issue(LeaseReason::Age));
    let first = LeaseFacts { ever: false, last: None, held: None, ..unconfirmed };
    assert_eq!(decide_lease(&first), LeaseDecision::Withhold(Withheld::Unconfirmed { since }));
    let resumed = LeaseFacts { resumed: true, ..unconfirmed };
    assert_eq!(decide_lease(&resumed), LeaseDecision::Keep);
    let confirmed = LeaseFacts { unconfirmed_since: None, ..resumed };
    assert_eq!(decide_lease(&confirmed), LeaseDecision::Issue(LeaseReason::Age));
}

fn ending(id: u8, end: i64) -> Grant {
    Grant { ends_at: Some(at(end)), ..grant(id, end) }
}

#[test]
fn nothing_is_renewed_of_an_ended_serial_number_and_what_is_held_stays_to_its_end() {
    let (last, ended) = (lease(30 * DAY), ending(1, 10 * DAY));
    // The grant that told of the end is another one than the lease names.
    let seats = [seat(&ended, "the one that told of the end")];
    let told = facts(10 * DAY, &last, &seats);
    assert_eq!(
        decide_lease(&told),
        LeaseDecision::Issue(LeaseReason::GrantChanged),
        "its last instant is good"
    );
    for (now, held, expected) in [
        (10 * DAY + 1, Some(order(1, 5)), LeaseDecision::Keep),
        (20 * DAY, Some(order(1, 5)), LeaseDecision::Keep),
        (20 * DAY, None, LeaseDecision::Resend),
        (30 * DAY, Some(order(1, 5)), LeaseDecision::Keep),
        (30 * DAY + 1, Some(order(1, 5)), LeaseDecision::Withhold(Withheld::Ended { at: at(10 * DAY) })),
    ] {
        assert_eq!(decide_lease(&LeaseFacts { held, ..facts(now, &last, &seats) }), expected, "{now}");
    }
    // A raised epoch needs another signature, and gives no day more.
    let epoch = LeaseFacts { epoch: Epoch::of(2, 0), ..facts(20 * DAY, &last, &seats) };
    assert_eq!(decide_lease(&epoch), LeaseDecision::Issue(LeaseReason::EpochChanged));
    let due: Vec<Due<'_>> = seats_due(&seats, Some(&last), true, at(20 * DAY)).collect();
    assert_eq!(due, [Due::Carried(&last.entitlements[0])]);
}

#[test]
fn an_ended_serial_number_gives_no_first_lease_not_even_to_a_name_that_had_one() {
    let (last, ended) = (lease(30 * DAY), ending(1, 10 * DAY));
    for leased in [false, true] {
        let seats = [SeatInLease { leased, ..seat(&ended, "grant") }];
        let first = LeaseFacts { ever: false, last: None, held: None, ..facts(11 * DAY, &last, &seats) };
        assert_eq!(decide_lease(&first), LeaseDecision::Withhold(Withheld::Ended { at: at(10 * DAY) }));
        // Nor is it named again where the text of the last lease is gone.
        let unknown = LeaseFacts { last: None, ..facts(11 * DAY, &last, &seats) };
        assert_eq!(decide_lease(&unknown), LeaseDecision::Withhold(Withheld::Ended { at: at(10 * DAY) }));
    }
}

#[test]
fn while_more_names_hold_seats_than_there_are_nobody_gets_a_first_lease_and_nobody_loses_one() {
    let (grant, other) = (grant(1, 366 * DAY), grant(2, 366 * DAY));
    let (seats_of_it, last) = (grant.seats, lease(30 * DAY));
    let none = Withheld::Overused { used: seats_of_it + 1, seats: seats_of_it };
    for (used, leased, ever, expected) in [
        (seats_of_it, false, false, LeaseDecision::Issue(LeaseReason::First)),
        (seats_of_it + 1, false, false, LeaseDecision::Withhold(none)),
        // Whoever had one is served on, also when it is set up again.
        (seats_of_it + 1, true, false, LeaseDecision::Issue(LeaseReason::First)),
        (seats_of_it + 1, false, true, LeaseDecision::Issue(LeaseReason::Age)),
    ] {
        let seats = [SeatInLease { leased, used: (!leased).then_some(used), ..seat(&grant, "grant") }];
        let asked = facts(2 * DAY, &last, &seats);
        let asked = if ever { asked } else { LeaseFacts { ever, last: None, held: None, ..asked } };
        assert_eq!(decide_lease(&asked), expected, "{used} {leased} {ever}");
    }
    // A seat of another serial number is good beside it.
    let seats = [SeatInLease { used: Some(99), ..seat(&grant, "grant") }, seat(&other, "other")];
    let first = LeaseFacts { ever: false, last: None, held: None, ..facts(2 * DAY, &last, &seats) };
    assert_eq!(decide_lease(&first), LeaseDecision::Issue(LeaseReason::First));
    assert_eq!(seats_due(&seats, None, false, at(2 * DAY)).count(), 1);
}

#[test]
fn with_a_second_serial_number_the_ended_seat_is_carried_to_its_end() {
    let (ended, live) = (ending(1, 10 * DAY), grant(2, 366 * DAY));
    let seats = [seat(&ended, "newer"), seat(&live, "second")];
    let mut last = lease(30 * DAY);
    let second =
        Entitlement { serial: live.serial.clone(), grant: digest("second"), ..last.entitlements[0].clone() };
    last.entitlements.push(second);
    let now = 11 * DAY;
    assert_eq!(decide_lease(&facts(now, &last, &seats)), LeaseDecision::Issue(LeaseReason::Age));
    let due: Vec<Due<'_>> = seats_due(&seats, Some(&last), true, at(now)).collect();
    let renewed = Due::Renewed { grant: &live, digest: digest("second") };
    assert_eq!(due, [Due::Carried(&last.entitlements[0]), renewed]);
    // Past that end it is named no more, and the other goes on.
    let after = facts(30 * DAY + 1, &last, &seats);
    assert_eq!(decide_lease(&after), LeaseDecision::Issue(LeaseReason::GrantChanged));
    let due: Vec<Due<'_>> = seats_due(&seats, Some(&last), true, after.now).collect();
    assert_eq!(due, [renewed]);
}

#[test]
fn a_computer_that_comes_daily_loses_an_ended_seat_only_at_the_end_that_it_had() {
    let (ended, live) = (ending(1, 10 * DAY), grant(2, 366 * DAY));
    let seats = [seat(&ended, "grant"), seat(&live, "second")];
    let (mut last, mut ends) = (lease(30 * DAY), Vec::new());
    for day in 0..60 {
        let now = day * DAY + 60 * day;
        if let LeaseDecision::Issue(_) = decide_lease(&facts(now, &last, &seats)) {
            let named = seats_due(&seats, Some(&last), true, at(now)).map(|due| match due {
                Due::Carried(seat) => seat.clone(),
                Due::Renewed { grant, digest } => Entitlement {
                    serial: grant.serial.clone(),
                    grant: digest,
                    not_after: at(now + 30 * DAY),
                    ..last.entitlements[0].clone()
                },
            });
            last = Lease { issued_at: at(now), entitlements: named.collect(), ..last.clone() };
        }
        let end = |grant: &Grant| {
            last.entitlements.iter().find(|seat| seat.serial == grant.serial).map(|seat| seat.not_after)
        };
        assert!(end(&live).is_some_and(|end| end > at(now + 28 * DAY)), "day {day}");
        ends.push(end(&ended));
    }
    let newest = ends.iter().flatten().max().copied();
    assert!(newest <= Some(at(40 * DAY)) && newest > Some(at(38 * DAY)), "{newest:?}");
    assert_eq!(
        ends.iter().rposition(|end| end.is_some()),
        Some(38),
        "it was renewed last on day 9, for 30 days"
    );
}

#[test]
fn a_long_term_of_leases_outlives_the_end_of_a_serial_number_by_a_month_at_the_most() {
    const DAY: i64 = 24 * 3600;
    let (ends, goes_on) =
        (Grant { ends_at: Some(at(100 * DAY)), ..grant(1, 100 * DAY) }, grant(1, 100 * DAY));
    assert_eq!(seat_end(&ends, at(120 * DAY)), at(120 * DAY));
    assert_eq!(seat_end(&ends, at(400 * DAY)), at(130 * DAY));
    assert_eq!(seat_end(&goes_on, at(400 * DAY)), at(400 * DAY));
}
