//! What goes out ring by ring: how far, to how many at once, what stops it, and what people do with it.

use std::sync::Arc;

use sealpost_manifests::ids::ComputerName;
use sealpost_manifests::release::PackageKind;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_manifests::wire::report::{InstallStep, ReasonCode};
use sealpost_site::commands::releases::StageRelease;
use sealpost_site::commands::rollouts::{Steer, SteerRollout};
use sealpost_site::commands::settings::LoadPlan;
use sealpost_site::commands::undoing::{HaltRelease, RetryRelease, WhoRunsIt};
use sealpost_site::queries::{DeliveriesOf, ExplainClient};
use sealpost_site::rows::DeliveryRow;
use sealpost_site::rules::explain::explain_client;
use sealpost_site::rules::release::ReleaseState;
use sealpost_site::rules::rollouts::progress::{RolloutState, Waiting};
use sealpost_site::rules::rollouts::settings::SettingKind;
use sealpost_site::rules::rollouts::strategy::Takes;
use sealpost_test_support::world::{World, admin, reconsider, withdraw};

use super::rolling::{Rolling, changes, counted, rollout, setting, word};
use crate::bench::Bench;
use crate::fixture::{WorldExt, client, entries_of, refused, release, sound, unchanged};

const HOUR: i64 = 3600;

fn steer(number: u64, what: Steer) -> SteerRollout {
    SteerRollout { actor: admin(), number, what, comment: "a look".to_owned(), confirms: None }
}

pub(super) async fn a_staged_rollout_goes_ring_by_ring(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 6).await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    fleet.run(&ledger, &old, 10).await;
    fleet.approve(&ledger, 2, "rings").await;
    // Until somebody looked at all computers, nobody knows which one is the canary.
    let waits = fleet.advance_blindly(&ledger, 20).await;
    assert_eq!(waits.waiting[&fleet.number], Waiting::Survey);
    assert!(!fleet.is_told(&ledger, 0, 21).await, "no ring is open");

    assert!(fleet.advance(&ledger, 30, 0).await.opened);
    for late in [5, 1, 0] {
        assert_eq!(fleet.is_told(&ledger, late, 31).await, late == 0, "computer {late}");
    }
    let told = fleet.computers[0].assignment.clone().unwrap();
    assert_eq!(told.packages[0].ring.as_deref(), Some("canary"));
    assert_eq!(told.packages[0].rollout, fleet.number);
    // A computer that was told is not told again, and a quiet contact logs nothing.
    let before = ledger.head().size;
    assert!(!fleet.is_told(&ledger, 0, 32).await);
    unchanged(&ledger, before);

    fleet.succeeds(&ledger, 0, 40).await;
    let half = fleet.advance(&ledger, 50, 30).await;
    assert!(matches!(half.waiting[&fleet.number], Waiting::Soak { ring: 0, .. }), "{half:?}");
    assert!(!fleet.is_told(&ledger, 1, 51).await);
    assert!(fleet.advance(&ledger, 60, 30).await.opened, "it was watched for an hour");
    for other in 1..6 {
        assert_eq!(fleet.is_told(&ledger, other, 61).await, other < 3, "computer {other}");
    }
    // The ring is empty of answers: time alone opens nothing.
    let waits = fleet.advance(&ledger, 70, 600).await;
    assert!(
        matches!(waits.waiting[&fleet.number], Waiting::Sample { ring: 1, finished: 0, .. }),
        "{waits:?}"
    );
    for early in [1, 2] {
        fleet.succeeds(&ledger, early, 80).await;
    }
    assert!(!fleet.advance(&ledger, 90, 0).await.opened, "it is watched from the first install on");
    assert!(fleet.advance(&ledger, 91, 240).await.opened);
    for other in 3..6 {
        fleet.succeeds(&ledger, other, 100).await;
    }
    // Nothing is replaced before every computer gets it.
    assert_eq!(release(&ledger, old.manifest).await.state, ReleaseState::Approved);
    assert!(fleet.advance(&ledger, 110, 60).await.opened);
    let done = rollout(&ledger, fleet.number).await;
    let succeeded: u64 = done.rings.iter().map(|ring| ring.counts.succeeded).sum();
    assert_eq!((done.state, succeeded), (RolloutState::Completed, 6));
    assert_eq!(release(&ledger, old.manifest).await.state, ReleaseState::Superseded);
    // It is a reconciler: again, and nothing is written.
    let before = ledger.head().size;
    fleet.advance(&ledger, 120, 60).await;
    unchanged(&ledger, before);
    counted(&ledger).await;
    sound(&ledger).await;
    ledger.close().await.unwrap();
    // All of it is there after a start.
    let ledger = bench.open();
    assert_eq!(rollout(&ledger, fleet.number).await, done);
}

