//! Each kind of defect is found, and they are found together.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::channels::Withdrawn;
use sealpost_manifests::document::{self, SignedDocument};
use sealpost_manifests::ids::TargetName;
use sealpost_manifests::release::ReleaseManifest;
use sealpost_manifests::trust::{KeyStatus, KeyUse, TrustedKey};
use sealpost_publisher::active_keys::license_key;
use sealpost_publisher::home::LifetimeDays;
use sealpost_publisher::lint::{Finding, Level, lint};
use sealpost_publisher::publication::lifetimes;
use sealpost_repository::{Lifetimes, RoleName, TargetSource};
use sealpost_test_support::clock::days;
use sealpost_test_support::folders::flip_a_bit;
use sealpost_test_support::names::{channel, package, version};

use crate::support::{Home, now, put};

fn two_releases() -> Home {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    home.release("acme-av", "1.1", "two").unwrap();
    home
}

async fn findings_at(home: &Home, at: Timestamp) -> Vec<Finding> {
    lint(&home.repository(), &home.root(), None, at).await.unwrap().findings
}

async fn defects(home: &Home) -> Vec<String> {
    let findings = findings_at(home, now()).await;
    findings
        .into_iter()
        .filter(|finding| finding.level == Level::Defect)
        .map(|finding| finding.to_string())
        .collect()
}

#[track_caller]
fn assert_one(defects: &[String], words: &[&str]) {
    let matching = defects.iter().filter(|defect| words.iter().all(|word| defect.contains(word)));
    assert_eq!(matching.count(), 1, "{words:?} in {defects:#?}");
}

#[tokio::test]
async fn a_sound_repository_has_no_findings() {
    let home = two_releases();
    let report = lint(&home.repository(), &home.root(), None, now()).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((report.packages, report.releases, report.targets), (1, 2, 8));
}

#[tokio::test]
async fn several_damaged_files_are_all_found_at_once() {
    let home = two_releases();
    flip_a_bit(&home.target_file("acme-av_1.0_any.tar.gz")).unwrap();
    fs::remove_file(home.target_file("acme-av_1.1_any.tar.gz")).unwrap();
    let minisig = home.target_file("acme-av_1.1_any.manifest.minisig");
    fs::write(&minisig, fs::read_to_string(&minisig).unwrap() + "\n").unwrap();
    flip_a_bit(&home.target_file("acme-av_1.0_any.manifest")).unwrap();
    let defects = defects(&home).await;
    assert_one(&defects, &["acme-av_1.0_any.tar.gz", "other content"]);
    assert_one(&defects, &["acme-av_1.1_any.tar.gz", "missing"]);
    assert_one(&defects, &["acme-av_1.1_any.manifest.minisig", "bytes, not the listed"]);
    assert_one(&defects, &["acme-av_1.0_any.manifest:", "other content"]);
}

