use jiff::SignedDuration;
use sealpost_keys::{KeyId, PublicKey};
use sealpost_manifests::ids::ServerId;
use sealpost_manifests::log::Frontier;

use super::*;
use crate::commands::Terms;
use crate::rows::{ServerIdentity, TriedRow};
use crate::rules::rollouts::outages::Outages;
use crate::rules::schedule::SshAccess;

fn at(minutes: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
}

fn name() -> ComputerName {
    ComputerName::new("pc-1").unwrap()
}

fn actor() -> Actor {
    Actor::socket("alice")
}

fn schedule(minute: i64) -> Schedule {
    let ssh = SshAccess {
        target: "root@pc-1.example".parse().unwrap(),
        host_key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5".parse().unwrap(),
        sudo: true,
    };
    Schedule { at: at(minute), ssh: Some(ssh) }
}

fn facts(planned: Option<(Schedule, Option<TriedRow>)>) -> ScheduleFacts {
    let row = |(schedule, tried)| ScheduleRow {
        name: name(),
        schedule,
        planned_at: at(0),
        planned_by: actor(),
        tried,
    };
    ScheduleFacts { reserved: true, enrolled: false, planned: planned.map(row) }
}

fn tried(attempt: u32, outcome: InstallOutcome, minute: i64) -> Option<TriedRow> {
    Some(TriedRow { attempt, outcome, reason: String::new(), at: at(minute) })
}

fn decide<C: Command>(minute: i64, command: C, facts: <C::Facts as Query>::Answer) -> Decision<C::Answer> {
    let key = PublicKey::new(KeyId::from_bytes([1; 8]), [1; 32]);
    let server = ServerIdentity { server_id: ServerId::of_site_key(&key), site_key: key };
    let context = Context {
        now: at(minute),
        server: &server,
        terms: &Terms::default(),
        log: &Frontier::empty(),
        outages: Outages::none(),
    };
    command.decide(facts, &context)
}

fn refusal<T: std::fmt::Debug>(decision: Decision<T>) -> Problem {
    assert!(decision.changes.is_empty() && decision.notes.is_empty());
    decision.answer.unwrap_err()
}

fn plans(facts: ScheduleFacts, minute: i64, at_minute: i64) -> Decision<()> {
    decide(minute, PlanInstall { actor: actor(), name: name(), schedule: schedule(at_minute) }, facts)
}

fn claims(facts: ScheduleFacts, minute: i64) -> Decision<Claimed> {
    decide(minute, ClaimInstall { actor: actor(), name: name() }, facts)
}

fn notes(facts: ScheduleFacts, attempt: u32, outcome: InstallOutcome, reason: &str) -> Decision<()> {
    let reason = reason.to_owned();
    decide(10, NoteInstall { actor: actor(), name: name(), attempt, outcome, reason }, facts)
}

#[test]
fn an_install_is_planned_for_a_name_with_a_seat_and_without_a_computer_and_once() {
    let planned = plans(facts(None), 0, 100);
    let [(_, Change::ScheduleChanged(changed))] = planned.changes.as_slice() else { panic!("{planned:?}") };
    assert_eq!(changed.schedule, Some(schedule(100)));
    assert!(plans(facts(None), 900, 100).answer.is_ok(), "a time that is over is due at once");

    let again = plans(facts(Some((schedule(100), tried(1, InstallOutcome::Failed, 100)))), 101, 100);
    assert!(again.answer.is_ok() && again.changes.is_empty(), "the same again changes nothing");
    let anew = plans(facts(Some((schedule(100), tried(1, InstallOutcome::Failed, 100)))), 101, 101);
    assert_eq!(anew.changes.len(), 1);

    let typed = Schedule { at: at(100) + SignedDuration::from_nanos(987_654_321), ..schedule(100) };
    let typed = PlanInstall { actor: actor(), name: name(), schedule: typed };
    let again = decide(0, typed, facts(Some((schedule(100), None))));
    assert!(again.answer.is_ok() && again.changes.is_empty(), "a part of a second is nothing");

    let nobody = refusal(plans(ScheduleFacts::default(), 0, 100));
    assert_eq!(nobody.code, ProblemCode::NotReserved);
    let enrolled = refusal(plans(ScheduleFacts { enrolled: true, ..facts(None) }, 0, 100));
    assert!(enrolled.code == ProblemCode::WrongState && enrolled.hint.contains("--installer"), "{enrolled}");
    let started = || facts(Some((schedule(100), tried(1, InstallOutcome::Started, 100))));
    // Planned anew it could be begun a second time while the first goes on.
    assert_eq!(refusal(plans(started(), 129, 101)).code, ProblemCode::WrongState);
    assert_eq!(plans(started(), 130, 101).changes.len(), 1);
}

