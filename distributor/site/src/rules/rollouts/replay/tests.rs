use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, ComputerName, PackageName, Platform};
use sealpost_manifests::release::{PackageKind, ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::word::Word;

use super::outcome::Ended;
use super::past::{MAX_STEPS, Member, OpenedRing, Past, ToldThen};
use super::simulation::{Simulated, Under, simulate};
use crate::rules::assignment::Licensed;
use crate::rules::release::{KnownRelease, ReleaseState};
use crate::rules::rollouts::groups::GroupName;
use crate::rules::rollouts::progress::DeliveryState;
use crate::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind, Settings};
use crate::rules::rollouts::strategy::Strategy;

const HOUR: i64 = 60;

/// So many minutes after the approval.
fn at(minute: i64) -> Timestamp {
    let approved: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
    approved + SignedDuration::from_mins(minute)
}

fn minutes(duration: Option<SignedDuration>) -> i64 {
    duration.unwrap().as_mins()
}

fn stable() -> ChannelName {
    ChannelName::new("stable").unwrap()
}

fn release(kind: PackageKind) -> KnownRelease {
    KnownRelease {
        release: ReleaseId {
            package: PackageName::new("av").unwrap(),
            version: Version::new("2").unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(b"2"),
        state: ReleaseState::Approved,
        counter: ReleaseCounter(2),
        channels: vec![stable()],
        approved_for: vec![stable()],
        rollout: Some(7),
        signer: None,
        reason: None,
        rollback: false,
        attempt: 1,
        kind,
        severity: Severity::Normal,
        mandatory: false,
        rolling_out: Vec::new(),
    }
}

/// So many computers, whose places are spread evenly in the order of their numbers.
fn fleet(count: usize) -> Vec<Member> {
    let member = |number: usize| Member {
        name: ComputerName::new(format!("pc-{number:04}")).unwrap(),
        position: (u64::MAX / count as u64) * number as u64 + u64::MAX / count as u64 / 2,
        groups: BTreeSet::new(),
        channel: stable(),
        platform: Platform::new("linux-x86_64").unwrap(),
        licensed: Licensed::Everything,
    };
    (0..count).map(member).collect()
}

/// A rollout by the strategy `normal`: each computer was told 10 minutes after its ring opened, and had it 5 minutes later.
fn past(count: usize) -> Past {
    let ring = |name, minute| OpenedRing { name: Word::known(name), at: at(minute) };
    let rings = BTreeMap::from([
        (0, ring("canary", 0)),
        (1, ring("early", HOUR + 15)),
        (2, ring("everyone", 5 * HOUR + 30)),
    ]);
    let told = (0..count).map(|number| {
        let (ring, opened) = match number {
            0 => (0, 0),
            number if number * 10 < count => (1, HOUR + 15),
            _ => (2, 5 * HOUR + 30),
        };
        let mut told = ToldThen::new(ring, at(opened + 10), Some(8 * 3600));
        told.step(at(opened + 12), DeliveryState::Begun);
        told.step(at(opened + 15), DeliveryState::Succeeded);
        (number, told)
    });
    Past {
        number: 7,
        release: release(PackageKind::Program),
        channels: vec![stable()],
        strategy: Some(Word::known("normal")),
        emergency: false,
        started_at: at(0),
        told: told.collect(),
        rings,
        ended: Some(Ended::Completed { at: at(30 * HOUR) }),
        cut: false,
    }
}

/// The same release, which the canary could not install: it halted by itself.
fn halted(fleet: usize) -> Past {
    let mut past = past(fleet);
    past.rings.retain(|ring, _| *ring == 0);
    past.told.retain(|number, _| *number == 0);
    let mut canary = ToldThen::new(0, at(10), Some(8 * 3600));
    canary.step(at(12), DeliveryState::Begun);
    canary.step(at(15), DeliveryState::Failed);
    past.told.insert(0, canary);
    past.ended = Some(Ended::Halted { at: at(15) });
    past
}

fn under_settings(past: &Past, strategy: &Strategy, members: &[Member], settings: &Settings) -> Simulated {
    let name = Word::known("other");
    simulate(past, &Under { name, strategy, settings, members, until: at(90 * 24 * HOUR) })
}

fn under(past: &Past, strategy: &Strategy, members: &[Member]) -> Simulated {
    under_settings(past, strategy, members, &Settings::default())
}

fn opened(simulated: &Simulated) -> Vec<Option<i64>> {
    let minute = |at: Timestamp| at.duration_since(self::at(0)).as_mins();
    simulated.course.rings.iter().map(|ring| ring.opened_at.map(minute)).collect()
}

#[test]
fn what_happened_is_measured_from_the_approval() {
    let course = past(100).course();
    let told: Vec<u64> = course.rings.iter().map(|ring| ring.told).collect();
    assert_eq!(told, [1, 9, 90]);
    assert_eq!((course.told, course.had_it, course.failed), (100, 100, 0));
    assert_eq!((minutes(course.p50), minutes(course.last)), (345, 345));
    assert!(!course.was_halted());
}

#[test]
fn the_same_strategy_gives_what_happened_when_the_server_ran_all_the_time() {
    let simulated = under(&past(100), &Strategy::normal(), &fleet(100));
    // The canary soaks for an hour, the second ring for four, each from its first install on.
    assert_eq!(opened(&simulated), [Some(0), Some(HOUR + 15), Some(5 * HOUR + 30)]);
    let told: Vec<u64> = simulated.course.rings.iter().map(|ring| ring.told).collect();
    assert_eq!(told, [1, 9, 90]);
    assert_eq!(simulated.course.ended, Ended::Completed { at: at(29 * HOUR + 45) });
    assert_eq!(minutes(simulated.course.last), 5 * HOUR + 45);
    assert_eq!(simulated.unreached, 0);
}

#[test]
fn a_careful_strategy_is_slower_and_one_for_everybody_at_once_is_faster() {
    let (past, members) = (past(100), fleet(100));
    let careful = under(&past, &Strategy::careful(), &members);
    assert_eq!(opened(&careful), [Some(0), Some(24 * HOUR + 15), Some(48 * HOUR + 30), Some(96 * HOUR + 45)]);
    assert_eq!(minutes(careful.course.last), 97 * HOUR);
    let at_once = under(&past, &Strategy::everyone_now(), &members);
    assert_eq!((opened(&at_once), minutes(at_once.course.last)), (vec![Some(0)], 15));
    assert_eq!(at_once.course.ended, Ended::Completed { at: at(0) });
}

#[test]
fn a_release_that_halted_at_its_canary_would_have_met_everybody_at_once() {
    let (past, members) = (halted(100), fleet(100));
    let then = past.course();
    assert!(then.was_halted());
    assert_eq!((then.told, then.failed), (1, 1));
    let again = under(&past, &Strategy::normal(), &members);
    assert_eq!((again.course.told, again.course.failed), (1, 1));
    assert_eq!(again.course.ended, Ended::Halted { at: at(15) });
    let at_once = under(&past, &Strategy::everyone_now(), &members);
    assert_eq!(at_once.unreached, 99);
    assert_eq!((at_once.course.told, at_once.course.failed, at_once.course.had_it), (100, 100, 0));
}

#[test]
fn of_those_that_were_never_reached_as_large_a_share_fails_as_of_the_others() {
    let mut past = halted(1000);
    for number in 1..4 {
        let mut told = ToldThen::new(0, at(10), None);
        told.step(at(15), DeliveryState::Succeeded);
        past.told.insert(number, told);
    }
    let at_once = under(&past, &Strategy::everyone_now(), &fleet(1000));
    assert_eq!((at_once.course.told, at_once.course.failed), (1000, 250));
    // Ten failures halt this one; until then 40 at the most were told in one hour.
    let capped = r#"{ "rings": [{ "name": "everyone", "takes": "everyone", "soak_minutes": 60,
        "errors": { "count": 10, "percent": 5 }, "per_hour": 40 }] }"#;
    let capped: Strategy = serde_json::from_str(capped).unwrap();
    let slow = under(&past, &capped, &fleet(1000));
    assert!(slow.course.was_halted(), "{:?}", slow.course);
    assert!(slow.course.told <= 80 && slow.course.failed >= 10, "{:?}", slow.course);
}

