use sealpost_keys::SigningKey;
use sealpost_manifests::ids::{ChannelName, SerialNumber};
use sealpost_manifests::lease::Entitlement;
use sealpost_manifests::log::LogHead;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn identity() -> Identity {
    let site_key = SigningKey::generate().unwrap().public();
    Identity {
        client_id: ClientId::from_random([1; 16]),
        client_key: SigningKey::generate().unwrap().public(),
        computer_name: ComputerName::new("pc-1").unwrap(),
        server_id: ServerId::of_site_key(&site_key),
    }
}

fn seat(model: LicenseModel) -> Entitlement {
    Entitlement {
        serial: SerialNumber::from_random([3; 19]),
        model,
        packages: Vec::new(),
        grant: Sha256Digest::of(b"grant"),
        not_after: at("2026-01-31T00:00:00Z"),
    }
}

fn lease(identity: &Identity) -> Lease {
    Lease {
        client_id: identity.client_id.clone(),
        client_key: identity.client_key.clone(),
        computer_name: identity.computer_name.clone(),
        channel: ChannelName::new("stable").unwrap(),
        server_id: identity.server_id.clone(),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence: 7,
        issued_at: at("2026-01-01T00:00:00Z"),
        entitlements: vec![seat(LicenseModel::Named)],
        ledger_head: LogHead { size: 1, root: Sha256Digest::of(b"head") },
    }
}

fn assignment(identity: &Identity) -> Assignment {
    Assignment {
        client_id: identity.client_id.clone(),
        server_id: identity.server_id.clone(),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence: 7,
        issued_at: at("2026-01-01T00:00:00Z"),
        expires_at: at("2026-01-31T00:00:00Z"),
        metadata_as_of: at("2026-01-01T00:00:00Z"),
        packages: Vec::new(),
    }
}

const NOW: &str = "2026-01-15T00:00:00Z";

fn standard(identity: &Identity) -> Standard<'_> {
    Standard { identity, granted: 1, highest: None, now: at(NOW) }
}

#[test]
fn a_lease_of_this_computer_is_accepted_until_its_last_instant_and_the_same_one_again_is_fine() {
    let me = identity();
    let lease = lease(&me);
    let same = Standard { highest: Some(lease.order()), ..standard(&me) };
    assert_eq!(judge_lease(&lease, &same), Ok(()));
    let end = at("2026-01-31T00:00:00Z");
    assert_eq!(judge_lease(&lease, &Standard { now: end, ..standard(&me) }), Ok(()));
    let after = Standard { now: at("2026-01-31T00:00:01Z"), ..standard(&me) };
    assert_eq!(judge_lease(&lease, &after), Err(LicenseRefusal::Ended(end)));
}

#[test]
fn a_lease_for_another_name_key_id_or_server_is_refused() {
    let me = identity();
    let changed = [
        Lease { client_id: ClientId::from_random([9; 16]), ..lease(&me) },
        Lease { client_key: SigningKey::generate().unwrap().public(), ..lease(&me) },
        Lease { computer_name: ComputerName::new("pc-2").unwrap(), ..lease(&me) },
    ];
    for lease in &changed {
        assert_eq!(judge_lease(lease, &standard(&me)), Err(LicenseRefusal::OtherComputer));
    }
    let other = Lease { server_id: ServerId::from_random([9; 16]), ..lease(&me) };
    assert!(matches!(judge_lease(&other, &standard(&me)), Err(LicenseRefusal::OtherServer(_))));
}

#[test]
fn a_lower_order_of_its_own_type_is_refused_and_a_higher_epoch_restarts_the_sequence() {
    let me = identity();
    let held = Order { epoch: Epoch::of(1, 0), sequence: 8 };
    let behind = Standard { highest: Some(held), ..standard(&me) };
    assert!(matches!(judge_lease(&lease(&me), &behind), Err(LicenseRefusal::WentBack { .. })));
    assert!(matches!(judge_assignment(&assignment(&me), &behind), Err(LicenseRefusal::WentBack { .. })));
    let of_a_term = Assignment { epoch: Epoch::of(1, 1), sequence: 1, ..assignment(&me) };
    assert_eq!(judge_assignment(&of_a_term, &behind), Ok(()));
}

