//! A product that could not be started: that is a state, no sentence says that it runs, and a start that succeeds ends it.

use std::fs;
use std::path::PathBuf;

use sealpost_manifests::wire::contact::DriftKind;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode, Report};
use sealpost_test_support::folders::write_executable;

use super::fixture::{Computer, ONE, Published, TWO, package, reason};
use crate::domain::not_started::NotStarted;
use crate::flows::drift;
use crate::flows::install::ChangeEnd;
use crate::flows::rollback::answer;
use crate::flows::start_again::{Starts, down, next_try, start_again};
use crate::flows::status;
use crate::spool::Spool;

/// A computer whose product runs, and whose start hook does not succeed any more; the hook as it was.
fn broken_start() -> (Computer, Published, String) {
    let computer = Computer::new();
    let mut one = computer.publish("1", 1, ONE);
    assert_eq!(computer.install(&mut one, 0).unwrap(), ChangeEnd::Kept);
    let hook = start_hook(&computer);
    let good = fs::read_to_string(&hook).unwrap();
    write_executable(&hook, "#!/bin/sh\necho the port is taken\nexit 3\n").unwrap();
    (computer, one, good)
}

fn start_hook(computer: &Computer) -> PathBuf {
    computer.root.path().join("start")
}

fn state(computer: &Computer) -> NotStarted {
    computer.record().not_started.expect("the product could not be started")
}

fn assert_is_down(computer: &Computer, one: &Published, what: &str) {
    assert_eq!(computer.current_and_running().1, None, "{what}");
    let state = state(computer);
    assert_eq!(state.release, one.manifest.release, "{what}");
    assert!(state.why.detail.contains("the port is taken"), "{what}: {state:?}");
    let down: Vec<_> = down(&computer.host).unwrap().into_iter().map(|(package, _)| package).collect();
    let told = drift::reported(&[], &down);
    assert!(told.iter().any(|told| told.kind == DriftKind::NotStarted), "{what}");
}

fn reports(computer: &Computer) -> Vec<Report> {
    Spool::open(&computer.host.home).unwrap().batch(0)
}

#[test]
fn a_product_that_could_not_be_started_again_is_never_said_to_run() {
    let (computer, one, good) = broken_start();
    let mut two = computer.publish("2", 2, TWO);
    let ended = computer.install(&mut two, 0).unwrap();
    assert!(matches!(&ended, ChangeEnd::Down(_)), "{ended:?}");
    assert_is_down(&computer, &one, "installed");
    let last = reports(&computer).pop().unwrap();
    assert_eq!(
        (last.step, last.outcome, last.reason),
        (InstallStep::RollBack, Outcome::Failed, ReasonCode::HookFailed)
    );
    assert!(last.detail.contains("does NOT run") && last.detail.contains("the port is taken"), "{last:?}");
    let status = status::read(&computer.host);
    let text = status.to_text();
    assert!(text.contains("runs nothing") && text.contains("the port is taken"), "{text}");
    assert!(status.problems.iter().any(|problem| problem.code == status::ProblemKind::NotStarted));
    assert_eq!(status.packages[0].installed.as_deref(), Some("1"));
    // It is tried again by itself once its pause is over, and at once at a start of the agent.
    start_again(&computer.host, Starts::Due);
    assert_eq!(state(&computer).tries, 1, "its pause is not over");
    start_again(&computer.host, Starts::All);
    assert_eq!(state(&computer).tries, 2);
    assert!(next_try(&computer.host).unwrap() > computer.host.now());
    write_executable(&start_hook(&computer), good).unwrap();
    start_again(&computer.host, Starts::All);
    computer.assert_runs(&one, "started");
    assert_eq!((computer.record().not_started, next_try(&computer.host)), (None, None));
    assert!(status::read(&computer.host).to_text().contains("runs 1, "));
}

#[test]
fn a_later_release_that_starts_ends_the_state_and_one_that_does_not_keeps_it() {
    let (computer, one, good) = broken_start();
    let mut two = computer.publish("2", 2, TWO);
    computer.install(&mut two, 0).unwrap();
    let mut three = computer.publish("3", 3, "loadable three");
    assert!(matches!(computer.install(&mut three, 0).unwrap(), ChangeEnd::Down(_)));
    assert_is_down(&computer, &one, "after two releases");
    assert_eq!(state(&computer).tries, 2);
    write_executable(&start_hook(&computer), good).unwrap();
    let mut four = computer.publish("4", 4, "loadable four");
    assert_eq!(computer.install(&mut four, 0).unwrap(), ChangeEnd::Kept);
    computer.assert_runs(&four, "a later release");
    assert_eq!(computer.record().not_started, None);
}

#[test]
fn a_stop_that_was_interrupted_and_a_start_that_fails_is_the_same_state() {
    let (computer, one, good) = broken_start();
    *computer.kill.0.lock().unwrap() = Some("before-stopped".to_owned());
    let mut two = computer.publish("2", 2, TWO);
    assert!(computer.install(&mut two, 0).is_err_and(|error| error.is_killed()));
    assert!(matches!(computer.recover(), Some(ChangeEnd::Down(_))));
    assert_is_down(&computer, &one, "recovered");
    write_executable(&start_hook(&computer), good).unwrap();
    start_again(&computer.host, Starts::All);
    computer.assert_runs(&one, "started");
}

#[test]
fn a_kill_between_a_start_that_failed_and_its_record_loses_nothing() {
    for point in ["before-restored", "after-restored", "before-cleared"] {
        let (computer, one, _) = broken_start();
        *computer.kill.0.lock().unwrap() = Some(point.to_owned());
        let mut two = computer.publish("2", 2, TWO);
        assert!(computer.install(&mut two, 0).is_err_and(|error| error.is_killed()), "{point}");
        assert!(matches!(computer.recover(), Some(ChangeEnd::Down(_))), "{point}");
        assert_is_down(&computer, &one, point);
    }
}

#[test]
fn a_rollback_by_hand_that_leaves_the_product_stopped_says_so() {
    let computer = Computer::new();
    let (mut one, mut two) = (computer.publish("1", 1, ONE), computer.publish("2", 2, TWO));
    computer.install(&mut one, 0).unwrap();
    computer.install(&mut two, 0).unwrap();
    write_executable(&start_hook(&computer), "#!/bin/sh\necho the port is taken\nexit 3\n").unwrap();
    let ended = computer.with_engine(|engine| engine.roll_back(&package())).unwrap();
    assert_eq!(reason(&ended), ReasonCode::HookFailed);
    let said = answer(&package(), &ended).lines.join(" ");
    assert!(said.contains("does NOT run") && said.contains("the port is taken"), "{said}");
    assert_is_down(&computer, &two, "rolled back by hand");
}

#[test]
fn a_product_whose_link_leads_elsewhere_is_not_started_as_something_else() {
    let (computer, _, good) = broken_start();
    let mut two = computer.publish("2", 2, TWO);
    computer.install(&mut two, 0).unwrap();
    write_executable(&start_hook(&computer), good).unwrap();
    computer.slots().switch(None).unwrap();
    start_again(&computer.host, Starts::All);
    let why = state(&computer).why;
    assert_eq!(why.reason, ReasonCode::LocalFault);
    assert!(why.detail.contains("`agent-updater repair acme`"), "{why:?}");
    assert_eq!(computer.current_and_running().1, None);
}
