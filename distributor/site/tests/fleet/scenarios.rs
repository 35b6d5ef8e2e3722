//! The simulations, and what they have to end with.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_manifests::ids::Platform;
use sealpost_manifests::release::PackageKind;
use sealpost_site::rules::assignment::{Computer as Asking, Licensed, Rolling, admitted};
use sealpost_site::rules::rollouts::gate::Held;
use sealpost_site::rules::rollouts::plan::Asker;
use sealpost_site::rules::rollouts::progress::{DeliveryState, RingState};
use sealpost_site::rules::rollouts::settings::{SettingChange, SettingKey, SettingKind, Settings};
use serde_json::json;

use crate::computer::DAY;
use crate::site::stable;
use crate::world::{Event, Fleet, World};

pub(crate) const HOUR: i64 = 60;

pub(crate) fn settings(changes: &[(SettingKind, &str, serde_json::Value)]) -> Settings {
    let mut settings = Settings::default();
    for (kind, name, value) in changes {
        let key = SettingKey { kind: *kind, name: (*name).to_owned() };
        settings.set(&SettingChange { key, value: Some(value.clone()) }).unwrap();
    }
    settings
}

/// Three windows in three zones, a group for each by name, a group that is first, and strategies with caps for a fleet of
/// this size.
pub(crate) fn site_settings(computers: u32) -> Vec<(SettingKind, &'static str, serde_json::Value)> {
    let caps = [(computers / 2500).max(2), computers / 160, computers * 3 / 5, computers / 16];
    let window = |from: &str, days: &[&str], zone: &str, missed: serde_json::Value| {
        json!({ "days": days, "from": from, "length_minutes": 240, "zone": zone, "download_ahead_hours": 12,
                "missed": missed })
    };
    let week = ["monday", "tuesday", "wednesday", "thursday", "friday"];
    let group = |names: &str, window: &str| json!({ "rule": { "names": [names] }, "delivery": format!("window:{window}"), "rank": 1 });
    vec![
        (SettingKind::Window, "berlin", window("12:00", &week, "Europe/Berlin", json!("next_window"))),
        (
            SettingKind::Window,
            "new-york",
            window("09:00", &["tuesday", "thursday"], "America/New_York", json!({ "at_once_after": 2 })),
        ),
        (
            SettingKind::Window,
            "kolkata",
            window("10:30", &["wednesday"], "Asia/Kolkata", json!({ "at_once_after": 1 })),
        ),
        (SettingKind::Group, "west", group("*1", "new-york")),
        (SettingKind::Group, "east", group("*2", "kolkata")),
        (SettingKind::Group, "middle", group("*3", "berlin")),
        (SettingKind::Group, "pilot", json!({ "rule": { "names": ["*77"] } })),
        (
            SettingKind::Strategy,
            "by-group",
            json!({ "deadline_hours": 240, "rings": [
            { "name": "canary", "takes": { "first": 2 }, "soak_minutes": 60, "minimum_sample": 1, "errors": { "count": 2, "percent": 50 } },
            { "name": "pilot", "takes": { "group": "pilot" }, "soak_minutes": 240, "minimum_sample": 3, "errors": { "count": 5, "percent": 10 }, "concurrent": caps[0] },
            { "name": "tenth", "takes": { "share": "10 %" }, "soak_minutes": 480, "minimum_sample": 20, "errors": { "count": 20, "percent": 10 }, "per_hour": caps[1] },
            { "name": "everyone", "takes": "everyone", "soak_minutes": 1440, "minimum_sample": 20, "errors": { "count": 50, "percent": 10 }, "concurrent": caps[2], "per_hour": caps[3] } ] }),
        ),
        (
            SettingKind::Strategy,
            "steady",
            json!({ "rings": [
            { "name": "canary", "takes": { "first": 2 }, "soak_minutes": 15, "minimum_sample": 1, "errors": { "count": 2, "percent": 50 } },
            { "name": "early", "takes": { "share": "10 %" }, "soak_minutes": 30, "minimum_sample": 3, "errors": { "count": 5, "percent": 10 } },
            { "name": "everyone", "takes": "everyone", "soak_minutes": 60, "minimum_sample": 1, "errors": { "count": 20, "percent": 10 } } ] }),
        ),
        (SettingKind::Property, "strategy-signatures", json!("steady")),
    ]
}

pub(crate) fn release(package: &'static str, strategy: &'static str) -> Event {
    let kind = if package.starts_with("sig") { PackageKind::Signatures } else { PackageKind::Program };
    Event::Release { package, kind, strategy: Some(strategy), bad: false }
}