#[test]
fn caps_hold_in_the_simulation_too() {
    let members = fleet(200);
    let capped = |cap: &str| -> Strategy {
        let text = format!(
            r#"{{ "rings": [{{ "name": "everyone", "takes": "everyone", "soak_minutes": 1, {cap} }}] }}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let by_hour = under(&past(200), &capped(r#""per_hour": 10"#), &members);
    assert_eq!(by_hour.course.had_it, 200);
    // 20 hours for 200 computers; they come 10 minutes after an hour began.
    assert!((19 * HOUR..=21 * HOUR).contains(&minutes(by_hour.course.last)), "{:?}", by_hour.course);
    let at_one_time = under(&past(200), &capped(r#""concurrent": 5"#), &members);
    assert_eq!(at_one_time.course.had_it, 200);
    // Each takes 5 minutes, and the next one comes 10 minutes later.
    let last = minutes(at_one_time.course.last);
    assert!((40 * 15 - 10..=40 * 15 + 10).contains(&last), "{last}");
    assert!(matches!(at_one_time.course.ended, Ended::Completed { .. }), "{:?}", at_one_time.course);
}

#[test]
fn a_computer_that_was_away_comes_when_it_came_back() {
    let (mut past, members) = (past(10), fleet(10));
    let mut away = ToldThen::new(2, at(3 * 24 * HOUR), Some(8 * 3600));
    away.step(at(3 * 24 * HOUR + 5), DeliveryState::Succeeded);
    past.told.insert(9, away);
    let at_once = under(&past, &Strategy::everyone_now(), &members);
    // Before its ring opened then nothing is known of it: it comes within its usual pause.
    assert_eq!(minutes(at_once.course.last), 4 * HOUR + 5);
    let day: Strategy = serde_json::from_str(
        r#"{ "rings": [{ "name": "canary", "takes": { "first": 1 }, "soak_minutes": 1440 },
                       { "name": "everyone", "takes": "everyone" }] }"#,
    )
    .unwrap();
    let slower = under(&past, &day, &members);
    assert_eq!(minutes(slower.course.last), 3 * 24 * HOUR + 5);
}

#[test]
fn a_person_who_stopped_it_stops_it_in_the_simulation_at_the_same_time() {
    let (mut past, members) = (past(100), fleet(100));
    past.ended = Some(Ended::Stopped { at: at(2 * HOUR) });
    past.told.retain(|number, _| *number < 10);
    let careful = under(&past, &Strategy::careful(), &members);
    assert_eq!((careful.course.told, careful.course.ended), (1, Ended::Stopped { at: at(2 * HOUR) }));
    let at_once = under(&past, &Strategy::everyone_now(), &members);
    assert_eq!((at_once.course.told, at_once.course.had_it, at_once.unreached), (100, 100, 90));
    assert!(at_once.course.was_halted());
}

#[test]
fn a_newer_release_takes_over_at_the_same_time() {
    let (mut past, members) = (past(100), fleet(100));
    past.ended = Some(Ended::TakenOver { at: at(20 * HOUR) });
    let careful = under(&past, &Strategy::careful(), &members);
    assert_eq!((careful.course.told, careful.unreached), (1, 0));
    assert_eq!(careful.course.ended, Ended::TakenOver { at: at(20 * HOUR) });
}

#[test]
fn what_has_not_ended_at_the_end_of_the_history_says_what_it_waits_for() {
    let (past, members) = (past(100), fleet(100));
    let strategy = Strategy::careful();
    let settings = Settings::default();
    let until = at(26 * HOUR);
    let name = Word::known("careful");
    let simulated =
        simulate(&past, &Under { name, strategy: &strategy, settings: &settings, members: &members, until });
    assert_eq!(simulated.course.ended, Ended::Open);
    assert!(simulated.waits_for.is_some(), "{simulated:?}");
    assert_eq!(opened(&simulated), [Some(0), Some(24 * HOUR + 15), None, None]);
}

#[test]
fn a_ring_takes_the_computers_of_a_group_as_it_is_today() {
    let (past, mut members) = (past(10), fleet(10));
    let pilots = GroupName::new("pilots").unwrap();
    for member in members.iter_mut().skip(7) {
        member.groups.insert(pilots.clone());
    }
    let strategy: Strategy = serde_json::from_str(
        r#"{ "rings": [{ "name": "pilots", "takes": { "group": "pilots" }, "soak_minutes": 60, "minimum_sample": 3 },
                       { "name": "everyone", "takes": "everyone" }] }"#,
    )
    .unwrap();
    let simulated = under(&past, &strategy, &members);
    let told: Vec<u64> = simulated.course.rings.iter().map(|ring| ring.told).collect();
    assert_eq!(told, [3, 7]);
}

