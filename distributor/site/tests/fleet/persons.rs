//! What persons, late computers, outages and clocks do in the middle of rollouts.

use sealpost_site::rules::rollouts::progress::RolloutState;
use sealpost_site::rules::rollouts::settings::{SettingKind, Settings};
use serde_json::json;

use crate::computer::DAY;
use crate::scenarios::{HOUR, ends_well, release, settings, site_settings};
use crate::world::{Event, Fleet, World};

/// Which versions the releases have: the first three are those that every computer begins with.
const AV_OF_THE_FIRST_DAY: &str = "4";

fn events() -> Vec<(i64, Event)> {
    let of = |group: &str| json!({ "of": { "group": group }, "package": "av" });
    let mut pin = of("west");
    pin["version"] = json!(AV_OF_THE_FIRST_DAY);
    vec![
        (9 * HOUR, release("av", "by-group")),
        (DAY + 11 * HOUR, Event::Join(20)),
        (2 * DAY, Event::Set(SettingKind::Block, "no-av", Some(of("middle")))),
        (3 * DAY + 8 * HOUR, release("tools", "normal")),
        (3 * DAY + 10 * HOUR, Event::Next("tools")),
        (3 * DAY + 11 * HOUR, Event::Join(10)),
        (5 * DAY, Event::Set(SettingKind::Block, "no-av", None)),
        (6 * DAY, Event::Set(SettingKind::Pin, "stay", Some(pin))),
        (7 * DAY + 8 * HOUR, release("av", "by-group")),
        (7 * DAY + 9 * HOUR, Event::Join(20)),
        (7 * DAY + 12 * HOUR, Event::Edit("av", "normal")),
        (8 * DAY + 9 * HOUR, Event::Join(20)),
        (10 * DAY, Event::Set(SettingKind::Pin, "stay", None)),
        (11 * DAY + 10 * HOUR, release("tools", "normal")),
        (11 * DAY + 16 * HOUR, Event::Halt("tools")),
        (14 * DAY + 9 * HOUR, release("tools", "normal")),
        (15 * DAY + 9 * HOUR, Event::Out(30 * HOUR)),
        (17 * DAY + 9 * HOUR, release("av", "by-group")),
        (18 * DAY + 9 * HOUR, Event::Pause("av")),
        (18 * DAY + 15 * HOUR, Event::Resume("av")),
    ]
}

/// The settings of other simulations, and computers whose persons start what comes.
fn with_persons(computers: u32) -> Settings {
    let by_hand = json!({ "rule": { "names": ["*5"] }, "delivery": "manual", "rank": 2 });
    let mut all = site_settings(computers);
    all.push((SettingKind::Group, "by-hand", by_hand));
    settings(&all)
}

#[test]
fn pins_blocks_persons_and_late_computers_change_nothing_of_what_has_to_hold() {
    for seed in 41..43 {
        let fleet = Fleet {
            computers: 300,
            servers_per_mille: 100,
            cadence: (4 * HOUR, 6 * HOUR),
            whole_contacts: 60,
            fails_per_mille: 1,
        };
        let mut world = World::new(seed, &fleet, with_persons(300), &["av", "sig", "tools"]);
        world.run(32 * DAY, &events());
        ends_well(&world, 32 * DAY);
        let checks = &world.checks;
        assert!(checks.late_ones_served > 0, "seed {seed}: nobody came late while a ring waited");
        assert!(
            checks.kept_away > 0 && checks.opened.contains_key("asked"),
            "seed {seed}: {:?}",
            checks.opened
        );
        assert_eq!(checks.false_silences, 0, "seed {seed}");
        let by_hand = world.computers.iter().filter(|one| !one.by_person.is_empty()).count();
        assert!(by_hand > 10, "seed {seed}: {by_hand} persons had something to start");
        // What was halted runs nowhere that was heard of since.
        let halted: Vec<_> =
            world.site.rollouts.iter().filter(|one| one.state == RolloutState::Halted).collect();
        assert!(!halted.is_empty(), "seed {seed}");
        for rollout in halted {
            let runs = |one: &&crate::computer::Computer| {
                one.last.is_some_and(|last| last > 30 * DAY)
                    && one.installed.iter().any(|runs| runs.manifest == rollout.manifest)
            };
            let runs = world.computers.iter().filter(runs).count();
            assert_eq!(runs, 0, "seed {seed}: {}", rollout.release);
        }
    }
}