/// Programs and signature files for 30 days, and two weeks in which they arrive.
fn month(every: i64) -> Vec<(i64, Event)> {
    let mut events = Vec::new();
    for week in 0..4 {
        events.push((week * 7 * DAY + 9 * HOUR, release("av", "by-group")));
    }
    events.push((3 * DAY + 8 * HOUR, release("tools", "normal")));
    events.push((
        10 * DAY + 8 * HOUR,
        Event::Release { package: "tools", kind: PackageKind::Program, strategy: Some("normal"), bad: true },
    ));
    events.push((17 * DAY + 8 * HOUR, release("tools", "normal")));
    events.push((7 * DAY + 15 * HOUR, Event::Pause("av")));
    events.push((8 * DAY + 15 * HOUR, Event::Resume("av")));
    let mut at = 6 * HOUR + 10;
    while at < 30 * DAY {
        events.push((at, release("sig", "steady")));
        at += every;
    }
    events.sort_by_key(|(at, _)| *at);
    events
}

/// Every computer that is on runs the newest release that is complete, or there is a reason that does not end by itself.
pub(crate) fn ends_well(world: &World, now: i64) {
    let (site, channel, platform) = (&world.site, stable(), Platform::new("linux-x86_64").unwrap());
    let mut behind: BTreeMap<&str, u32> = BTreeMap::new();
    for computer in world.computers.iter().filter(|one| one.last.is_some_and(|last| now - last < 2 * DAY)) {
        let voided = BTreeSet::new();
        let asking = Asking {
            channel: &channel,
            platform: &platform,
            licensed: &Licensed::Everything,
            installed: &computer.installed,
            before: &computer.before,
            voided: &voided,
        };
        let asker = Asker {
            name: &computer.name,
            position: computer.position,
            groups: &computer.groups,
            channel: &channel,
            deliveries: &computer.deliveries,
            attempts: &BTreeMap::new(),
        };
        let rolling = Rolling { plan: &site.plan, counts: &site.counts, asker, now: site.now };
        for choice in admitted(&site.approved, &asking, &rolling) {
            let newest = choice.newest;
            if computer.installed.iter().any(|runs| runs.manifest == newest.manifest) {
                continue;
            }
            let told = computer.deliveries.iter().find(|told| told.manifest == newest.manifest);
            let why = match (&choice.held, told.map(|told| told.state)) {
                (Some(held), _) => held.code(),
                (None, Some(DeliveryState::Failed)) => "failed",
                (None, Some(DeliveryState::Offered)) => "person",
                // Its assignment says when it begins.
                (None, Some(DeliveryState::Told)) if computer.work.iter().any(|work| work.begins > now) => {
                    "window"
                }
                (None, Some(DeliveryState::Told)) => "told",
                // Its ring opened after it was there the last time.
                (None, None) if opened_since(world, newest.rollout, computer.last) => "away",
                (None, state) => panic!(
                    "seed {}: {} runs no {} without a reason ({state:?})",
                    world.seed, computer.name, newest.release
                ),
            };
            let ends = !matches!(
                choice.held,
                Some(
                    Held::Ring { .. } | Held::Concurrent { .. } | Held::PerHour { .. } | Held::Paused { .. }
                )
            );
            assert!(ends, "seed {}: {} still waits: {:?}", world.seed, computer.name, choice.held);
            *behind.entry(why).or_default() += 1;
        }
    }
    let all = world.computers.len() as u32;
    let told: u32 = ["told", "away"].iter().filter_map(|why| behind.get(why)).sum();
    // Some are off whenever their window is open, and catch up later.
    assert!(told * 20 <= all, "seed {}: {behind:?} of {all}", world.seed);
    assert!(
        behind.keys().all(|why| ["failed", "told", "away", "window", "person"].contains(why)),
        "seed {}: {behind:?}",
        world.seed
    );
}

/// Whether the last ring of a rollout opened after a computer was there the last time.
fn opened_since(world: &World, rollout: Option<u64>, last: Option<i64>) -> bool {
    let rings = &world.site.rollout(rollout.unwrap()).rings;
    match rings.last().map(|ring| ring.state) {
        Some(RingState::Open { at }) => world.at(last.unwrap()) < at,
        _ => false,
    }
}