pub(super) async fn a_cap_is_exact_when_many_contacts_come_at_once(world: &World, bench: &dyn Bench) {
    let ledger = Arc::new(bench.open());
    let mut fleet = Rolling::new(world, &ledger, 20).await;
    fleet.approve(&ledger, 1, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    let contacts: Vec<_> = fleet
        .computers
        .iter()
        .map(|computer| {
            let (ledger, now, contact) = (Arc::clone(&ledger), world.at(30), world.answer(computer));
            tokio::spawn(async move {
                (contact.contact.next.clone(), ledger.execute(now, contact).await.unwrap())
            })
        })
        .collect();
    for (computer, answer) in fleet.computers.iter_mut().zip(contacts) {
        let (next, outcome) = answer.await.unwrap();
        computer.answered(next, &outcome);
    }
    let told: Vec<usize> = (0..20).filter(|at| fleet.holds(*at)).collect();
    assert_eq!(told.len(), 3);
    assert_eq!(rollout(&ledger, fleet.number).await.rings[0].counts.told, 3);
    // Whoever finishes makes room for one.
    fleet.succeeds(&ledger, told[0], 40).await;
    let mut next = 0;
    for at in (0..20).filter(|at| !told.contains(at)) {
        next += usize::from(fleet.is_told(&ledger, at, 41).await);
    }
    assert_eq!(next, 1);
    let waits = fleet.advance(&ledger, 50, 600).await;
    assert!(matches!(waits.waiting[&fleet.number], Waiting::Capped { waiting: 16, .. }), "{waits:?}");
    counted(&ledger).await;
}

pub(super) async fn so_many_are_told_in_one_hour_of_the_clock(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 7).await;
    fleet.approve(&ledger, 1, "hourly").await;
    fleet.advance(&ledger, 20, 0).await;
    // The world begins at a full hour.
    let hours = [(100, 2), (HOUR - 900, 2), (HOUR, 4), (2 * HOUR, 6), (2 * HOUR + 900, 6), (3 * HOUR, 7)];
    for (seconds, together) in hours {
        for at in 0..7 {
            if !fleet.holds(at) && fleet.is_told(&ledger, at, seconds).await {
                fleet.succeeds(&ledger, at, seconds).await;
            }
        }
        let told = (0..7).filter(|at| fleet.holds(*at)).count();
        assert_eq!(told, together, "at {seconds} s");
    }
    counted(&ledger).await;
}

pub(super) async fn what_a_person_does_with_a_rollout_is_done_once(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 4).await;
    fleet.approve(&ledger, 1, "rings").await;
    fleet.advance(&ledger, 20, 0).await;
    assert!(fleet.is_told(&ledger, 0, 21).await);
    let number = fleet.number;
    let does = async |what: Steer| ledger.execute(world.at(30), steer(number, what)).await;
    let twice = async |what: Steer, kind: &str| {
        let before = entries_of(&ledger, kind).await.len();
        does(what.clone()).await.unwrap();
        does(what).await.unwrap();
        assert_eq!(entries_of(&ledger, kind).await.len(), before + 1, "{kind}");
    };
    twice(Steer::Pause, "rollout_paused").await;
    assert_eq!(rollout(&ledger, number).await.state, RolloutState::Paused);
    let waits = fleet.advance(&ledger, 31, 600).await;
    assert_eq!(waits.waiting[&number], Waiting::Person);
    let next = |ring| Steer::Next { ring, populations: Some(fleet.populations(0)) };
    assert_eq!(refused(does(next(1)).await), ProblemCode::WrongState, "it is paused");
    twice(Steer::Resume, "rollout_resumed").await;
    // Two admins who press at once open one ring, and who looked before that does not open a second one.
    let (one, other) = tokio::join!(does(next(1)), does(next(1)));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(entries_of(&ledger, "ring_opened").await.len(), 2);
    assert_eq!(rollout(&ledger, number).await.current_ring(), Some(1));
    does(next(1)).await.unwrap();
    assert_eq!(entries_of(&ledger, "ring_opened").await.len(), 2);
    assert_eq!(refused(does(next(3)).await), ProblemCode::WrongState, "not the next one");
    let edit = Steer::Edit { strategy: word("slow-rings"), emergency: true };
    twice(edit, "rollout_edited").await;
    let edited = rollout(&ledger, number).await;
    // An open ring keeps whom it takes, and goes by the new numbers of the ring of its name.
    let canary = &edited.strategy.rings()[0];
    assert_eq!((canary.soak_minutes, &canary.takes), (600, &Takes::First(1)));
    assert_eq!((edited.current_ring(), edited.emergency, edited.rings[0].counts.told), (Some(1), true, 1));
    let unknown = Steer::Edit { strategy: word("nobody-made-it"), emergency: false };
    assert_eq!(refused(does(unknown).await), ProblemCode::NotFound);
    twice(Steer::Abort { roll_back: false }, "release_halted").await;
    assert_eq!(rollout(&ledger, number).await.state, RolloutState::Aborted);
    assert_eq!(release(&ledger, fleet.row.manifest).await.state, ReleaseState::Halted);
    for what in [Steer::Resume, Steer::Pause, next(2)] {
        assert_eq!(refused(does(what).await), ProblemCode::WrongState);
    }
    assert_eq!(
        refused(ledger.execute(world.at(40), steer(4_711, Steer::Pause)).await),
        ProblemCode::NotFound
    );
    let silent = SteerRollout { comment: " ".to_owned(), ..steer(number, Steer::Pause) };
    assert_eq!(refused(ledger.execute(world.at(40), silent).await), ProblemCode::BadRequest);
    counted(&ledger).await;
    sound(&ledger).await;
}