#[test]
fn signature_files_that_a_group_gets_later_come_later_and_paused_ones_never() {
    let (mut past, mut members) = (past(10), fleet(10));
    past.release = release(PackageKind::Signatures);
    let mut settings = Settings::default();
    for (name, content) in
        [("slow", serde_json::json!({ "delayed": 6 })), ("none", serde_json::json!("paused"))]
    {
        let key = SettingKey { kind: SettingKind::Group, name: name.to_owned() };
        let value = Some(serde_json::json!({ "content": content }));
        settings.set(&SettingChange { key, value }).unwrap();
    }
    members[8].groups.insert(GroupName::new("slow").unwrap());
    members[9].groups.insert(GroupName::new("none").unwrap());
    let simulated = under_settings(&past, &Strategy::signatures(), &members, &settings);
    assert_eq!(simulated.course.had_it, 9);
    // Told 10 minutes after its ring opened then, which was before its delay was over: it comes at once after that.
    assert_eq!(minutes(simulated.course.last), 6 * HOUR + 5);
    assert!(matches!(simulated.course.ended, Ended::Completed { .. }), "{:?}", simulated.course);
}

#[test]
fn a_computer_keeps_few_steps_and_repeats_none() {
    let mut told = ToldThen::new(0, at(0), None);
    for minute in 0..100 {
        told.step(at(minute), DeliveryState::Begun);
    }
    assert_eq!(told.steps().count(), 1);
    for minute in 0..100 {
        told.step(at(minute), if minute % 2 == 0 { DeliveryState::Told } else { DeliveryState::Failed });
    }
    assert_eq!(told.steps().count(), MAX_STEPS);
}