fn goes_through_a_month(seed: u64, computers: u32, cadence: (i64, i64), every: i64) {
    let fleet = Fleet {
        computers,
        servers_per_mille: 50,
        cadence,
        whole_contacts: 200.min(computers / 8),
        fails_per_mille: 2,
    };
    let mut world = World::new(seed, &fleet, settings(&site_settings(computers)), &["av", "sig", "tools"]);
    world.run(40 * DAY, &month(every));
    ends_well(&world, 40 * DAY);
    let checks = &mut world.checks;
    assert!(checks.full > 0, "seed {seed}: no cap was ever full");
    assert_eq!(checks.false_silences, 0, "seed {seed}: an office that is closed is no failure");
    assert!(checks.in_window > 0 && checks.out_of_window > 0, "seed {seed}");
    let (bad, halts) = (world.bad.iter().next().unwrap(), &checks.halts);
    assert!(halts.contains_key(bad), "seed {seed}: the bad release was not halted");
    assert_eq!(halts[bad].1, 0, "seed {seed}: it got no further than the canary");
    assert_eq!(checks.installs[bad].len(), 1, "seed {seed}: {:?}", checks.installs[bad]);
    let runs_bad = |one: &&crate::computer::Computer| one.installed.iter().any(|runs| runs.manifest == *bad);
    assert_eq!(world.computers.iter().filter(runs_bad).count(), 0, "seed {seed}");
}

/// `SEALPOST_FLEET` says how many; 50,000 take about a minute of CPU in an optimized build, and that is one of the steps of
/// `tests/run`.
#[test]
fn a_large_fleet_that_comes_once_a_day_goes_through_a_month_of_rollouts() {
    let size = std::env::var("SEALPOST_FLEET").ok().map(|size| size.parse().unwrap());
    goes_through_a_month(1, size.unwrap_or(1_500), (12 * HOUR, DAY), 4 * DAY);
}

#[test]
fn smaller_fleets_of_several_seeds_go_through_a_month_of_rollouts() {
    for seed in 2..4 {
        goes_through_a_month(seed, 400, (6 * HOUR, 8 * HOUR), DAY);
    }
}

/// Revisions of signature files each hour, for so many days.
fn hourly(days: i64) -> Vec<(i64, Event)> {
    (0..days * 24).map(|hour| (hour * HOUR + 13, release("sig", "steady"))).collect()
}

#[test]
fn a_small_fleet_that_comes_every_four_hours_is_not_starved_by_hourly_revisions() {
    for seed in 21..23 {
        let fleet = Fleet {
            computers: 30,
            servers_per_mille: 1000,
            cadence: (4 * HOUR, 4 * HOUR),
            whole_contacts: 30,
            fails_per_mille: 0,
        };
        let mut world = World::new(seed, &fleet, Settings::default(), &["sig"]);
        let events: Vec<(i64, Event)> =
            hourly(10).into_iter().map(|(at, _)| (at, release("sig", "signatures"))).collect();
        world.run(10 * DAY, &events);
        let most = world.checks.age(95);
        assert!(most <= 36 * HOUR, "seed {seed}: p95 {most} minutes");
    }
}

#[test]
fn computers_with_a_delay_get_hourly_revisions_a_day_later_and_are_not_starved() {
    let later = json!({ "rule": { "names": ["*3", "*7"] }, "content": { "delayed": 24 } });
    let settings = settings(&[(SettingKind::Group, "later", later)]);
    let fleet = Fleet {
        computers: 60,
        servers_per_mille: 1000,
        cadence: (HOUR, 2 * HOUR),
        whole_contacts: 30,
        fails_per_mille: 0,
    };
    let mut world = World::new(31, &fleet, settings, &["sig"]);
    let events: Vec<(i64, Event)> =
        hourly(6).into_iter().map(|(at, _)| (at, release("sig", "signatures"))).collect();
    let end = 6 * DAY;
    world.run(end, &events);
    let (mut later, mut others) = (0, 0);
    for computer in &world.computers {
        let Some(runs) = computer.installed.first() else { panic!("{} runs nothing", computer.name) };
        let age = end - world.published[&runs.manifest];
        let name = computer.name.to_string();
        if name.ends_with('3') || name.ends_with('7') {
            // A day, two pauses between contacts, and an hour between two revisions.
            assert!((DAY..DAY + 6 * HOUR).contains(&age), "{name}: {age} minutes");
            later += 1;
        } else {
            assert!(age <= 8 * HOUR, "{name}: {age} minutes");
            others += 1;
        }
    }
    assert!(later > 5 && others > 30, "{later} and {others}");
}
