use sealpost_keys::SigningKey;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::{ChannelName, ClientId, ComputerName, SerialNumber};
use sealpost_manifests::lease::Entitlement;
use sealpost_manifests::log::LogHead;
use sealpost_manifests::order::{Epoch, Signer};

use super::*;

fn key() -> PublicKey {
    SigningKey::generate().unwrap().public()
}

fn held(grant: Grant) -> HeldGrant {
    let digest = Sha256Digest::of(format!("{} {}", grant.serial, grant.generation).as_bytes());
    HeldGrant { grant, digest }
}

fn grant(serial: u8, site_key: &PublicKey) -> Grant {
    Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([serial; 19]),
        server_id: ServerId::from_random([2; 16]),
        site_key: site_key.clone(),
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 10,
        generation: 3,
        not_after: "2027-01-01T00:00:00Z".parse().unwrap(),
        vendor_time: "2026-01-01T00:00:00Z".parse().unwrap(),
        ends_at: None,
        request_id: None,
    }
}

fn grants(first: &Grant) -> Grants {
    Grants::begin(held(first.clone()), &first.server_id).unwrap()
}

#[test]
fn a_new_site_key_needs_a_higher_key_epoch() {
    let (old, new) = (key(), key());
    let first = grant(1, &old);
    let server_id = first.server_id.clone();
    let mut grants = grants(&first);
    let same_epoch = held(Grant { site_key: new.clone(), ..first.clone() });
    assert_eq!(grants.accept(same_epoch.clone(), &server_id), Err(LicenseRefusal::SiteKeyChanged));
    let other_serial = held(Grant { site_key: new.clone(), ..grant(2, &old) });
    assert_eq!(grants.accept(other_serial, &server_id), Err(LicenseRefusal::SiteKeyChanged));
    assert_eq!(grants.site_key(), &old);
    let next_epoch = held(Grant { site_key: new.clone(), key_epoch: 2, ..first.clone() });
    assert_eq!(grants.accept(next_epoch, &server_id), Ok(()));
    assert_eq!(grants.site_key(), &new);
    assert_eq!(grants.accept(held(first), &server_id), Err(LicenseRefusal::SiteKeyChanged));
}

#[test]
fn each_serial_number_has_its_own_generation_and_one_grant() {
    let site_key = key();
    let first = grant(1, &site_key);
    let server_id = first.server_id.clone();
    let mut grants = grants(&first);
    let lower_of_another = held(Grant { generation: 1, ..grant(2, &site_key) });
    assert_eq!(grants.accept(lower_of_another, &server_id), Ok(()));
    let older = held(Grant { generation: 2, ..first.clone() });
    let went_back = LicenseRefusal::GrantWentBack { found: 2, held: 3 };
    assert_eq!(grants.accept(older, &server_id), Err(went_back));
    let newer = held(Grant { generation: 4, epoch: Epoch::of(2, 0), ..first });
    assert_eq!(grants.accept(newer.clone(), &server_id), Ok(()));
    assert_eq!(grants.iter().count(), 2);
    assert!(grants.iter().any(|one| *one == newer));
    assert_eq!(grants.vendor_epoch(), 2);
    let foreign = held(Grant { server_id: ServerId::from_random([9; 16]), ..grant(3, &site_key) });
    assert!(matches!(grants.accept(foreign, &server_id), Err(LicenseRefusal::OtherServer(_))));
}

#[test]
fn the_number_of_grants_is_bounded() {
    let site_key = key();
    let first = grant(0, &site_key);
    let mut grants = grants(&first);
    // Of the nineteen values of a serial number the low five bits count.
    let mut all = (0..16u8).flat_map(|high| (0..32u8).map(move |low| (high, low)));
    let results: Vec<_> = all
        .by_ref()
        .take(MAX_GRANTS + 5)
        .map(|(high, low)| {
            let mut random = [high; 19];
            random[0] = low;
            let serial = SerialNumber::from_random(random);
            grants.accept(held(Grant { serial, ..first.clone() }), &first.server_id)
        })
        .collect();
    assert!(matches!(results.last(), Some(Err(LicenseRefusal::TooManyGrants(MAX_GRANTS)))));
    assert_eq!(grants.iter().count(), MAX_GRANTS);
    let renewed = held(Grant { generation: 9, ..first.clone() });
    assert_eq!(grants.accept(renewed, &first.server_id), Ok(()), "a renewal takes no place");
}