/// Computers that are always on and come each hour.
fn hourly(computers: u32) -> Fleet {
    Fleet {
        computers,
        servers_per_mille: 1000,
        cadence: (HOUR, HOUR),
        whole_contacts: computers / 2,
        fails_per_mille: 0,
    }
}

#[test]
fn after_an_outage_of_days_a_computer_that_dies_is_found_as_soon_as_before_and_nobody_else_is() {
    for seed in 51..53 {
        // Nobody is away: the first days of a simulation have no holidays for so few.
        let mut world = World::new(seed, &hourly(40), Settings::default(), &["av"]);
        world.computers.iter_mut().for_each(|one| one.away = (0, 0));
        let begins = 20 * DAY + HOUR;
        let events =
            [(16 * DAY, Event::Out(3 * DAY)), (begins, release("av", "careful")), (begins + 1, Event::Dies)];
        world.run(begins + 30 * HOUR, &events);
        let (number, died) = world.dead.first_key_value().unwrap();
        let Some(found) = world.found_dead.get(number) else { panic!("seed {seed}: {number} was not found") };
        assert!(
            (8 * HOUR..=10 * HOUR).contains(&(found - died)),
            "seed {seed}: after {} minutes",
            found - died
        );
        assert_eq!(world.checks.silences, 1, "seed {seed}");
    }
}

#[test]
fn starts_soon_after_an_outage_of_days_lengthen_no_pause_and_make_nobody_silent() {
    for seed in 55..58 {
        let mut world = World::new(seed, &hourly(40), Settings::default(), &["av"]);
        world.computers.iter_mut().for_each(|one| one.away = (0, 0));
        let (out, begins) = (16 * DAY, 20 * DAY + HOUR);
        // Half of the computers come in the quarter of an hour before it is off again.
        let back = out + 3 * DAY;
        let events = [
            (out - 10, release("av", "careful")),
            (out, Event::Out(3 * DAY)),
            (back + 15, Event::Out(20)),
            (back + 40, Event::Out(20)),
            (begins, release("av", "careful")),
            (begins + 1, Event::Dies),
        ];
        world.run(begins + 30 * HOUR, &events);
        let (number, died) = world.dead.first_key_value().unwrap();
        let Some(found) = world.found_dead.get(number) else { panic!("seed {seed}: {number} was not found") };
        assert!(
            (8 * HOUR..=10 * HOUR).contains(&(found - died)),
            "seed {seed}: after {} minutes",
            found - died
        );
        assert_eq!(world.checks.silences, 1, "seed {seed}");
    }
}

#[test]
fn a_clock_that_is_a_day_ahead_for_a_while_passes_no_ring_and_makes_nobody_silent() {
    for (seed, at) in [(61, 20), (62, 200)] {
        let mut world = World::new(seed, &hourly(30), Settings::default(), &["av"]);
        world.computers.iter_mut().for_each(|one| one.away = (0, 0));
        let begins = 16 * DAY;
        let events = [
            (begins, release("av", "normal")),
            (begins + at, Event::ClockAhead(DAY)),
            (begins + at + 3 * HOUR, Event::ClockAhead(0)),
            (begins + 6 * DAY, release("av", "normal")),
            (begins + 6 * DAY + at, Event::ClockAhead(DAY)),
            (begins + 6 * DAY + at + 20, Event::ClockAhead(0)),
        ];
        world.run(begins + 14 * DAY, &events);
        assert_eq!((world.checks.silences, world.checks.false_alarms), (0, 0), "seed {seed}");
        ends_well(&world, begins + 14 * DAY);
        let newest = world.site.rollouts.last().unwrap();
        assert_eq!(newest.state, RolloutState::Completed, "seed {seed}");
        let runs = |one: &&crate::computer::Computer| {
            one.installed.iter().any(|runs| runs.manifest == newest.manifest)
        };
        assert_eq!(world.computers.iter().filter(runs).count(), 30, "seed {seed}");
    }
}
