use sealpost_keys::SigningKey;
use sealpost_manifests::grant::LicenseModel;
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::order::Epoch;

use super::*;
use crate::domain::boot::BootId;

const DAY: i64 = 24 * 3_600;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn days_after(time: Timestamp, days: i64) -> Timestamp {
    time + SignedDuration::from_secs(days * DAY)
}

fn boot(secs: i64) -> BootMoment {
    boot_of("8f7e9a34-1111-4a2b-9c3d-000000000001", secs)
}

fn boot_of(id: &str, secs: i64) -> BootMoment {
    BootMoment { boot: BootId::new(id).unwrap(), secs: u64::try_from(secs).unwrap() }
}

fn grant(serial: u8, generation: u64, vendor_time: Timestamp) -> Grant {
    let site_key = SigningKey::generate().unwrap().public();
    Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([serial; 19]),
        server_id: ServerId::of_site_key(&site_key),
        site_key,
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: Vec::new(),
        model: LicenseModel::Named,
        seats: 10,
        generation,
        not_after: days_after(vendor_time, 366),
        vendor_time,
        ends_at: None,
        request_id: None,
    }
}

/// Enrolled at this time, with a grant of the same day.
fn enrolled(now: Timestamp) -> Floors {
    let mut floors = Floors::from_setup(now);
    floors.accept_grant(&grant(1, 1, now), Some(&boot(0)));
    floors
}

#[test]
fn a_server_whose_clock_is_ahead_once_raises_the_floor_by_the_time_that_has_passed_and_no_more() {
    let start = at("2026-05-01T00:00:00Z");
    for ahead_days in [40, 400, 5 * 365] {
        let mut floors = enrolled(start);
        let later = days_after(start, 10);
        floors.observe(later, Some(&boot(10 * DAY)));
        floors.observe(days_after(later, ahead_days), Some(&boot(10 * DAY)));
        assert!(floors.license() <= later, "{ahead_days} days: {}", floors.license());
        assert_eq!(floors.license_time(later), later, "and this computer's own clock goes on");
    }
}

#[test]
fn a_restart_of_the_agent_earns_credit_and_a_restart_of_the_computer_does_not() {
    let start = at("2026-05-01T00:00:00Z");
    let mut floors = enrolled(start);
    let text = serde_json::to_string(&floors).unwrap();
    let mut restarted: Floors = serde_json::from_str(&text).unwrap();
    restarted.observe(days_after(start, 1), Some(&boot(3_600)));
    assert_eq!(restarted.license(), start + SignedDuration::from_secs(3_600));
    let other = boot_of("8f7e9a34-1111-4a2b-9c3d-000000000002", 3_600);
    floors.observe(days_after(start, 1), Some(&other));
    assert_eq!(floors.license(), start);
    floors.observe(days_after(start, 1), None);
    assert_eq!(floors.license(), start, "without a boot clock no time has surely passed");
}

#[test]
fn a_newer_grant_lowers_what_a_vendor_whose_clock_was_ahead_raised_and_an_older_one_changes_nothing() {
    let start = at("2026-05-01T00:00:00Z");
    let mut floors = Floors::from_setup(start);
    floors.accept_grant(&grant(1, 1, days_after(start, 400)), Some(&boot(0)));
    assert_eq!(floors.license(), days_after(start, 400));
    floors.raise_metadata(days_after(start, 300), Some(&boot(0)));
    floors.accept_grant(&grant(1, 1, days_after(start, 1)), Some(&boot(DAY)));
    assert_eq!(floors.license(), days_after(start, 400), "the same generation again says nothing new");
    floors.accept_grant(&grant(1, 2, days_after(start, 1)), Some(&boot(DAY)));
    assert_eq!(floors.license(), days_after(start, 1));
    assert_eq!(floors.metadata(), Some(days_after(start, 1)), "what the same clock raised falls with it");
}

