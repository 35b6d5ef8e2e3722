use sealpost_manifests::digest::Sha256Digest;
use sealpost_manifests::ids::{ComputerName, PackageName, Platform};
use sealpost_manifests::release::{PackageKind, ReleaseId};
use sealpost_manifests::version::{ReleaseCounter, Version};
use sealpost_manifests::word::Word;

use super::*;
use crate::rules::rollouts::progress::{RingProgress, StateChange};
use crate::rules::rollouts::strategy::Strategy;

const HOUR: i64 = HOUR_SECS;
const DAY: i64 = 24 * HOUR;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn name(text: &str) -> ComputerName {
    ComputerName::new(text).unwrap()
}

fn refusal(code: ProblemCode, minute: i64, computer: Option<&str>) -> RefusalRow {
    let source = computer.unwrap_or("192.0.2.7").to_owned();
    RefusalRow { code, source, minute: at(minute), count: 1, computer: computer.map(name), answered: None }
}

#[test]
fn who_is_silent_outdated_or_knocks_is_counted_named_and_said_since_when() {
    let mut fleet = FleetRow { enrolled: 9, heard: Some(at(0)), ..FleetRow::default() };
    assert!(of_the_fleet(&fleet).is_empty());
    fleet.offline.add(name("pc-1"), Some(at(30)));
    fleet.offline.add(name("pc-2"), Some(at(20)));
    fleet.outdated.add(name("pc-3"), Some(at(40)));
    fleet.pending.add(name("pc-4"), Some(at(50)));
    let said = of_the_fleet(&fleet);
    let heads: Vec<_> = said
        .iter()
        .map(|said| (said.code.as_str(), said.count.unwrap().number, said.since, said.next.as_deref()))
        .collect();
    assert_eq!(
        heads,
        [
            ("clients_offline", 2, Some(at(20)), Some("distributor clients list --offline")),
            ("clients_outdated", 1, Some(at(40)), Some("distributor clients show pc-3")),
            ("computers_pending", 1, Some(at(50)), Some("distributor clients pending")),
        ]
    );
    assert!(said[0].message.starts_with("2 computers were not heard for more than 10 days (pc-1, pc-2)"));
}

fn normal(rings: Vec<RingProgress>) -> Rollout {
    let version = Version::new("1.1").unwrap();
    Rollout {
        number: 7,
        release: ReleaseId { package: PackageName::new("av").unwrap(), version, platform: Platform::any() },
        manifest: Sha256Digest::of(b"1.1"),
        counter: ReleaseCounter(2),
        kind: PackageKind::Program,
        channels: Vec::new(),
        strategy_name: Word::known("normal"),
        strategy: Strategy::normal(),
        emergency: false,
        state: RolloutState::Running,
        started_at: at(0),
        changed: None,
        rings,
    }
}

#[test]
fn a_rollout_whose_ring_does_not_pass_is_said_with_what_it_waits_for() {
    let begins = Rollout::waiting_rings(&Strategy::normal());
    assert!(waiting(&[normal(begins.clone())], at(90 * DAY)).is_empty(), "no ring is open");
    let opened = |change: &dyn Fn(&mut RingProgress)| {
        let mut rings = begins.clone();
        rings[0].state = RingState::Open { at: at(0) };
        change(&mut rings[0]);
        normal(rings)
    };
    let nobody = opened(&|_| {});
    let told = opened(&|ring| ring.counts.told = 1);
    let soaked = |ring: &mut RingProgress| ring.soaked = Strategy::normal().rings()[0].soak();
    let mut gate = opened(&|ring| {
        soaked(ring);
        ring.counts.succeeded = 1;
        ring.counts.failed = 1;
    });
    let mut rings = gate.strategy.rings().to_vec();
    rings[0].errors.count = 2;
    rings[0].success_percent = 90;
    gate.strategy = Strategy::new(rings, gate.strategy.on_failure(), None).unwrap();
    let mut goes_on = gate.clone();
    goes_on.rings[0].counts.begun = 1;
    let mut signatures = told.clone();
    signatures.kind = PackageKind::Signatures;
    let mut paused = nobody.clone();
    paused.state = RolloutState::Paused;
    let passed = opened(&|ring| {
        soaked(ring);
        ring.counts.succeeded = 1;
    });
    let cases = [
        ("nobody came", &nobody, 7 * DAY, None),
        (
            "nobody came",
            &nobody,
            9 * DAY,
            Some("0 of 1 computer that has to have finished, and 0 computers work on it"),
        ),
        ("who was told has not finished", &told, 7 * DAY, None),
        ("who was told has not finished", &told, 9 * DAY, Some("and 1 computer works on it")),
        ("the same of signature files", &signatures, 2 * DAY, Some("and 1 computer works on it")),
        ("too few succeed, and nobody works on it", &gate, 2 * HOUR, Some("only 1 of 2 succeeded")),
        ("too few succeed, and one works on it", &goes_on, 2 * HOUR, None),
        ("a person paused it", &paused, 90 * DAY, None),
        ("it has passed", &passed, 90 * DAY, None),
    ];
    for (case, rollout, after, wanted) in cases {
        let said = waiting(std::slice::from_ref(rollout), at(after));
        assert_eq!(said.len(), usize::from(wanted.is_some()), "{case} after {after} s: {said:?}");
        let (Some(said), Some(wanted)) = (said.first(), wanted) else { continue };
        assert!(
            said.message.contains(wanted) && said.message.contains("ring `canary`"),
            "{case}: {}",
            said.message
        );
        assert_eq!((said.code.as_str(), said.since), ("rollout_waits", Some(at(0))), "{case}");
        assert_eq!(said.next.as_deref(), Some("distributor rollouts show 7"), "{case}");
    }
}