pub(super) async fn a_computer_that_is_stopped_in_a_download_halts_no_rollout(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 3).await;
    fleet.approve(&ledger, 2, "rings").await;
    fleet.advance(&ledger, 20, 0).await;
    assert!(fleet.is_told(&ledger, 0, 21).await);
    let stops = [
        (InstallStep::Download, ReasonCode::Interrupted),
        (InstallStep::Download, ReasonCode::NetworkFailed),
        (InstallStep::Build, ReasonCode::Interrupted),
    ];
    for (seconds, stop) in (22..).zip(stops) {
        fleet.is_stopped(&ledger, 0, seconds, stop).await;
        assert!(fleet.advance(&ledger, seconds, 0).await.halted.is_empty(), "{stop:?}");
        let counts = rollout(&ledger, fleet.number).await.rings[0].counts;
        assert_eq!((counts.begun, counts.failed, counts.told), (1, 0, 0), "{stop:?}");
        assert!(fleet.holds(0), "it goes on with it");
    }
    fleet.succeeds(&ledger, 0, 30).await;
    // What arrives after the end says nothing new, and a real failure still is one.
    fleet.is_stopped(&ledger, 0, 31, stops[0]).await;
    assert_eq!(rollout(&ledger, fleet.number).await.rings[0].counts.succeeded, 1);
    fleet.fails(&ledger, 0, 32).await;
    assert_eq!(fleet.advance(&ledger, 33, 0).await.halted, [fleet.number]);
    counted(&ledger).await;
    sound(&ledger).await;
}

