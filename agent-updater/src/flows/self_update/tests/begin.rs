//! What goes on trial, and what does not.

use std::fs;

use sealpost_manifests::assignment::{Action, PackageAssignment};
use sealpost_manifests::ids::PackageName;
use sealpost_manifests::wire::report::{InstallStep, Outcome, ReasonCode};
use sealpost_test_support::names::package;

use super::fixture::Computer;
use crate::domain::policy::Decision;
use crate::domain::record::Installed;
use crate::flows::install::{ChangeEnd, Terms};
use crate::flows::self_update::begin::unless_on_trial;

fn refused(end: ChangeEnd) -> ReasonCode {
    let ChangeEnd::Refused(refusal) = end else { panic!("{end:?}") };
    refusal.reason
}

#[test]
fn a_release_of_the_agent_goes_on_trial_beside_what_runs_and_changes_nothing_else() {
    let computer = Computer::new();
    let mut one = computer.publish("1.0", 1, "/bin/true");
    computer.on_trial(&mut one);
    let trial = computer.state().trial.unwrap();
    assert_eq!(trial.from, None);
    assert_eq!(trial.to.installed.manifest, one.signed.digest());
    assert_eq!(trial.to.path, computer.program("1.0"));
    assert_eq!(computer.slots().current().unwrap(), None, "nothing is current before it is confirmed");
    assert_eq!(computer.package().current, None);
    assert_eq!(computer.reports().last(), Some(&(InstallStep::Switch, Outcome::Ok, ReasonCode::Done)));
    // While it is on trial nothing else is done about the agent's package, and all about every other.
    for decision in [Decision::Install, Decision::RollBack] {
        let decided = |package: &PackageName| unless_on_trial(&computer.host, package, decision.clone());
        assert_eq!(decided(&PackageName::agent()), Decision::OnTrial);
        assert_eq!(decided(&package("acme")), decision);
    }
    assert_eq!(
        unless_on_trial(&computer.host, &PackageName::agent(), Decision::UpToDate),
        Decision::UpToDate
    );
    let mut two = computer.publish("2.0", 2, "/bin/true");
    assert_eq!(refused(computer.install(&mut two).unwrap()), ReasonCode::LocalFault);
    assert_eq!(computer.state().trial.unwrap().to.installed.manifest, one.signed.digest());
}

#[test]
fn a_program_that_does_not_start_is_given_up_before_it_touches_anything() {
    let script = b"#!/bin/sh\nexit 0\n".to_vec();
    let mut foreign = fs::read("/bin/true").unwrap();
    // The machine of an ELF header: one that no computer has.
    foreign[18..20].copy_from_slice(&[0xff, 0xfe]);
    for (what, program) in [
        ("not a program", b"text".to_vec()),
        ("a script", script),
        ("another architecture", foreign),
        ("ends with an error", fs::read("/bin/false").unwrap()),
    ] {
        let computer = Computer::new();
        let mut one = computer.publish_bytes("1.0", 1, &program);
        assert_eq!(refused(computer.install(&mut one).unwrap()), ReasonCode::AgentFailed, "{what}");
        assert_eq!(computer.state().trial, None, "{what}");
        assert_eq!(computer.slot_names(), [""; 0], "{what}");
        let given_up = computer.package().given_up;
        assert_eq!(given_up[0].manifest, one.signed.digest(), "{what}: not tried again at each contact");
        let told = (InstallStep::TestLoad, Outcome::Refused, ReasonCode::AgentFailed);
        assert_eq!(computer.reports().last(), Some(&told), "{what}");
    }
}

#[test]
fn a_release_that_is_older_than_the_packaged_program_is_refused_before_it_is_fetched() {
    let computer = Computer::new();
    let mut old = computer.publish("0.0.9", 1, "/bin/true");
    assert_eq!(refused(computer.install(&mut old).unwrap()), ReasonCode::ReleaseTooOld);
    assert_eq!(computer.slot_names(), [""; 0]);
    assert!(computer.package().given_up.is_empty(), "a later start of another program may want it");
}

#[test]
fn going_back_on_request_is_a_trial_too() {
    for action in [Action::Install, Action::Rollback] {
        let computer = Computer::new();
        computer.runs(&mut computer.publish("1.0", 1, "/bin/true"));
        computer.runs(&mut computer.publish("2.0", 2, "/bin/true"));
        let end = computer.with_engine(|engine| match action {
            Action::Rollback => {
                let previous = computer.package().previous.unwrap();
                let wanted = PackageAssignment::install(previous.release.clone(), previous.manifest, 9, 2);
                let to = Installed { rollout: 9, attempt: 2, ..previous };
                engine.roll_back_for_site(to, Terms::unhindered(&wanted))
            }
            _ => engine.roll_back(&PackageName::agent()),
        });
        assert_eq!(end.unwrap(), ChangeEnd::OnTrial);
        computer.write(&computer.state().confirmed(computer.host.now()));
        computer.settle().unwrap();
        assert_eq!(computer.agreed("back").as_deref(), Some("1.0"));
        let (package, reports) = (computer.package(), computer.reports());
        let asked =
            if action == Action::Rollback { ReasonCode::AskedBySite } else { ReasonCode::AskedLocally };
        assert_eq!(package.given_up[0].reason, asked, "what was left is not installed again by itself");
        assert!(reports.contains(&(InstallStep::RollBack, Outcome::Ok, asked)), "{reports:?}");
    }
}

#[test]
fn what_cannot_be_recorded_is_not_on_trial_and_leaves_no_slot() {
    let computer = Computer::new();
    let mut one = computer.publish("1.0", 1, "/bin/true");
    // In the place of the record: what can neither be read, nor be put aside, nor be replaced by a file.
    for name in ["self/state", "self/state.damaged.json"] {
        let folder = computer.host.home.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("x"), b"x").unwrap();
    }
    let held = computer.host.home.lock_watch().unwrap();
    assert_eq!(refused(computer.install(&mut one).unwrap()), ReasonCode::LocalFault, "somebody watches");
    drop(held);
    assert_eq!(refused(computer.install(&mut one).unwrap()), ReasonCode::LocalFault);
    assert_eq!(computer.slot_names(), [""; 0]);
}