#[test]
fn a_seat_counts_beside_the_grant_of_its_serial_number_and_for_what_both_cover() {
    let site_key = key();
    let package = |name: &str| PackageName::new(name).unwrap();
    let first = Grant { packages: vec![package("acme"), package("cad")], ..grant(1, &site_key) };
    let grants = grants(&first);
    let now: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
    let end: Timestamp = "2026-05-31T00:00:00Z".parse().unwrap();
    let seat = |serial: &SerialNumber, packages: &[&str]| Entitlement {
        serial: serial.clone(),
        model: LicenseModel::Named,
        packages: packages.iter().map(|name| package(name)).collect(),
        grant: Sha256Digest::of(b"grant"),
        not_after: end,
    };
    let lease = |seats: Vec<Entitlement>| Lease {
        client_id: ClientId::from_random([1; 16]),
        client_key: key(),
        computer_name: ComputerName::new("pc").unwrap(),
        channel: ChannelName::new("stable").unwrap(),
        server_id: first.server_id.clone(),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence: 1,
        issued_at: now,
        entitlements: seats,
        ledger_head: LogHead { size: 0, root: Sha256Digest::of(b"") },
    };
    let entitled = |lease: &Lease, name| grants.entitled_until(lease, &package(name), now);
    let all = lease(vec![seat(&first.serial, &[])]);
    assert_eq!(entitled(&all, "acme"), Some(end));
    assert_eq!(entitled(&all, "other"), None, "a site leases no more than the vendor granted");
    assert_eq!(entitled(&lease(vec![seat(&first.serial, &["cad"])]), "acme"), None);
    assert_eq!(
        entitled(&lease(vec![seat(&first.serial, &["cad"])]), "agent-updater"),
        Some(end),
        "the agent itself"
    );
    let not_held = lease(vec![seat(&SerialNumber::from_random([9; 19]), &[])]);
    assert_eq!(entitled(&not_held, "acme"), None);
    assert_eq!(entitled(&not_held, "agent-updater"), None, "only a live seat that the vendor granted");
    assert_eq!(grants.entitled_until(&all, &package("acme"), end + std::time::Duration::from_secs(1)), None);
}

#[test]
fn a_grant_of_an_older_site_key_covers_nothing_that_the_newer_key_signs() {
    let (old, new) = (key(), key());
    let (first, other) = (grant(1, &old), grant(2, &old));
    let mut grants = grants(&first);
    grants.accept(held(other.clone()), &first.server_id).unwrap();
    let now = "2026-05-01T00:00:00Z".parse().unwrap();
    let acme = PackageName::new("acme").unwrap();
    let leased = lease(&first.server_id, &[&other.serial], "2026-05-31T00:00:00Z");
    assert!(grants.entitled_until(&leased, &acme, now).is_some());
    let renewed = Grant { site_key: new, key_epoch: 2, packages: vec![acme.clone()], ..first.clone() };
    grants.accept(held(renewed), &first.server_id).unwrap();
    assert_eq!(grants.entitled_until(&leased, &acme, now), None, "its grant names the key of before");
    assert_eq!(grants.judge_seats(&leased, now), Err(LicenseRefusal::NotGranted));
    assert!(grants.covers(&acme) && !grants.covers(&PackageName::new("cad").unwrap()));
}

#[test]
fn a_lease_without_a_live_seat_that_the_vendor_granted_is_refused() {
    let first = grant(1, &key());
    let grants = grants(&first);
    let now: Timestamp = "2026-05-01T00:00:00Z".parse().unwrap();
    let judge =
        |serials: &[&SerialNumber], end| grants.judge_seats(&lease(&first.server_id, serials, end), now);
    let foreign = SerialNumber::from_random([9; 19]);
    let (alive, ended) = ("2026-05-31T00:00:00Z", "2026-04-01T00:00:00Z");
    assert_eq!(judge(&[&first.serial], alive), Ok(()));
    assert_eq!(judge(&[&foreign, &first.serial], alive), Ok(()));
    assert_eq!(judge(&[&foreign], alive), Err(LicenseRefusal::NotGranted));
    assert_eq!(judge(&[&first.serial], ended), Err(LicenseRefusal::NotGranted));
}

#[test]
fn the_end_of_a_grant_ends_no_seat_of_a_computer_that_has_one() {
    let first = grant(1, &key());
    let grants = grants(&first);
    let now: Timestamp = "2028-05-01T00:00:00Z".parse().unwrap();
    assert!(now > first.not_after);
    let leased = lease(&first.server_id, &[&first.serial], "2028-05-31T00:00:00Z");
    assert_eq!(grants.judge_seats(&leased, now), Ok(()));
    assert!(grants.entitled_until(&leased, &PackageName::new("acme").unwrap(), now).is_some());
}

/// A lease with seats for every package, one for each serial number.
fn lease(server_id: &ServerId, serials: &[&SerialNumber], end: &str) -> Lease {
    let seat = |serial: &&SerialNumber| Entitlement {
        serial: (*serial).clone(),
        model: LicenseModel::Named,
        packages: Vec::new(),
        grant: Sha256Digest::of(b"grant"),
        not_after: end.parse().unwrap(),
    };
    Lease {
        client_id: ClientId::from_random([1; 16]),
        client_key: key(),
        computer_name: ComputerName::new("pc").unwrap(),
        channel: ChannelName::new("stable").unwrap(),
        server_id: server_id.clone(),
        signer: Signer::SiteKey,
        epoch: Epoch::of(1, 0),
        sequence: 1,
        issued_at: Timestamp::UNIX_EPOCH,
        entitlements: serials.iter().map(seat).collect(),
        ledger_head: LogHead { size: 0, root: Sha256Digest::of(b"") },
    }
}