pub(super) async fn past_its_threshold_a_rollout_halts_and_is_in_no_assignment(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 5).await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    fleet.run(&ledger, &old, 10).await;
    fleet.approve(&ledger, 2, "rings").await;
    fleet.advance(&ledger, 20, 0).await;
    assert!(fleet.is_told(&ledger, 0, 21).await);
    fleet.fails(&ledger, 0, 22).await;
    let halted = fleet.advance(&ledger, 30, 0).await;
    assert_eq!(halted.halted, [fleet.number]);
    let row = release(&ledger, fleet.row.manifest).await;
    assert_eq!((row.state, row.assigned, row.rollback), (ReleaseState::Halted, 0, true));
    assert!(row.reason.unwrap().contains("1 of 1 computers failed in the ring canary"));
    let name = fleet.computers[0].name.clone();
    assert!(client(&ledger, &name).await.assigned.iter().all(|told| told.manifest != row.manifest));
    // Nobody else was touched, and who failed is told the release before.
    for at in 0..5 {
        assert!(!fleet.is_told(&ledger, at, 31).await);
        assert_eq!(fleet.computers[at].assignment.as_ref().unwrap().packages[0].manifest, old.manifest);
    }
    // Who failed hears what became of it, and those who were never told it why they do not get it.
    for (at, expected) in [
        (0, "; it tried to install 2.0 (test_load refused at "),
        (0, "), which was halted by the server since "),
        (4, "; 2.0 was halted by the server since "),
    ] {
        let name = fleet.computers[at].name.clone();
        let facts = ledger.query(ExplainClient { name }).await.unwrap().unwrap();
        let said = explain_client(&facts, None, world.at(32));
        let sentence = &said.iter().find(|one| one.package.as_str() == "acme-av").unwrap().sentence;
        assert!(sentence.contains(" as it should; ") && sentence.contains(expected), "{sentence}");
        assert!(sentence.contains("1 of 1 computers failed in the ring canary"), "{sentence}");
        assert!(sentence.ends_with(&format!(": `distributor rollouts show {}`", fleet.number)), "{sentence}");
    }
    let stopped = rollout(&ledger, fleet.number).await;
    assert_eq!((stopped.state, stopped.rings[0].counts.failed), (RolloutState::Halted, 1));
    // Halted once; what a person forgives halts it no more.
    assert!(fleet.advance(&ledger, 32, 0).await.halted.is_empty());
    ledger.execute(world.at(33), steer(fleet.number, Steer::Resume)).await.unwrap();
    assert!(fleet.advance(&ledger, 34, 0).await.halted.is_empty());
    // Computers were told to go back, and take it again only in a later attempt.
    let resumed = release(&ledger, row.manifest).await;
    assert_eq!((resumed.state, resumed.attempt, resumed.rollback), (ReleaseState::Approved, 2, false));
    assert!(fleet.is_told(&ledger, 0, 35).await);
    assert_eq!(rollout(&ledger, fleet.number).await.rings[0].counts.forgiven, 0, "it is no failure any more");
    // What was forgiven before hides no new failure.
    fleet.fails(&ledger, 0, 36).await;
    assert_eq!(fleet.advance(&ledger, 37, 0).await.halted, [fleet.number]);
    ledger.execute(world.at(38), steer(fleet.number, Steer::Resume)).await.unwrap();
    assert_eq!(release(&ledger, row.manifest).await.attempt, 3);
    // A halt by hand is the same state.
    let halt = HaltRelease {
        actor: admin(),
        manifest: row.manifest,
        reason: "it is slow".to_owned(),
        runs: WhoRunsIt::Keeps,
    };
    ledger.execute(world.at(40), halt).await.unwrap();
    let stopped = rollout(&ledger, fleet.number).await;
    assert_eq!((stopped.state, stopped.changed.unwrap().why.as_str()), (RolloutState::Halted, "it is slow"));
    counted(&ledger).await;
    sound(&ledger).await;
}

pub(super) async fn who_is_silent_counts_as_failed_until_it_installs_after_all(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 3).await;
    fleet.approve(&ledger, 1, "rings").await;
    fleet.advance(&ledger, 20, 0).await;
    assert!(fleet.is_told(&ledger, 0, 100).await);
    // A day, as it is not known for a fortnight, and four hours. One on which a person puts it off is heard of all the same.
    let ends = 100 + 28 * HOUR;
    assert!(fleet.advance_watched(&ledger, ends - 900, 100).await.halted.is_empty());
    // A clock that is ahead makes nobody silent: the server has to have watched for as long.
    assert!(fleet.advance_watched(&ledger, ends + 900, 1).await.halted.is_empty());
    assert_eq!(rollout(&ledger, fleet.number).await.rings[0].counts.silent, 0);
    assert_eq!(fleet.advance_watched(&ledger, ends + 900, 100).await.halted, [fleet.number]);
    let counts = rollout(&ledger, fleet.number).await.rings[0].counts;
    assert_eq!((counts.silent, counts.told), (1, 0));
    counted(&ledger).await;
    // It was off, and installs what it was told when it comes back: the install worked.
    ledger.execute(world.at(ends + 1_000), steer(fleet.number, Steer::Resume)).await.unwrap();
    fleet.succeeds(&ledger, 0, ends + 1_010).await;
    let late = rollout(&ledger, fleet.number).await;
    let counts = late.rings[0].counts;
    assert_eq!((late.state, counts.failures(), counts.succeeded), (RolloutState::Running, 0, 1));
    counted(&ledger).await;
    // Also when it says only that it runs it, and the rollout is halted by then.
    let mut fleet = Rolling::with(world, fleet.row, fleet.computers);
    fleet.approve(&ledger, 2, "rings").await;
    fleet.advance(&ledger, ends + 1_020, 0).await;
    assert!(fleet.is_told(&ledger, 0, ends + 1_030).await);
    let later = ends + 1_030 + 90 * HOUR;
    assert_eq!(fleet.advance_watched(&ledger, later, 100).await.halted, [fleet.number]);
    fleet.runs_silently(&ledger, 0, later + 10).await;
    let counts = rollout(&ledger, fleet.number).await.rings[0].counts;
    assert_eq!((counts.failures(), counts.succeeded), (0, 1));
    counted(&ledger).await;
    sound(&ledger).await;
}

