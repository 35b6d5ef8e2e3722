//! The changes of the golden log that came with rollouts.

use sealpost_manifests::assignment::PackageAssignment;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::release::ReleaseId;
use sealpost_site::changes::{Actor, Change, DeliveryOf, DeliveryStep, ReleaseTest, StagedRollout};
use sealpost_site::rules::release::Supersession;
use sealpost_site::rules::reports::ReportEffect;
use sealpost_site::rules::rollouts::groups::GroupName;
use sealpost_site::rules::rollouts::progress::{DeliveryState, OpenReason};
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind};
use sealpost_site::rules::rollouts::strategy::{
    ErrorThreshold, OnFailure, Ring, Strategy, Takes, everyone_now,
};
use sealpost_site::rules::test_load::TestOutcome;
use sealpost_test_support::world::{World, admin, channel, computer_name};

use super::values::{approved, client, manifest, of, order, release, rollout_fields, staged, word};

/// A strategy with every field, and a ring of each kind.
fn strategy() -> Strategy {
    let ring = |name: &str, takes| Ring {
        name: word(name),
        takes,
        soak_minutes: 90,
        minimum_sample: 2,
        success_percent: 95,
        errors: ErrorThreshold { count: 2, percent: 5 },
        concurrent: Some(10),
        per_hour: Some(50),
    };
    let rings = vec![
        ring("canary", Takes::First(1)),
        ring("pilots", Takes::Group(GroupName::new("pilots").unwrap())),
        ring("early", Takes::percent(10)),
        ring("everyone", Takes::Everyone),
    ];
    Strategy::new(rings, OnFailure::RollBack, Some(72)).unwrap()
}

