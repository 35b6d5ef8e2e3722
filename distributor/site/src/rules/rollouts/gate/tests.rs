//! Who gets a release, who does not, and which reason goes first.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ChannelName, ComputerName, PackageName, Platform};
use sealpost_manifests::release::{ReleaseId, Severity};
use sealpost_manifests::version::{ReleaseCounter, Version};

use super::super::delivery::ContentSetBy;
use super::super::groups::GroupName;
use super::super::progress::RingCounts;
use super::super::settings::{SettingChange, SettingKey, SettingKind};
use super::super::strategy::{ErrorThreshold, OnFailure, Ring, Strategy};
use super::*;
use crate::rules::release::ReleaseState;

/// 10:20 of a day.
const NOW: Timestamp = Timestamp::constant(36_000 + 1_200, 0);
const HOUR: i64 = 10;

/// One release that rolls out in three rings of which the first two are open, and one computer.
struct Case {
    plan: Plan,
    counts: LiveCounts,
    position: u64,
    groups: BTreeSet<GroupName>,
    deliveries: Vec<Delivery>,
    attempts: BTreeMap<Sha256Digest, u32>,
    runs: bool,
}

fn case(kind: PackageKind) -> Case {
    let ring = |name: &'static str, takes| Ring {
        name: Word::known(name),
        takes,
        soak_minutes: 10,
        minimum_sample: 1,
        success_percent: 90,
        errors: ErrorThreshold { count: 1, percent: 5 },
        concurrent: None,
        per_hour: None,
    };
    let rings = vec![
        ring("canary", Takes::First(1)),
        ring("pilot", Takes::Group(group("pilot"))),
        ring("everyone", Takes::Everyone),
    ];
    let strategy = Strategy::new(rings, OnFailure::Halt, None).unwrap();
    let mut rings = Rollout::waiting_rings(&strategy);
    for ring in rings.iter_mut().take(2) {
        ring.state = RingState::Open { at: Timestamp::UNIX_EPOCH };
    }
    rings[0].below = Some(share::Threshold::first(std::num::NonZeroUsize::MIN, vec![100]).unwrap());
    let rollout = Rollout {
        number: 7,
        release: release().release,
        manifest: release().manifest,
        counter: ReleaseCounter(2),
        kind,
        channels: vec![stable()],
        strategy_name: Word::known("own"),
        strategy,
        emergency: false,
        state: RolloutState::Running,
        started_at: Timestamp::UNIX_EPOCH,
        changed: None,
        rings,
    };
    Case {
        plan: Plan { rollouts: vec![rollout], ..Plan::default() },
        counts: BTreeMap::new(),
        position: 500,
        groups: BTreeSet::from([group("pilot")]),
        deliveries: Vec::new(),
        attempts: BTreeMap::new(),
        runs: false,
    }
}