pub(super) async fn a_newer_rollout_that_passes_a_ring_takes_over_and_replaces_when_complete(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 4).await;
    let old = world.approved(&ledger, "acme-av", 1, &["stable"]).await;
    fleet.run(&ledger, &old, 10).await;
    fleet.approve(&ledger, 2, "rings").await;
    fleet.advance(&ledger, 20, 0).await;
    assert!(fleet.is_told(&ledger, 0, 21).await);
    let second = (fleet.number, fleet.row.clone());
    // The newer one begins: the canary gets it, and the older one goes on as long as that has passed no ring.
    fleet.approve(&ledger, 3, "rings").await;
    let waits = fleet.advance(&ledger, 30, 0).await;
    assert!(matches!(waits.waiting[&second.0], Waiting::Sample { finished: 0, .. }), "{waits:?}");
    assert!(fleet.is_told(&ledger, 0, 31).await);
    assert_eq!(rollout(&ledger, second.0).await.rings[0].counts.dropped, 1, "it was told something newer");
    fleet.succeeds(&ledger, 0, 32).await;
    let waits = fleet.advance(&ledger, 40, 60).await;
    assert_eq!(waits.waiting[&second.0], Waiting::Overtaken { by: fleet.number });
    ledger.execute(world.at(41), steer(second.0, Steer::Pause)).await.unwrap();
    for at in 1..4 {
        fleet.advance(&ledger, 50, 60).await;
        fleet.succeeds(&ledger, at, 51).await;
    }
    assert_eq!(release(&ledger, old.manifest).await.state, ReleaseState::Approved);
    for _ in 0..2 {
        fleet.advance(&ledger, 60, 60).await;
    }
    assert_eq!(rollout(&ledger, fleet.number).await.state, RolloutState::Completed);
    assert_eq!(rollout(&ledger, second.0).await.state, RolloutState::Superseded);
    for manifest in [old.manifest, second.1.manifest] {
        assert_eq!(release(&ledger, manifest).await.state, ReleaseState::Superseded);
    }
    // Taken back by the vendor: the one before is approved again, and its rollout goes on as it was, which is paused.
    ledger.execute(world.at(70), withdraw(fleet.row.manifest, "it crashes")).await.unwrap();
    assert_eq!(rollout(&ledger, fleet.number).await.state, RolloutState::Withdrawn);
    assert_eq!(rollout(&ledger, second.0).await.state, RolloutState::Paused);
    for manifest in [old.manifest, second.1.manifest] {
        assert_eq!(release(&ledger, manifest).await.state, ReleaseState::Approved);
    }
    let live = fleet.advance(&ledger, 71, 0).await.waiting;
    assert_eq!(live.keys().copied().collect::<Vec<u64>>(), [second.0]);
    counted(&ledger).await;
    sound(&ledger).await;
}

pub(super) async fn a_computer_that_is_set_up_again_keeps_its_ring_and_counts_once_more(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 3).await;
    fleet.approve(&ledger, 1, "rings").await;
    fleet.advance(&ledger, 20, 0).await;
    assert!(fleet.is_told(&ledger, 0, 21).await);
    let name: ComputerName = fleet.computers[0].name.clone();
    let mut again = world.computer(name.as_str()).with_setup(2);
    ledger.execute(world.at(22), again.issue_setup()).await.unwrap();
    again.enrolled(&world.enrolls(&ledger, &again).await.unwrap());
    fleet.computers[0] = again;
    let counts = rollout(&ledger, fleet.number).await.rings[0].counts;
    assert_eq!((counts.told, counts.dropped), (0, 1), "the one that was there works on nothing any more");
    assert!(fleet.is_told(&ledger, 0, 30).await);
    fleet.succeeds(&ledger, 0, 31).await;
    let counts = rollout(&ledger, fleet.number).await.rings[0].counts;
    assert_eq!((counts.succeeded, counts.dropped), (1, 1));
    counted(&ledger).await;
    sound(&ledger).await;
}

