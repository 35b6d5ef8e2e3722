use jiff::SignedDuration;
use sealpost_keys::{PublicKey, SealingPublicKey};
use sealpost_manifests::ids::{ChannelName, Platform, SetupId};
use sealpost_manifests::order::{Epoch, Order};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};

use super::*;
use crate::changes::EnrolledBy;
use crate::changes::parts::{Approval, DeliveryOf, StagedRollout};
use crate::changes::summary;
use crate::rules::account::Account;
use crate::rules::release::ReleaseState;
use crate::rules::rollouts::progress::OpenReason;
use crate::rules::rollouts::strategy::Strategy;

fn at(minute: i64) -> Timestamp {
    let begun: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
    begun + SignedDuration::from_mins(minute)
}

fn known(package: &str, counter: u64) -> KnownRelease {
    let stable = ChannelName::new("stable").unwrap();
    KnownRelease {
        release: ReleaseId {
            package: PackageName::new(package).unwrap(),
            version: Version::new(counter.to_string()).unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(format!("{package} {counter}").as_bytes()),
        state: ReleaseState::Approved,
        counter: ReleaseCounter(counter),
        channels: vec![stable.clone()],
        approved_for: vec![stable],
        rollout: None,
        signer: None,
        reason: None,
        rollback: false,
        attempt: 1,
        kind: PackageKind::Program,
        severity: Severity::Normal,
        mandatory: false,
        rolling_out: Vec::new(),
    }
}

fn name(number: u8) -> ComputerName {
    ComputerName::new(format!("pc-{number}")).unwrap()
}

fn client(number: u8) -> ClientId {
    ClientId::from_random([number; 16])
}

/// Two packages, three computers.
fn pasts(package: Option<&str>) -> Pasts {
    let releases = [known("av", 1), known("av", 2), known("tools", 1)];
    let releases = releases.into_iter().map(|known| (known.manifest, known)).collect();
    let members = (0..3).map(|number| (name(number), usize::from(number))).collect();
    let mut pasts = Pasts::new(releases, members, package.map(|name| PackageName::new(name).unwrap()));
    for number in 0..3 {
        pasts.learn(&enrolled(number, client(number), None));
    }
    pasts
}

fn enrolled(number: u8, client_id: ClientId, replaces: Option<ClientId>) -> Change {
    Change::ClientEnrolled {
        client_id,
        name: name(number),
        client_key: PublicKey::new(sealpost_keys::KeyId::from_bytes([2; 8]), [2; 32]),
        sealing_key: SealingPublicKey::from_bytes([3; 32]),
        platform: Platform::any(),
        agent_version: "1.0".to_owned(),
        setup: SetupId::from_random([1; 16]),
        replaces,
        last_contact: None,
        by: EnrolledBy::Code,
    }
}

fn entry(minute: i64, actor: Actor, change: Change) -> ActivityEntry {
    ActivityEntry { version: 2, sequence: 1, at: at(minute), actor, change }
}

fn approved(rollout: u64, known: &KnownRelease, superseded: Vec<Sha256Digest>) -> Change {
    let plan = Strategy::normal();
    Change::ReleaseApproved {
        release: known.release.clone(),
        manifest: known.manifest,
        approval: Approval {
            channels: known.channels.clone(),
            approvals: Vec::new(),
            comment: String::new(),
        },
        rollout,
        staged: Some(StagedRollout {
            strategy: Word::known("normal"),
            plan,
            channels: known.channels.clone(),
            emergency: false,
            complete: false,
        }),
        supersession: Supersession { superseded, restored: Vec::new() },
    }
}

fn opened(rollout: u64, known: &KnownRelease, ring: u32) -> Change {
    Change::RingOpened {
        rollout,
        release: known.release.clone(),
        ring,
        name: Word::known("canary"),
        below: None,
        reason: OpenReason::First,
        comment: String::new(),
    }
}

fn step(rollout: u64, package: &str, before: Option<DeliveryState>, after: DeliveryState) -> DeliveryStep {
    DeliveryStep {
        rollout,
        package: PackageName::new(package).unwrap(),
        ring: 0,
        before,
        after,
        attempt: 1,
        silence_secs: (after == DeliveryState::Told).then_some(8 * 3600),
        waits_since: None,
    }
}

fn told(client_id: ClientId, step: DeliveryStep) -> Change {
    Change::AssignmentChanged {
        client_id,
        order: Order { epoch: Epoch(0), sequence: 1 },
        expires_at: at(1),
        metadata_as_of: at(0),
        packages: Vec::new(),
        deliveries: vec![step],
    }
}

fn halted(known: &KnownRelease) -> Change {
    Change::ReleaseHalted {
        release: known.release.clone(),
        manifest: known.manifest,
        reason: "it breaks".to_owned(),
        rollback: false,
        withdrawn: false,
        aborted: false,
        supersession: Supersession::default(),
    }
}

fn server(minute: i64, change: Change) -> ActivityEntry {
    entry(minute, Actor::Server, change)
}

#[test]
fn every_kind_that_is_asked_for_is_one_of_the_log_and_is_taken() {
    for kind in IDENTITIES.iter().chain(&TELLING) {
        assert!(summary::KINDS.contains(kind), "{kind}");
    }
}

#[test]
fn a_rollout_is_told_with_its_rings_its_computers_and_its_end() {
    let (mut pasts, release) = (pasts(None), known("av", 1));
    pasts.take(&server(0, approved(1, &release, Vec::new())));
    pasts.take(&server(1, opened(1, &release, 0)));
    pasts.take(&server(3, told(client(1), step(1, "av", None, DeliveryState::Told))));
    let failed = step(1, "av", Some(DeliveryState::Told), DeliveryState::Silent);
    let computers = vec![DeliveryOf { client_id: client(1), name: name(1), step: failed }];
    pasts.take(&server(9, Change::DeliveriesChanged { rollout: 1, computers }));
    pasts.take(&server(10, halted(&release)));
    let [past] = <[Past; 1]>::try_from(pasts.end()).unwrap();
    assert_eq!((past.number, past.started_at, past.rings[&0].at), (1, at(0), at(1)));
    assert_eq!(past.ended, Some(Ended::Halted { at: at(10) }));
    let course = past.course();
    assert_eq!((course.told, course.failed, course.had_it), (1, 1, 0));
    assert!(!past.cut);
}

#[test]
fn a_halt_of_a_person_is_another_end_and_a_resume_takes_it_back() {
    let (mut pasts, release) = (pasts(None), known("av", 1));
    let admin = || Actor::Admin { account: Account::socket("anna") };
    pasts.take(&server(0, approved(1, &release, Vec::new())));
    pasts.take(&entry(5, admin(), halted(&release)));
    assert_eq!(pasts.open[&1].ended, Some(Ended::Stopped { at: at(5) }));
    let resumed = Change::RolloutResumed {
        rollout: 1,
        release: release.release.clone(),
        manifest: release.manifest,
        forgiven: Vec::new(),
        attempt: None,
        comment: "a mistake".to_owned(),
        supersession: Supersession::default(),
    };
    pasts.take(&entry(6, admin(), resumed));
    assert_eq!(pasts.end()[0].ended, None);
}

#[test]
fn a_rollout_is_given_out_when_a_newer_release_takes_its_place() {
    let (mut pasts, old, new) = (pasts(None), known("av", 1), known("av", 2));
    pasts.take(&server(0, approved(1, &old, Vec::new())));
    pasts.take(&server(4, approved(2, &new, vec![old.manifest])));
    let [first] = <[Past; 1]>::try_from(pasts.finished()).unwrap();
    assert_eq!((first.number, first.ended), (1, Some(Ended::TakenOver { at: at(4) })));
    assert!(pasts.finished().is_empty());
    assert_eq!(pasts.end().len(), 1);
}

#[test]
fn a_computer_that_was_reinstalled_is_the_same_computer() {
    let (mut pasts, release) = (pasts(None), known("av", 1));
    pasts.learn(&enrolled(1, client(9), Some(client(8))));
    pasts.take(&server(0, approved(1, &release, Vec::new())));
    pasts.take(&server(1, told(client(8), step(1, "av", None, DeliveryState::Told))));
    pasts.take(&server(2, told(client(77), step(1, "av", None, DeliveryState::Told))));
    let past = pasts.end().remove(0);
    assert_eq!(past.told.keys().collect::<Vec<_>>(), [&1], "a stranger is left out");
}

#[test]
fn only_the_wanted_package_is_collected() {
    let (mut pasts, av, tools) = (pasts(Some("tools")), known("av", 1), known("tools", 1));
    pasts.take(&server(0, approved(1, &av, Vec::new())));
    pasts.take(&server(0, approved(2, &tools, Vec::new())));
    let numbers: Vec<u64> = pasts.end().iter().map(|past| past.number).collect();
    assert_eq!(numbers, [2]);
}

#[test]
fn past_the_bound_of_memory_the_oldest_rollout_is_given_out_and_says_so() {
    let (mut pasts, av, tools) = (pasts(None), known("av", 1), known("tools", 1));
    pasts.most = 3;
    pasts.take(&server(0, approved(1, &av, Vec::new())));
    pasts.take(&server(0, approved(2, &tools, Vec::new())));
    for number in 0..2 {
        pasts.take(&server(1, told(client(number), step(1, "av", None, DeliveryState::Told))));
        pasts.take(&server(1, told(client(number), step(2, "tools", None, DeliveryState::Told))));
    }
    let [oldest] = <[Past; 1]>::try_from(pasts.finished()).unwrap();
    assert!(oldest.cut && oldest.number == 1 && oldest.told.len() == 2);
    // What the log says of it later changes nothing, and the other one goes on.
    pasts.take(&server(2, told(client(2), step(1, "av", None, DeliveryState::Told))));
    pasts.take(&server(2, told(client(2), step(2, "tools", None, DeliveryState::Told))));
    let rest = pasts.end();
    assert_eq!((rest.len(), rest[0].number, rest[0].told.len(), rest[0].cut), (1, 2, 3, false));
}