fn stable() -> ChannelName {
    ChannelName::new("stable").unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

fn release() -> KnownRelease {
    KnownRelease {
        release: ReleaseId {
            package: PackageName::new("av").unwrap(),
            version: Version::new("2").unwrap(),
            platform: Platform::any(),
        },
        manifest: Sha256Digest::of(b"two"),
        state: ReleaseState::Approved,
        counter: ReleaseCounter(2),
        channels: vec![stable()],
        approved_for: vec![stable()],
        rollout: Some(7),
        signer: None,
        reason: None,
        rollback: false,
        attempt: 1,
        kind: PackageKind::Program,
        severity: Severity::Normal,
        mandatory: false,
        rolling_out: vec![stable()],
    }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn rollout(&mut self) -> &mut Rollout {
        &mut self.plan.rollouts[0]
    }

    fn set(&mut self, kind: SettingKind, name: &str, value: serde_json::Value) {
        let key = SettingKey { kind, name: name.to_owned() };
        self.plan.settings.set(&SettingChange { key, value: Some(value) }).unwrap();
    }

    fn capped(&mut self, concurrent: Option<u32>, per_hour: Option<u32>, counts: RingCounts) {
        let rollout = self.rollout();
        let mut rings = rollout.strategy.rings().to_vec();
        (rings[1].concurrent, rings[1].per_hour) = (concurrent, per_hour);
        rollout.strategy = Strategy::new(rings, OnFailure::Halt, None).unwrap();
        self.counts.insert((7, 1), counts);
    }

    fn told(&mut self, state: DeliveryState, ring: u32) {
        self.deliveries.push(Delivery {
            rollout: 7,
            package: release().release.package,
            manifest: release().manifest,
            ring,
            state,
            attempt: 1,
            told_at: Timestamp::UNIX_EPOCH,
        });
    }

    fn asks<T>(&self, question: impl FnOnce(&Asker<'_>) -> T) -> T {
        let (name, channel) = (ComputerName::new("pc-1").unwrap(), stable());
        question(&Asker {
            name: &name,
            position: self.position,
            groups: &self.groups,
            channel: &channel,
            deliveries: &self.deliveries,
            attempts: &self.attempts,
        })
    }

    /// `free`, `told in RING`, `now in RING`, or the code of what holds it.
    fn says(&self) -> String {
        let (plan, counts) = (&self.plan, &self.counts);
        match self.asks(|asker| admit(&release(), self.runs, asker, plan, counts, NOW)) {
            Ok(Admitted::Free) => "free".to_owned(),
            Ok(Admitted::Told { ring, .. }) => format!("told in {ring}"),
            Ok(Admitted::Now { ring, .. }) => format!("now in {ring}"),
            Err(held) => held.code().to_owned(),
        }
    }
}

fn program() -> Case {
    case(PackageKind::Program)
}

fn signatures(content: &str) -> Case {
    let value = match content {
        "early" | "general" | "paused" => serde_json::json!({ "content": content }),
        hours => serde_json::json!({ "content": { "delayed": hours.parse::<u8>().unwrap() } }),
    };
    case(PackageKind::Signatures).with(|case| case.set(SettingKind::Group, "pilot", value))
}

#[test]
fn a_computer_gets_a_release_in_the_first_ring_that_takes_it_and_is_open() {
    let of = |position, pilot: bool| {
        let case = program().with(|case| {
            case.position = position;
            case.groups.retain(|_| pilot);
        });
        case.says()
    };
    for (position, pilot, says) in [
        (100, true, "now in 0"),
        (100, false, "now in 0"),
        (101, true, "now in 1"),
        (101, false, "ring_waits"),
        (u64::MAX, false, "ring_waits"),
    ] {
        assert_eq!(of(position, pilot), says, "{position} {pilot}");
    }
    let unknown = program().with(|case| case.rollout().rings[0].below = None).with(|case| case.position = 0);
    assert_eq!(unknown.says(), "now in 1", "nobody is among the first before they are counted");
}

#[test]
fn a_rollout_holds_back_nobody_who_runs_the_release_or_follows_another_channel() {
    assert_eq!(program().with(|case| case.runs = true).says(), "free");
    let other = program().with(|case| case.rollout().channels = vec![ChannelName::new("beta").unwrap()]);
    assert_eq!(other.says(), "free", "its approval for this channel began no rollout");
    for ring in 0..3 {
        let complete = program().with(|case| {
            case.rollout().state = RolloutState::Completed;
            case.rollout().rings[ring].state = RingState::Waiting;
        });
        assert_eq!(complete.says(), "now in 1", "after the last ring everybody gets it");
    }
}

#[test]
fn caps_are_full_at_their_number_and_an_hour_begins_them_anew() {
    let counts = |told, begun, hour, told_in_hour| RingCounts {
        told,
        begun,
        hour,
        told_in_hour,
        ..RingCounts::default()
    };
    #[rustfmt::skip]
    let table = [
        (Some(3), None, counts(1, 1, HOUR, 9), "now in 1"),
        (Some(3), None, counts(2, 1, HOUR, 9), "cap_concurrent"),
        (Some(3), None, counts(0, 3, HOUR, 9), "cap_concurrent"),
        (None, Some(3), counts(9, 0, HOUR, 2), "now in 1"),
        (None, Some(3), counts(0, 0, HOUR, 3), "cap_per_hour"),
        (None, Some(3), counts(0, 0, HOUR - 1, 3), "now in 1"),
        (Some(3), Some(3), counts(3, 0, HOUR, 3), "cap_concurrent"),
    ];
    for (concurrent, per_hour, counts, says) in table {
        let case = program().with(|case| case.capped(concurrent, per_hour, counts));
        assert_eq!(case.says(), says, "{concurrent:?} {per_hour:?} {counts:?}");
        let told = case.with(|case| case.told(DeliveryState::Told, 1));
        assert_eq!(told.says(), "told in 1", "who was told needs no place again");
    }
    // An emergency waits behind nobody.
    for (concurrent, per_hour) in [(Some(3), None), (None, Some(3)), (Some(3), Some(3))] {
        let full = program().with(|case| case.capped(concurrent, per_hour, counts(3, 0, HOUR, 3)));
        assert_eq!(full.with(|case| case.rollout().emergency = true).says(), "now in 1");
    }
    let held = Held::PerHour { rollout: 7, cap: 3, until: Timestamp::from_second(39_600).unwrap() };
    assert_eq!(held.until(), Some("1970-01-01T11:00:00Z".parse().unwrap()));
}

#[test]
fn who_was_told_stays_told_in_its_ring_whatever_becomes_of_its_groups() {
    for state in DeliveryState::ALL {
        let case = program().with(|case| case.told(state, 0)).with(|case| case.groups.clear());
        let says = if state == DeliveryState::Dropped { "now in 0" } else { "told in 0" };
        assert_eq!(case.says(), says, "{state:?}");
        let of_another = case.with(|case| case.deliveries[0].rollout = 6);
        assert_eq!(of_another.says(), "ring_waits", "{state:?} in an older rollout says nothing here");
    }
    let waits = program().with(|case| case.told(DeliveryState::Dropped, 2));
    assert_eq!(waits.says(), "ring_waits", "it counts in the ring in which it was told first");
}

#[test]
fn in_a_pause_only_who_has_begun_or_runs_it_goes_on() {
    for state in DeliveryState::ALL {
        for runs in [false, true] {
            let case = program().with(|case| case.told(state, 1)).with(|case| {
                case.rollout().state = RolloutState::Paused;
                case.runs = runs;
            });
            let says = match (state, runs) {
                (DeliveryState::Dropped, true) => "free",
                (DeliveryState::Begun, _) | (_, true) => "told in 1",
                (_, false) => "rollout_paused",
            };
            assert_eq!(case.says(), says, "{state:?} {runs}");
        }
    }
    let nobody = program().with(|case| case.rollout().state = RolloutState::Paused);
    assert_eq!(nobody.says(), "rollout_paused");
}

#[test]
fn signature_files_come_as_the_group_says_and_an_emergency_waits_for_nothing() {
    let early = signatures("early").with(|case| case.rollout().rings[1].state = RingState::Waiting);
    assert_eq!(early.says(), "now in 0", "with the first ring");
    assert_eq!(signatures("general").says(), "now in 1");
    assert_eq!(signatures("paused").says(), "content_paused");
    // It is 10:20, and the rollout began at midnight.
    assert_eq!(signatures("10").says(), "now in 1");
    assert_eq!(signatures("11").says(), "content_delayed");
    for content in ["paused", "72"] {
        let case = signatures(content).with(|case| case.rollout().emergency = true);
        assert_eq!(case.says(), "now in 1", "{content}");
        let complete = signatures(content).with(|case| case.rollout().state = RolloutState::Completed);
        assert_ne!(complete.says(), "now in 1", "{content}: the last ring ends no delay");
        let told = signatures(content).with(|case| case.told(DeliveryState::Told, 1));
        assert_eq!(told.says(), "told in 1", "{content}");
    }
    let program = program()
        .with(|case| case.set(SettingKind::Group, "pilot", serde_json::json!({ "content": "paused" })));
    assert_eq!(program.says(), "now in 1", "it goes for signature files alone");
}

#[test]
fn a_block_keeps_away_whom_it_names_from_what_it_names_also_who_was_told() {
    let everyone = serde_json::json!("everyone");
    #[rustfmt::skip]
    let table = [
        (serde_json::json!({ "of": everyone }), true),
        (serde_json::json!({ "of": everyone, "package": "av" }), true),
        (serde_json::json!({ "of": everyone, "package": "av", "version": "2" }), true),
        (serde_json::json!({ "of": everyone, "package": "av", "version": "1" }), false),
        (serde_json::json!({ "of": everyone, "package": "other" }), false),
        (serde_json::json!({ "of": { "group": "pilot" } }), true),
        (serde_json::json!({ "of": { "group": "other" } }), false),
        (serde_json::json!({ "of": { "computer": "pc-1" } }), true),
        (serde_json::json!({ "of": { "computer": "pc-2" } }), false),
    ];
    for (block, away) in table {
        for told in [false, true] {
            let case = program().with(|case| case.set(SettingKind::Block, "b", block.clone()));
            let case = case.with(|case| {
                if told {
                    case.told(DeliveryState::Told, 1)
                }
            });
            let says = match (away, told) {
                (true, _) => "blocked",
                (false, true) => "told in 1",
                (false, false) => "now in 1",
            };
            assert_eq!(case.says(), says, "{block} {told}");
        }
    }
}

#[test]
fn the_narrowest_pin_counts_and_lets_its_own_version_through() {
    let pin = |of: serde_json::Value, version: &str| serde_json::json!({ "of": of, "package": "av", "version": version });
    let (everyone, group) = (serde_json::json!("everyone"), serde_json::json!({ "group": "pilot" }));
    let computer = serde_json::json!({ "computer": "pc-1" });
    #[rustfmt::skip]
    let table = [
        (vec![pin(everyone.clone(), "1")], "pinned"),
        (vec![pin(everyone.clone(), "2")], "now in 1"),
        (vec![pin(everyone.clone(), "1"), pin(group.clone(), "2")], "now in 1"),
        (vec![pin(everyone.clone(), "2"), pin(group.clone(), "1")], "pinned"),
        (vec![pin(group, "1"), pin(everyone.clone(), "1"), pin(computer.clone(), "2")], "now in 1"),
        (vec![pin(computer, "1"), pin(everyone, "2")], "pinned"),
    ];
    for (pins, says) in table {
        let case = program().with(|case| {
            for (number, pin) in pins.iter().enumerate() {
                case.set(SettingKind::Pin, &format!("p{number}"), pin.clone());
            }
        });
        assert_eq!(case.says(), says, "{pins:?}");
    }
}

#[test]
fn a_pin_to_another_version_lets_through_what_lies_on_the_way_and_a_block_does_not() {
    let pin = serde_json::json!({ "of": "everyone", "package": "av", "version": "3" });
    let pinned = program().with(|case| case.set(SettingKind::Pin, "three", pin));
    let on_the_way = |case: &Case| {
        case.asks(|asker| admit_on_the_way(&release(), false, asker, &case.plan, &case.counts, NOW).is_ok())
    };
    assert_eq!(pinned.says(), "pinned", "as what it is to run");
    assert!(on_the_way(&pinned));
    let block = serde_json::json!({ "of": "everyone", "package": "av", "version": "2" });
    assert!(!on_the_way(&pinned.with(|case| case.set(SettingKind::Block, "b", block))));
}

#[test]
fn what_was_replaced_comes_back_if_it_went_to_everybody_or_a_pin_names_it() {
    let at_its_canary = KnownRelease { state: ReleaseState::Superseded, ..release() };
    let complete = KnownRelease { rolling_out: Vec::new(), ..at_its_canary.clone() };
    let beta = ChannelName::new("beta").unwrap();
    let complete_here = KnownRelease { rolling_out: vec![beta], ..at_its_canary.clone() };
    let pin = |version: &str| serde_json::json!({ "of": "everyone", "package": "av", "version": version });
    let comes_back = |case: &Case, release| case.asks(|asker| may_come_back(release, asker, &case.plan));
    let case = program();
    assert!(!comes_back(&case, &at_its_canary));
    assert!(comes_back(&case, &complete) && comes_back(&case, &complete_here));
    let pinned = program().with(|case| case.set(SettingKind::Pin, "p", pin("2")));
    assert!(comes_back(&pinned, &at_its_canary));
    let elsewhere = program().with(|case| case.set(SettingKind::Pin, "p", pin("3")));
    assert!(!comes_back(&elsewhere, &at_its_canary));
}

#[test]
fn of_several_reasons_the_one_that_ends_last_is_said() {
    // Each line adds a reason that goes before those above it.
    let mut case = signatures("72").with(|case| {
        case.plan.settings.groups.clear();
        let full = RingCounts { told: 1, hour: HOUR, told_in_hour: 1, ..RingCounts::default() };
        case.capped(None, Some(1), full);
    });
    assert_eq!(case.says(), "cap_per_hour");
    let full = RingCounts { told: 1, hour: HOUR, told_in_hour: 1, ..RingCounts::default() };
    case.capped(Some(1), Some(1), full);
    assert_eq!(case.says(), "cap_concurrent");
    case.rollout().rings[1].state = RingState::Waiting;
    assert_eq!(case.says(), "ring_waits");
    case.set(SettingKind::Group, "pilot", serde_json::json!({ "content": { "delayed": 72 } }));
    assert_eq!(case.says(), "content_delayed");
    case.rollout().state = RolloutState::Paused;
    assert_eq!(case.says(), "rollout_paused");
    case.set(SettingKind::Pin, "p", serde_json::json!({ "of": "everyone", "package": "av", "version": "1" }));
    assert_eq!(case.says(), "pinned");
    case.set(SettingKind::Block, "b", serde_json::json!({ "of": "everyone" }));
    assert_eq!(case.says(), "blocked");
}

#[test]
fn whoever_tries_again_waits_behind_the_caps_of_its_ring_as_the_first_time() {
    let full = RingCounts { told: 3, ..RingCounts::default() };
    let tries_again = |state, attempt| {
        program().with(|case| {
            case.told(state, 1);
            case.capped(Some(3), None, full);
            case.attempts.insert(release().manifest, attempt);
        })
    };
    for state in [DeliveryState::Failed, DeliveryState::Silent, DeliveryState::Succeeded] {
        assert_eq!(tries_again(state, 2).says(), "cap_concurrent", "{state:?}");
        assert_eq!(tries_again(state, 1).says(), "told in 1", "{state:?}: nothing begins anew");
        let room = tries_again(state, 2).with(|case| case.capped(Some(4), None, full));
        assert_eq!(room.says(), "told in 1", "{state:?}");
        let complete = tries_again(state, 2).with(|case| case.rollout().state = RolloutState::Completed);
        assert_eq!(complete.says(), "told in 1", "{state:?}");
        let runs = tries_again(state, 2).with(|case| case.runs = true);
        assert_eq!(runs.says(), "told in 1", "{state:?}");
    }
    for state in [DeliveryState::Told, DeliveryState::Begun] {
        assert_eq!(tries_again(state, 2).says(), "told in 1", "{state:?}: it counts in the cap already");
    }
}

#[test]
fn who_waits_for_a_person_is_in_nobodys_way_and_waits_for_room_once_nobody_starts_it() {
    let full = RingCounts { told: 2, begun: 1, offered: 50, ..RingCounts::default() };
    let capped = |at_most| program().with(|case| case.capped(Some(at_most), None, full));
    assert_eq!(capped(4).says(), "now in 1", "fifty that were offered it take no room");
    assert_eq!(capped(3).says(), "cap_concurrent");
    let manual = |case: &mut Case| {
        case.set(SettingKind::Group, "pilot", serde_json::json!({ "delivery": "manual" }));
    };
    assert_eq!(capped(3).with(manual).says(), "now in 1");
    let offered = |case: &mut Case| case.told(DeliveryState::Offered, 1);
    assert_eq!(capped(3).with(manual).with(offered).says(), "told in 1");
    assert_eq!(capped(3).with(offered).says(), "cap_concurrent", "it goes by itself from now on");
    assert_eq!(capped(4).with(offered).says(), "told in 1");
}

#[test]
fn what_holds_it_says_when_it_ends_where_that_is_known_and_escapes_what_a_person_wrote() {
    let until = NOW + SignedDuration::from_hours(1);
    let by = ContentSetBy::Group(group("pilot"));
    assert_eq!(Held::ContentDelayed { until, by }.until(), Some(until));
    assert_eq!(Held::Paused { rollout: 7 }.until(), None);
    let held = Held::Blocked { name: Word::known("b"), why: "line\u{1b}[31m".to_owned() };
    assert!(!held.to_string().contains('\u{1b}'), "{held}");
    let silent = Held::Blocked { name: Word::known("b"), why: String::new() };
    assert_eq!(silent.to_string(), "the block `b` keeps it away");
}

#[test]
fn signature_files_that_wait_say_which_group_or_package_has_it_so() {
    let of = |content: serde_json::Value, rank: Option<u16>, package: bool| {
        let mut case = case(PackageKind::Signatures);
        if let Some(rank) = rank {
            case.set(SettingKind::Group, "pilot", serde_json::json!({ "content": content, "rank": rank }));
        }
        if package {
            case.set(SettingKind::Package, "av", serde_json::json!({ "content": content }));
        }
        // Of its groups the one that says nothing counts for nothing here.
        case.set(SettingKind::Group, "all", serde_json::json!({ "rank": 9 }));
        case.groups.insert(group("all"));
        let (plan, counts) = (&case.plan, &case.counts);
        case.asks(|asker| admit(&release(), false, asker, plan, counts, NOW)).unwrap_err().to_string()
    };
    let paused = "signature files are paused for it by the settings of ";
    let delayed = "signature files are delayed for it until 1970-01-03T00:00:00Z by the settings of ";
    for (content, expected) in
        [(serde_json::json!("paused"), paused), (serde_json::json!({ "delayed": 48 }), delayed)]
    {
        assert_eq!(of(content.clone(), Some(1), false), format!("{expected}the group `pilot`"));
        assert_eq!(of(content.clone(), Some(1), true), format!("{expected}the group `pilot`"));
        assert_eq!(of(content, None, true), format!("{expected}the package `av`"));
    }
}

#[test]
fn a_block_and_a_pin_are_not_said_to_keep_away_what_runs_or_to_keep_a_computer_where_it_is_not() {
    let had = |version: &str, counter| InstalledPackage {
        release: ReleaseId { version: Version::new(version).unwrap(), ..release().release },
        kind: PackageKind::Program,
        counter: ReleaseCounter(counter),
        manifest: Sha256Digest::of(version.as_bytes()),
    };
    let known = |version: &str, counter| {
        let InstalledPackage { release: id, counter, manifest, .. } = had(version, counter);
        KnownRelease { release: id, counter, manifest, ..release() }
    };
    let pinned = || Held::Pinned {
        name: Word::known("lab"),
        version: Version::new("1.5").unwrap(),
        why: "it is certified".to_owned(),
    };
    let blocked = || Held::Blocked { name: Word::known("old"), why: String::new() };
    let newest = known("3", 3);
    let pin = known("1.5", 1);
    let there = [pin.clone()];
    let elsewhere = [KnownRelease { approved_for: Vec::new(), ..pin.clone() }];
    let says = |held, runs: Option<(&str, u64)>, ran: Option<(&str, u64)>, known: &[KnownRelease]| {
        let of = |had_it: Option<(&str, u64)>| had_it.map(|(version, counter)| had(version, counter));
        let (runs, ran) = (of(runs), of(ran));
        let has = Has::of(&release().release.package, runs.as_slice(), ran.as_slice());
        let choice = Choice { newest: &newest, gets: None, held: Some(held) };
        let held = choice.beside(has, &stable(), known.iter()).held.unwrap();
        (held.code(), held.to_string())
    };
    let away =
        "the pin `lab` names 1.5 (it is certified), and does not take 2 away: nothing leads down but a halt";
    assert_eq!(says(pinned(), Some(("2", 2)), None, &there), ("pinned", away.to_owned()));
    assert_eq!(says(pinned(), Some(("2", 2)), None, &elsewhere).1, away);
    let lacks = "the pin `lab` names 1.5 (it is certified), which is not approved for it";
    for (runs, known) in [
        (Some(("2", 2)), &[] as &[KnownRelease]),
        (Some(("1", 0)), &[]),
        (Some(("1", 0)), &elsewhere),
        (None, &[]),
        (None, &there),
    ] {
        assert_eq!(says(pinned(), runs, None, known), ("pinned", lacks.to_owned()), "{runs:?}");
    }
    let ran =
        "the pin `lab` names 1.5 (it is certified), and it ran 2 before, below which nothing is installed";
    assert_eq!(says(pinned(), Some(("1", 0)), Some(("2", 2)), &there).1, ran);
    // It is where the pin has it.
    let stays = "the pin `lab` keeps it at 1.5 (it is certified)";
    assert_eq!(says(pinned(), Some(("1.5", 1)), None, &[]), ("pinned", stays.to_owned()));
    let block = "the block `old` does not take 3 away: nothing leads down but a halt";
    assert_eq!(says(blocked(), Some(("3", 3)), None, &[]), ("blocked", block.to_owned()));
    assert_eq!(says(blocked(), Some(("2", 2)), None, &[]).1, "the block `old` keeps it away");
    // What leads it to its pin keeps it there.
    let has = Has::of(&release().release.package, &[], &[]);
    let choice = Choice { newest: &newest, gets: Some((&pin, Admitted::Free)), held: Some(pinned()) };
    assert_eq!(choice.beside(has, &stable(), std::iter::empty()).held.unwrap().to_string(), stays);
}
