use std::collections::BTreeSet;

use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, Platform};
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::version::ReleaseCounter;
use sealpost_manifests::wire::contact::InstalledPackage;

use super::*;

fn at(hours: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add(SignedDuration::from_hours(hours)).unwrap()
}

fn package(name: &str) -> PackageName {
    PackageName::new(name).unwrap()
}

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

fn serial(byte: u8) -> SerialNumber {
    SerialNumber::from_random([byte; 19])
}

fn runs(name: &str, text: &str, kind: PackageKind) -> InstalledPackage {
    let platform = Platform::new("any").unwrap();
    let release = ReleaseId { package: package(name), version: version(text), platform };
    let manifest = Sha256Digest::of(format!("{name} {text}").as_bytes());
    InstalledPackage { release, manifest, counter: ReleaseCounter(1), kind }
}

/// A name that is reserved and holds no more than a seat of the first serial number.
fn reserved(name: &str) -> ClientLineRow {
    ClientLineRow {
        name: ComputerName::new(name).unwrap(),
        channel: ChannelName::new("stable").unwrap(),
        reserved_at: at(0),
        client_id: None,
        forked: None,
        enrolled_at: None,
        platform: None,
        agent_version: None,
        installed: Vec::new(),
        last_contact: None,
        heard: None,
        cadence: None,
        lease_until: None,
        serials: vec![serial(1)],
        listed: BTreeSet::new(),
        tags: Vec::new(),
        came_by: None,
        install: None,
    }
}

/// One that enrolled, contacted, and runs these.
fn enrolled(name: &str, last_contact: Option<i64>, installed: &[(&str, &str)]) -> ClientLineRow {
    let kind = |name: &str| {
        if name.ends_with("signatures") { PackageKind::Signatures } else { PackageKind::Program }
    };
    ClientLineRow {
        forked: Some(false),
        enrolled_at: Some(at(1)),
        last_contact: last_contact.map(at),
        installed: installed.iter().map(|(name, text)| runs(name, text, kind(name))).collect(),
        ..reserved(name)
    }
}

#[test]
fn of_several_conditions_each_has_to_be_met() {
    let line = ClientLineRow {
        serials: vec![serial(1), serial(2)],
        ..enrolled("pc-1", Some(10), &[("av", "1.0"), ("av-signatures", "27")])
    };
    let none = ComputerFilter::default();
    let state = ComputerState::Active;
    let groups = BTreeSet::from([group("lab"), group("pilots")]);
    let hours = |hours| Some(SignedDuration::from_hours(hours));
    let cases: [(&str, ComputerFilter, bool); 15] = [
        ("nothing is wanted", none.clone(), true),
        ("its state", ComputerFilter { state: Some(state), ..none.clone() }, true),
        ("another", ComputerFilter { state: Some(ComputerState::Reserved), ..none.clone() }, false),
        ("its group", ComputerFilter { group: Some(group("pilots")), ..none.clone() }, true),
        ("another group", ComputerFilter { group: Some(group("pilot")), ..none.clone() }, false),
        ("what it runs", ComputerFilter { package: Some(package("av")), ..none.clone() }, true),
        ("what it does not", ComputerFilter { package: Some(package("agent")), ..none.clone() }, false),
        ("a version of anything", ComputerFilter { version: Some(version("27")), ..none.clone() }, true),
        ("of nothing", ComputerFilter { version: Some(version("1.0.0")), ..none.clone() }, false),
        (
            "the version of another package",
            ComputerFilter { package: Some(package("av")), version: Some(version("27")), ..none.clone() },
            false,
        ),
        (
            "of this one",
            ComputerFilter { package: Some(package("av")), version: Some(version("1.0")), ..none.clone() },
            true,
        ),
        ("silent for just so long", ComputerFilter { silent_for: hours(20), ..none.clone() }, true),
        ("not for that long", ComputerFilter { silent_for: hours(21), ..none.clone() }, false),
        ("its second seat", ComputerFilter { serial: Some(serial(2)), ..none.clone() }, true),
        (
            "all but one",
            ComputerFilter {
                state: Some(state),
                serial: Some(serial(3)),
                silent_for: hours(1),
                ..none.clone()
            },
            false,
        ),
    ];
    for (what, filter, wanted) in cases {
        let takes = filter.takes(&line, state, at(30)) && filter.takes_groups(&groups);
        assert_eq!(takes, wanted, "{what}");
    }
    assert!(none.takes_all());
}

#[test]
fn who_never_enrolled_is_not_silent_and_who_never_contacted_is_since_it_enrolled() {
    let silent =
        ComputerFilter { silent_for: Some(SignedDuration::from_hours(5)), ..ComputerFilter::default() };
    let takes = |row: &ClientLineRow, now| silent.takes(row, ComputerState::Active, at(now));
    assert!(!takes(&reserved("pc-1"), 900));
    assert!(!takes(&enrolled("pc-1", None, &[]), 5));
    assert!(takes(&enrolled("pc-1", None, &[]), 6));
}

#[test]
fn each_order_has_two_ends_and_names_decide_between_equals() {
    let rows = [
        enrolled("d", Some(5), &[("av", "1.10"), ("av-signatures", "9")]),
        enrolled("b", Some(9), &[("av", "1.2"), ("av-signatures", "10")]),
        enrolled("c", None, &[("av", "1.2"), ("av-signatures", "9")]),
        enrolled("a", Some(5), &[]),
    ];
    // The last two enrolled, of which one is lost.
    let state = |row: &ClientLineRow| match row.name.as_str() {
        "a" => ComputerState::ContactLost,
        "b" => ComputerState::Reserved,
        _ => ComputerState::Active,
    };
    let cases = [
        ("name", "abcd"),
        ("-name", "dcba"),
        ("state", "bcda"),
        ("-state", "adcb"),
        ("version", "acbd"),
        ("-version", "dbca"),
        ("last_contact", "cadb"),
        ("-last_contact", "bdac"),
    ];
    for (text, wanted) in cases {
        let sort: Sort = text.parse().unwrap();
        assert_eq!(sort.to_string(), text);
        let mut places: Vec<Place> = rows.iter().map(|row| sort.place(row, state(row))).collect();
        places.sort_by(|one, other| sort.compare(one, other));
        let found: String = places.iter().map(|place| place.name.as_str()).collect();
        assert_eq!(found, wanted, "{text}");
        for place in places {
            assert!(place.key.is_of(sort.by));
            let json = serde_json::to_string(&place).unwrap();
            assert_eq!(serde_json::from_str::<Place>(&json).unwrap(), place, "{json}");
        }
    }
    for unknown in ["", "-", "--name", "age", &"x".repeat(9_000)] {
        assert!(unknown.parse::<Sort>().unwrap_err().to_string().len() < 300, "{unknown}");
    }
}