#[test]
fn a_grant_of_another_serial_number_turns_nothing_back() {
    let start = at("2026-05-01T00:00:00Z");
    let mut floors = enrolled(start);
    floors.accept_metadata(7, days_after(start, 200), days_after(start, 366), Some(&boot(DAY)));
    let before = floors.license();
    let mut kept = grant(2, 1, days_after(start, -100));
    kept.not_after = days_after(start, 20);
    floors.accept_grant(&kept, Some(&boot(DAY)));
    assert_eq!(floors.license(), before, "it was signed long before");
    floors.accept_grant(&grant(2, 2, days_after(start, -90)), Some(&boot(DAY)));
    assert_eq!(floors.license(), before, "neither does its second one, which was kept as well");
    floors.accept_grant(&grant(2, 3, days_after(start, 210)), Some(&boot(DAY)));
    assert_eq!(floors.license(), days_after(start, 210));
    floors.accept_grant(&grant(1, 9, days_after(start, 100)), Some(&boot(DAY)));
    assert_eq!(floors.license(), days_after(start, 210), "nor one of the serial number that is held");
    // Its own word it may take back, also after a restart.
    let text = serde_json::to_string(&floors).unwrap();
    let mut floors: Floors = serde_json::from_str(&text).unwrap();
    floors.accept_grant(&grant(2, 4, days_after(start, 205)), Some(&boot(DAY)));
    assert_eq!(floors.license(), days_after(start, 205));
}

#[test]
fn metadata_says_the_time_once_per_version() {
    let start = at("2026-05-01T00:00:00Z");
    let mut floors = enrolled(start);
    let end = days_after(start, 366);
    floors.accept_metadata(7, days_after(start, 20), end, Some(&boot(DAY)));
    assert_eq!(floors.license(), days_after(start, 20));
    floors.accept_metadata(7, days_after(start, 2), end, Some(&boot(DAY)));
    assert_eq!(floors.license(), days_after(start, 20));
    floors.accept_metadata(8, days_after(start, 2), end, Some(&boot(DAY)));
    assert_eq!(floors.license(), days_after(start, 2));
}

#[test]
fn the_floor_of_the_metadata_rises_with_the_time_that_passes_and_not_with_a_server_that_is_ahead() {
    let start = at("2026-05-01T00:00:00Z");
    let mut floors = enrolled(start);
    assert_eq!(floors.metadata(), None);
    floors.raise_metadata(days_after(start, 40), Some(&boot(60)));
    assert_eq!(floors.metadata(), Some(start), "the first is no later than what the vendor signed");
    floors.raise_metadata(days_after(start, 400), Some(&boot(60 + DAY / 2)));
    assert_eq!(floors.metadata(), Some(start + SignedDuration::from_secs(DAY / 2)));
    let before = floors.metadata();
    floors.raise_metadata(at("2020-01-01T00:00:00Z"), Some(&boot(DAY)));
    assert_eq!(floors.metadata(), before, "and it never falls by a server's word");
}

#[test]
fn a_clock_that_was_set_back_does_not_set_license_time_back() {
    let start = at("2026-05-01T00:00:00Z");
    let floors = enrolled(start);
    assert_eq!(floors.license_time(at("1970-01-01T00:01:00Z")), start);
    assert_eq!(floors.license_time(days_after(start, 31)), days_after(start, 31));
}

#[test]
fn the_stored_form_is_kept() {
    let golden = r#"{"license":"2026-05-01T00:00:00Z","newest":{"signed_at":"2026-05-01T00:00:00Z","not_after":"2027-05-02T00:00:00Z"},"observed":{"boot":"8f7e9a34-1111-4a2b-9c3d-000000000001","secs":90},"metadata":"2026-04-30T00:00:00Z","metadata_observed":{"boot":"8f7e9a34-1111-4a2b-9c3d-000000000001","secs":80},"generations":{"11111-11111-11111-1111X":3},"metadata_version":7}"#;
    let serial = SerialNumber::from_random([1; 19]).to_string();
    let golden = golden.replace("11111-11111-11111-1111X", &serial);
    let floors: Floors = serde_json::from_str(&golden).unwrap();
    assert_eq!(serde_json::to_string(&floors).unwrap(), golden);
    let least: Floors = serde_json::from_str(r#"{"license":"1970-01-01T00:00:00Z"}"#).unwrap();
    assert_eq!(least, Floors::default());
}