pub(super) async fn many_who_try_again_wait_behind_the_cap_of_their_ring(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 6).await;
    fleet.approve(&ledger, 1, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    for at in 0..6 {
        assert!(fleet.is_told(&ledger, at, 30).await, "{at}");
        fleet.fails(&ledger, at, 31).await;
    }
    let retry = RetryRelease {
        actor: admin(),
        manifest: fleet.row.manifest,
        names: Vec::new(),
        comment: "mended".to_owned(),
    };
    assert_eq!(ledger.execute(world.at(40), retry).await.unwrap().len(), 6);
    for at in 0..6 {
        fleet.is_told(&ledger, at, 41).await;
    }
    let begun: Vec<usize> = (0..6).filter(|at| fleet.holds(*at)).collect();
    assert_eq!(begun.len(), 3);
    assert_eq!(rollout(&ledger, fleet.number).await.rings[0].counts.under_way(), 3);
    for at in begun {
        fleet.succeeds(&ledger, at, 50).await;
    }
    for at in (0..6).filter(|at| !fleet.holds(*at)).collect::<Vec<_>>() {
        assert!(fleet.is_told(&ledger, at, 51).await, "{at}");
    }
    counted(&ledger).await;
    sound(&ledger).await;
}

pub(super) async fn who_has_a_delay_gets_what_was_newest_so_long_ago(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 1).await;
    let content = setting(SettingKind::Package, "acme-av", r#"{"content":{"delayed":24}}"#);
    ledger.execute(world.at(5), changes(vec![content])).await.unwrap();
    let mut revisions = Vec::new();
    for (counter, hour) in [(1, 0), (2, 10), (3, 20), (4, 30), (5, 100)] {
        let staged =
            StageRelease { kind: PackageKind::Signatures, ..world.staged("acme-av", counter, &["stable"]) };
        let approve = world.approve(staged.manifest);
        revisions.push(staged.manifest);
        ledger.execute(world.at(hour * HOUR + 6), staged).await.unwrap();
        ledger.execute(world.at(hour * HOUR + 7), approve).await.unwrap();
        // At each hour of the next day: what was newest a day ago.
        for now in [hour + 1, hour + 5, hour + 9] {
            let due =
                [(24, 0), (34, 1), (44, 2), (54, 3), (124, 4)].iter().rev().find(|(from, _)| *from <= now);
            world.contacts(&ledger, &mut fleet.computers[0], now * HOUR + 8).await;
            let assignment = fleet.computers[0].assignment.clone();
            let told = assignment.iter().flat_map(|assignment| &assignment.packages).next();
            let wanted = due.map(|(_, at)| revisions[*at]);
            assert_eq!(told.map(|told| told.manifest), wanted, "revision {counter}, hour {now}");
        }
    }
    let plan = ledger.query(LoadPlan {}).await.unwrap();
    let replaced: Vec<_> = plan.replaced.iter().map(|release| release.manifest).collect();
    assert_eq!(replaced, [revisions[3]], "no more than computers can still be told");
    sound(&ledger).await;
}

pub(super) async fn no_computer_of_a_rollout_is_left_out_between_two_pages(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 3).await;
    fleet.approve(&ledger, 1, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    for at in 0..3 {
        assert!(fleet.is_told(&ledger, at, 21).await);
    }
    let name = fleet.computers[1].name.clone();
    let mut again = world.computer(name.as_str()).with_setup(2);
    ledger.execute(world.at(22), again.issue_setup()).await.unwrap();
    again.enrolled(&world.enrolls(&ledger, &again).await.unwrap());
    fleet.computers[1] = again;
    assert!(fleet.is_told(&ledger, 1, 30).await);
    let all = DeliveriesOf { rollout: fleet.number, after: None, limit: 1_000 };
    let all = ledger.query(all).await.unwrap();
    assert_eq!(all.len(), 4);
    for limit in 1..5 {
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = DeliveriesOf { rollout: fleet.number, after: after.clone(), limit };
            let page = ledger.query(page).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            paged.extend(page);
        }
        assert_eq!(paged, all, "pages of {limit}");
    }
}

