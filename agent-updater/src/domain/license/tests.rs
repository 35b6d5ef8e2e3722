use sealpost_keys::SigningKey;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::SerialNumber;
use sealpost_manifests::lease::LedgerHead;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn identity() -> Identity {
    Identity {
        client_id: ClientId::from_random([1; 16]),
        client_key: SigningKey::generate().unwrap().public(),
        computer_name: ComputerName::new("pc-1").unwrap(),
        server_id: ServerId::from_random([2; 16]),
    }
}

fn lease(identity: &Identity) -> Lease {
    Lease {
        client_id: identity.client_id.clone(),
        client_key: identity.client_key.clone(),
        computer_name: identity.computer_name.clone(),
        server_id: identity.server_id.clone(),
        epoch: 1,
        sequence: 7,
        issued_at: at("2026-01-01T00:00:00Z"),
        not_after: at("2026-01-31T00:00:00Z"),
        model: LicenseModel::Named,
        packages: Vec::new(),
        grant: Sha256Digest::of(b"grant"),
        ledger_head: LedgerHead { sequence: 1, hash: Sha256Digest::of(b"head") },
    }
}

fn assignment(identity: &Identity) -> Assignment {
    Assignment {
        client_id: identity.client_id.clone(),
        server_id: identity.server_id.clone(),
        epoch: 1,
        sequence: 7,
        issued_at: at("2026-01-01T00:00:00Z"),
        expires_at: at("2026-01-31T00:00:00Z"),
        metadata_as_of: at("2026-01-01T00:00:00Z"),
        packages: Vec::new(),
    }
}

const NOW: &str = "2026-01-15T00:00:00Z";

#[test]
fn a_lease_of_this_computer_is_accepted_until_its_last_instant() {
    let identity = identity();
    let lease = lease(&identity);
    let same = Some(lease_place(&lease));
    assert_eq!(judge_lease(&lease, &identity, same, at(NOW)), Ok(()));
    assert_eq!(judge_lease(&lease, &identity, None, lease.not_after), Ok(()));
    let after = at("2026-01-31T00:00:01Z");
    assert_eq!(judge_lease(&lease, &identity, None, after), Err(LicenseRefusal::Ended(lease.not_after)));
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
        assert_eq!(judge_lease(lease, &me, None, at(NOW)), Err(LicenseRefusal::OtherComputer));
    }
    let other = Lease { server_id: ServerId::from_random([9; 16]), ..lease(&me) };
    assert!(matches!(judge_lease(&other, &me, None, at(NOW)), Err(LicenseRefusal::OtherServer(_))));
}

#[test]
fn a_lower_epoch_or_sequence_is_refused_and_a_higher_epoch_restarts_the_sequence() {
    let me = identity();
    let held = Some(Place { epoch: 1, sequence: 8 });
    assert!(matches!(judge_lease(&lease(&me), &me, held, at(NOW)), Err(LicenseRefusal::WentBack { .. })));
    assert!(matches!(
        judge_assignment(&assignment(&me), &me, held, at(NOW)),
        Err(LicenseRefusal::WentBack { .. })
    ));
    let newer = Assignment { epoch: 2, sequence: 1, ..assignment(&me) };
    assert_eq!(judge_assignment(&newer, &me, held, at(NOW)), Ok(()));
}

#[test]
fn a_floating_lease_is_refused_by_a_program_that_cannot_count_it() {
    let me = identity();
    let floating = Lease { model: LicenseModel::Floating, ..lease(&me) };
    assert!(matches!(judge_lease(&floating, &me, None, at(NOW)), Err(LicenseRefusal::UnknownModel(_))));
}

#[test]
fn an_expired_assignment_or_one_for_another_computer_or_of_another_server_is_refused() {
    let me = identity();
    let expired = assignment(&me);
    let late = at("2026-02-01T00:00:00Z");
    assert!(matches!(judge_assignment(&expired, &me, None, late), Err(LicenseRefusal::Ended(_))));
    let other = Assignment { client_id: ClientId::from_random([9; 16]), ..assignment(&me) };
    assert_eq!(judge_assignment(&other, &me, None, at(NOW)), Err(LicenseRefusal::OtherComputer));
    let foreign = Assignment { server_id: ServerId::from_random([9; 16]), ..assignment(&me) };
    let refused = judge_assignment(&foreign, &me, None, at(NOW));
    assert_eq!(refused, Err(LicenseRefusal::OtherServer(ServerId::from_random([9; 16]))));
}

#[test]
fn a_new_site_key_needs_a_higher_key_epoch() {
    let server_id = ServerId::from_random([2; 16]);
    let held = Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([3; 19]),
        server_id: server_id.clone(),
        site_key: SigningKey::generate().unwrap().public(),
        key_epoch: 1,
        epoch: 1,
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 10,
        generation: 3,
        valid_until: at("2027-01-01T00:00:00Z"),
        vendor_time: at("2026-01-01T00:00:00Z"),
    };
    let other_key = SigningKey::generate().unwrap().public();
    let same_epoch = Grant { site_key: other_key.clone(), ..held.clone() };
    assert_eq!(judge_grant(&same_epoch, &server_id, &held), Err(LicenseRefusal::SiteKeyChanged));
    let next_epoch = Grant { site_key: other_key, key_epoch: 2, ..held.clone() };
    assert_eq!(judge_grant(&next_epoch, &server_id, &held), Ok(()));
    assert_eq!(judge_grant(&held, &server_id, &next_epoch), Err(LicenseRefusal::SiteKeyChanged));
    let older = Grant { generation: 2, ..held.clone() };
    assert!(matches!(judge_grant(&older, &server_id, &held), Err(LicenseRefusal::GrantWentBack { .. })));
    assert!(judge_grant(&held, &ServerId::from_random([8; 16]), &held).is_err());
}
