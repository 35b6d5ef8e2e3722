use std::collections::BTreeSet;

use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::grant::{Grant, LicenseModel};
use sealpost_manifests::ids::{ChannelName, ComputerName, PackageName, Platform, SerialNumber, ServerId};
use sealpost_manifests::order::Epoch;
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::wire::contact::InstalledPackage;
use sealpost_manifests::word::Word;

use super::*;
use crate::rows::DeltaRow;
use crate::rules::leaving::MAX_NAMED;
use crate::rules::release::ReleaseState;
use crate::rules::rollouts::progress::RolloutState;
use crate::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use crate::rules::rollouts::strategy::Strategy;
use crate::rules::rollouts::survey::Survey;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn grant() -> Grant {
    let site_key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
    Grant {
        vendor: "Acme".to_owned(),
        serial: SerialNumber::from_random([1; 19]),
        server_id: ServerId::of_site_key(&site_key),
        site_key,
        key_epoch: 1,
        epoch: Epoch::of(1, 0),
        packages: vec![PackageName::new("av").unwrap()],
        model: LicenseModel::Named,
        seats: 1,
        generation: 1,
        not_after: Timestamp::MAX,
        vendor_time: NOW,
        ends_at: None,
        request_id: None,
    }
}

fn installed(counter: u64) -> InstalledPackage {
    let row = release(counter, PackageKind::Program);
    InstalledPackage { release: row.release, kind: row.kind, counter: row.counter, manifest: row.manifest }
}