#[tokio::test]
async fn a_flipped_byte_in_any_metadata_file_in_force_is_found() {
    for name in ["timestamp.json", "snapshot.json", "targets.json", "acme-av.json"] {
        let home = two_releases();
        let newest = fs::read_dir(home.repository().join("metadata"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.to_str().unwrap().ends_with(name))
            .max_by_key(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                name.split('.').next().unwrap().parse::<u64>().unwrap_or(0)
            })
            .unwrap();
        flip_a_bit(&newest).unwrap();
        assert!(!defects(&home).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_pipe_in_the_place_of_metadata_is_a_defect_and_not_waited_for() {
    for name in ["timestamp.json", "1.root.json"] {
        let home = two_releases();
        let path = home.repository().join("metadata").join(name);
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
        let defects = defects(&home).await;
        assert!(
            defects.iter().any(|defect| defect.contains(name) && defect.contains("not a regular file")),
            "{defects:#?}"
        );
    }
}

#[tokio::test]
async fn metadata_that_is_refused_does_not_hide_a_damaged_target() {
    let home = two_releases();
    flip_a_bit(&home.repository().join("metadata/timestamp.json")).unwrap();
    flip_a_bit(&home.target_file("acme-av_1.0_any.tar.gz")).unwrap();
    let defects = defects(&home).await;
    assert_one(&defects, &["acme-av_1.0_any.tar.gz", "other content"]);
    assert!(defects.len() >= 2, "{defects:?}");
}

#[tokio::test]
async fn expiry_is_warned_of_at_90_30_and_7_days_and_is_a_defect_afterwards() {
    let home = two_releases();
    let warnings = async |day: i64| {
        let found = findings_at(&home, now() + days(day)).await;
        found.into_iter().filter(|finding| finding.subject == "role acme-av").collect::<Vec<_>>()
    };
    assert!(warnings(274).await.is_empty());
    for (day, limit) in [(276, 90), (336, 30), (359, 7)] {
        let found = warnings(day).await;
        assert!(found[0].problem.contains(&format!("below {limit}")), "{found:?}");
        assert_eq!(found[0].level, Level::Warning);
    }
    let found = warnings(366).await;
    assert!(found[0].problem.contains("expired"), "{found:?}");
    assert_eq!(found[0].level, Level::Defect);
    // The walk goes on behind what has expired.
    let report = lint(&home.repository(), &home.root(), None, now() + days(400)).await.unwrap();
    assert_eq!(report.releases, 2);
}

#[tokio::test]
async fn what_the_vendor_lets_live_shortly_is_warned_of_in_the_second_half_of_its_life() {
    let home = two_releases();
    let days_of_life = LifetimeDays {
        root: 40,
        targets: 40,
        packages: 40,
        snapshot: 2,
        timestamp: 2,
        ..LifetimeDays::default()
    };
    let lives = lifetimes(&days_of_life);
    let warned = async |before: Option<&Lifetimes>, left: SignedDuration, role: &str| {
        // What the home signed lives for its own 365, 30 or 7 days; only what is left counts.
        let whole = match role {
            "role timestamp" => days(7),
            "role snapshot" => days(30),
            _ => days(365),
        };
        let report = lint(&home.repository(), &home.root(), before, now() + whole - left).await.unwrap();
        let found = report.findings.into_iter().find(|finding| finding.subject == role);
        found.filter(|finding| finding.level == Level::Warning).map(|finding| finding.problem)
    };
    for role in ["role root", "role targets", "role acme-av"] {
        assert_eq!(warned(Some(&lives), days(21), role).await, None, "{role}");
        let said = warned(Some(&lives), days(19), role).await.unwrap();
        assert!(said.contains("below 20 days"), "{said}");
        let said = warned(Some(&lives), days(6), role).await.unwrap();
        assert!(said.contains("below 7 days"), "{said}");
        assert!(warned(None, days(21), role).await.is_some(), "{role}: of an unknown life");
    }
    for role in ["role snapshot", "role timestamp"] {
        assert_eq!(warned(Some(&lives), days(1) + SignedDuration::from_hours(1), role).await, None, "{role}");
        assert!(warned(Some(&lives), SignedDuration::from_hours(23), role).await.is_some(), "{role}");
        assert!(warned(None, days(2), role).await.is_some(), "{role}: of an unknown life");
    }
}

#[tokio::test]
async fn a_renewal_that_stopped_is_warned_of() {
    let home = two_releases();
    let found = findings_at(&home, now() + days(5)).await;
    assert!(
        found.iter().any(|finding| finding.subject == "role timestamp" && finding.level == Level::Warning)
    );
    let found = findings_at(&home, now() + days(8)).await;
    assert!(
        found.iter().any(|finding| finding.subject == "role timestamp" && finding.level == Level::Defect)
    );
}

#[tokio::test]
async fn a_channel_that_points_at_nothing_or_at_what_is_withdrawn_is_found() {
    let home = two_releases();
    let mut channels = home.read().await.unwrap().channels.remove(&package("acme-av")).unwrap();
    channels.channels.insert(channel("early"), version("9.9"));
    channels.withdrawn.push(Withdrawn {
        version: version("1.1"),
        reason: "it hurts".to_owned(),
        platforms: Vec::new(),
    });
    home.sign_anyway(|editor| {
        put(editor, &RoleName::Package(package("acme-av")), "acme-av.channels", &channels)
    });
    let defects = defects(&home).await;
    assert_one(&defects, &["early", "9.9", "not released"]);
    assert_one(&defects, &["stable", "1.1", "it hurts"]);
    // Nor does the publisher itself go on with what is withdrawn.
    let set = |to| home.set_channel("acme-av", "late", to, now());
    assert!(set("1.1").unwrap_err().to_string().contains("it hurts"));
    assert!(home.release("acme-av", "1.1", "two").unwrap_err().to_string().contains("it hurts"));
    set("1.0").unwrap();
}

#[tokio::test]
async fn a_revoked_release_key_makes_its_releases_defects() {
    let home = two_releases();
    let mut trust = home.trust();
    trust.keys.retain(|key| key.key_use == KeyUse::Release);
    trust.keys[0].status = KeyStatus::Revoked;
    trust.keys.push(TrustedKey { package: Some(package("ghost")), ..trust.keys[0].clone() });
    home.publish_trust(&trust);
    let defects = defects(&home).await;
    assert_one(&defects, &["acme-av 1.0", "not accepted"]);
    assert_one(&defects, &["acme-av 1.1", "not accepted"]);
    assert_one(&defects, &["no active release key"]);
    assert_one(&defects, &["no active license key"]);
    let findings = findings_at(&home, now()).await;
    assert!(
        findings.iter().any(|finding| finding.level == Level::Warning && finding.problem.contains("ghost"))
    );
}

#[test]
fn a_license_key_that_sites_would_not_accept_grants_nothing() {
    let home = two_releases();
    assert!(license_key(&home.vendor(), &home.keyring(), || {}).is_ok());
    let mut trust = home.trust();
    let active = trust.keys.iter().find(|key| key.key_use == KeyUse::License).unwrap();
    // Still listed as active too, as after a careless edit.
    trust.keys.push(TrustedKey { status: KeyStatus::Revoked, ..active.clone() });
    home.publish_trust(&trust);
    let refused = license_key(&home.vendor(), &home.keyring(), || {}).unwrap_err();
    let text = format!("{:#}", anyhow::Error::from(refused));
    assert!(text.contains("is revoked") && text.contains("keys.license"), "{text}");
}

#[tokio::test]
async fn a_manifest_of_another_release_under_a_good_signature_is_found() {
    let home = two_releases();
    let key = home.keyring().release(&package("acme-av")).unwrap();
    let manifest = fs::read(home.target_file("acme-av_1.0_any.manifest")).unwrap();
    let manifest: ReleaseManifest = document::read(&manifest).unwrap();
    let signed = SignedDocument::sign(&manifest, &key).unwrap();
    home.sign_anyway(|editor| {
        let role = RoleName::Package(package("acme-av"));
        let parts =
            [("manifest", signed.document.clone()), ("manifest.minisig", signed.minisig.as_str().to_owned())];
        for (suffix, text) in parts {
            let name = TargetName::new(format!("acme-av_2.0_any.{suffix}")).unwrap();
            editor.put_target(&role, &name, TargetSource::Bytes(text.into_bytes())).unwrap();
        }
    });
    let defects = defects(&home).await;
    assert_one(&defects, &["acme-av 2.0", "is of acme-av 1.0"]);
    assert_one(&defects, &["acme-av 2.0", "tar.gz is not listed"]);
}

#[tokio::test]
async fn a_damaged_timestamp_is_told_as_the_owner_has_to_see_it() {
    let home = Home::new();
    home.release("acme-av", "1.0", "one").unwrap();
    fs::write(home.repository().join("metadata/timestamp.json"), "{").unwrap();
    let report = lint(&home.repository(), &home.root(), None, now()).await.unwrap();
    let finding = report.findings.iter().find(|finding| finding.subject == "metadata").unwrap();
    assert!(finding.problem.contains("restore it from the published copy"), "{finding}");
    assert!(!finding.problem.contains("hostile") && !finding.problem.contains("vendor's"), "{finding}");
}