pub(super) async fn a_second_halt_says_nothing_of_the_rollout_that_was_halted_before(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 2).await;
    let halt = |manifest, reason: &str| HaltRelease {
        actor: admin(),
        manifest,
        reason: reason.to_owned(),
        runs: WhoRunsIt::Keeps,
    };
    fleet.approve(&ledger, 1, "three").await;
    let (first, manifest) = (fleet.number, fleet.row.manifest);
    ledger.execute(world.at(20), halt(manifest, "it is slow")).await.unwrap();
    ledger.execute(world.at(21), reconsider(manifest)).await.unwrap();
    ledger.execute(world.at(21), world.approve(manifest)).await.unwrap();
    let second = release(&ledger, manifest).await.rollout.unwrap();
    assert!(second > first);
    ledger.execute(world.at(22), halt(manifest, "it is loud")).await.unwrap();
    for (number, why) in [(first, "it is slow"), (second, "it is loud")] {
        let halted = rollout(&ledger, number).await;
        assert_eq!((halted.state, halted.changed.unwrap().why.as_str()), (RolloutState::Halted, why));
    }
    sound(&ledger).await;
}

pub(super) async fn who_starts_it_by_hand_is_told_and_takes_no_room_of_others(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 7).await;
    let group = |delivery: &str| {
        let json = format!(r#"{{"rule":{{"names":["pc-0","pc-1","pc-2","pc-3"]}},"delivery":"{delivery}"}}"#);
        setting(SettingKind::Group, "by-hand", &json)
    };
    ledger.execute(world.at(6), changes(vec![group("manual")])).await.unwrap();
    fleet.approve(&ledger, 1, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    for at in 0..7 {
        assert!(fleet.is_told(&ledger, at, 30).await, "{at}");
    }
    let counts = rollout(&ledger, fleet.number).await.rings[0].counts;
    assert_eq!((counts.offered, counts.told, counts.told_in_hour), (4, 3, 7));
    let told_at =
        |rows: Vec<DeliveryRow>| -> Vec<_> { rows.iter().map(|row| row.delivery.told_at).collect() };
    let number = fleet.number;
    let of = || DeliveriesOf { rollout: number, after: None, limit: 100 };
    let before = told_at(ledger.query(of()).await.unwrap());
    // Nobody starts it by hand any more: as many as there is room for begin, as if they had been told then.
    ledger.execute(world.at(40), changes(vec![group("push")])).await.unwrap();
    for at in 0..7 {
        if !fleet.is_by_hand(at) {
            fleet.succeeds(&ledger, at, 41).await;
        }
    }
    for at in 0..7 {
        world.contacts(&ledger, &mut fleet.computers[at], 42).await;
    }
    let counts = rollout(&ledger, fleet.number).await.rings[0].counts;
    assert_eq!((counts.offered, counts.told, counts.dropped, counts.succeeded), (0, 3, 1, 3));
    assert_eq!(counts.told_in_hour, 10, "three begin by themselves now");
    assert_eq!(told_at(ledger.query(of()).await.unwrap()), before, "deadlines count from the first time");
    counted(&ledger).await;
    sound(&ledger).await;
}

pub(super) async fn who_starts_it_by_hand_is_never_silent(world: &World, bench: &dyn Bench) {
    let ledger = bench.open();
    let mut fleet = Rolling::new(world, &ledger, 2).await;
    let by_hand = setting(SettingKind::Property, "delivery", "\"manual\"");
    ledger.execute(world.at(6), changes(vec![by_hand])).await.unwrap();
    fleet.approve(&ledger, 1, "three").await;
    fleet.advance(&ledger, 20, 0).await;
    for at in 0..2 {
        assert!(fleet.is_told(&ledger, at, 30).await, "{at}");
    }
    // A person may be on leave.
    assert!(fleet.finds_the_silent(&ledger, 40).await.halted.is_empty());
    let counts = rollout(&ledger, fleet.number).await.rings[0].counts;
    assert_eq!((counts.offered, counts.silent), (2, 0));
    let by_itself = setting(SettingKind::Property, "delivery", "\"push\"");
    ledger.execute(world.at(41), changes(vec![by_itself])).await.unwrap();
    assert!(fleet.is_told(&ledger, 0, 42).await);
    fleet.finds_the_silent(&ledger, 43).await;
    let counts = rollout(&ledger, fleet.number).await.rings[0].counts;
    assert_eq!((counts.offered, counts.silent), (1, 1), "who should have begun by itself");
    counted(&ledger).await;
}