fn release(counter: u64, kind: PackageKind) -> ReleaseRow {
    ReleaseRow {
        release: ReleaseId {
            package: PackageName::new("av").unwrap(),
            version: Version::new(format!("{counter}.0")).unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(&counter.to_le_bytes()),
        kind,
        counter: ReleaseCounter(counter),
        severity: Severity::Normal,
        state: ReleaseState::Staged,
        channels: vec![ChannelName::new("stable").unwrap()],
        approved_for: Vec::new(),
        rollback: false,
        attempt: 1,
        signer: None,
        payload_bytes: 1_000,
        staged_at: NOW,
        decided: None,
        reason: None,
        rollout: None,
        voided: false,
        assigned: 0,
        installed: 0,
        failed: 0,
        test_load: None,
        deltas: vec![DeltaRow { base: Sha256Digest::of(&1_u64.to_le_bytes()), bytes: 10 }],
    }
}

fn computer(name: String) -> RecipientRow {
    RecipientRow {
        name: ComputerName::new(name).unwrap(),
        channel: ChannelName::new("stable").unwrap(),
        platform: Some(Platform::any()),
        grants: vec![grant().into()],
        last_contact: Some(NOW),
        installed: Vec::new(),
        before: Vec::new(),
        listed: BTreeSet::new(),
        tags: Vec::new(),
        came_by: Some("10.2.0.7".parse().unwrap()),
        deliveries: Vec::new(),
    }
}

fn plan(settings: &[(SettingKind, &str, serde_json::Value)]) -> Plan {
    let mut plan = Plan::default();
    for (kind, name, value) in settings {
        let key = SettingKey { kind: *kind, name: (*name).to_owned() };
        plan.settings.set(&SettingChange { key, value: Some(value.clone()) }).unwrap();
    }
    plan
}

fn asked(plan: &Plan, release: &ReleaseRow, strategy: Strategy, rows: &[RecipientRow]) -> Vec<RingLook> {
    let rollout = Rollout {
        number: 0,
        release: release.release.clone(),
        manifest: release.manifest,
        counter: release.counter,
        kind: release.kind,
        channels: release.channels.clone(),
        strategy_name: Word::known("normal"),
        emergency: false,
        state: RolloutState::Running,
        started_at: NOW,
        changed: None,
        rings: Rollout::waiting_rings(&strategy),
        strategy,
    };
    let salt = Salt::of(&ServerId::from_random([7; 16]));
    let rollouts = [rollout];
    let mut survey = Survey::new(plan, &rollouts, salt, NOW);
    rows.iter().for_each(|row| survey.add(row));
    let populations = survey.finish().0.remove(&0).unwrap();
    let [rollout] = rollouts;
    let mut what_if = WhatIf::new(plan, rollout, &populations, release, salt, NOW);
    rows.iter().for_each(|row| what_if.add(row));
    what_if.finish()
}

#[test]
fn of_ten_thousand_computers_each_ring_names_a_hundred_and_counts_all() {
    let rows: Vec<RecipientRow> = (0..10_000).map(|number| computer(format!("pc-{number}"))).collect();
    let release = release(2, PackageKind::Program);
    let looks = asked(&Plan::default(), &release, Strategy::normal(), &rows);
    let counts: Vec<u64> = looks.iter().map(|look| look.computers.count).collect();
    assert_eq!((counts[0], counts.iter().sum::<u64>()), (1, 10_000));
    assert!((900..1_100).contains(&counts[1]), "{counts:?}");
    for look in &looks {
        assert_eq!(look.computers.names.len(), MAX_NAMED.min(usize::try_from(look.computers.count).unwrap()));
        assert_eq!((look.heard_of, look.bytes), (look.computers.count, look.computers.count * 1_000));
    }
    let names: BTreeSet<&ComputerName> = looks.iter().flat_map(|look| &look.computers.names).collect();
    assert_eq!(names.len(), 201, "nobody is in two rings");
}

#[test]
fn bytes_and_links_are_of_the_ring_whose_computers_need_them() {
    let link = |subnet: &str| serde_json::json!({ "subnets": [subnet], "rate": "1 MB/s", "concurrent": 3 });
    let group = serde_json::json!({ "rule": { "names": ["lab-*"] } });
    let plan = plan(&[
        (SettingKind::Link, "north", link("10.2.0.0/16")),
        (SettingKind::Link, "south", link("10.3.0.0/16")),
        (SettingKind::Group, "lab", group),
    ]);
    let strategy: Strategy = serde_json::from_value(serde_json::json!({ "rings": [
        { "name": "lab", "takes": { "group": "lab" } }, { "name": "rest", "takes": "everyone" },
    ] }))
    .unwrap();
    let mut rows: Vec<RecipientRow> =
        ["lab-1", "lab-2", "pc-1", "pc-2", "pc-3", "pc-4"].map(|name| computer(name.to_owned())).into();
    rows[1].came_by = Some("10.3.0.1".parse().unwrap());
    rows[2].installed = vec![installed(1)];
    rows[3].installed = vec![installed(2)];
    rows[4].platform = None;
    rows[5].grants.clear();
    let looks = asked(&plan, &release(2, PackageKind::Program), strategy, &rows);
    let of = |look: &RingLook| -> Vec<(String, u64, u64)> {
        look.links.iter().map(|load| (load.link.to_string(), load.computers, load.bytes)).collect()
    };
    assert_eq!(of(&looks[0]), [("north".to_owned(), 1, 1_000), ("south".to_owned(), 1, 1_000)]);
    // pc-1 takes a delta, pc-2 runs it, pc-3 never enrolled, and pc-4 has no license for it.
    assert_eq!(of(&looks[1]), [("north".to_owned(), 1, 10)]);
    assert_eq!((looks[0].bytes, looks[1].bytes), (2_000, 10));
    assert_eq!(looks[1].computers.count, 2, "who runs it is in its ring all the same");
    assert_eq!(looks[1].times.without.iter().map(|(_, count)| count).sum::<u64>(), 1);
}

#[test]
fn signature_files_that_come_later_to_a_group_are_counted_and_keep_no_ring_waiting() {
    let group = |content: serde_json::Value| serde_json::json!({ "rule": { "names": ["late-*"] }, "content": content });
    let rows: Vec<RecipientRow> = ["late-1", "pc-1", "pc-2"].map(|name| computer(name.to_owned())).into();
    let looks = |content: serde_json::Value, kind: PackageKind| {
        let plan = plan(&[(SettingKind::Group, "late", group(content))]);
        asked(&plan, &release(2, kind), Strategy::everyone_now(), &rows)
    };
    let paused = looks("paused".into(), PackageKind::Signatures);
    let counts = |looks: &[RingLook]| {
        looks[0].times.without.iter().map(|(why, count)| (why.code(), *count)).collect::<Vec<_>>()
    };
    assert_eq!(counts(&paused), [("content_paused", 1), ("no_deadline", 2)]);
    assert_eq!(paused[0].computers.count, 3);
    let program = looks("paused".into(), PackageKind::Program);
    assert_eq!(counts(&program), [("no_deadline", 3)], "it is no matter of programs");
    let early = looks("early".into(), PackageKind::Signatures);
    assert_eq!(counts(&early), [("no_deadline", 3)]);
}

#[test]
fn what_is_critical_waits_for_no_window_and_has_a_latest_time_where_the_site_wants_it_at_once() {
    let window = serde_json::json!({
        "days": ["saturday"], "from": "22:00", "length_minutes": 60, "zone": "UTC"
    });
    let looks = |critical: &str, severity| {
        let plan = plan(&[
            (SettingKind::Window, "weekend", window.clone()),
            (SettingKind::Property, "delivery", "window:weekend".into()),
            (SettingKind::Property, "critical", critical.into()),
        ]);
        let release = ReleaseRow { severity, ..release(2, PackageKind::Program) };
        asked(&plan, &release, Strategy::everyone_now(), &[computer("pc-1".to_owned())])
    };
    let opens: Timestamp = "1970-01-03T22:00:00Z".parse().unwrap();
    for (critical, severity, first, forced) in [
        ("at_once", Severity::Critical, NOW, true),
        ("at_once", Severity::High, opens, false),
        ("in_window", Severity::Critical, opens, false),
    ] {
        let times = &looks(critical, severity)[0].times;
        assert_eq!((times.first, times.latest.is_some()), (Some(first), forced), "{critical}, {severity:?}");
    }
}