#[test]
fn an_epoch_that_no_held_grant_raised_is_refused_until_the_grant_is_there() {
    let me = identity();
    let raised_lease = Lease { epoch: Epoch::of(2, 0), ..lease(&me) };
    let raised_assignment = Assignment { epoch: Epoch::of(2, 0), ..assignment(&me) };
    let refused = LicenseRefusal::EpochNotGranted { found: Epoch::of(2, 0), granted: 1 };
    assert_eq!(judge_lease(&raised_lease, &standard(&me)), Err(refused.clone()));
    assert_eq!(judge_assignment(&raised_assignment, &standard(&me)), Err(refused));
    let granted = Standard { granted: 2, ..standard(&me) };
    assert_eq!(judge_lease(&raised_lease, &granted), Ok(()));
    assert_eq!(judge_assignment(&raised_assignment, &granted), Ok(()));
    let any_term = Lease { epoch: Epoch::of(1, u32::MAX), ..lease(&me) };
    assert_eq!(judge_lease(&any_term, &standard(&me)), Ok(()), "a term is the site key's to raise");
}

#[test]
fn what_names_a_standby_server_as_its_signer_is_refused_with_what_to_do() {
    let me = identity();
    let standby = Signer::Standby(Sha256Digest::of(b"certificate"));
    let refusals = [
        judge_lease(&Lease { signer: standby, ..lease(&me) }, &standard(&me)),
        judge_assignment(&Assignment { signer: standby, ..assignment(&me) }, &standard(&me)),
    ];
    for refusal in refusals {
        let text = refusal.unwrap_err().to_string();
        assert!(text.contains("standby server") && text.contains("update the agent"), "{text}");
    }
}

#[test]
fn a_lease_counts_by_the_seats_that_this_program_can_count() {
    let me = identity();
    let floating = Lease { entitlements: vec![seat(LicenseModel::Floating)], ..lease(&me) };
    assert!(matches!(judge_lease(&floating, &standard(&me)), Err(LicenseRefusal::UnknownModel(_))));
    let none = Lease { entitlements: Vec::new(), ..lease(&me) };
    assert_eq!(judge_lease(&none, &standard(&me)), Err(LicenseRefusal::NoSeat));
    let ended = Entitlement { not_after: at("2026-01-02T00:00:00Z"), ..seat(LicenseModel::Named) };
    let one_of_three = vec![seat(LicenseModel::Floating), ended.clone(), seat(LicenseModel::Named)];
    assert_eq!(judge_lease(&Lease { entitlements: one_of_three, ..lease(&me) }, &standard(&me)), Ok(()));
    let too_late = Lease { entitlements: vec![seat(LicenseModel::Floating), ended.clone()], ..lease(&me) };
    assert_eq!(judge_lease(&too_late, &standard(&me)), Err(LicenseRefusal::Ended(ended.not_after)));
}

#[test]
fn an_expired_assignment_or_one_for_another_computer_or_of_another_server_is_refused() {
    let me = identity();
    let expired = assignment(&me);
    let late = Standard { now: at("2026-02-01T00:00:00Z"), ..standard(&me) };
    assert!(matches!(judge_assignment(&expired, &late), Err(LicenseRefusal::Ended(_))));
    assert_eq!(judge_shown_assignment(&expired, &late), Ok(()), "it can still be shown");
    let other = Assignment { client_id: ClientId::from_random([9; 16]), ..assignment(&me) };
    assert_eq!(judge_assignment(&other, &standard(&me)), Err(LicenseRefusal::OtherComputer));
    let foreign = Assignment { server_id: ServerId::from_random([9; 16]), ..assignment(&me) };
    let refused = judge_assignment(&foreign, &standard(&me));
    assert_eq!(refused, Err(LicenseRefusal::OtherServer(ServerId::from_random([9; 16]))));
}
