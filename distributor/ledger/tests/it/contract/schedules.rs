//! Contracts of installs at a time: of many programs one begins, what is planned outlives a restart, and is gone with its computer.

use futures_util::future::join_all;
use sealpost_ledger::Ledger;
use sealpost_manifests::wire::problem::ProblemCode;
use sealpost_site::commands::clients::{ClaimInstall, LoadSchedule, NoteInstall, PlanInstall, ScheduleFacts};
use sealpost_site::queries::{ClientLineByName, Schedules};
use sealpost_site::rules::schedule::{InstallOutcome, Schedule, SshAccess};
use sealpost_site::rules::standing::ComputerState;
use sealpost_test_support::world::{World, admin, computer_name};

use crate::bench::Bench;
use crate::fixture::{WorldExt, refused, sound};

async fn facts(ledger: &Ledger) -> ScheduleFacts {
    ledger.query(LoadSchedule { name: computer_name("pc-1") }).await.unwrap()
}

async fn state(world: &World, ledger: &Ledger, seconds: i64) -> ComputerState {
    let row = ledger.query(ClientLineByName { name: computer_name("pc-1") }).await.unwrap().unwrap();
    row.state(ledger.outages(), world.at(seconds))
}

pub(super) async fn of_many_programs_one_begins_an_install_and_its_plan_is_gone_with_the_computer(
    world: &World,
    bench: &dyn Bench,
) {
    let ledger = bench.open();
    world.unlock(&ledger, 5).await;
    assert_eq!(facts(&ledger).await, ScheduleFacts::default());
    let computer = world.reserved(&ledger, "pc-1").await;
    let name = computer.name.clone();
    let ssh = SshAccess {
        target: "root@pc-1".parse().unwrap(),
        host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5".parse().unwrap(),
        sudo: false,
    };
    let schedule = Schedule { at: world.at(100), ssh: Some(ssh) };
    let plan = PlanInstall { actor: admin(), name: name.clone(), schedule: schedule.clone() };
    ledger.execute(world.at(10), plan.clone()).await.unwrap();
    ledger.execute(world.at(11), plan).await.unwrap();
    assert_eq!(state(world, &ledger, 12).await, ComputerState::Scheduled);

    let claim = || ledger.execute(world.at(100), ClaimInstall { actor: admin(), name: name.clone() });
    let claims = join_all((0..20).map(|_| claim())).await;
    let (begun, others): (Vec<_>, Vec<_>) = claims.into_iter().partition(Result::is_ok);
    assert_eq!(begun.len(), 1, "one of twenty begins");
    assert_eq!(begun.into_iter().next().unwrap().unwrap().schedule, schedule);
    for other in others {
        assert_eq!(refused(other), ProblemCode::WrongState);
    }
    assert_eq!(state(world, &ledger, 101).await, ComputerState::Installing);
    ledger.close().await.unwrap();
    drop(ledger);

    let ledger = bench.open();
    assert_eq!(state(world, &ledger, 101).await, ComputerState::Installing);
    let note = |attempt, outcome| NoteInstall {
        actor: admin(),
        name: name.clone(),
        attempt,
        outcome,
        reason: "no route".to_owned(),
    };
    let other = ledger.execute(world.at(102), note(2, InstallOutcome::Failed)).await;
    assert_eq!(refused(other), ProblemCode::WrongState);
    ledger.execute(world.at(102), note(1, InstallOutcome::Unreachable)).await.unwrap();
    assert_eq!(state(world, &ledger, 103).await, ComputerState::Failed);
    let planned = ledger.query(Schedules { after: None, limit: 9 }).await.unwrap();
    assert_eq!(planned[0].tried.as_ref().unwrap().reason, "no route");
    assert_eq!(facts(&ledger).await.planned.as_ref(), planned.first());

    let again = ledger.execute(world.at(104), ClaimInstall { actor: admin(), name: name.clone() }).await;
    assert_eq!(again.unwrap().attempt, 2);
    world.enrolls(&ledger, &computer).await.unwrap();
    assert_eq!(facts(&ledger).await, ScheduleFacts { reserved: true, enrolled: true, planned: None });
    assert_eq!(state(world, &ledger, 105).await, ComputerState::Active);
    ledger.execute(world.at(106), note(2, InstallOutcome::Installed)).await.unwrap();
    sound(&ledger).await;
}