#[test]
fn an_install_is_called_off_while_none_goes_on_and_off_again_changes_nothing() {
    let off = |minute, facts| decide(minute, CallOff { actor: actor(), name: name() }, facts);
    let called = off(0, facts(Some((schedule(100), None))));
    let [(_, Change::ScheduleChanged(changed))] = called.changes.as_slice() else { panic!("{called:?}") };
    assert_eq!(changed.schedule, None);
    assert!(off(0, facts(None)).changes.is_empty());
    assert_eq!(refusal(off(0, ScheduleFacts::default())).code, ProblemCode::NotReserved);
    let started = facts(Some((schedule(100), tried(1, InstallOutcome::Started, 100))));
    assert_eq!(refusal(off(110, started)).code, ProblemCode::WrongState);
}

#[test]
fn a_try_is_begun_by_one_and_says_what_is_planned() {
    let claimed = claims(facts(Some((schedule(100), None))), 100);
    assert_eq!(claimed.answer, Ok(Claimed { attempt: 1, schedule: schedule(100) }));
    let [(_, Change::InstallTried(begun))] = claimed.changes.as_slice() else {
        panic!("{:?}", claimed.changes)
    };
    assert_eq!((begun.attempt, begun.outcome), (1, InstallOutcome::Started));

    let carried = Schedule { ssh: None, ..schedule(100) };
    let started = (schedule(100), tried(1, InstallOutcome::Started, 100));
    for (what, facts, minute, code) in [
        ("no seat", ScheduleFacts::default(), 100, ProblemCode::NotReserved),
        ("nothing is planned", facts(None), 100, ProblemCode::WrongState),
        ("not yet", facts(Some((schedule(100), None))), 99, ProblemCode::WrongState),
        ("carried", facts(Some((carried, None))), 100, ProblemCode::WrongState),
        ("it goes on", facts(Some(started.clone())), 129, ProblemCode::WrongState),
        ("enrolled", ScheduleFacts { enrolled: true, ..facts(None) }, 100, ProblemCode::WrongState),
    ] {
        assert_eq!(refusal(claims(facts, minute)).code, code, "{what}");
    }
    let again = claims(facts(Some(started)), 130);
    assert_eq!(again.answer.map(|claimed| claimed.attempt), Ok(2), "whoever ran it did not report");
}

#[test]
fn a_report_is_noted_once_bounded_and_harmless() {
    let started = || facts(Some((schedule(0), tried(2, InstallOutcome::Started, 1))));
    let reason = format!("sudo: a password is required\u{1b}[2J{}", "x".repeat(900));
    let noted = notes(started(), 2, InstallOutcome::Failed, &reason);
    let [(_, Change::InstallTried(said))] = noted.changes.as_slice() else { panic!("{:?}", noted.changes) };
    assert_eq!(said.reason.chars().count(), MAX_REASON_CHARS);
    assert!(said.reason.starts_with("sudo: a password is required\\u{1b}[2J"), "{}", said.reason);

    for attempt in [0, 1, 3] {
        assert_eq!(
            refusal(notes(started(), attempt, InstallOutcome::Installed, "")).code,
            ProblemCode::WrongState
        );
    }
    refusal(notes(started(), 2, InstallOutcome::Started, ""));
    let failed = facts(Some((schedule(0), tried(2, InstallOutcome::Failed, 1))));
    let again = notes(failed, 2, InstallOutcome::Failed, "");
    assert!(again.answer.is_ok() && again.changes.is_empty());
    let enrolled = ScheduleFacts { enrolled: true, ..facts(None) };
    assert_eq!(notes(enrolled, 2, InstallOutcome::Installed, "").changes.len(), 1);
    refusal(notes(facts(None), 2, InstallOutcome::Installed, ""));
    assert_eq!(
        refusal(notes(ScheduleFacts::default(), 2, InstallOutcome::Installed, "")).code,
        ProblemCode::NotReserved
    );
}
