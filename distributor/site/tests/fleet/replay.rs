//! A replay of what a simulated fleet did, held against what it did.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use sealpost_manifests::ids::Platform;
use sealpost_manifests::release::PackageKind;
use sealpost_site::changes::past::Pasts;
use sealpost_site::rules::assignment::Licensed;
use sealpost_site::rules::rollouts::replay::outcome::Ended;
use sealpost_site::rules::rollouts::replay::past::{Member, Past};
use sealpost_site::rules::rollouts::replay::simulation::{Simulated, Under, simulate};
use sealpost_site::rules::rollouts::settings::Settings;
use sealpost_site::rules::rollouts::strategy::Strategy;

use crate::computer::DAY;
use crate::site::stable;
use crate::world::{Event, Fleet, World};

const HOUR: i64 = 60;

/// Two weeks of a fleet of which all computers come each quarter of an hour, with a bad release among four.
fn weeks(computers: u32) -> World {
    let fleet = Fleet {
        computers,
        servers_per_mille: 1000,
        cadence: (15, 15),
        whole_contacts: 0,
        fails_per_mille: 0,
    };
    let release =
        |bad| Event::Release { package: "av", kind: PackageKind::Program, strategy: Some("normal"), bad };
    let events = [
        (8 * HOUR, release(false)),
        (3 * DAY, release(false)),
        (6 * DAY, release(true)),
        (9 * DAY, release(false)),
    ];
    let mut world = World::new(7, &fleet, Settings::default(), &["av"]);
    world.site.recorded = Some(Vec::new());
    world.run(14 * DAY, &events);
    world
}

fn members(world: &World) -> Vec<Member> {
    let member = |computer: &crate::computer::Computer| Member {
        name: computer.name.clone(),
        position: computer.position,
        groups: BTreeSet::new(),
        channel: stable(),
        platform: Platform::new("linux-x86_64").unwrap(),
        licensed: Licensed::Everything,
    };
    world.computers.iter().map(member).collect()
}

fn pasts(world: &World, members: &[Member]) -> Vec<Past> {
    let places: BTreeMap<_, _> =
        members.iter().enumerate().map(|(place, member)| (member.name.clone(), place)).collect();
    let mut pasts = Pasts::new(world.site.releases.clone(), places, None);
    for entry in world.site.recorded.as_ref().unwrap() {
        pasts.take(entry);
    }
    let mut found = pasts.end();
    found.sort_by_key(|past| past.number);
    found
}

fn replayed(world: &World, past: &Past, strategy: &Strategy, members: &[Member]) -> Simulated {
    let name = past.strategy.unwrap();
    let (settings, until) = (&Settings::default(), world.at(14 * DAY));
    simulate(past, &Under { name, strategy, settings, members, until })
}

#[test]
fn a_replay_under_the_same_strategy_tells_what_really_happened() {
    let world = weeks(300);
    let members = members(&world);
    let pasts = pasts(&world, &members);
    assert_eq!(pasts.len(), 4);
    for past in &pasts {
        let (then, again) = (past.course(), replayed(&world, past, &Strategy::normal(), &members));
        let simulated = &again.course;
        let number = past.number;
        assert_eq!(then.was_halted(), simulated.was_halted(), "{number}: {then:?} {simulated:?}");
        assert_eq!((then.told, then.failed), (simulated.told, simulated.failed), "{number}");
        for (then, simulated) in then.rings.iter().zip(&simulated.rings) {
            assert_eq!((then.name, then.told), (simulated.name, simulated.told), "{number}");
            let (Some(then), Some(simulated)) = (then.opened_at, simulated.opened_at) else {
                panic!("{number}: {then:?} {simulated:?}")
            };
            // A round is each five minutes there, and a look at all computers each hour.
            let apart = then.duration_since(simulated).abs();
            assert!(apart <= SignedDuration::from_mins(90), "{number}: {then} {simulated}");
        }
    }
}

#[test]
fn a_replay_says_whom_a_bad_release_would_have_met() {
    let world = weeks(300);
    let members = members(&world);
    let pasts = pasts(&world, &members);
    let bad = pasts.iter().find(|past| past.course().was_halted()).unwrap();
    assert_eq!(bad.course().told, 1, "the canary");
    let at_once = replayed(&world, bad, &Strategy::everyone_now(), &members);
    assert_eq!((at_once.course.told, at_once.course.failed), (300, 300));
    let careful = replayed(&world, bad, &Strategy::careful(), &members);
    assert!(matches!(careful.course.ended, Ended::Halted { .. }), "{careful:?}");
    assert_eq!(careful.course.told, 1);
    let good = pasts.first().unwrap();
    let slow = replayed(&world, good, &Strategy::careful(), &members);
    assert!(slow.course.p50.unwrap() > good.course().p50.unwrap(), "{slow:?}");
}