#[test]
fn a_rollout_that_halted_by_itself_is_urgent_until_somebody_decides() {
    let strategy = Strategy::normal();
    let mut rings = Rollout::waiting_rings(&strategy);
    rings[0].counts.failed = 2;
    let change =
        |by| StateChange { at: at(50), by, why: "2 of 3 computers failed in the ring canary".to_owned() };
    let rollout = |state, by| Rollout { state, changed: Some(change(by)), ..normal(rings.clone()) };
    let by_itself = rollout(RolloutState::Halted, Actor::Server);
    let said = halted(std::slice::from_ref(&by_itself), &[]);
    let [said] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!((said.code.as_str(), said.level, said.since), ("rollout_halted", Level::Urgent, Some(at(50))));
    assert_eq!(
        (said.count.unwrap().number, said.next.as_deref()),
        (2, Some("distributor rollouts report 7"))
    );
    assert!(
        said.message.starts_with("rollout 7 of av 1.1 (any) halted by itself: 2 of 3"),
        "{}",
        said.message
    );
    for decided in [
        rollout(RolloutState::Halted, Actor::socket("root")),
        rollout(RolloutState::Running, Actor::Server),
        rollout(RolloutState::Paused, Actor::Server),
    ] {
        assert!(halted(&[decided], &[]).is_empty());
    }
}

#[test]
fn that_nobody_comes_is_said_after_a_weekend_and_soon_after_the_ways_were_changed() {
    let (long_ago, heard) = (at(0), Some(at(100 * DAY)));
    let fleet = FleetRow { enrolled: 3, heard, announced: Some(at(DAY)), ..FleetRow::default() };
    let said = |fleet: &FleetRow, connected, started, now| {
        nobody(fleet, connected, started, at(now)).map(|said| said.level)
    };
    let after = |secs: i64| 100 * DAY + secs;
    assert_eq!(said(&fleet, 0, long_ago, after(72 * HOUR)), None);
    assert_eq!(said(&fleet, 0, long_ago, after(72 * HOUR + 1)), Some(Level::Warning));
    assert_eq!(said(&fleet, 1, long_ago, after(90 * HOUR)), None, "one holds a stream");
    assert_eq!(said(&fleet, 0, at(after(90 * HOUR)), after(91 * HOUR)), None, "the server began just now");
    let nobody_enrolled = FleetRow { enrolled: 0, ..fleet.clone() };
    assert_eq!(said(&nobody_enrolled, 0, long_ago, after(90 * HOUR)), None);
    let moved = FleetRow { announced: Some(at(after(HOUR))), ..fleet };
    assert_eq!(said(&moved, 0, long_ago, after(2 * HOUR)), None, "each tries once an hour");
    assert_eq!(said(&moved, 0, long_ago, after(2 * HOUR + 901)), Some(Level::Urgent));
    assert_eq!(said(&moved, 3, long_ago, after(2 * HOUR + 901)), None);
    let said = nobody(&moved, 0, long_ago, at(after(3 * HOUR))).unwrap();
    assert_eq!(said.since, Some(at(after(HOUR))));
    assert!(said.message.contains("none of 3 enrolled computers"), "{}", said.message);
}

#[test]
fn who_is_refused_after_a_restore_is_named_until_it_is_answered() {
    let now = at(10 * HOUR);
    let recent = 10 * HOUR - 600;
    assert_eq!(refused(&[], now), None);
    let displaced = refusal(ProblemCode::Displaced, recent, Some("pc-1"));
    let said = refused(std::slice::from_ref(&displaced), now).unwrap();
    assert!(said.message.starts_with("1 computer was refused") && said.message.contains("(pc-1; displaced)"));
    assert_eq!((said.names, said.since), (vec!["pc-1".to_owned()], Some(at(recent))));
    let answered = RefusalRow { answered: Some(at(recent + 5)), ..displaced.clone() };
    assert_eq!(refused(&[answered], now), None, "it went on in the same minute");
    let old = RefusalRow { minute: at(6 * HOUR), ..displaced };
    assert_eq!(refused(&[old], now), None);
    let lost = |minute| refusal(ProblemCode::UnknownComputer, minute, None);
    assert_eq!(refused(&[lost(recent)], now), None, "once is how one comes back that the ledger lost");
    let said = refused(&[lost(recent), lost(recent - 3600)], now).unwrap();
    assert_eq!(said.names, ["192.0.2.7"]);
    let stranger = refusal(ProblemCode::Unauthenticated, recent, Some("pc-1"));
    assert_eq!(refused(&[stranger], now), None);
}

#[test]
fn refusals_are_said_when_they_are_many_and_many_more_than_before() {
    let now = at(30 * HOUR);
    let many = |count, minute| RefusalRow { count, ..refusal(ProblemCode::Unauthenticated, minute, None) };
    let last = 30 * HOUR - 600;
    assert_eq!(rising(&[many(99, last)], now), None);
    let said = rising(&[many(500, last)], now).unwrap();
    assert_eq!((said.count.unwrap().number, said.count.unwrap().unit), (500, Unit::Requests));
    assert!(said.message.contains("500 of them with unauthenticated from 192.0.2.7"), "{}", said.message);
    let hours: Vec<RefusalRow> = (2..20).map(|hour| many(200, (30 - hour) * HOUR)).collect();
    let with = |count| [vec![many(count, last)], hours.clone()].concat();
    assert_eq!(rising(&with(700), now), None, "that is what this site is used to");
    assert!(rising(&with(900), now).is_some());
}