/// A setting of each kind, and one that is removed.
fn settings() -> Vec<SettingChange> {
    let set = |kind, name: &str, json: &str| SettingChange {
        key: SettingKey { kind, name: name.to_owned() },
        value: Some(serde_json::from_str(json).unwrap()),
    };
    let rule = r#"{"channels":["stable"],"platforms":["linux-x86_64"],"names":["pc-*"],"tags":["laptop"],
        "runs":[{"package":"acme-av","versions":["70.0"]}]}"#;
    let group = format!(
        r#"{{"description":"who tries it first","rule":{rule},"delivery":"manual","content":"early","rank":3}}"#
    );
    let window = r#"{"days":["monday","saturday"],"from":"22:30","length_minutes":240,"zone":"Europe/Berlin",
        "download_ahead_hours":12,"missed":{"at_once_after":2}}"#;
    let strategy = serde_json::to_string(&strategy()).unwrap();
    let removed = SettingKey { kind: SettingKind::Pin, name: "old".to_owned() };
    vec![
        set(SettingKind::Group, "pilots", &group),
        set(SettingKind::Window, "night", window),
        set(SettingKind::Strategy, "slow", &strategy),
        set(SettingKind::Property, "delivery", r#""window:night""#),
        set(SettingKind::Package, "acme-sigs", r#"{"strategy":"slow","content":{"delayed":24}}"#),
        set(
            SettingKind::Block,
            "hall-3",
            r#"{"of":{"group":"pilots"},"package":"acme-cad","version":"2.0","why":"its driver"}"#,
        ),
        set(
            SettingKind::Pin,
            "lab",
            r#"{"of":{"computer":"pc-2"},"package":"acme-av","version":"2.0","why":"an audit runs"}"#,
        ),
        SettingChange { key: removed, value: None },
    ]
}

fn step(before: Option<DeliveryState>, after: DeliveryState) -> DeliveryStep {
    DeliveryStep {
        rollout: 71,
        package: release(71).package,
        ring: 0,
        before,
        after,
        attempt: 2,
        silence_secs: (after == DeliveryState::Told).then_some(28_800),
        waits_since: None,
    }
}

fn goes_out(counter: u64, staged: StagedRollout) -> (Actor, Change) {
    let mut change = approved(counter, Supersession::default());
    if let Change::ReleaseApproved { staged: how, .. } = &mut change {
        *how = Some(staged);
    }
    (admin(), change)
}

/// Kinds and fields that came with rollouts.
pub(super) fn rollout_changes(world: &World) -> Vec<(Actor, Change)> {
    use DeliveryState::{Begun, Dropped, Silent, Succeeded, Told};
    let (name, ill) = (computer_name("pc-1"), "it is slow; \"ticket\" 4711 ü".to_owned());
    let mut fields = rollout_fields(world);
    let report = fields.iter().find_map(|(_, change)| match change {
        Change::StepReported { report, .. } => Some(report.clone()),
        _ => None,
    });
    let mut report = report.unwrap();
    (report.id, report.release, report.manifest, report.rollout) = (9, release(71), manifest(71), 71);
    let assigned = |sequence, deliveries| {
        let change = Change::AssignmentChanged {
            client_id: client(3),
            order: order(sequence),
            expires_at: world.at(40),
            metadata_as_of: world.at(0),
            packages: vec![PackageAssignment::install(release(71), manifest(71), 71, 2)],
            deliveries,
        };
        (of(&name, 3), change)
    };
    let mandatory = |counter| {
        let mut change = staged(counter);
        if let Change::ReleaseStaged { mandatory, .. } = &mut change {
            *mandatory = true;
        }
        (Actor::Server, change)
    };
    let opened = |ring: u32, ring_name: &str, comment: &str| Change::RingOpened {
        rollout: 71,
        release: release(71),
        ring,
        name: word(ring_name),
        below: (ring == 0).then(|| "00ff00ff00ff00ff".parse().unwrap()),
        reason: if comment.is_empty() { OpenReason::First } else { OpenReason::Asked },
        comment: comment.to_owned(),
    };
    let supersession = Supersession { superseded: vec![manifest(1)], restored: vec![manifest(2)] };
    let rolled_out = || -> ReleaseId { release(71) };
    fields.extend([
        (admin(), Change::SettingsChanged { changes: settings(), comment: ill.clone() }),
        (
            admin(),
            Change::GroupMembersChanged {
                group: GroupName::new("pilots").unwrap(),
                added: vec![name.clone(), computer_name("pc-7")],
                removed: vec![computer_name("pc-9")],
                comment: String::new(),
            },
        ),
        mandatory(71),
        mandatory(72),
        (Actor::Server, staged(73)),
        goes_out(
            71,
            StagedRollout {
                strategy: word("slow"),
                plan: strategy(),
                channels: vec![channel("beta"), channel("stable")],
                emergency: true,
                complete: false,
            },
        ),
        (Actor::Server, opened(0, "canary", "")),
        assigned(20, vec![step(None, Told)]),
        (
            of(&name, 3),
            Change::StepReported {
                client_id: client(3),
                report,
                effect: ReportEffect::Progress,
                delivery: Some(step(Some(Told), Begun)),
            },
        ),
        assigned(21, vec![step(Some(Begun), Dropped)]),
        assigned(22, vec![step(Some(Dropped), Told)]),
        (
            Actor::Server,
            Change::DeliveriesChanged {
                rollout: 71,
                computers: vec![DeliveryOf {
                    client_id: client(3),
                    name: name.clone(),
                    step: step(Some(Told), Silent),
                }],
            },
        ),
        (admin(), Change::RolloutPaused { rollout: 71, release: rolled_out(), comment: ill.clone() }),
        (
            admin(),
            Change::RolloutResumed {
                rollout: 71,
                release: rolled_out(),
                manifest: manifest(71),
                forgiven: vec![1, 0, 0, 0],
                attempt: None,
                comment: ill.clone(),
                supersession: supersession.clone(),
            },
        ),
        (
            admin(),
            Change::RolloutEdited {
                rollout: 71,
                release: rolled_out(),
                strategy: word("slow"),
                plan: strategy(),
                emergency: true,
                comment: ill.clone(),
            },
        ),
        (admin(), opened(1, "pilots", &ill)),
        (
            of(&name, 3),
            Change::DeliveriesChanged {
                rollout: 71,
                computers: vec![DeliveryOf {
                    client_id: client(3),
                    name: name.clone(),
                    step: step(Some(Silent), Succeeded),
                }],
            },
        ),
        (
            Actor::Server,
            Change::RolloutCompleted {
                rollout: 71,
                release: rolled_out(),
                manifest: manifest(71),
                supersession,
            },
        ),
        goes_out(
            72,
            StagedRollout {
                strategy: everyone_now(),
                plan: Strategy::everyone_now(),
                channels: vec![channel("stable")],
                emergency: false,
                complete: true,
            },
        ),
        (
            admin(),
            Change::ReleaseHalted {
                release: release(72),
                manifest: manifest(72),
                reason: ill,
                rollback: false,
                withdrawn: false,
                aborted: true,
                supersession: Supersession::default(),
            },
        ),
        (
            Actor::Server,
            Change::ReleaseMandatoryChanged {
                release: release(72),
                manifest: manifest(72),
                mandatory: false,
            },
        ),
        goes_out(
            73,
            StagedRollout {
                strategy: word("slow"),
                plan: strategy(),
                channels: vec![channel("stable")],
                emergency: false,
                complete: false,
            },
        ),
    ]);
    fields
}

/// A rollout that goes on after its computers were told to go back.
pub(super) fn resumed_changes() -> Vec<(Actor, Change)> {
    let resumed = Change::RolloutResumed {
        rollout: 71,
        release: release(71),
        manifest: manifest(71),
        forgiven: vec![0, 0, 2, 0],
        attempt: Some(3),
        comment: "the cause is gone".to_owned(),
        supersession: Supersession { superseded: vec![manifest(70)], restored: vec![manifest(72)] },
    };
    let completed = Change::RolloutCompleted {
        rollout: 71,
        release: release(71),
        manifest: manifest(71),
        supersession: Supersession { superseded: vec![manifest(70)], restored: Vec::new() },
    };
    vec![(admin(), resumed), (Actor::Server, completed)]
}

/// A test-load that failed, and an admin's word in its place.
pub(super) fn tested_changes() -> Vec<(Actor, Change)> {
    let test = |outcome, detail: &str| {
        let (release, manifest, detail) = (release(73), manifest(73), detail.to_owned());
        let program = (outcome != TestOutcome::Overridden).then(|| Sha256Digest::of(b"a program"));
        Change::ReleaseTestLoaded(ReleaseTest { release, manifest, program, outcome, detail })
    };
    vec![
        (Actor::Server, test(TestOutcome::NotRun, "the program can be changed by others")),
        (Actor::Server, test(TestOutcome::Failed, "ended with exit status: 1; it printed: bad set")),
        (Actor::Server, test(TestOutcome::TimedOut, "was killed after 120 s")),
        (admin(), test(TestOutcome::Overridden, "the scanner there is too old")),
        (Actor::Server, test(TestOutcome::Passed, "")),
    ]
}

/// What an admin says of a decision that is taken back, and of a group's list.
pub(super) fn commented_changes() -> Vec<(Actor, Change)> {
    let reconsidered = Change::ReleaseReconsidered {
        release: release(76),
        manifest: manifest(76),
        attempt: 2,
        comment: "the vendor explained it; \"ticket\" 4711 ü".to_owned(),
    };
    let listed = Change::GroupMembersChanged {
        group: GroupName::new("pilots").unwrap(),
        added: vec![computer_name("pc-1")],
        removed: Vec::new(),
        comment: "moved to the laboratory".to_owned(),
    };
    vec![(admin(), reconsidered), (admin(), listed)]
}
