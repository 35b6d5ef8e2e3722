//! What a plan keeps of signature files for computers that get them later.

use jiff::SignedDuration;
use sealpost_manifests::ids::Platform;
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::word::Word;

use super::super::progress::RolloutState;
use super::super::settings::{SettingChange, SettingKey, SettingKind};
use super::super::strategy::Strategy;
use super::*;
use crate::rules::release::ReleaseState;

fn at(hours: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
}

fn package() -> PackageName {
    PackageName::new("acme-sig").unwrap()
}

/// A superseded revision that was approved at an hour, and its rollout.
fn revision(number: u64, hour: i64, channel: &str) -> (KnownRelease, Rollout) {
    let channels = vec![ChannelName::new(channel).unwrap()];
    let release = KnownRelease {
        release: ReleaseId {
            package: package(),
            version: Version::new(number.to_string()).unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(number.to_string().as_bytes()),
        state: ReleaseState::Superseded,
        counter: ReleaseCounter(number),
        channels: channels.clone(),
        approved_for: channels.clone(),
        rollout: Some(number),
        signer: None,
        reason: None,
        rollback: false,
        attempt: 1,
        kind: PackageKind::Signatures,
        severity: Severity::Normal,
        mandatory: false,
        rolling_out: Vec::new(),
    };
    let strategy = Strategy::everyone_now();
    let rollout = Rollout {
        number,
        release: release.release.clone(),
        manifest: release.manifest,
        counter: release.counter,
        kind: release.kind,
        channels,
        strategy_name: Word::known("everyone-now"),
        emergency: false,
        state: RolloutState::Completed,
        started_at: at(hour),
        changed: None,
        rings: Rollout::waiting_rings(&strategy),
        strategy,
    };
    (release, rollout)
}

fn plan(settings: &[(SettingKind, &str, serde_json::Value)]) -> Plan {
    let mut plan = Plan::default();
    for (kind, name, value) in settings {
        let key = SettingKey { kind: *kind, name: (*name).to_owned() };
        plan.settings.set(&SettingChange { key, value: Some(value.clone()) }).unwrap();
    }
    plan
}

fn delayed(hours: u8) -> Plan {
    let content = serde_json::json!({ "content": { "delayed": hours } });
    plan(&[(SettingKind::Package, "acme-sig", content)])
}

/// Whoever gets what was approved so long ago finds the same in the plan as among all.
#[test]
fn a_plan_has_what_is_due_to_a_computer_with_a_delay_at_any_time() {
    // Approvals at hours that lie closely together and far apart.
    for pattern in 1_u64..64 {
        let hours = (0..160_i64)
            .filter(|hour| (hour.cast_unsigned() * 2_654_435_761 * pattern) >> 28 & 7 < pattern % 8 + 1);
        let all: Vec<_> = (1..).zip(hours).map(|(number, hour)| revision(number, hour, "stable")).collect();
        let Some(newest) = all.last().map(|(_, rollout)| rollout.started_at) else { continue };
        for delay in [1_u8, 24, 72] {
            let term = SignedDuration::from_hours(delay.into());
            let kept = delayed(delay).with_delayed(all.clone());
            let still_told: Vec<u64> = kept.still_told().filter_map(|release| release.rollout).collect();
            for passed in 0..100 {
                let due = newest + SignedDuration::from_hours(passed) - term;
                let of = |rollouts: &mut dyn Iterator<Item = &Rollout>| {
                    rollouts.filter(|rollout| rollout.started_at <= due).map(|rollout| rollout.number).max()
                };
                let wanted = of(&mut all.iter().map(|(_, rollout)| rollout));
                assert_eq!(of(&mut kept.rollouts.iter()), wanted, "{pattern} {delay} {passed}");
                assert!(wanted.is_none_or(|wanted| still_told.contains(&wanted)), "its files are needed");
            }
            let older = kept.rollouts.iter().filter(|rollout| rollout.started_at < newest - term).count();
            assert!(older <= 1, "{pattern} {delay}: {older} of before");
        }
    }
}

#[test]
fn of_what_is_older_one_more_is_kept_for_each_channel() {
    let all = vec![
        revision(1, 0, "stable"),
        revision(2, 1, "beta"),
        revision(3, 2, "stable"),
        revision(4, 3, "beta"),
        revision(5, 90, "stable"),
    ];
    let kept = delayed(24).with_delayed(all.clone());
    assert_eq!(kept.rollouts.iter().map(|rollout| rollout.number).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!(kept.replaced.len(), 3);
    let none = plan(&[]).with_delayed(all);
    assert!(none.rollouts.is_empty() && none.replaced.is_empty(), "nobody waits");
}

#[test]
fn only_packages_that_a_delay_is_set_for_are_taken_up_by_its_length() {
    let of = |package: &str, number, hour| {
        let (mut release, mut rollout) = revision(number, hour, "stable");
        release.release.package = PackageName::new(package).unwrap();
        rollout.release.package = release.release.package.clone();
        (release, rollout)
    };
    let all: Vec<_> = (0..6_u64)
        .flat_map(|at| {
            let hour = 10 * at.cast_signed();
            [of("acme-sig", 2 * at + 1, hour), of("other-sig", 2 * at + 2, hour)]
        })
        .collect();
    let kept = |plan: Plan| {
        let kept = plan.with_delayed(all.clone());
        let of = |package: &str| {
            kept.replaced.iter().filter(|release| release.release.package.as_str() == package).count()
        };
        (of("acme-sig"), of("other-sig"))
    };
    let content = |hours: u8| serde_json::json!({ "content": { "delayed": hours } });
    assert_eq!(kept(delayed(10)), (3, 0));
    let both =
        [(SettingKind::Package, "acme-sig", content(10)), (SettingKind::Package, "other-sig", content(30))];
    assert_eq!(kept(plan(&both)), (3, 5));
    let group = [(SettingKind::Package, "acme-sig", content(10)), (SettingKind::Group, "slow", content(30))];
    assert_eq!(kept(plan(&group)), (5, 5), "the delay of a group is one of every package");
}

#[test]
fn what_is_live_counts_as_the_newest_and_is_not_taken_up_twice() {
    let mut before = delayed(24);
    let (release, mut live) = revision(9, 100, "stable");
    live.state = RolloutState::Running;
    before.rollouts.push(live);
    before.replaced.push(release);
    let kept = before.with_delayed(vec![
        revision(1, 10, "stable"),
        revision(2, 50, "stable"),
        revision(9, 100, "stable"),
    ]);
    assert_eq!(kept.rollouts.iter().map(|rollout| rollout.number).collect::<Vec<_>>(), [2, 9]);
    assert_eq!(kept.replaced.len(), 2);
}

#[test]
fn files_of_a_superseded_release_are_needed_while_it_is_pinned() {
    let pin =
        serde_json::json!({ "of": "everyone", "package": "acme-sig", "version": "2", "why": "it works" });
    let mut plan = plan(&[(SettingKind::Pin, "stay", pin)]);
    plan.replaced = [revision(1, 0, "stable"), revision(2, 1, "stable")].map(|(release, _)| release).to_vec();
    let needed: Vec<String> = plan.still_told().map(|release| release.release.version.to_string()).collect();
    assert_eq!(needed, ["2"]);
}
